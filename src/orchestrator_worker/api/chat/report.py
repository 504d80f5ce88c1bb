"""The `orchestration` extension: what a caller may ask to see of a run besides its answer.

`usage` shows who did what, when and for how much, `results` what became of every subtask, `plan`
the plan and what it would cost.
"""

from decimal import Decimal
from typing import Any, get_args

from orchestrator_worker.api.chat.usage import phases, usd
from orchestrator_worker.claude.ledger import AttemptRecord, Role, total_cost
from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.orchestration.critical_path import Step, critical_path
from orchestrator_worker.orchestration.estimate import PlanEstimate
from orchestrator_worker.orchestration.plan import Subtask
from orchestrator_worker.orchestration.results import Result, listed
from orchestrator_worker.orchestration.run import Run

_ROLES: tuple[Role, ...] = get_args(Role)


def usage_report(run: Run) -> dict[str, Any]:
    """Return who did what for how much, when, and what the answer had to wait for."""
    return {
        "run_id": run.id,
        "route": run.route,
        "partial": run.partial,
        "timed_out": run.timed_out,
        "agents": [_agent(attempt, run.ledger.began) for attempt in _in_order(run)],
        "subtasks": _subtasks(run),
        "critical_path": [_step(step) for step in critical_path(run)],
        "totals": {
            **_tokens(run.ledger.usage),
            # On the clock of the attempts, so that none of them ends later, not by a rounding.
            "seconds": round(run.ledger.seconds, 3),
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
    told = run.estimate
    return {
        "run_id": run.id,
        "route": run.route,
        "plan": None if told is None else [planned(subtask) for subtask in run.plan],
        "omissions": run.omissions,
        "estimate": None if told is None else _estimate(told, run.ledger.cost_usd),
    }


def _estimate(told: PlanEstimate, spent: Decimal | None) -> dict[str, Any]:
    return {
        "workers": told.workers,
        "input_tokens": told.input_tokens,
        "output_tokens": told.output_tokens,
        "expected_cost_usd": usd(told.expected_usd),
        "full_length_cost_usd": usd(told.full_length_usd),
        "spent_on_plan_usd": usd(spent),
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


def _agent(attempt: AttemptRecord, began: float) -> dict[str, Any]:
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
        **_span(attempt.started - began, attempt.ended - began),
        "cost_usd": usd(attempt.cost_usd),
    }


def _subtasks(run: Run) -> list[dict[str, Any]]:
    """Return what became of each subtask and what it used: a second try that a deadline cut counts
    too, though the result is the first one's.
    """
    own: dict[str, list[AttemptRecord]] = {result.subtask.id: [] for result in run.results}
    for attempt in run.ledger.attempts:
        if attempt.role == "worker" and attempt.subtask_id in own:
            own[attempt.subtask_id].append(attempt)
    return [_subtask(result, own[result.subtask.id]) for result in run.results]


def _subtask(result: Result, own: list[AttemptRecord]) -> dict[str, Any]:
    subtask = result.subtask
    return {
        "id": subtask.id,
        "type": subtask.type,
        "title": subtask.title,
        "depends_on": list(subtask.depends_on),
        "outcome": result.outcome,
        "reason": result.reason,
        "seconds": round(result.seconds, 3),
        **_tokens(sum((it.usage for it in own), Usage())),
        "cost_usd": usd(total_cost(it.cost_usd for it in own)),
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "role": step.role,
        "purpose": step.purpose,
        "subtask_id": step.subtask_id,
        "title": step.title,
        **_span(step.began, step.ended),
    }


def _span(began: float, ended: float) -> dict[str, float]:
    """Return when something began and how long it took, so rounded that what did not overlap still
    does not.
    """
    starts = round(began, 3)
    return {"starts_seconds": starts, "seconds": round(round(ended, 3) - starts, 3)}


def _tokens(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.input_tokens,
        "cache_read_input_tokens": usage.cache_read_input_tokens,
        "cache_creation_input_tokens": usage.cache_creation_input_tokens,
        "total_input_tokens": usage.total_input_tokens,
        "output_tokens": usage.output_tokens,
    }
