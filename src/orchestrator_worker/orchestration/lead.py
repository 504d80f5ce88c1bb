"""The lead's turns: its text is the answer, its plan goes to the gate, and the first of the two to
come decides.

Owns the lead's calls and the reading of their streams, the first and those in which it is asked
again: for the rest of a cut plan, for another plan after a useless one, for a look at the results.
"""

from dataclasses import dataclass
from typing import Literal

import orjson

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
from orchestrator_worker.orchestration.events import AnswerDelta, LeadStarted, RouteDecided
from orchestrator_worker.orchestration.plan import PLAN_SCHEMA
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
from orchestrator_worker.teams.prompts import Template
from orchestrator_worker.teams.scaling import MIN_TOKENS_TO_THINK
from orchestrator_worker.teams.team import PlanForm, Route

DELEGATE = "delegate"
FINISHED = frozenset({"tool_use", "end_turn", "stop_sequence"})
"""Stop reasons after which the lead has said all that it wanted to."""
REASON_CHARS = 500
"""How much is kept of what the lead says when it reviews."""

Form = Literal["none", "tool", "schema", "text"]
"""How the lead may plan: not at all, by the tool, as structured output, in its text."""


@dataclass(slots=True)
class LeadTurn:
    """What the lead did; filled while it happens, so that it can be read when a deadline
    interrupts.
    """

    aloud: bool = True
    """Whether its text is the answer, or only a remark."""
    answering: bool = False
    """Text has gone to the caller."""
    held: str = ""
    """Text that is the answer only if no plan follows it."""
    delegated: bool = False
    planning: bool = False
    """The tool call that is being written is the plan; a second one would not be."""
    remark: str = ""
    """The start of its text, where that is not the answer."""
    stop_reason: str | None = None
    """None: the turn did not end by itself."""
    failure: UpstreamError | None = None


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
        self._recent = recent
        cap = run.request.max_tokens
        self._brief = cap is not None and cap < MIN_TOKENS_TO_THINK
        team = run.request.team
        # A plan that the team has listed costs the lead nothing.
        alone = self._brief and team.route != "fixed"
        self.route: Route = "never" if alone else team.route
        self._form = _form(self.route, team.plan_form)
        # Words before a list would spoil it for the program that reads it.
        self._holds = team.synthesis == "list" and self._form != "none"

    async def consult(self, turn: LeadTurn) -> None:
        """Read the lead's turn to its end, answering or planning as it goes; its failure is noted,
        not raised.
        """
        await self._read(turn, self._call())
        if self.route == "always" and turn.failure is None:
            await self._delegate(turn)  # silence is a plan of no use, like any other
        lost = turn.failure is not None and not self._planning.begun
        if turn.delegated and turn.stop_reason != "refusal" and not lost:
            await self._planning.close(cut=await self._still_cut())

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
        names = {**self._names(), **values}
        turn = LeadTurn(aloud=False)
        self._planning.read_anew()
        await self._read(turn, self._call(template.fill(names), purpose))
        return turn

    async def _read(self, turn: LeadTurn, call: Call) -> None:
        try:
            async with self._claude.stream(call) as events:
                async for event in events:
                    await self._take(event, turn)
                    if self._planning.overrun:
                        return
        except UpstreamError as error:
            turn.failure = error
        if self._form in {"text", "schema"} and (rest := self._planning.rest_of_text()):
            await self._say(turn, rest)
        if turn.failure is None:
            await self.say_held(turn)

    async def say_held(self, turn: LeadTurn) -> None:
        """Pass on the text that has waited for a plan, now that none will come."""
        if turn.held and not turn.delegated:
            await self._answer(turn, turn.held)

    async def _take(self, event: StreamEvent, turn: LeadTurn) -> None:
        match event:
            case TextDelta(text) if self._form in {"text", "schema"}:
                await self._sift(turn, text)
            case TextDelta(text) if not turn.delegated:
                await self._say(turn, text)
            case ToolUseStarted(name=name):
                turn.planning = name == DELEGATE and not turn.delegated
                if turn.planning:
                    await self._delegate(turn)
            case ToolInputDelta(partial_json) if turn.planning:
                await self._planning.feed(partial_json)
            case MessageStarted() if turn.aloud:
                await self._run.emit(LeadStarted())
            case MessageStopped():
                turn.stop_reason = event.stop_reason
            case _:
                pass  # thinking; text after the plan, which nobody waits for

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
        if not text or turn.delegated:
            return
        if not turn.aloud:
            turn.remark = (turn.remark + text)[:REASON_CHARS]
        elif self._holds or not (turn.answering or (turn.held + text).strip()):
            if text.strip():
                self._clock.answer_began()
            turn.held += text
        else:
            held, turn.held = turn.held, ""
            await self._answer(turn, held + text)

    async def _answer(self, turn: LeadTurn, text: str) -> None:
        if not turn.answering:
            turn.answering = True
            self._clock.answer_began()
            await self._run.emit(RouteDecided("direct"))
        await self._run.emit(AnswerDelta(text))

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
            await self._run.emit(AnswerDelta("\n\n"))

    def _call(self, more: str | None = None, purpose: str | None = None) -> Call:
        request = self._run.request
        lead, conversation = request.team.lead, request.conversation
        may_answer = more is None and self.route != "always"
        cap = request.max_tokens if may_answer else None
        prompt = self._prompt()
        return Call(
            model=lead.model,
            max_tokens=min(cap or lead.max_tokens, lead.max_tokens),
            effort=lead.effort,
            system=conversation.system_after(prompt),
            messages=conversation.messages if more is None else conversation.with_turn(more),
            tools=(self._delegate_tool(),) if self._form == "tool" else (),
            output_schema=PLAN_SCHEMA if self._form == "schema" else None,
            origin=self._run.origin("lead", purpose=purpose),
            ledger=self._run.ledger,
            idle_seconds=request.team.deadlines.idle_seconds,
            deadline=self._clock.deadline,
            shared_role=request.team.prompt_cache and self._recent.again(lead.model, prompt),
        )

    def _prompt(self) -> str:
        """Return the lead's own prompt: what it is for, and what its team can do."""
        if self._form == "none":
            return ""
        team = self._run.request.team
        lead = team.lead
        parts = [lead.plan if self.route == "always" else lead.system]
        if self._form == "text" and self.route != "always":
            parts.append(lead.text_plan)
        parts.append(lead.level)
        if team.types:
            parts.append(lead.types)
        if any(tier.model != team.worker.model for tier in team.tiers):
            parts.append(lead.tiers)
        names = self._names()
        return "\n\n".join(part.fill(names) for part in parts)

    def _delegate_tool(self) -> Tool:
        description = self._run.request.team.lead.delegate.fill(self._names())
        return Tool(DELEGATE, description, PLAN_SCHEMA)

    def _names(self) -> dict[str, str]:
        team = self._run.request.team
        return {
            "delegate": DELEGATE,
            "item": "{{item}}",
            "max_subtasks": str(team.caps.max_subtasks),
            "tiers": ", ".join(tier.name for tier in team.tiers),
            "types": "\n".join(f"- {name}: {it.description}" for name, it in team.types.items()),
        }


def _form(route: Route, plan_form: PlanForm) -> Form:
    if route == "never":
        return "none"
    if plan_form == "text":
        return "text"
    return "schema" if route == "always" else "tool"
