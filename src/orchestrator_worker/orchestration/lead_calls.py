"""What the lead is asked: its prompt, its tools and the form of its answer, for its first turn and
for those in which it is asked again.

How its turns are read is `lead.py`'s.
"""

from collections.abc import Mapping
from typing import Any, Literal

import orjson

from orchestrator_worker.claude.client import Call, Effort, Tool, ToolChoice
from orchestrator_worker.orchestration.plan import PLAN_SCHEMA
from orchestrator_worker.orchestration.prefix import RecentPrompts
from orchestrator_worker.orchestration.run import Run
from orchestrator_worker.orchestration.tool_calls import free_name, offered_tools, reads_calls
from orchestrator_worker.teams.scaling import MIN_TOKENS_TO_THINK
from orchestrator_worker.teams.team import PlanForm, Route

Form = Literal["none", "tool", "schema", "text"]
"""How the lead may plan: not at all, by the tool, as structured output, in its text."""
_DELIBERATE: frozenset[Effort] = frozenset(("high", "xhigh", "max"))


class LeadCalls:
    """The calls to one run's lead."""

    def __init__(self, run: Run, recent: RecentPrompts, deadline: float) -> None:
        self._run = run
        self._request = run.request
        self._recent = recent
        self._deadline = deadline
        team, cap = self._request.team, self._request.max_tokens
        brief = cap is not None and cap < MIN_TOKENS_TO_THINK
        # In text, nothing tells a plan from an answer that must be JSON.
        unclear = (
            team.plan_form == "text" and team.route == "auto" and self._request.form is not None
        )
        # A plan that the team has listed costs the lead nothing.
        alone = (brief or unclear or self._request.tool_choice.forced) and team.route != "fixed"
        self.route: Route = "never" if alone else team.route
        self.form = _form(self.route, team.plan_form)
        self.delegate = free_name(self._request)
        """What its own tool is called."""

    def first(self) -> Call:
        """Return the call that puts the request to the lead."""
        request, run, lead = self._request, self._run, self._request.team.lead
        may_answer = self.route != "always"
        native = reads_calls(request)
        conversation = request.conversation if native else run.conversation
        prompt, tools = self._prompt(), (*self._own_tools(), *offered_tools(request))
        cap = request.max_tokens if may_answer else None
        return Call(
            model=lead.model,
            max_tokens=min(cap or lead.max_tokens, lead.max_tokens),
            effort=_unthinking(lead.effort)
            if native and conversation.answers_calls
            else lead.effort,
            system=(*conversation.system_after(prompt), *self._about_this_answer()),
            messages=conversation.messages,
            tools=tools,
            # One plan is wanted, not two beside each other; of the caller's calls, what it allows.
            tool_choice=request.tool_choice if request.tools else ToolChoice(parallel=False),
            stop_sequences=() if tools or self.form != "none" else run.stop_upstream,
            output_schema=PLAN_SCHEMA if self.form == "schema" else self._answer_schema,
            schema_in_words=self._answer_in_words if may_answer else "",
            origin=run.origin("lead"),
            ledger=run.ledger,
            idle_seconds=request.team.deadlines.idle_seconds,
            deadline=self._deadline,
            shared_role=request.team.prompt_cache and self._used_again(prompt, request.tools),
            # Whoever answers calls goes on, each time with all that has been said.
            shared_history=request.team.prompt_cache and native and conversation.answers_calls,
        )

    def again(self, turn: str, purpose: str) -> Call:
        """Return a call that asks the lead for something of the service's own, by `turn`."""
        run, lead, conversation = self._run, self._request.team.lead, self._run.conversation
        prompt = self._prompt()
        return Call(
            model=lead.model,
            max_tokens=lead.max_tokens,
            effort=lead.effort,
            system=conversation.system_after(prompt),
            messages=conversation.with_turn(turn),
            tools=self._own_tools(),
            tool_choice=ToolChoice(parallel=False),
            output_schema=PLAN_SCHEMA if self.form == "schema" else None,
            origin=run.origin("lead", purpose=purpose),
            ledger=run.ledger,
            idle_seconds=self._request.team.deadlines.idle_seconds,
            deadline=self._deadline,
            shared_role=self._request.team.prompt_cache and self._used_again(prompt, ()),
        )

    def names(self) -> dict[str, str]:
        """Return what the placeholders of the lead's prompts stand for."""
        team = self._request.team
        return {
            "delegate": self.delegate,
            "item": "{{item}}",
            "max_subtasks": str(team.caps.max_subtasks),
            "tiers": ", ".join(tier.name for tier in team.tiers),
            "types": "\n".join(f"- {name}: {it.description}" for name, it in team.types.items()),
        }

    def demand(self) -> str:
        """Return what tells the lead that it must call a tool."""
        lead, name = self._request.team.lead, self._request.tool_choice.name
        return lead.tool_required.text if name is None else lead.tool_named.fill({"tool": name})

    @property
    def _answer_schema(self) -> Mapping[str, Any] | None:
        """What Claude is to hold the lead's text to; that of a plan in text it is not."""
        form = self._request.form
        return form.enforced if form is not None and self.form in {"none", "tool"} else None

    @property
    def _answer_in_words(self) -> str:
        form = self._request.form
        return "" if form is None else form.in_words(self._request.team.synthesizer)

    def _used_again(self, prompt: str, tools: tuple[Tool, ...]) -> bool:
        # The cache reads tools before the prompt, so the caller's are part of what is used again.
        own = [(tool.name, tool.description, tool.input_schema) for tool in tools]
        return self._recent.again(self._request.team.lead.model, prompt, orjson.dumps(own))

    def _own_tools(self) -> tuple[Tool, ...]:
        if self.form != "tool":
            return ()
        description = self._request.team.lead.delegate.fill(self.names())
        return (Tool(self.delegate, description, PLAN_SCHEMA, eager=True),)

    def _prompt(self) -> str:
        """Return the lead's own prompt: what it is for, and what its team can do."""
        if self.form == "none":
            return ""
        team = self._request.team
        lead = team.lead
        parts = [lead.plan if self.route == "always" else lead.system]
        if self.form == "text" and self.route != "always":
            parts.append(lead.text_plan)
        parts.append(lead.level)
        if team.types:
            parts.append(lead.types)
        if any(tier.model != team.worker.model for tier in team.tiers):
            parts.append(lead.tiers)
        if self.form == "tool" and self._request.tools:
            parts.append(lead.callers_tools)
        if self.form == "tool" and self._request.form is not None:
            parts.append(lead.own_answer)
        names = self.names()
        return "\n\n".join(part.fill(names) for part in parts)

    def _about_this_answer(self) -> tuple[str, ...]:
        """Return what holds for this request alone; after the caller's own instructions."""
        return (self.demand(),) if self._request.tool_choice.forced else ()


def _form(route: Route, plan_form: PlanForm) -> Form:
    if route == "never":
        return "none"
    if plan_form == "text":
        return "text"
    return "schema" if route == "always" else "tool"


def _unthinking(effort: Effort) -> Effort:
    """Return an effort at which no model thinks first: beside calls that were made after thinking,
    the API wants those thoughts back.
    """
    return "medium" if effort in _DELIBERATE else effort
