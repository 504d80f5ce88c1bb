"""One execution of the orchestrator: its request, its account, and the bounded queue its events
pass through.

The owner task writes with `emit` and blocks when nobody reads, which slows the upstream streams
down in turn; whoever shows the run iterates it. The account can be read at any time, also after a
failure.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from orchestrator_worker.claude.client import CallOrigin
from orchestrator_worker.claude.ledger import Role, RunLedger
from orchestrator_worker.clock import loop_time, stopwatch
from orchestrator_worker.ids import new_id
from orchestrator_worker.orchestration.conversation import Conversation
from orchestrator_worker.orchestration.estimate import PlanEstimate
from orchestrator_worker.orchestration.events import (
    AnswerDelta,
    ChosenRoute,
    Event,
    ResultScored,
    RoundReviewed,
    RouteDecided,
)
from orchestrator_worker.orchestration.plan import Subtask
from orchestrator_worker.orchestration.results import Result, Succeeded
from orchestrator_worker.teams.team import Team

QUEUED_EVENTS = 256
"""Enough to ride out a stutter of the reader, small enough to bound a run's memory."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What one run is asked."""

    request_id: str
    principal: str
    team: Team
    conversation: Conversation
    max_tokens: int | None = None
    """The caller's cap on the final answer. None: the team's own limits."""
    plan_only: bool = False
    """Stop at the plan: no worker is started."""


class Run:
    """An async iterator of events that also keeps the run's account."""

    def __init__(self, request: RunRequest) -> None:
        self.id = new_id("run")
        self.request = request
        self.started = loop_time()
        self.ledger = RunLedger()
        self.route: ChosenRoute | None = None
        self.plan: tuple[Subtask, ...] = ()
        """All subtasks, once the plan is closed."""
        self.results: tuple[Result, ...] = ()
        self.rounds: list[RoundReviewed] = []
        self.scores: list[ResultScored] = []
        self.estimate: PlanEstimate | None = None
        """What the plan would cost, where only that was asked for."""
        self.stop_reason: str | None = None
        self.timed_out = False
        """True when a deadline cut the answer or the workers."""
        self.omissions: list[str] = []
        """What the answer cannot cover because the plan itself is incomplete, in words."""
        self.noted: set[str] = set()
        """Ids of subtasks whose absence the answer has already named."""
        self.answered_by: Role = "lead"
        """Whose text the caller reads."""
        self.unwritten = False
        """True when the results themselves had to stand for the answer."""
        self.coordination_seconds: float | None = None
        self.synthesis_seconds: float | None = None
        self.first_delta_seconds: float | None = None
        self._started = stopwatch()
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._ended = False
        self._failure: Exception | None = None

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return stopwatch() - self._started

    @property
    def partial(self) -> bool:
        """True when the answer was built though something is missing."""
        return bool(self.unwritten or self.omissions) or any(
            not isinstance(result, Succeeded) or result.truncated for result in self.results
        )

    def origin(
        self, role: Role, subtask: Subtask | None = None, purpose: str | None = None
    ) -> CallOrigin:
        """Return on whose behalf a call of this run is made."""
        return CallOrigin(
            run_id=self.id,
            request_id=self.request.request_id,
            principal=self.request.principal,
            role=role,
            subtask_id=subtask.id if subtask else None,
            subtask_title=subtask.title if subtask else None,
            purpose=purpose,
        )

    async def emit(self, event: Event) -> None:
        """Hand an event to the reader, then wait while too many have not been read.

        In this order, whoever is cancelled while waiting has lost nothing of what it said.
        """
        if isinstance(event, AnswerDelta) and self.first_delta_seconds is None:
            self.first_delta_seconds = self.seconds
        elif isinstance(event, RouteDecided):
            self.route = event.route
        self._queue.put_nowait(event)
        if self._queue.qsize() > QUEUED_EVENTS:
            self._room.clear()
            await self._room.wait()

    def end(self, failure: Exception | None) -> None:
        """Tell the reader that nothing follows; `failure` is raised there."""
        self._failure = failure
        self._queue.put_nowait(None)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        event = None if self._ended else await self._queue.get()
        if self._queue.qsize() <= QUEUED_EVENTS:
            self._room.set()
        if event is not None:
            return event
        self._ended = True
        if self._failure is not None:
            raise self._failure
        raise StopAsyncIteration
