"""What a run used, as OpenAI's `usage` object, and its amounts as JSON has them."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from orchestrator_worker.claude.ledger import AttemptRecord
from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.orchestration.results import Succeeded
from orchestrator_worker.orchestration.run import Run


def usage_object(run: Run) -> dict[str, Any]:
    """Return OpenAI's usage over all agents of a run, failed and cancelled attempts included.

    Output that the caller does not see counts as reasoning: thinking, the lead's plan, workers'
    results that somebody else writes up, and what was tried again.
    """
    total = run.ledger.usage
    seen = sum(_text_tokens(attempt.usage) for attempt in _answering(run))
    return {
        "prompt_tokens": total.total_input_tokens,
        "completion_tokens": total.output_tokens,
        "total_tokens": total.total_input_tokens + total.output_tokens,
        "prompt_tokens_details": {"cached_tokens": total.cache_read_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": total.output_tokens - seen},
    }


def _answering(run: Run) -> Iterable[AttemptRecord]:
    """Return the attempts whose text the caller reads: of several at the same thing the last, or
    the last that succeeded.

    Only as good as the account: a second try that was worse than the first is taken for better.
    """
    own = [it for it in run.ledger.attempts if it.role == run.answered_by]
    heard_whole = run.unwritten or run.request.team.synthesis == "list"
    if run.answered_by == "worker" and heard_whole:
        given = {it.subtask.id for it in run.results if isinstance(it, Succeeded)}
        own = [it for it in own if it.subtask_id in given]
    in_order = sorted(own, key=lambda it: (it.outcome == "succeeded", it.started))
    return {it.subtask_id: it for it in in_order}.values()


def _text_tokens(usage: Usage) -> int:
    return max(0, usage.output_tokens - usage.thinking_tokens)


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
