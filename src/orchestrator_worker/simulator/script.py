"""What a caller of the control endpoint may order: latencies, replies, faults, refused
fields, cache and rate limits.

Owns the reading of that JSON and which rule a call meets. Says nothing about how a reply is
composed or sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator_worker.simulator.cache_orders import CacheOrders, read_cache_orders
from orchestrator_worker.simulator.conditions import When, read_when
from orchestrator_worker.simulator.errors import InvalidRequestError
from orchestrator_worker.simulator.faults import Fault, read_fault
from orchestrator_worker.simulator.field_checks import list_at, object_at, one_of, required
from orchestrator_worker.simulator.jsons import JsonObject
from orchestrator_worker.simulator.latency import (
    DEFAULT_LATENCIES,
    Latency,
    read_latencies,
    read_latency,
)
from orchestrator_worker.simulator.optional_fields import REFUSABLE
from orchestrator_worker.simulator.rate_limits import Limits, read_limits
from orchestrator_worker.simulator.script_values import not_negative, read_fields

STOP_REASONS = ("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal")
_SCRIPT_FIELDS = {
    "latencies": dict,
    "refuse": list,
    "replies": list,
    "faults": list,
    "cache": dict,
    "rate_limits": dict,
    "record_bodies": bool,
}
_REPLY_FIELDS = {
    "text": str,
    "tool": dict,
    "tools": list,
    "tokens": int,
    "latency": dict,
    "stop_reason": str,
    "thinking_tokens": int,
    "redacted_thinking": bool,
}


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
    redacted_thinking: bool = False
    """Whether the thinking comes as a `redacted_thinking` block."""


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
    """Which of the matching calls, counted from 1 in the order in which their requests arrived.
    Calls that are refused do not count, calls that an earlier rule breaks do. None: all."""


@dataclass(slots=True)
class Script:
    """All orders together, and how many calls each fault rule has met since they were given."""

    latencies: Mapping[str, Latency] = field(default_factory=lambda: DEFAULT_LATENCIES)
    refuse: frozenset[str] = frozenset()
    replies: tuple[ReplyRule, ...] = ()
    faults: tuple[FaultRule, ...] = ()
    cache: CacheOrders = field(default_factory=CacheOrders)
    rate_limits: Limits = field(default_factory=Limits)
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
            latencies={**DEFAULT_LATENCIES, **read_latencies(fields.get("latencies", {}))},
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
            cache=read_cache_orders(fields.get("cache", {}), "cache"),
            rate_limits=read_limits(fields.get("rate_limits", {}), "rate_limits"),
            record_bodies=fields.get("record_bodies", True),
        )

    def latency_for(self, model: str) -> Latency:
        """The latency whose key is part of the model's id, else the default."""
        for key, latency in self.latencies.items():
            if key in model:
                return latency
        return self.latencies["default"]

    def reply_for(self, body: JsonObject, headers: Mapping[str, str]) -> Reply | None:
        """The first scripted reply for the request."""
        return next((rule.reply for rule in self.replies if rule.when.meets(body, headers)), None)

    def fault_for(self, body: JsonObject, headers: Mapping[str, str]) -> Fault | None:
        """The first fault due now. Counts the call on every rule it matches."""
        due: Fault | None = None
        for number, rule in enumerate(self.faults):
            if not rule.when.meets(body, headers):
                continue
            self._met[number] = self._met.get(number, 0) + 1
            if due is None and (rule.nth is None or self._met[number] in rule.nth):
                due = rule.fault
        return due


def _read_reply_rule(value: Any, path: str) -> ReplyRule:
    rule = read_fields(value, {"when": dict, "reply": dict}, path)
    return ReplyRule(read_when(rule, path), _read_reply(required(rule, "reply", path), path))


def _read_reply(value: Any, path: str) -> Reply:
    path = f"{path}.reply"
    fields = read_fields(value, _REPLY_FIELDS, path)
    not_negative(fields, ("tokens", "thinking_tokens"), path)
    tools = [*([fields.pop("tool")] if "tool" in fields else ()), *fields.pop("tools", ())]
    if "latency" in fields:
        fields["latency"] = read_latency(fields["latency"], f"{path}.latency")
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
    return FaultRule(read_when(rule, path), fault, None if nth is None else frozenset(nth))
