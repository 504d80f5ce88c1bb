"""The `orchestration` extension: what a caller may ask to see of a run besides its answer.

`usage` shows who did what for how much, `results` what became of every subtask, `plan` the plan and
what it would cost.
"""

from typing import Any, get_args

from orchestrator_worker.api.chat.usage import phases, usd
from orchestrator_worker.claude.ledger import AttemptRecord, Role
from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.orchestration.plan import Subtask
from orchestrator_worker.orchestration.results import listed
from orchestrator_worker.orchestration.run import Run

_ROLES: tuple[Role, ...] = get_args(Role)


def usage_report(run: Run) -> dict[str, Any]:
    """Return who did what for how much: every attempt, the totals, the phases."""
    return {
        "run_id": run.id,
        "route": run.route,
        "partial": run.partial,
        "timed_out": run.timed_out,
        "agents": [_agent(attempt) for attempt in _in_order(run)],
        "totals": {
            **_tokens(run.ledger.usage),
            "seconds": round(run.seconds, 3),
            "cost_usd": usd(run.ledger.cost_usd),
            "cost_usd_on_lead_model": usd(run.ledger.cost_on(run.request.team.lead.model)),
        },
        "phases": phases(run),
    }


def results_report(run: Run) -> dict[str, Any]:
    """Return every subtask's outcome and text, in plan order, and what was made of the results."""
    return {
        "run_id": run.id,
        "partial": run.partial,
        "omissions": run.omissions,
        "results": [listed(result) for result in run.results],
        "scores": [
            {
                "subtask_id": score.subtask.id,
                "score": score.score,
                "reason": score.reason,
                "redone": score.redone,
            }
            for score in run.scores
        ],
        "rounds": [
            {
                "round": it.round,
                "added": [subtask.id for subtask in it.added],
                "reason": it.reason,
            }
            for it in run.rounds
        ],
    }


def plan_report(run: Run) -> dict[str, Any]:
    """Return the plan and its estimated cost; both null when the lead has answered by itself."""
    if run.estimate is None:
        return {"run_id": run.id, "route": run.route, "plan": None, "estimate": None}
    return {
        "run_id": run.id,
        "route": run.route,
        "plan": [planned(subtask) for subtask in run.plan],
        "omissions": run.omissions,
        "estimate": {
            "workers": run.estimate.workers,
            "input_tokens": run.estimate.input_tokens,
            "output_tokens": run.estimate.output_tokens,
            "expected_cost_usd": usd(run.estimate.expected_usd),
            "full_length_cost_usd": usd(run.estimate.full_length_usd),
            "spent_on_plan_usd": usd(run.ledger.cost_usd),
        },
    }


def planned(subtask: Subtask) -> dict[str, Any]:
    """Return a subtask as the plan has it; what it does not say is left out."""
    fields = {
        "id": subtask.id,
        "type": subtask.type,
        "title": subtask.title,
        "instructions": subtask.instructions,
        "item": subtask.item,
        "depends_on": list(subtask.depends_on),
        "tier": subtask.tier,
        "output": None if subtask.output == "text" else subtask.output,
    }
    return {name: value for name, value in fields.items() if value not in (None, [])}


def _in_order(run: Run) -> list[AttemptRecord]:
    """Return the attempts as a person thinks of them: lead, workers in plan order, synthesizer;
    each one's as they ended.
    """
    place = {result.subtask.id: index for index, result in enumerate(run.results)}

    def key(attempt: AttemptRecord) -> tuple[int, int]:
        return _ROLES.index(attempt.role), place.get(attempt.subtask_id or "", 0)

    return sorted(run.ledger.attempts, key=key)


def _agent(attempt: AttemptRecord) -> dict[str, Any]:
    return {
        "role": attempt.role,
        "purpose": attempt.purpose,
        "model": attempt.model,
        "subtask_id": attempt.subtask_id,
        "title": attempt.subtask_title,
        "attempt": attempt.attempt,
        "outcome": attempt.outcome,
        "reason": attempt.reason,
        "stop_reason": attempt.stop_reason,
        **_tokens(attempt.usage),
        "seconds": round(attempt.seconds, 3),
        "cost_usd": usd(attempt.cost_usd),
    }


def _tokens(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_input_tokens,
        "cache_creation_input_tokens": usage.cache_creation_input_tokens,
    }
