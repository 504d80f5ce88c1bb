"""A workload: what the simulated models say and how fast, and the time that follows from it.

Owns the texts, the simulator's script and the arithmetic of the ideal. Knows nothing of the
programs that are measured.

The ideal of one request is what its longest chain of scripted tokens takes when everything else
takes no time at all:

    max over the workers of (the worker's start + its time) + the synthesis

where a worker starts when its subtask has closed and all that it depends on has ended. A scripted
call of n tokens sends token i (from 0) at `first token + i / rate` after it arrives and ends at
`first token + n / rate`. The lead's plan is one JSON text of L characters, cut into n tokens of
nearly equal length: token i holds the characters from `i * L // n` up to `(i + 1) * L // n`. So a
subtask closes when the token leaves that holds its closing brace.

Workloads with different names can be in force at the same time: each knows its calls by its name.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

PLAN_MARK = "Bench-plan"
"""Stands in the question, so that the script knows the lead's call."""
CHARS_PER_TOKEN = 4
OPENING = '{"subtasks": ['
CLOSING = "]}"
FRAME_TOKENS = (len(OPENING) + len(CLOSING)) // CHARS_PER_TOKEN
SEPARATOR = ", "

_QUESTION = "Compare these regions for a new warehouse and say which one to choose."
_FILLER = "rent, wages, roads, rail, ports, customs, flood risk, power, water, permits and staff. "


