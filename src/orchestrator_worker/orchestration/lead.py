"""The lead's turns: its text is the answer, its plan goes to the gate, and the first of the two to
come decides.

Owns the lead's calls and the reading of their streams, the first and those in which it is asked
again: for the rest of a cut plan, for another plan after a useless one, for a look at the results.
"""

import asyncio
from dataclasses import dataclass, replace
from functools import partial

import orjson

from orchestrator_worker.claude.client import (
    Call,
    ClaudeClient,
    MessageStarted,
    MessageStopped,
    StreamEvent,
    TextDelta,
    ToolInputDelta,
    ToolUseStarted,
)
from orchestrator_worker.clock import loop_time
from orchestrator_worker.errors import AnswerUnusable, UpstreamError
from orchestrator_worker.orchestration.answer_form import FormedAnswer, asked_again
from orchestrator_worker.orchestration.deadlines import CoordinationClock
from orchestrator_worker.orchestration.events import LeadStarted, PlanRepaired, RouteDecided
from orchestrator_worker.orchestration.gate import Repair
from orchestrator_worker.orchestration.lead_calls import LeadCalls
from orchestrator_worker.orchestration.planning import Planning
from orchestrator_worker.orchestration.prefix import RecentPrompts
from orchestrator_worker.orchestration.reduction import Reduction
from orchestrator_worker.orchestration.results import (
    Result,
    as_data,
    found_and_missing,
    gaps_as_data,
)
from orchestrator_worker.orchestration.run import Run
from orchestrator_worker.orchestration.tool_calls import ToolCalls, offered_tools
from orchestrator_worker.teams.prompts import Template

FINISHED = frozenset({"tool_use", "end_turn", "stop_sequence"})
"""Stop reasons after which the lead has said all that it wanted to."""
REASON_CHARS = 500
"""How much is kept of what the lead says when it reviews."""


@dataclass(slots=True)
class LeadTurn:
    """What the lead did; filled while it happens, so that it can be read when a deadline
    interrupts.
    """

    aloud: bool = True
    """Whether its text is the answer, or only a remark."""
    answering: bool = False
    """Text has gone to the caller."""
    calling: bool = False
    """A call of a tool of the caller's has."""
    held: str = ""
    """Text that is the answer only if no plan follows it."""
    delegated: bool = False
    planning: bool = False
    """The tool call that is being written is the plan; a second one would not be."""
    remark: str = ""
    """The start of its text, where that is not the answer."""
    stop_reason: str | None = None
    """None: the turn did not end by itself."""
    failure: UpstreamError | AnswerUnusable | None = None


