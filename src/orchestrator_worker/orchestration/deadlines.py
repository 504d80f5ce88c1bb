"""The clocks of one run: when a phase must end, and how long a stream may be silent.

Deadlines are instants on the loop's clock. Nothing here decides what an expired clock means for the
answer.
"""

import asyncio
from types import TracebackType

from orchestrator_worker.clock import loop_time
from orchestrator_worker.errors import UpstreamError, UpstreamFault
from orchestrator_worker.teams.team import Deadlines


class CoordinationClock:
    """The deadline of the lead and its workers; a context manager that raises TimeoutError when it
    passes.

    While the lead is answering by itself the coordination clock stands still and the longer
    direct-answer deadline holds instead.
    """

    def __init__(self, deadlines: Deadlines, started: float) -> None:
        self.deadline = started + deadlines.coordination_seconds
        self._direct_deadline = started + deadlines.direct_answer_seconds
        self._answering_since: float | None = None
        self._timeout = asyncio.timeout_at(self.deadline)

    async def __aenter__(self) -> "CoordinationClock":
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._timeout.__aexit__(exc_type, exc, traceback)

    def answer_began(self) -> None:
        """The lead's first text has come."""
        self._answering_since = loop_time()
        self._timeout.reschedule(self._direct_deadline)

    def delegation_began(self) -> None:
        """The lead has opened its plan, perhaps after some text."""
        if self._answering_since is not None:
            self.deadline += loop_time() - self._answering_since
            self._answering_since = None
            self._timeout.reschedule(self.deadline)


class IdleLimit:
    """Bounds the silence of a stream: `touch` on every event, leave the block when done.

    A touch only notes the time; one timer looks now and then whether it has been too long. Moving a
    timer on every event would be the dearest part of reading one.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()
        self._touched = self._loop.time()
        self._timer = self._loop.call_later(seconds, self._look)

    async def __aenter__(self) -> "IdleLimit":
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        try:
            await self._timeout.__aexit__(exc_type, exc, traceback)
        except TimeoutError as error:
            raise UpstreamError(UpstreamFault.SILENT) from error

    def touch(self) -> None:
        """Note a sign of life."""
        self._touched = self._loop.time()

    def _look(self) -> None:
        due = self._touched + self._seconds
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._look)
        else:
            self._timeout.reschedule(self._loop.time())
