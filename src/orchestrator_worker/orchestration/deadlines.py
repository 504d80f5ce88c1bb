"""The clock of a run's first phase.

Deadlines are instants on the loop's clock. Nothing here decides what an expired clock means for the
answer.
"""

import asyncio
from types import TracebackType

from orchestrator_worker.clock import loop_time
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
        self._ended = False

    async def __aenter__(self) -> "CoordinationClock":
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._ended = True
        return await self._timeout.__aexit__(exc_type, exc, traceback)

    def answer_began(self) -> None:
        """The answer's first text has come. Only the first time counts, and not after the end."""
        if self._answering_since is None and not self._ended:
            self._answering_since = loop_time()
            self._timeout.reschedule(self._direct_deadline)

    def delegation_began(self) -> None:
        """The lead has opened its plan, perhaps after some text."""
        if self._answering_since is not None:
            self.deadline += loop_time() - self._answering_since
            self._answering_since = None
            self._timeout.reschedule(self.deadline)
