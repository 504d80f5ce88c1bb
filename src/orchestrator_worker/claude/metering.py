"""Metering: every attempt ends as one ledger record, whatever became of it."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from orchestrator_worker.claude.client import (
    Call,
    ClaudeClient,
    MessageStarted,
    MessageStopped,
    StreamEvent,
)
from orchestrator_worker.claude.ledger import AttemptOutcome, AttemptRecord, Ledger
from orchestrator_worker.claude.pricing import cost_usd
from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.clock import stopwatch
from orchestrator_worker.errors import UpstreamError


class MeteredClient:
    """A Claude client that writes each attempt to the run's ledger and to the process-wide one."""

    def __init__(self, inner: ClaudeClient, ledger: Ledger) -> None:
        self._inner = inner
        self._ledger = ledger

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncGenerator[AsyncIterator[StreamEvent]]:
        """See `ClaudeClient.stream`."""
        meter = _Meter(call)
        try:
            async with self._inner.stream(call) as events:
                yield meter.watch(events)
        except UpstreamError as error:
            meter.failed(error)
            raise
        finally:
            record = meter.record()
            call.ledger.record(record)
            self._ledger.record(record)


class _Meter:
    def __init__(self, call: Call) -> None:
        self._call = call
        self._started = stopwatch()
        self._first_delta: float | None = None
        self._upstream_id: str | None = None
        self._usage = Usage()
        self._stop_reason: str | None = None
        # Until something else is known: whoever leaves early has cancelled.
        self._outcome: AttemptOutcome = "cancelled"
        self._reason: str | None = None
        self._deltas = 0

    async def watch(self, events: AsyncIterator[StreamEvent]) -> AsyncIterator[StreamEvent]:
        async for event in events:
            match event:
                case MessageStarted():
                    self._upstream_id = event.upstream_id
                    self._usage = event.usage
                case MessageStopped():
                    self._usage = event.usage
                    self._stop_reason = event.stop_reason
                    self._outcome = "succeeded"
                case _:
                    self._deltas += 1
                    if self._first_delta is None:
                        self._first_delta = stopwatch() - self._started
            yield event

    def failed(self, error: UpstreamError) -> None:
        self._outcome = "failed"
        self._reason = error.fault.value

    def _known_usage(self) -> Usage:
        """Return what was reported; of an attempt that was cut, at least a token per delta."""
        if self._stop_reason is not None or self._deltas <= self._usage.output_tokens:
            return self._usage
        return replace(self._usage, output_tokens=self._deltas)

    def record(self) -> AttemptRecord:
        origin = self._call.origin
        usage = self._known_usage()
        return AttemptRecord(
            run_id=origin.run_id,
            request_id=origin.request_id,
            principal=origin.principal,
            role=origin.role,
            model=self._call.model,
            subtask_id=origin.subtask_id,
            subtask_title=origin.subtask_title,
            purpose=origin.purpose,
            attempt=self._call.attempt,
            outcome=self._outcome,
            reason=self._reason,
            stop_reason=self._stop_reason,
            upstream_id=self._upstream_id,
            usage=usage,
            cost_usd=cost_usd(self._call.model, usage),
            started=self._started,
            seconds=stopwatch() - self._started,
            first_delta_seconds=self._first_delta,
        )
