"""Sending a reply at its pace, whole or as a stream, and breaking it where a fault says so.

The pace is an absolute schedule: token i is due at `first token + i / rate` after arrival. What is
late goes out at once, in one write, so that lateness never adds up.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from time import monotonic

from orchestrator_worker.simulator.errors import ApiError, envelope
from orchestrator_worker.simulator.exchange import Exchange, Headers
from orchestrator_worker.simulator.faults import Fault
from orchestrator_worker.simulator.framing import PING, Frame, before_fault, event, with_garbage
from orchestrator_worker.simulator.jsons import JsonObject
from orchestrator_worker.simulator.latency import Latency

HTML = b"<!doctype html><html><body><h1>A proxy answered instead</h1></body></html>"
BINARY = bytes(range(128, 256)) * 2
"""Bytes that are neither JSON nor UTF-8."""
_TICK = attrgetter("tick")


async def for_ever() -> None:
    """Wait until the call is cancelled because the client left."""
    await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class Steps:
    """Who wants to know how far a response has come."""

    begin: Callable[[], None]
    """Called before the first byte."""
    answered: Callable[[], None]
    """Called before the first byte of the message itself, if there comes one."""
    end: Callable[[], None]
    """Called before the last byte."""


class Sender:
    """Sends the response of one call."""

    def __init__(
        self,
        exchange: Exchange,
        latency: Latency,
        headers: Headers,
        steps: Steps,
    ) -> None:
        """Prepare to send; the schedule begins now.

        Args:
            exchange: Where to.
            latency: The pace.
            headers: Sent with every response but a web page.
            steps: Told how far it has come.
        """
        self._exchange = exchange
        self._steps = steps
        self._latency = latency
        self._headers = headers
        # Not the loop's clock: uvloop's stands still within a turn of the loop.
        self._start = monotonic()

    async def stream(self, frames: list[Frame], fault: Fault | None) -> None:
        """Send events until the message stops or the fault strikes."""
        if fault is None:
            await self._play(frames, to_end=True)
        elif fault.kind == "garbage":
            await self._play(with_garbage(frames, fault), to_end=True)
        else:
            await self._play(before_fault(frames, fault))
            await self._break(fault)

    async def whole(self, message: JsonObject, ticks: int, fault: Fault | None) -> None:
        """Send a complete message when its last token is due, or what the fault makes of it."""
        await self._until(ticks)
        self._steps.begin()
        if fault is None:
            self._steps.answered()
            self._steps.end()
            await self._exchange.respond(200, message, self._headers)
        elif fault.kind == "error_event":
            self._steps.end()
            await self._exchange.refuse(ApiError(fault.status, fault.message, fault.error_type))
        elif fault.kind == "cut":
            await self._exchange.start(200, "application/json", self._headers)
            await self._cut()
        elif fault.kind == "stall":
            await self._exchange.start(200, "application/json", self._headers)
            await for_ever()
        else:
            await self._exchange.start(200, "application/json", self._headers)
            await self._finish(BINARY if fault.kind == "binary" else b'{"id": "msg_')

    async def html(self) -> None:
        """Send a web page with status 200, as a proxy in between may."""
        await self._until(0)
        self._steps.begin()
        await self._exchange.start(200, "text/html", [("content-length", str(len(HTML)))])
        await self._finish(HTML)

    async def _finish(self, data: bytes = b"") -> None:
        self._steps.end()
        await self._exchange.finish(data)

    async def _cut(self) -> None:
        self._steps.end()
        await self._exchange.cut()

    async def _break(self, fault: Fault) -> None:
        if fault.kind == "error_event":
            body = envelope(fault.error_type, fault.message, self._exchange.request_id)
            await self._finish(event("error", body))
        elif fault.kind == "cut":
            await self._cut()
        elif fault.kind == "stall":
            await self._ping_for_ever(fault.ping_seconds)
        elif fault.kind == "binary":
            await self._finish(BINARY)
        else:
            await self._finish()

    async def _ping_for_ever(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._exchange.write(PING)

    async def _play(self, frames: list[Frame], *, to_end: bool = False) -> None:
        """Send the frames when they are due; with `to_end` the response ends with the last."""
        await self._until(0)
        headers = [("cache-control", "no-cache"), *self._headers]
        await self._exchange.start(200, "text/event-stream; charset=utf-8", headers)
        self._steps.begin()
        self._steps.answered()
        sent = 0
        while sent < len(frames):
            await self._until(frames[sent].tick)
            due = bisect_right(frames, self._due_tick(), lo=sent + 1, key=_TICK)
            data = b"".join([frame.data for frame in frames[sent:due]])
            sent = due
            if to_end and sent == len(frames):
                await self._finish(data)
            else:
                await self._exchange.write(data)

    def _due_tick(self) -> float:
        """The last tick that is due now."""
        rate = self._latency.tokens_per_second
        if not rate:
            return float("inf")
        return (monotonic() - self._start - self._latency.first_token_seconds) * rate

    async def _until(self, tick: int) -> None:
        delay = self._start + self._latency.due_seconds(tick) - monotonic()
        if delay > 0:
            await asyncio.sleep(delay)
