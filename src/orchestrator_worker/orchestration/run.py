"""One execution of the orchestrator: its request, its account, and the bounded queue its events
pass through.

The owner task writes with `emit` and blocks when nobody reads, which slows the upstream streams
down in turn; whoever shows the run iterates it. The account can be read at any time, also after a
failure.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from orchestrator_worker.claude.client import FREE_CHOICE, CallOrigin, Tool, ToolChoice
from orchestrator_worker.claude.ledger import Role, RunLedger
from orchestrator_worker.clock import loop_time, stopwatch
from orchestrator_worker.ids import new_id
from orchestrator_worker.orchestration.answer_form import AnswerForm
from orchestrator_worker.orchestration.conversation import Conversation
from orchestrator_worker.orchestration.estimate import PlanEstimate
from orchestrator_worker.orchestration.events import (
    AnswerDelta,
    ChosenRoute,
    Event,
    ResultScored,
    RoundReviewed,
    RouteDecided,
    ToolCallStarted,
)
from orchestrator_worker.orchestration.plan import Subtask
from orchestrator_worker.orchestration.results import ANSWER_FULL, Result, Succeeded
from orchestrator_worker.orchestration.stops import StopSequences
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
    tools: tuple[Tool, ...] = ()
    """The caller's own, for the lead alone; the caller runs what is called."""
    tool_choice: ToolChoice = FREE_CHOICE
    form: AnswerForm | None = None
    """None: the answer is text."""
    stop: tuple[str, ...] = ()
    """The final answer ends before the first of these."""
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
        self.refusal: str | None = None
        """What the model said instead of an answer in the form that was asked for."""
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
        self._stops = StopSequences(request.stop)
        self._started = stopwatch()
        self._queue: deque[Event | None] = deque()
        """What has not been read; asyncio's own queue costs several times as much per event."""
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False
        self._failure: Exception | None = None

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return stopwatch() - self._started

    @property
    def conversation(self) -> Conversation:
        """The caller's, as agents without the caller's tools read it."""
        return self.request.conversation.told

    @property
    def stop_upstream(self) -> tuple[str, ...]:
        """The stop sequences that the API takes, for a call whose text is the answer."""
        return tuple(it for it in self.request.stop if it.strip())

    @property
    def stopped(self) -> bool:
        """True once a stop sequence has ended the answer: nothing more of it is heard."""
        return self._stops.met

    @property
    def has_results(self) -> bool:
        """True once a worker has been paid for something."""
        return any(isinstance(result, Succeeded) for result in self.results)

    @property
    def partial(self) -> bool:
        """True when the answer was built though something is missing."""
        return bool(self.unwritten or self.omissions) or any(map(self._lacks, self.results))

    def _lacks(self, result: Result) -> bool:
        if isinstance(result, Succeeded):
            return result.truncated
        # Behind the caller's own stop sequence nothing is missing.
        return not (self.stopped and result.reason == ANSWER_FULL)

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

    async def say(self, text: str) -> None:
        """Hand a piece of the answer to the reader, as far as no stop sequence ends it."""
        if heard := self._stops.feed(text):
            if self.first_delta_seconds is None:
                self.first_delta_seconds = self.seconds
            await self._hand_over(AnswerDelta(heard))

    async def lay_out(self, text: str) -> None:
        """Hand over what the service itself puts into the answer: no stop sequence is about it."""
        await self.fall_silent()
        if not self.stopped:
            if self.first_delta_seconds is None:
                self.first_delta_seconds = self.seconds
            await self._hand_over(AnswerDelta(text))

    async def stop(self) -> None:
        """End the answer here: Claude has met a stop sequence, and left it out."""
        await self.fall_silent()
        self._stops.met = True

    async def fall_silent(self) -> None:
        """Hand over what was held of the answer: nothing of it follows."""
        if rest := self._stops.rest():
            await self._hand_over(AnswerDelta(rest))

    async def emit(self, event: Event) -> None:
        """Hand an event to the reader, but for pieces of the answer, which are said."""
        if isinstance(event, RouteDecided):
            self.route = event.route
        elif isinstance(event, ToolCallStarted) and self.first_delta_seconds is None:
            self.first_delta_seconds = self.seconds
        await self._hand_over(event)

    async def _hand_over(self, event: Event) -> None:
        """Queue an event, then wait while too many have not been read.

        In this order, whoever is cancelled while waiting has lost nothing of what it said.
        """
        self._queue.append(event)
        self._news.set()
        if len(self._queue) > QUEUED_EVENTS:
            self._room.clear()
            await self._room.wait()

    def end(self, failure: Exception | None) -> None:
        """Tell the reader that nothing follows; `failure` is raised there."""
        self._failure = failure
        self._queue.append(None)
        self._news.set()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        # What is there already costs no turn of the loop: this is on the way of every delta.
        while not (self._queue or self._ended):
            self._news.clear()
            await self._news.wait()
        event = None if self._ended else self._queue.popleft()
        if not self._room.is_set() and len(self._queue) <= QUEUED_EVENTS:
            self._room.set()
        if event is not None:
            return event
        self._ended = True
        if self._failure is not None:
            raise self._failure
        raise StopAsyncIteration
