"""The retry loop: when it pauses, how long, and what it may spend."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from orchestrator_worker.claude.client import (
    Call,
    CallOrigin,
    Message,
    MessageStarted,
    MessageStopped,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolInputDelta,
    ToolUseStarted,
)
from orchestrator_worker.claude.ledger import Role, RunLedger
from orchestrator_worker.claude.retry import RetryBudget, RetryingClient, RetryPolicy
from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.clock import loop_time
from orchestrator_worker.errors import UpstreamError, UpstreamFault


class FailingClient:
    """A Claude client that fails so often before it answers."""

    def __init__(self, failures: list[UpstreamError]) -> None:
        self.failures = failures
        self.attempts: list[int] = []
        self.before_failing: list[StreamEvent] = []

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncGenerator[AsyncGenerator[StreamEvent]]:
        self.attempts.append(call.attempt)
        yield self._events()

    async def _events(self) -> AsyncGenerator[StreamEvent]:
        yield MessageStarted("msg", Usage())
        for event in self.before_failing:
            yield event
        if self.failures:
            raise self.failures.pop(0)
        yield TextDelta("hello")
        yield MessageStopped("end_turn", Usage())


def call(seconds: float = 60, role: Role = "worker") -> Call:
    origin = CallOrigin("run", "req", "tester", role)
    message = Message("user", ("x",))
    return Call("m", 10, (message,), origin, RunLedger(), loop_time() + seconds, 60.0)


async def run(
    client: FailingClient, asked: Call, policy: RetryPolicy | None = None
) -> tuple[list[StreamEvent], list[float]]:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    retrying = RetryingClient(client, policy or RetryPolicy(), pause)
    async with retrying.stream(asked) as events:
        return [event async for event in events], pauses


def overloaded(retry_after: float | None = None) -> UpstreamError:
    return UpstreamError(UpstreamFault.OVERLOADED, retry_after_seconds=retry_after)


async def test_pauses_are_jittered_and_bounded() -> None:
    client = FailingClient([overloaded(), overloaded()])
    events, pauses = await run(client, call())
    assert TextDelta("hello") in events
    assert client.attempts == [1, 2, 3]
    assert len(pauses) == 2
    assert all(0 <= pause <= 2 for pause in pauses)


async def test_retry_after_is_honoured_to_the_second_when_it_fits() -> None:
    _, pauses = await run(FailingClient([overloaded(7)]), call(seconds=8))
    assert pauses == [7]


async def test_a_retry_after_beyond_the_deadline_fails_at_once() -> None:
    client = FailingClient([overloaded(9)])
    with pytest.raises(UpstreamError):
        await run(client, call(seconds=8))
    assert client.attempts == [1]


@pytest.mark.parametrize("fault", [UpstreamFault.REJECTED, UpstreamFault.AUTHENTICATION])
async def test_what_a_retry_cannot_mend_is_not_retried(fault: UpstreamFault) -> None:
    client = FailingClient([UpstreamError(fault)])
    with pytest.raises(UpstreamError):
        await run(client, call())
    assert client.attempts == [1]


@pytest.mark.parametrize(
    ("left", "attempts"),
    [
        (ThinkingDelta(), [1, 2]),
        (TextDelta("a"), [1]),
        (ToolUseStarted("t", "delegate"), [1]),
        (ToolInputDelta("{"), [1]),
    ],
)
async def test_a_stream_is_retried_only_before_its_first_delta_has_left(
    left: StreamEvent, attempts: list[int]
) -> None:
    client = FailingClient([overloaded()])
    client.before_failing = [left]
    with suppress(UpstreamError):
        await run(client, call())
    assert client.attempts == attempts


async def test_no_more_than_two_retries_are_made() -> None:
    client = FailingClient([overloaded() for _ in range(9)])
    with pytest.raises(UpstreamError):
        await run(client, call())
    assert client.attempts == [1, 2, 3]


async def test_the_numbers_go_on_after_the_attempts_that_negotiation_made() -> None:
    error = overloaded()
    error.attempts = 3
    client = FailingClient([error, overloaded()])
    await run(client, call())
    assert client.attempts == [1, 4, 5]


async def test_a_pre_warm_is_not_tried_again() -> None:
    client = FailingClient([overloaded()])
    with pytest.raises(UpstreamError):
        await run(client, replace(call(), max_tokens=0))
    assert client.attempts == [1]


async def test_a_caller_that_leaves_early_ends_the_loop() -> None:
    client = FailingClient([])
    retrying = RetryingClient(client, RetryPolicy())
    async with retrying.stream(call()) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    assert client.attempts == [1]


@pytest.mark.parametrize("role", ["worker", "evaluator", "reducer"])
def test_the_others_leave_a_reserve_to_lead_and_synthesizer(role: Role) -> None:
    budget = RetryBudget(RetryPolicy(budget_floor=10))
    assert sum(budget.spend(role) for _ in range(20)) == 7
    assert budget.spend("lead")
    assert budget.spend("synthesizer")
    assert budget.spend("lead")
    assert not budget.spend("lead")
    for _ in range(11):
        budget.earn()
    assert budget.spend("lead")


async def test_a_storm_of_failures_costs_a_tenth_more_calls_not_three_times_as_many() -> None:
    client = FailingClient([overloaded() for _ in range(1000)])

    async def no_pause(_seconds: float) -> None:
        return

    retrying = RetryingClient(client, RetryPolicy(), no_pause)

    async def read() -> None:
        async with retrying.stream(call()) as events:
            async for _event in events:
                pass

    for _ in range(200):
        with pytest.raises(UpstreamError):
            await read()
    assert len(client.attempts) <= 200 * 1.1 + 10
