"""The lead's turn: its text is the answer, its plan goes to the gate, and the first of the two to
come decides.

Owns the lead's call and the reading of its stream. `Planning` carries each subtask from the stream
through the gate to the scheduler the moment it closes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from orchestrator_worker.claude.client import (
    Call,
    ClaudeClient,
    MessageStarted,
    MessageStopped,
    StreamEvent,
    TextDelta,
    Tool,
    ToolInputDelta,
    ToolUseStarted,
)
from orchestrator_worker.errors import UpstreamError
from orchestrator_worker.orchestration.deadlines import CoordinationClock
from orchestrator_worker.orchestration.events import (
    AnswerDelta,
    LeadStarted,
    PlanClosed,
    PlanRepaired,
    RouteDecided,
    SubtaskPlanned,
)
from orchestrator_worker.orchestration.gate import Gate, Repair
from orchestrator_worker.orchestration.plan import PLAN_SCHEMA, PlanReader, Subtask
from orchestrator_worker.orchestration.run import Run
from orchestrator_worker.orchestration.scheduler import Scheduler
from orchestrator_worker.orchestration.worker import Workers
from orchestrator_worker.teams.team import Route

_log = structlog.stdlib.get_logger(__name__)

DELEGATE = "delegate"
MIN_TOKENS_TO_DELEGATE = 1024
"""A caller's cap below this leaves no room for a plan: the lead answers alone, within exactly that
cap.
"""
SHORT_TITLE_CHARS = 60
WHOLE_PLAN = frozenset({"tool_use", "end_turn", "stop_sequence"})
"""Stop reasons after which the lead has written all of its plan."""


class Planning:
    """The plan of one run while it is being written."""

    def __init__(self, run: Run, scheduler: Scheduler, workers: Workers) -> None:
        caps = run.request.team.caps
        self._run = run
        self._scheduler = scheduler
        self._workers = workers
        self._reader = PlanReader()
        self._gate = Gate(min(caps.max_subtasks, caps.max_workers))

    async def feed(self, text: str) -> None:
        """Take a piece of the plan's JSON and start what it completes."""
        for raw in self._reader.feed(text):
            subtask = self._gate.admit(raw)
            await self._report_repairs()
            if subtask is not None:
                await self._start(subtask)

    @property
    def begun(self) -> bool:
        """True once a subtask has been admitted."""
        return bool(self._scheduler.subtasks)

    async def close(self, *, cut: bool) -> None:
        """The lead has written its last word; a plan without a usable subtask becomes the caller's
        own request.
        """
        if cut or not self._reader.closed:
            await self._repaired(Repair(None, "the plan broke off; what was read of it stands"))
            self._omit("the rest of the plan, which broke off")
        if self._gate.dropped:
            self._omit(_dropped_in_words(self._gate.dropped))
        if not self.begun:
            await self._repaired(Repair(None, "no usable subtask; the request itself is one"))
            await self._start(self._whole_request())
        self._workers.planned = len(self._scheduler.subtasks)
        await self._run.emit(PlanClosed(self._scheduler.subtasks))
        if len(self._scheduler.subtasks) == 1:
            await self._workers.give_voice(self._scheduler.subtasks[0])

    def _omit(self, what: str) -> None:
        if self.begun:  # else the whole request is worked on after all
            self._run.omissions.append(what)

    def _whole_request(self) -> Subtask:
        text = self._run.request.conversation.last_request
        return Subtask("s1", " ".join(text[:SHORT_TITLE_CHARS].split()), text)

    async def _start(self, subtask: Subtask) -> None:
        self._scheduler.add(subtask)
        await self._run.emit(SubtaskPlanned(len(self._scheduler.subtasks), subtask))

    async def _report_repairs(self) -> None:
        for repair in self._gate.take_repairs():
            await self._repaired(repair)

    async def _repaired(self, repair: Repair) -> None:
        _log.info("plan_repaired", subtask_id=repair.subtask_id, reason=repair.reason)
        await self._run.emit(PlanRepaired(repair))


