"""What a run used, as OpenAI's `usage` object and as the `orchestration` extension."""

from decimal import Decimal
from typing import Any

from orchestrator_worker.claude.ledger import AttemptRecord
from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.orchestration.run import Run

_ROLES = ("lead", "worker", "synthesizer")


def usage_object(run: Run) -> dict[str, Any]:
    """Return OpenAI's usage over all agents of a run.

    Output that the caller does not see, the lead's plan and the workers' results, counts as
    reasoning.
    """
    total = run.ledger.usage
    hidden = sum(
        attempt.usage.thinking_tokens
        if attempt.role == run.answered_by
        else attempt.usage.output_tokens
        for attempt in run.ledger.attempts
    )
    return {
        "prompt_tokens": total.total_input_tokens,
        "completion_tokens": total.output_tokens,
        "total_tokens": total.total_input_tokens + total.output_tokens,
        "prompt_tokens_details": {"cached_tokens": total.cache_read_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": hidden},
    }


def orchestration_report(run: Run) -> dict[str, Any]:
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


def phases(run: Run) -> dict[str, float | None]:
    """Return how long each phase took, in seconds; None: it did not happen."""
    return {
        "coordination_seconds": _rounded(run.coordination_seconds),
        "synthesis_seconds": _rounded(run.synthesis_seconds),
        "time_to_first_token_seconds": _rounded(run.first_delta_seconds),
    }


def usd(cost: Decimal | None) -> float | None:
    """Return an amount as a JSON number; None: unknown."""
    return None if cost is None else float(cost)


def _in_order(run: Run) -> list[AttemptRecord]:
    """Return the attempts as a person thinks of them: lead, workers in plan order, synthesizer."""
    place = {result.subtask.id: index for index, result in enumerate(run.results)}

    def key(attempt: AttemptRecord) -> tuple[int, int, int]:
        subtask = place.get(attempt.subtask_id or "", 0)
        return _ROLES.index(attempt.role), subtask, attempt.attempt

    return sorted(run.ledger.attempts, key=key)


def _agent(attempt: AttemptRecord) -> dict[str, Any]:
    return {
        "role": attempt.role,
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


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
