"""The check between a planned subtask and the money it costs.

A plan is a model's text: each subtask is repaired where the repair is certain, dropped where it is
not, and either way the reason is recorded. Nothing here talks to anybody.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from orchestrator_worker.orchestration.plan import Subtask, Unreadable

MAX_INSTRUCTIONS_CHARS = 20_000
MAX_TITLE_CHARS = 120
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing the gate changed, for the log and the caller's progress."""

    subtask_id: str | None
    """None: the subtask was dropped before it had an id."""
    reason: str


class Gate:
    """Admits the subtasks of one run in the order they are written."""

    def __init__(self, max_subtasks: int) -> None:
        self._max_subtasks = max_subtasks
        self._written = 0
        self.dropped = 0
        """Entries that asked for something and are not run."""
        self._admitted: set[str] = set()
        self._renamed: dict[str, str] = {}
        """What the lead calls a subtask -> what it is called here."""
        self._repairs: list[Repair] = []

    def admit(self, raw: object) -> Subtask | None:
        """Return the subtask to run, or None when it is dropped; `take_repairs` says why."""
        self._written += 1
        if len(self._admitted) >= self._max_subtasks:
            self.dropped += 1
            return self._drop(f"over the cap of {self._max_subtasks} subtasks")
        if isinstance(raw, Unreadable):
            self.dropped += 1
            return self._drop("not valid JSON")
        if not isinstance(raw, Mapping):
            return self._drop("not an object")
        fields = cast("Mapping[str, Any]", raw)
        instructions = _text(fields.get("instructions")) or _text(fields.get("title"))
        if not instructions:
            return self._drop("neither instructions nor a title")
        subtask_id = self._new_id(_text(fields.get("id")))
        subtask = Subtask(
            id=subtask_id,
            title=_shortened(_text(fields.get("title")) or instructions, MAX_TITLE_CHARS),
            instructions=self._bounded(subtask_id, instructions),
            depends_on=self._dependencies(subtask_id, fields.get("depends_on")),
        )
        self._admitted.add(subtask_id)
        return subtask

    def take_repairs(self) -> list[Repair]:
        """Return what was changed since the last call."""
        repairs, self._repairs = self._repairs, []
        return repairs

    def _drop(self, reason: str) -> None:
        self._repairs.append(Repair(None, f"subtask {self._written} dropped: {reason}"))

    def _repair(self, subtask_id: str, reason: str) -> None:
        self._repairs.append(Repair(subtask_id, reason))

    def _new_id(self, wanted: str) -> str:
        if _ID.fullmatch(wanted) and wanted not in self._admitted:
            chosen = wanted
        else:
            number = self._written
            while (chosen := f"s{number}") in self._admitted:
                number += 1
            problem = "was already taken" if wanted in self._admitted else "is not usable"
            self._repair(chosen, f"renamed: the id {wanted[:64]!r} {problem}")
        self._renamed.setdefault(wanted, chosen)
        return chosen

    def _bounded(self, subtask_id: str, instructions: str) -> str:
        if len(instructions) <= MAX_INSTRUCTIONS_CHARS:
            return instructions
        self._repair(subtask_id, f"instructions cut at {MAX_INSTRUCTIONS_CHARS} characters")
        return instructions[:MAX_INSTRUCTIONS_CHARS]

    def _dependencies(self, subtask_id: str, raw: object) -> tuple[str, ...]:
        if raw is None:
            return ()
        if not isinstance(raw, list):
            self._repair(subtask_id, "depends_on ignored: not a list")
            return ()
        known: dict[str, None] = {}
        for wanted in cast("list[object]", raw):
            name = self._renamed.get(wanted) if isinstance(wanted, str) else None
            if name is None or name == subtask_id:
                self._repair(
                    subtask_id, f"dependency {str(wanted)[:64]!r} ignored: no earlier subtask"
                )
            else:
                known[name] = None
        return tuple(known)


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _shortened(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