def _dropped_in_words(count: int) -> str:
    parts, were = ("part", "was") if count == 1 else ("parts", "were")
    return f"{count} planned {parts} that {were} dropped"


@dataclass(slots=True)
class LeadTurn:
    """What the lead did; filled while it happens, so that it can be read when a deadline
    interrupts.
    """

    answering: bool = False
    """Text has gone to the caller."""
    delegated: bool = False
    planning: bool = False
    """The tool call that is being written is the plan; a second one would not be."""
    stop_reason: str | None = None
    """None: the turn did not end by itself."""
    failure: UpstreamError | None = None


class LeadAgent:
    """Puts the request to the lead."""

    def __init__(self, claude: ClaudeClient, run: Run, clock: CoordinationClock) -> None:
        self._claude = claude
        self._run = run
        self._clock = clock
        cap = run.request.max_tokens
        self._brief = cap is not None and cap < MIN_TOKENS_TO_DELEGATE
        self._route: Route = "never" if self._brief else run.request.team.route

    async def consult(self, turn: LeadTurn, planning: Planning) -> None:
        """Read the lead's turn to its end, answering or planning as it goes; its failure is noted,
        not raised.
        """
        try:
            async with self._claude.stream(self._call()) as events:
                async for event in events:
                    await self._take(event, turn, planning)
        except UpstreamError as error:
            turn.failure = error
        if turn.stop_reason == "refusal":
            return
        if turn.delegated and (turn.failure is None or planning.begun):
            await planning.close(cut=turn.stop_reason not in WHOLE_PLAN)

    async def _take(self, event: StreamEvent, turn: LeadTurn, planning: Planning) -> None:
        match event:
            case TextDelta(text) if self._route == "always":
                await self._delegate(turn)
                await planning.feed(text)
            case TextDelta(text) if not turn.delegated:
                await self._answer(turn, text)
            case ToolUseStarted(name=name):
                turn.planning = name == DELEGATE and not turn.delegated
                if turn.planning:
                    await self._delegate(turn)
            case ToolInputDelta(partial_json) if turn.planning:
                await planning.feed(partial_json)
            case MessageStarted():
                await self._run.emit(LeadStarted())
            case MessageStopped():
                turn.stop_reason = event.stop_reason
            case _:
                pass  # thinking; text after the plan, which nobody waits for

    async def _answer(self, turn: LeadTurn, text: str) -> None:
        if not turn.answering:
            turn.answering = True
            self._clock.answer_began()
            await self._run.emit(RouteDecided("direct"))
        await self._run.emit(AnswerDelta(text))

    async def _delegate(self, turn: LeadTurn) -> None:
        if turn.delegated:
            return
        turn.delegated = True
        self._clock.delegation_began()
        await self._run.emit(RouteDecided("delegated"))
        if turn.answering:
            await self._run.emit(AnswerDelta("\n\n"))

    def _call(self) -> Call:
        request = self._run.request
        lead, conversation = request.team.lead, request.conversation
        own: tuple[str, ...] = ()
        names = self._names()
        if self._route == "auto":
            own = (lead.system.fill(names),)
        elif self._route == "always":
            own = (lead.plan.fill(names),)
        return Call(
            model=lead.model,
            max_tokens=request.max_tokens or lead.max_tokens,
            effort="low" if self._brief else lead.effort,  # thinking would eat the caller's cap
            system=(*own, *conversation.system),
            messages=conversation.messages,
            tools=(self._delegate_tool(names),) if self._route == "auto" else (),
            output_schema=PLAN_SCHEMA if self._route == "always" else None,
            origin=self._run.origin("lead"),
            ledger=self._run.ledger,
            idle_seconds=request.team.deadlines.idle_seconds,
            deadline=self._clock.deadline,
        )

    def _delegate_tool(self, names: Mapping[str, str]) -> Tool:
        description = self._run.request.team.lead.delegate.fill(names)
        return Tool(DELEGATE, description, PLAN_SCHEMA)

    def _names(self) -> dict[str, str]:
        return {
            "delegate": DELEGATE,
            "max_subtasks": str(self._run.request.team.caps.max_subtasks),
        }
