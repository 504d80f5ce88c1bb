"""Deciding whether tools are called, which, and with what input."""

import re

from orchestrator_worker.simulator.clauses import clauses
from orchestrator_worker.simulator.conversation import Conversation
from orchestrator_worker.simulator.jsons import JsonObject, as_object, objects
from orchestrator_worker.simulator.orders import ordered_choice
from orchestrator_worker.simulator.part import Part
from orchestrator_worker.simulator.parts import parts_of
from orchestrator_worker.simulator.replies import ToolCall
from orchestrator_worker.simulator.reviewing import Review, review_of
from orchestrator_worker.simulator.schema_values import Material, instance, plan_property
from orchestrator_worker.simulator.wording import content_words, stem, words

CLEAR_MATCH = 3
"""Words of a description that must occur in the request when none of the tool's name does."""
_NAME_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_EMPTY_NAMES = frozenset(
    {"get", "run", "do", "call", "tool", "the", "fetch", "use", "my", "a", "to"}
)


def choose_tools(body: JsonObject, conversation: Conversation) -> tuple[ToolCall, ...]:
    """The calls that answer the request, none when text does."""
    choice = _choice(body)
    tools = [tool for tool in objects(body.get("tools")) if "input_schema" in tool]
    if choice["type"] == "none" or not tools:
        return ()
    review = due_review(body, conversation)
    if review is not None and choice["type"] == "auto":
        return _planned_again(review, tools)
    if choice["type"] == "tool":
        tools = [tool for tool in tools if tool["name"] == choice["name"]]
    found = _chosen(tools, conversation)
    if not found and choice["type"] in ("any", "tool"):
        others = (tool for tool in tools if not plan_property(tool["input_schema"]))
        return (_call(next(others, tools[0]), conversation),)
    return found


def _choice(body: JsonObject) -> JsonObject:
    """`tool_choice`, or what is ordered in words where it leaves the choice."""
    choice: JsonObject = as_object(body.get("tool_choice")) or {"type": "auto"}
    return {**choice, **(ordered_choice(body) or {})} if choice["type"] == "auto" else choice


def due_review(body: JsonObject, conversation: Conversation) -> Review | None:
    """The review of an earlier plan's results that a model with a tool for plans is asked for."""
    tools = [tool for tool in objects(body.get("tools")) if "input_schema" in tool]
    plan_tools = [tool["name"] for tool in tools if plan_property(tool["input_schema"])]
    return review_of(conversation, plan_tools) if plan_tools else None


def _planned_again(review: Review, tools: list[JsonObject]) -> tuple[ToolCall, ...]:
    parts = review.missing_parts()
    if not parts:
        return ()
    tool = next(tool for tool in tools if plan_property(tool["input_schema"]))
    ask = review.conversation.ask
    planned = instance(tool["input_schema"], Material(parts, ask, ask))
    return (ToolCall(name=tool["name"], input=planned),)


def _chosen(tools: list[JsonObject], conversation: Conversation) -> tuple[ToolCall, ...]:
    """What the request wants by itself. A tool that it names goes before a plan, a plan before
    one whose description fits.
    """
    if conversation.tool_results or conversation.results:
        return ()
    takes_plan = [tool for tool in tools if plan_property(tool["input_schema"])]
    others = [tool for tool in tools if tool not in takes_plan]
    named = any(_is_named(tool, conversation.ask) for tool in others)
    if takes_plan and not named and len(parts_of(conversation)) > 1:
        return (_call(takes_plan[0], conversation),)
    return _wanted(others, conversation)


def _wanted(tools: list[JsonObject], conversation: Conversation) -> tuple[ToolCall, ...]:
    """A call for each clause that a tool fits, else for the whole ask."""
    best = _best(tools, conversation.ask)
    if best is None:
        return ()
    wanted = [
        _call(tool, conversation, text)
        for clause in clauses(conversation.ask)
        if (tool := _best(tools, clause.text))
        for text in (clause.variants if _takes_one(tool) else [clause.text])
    ]
    once = [call for number, call in enumerate(wanted) if call not in wanted[:number]]
    return tuple(once) if len(once) > 1 else (_call(best, conversation),)


def _takes_one(tool: JsonObject) -> bool:
    """Whether it has to be called again for another thing: it takes no list."""
    members = objects(list((as_object(tool["input_schema"].get("properties")) or {}).values()))
    return all(member.get("type") != "array" for member in members)


def _best(tools: list[JsonObject], ask: str) -> JsonObject | None:
    """The tool that fits best, the first of equals; None when none fits."""
    scored = [(_fit(tool, ask), tool) for tool in tools]
    return max(scored, key=lambda pair: pair[0])[1] if any(fit for fit, _ in scored) else None


def _fit(tool: JsonObject, ask: str) -> int:
    """How well a tool fits an ask, 0 for not at all. Its name says more than its description."""
    named = len(_name_words(tool) & _all_words(ask))
    described = len(content_words(str(tool.get("description", ""))) & content_words(ask))
    return 100 * named + described if named or described >= CLEAR_MATCH else 0


def _is_named(tool: JsonObject, ask: str) -> bool:
    """Whether the ask has every word of the tool's name that says something."""
    return tool["name"] in ask or (bool(_name_words(tool)) and _name_words(tool) <= _all_words(ask))


def _name_words(tool: JsonObject) -> set[str]:
    parts = {part.lower() for part in _NAME_PARTS.findall(tool["name"])}
    return {stem(part) for part in parts - _EMPTY_NAMES}


def _all_words(text: str) -> set[str]:
    return content_words(text) | {stem(word) for word in words(text)}


def _call(tool: JsonObject, conversation: Conversation, text: str = "") -> ToolCall:
    """A call about the text, or about what is asked."""
    schema: JsonObject = tool["input_schema"]
    parts = parts_of(conversation)
    if not plan_property(schema):
        parts = [Part(parts[0].title, text or conversation.instruction)]
    ask = text or conversation.ask
    return ToolCall(name=tool["name"], input=instance(schema, Material(parts, ask, ask)))
