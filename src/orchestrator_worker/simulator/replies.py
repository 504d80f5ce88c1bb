"""What a script may let the model say, and the reading of it. `composing` makes blocks of it.

`answers` says in the same form what the simulator says by itself.
"""

from dataclasses import dataclass
from typing import Any

from orchestrator_worker.simulator.errors import InvalidRequestError
from orchestrator_worker.simulator.field_checks import join, list_at, one_of, required
from orchestrator_worker.simulator.jsons import JsonObject
from orchestrator_worker.simulator.latency import Latency, read_latency
from orchestrator_worker.simulator.script_values import not_negative, read_fields

STOP_REASONS = (
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
)
_REPLY_FIELDS = {
    "text": str,
    "text_pieces": list,
    "tool": dict,
    "tools": list,
    "text_after": str,
    "tokens": int,
    "latency": dict,
    "stop_reason": str,
    "category": str,
    "thinking_tokens": int,
    "redacted_thinking": bool,
}
_TOOL_FIELDS = {"name": str, "input": (dict, str), "input_pieces": list, "id": str}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call of a tool."""

    name: str
    input: JsonObject | str
    """A string is streamed as it stands, also when it is no JSON."""
    input_pieces: tuple[str, ...] = ()
    """The deltas of the input, in place of `input`. Empty: as its length makes them."""
    id: str | None = None
    """None: a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model says: text, then calls of tools, then more text."""

    text: str = ""
    text_pieces: tuple[str, ...] = ()
    """The deltas of the text, in place of `text`. Empty: as its length makes them."""
    tools: tuple[ToolCall, ...] = ()
    """Only the first is called when the request disables parallel calls."""
    text_after: str = ""
    tokens: int | None = None
    """Exact number of deltas of the tool calls' inputs, or of `text` where there is no call. None:
    as many as its length makes."""
    latency: Latency | None = None
    stop_reason: str | None = None
    category: str | None = None
    """`stop_details.category` of a refusal."""
    thinking_tokens: int | None = None
    """None: as the model and its effort have it."""
    redacted_thinking: bool = False
    """Whether the thinking comes as a `redacted_thinking` block."""


def read_reply(value: Any, path: str) -> Reply:
    """A reply from its JSON."""
    fields = read_fields(value, _REPLY_FIELDS, path)
    not_negative(fields, ("tokens", "thinking_tokens"), path)
    tools = [*([fields.pop("tool")] if "tool" in fields else ()), *fields.pop("tools", ())]
    if "latency" in fields:
        fields["latency"] = read_latency(fields["latency"], f"{path}.latency")
    if "stop_reason" in fields:
        one_of(fields["stop_reason"], STOP_REASONS, f"{path}.stop_reason")
    fields |= _read_pieces(fields, "text_pieces", path)
    return Reply(**fields, tools=tuple(_read_tool(tool, f"{path}.tool") for tool in tools))


def _read_tool(value: Any, path: str) -> ToolCall:
    fields = read_fields(value, _TOOL_FIELDS, path)
    fields |= _read_pieces(fields, "input_pieces", path)
    name, input = required(fields, "name", path), fields.get("input", {})
    return ToolCall(
        name=name, input=input, input_pieces=fields["input_pieces"], id=fields.get("id")
    )


def _read_pieces(fields: dict[str, Any], key: str, path: str) -> dict[str, tuple[str, ...]]:
    pieces = list_at(fields.get(key, []), join(path, key))
    for number, piece in enumerate(pieces):
        if not isinstance(piece, str):
            raise InvalidRequestError(f"unexpected value {piece!r}", f"{path}.{key}.{number}")
    return {key: tuple(pieces)}