class LeadAgent:
    """Puts the request to the lead."""

    def __init__(
        self,
        claude: ClaudeClient,
        run: Run,
        clock: CoordinationClock,
        planning: Planning,
        recent: RecentPrompts,
    ) -> None:
        self._claude = claude
        self._run = run
        self._clock = clock
        self._planning = planning
        self._calls = LeadCalls(run, recent, clock.deadline)
        self.route = self._calls.route
        self._form = self._calls.form
        # Words before a list would spoil it for the program that reads it.
        self._holds = run.request.team.synthesis == "list" and self._form != "none"
        self._tool_calls = ToolCalls(run)
        self._offered = offered_tools(run.request)
        form = run.request.form
        self._formed = None if form is None else FormedAnswer(form, self._say_formed)
        self._turn = LeadTurn()
        self._needless = False
        self._reading: asyncio.Timeout | None = None

    async def consult(self, turn: LeadTurn) -> None:
        """Read the lead's turn to its end, answering or planning as it goes; its failure is noted,
        not raised.
        """
        self._turn = turn
        call = self._calls.first()
        await self._read(turn, call)
        if self._run.request.tool_choice.forced:
            await self._insist(turn, call)
        elif self.route == "always" and turn.failure is None:
            await self._delegate(turn)  # silence is a plan of no use, like any other
        if self._formed is not None and turn.failure is None and not turn.delegated:
            await self._end_formed(turn, call, self._formed)
        lost = turn.failure is not None and not self._planning.begun
        if turn.delegated and turn.stop_reason != "refusal" and not lost:
            await self._planning.close(cut=not self._needless and await self._still_cut())

    def stop(self) -> None:
        """Read no further: nothing that is still planned could be heard."""
        self._needless = True
        if self._reading is not None:
            self._reading.reschedule(loop_time())

    async def _insist(self, turn: LeadTurn, call: Call) -> None:
        """Ask once more for the call of a tool that must come and has not."""
        if turn.calling or turn.failure is not None or turn.stop_reason == "refusal":
            return
        *history, last = call.messages
        demand = replace(last, content=(*last.content, self._calls.demand()))
        origin = replace(call.origin, purpose="repair")
        await self._read(turn, replace(call, messages=(*history, demand), origin=origin))
        if not turn.calling and turn.failure is None and turn.stop_reason != "refusal":
            turn.failure = AnswerUnusable(
                "The model called no tool, though tool_choice demands it."
            )

    async def _end_formed(self, turn: LeadTurn, call: Call, formed: FormedAnswer) -> None:
        """Say what is held of an answer that must be JSON, once it is."""
        if turn.calling or turn.stop_reason is None or self._run.stopped:
            return  # beside calls, text is no answer
        run = self._run
        # Without tools, earlier calls of them are text.
        told = replace(
            call,
            system=run.conversation.system_after(),
            messages=run.conversation.messages,
            effort=run.request.team.lead.effort,
        )
        again = partial(asked_again, self._claude, told, formed.form, run.request.team.synthesizer)
        try:
            turn.stop_reason = await formed.end(turn.stop_reason, again)
        except (UpstreamError, AnswerUnusable) as error:
            turn.failure = error
        if turn.stop_reason == "refusal":
            self._run.refusal = formed.unsaid
        elif turn.failure is None:
            turn.answering = True  # though nothing may have come of it before it was cut

    async def review(self, results: tuple[Result, ...]) -> LeadTurn:
        """Show the lead the results; what it adds to the plan starts at once."""
        found, missing = found_and_missing(results)
        found = await Reduction(self._claude, self._run, self._clock.deadline).fit(found)
        lead = self._run.request.team.lead
        gaps = gaps_as_data(missing, self._run.omissions, lead.missing)
        turn = await self._ask_again(lead.review, "review", results=as_data(found), gaps=gaps)
        await self._planning.take_stock(cut=turn.delegated and not self._finished)
        return turn

    async def _still_cut(self) -> bool:
        """Ask once for what the plan lacks; returns whether it lacks something even then."""
        planning, lead = self._planning, self._run.request.team.lead
        if not planning.begun:
            reasons = "\n".join(planning.reasons) or "No complete subtask was found in it."
            await self._ask_again(lead.repair, "repair", reasons=reasons)
            return planning.begun and not self._finished
        if self._finished:
            return False
        known = [
            {"id": it.id, "title": it.title, "depends_on": it.depends_on}
            for it in planning.subtasks
        ]
        told = orjson.dumps(known).decode()
        rest = await self._ask_again(lead.rest, "rest of plan", subtasks=told)
        nothing_missing = rest.stop_reason in FINISHED and not rest.delegated
        return not nothing_missing and not self._finished

    @property
    def _finished(self) -> bool:
        """Whether the plan's end has been read, or lies where nobody needs to read."""
        return self._planning.whole or self._planning.overrun

    async def _ask_again(self, template: Template, purpose: str, **values: str) -> LeadTurn:
        names = {**self._calls.names(), **values}
        turn = LeadTurn(aloud=False)
        self._planning.read_anew()
        await self._read(turn, self._calls.again(template.fill(names), purpose))
        return turn

    async def _read(self, turn: LeadTurn, call: Call) -> None:
        try:
            async with asyncio.timeout(None) as self._reading:
                await self._take_all(turn, call)
        except UpstreamError as error:
            turn.failure = error
        except TimeoutError:
            return
        finally:
            self._reading = None
        await self._close(turn)

    async def _take_all(self, turn: LeadTurn, call: Call) -> None:
        async with self._claude.stream(call) as events:
            async for event in events:
                await self._take(event, turn)
                if self._run.stopped:
                    turn.stop_reason = "stop_sequence"
                    return
                if self._planning.overrun:
                    return

    async def _close(self, turn: LeadTurn) -> None:
        """Take what is left of a turn that has ended."""
        if self._run.stopped or self._planning.overrun:
            await self._tool_calls.close(whole=self._run.stopped)
            return
        if turn.stop_reason == "stop_sequence":
            await self._stopped_upstream()
        await self._tool_calls.close(whole=turn.stop_reason in FINISHED)
        if self._form in {"text", "schema"} and (rest := self._planning.rest_of_text()):
            await self._say(turn, rest)
        if turn.failure is None:
            await self._say_waiting(turn)

    async def _stopped_upstream(self) -> None:
        if self._formed is not None:
            await self._formed.say_held()
        await self._run.stop()

    async def say_held(self, turn: LeadTurn) -> None:
        """Pass on the text that has waited for a plan, or for its form, now that neither will
        come.
        """
        await self._say_waiting(turn)
        if self._formed is not None and not turn.delegated and not turn.calling:
            await self._formed.say_held()

    async def _say_waiting(self, turn: LeadTurn) -> None:
        heard = turn.held and not turn.delegated
        if heard and (turn.held.strip() or not turn.calling):
            await self._answer(turn, turn.held)

    async def _take(self, event: StreamEvent, turn: LeadTurn) -> None:
        match event:
            case TextDelta(text) if self._form in {"text", "schema"}:
                await self._sift(turn, text)
            case TextDelta(text) if not turn.delegated:
                await self._say(turn, text)
            case ToolUseStarted():
                await self._take_tool(event, turn)
            case ToolInputDelta(partial_json) if turn.planning:
                await self._planning.feed(partial_json)
            case ToolInputDelta():
                await self._tool_calls.input(event)
            case MessageStarted():
                await self._begin(event, turn)
            case MessageStopped():
                turn.stop_reason = event.stop_reason
            case _:
                pass  # thinking; text after the plan, which nobody waits for

    async def _begin(self, event: MessageStarted, turn: LeadTurn) -> None:
        if self._formed is not None:
            self._formed.begun(event, self._run.request.team.lead.model)
        if turn.aloud:
            await self._run.emit(LeadStarted())

    async def _take_tool(self, event: ToolUseStarted, turn: LeadTurn) -> None:
        """Let the first tool that the lead calls decide whether it plans or the caller is asked."""
        await self._tool_calls.close(whole=True)
        turn.planning = False
        if event.name == self._calls.delegate and self._form == "tool":
            final = turn.calling or (turn.answering and self._formed is not None)
            turn.planning = not (turn.delegated or final)
            if final:
                await self._dropped("a plan beside what had gone to the caller")
            elif turn.planning:
                await self._delegate(turn)
        elif turn.aloud and any(event.name == tool.name for tool in self._offered):
            await self._call_tool(event, turn)

    async def _call_tool(self, event: ToolUseStarted, turn: LeadTurn) -> None:
        if turn.delegated:
            await self._dropped(f"a call of {event.name} beside the plan")
        elif await self._tool_calls.start(event):
            if not turn.calling and not turn.answering:
                self._clock.answer_began()
                await self._run.emit(RouteDecided("direct"))
            turn.calling = True
        else:
            await self._dropped(f"a second call, of {event.name}, where one was allowed")

    async def _dropped(self, what: str) -> None:
        await self._run.emit(PlanRepaired(Repair(None, f"dropped: {what}")))

    async def _sift(self, turn: LeadTurn, text: str) -> None:
        """Tell the plan from the prose around it; a lead that must delegate has no prose to say."""
        prose, entries, begun = self._planning.sift(text)
        if self.route == "always" and turn.aloud:
            await self._delegate(turn)
        await self._say(turn, prose)
        if begun:
            await self._delegate(turn)
        for raw in entries:
            await self._planning.take(raw)

    async def _say(self, turn: LeadTurn, text: str) -> None:
        if not text or turn.delegated or self._run.request.tool_choice.forced:
            return
        if not turn.aloud:
            turn.remark = (turn.remark + text)[:REASON_CHARS]
        elif self._formed is not None:
            self._clock.answer_began()
            await self._formed.take(text)
        elif self._holds or not (turn.answering or (turn.held + text).strip()):
            if text.strip():
                self._clock.answer_began()
            turn.held += text
        else:
            held, turn.held = turn.held, ""
            await self._answer(turn, held + text)

    async def _say_formed(self, text: str) -> None:
        await self._answer(self._turn, text)

    async def _answer(self, turn: LeadTurn, text: str) -> None:
        if not turn.answering:
            turn.answering = True
            self._clock.answer_began()
            if not turn.calling:
                await self._run.emit(RouteDecided("direct"))
        await self._run.say(text)

    async def _delegate(self, turn: LeadTurn) -> None:
        if turn.delegated:
            return
        turn.delegated = self._planning.reading = True
        if not turn.aloud:
            return
        self._clock.delegation_began()
        await self._run.emit(RouteDecided("delegated"))
        await self._planning.opened()
        if turn.answering:
            await self._run.lay_out("\n\n")
