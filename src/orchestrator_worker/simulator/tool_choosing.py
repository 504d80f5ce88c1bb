"""Deciding whether a tool is called, which, and with what input."""

import re

from orchestrator_worker.simulator.conversation import Conversation
from orchestrator_worker.simulator.jsons import JsonObject, as_object, objects
from orchestrator_worker.simulator.part import Part
from orchestrator_worker.simulator.parts import parts_of
from orchestrator_worker.simulator.reviewing import Review, review_of
from orchestrator_worker.simulator.schema_values import Material, instance, plan_property
from orchestrator_worker.simulator.script import ToolCall
from orchestrator_worker.simulator.wording import content_words, stem, words

CLEAR_MATCH = 3
"""Words of a description that must occur in the request when none of the tool's name does."""
_NAME_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_EMPTY_NAMES = frozenset(
    {"get", "run", "do", "call", "tool", "the", "fetch", "use", "my", "a", "to"}
)


def choose_tool(body: JsonObject, conversation: Conversation) -> ToolCall | None:
    """The call that answers the request, None when text does."""
    choice = as_object(body.get("tool_choice")) or {"type": "auto"}
    tools = [tool for tool in objects(body.get("tools")) if "input_schema" in tool]
    if choice["type"] == "none" or not tools:
        return None
    review = due_review(body, conversation)
    if review is not None and choice["type"] == "auto":
        return _planned_again(review, tools)
    if choice["type"] == "tool":
        return _call(next(t for t in tools if t["name"] == choice["name"]), conversation)
    chosen = _chosen(tools, conversation)
    if chosen is None and choice["type"] == "any":
        chosen = tools[0]
    return _call(chosen, conversation) if chosen else None


def due_review(body: JsonObject, conversation: Conversation) -> Review | None:
    """The review of an earlier plan's results that a model with a tool for plans is asked for."""
    tools = [tool for tool in objects(body.get("tools")) if "input_schema" in tool]
    plan_tools = [tool["name"] for tool in tools if plan_property(tool["input_schema"])]
    return review_of(conversation, plan_tools) if plan_tools else None


def _planned_again(review: Review, tools: list[JsonObject]) -> ToolCall | None:
    parts = review.missing_parts()
    if not parts:
        return None
    tool = next(tool for tool in tools if plan_property(tool["input_schema"]))
    ask = review.conversation.ask
    return ToolCall(tool["name"], instance(tool["input_schema"], Material(parts, ask, ask)))


def _chosen(tools: list[JsonObject], conversation: Conversation) -> JsonObject | None:
    if conversation.tool_results or conversation.results:
        return None
    takes_plan = [tool for tool in tools if plan_property(tool["input_schema"])]
    if takes_plan and len(parts_of(conversation)) > 1:
        return takes_plan[0]
    others = [tool for tool in tools if tool not in takes_plan]
    return next((tool for tool in others if _matches(tool, conversation.ask)), None)


def _matches(tool: JsonObject, ask: str) -> bool:
    asked = content_words(ask) | {stem(word) for word in words(ask)}
    name_parts = {part.lower() for part in _NAME_PARTS.findall(tool["name"])}
    name = {stem(part) for part in name_parts - _EMPTY_NAMES}
    described = content_words(str(tool.get("description", "")))
    return bool(name & asked) or len(described & content_words(ask)) >= CLEAR_MATCH


def _call(tool: JsonObject, conversation: Conversation) -> ToolCall:
    schema: JsonObject = tool["input_schema"]
    parts = parts_of(conversation)
    if not plan_property(schema):
        parts = [Part(parts[0].title, conversation.instruction)]
    material = Material(parts, conversation.ask, conversation.ask)
    return ToolCall(tool["name"], instance(schema, material))
