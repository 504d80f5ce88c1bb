"""What a run used, as OpenAI's `usage` object, and its amounts as JSON has them."""

from decimal import Decimal
from typing import Any

from orchestrator_worker.orchestration.run import Run


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


def spent(run: Run) -> dict[str, Any]:
    """Return what the calls of a run that have ended so far have used."""
    total = run.ledger.usage
    return {
        "input_tokens": total.total_input_tokens,
        "output_tokens": total.output_tokens,
        "cost_usd": usd(run.ledger.cost_usd),
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


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
