"""What a caller of the control endpoint may order: latencies, replies, faults, refused fields.

Owns the reading of that JSON and which rule a call meets. Says nothing about how a reply is
composed or sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator_worker.simulator.errors import InvalidRequestError
from orchestrator_worker.simulator.faults import Fault, read_fault
from orchestrator_worker.simulator.field_checks import list_at, object_at, one_of, required
from orchestrator_worker.simulator.jsons import JsonObject, as_object, objects, text_blocks
from orchestrator_worker.simulator.script_values import NUMBER, not_negative, read_fields
from orchestrator_worker.simulator.validation import REFUSABLE

STOP_REASONS = ("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal")
_SCRIPT_FIELDS = {
    "latencies": dict,
    "refuse": list,
    "replies": list,
    "faults": list,
    "record_bodies": bool,
}
_WHEN_FIELDS = {
    "model": str,
    "contains": str,
    "system_contains": str,
    "has_tool": str,
    "has_format": bool,
    "stream": bool,
}
_REPLY_FIELDS = {
    "text": str,
    "tool": dict,
    "tools": list,
    "tokens": int,
    "latency": dict,
    "stop_reason": str,
    "thinking_tokens": int,
}


@dataclass(frozen=True, slots=True)
class Latency:
    """How fast a model answers."""

    first_token_seconds: float = 0.6
    tokens_per_second: float = 80.0
    """0: all tokens at once."""

    def due_seconds(self, tick: int) -> float:
        """Seconds from arrival to the token of that number, counted from 0."""
        if not self.tokens_per_second:
            return self.first_token_seconds
        return self.first_token_seconds + tick / self.tokens_per_second


DEFAULT_LATENCIES: dict[str, Latency] = {
    "haiku": Latency(0.2, 180.0),
    "sonnet": Latency(0.4, 120.0),
    "default": Latency(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """Which calls a rule meets. All conditions given must hold; None holds always."""

    model: str | None = None
    contains: str | None = None
    system_contains: str | None = None
    has_tool: str | None = None
    has_format: bool | None = None
    stream: bool | None = None

    def meets(self, body: JsonObject) -> bool:
        """Whether the rule is about this request."""
        config = as_object(body.get("output_config")) or {}
        tools = {tool.get("name") for tool in objects(body.get("tools"))}
        return (
            (self.model is None or self.model in str(body.get("model")))
            and (self.contains is None or any(self.contains in text for text in last_texts(body)))
            and (self.system_contains is None or self.system_contains in _system_text(body))
            and (self.has_tool is None or self.has_tool in tools)
            and (self.has_format is None or self.has_format == bool(config.get("format")))
            and (self.stream is None or self.stream == bool(body.get("stream")))
        )


def last_texts(body: JsonObject) -> list[str]:
    """Every text in the last user message, tool results included."""
    for message in reversed(list(objects(body.get("messages")))):
        if message.get("role") == "user":
            results = (b.get("content") for b in objects(message["content"]) if "tool_use_id" in b)
            return [
                *text_blocks(message["content"]),
                *(text for result in results for text in text_blocks(result)),
            ]
    return []


def _system_text(body: JsonObject) -> str:
    return "\n".join(text_blocks(body.get("system")))


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool. An input that is a string is streamed as it stands, also when it is no
    JSON.
    """

    name: str
    input: JsonObject | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a script lets the model say."""

    text: str = ""
    tools: tuple[ToolCall, ...] = ()
    tokens: int | None = None
    """Exact number of deltas of the last block. None: as many as its length makes."""
    latency: Latency | None = None
    stop_reason: str | None = None
    thinking_tokens: int | None = None
    """None: as the model and its effort have it."""


@dataclass(frozen=True, slots=True)
class ReplyRule:
    """A reply and the calls that get it."""

    when: When
    reply: Reply


@dataclass(frozen=True, slots=True)
class FaultRule:
    """A fault and the calls that meet it."""

    when: When
    fault: Fault
    nth: frozenset[int] | None
    """Which of the matching calls, counted from 1. None: all."""


@dataclass(slots=True)
class Script:
    """All orders together, and how many calls each fault rule has met since they were given."""

    latencies: Mapping[str, Latency] = field(default_factory=lambda: DEFAULT_LATENCIES)
    refuse: frozenset[str] = frozenset()
    replies: tuple[ReplyRule, ...] = ()
    faults: tuple[FaultRule, ...] = ()
    record_bodies: bool = True
    _met: dict[int, int] = field(default_factory=dict[int, int])

    @classmethod
    def from_json(cls, value: Any) -> "Script":
        """A script from the control JSON.

        Raises:
            InvalidRequestError: A key or value is unknown; the message names its path.
        """
        fields = read_fields(value, _SCRIPT_FIELDS, "")
        return cls(
            latencies={**DEFAULT_LATENCIES, **_read_latencies(fields.get("latencies", {}))},
            refuse=frozenset(
                one_of(name, REFUSABLE, f"refuse.{i}")
                for i, name in enumerate(fields.get("refuse", ()))
            ),
            replies=tuple(
                _read_reply_rule(rule, f"replies.{i}")
                for i, rule in enumerate(fields.get("replies", ()))
            ),
            faults=tuple(
                _read_fault_rule(rule, f"faults.{i}")
                for i, rule in enumerate(fields.get("faults", ()))
            ),
            record_bodies=fields.get("record_bodies", True),
        )

    def latency_for(self, model: str) -> Latency:
        """The latency whose key is part of the model's id, else the default."""
        for key, latency in self.latencies.items():
            if key in model:
                return latency
        return self.latencies["default"]

    def reply_for(self, body: JsonObject) -> Reply | None:
        """The first scripted reply for the request."""
        return next((rule.reply for rule in self.replies if rule.when.meets(body)), None)

    def fault_for(self, body: JsonObject) -> Fault | None:
        """The first fault due now. Counts the call on every rule it matches."""
        due: Fault | None = None
        for number, rule in enumerate(self.faults):
            if not rule.when.meets(body):
                continue
            self._met[number] = self._met.get(number, 0) + 1
            if due is None and (rule.nth is None or self._met[number] in rule.nth):
                due = rule.fault
        return due


