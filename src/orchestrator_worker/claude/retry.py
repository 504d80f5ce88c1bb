"""The one retry loop between a caller and Claude.

Full jitter; never past the phase's deadline; a `retry-after` is honoured when it fits and final
when it does not; a stream is retried only before its first delta has left. All calls of a process
share one `RetryBudget`, so that a struggling upstream sees at most a tenth more calls, not three
times as many. Outermost of the wrappers: everything inside it sees single attempts.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

from tenacity import AsyncRetrying, RetryCallState, stop_after_attempt
from tenacity.wait import wait_random_exponential

from orchestrator_worker.claude.client import (
    Call,
    ClaudeClient,
    MessageStarted,
    StreamEvent,
    ThinkingDelta,
)
from orchestrator_worker.claude.ledger import Role
from orchestrator_worker.clock import loop_time
from orchestrator_worker.errors import UpstreamError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a call is tried again."""

    max_attempts: int = 3
    """Attempts per call, the first included."""
    backoff_seconds: float = 1.0
    """Upper bound of the first pause; doubles with each retry. 0: no pauses, for tests."""
    max_backoff_seconds: float = 30.0
    budget_ratio: float = 0.1
    """Retries earned per call."""
    budget_floor: float = 10.0
    """Retries available to a process that has just started, and the most that can be saved up."""


class RetryBudget:
    """How many retries a process may still spend.

    Each call earns a fraction, each retry costs one. The others leave a reserve to leads and
    synthesizers: losing one of those loses the whole answer.
    """

    RESERVED_FRACTION = 0.3

    def __init__(self, policy: RetryPolicy) -> None:
        self._ratio = policy.budget_ratio
        self._most = policy.budget_floor
        self._left = policy.budget_floor

    def earn(self) -> None:
        """Note that a call was made."""
        self._left = min(self._most, self._left + self._ratio)

    def spend(self, role: Role) -> bool:
        """Take one retry if there is one for this role; False leaves the budget as it was."""
        first = role in ("lead", "synthesizer")
        reserve = 0.0 if first else self._most * self.RESERVED_FRACTION
        if self._left - 1.0 < reserve:
            return False
        self._left -= 1.0
        return True


class RetryingClient:
    """A Claude client that tries again what may succeed a moment later."""

    def __init__(
        self,
        inner: ClaudeClient,
        policy: RetryPolicy,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._inner = inner
        self._policy = policy
        self._budget = RetryBudget(policy)
        self._jitter = wait_random_exponential(
            multiplier=policy.backoff_seconds, max=policy.max_backoff_seconds
        )
        self._sleep = sleep

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncGenerator[AsyncIterator[StreamEvent]]:
        """See `ClaudeClient.stream`; errors of the opening arrive with the first event."""
        async with aclosing(self._attempts(call)) as events:
            yield events

    async def _attempts(self, call: Call) -> AsyncGenerator[StreamEvent]:
        self._budget.earn()
        progress = _Progress()
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._policy.max_attempts),
            retry=lambda state: self._may_retry(call, progress, state),
            wait=lambda state: progress.pause_seconds,
            sleep=self._sleep,
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                numbered = replace(call, attempt=progress.attempts + 1)
                async with self._inner.stream(numbered) as events:
                    async for event in events:
                        progress.saw(event)
                        yield event

    def _may_retry(self, call: Call, progress: "_Progress", state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, UpstreamError) or not error.retryable or progress.committed:
            return False
        if call.max_tokens == 0:
            return False  # a cache warmed after a pause is too late, and not worth the budget
        progress.attempts += error.attempts
        asked = error.retry_after_seconds
        progress.pause_seconds = self._jitter(state) if asked is None else asked
        if loop_time() + progress.pause_seconds >= call.deadline:
            return False
        return self._last_attempt(state) or self._budget.spend(call.origin.role)

    def _last_attempt(self, state: RetryCallState) -> bool:
        # tenacity asks before it counts: the stop rule ends it, so nothing must be spent.
        return state.attempt_number >= self._policy.max_attempts


class _Progress:
    """What of the call's attempts the caller has seen, and how long to pause before the next."""

    def __init__(self) -> None:
        self.committed = False
        """True once something has left that a second attempt would contradict."""
        self.pause_seconds = 0.0
        self.attempts = 0
        """Made so far, negotiated ones included."""

    def saw(self, event: StreamEvent) -> None:
        if not isinstance(event, MessageStarted | ThinkingDelta):
            self.committed = True