@dataclass(frozen=True, slots=True)
class Speech:
    """How long a scripted reply is and how fast it comes."""

    tokens: int
    first_token_seconds: float = 0.2
    tokens_per_second: float = 400.0

    def due(self, token: int) -> float:
        """Return when the token of that number, from 0, leaves; seconds from the call's arrival."""
        return self.first_token_seconds + token / self.tokens_per_second

    @property
    def seconds(self) -> float:
        """From the call's arrival to its end."""
        return self.due(self.tokens)

    def reply(self, said: dict[str, Any]) -> dict[str, Any]:
        """Return the reply of a script's rule that says it at this pace."""
        latency = {
            "first_token_seconds": self.first_token_seconds,
            "tokens_per_second": self.tokens_per_second,
        }
        return {**said, "tokens": self.tokens, "latency": latency, "thinking_tokens": 0}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the plan."""

    number: int
    """From 1."""
    json: str
    work: Speech
    """What its worker says."""
    depends_on: tuple[int, ...] = ()
    """Numbers of earlier entries."""
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Ideal:
    """What the script alone takes; seconds from the arrival of the request."""

    closings: tuple[float, ...]
    """When each entry closes in the lead's stream."""
    worked: float
    """When the last worker ends."""
    first_token: float
    """When the synthesizer's first token leaves."""
    total: float
    """When the synthesizer's stream ends."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What one question is answered with."""

    name: str
    """Letters, digits and hyphens; no other workload in force has it."""
    entries: tuple[Entry, ...]
    plan: Speech
    synthesis: Speech

    def question(self, asker: str = "") -> str:
        """Return what a client asks; `asker` tells its calls from those of others."""
        return f"{_QUESTION} {PLAN_MARK} {self.name}." + (f" For {asker}." if asker else "")

    @property
    def last_finding_mark(self) -> str:
        """Stands in the last worker's text, which only the synthesizer reads: no entry depends on
        the last one.
        """
        return finding_mark(self.name, self.entries[-1].number)

    @property
    def plan_text(self) -> str:
        """The plan's JSON."""
        return OPENING + SEPARATOR.join(entry.json for entry in self.entries) + CLOSING

    @property
    def answer(self) -> str:
        """The synthesizer's text."""
        return text("The answer weighs ", self.synthesis.tokens)

    @property
    def calls(self) -> int:
        """Calls of the API that one request makes."""
        return sum(entry.workers for entry in self.entries) + 2

    def finding(self, entry: Entry) -> str:
        """Return what the entry's worker says."""
        return text(f"{finding_mark(self.name, entry.number)} ", entry.work.tokens)

    def closing_tokens(self) -> list[int]:
        """Return for each entry the number, from 0, of the token that holds its last brace."""
        found: list[int] = []
        end = len(OPENING)
        for entry in self.entries:
            end += len(entry.json)
            found.append(self._token_of(end - 1))
            end += len(SEPARATOR)
        return found

    def _token_of(self, position: int) -> int:
        length, tokens = len(self.plan_text), self.plan.tokens
        return sum(token * length // tokens <= position for token in range(tokens)) - 1

    def ideal(self) -> Ideal:
        """Return the ideal of one request, with no cap on workers at the same time."""
        closings = tuple(self.plan.due(token) for token in self.closing_tokens())
        ended: dict[int, float] = {}
        for entry, closing in zip(self.entries, closings, strict=True):
            started = max([closing, *(ended[number] for number in entry.depends_on)])
            ended[entry.number] = started + entry.work.seconds
        worked = max(ended.values())
        return Ideal(
            closings, worked, worked + self.synthesis.due(0), worked + self.synthesis.seconds
        )

    def rules(self) -> list[dict[str, Any]]:
        """Return the script's rules for its calls."""
        plan = {"tool": {"name": "delegate", "input": self.plan_text}}
        asked = {"has_tool": "delegate", "contains": f"{PLAN_MARK} {self.name}."}
        answer = self.synthesis.reply({"text": self.answer})
        return [
            {"when": asked, "reply": self.plan.reply(plan)},
            # Before the workers' rules: a synthesizer may be shown the assignments too.
            {"when": {"contains": self.last_finding_mark}, "reply": answer},
            *self._worker_rules(),
        ]

    def _worker_rules(self) -> list[dict[str, Any]]:
        return [
            {
                "when": {"contains": assignment_mark(self.name, entry.number)},
                "reply": entry.work.reply({"text": self.finding(entry)}),
            }
            for entry in self.entries
        ]


def assignment_mark(name: str, number: int) -> str:
    """Return what stands in its instructions; the script knows the worker's call by it."""
    return f"Bench-assignment {name}/{number}:"


def finding_mark(name: str, number: int) -> str:
    """Return what stands in its worker's text; the script knows the synthesizer's call by it."""
    return f"Bench-finding {name}/{number}:"


def text(start: str, tokens: int) -> str:
    """Return a text of about four characters per token."""
    return (start + _FILLER * tokens)[: tokens * CHARS_PER_TOKEN]


def entry(
    name: str,
    number: int,
    tokens: int,
    work: Speech,
    *,
    depends_on: tuple[int, ...] = (),
    title: str | None = None,
) -> Entry:
    """Return an entry of a plan for the workload `name`.

    Args:
        name: Of the workload.
        number: From 1.
        tokens: Its length in the plan, with the separator, at four characters each.
        work: What its worker says.
        depends_on: Numbers of earlier entries.
        title: None: Region and the number.

    Raises:
        ValueError: it does not fit into that many tokens.
    """
    fields = {
        "id": f"s{number}",
        "title": title or f"Region {number}",
        "instructions": f"{assignment_mark(name, number)} judge its ",
        "depends_on": [f"s{earlier}" for earlier in depends_on],
    }
    room = tokens * CHARS_PER_TOKEN - len(SEPARATOR) - len(json.dumps(fields))
    if room < 0:
        raise ValueError(f"the subtask {fields} is longer than {tokens} tokens")
    fields["instructions"] = f"{fields['instructions']}{text('', tokens)[:room]}"
    return Entry(number, json.dumps(fields), work, depends_on)


def script(workloads: Iterable[Workload], *, record_bodies: bool) -> dict[str, Any]:
    """Return the orders for the simulator (`PUT /_simulator/script`)."""
    rules = [rule for workload in workloads for rule in workload.rules()]
    return {"replies": rules, "record_bodies": record_bodies}


def even(workers: int) -> Workload:
    """Return the usual workload: equal subtasks of 31 tokens, every model quick."""
    work = Speech(40)
    name = f"even {workers}"
    entries = tuple(entry(name, number, 31, work) for number in range(1, workers + 1))
    return Workload(name, entries, plan=Speech(31 * workers + 5), synthesis=Speech(60))


def steady(name: str, entries: Sequence[Entry]) -> Workload:
    """Return a workload whose lead writes the plan at 80 tokens/s, of four characters each."""
    characters = sum(len(each.json) + len(SEPARATOR) for each in entries)
    tokens = math.ceil(characters / CHARS_PER_TOKEN) + FRAME_TOKENS
    return Workload(name, tuple(entries), Speech(tokens, 0.2, 80.0), synthesis=Speech(60))