def _read_latencies(value: JsonObject) -> dict[str, Latency]:
    return {key: _read_latency(entry, f"latencies.{key}") for key, entry in value.items()}


def _read_latency(value: Any, path: str) -> Latency:
    names = {"first_token_seconds": NUMBER, "tokens_per_second": NUMBER}
    fields = read_fields(value, names, path)
    not_negative(fields, tuple(names), path)
    return Latency(
        fields.get("first_token_seconds", 0.0), float(fields.get("tokens_per_second", 0.0))
    )


def _read_when(rule: JsonObject, path: str) -> When:
    return When(**read_fields(rule.get("when", {}), _WHEN_FIELDS, f"{path}.when"))


def _read_reply_rule(value: Any, path: str) -> ReplyRule:
    rule = read_fields(value, {"when": dict, "reply": dict}, path)
    return ReplyRule(_read_when(rule, path), _read_reply(required(rule, "reply", path), path))


def _read_reply(value: Any, path: str) -> Reply:
    path = f"{path}.reply"
    fields = read_fields(value, _REPLY_FIELDS, path)
    not_negative(fields, ("tokens", "thinking_tokens"), path)
    tools = [*([fields.pop("tool")] if "tool" in fields else ()), *fields.pop("tools", ())]
    if "latency" in fields:
        fields["latency"] = _read_latency(fields["latency"], f"{path}.latency")
    if "stop_reason" in fields:
        one_of(fields["stop_reason"], STOP_REASONS, f"{path}.stop_reason")
    return Reply(**fields, tools=tuple(_read_tool(tool, f"{path}.tool") for tool in tools))


def _read_tool(value: Any, path: str) -> ToolCall:
    fields = read_fields(value, {"name": str, "input": (dict, str)}, path)
    return ToolCall(required(fields, "name", path), fields.get("input", {}))


def _read_fault_rule(value: Any, path: str) -> FaultRule:
    rule = read_fields(value, {"when": dict, "nth": list, "fault": dict}, path)
    nth = list_at(rule["nth"], f"{path}.nth") if "nth" in rule else None
    if nth is not None and not all(type(n) is int and n > 0 for n in nth):
        raise InvalidRequestError("must be numbers from 1", f"{path}.nth")
    fault = read_fault(object_at(required(rule, "fault", path), f"{path}.fault"), f"{path}.fault")
    return FaultRule(_read_when(rule, path), fault, None if nth is None else frozenset(nth))
