"""The append-only record of attempts: what each call to Claude used, cost and came to.

`Ledger` is the Protocol; `RunLedger` keeps one run's attempts in memory for its usage figures,
`LogLedger` writes each as one log event. A stored ledger comes later and stands beside them.
Records hold sizes, never text.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol

import structlog

from orchestrator_worker.claude.pricing import cost_usd
from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.clock import stopwatch
from orchestrator_worker.errors import UpstreamFault

Role = Literal["lead", "worker", "evaluator", "reducer", "synthesizer"]
AttemptOutcome = Literal["succeeded", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try of one call, whatever came of it."""

    run_id: str
    request_id: str
    principal: str
    role: Role
    model: str
    subtask_id: str | None
    subtask_title: str | None
    purpose: str | None
    """See `CallOrigin.purpose`."""
    attempt: int
    """From 1."""
    outcome: AttemptOutcome
    reason: str | None
    """The fault of a failed attempt; None otherwise."""
    stop_reason: str | None
    upstream_id: str | None
    usage: Usage
    cost_usd: Decimal | None
    """None: the model's price is unknown."""
    started: float
    """The stopwatch's instant when it was sent."""
    seconds: float
    first_delta_seconds: float | None
    """From sending the call to its first delta; None: none came."""

    @property
    def ended(self) -> float:
        """The stopwatch's instant of its end."""
        return self.started + self.seconds


class Ledger(Protocol):
    """Where attempts are written down."""

    def record(self, attempt: AttemptRecord) -> None:
        """Append one attempt. Must not block and must not fail."""
        ...


class RunLedger:
    """One run's attempts, in the order they ended; opened when the run begins."""

    def __init__(self) -> None:
        self.began = stopwatch()
        """The stopwatch's instant, so that attempts can be told relative to it."""
        self.attempts: list[AttemptRecord] = []

    def record(self, attempt: AttemptRecord) -> None:
        """See `Ledger.record`."""
        self.attempts.append(attempt)

    @property
    def seconds(self) -> float:
        """Since it was opened; no attempt that it holds has ended later."""
        return stopwatch() - self.began

    @property
    def usage(self) -> Usage:
        """Tokens of all attempts."""
        return sum((attempt.usage for attempt in self.attempts), Usage())

    @property
    def cost_usd(self) -> Decimal | None:
        """USD of all attempts; None as soon as one of them has no known price."""
        return total_cost(attempt.cost_usd for attempt in self.attempts)

    def cost_on(self, model: str) -> Decimal | None:
        """USD the same tokens would have cost on `model`, call by call."""
        return total_cost(cost_usd(model, attempt.usage) for attempt in self.attempts)


def total_cost(costs: Iterable[Decimal | None]) -> Decimal | None:
    """Sum USD amounts; None (unknown) when any of them is."""
    total = Decimal(0)
    for cost in costs:
        if cost is None:
            return None
        total += cost
    return total


class LogLedger:
    """Writes each attempt as one `upstream_attempt` event."""

    def __init__(self) -> None:
        self._log = structlog.stdlib.get_logger("orchestrator_worker.ledger")

    def record(self, attempt: AttemptRecord) -> None:
        """See `Ledger.record`."""
        # A refused key is nobody's bad luck: somebody must act.
        refused = attempt.reason == UpstreamFault.AUTHENTICATION
        write = self._log.error if refused else self._log.info
        write(
            "upstream_attempt",
            request_id=attempt.request_id,
            run_id=attempt.run_id,
            principal=attempt.principal,
            role=attempt.role,
            model=attempt.model,
            subtask_id=attempt.subtask_id,
            purpose=attempt.purpose,
            attempt=attempt.attempt,
            outcome=attempt.outcome,
            reason=attempt.reason,
            stop_reason=attempt.stop_reason,
            upstream_id=attempt.upstream_id,
            input_tokens=attempt.usage.input_tokens,
            output_tokens=attempt.usage.output_tokens,
            cache_read_input_tokens=attempt.usage.cache_read_input_tokens,
            cache_creation_input_tokens=attempt.usage.cache_creation_input_tokens,
            cost_usd=None if attempt.cost_usd is None else float(attempt.cost_usd),
            milliseconds=round(attempt.seconds * 1000, 1),
        )
