"""What a caller of the control endpoint may order: latencies, replies, faults, refused
fields, context, cache and rate limits.

Owns the reading of that JSON and which rule a call meets. Says nothing about how a reply is
composed or sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

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
)
from orchestrator_worker.simulator.models import Model
from orchestrator_worker.simulator.optional_fields import REFUSABLE
from orchestrator_worker.simulator.rate_limits import Limits, read_limits
from orchestrator_worker.simulator.replies import Reply, read_reply
from orchestrator_worker.simulator.script_values import not_negative, read_fields

_SCRIPT_FIELDS = {
    "latencies": dict,
    "refuse": list,
    "replies": list,
    "faults": list,
    "cache": dict,
    "rate_limits": dict,
    "context_tokens": int,
    "record_bodies": bool,
}


@dataclass(frozen=True, slots=True)
class ReplyRule:
    """A reply and the calls that get it."""

    when: When
    reply: Reply
    nth: frozenset[int] | None = None
    """Which of the matching calls, counted like those of a fault. None: all."""


@dataclass(frozen=True, slots=True)
class FaultRule:
    """A fault and the calls that meet it."""

    when: When
    fault: Fault
    nth: frozenset[int] | None
    """Which of the matching calls, counted from 1 in the order in which their requests arrived.
    Calls that are refused do not count, calls that an earlier rule breaks do. None: all."""


AnyRule = TypeVar("AnyRule", ReplyRule, FaultRule)


@dataclass(slots=True)
class Script:
    """All orders together, and how many calls each rule has met since they were given."""

    latencies: Mapping[str, Latency] = field(default_factory=lambda: DEFAULT_LATENCIES)
    refuse: frozenset[str] = frozenset()
    replies: tuple[ReplyRule, ...] = ()
    faults: tuple[FaultRule, ...] = ()
    cache: CacheOrders = field(default_factory=CacheOrders)
    rate_limits: Limits = field(default_factory=Limits)
    context_tokens: int | None = None
    """Input tokens that a model takes at most. None: what the model has; never more than that."""
    record_bodies: bool = True
    _met: dict[int, int] = field(default_factory=dict[int, int])
    """By the identity of the rule."""

    @classmethod
    def from_json(cls, value: Any) -> "Script":
        """A script from the control JSON.

        Raises:
            InvalidRequestError: A key or value is unknown; the message names its path.
        """
        fields = read_fields(value, _SCRIPT_FIELDS, "")
        not_negative(fields, ("context_tokens",), "")
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
            context_tokens=fields.get("context_tokens"),
            record_bodies=fields.get("record_bodies", True),
        )

    def latency_for(self, model: str) -> Latency:
        """The latency whose key is part of the model's id, else the default."""
        for key, latency in self.latencies.items():
            if key in model:
                return latency
        return self.latencies["default"]

    def context_of(self, model: Model) -> int:
        """Input tokens that the model takes."""
        return min(model.context, self.context_tokens or model.context)

    def reply_for(self, body: JsonObject, headers: Mapping[str, str]) -> Reply | None:
        """The first reply for the request. Counts the call on every rule it matches."""
        rule = self._first_due(self.replies, body, headers)
        return rule.reply if rule else None

    def fault_for(self, body: JsonObject, headers: Mapping[str, str]) -> Fault | None:
        """The first fault due now. Counts the call on every rule it matches."""
        rule = self._first_due(self.faults, body, headers)
        return rule.fault if rule else None

    def _first_due(
        self, rules: tuple[AnyRule, ...], body: JsonObject, headers: Mapping[str, str]
    ) -> AnyRule | None:
        due: AnyRule | None = None
        for rule in rules:
            if not rule.when.meets(body, headers):
                continue
            met = self._met[id(rule)] = self._met.get(id(rule), 0) + 1
            if due is None and (rule.nth is None or met in rule.nth):
                due = rule
        return due


def _read_reply_rule(value: Any, path: str) -> ReplyRule:
    rule = read_fields(value, {"when": dict, "nth": list, "reply": dict}, path)
    reply = read_reply(required(rule, "reply", path), f"{path}.reply")
    return ReplyRule(read_when(rule, path), reply, _read_nth(rule, path))


def _read_fault_rule(value: Any, path: str) -> FaultRule:
    rule = read_fields(value, {"when": dict, "nth": list, "fault": dict}, path)
    fault = read_fault(object_at(required(rule, "fault", path), f"{path}.fault"), f"{path}.fault")
    return FaultRule(read_when(rule, path), fault, _read_nth(rule, path))


def _read_nth(rule: JsonObject, path: str) -> frozenset[int] | None:
    nth = list_at(rule["nth"], f"{path}.nth") if "nth" in rule else None
    if nth is not None and not all(type(n) is int and n > 0 for n in nth):
        raise InvalidRequestError("must be numbers from 1", f"{path}.nth")
    return None if nth is None else frozenset(nth)
