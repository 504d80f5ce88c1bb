"""The plan's form, and its reading while it is still being written.

`PLAN_SCHEMA` is constant, so that the upstream compiles it once and caches stay warm; every limit
and every list of names is the gate's. `PlanReader` hands out each entry the moment its closing
brace arrives; `text_plan.py` finds a plan in prose and reads it with the same reader.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

KEY_CHARS = 64
"""How much of the text before the list of subtasks is kept to recognise its key."""
_STRUCTURE = re.compile(r'["{}\[\],]')
_IN_STRING = re.compile(r'["\\]')
_PLAN_KEY = re.compile(r'"(?:sub)?tasks"\s*:\s*$')


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _texts(description: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}, "description": description}


PLAN_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "subtasks": {
            "type": "array",
            "description": "The subtasks in the order they should start.",
            "items": {
                "type": "object",
                "properties": {
                    "id": _text("Short and unique: s1, s2, …"),
                    "title": _text("A few words; names its result."),
                    "instructions": _text("What its worker must do; stands alone."),
                    "type": _text("Kind of worker, if kinds are listed; otherwise leave it out."),
                    "depends_on": _texts("Ids of earlier subtasks whose results it needs."),
                    "attachments": _texts("Names of the attachments it needs to read."),
                    "for_each": _texts(
                        "Makes one subtask per item; {{item}} in title and instructions stands "
                        "for the item."
                    ),
                    "tier": _text("Model tier, if tiers are listed and the usual one won't do."),
                    "tools": _texts("Names of the tools it needs, of those listed."),
                    "output": {
                        "type": "string",
                        "enum": ["text", "json"],
                        "description": "Form of its result; text unless a program reads it.",
                    },
                },
                "required": ["id", "title", "instructions"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["subtasks"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Subtask:
    """One node of the plan, as the gate let it through."""

    id: str
    title: str
    instructions: str
    depends_on: tuple[str, ...] = ()
    """Ids of subtasks that stand before this one, so a plan cannot hold a cycle."""
    type: str | None = None
    tier: str | None = None
    """None: the team's own worker model."""
    tools: tuple[str, ...] = ()
    attachments: tuple[str, ...] = ()
    output: Literal["text", "json"] = "text"
    item: str | None = None
    """What it is for, when its entry was written `for_each` of several items."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry of the plan that is not JSON."""


class PlanReader:
    """Reads a plan's JSON in pieces cut anywhere: one pass, one entry in memory.

    It only follows strings and brackets to find where an entry ends; the entry itself is then
    parsed whole, so a mistake inside one costs that one. A general push parser would keep the path
    of every nested value, which a hostile plan can make quadratic. With `inside`, the text begins
    after the bracket that opens the list.
    """

    def __init__(self, *, inside: bool = False) -> None:
        self.closed = False
        """True once the list of subtasks has ended; what follows is not plan."""
        self._depth = 2 if inside else 0
        self._in_string = False
        self._in_plan = inside
        self._skip = 0
        """Characters of the next piece that an escape has already decided."""
        self._held: list[str] = []
        """The pieces read since the last entry ended; before the plan, only their last characters.
        """

    def feed(self, text: str) -> list[object]:
        """Return the entries, unchecked, that `text` completes."""
        found: list[object] = []
        start, at = 0, self._skip
        while not self.closed and (sign := self._pattern().search(text, at)):
            at = sign.end()
            match sign[0]:
                case "\\":
                    at += 1
                case '"':
                    self._in_string = not self._in_string
                case "{" | "[":
                    if self._opens_plan(sign[0], text, sign.start()):
                        start = at
                    self._depth += 1
                case _ if self._ends_entry(sign[0]):
                    keep = at if sign[0] in "}]" and not self.closed else sign.start()
                    found += _parsed(self._take_held(text[start:keep]))
                    start = at
                case _:
                    pass
        self._skip = max(0, at - len(text))
        self._hold(text[start:])
        return found

    def _hold(self, rest: str) -> None:
        if self.closed:
            self._held.clear()
        elif self._in_plan:
            self._held.append(rest)
        else:
            self._held = [(self._take_held("") + rest[-KEY_CHARS:])[-KEY_CHARS:]]

    def _take_held(self, rest: str) -> str:
        held = "".join([*self._held, rest])
        self._held.clear()
        return held

    def _pattern(self) -> re.Pattern[str]:
        return _IN_STRING if self._in_string else _STRUCTURE

    def _opens_plan(self, bracket: str, text: str, at: int) -> bool:
        """Tell whether the bracket at `at` opens the list of subtasks; the key before it may have
        come with earlier pieces.
        """
        if self._in_plan or self._depth != 1 or bracket != "[":
            return False
        before = self._take_held(text[max(0, at - KEY_CHARS) : at])
        self._in_plan = _PLAN_KEY.search(before[-KEY_CHARS:]) is not None
        return self._in_plan

    def _ends_entry(self, sign: str) -> bool:
        """Follow a closing bracket or a comma; True when an entry of the plan ends there."""
        if sign in "}]":
            self._depth -= 1
        if not self._in_plan:
            return False
        self.closed = self._depth < 2
        return self._depth <= 2


def _parsed(text: str) -> list[object]:
    """Return the entry in a list, or an empty one where there is none (between a bracket and a
    comma).
    """
    text = text.strip(" \t\r\n,")
    if not text:
        return []
    try:
        return [orjson.loads(text)]
    except orjson.JSONDecodeError:
        return [Unreadable()]
