"""The check between a planned subtask and the money it costs.

A plan is a model's text: each entry is repaired where the repair is certain, dropped where it is
not, and either way the reason is recorded. What concerns one entry alone is in `expansion.py`;
here are the caps, the ids and who waits for whom. However long a plan is, what is kept and
reported stays within the caps. Nothing here talks to anybody.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Literal, cast

from orchestrator_worker.orchestration.expansion import (
    FEW,
    MAX_INSTRUCTIONS_CHARS,
    MAX_TITLE_CHARS,
    Entry,
    Expansion,
    Names,
    as_text,
    shortened,
    shown,
)
from orchestrator_worker.orchestration.plan import Subtask, Unreadable

MAX_ID_CHARS = 64
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_OUTPUTS = Names(frozenset({"text", "json"}))


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing the gate changed, for the log and the caller's progress."""

    subtask_id: str | None
    """The entry's, also when it became several subtasks. None: dropped before it had one."""
    reason: str


@dataclass(frozen=True, slots=True)
class GateRules:
    """What a plan may hold; the names are those of the team and of the conversation."""

    max_subtasks: int
    """Entries, as the lead writes them."""
    max_workers: int
    """Subtasks, once every `for_each` is expanded."""
    types: frozenset[str] | None = frozenset()
    """None: the team has none, so a type is a mere label."""
    tiers: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()
    attachments: frozenset[str] = frozenset()


class Gate:
    """Admits the entries of one run in the order they are written, over one plan or several: ids
    stay unique, and an entry may depend on those of an earlier plan.
    """

    def __init__(self, rules: GateRules) -> None:
        self.dropped = 0
        """Subtasks that were asked for and are not run; of a `for_each`, each item counts."""
        self._rules = rules
        self._types, self._tiers = Names(rules.types), Names(rules.tiers)
        self._tools, self._attachments = Names(rules.tools), Names(rules.attachments)
        self._written = self._admitted = self._workers = self._over = self._unusable = 0
        self._next_number = 1
        self._ids: dict[str, tuple[str, ...]] = {}
        """What an entry, or one subtask of several, is called here -> the subtasks it stands for.
        """
        self._lead_ids: dict[str, tuple[str, ...]] = {}
        """What the lead calls an entry -> the subtasks it stands for."""
        self._repeats = False
        self._planned: set[tuple[str, str]] = set()
        """Id and title of all that is admitted: the lead's words for it, and ours."""
        self._repairs: list[Repair] = []

    @property
    def overrun(self) -> bool:
        """True when as many entries again as the cap allows have been dropped for it, so that
        reading on is pointless.
        """
        return self._over > self._rules.max_subtasks

    @property
    def full(self) -> bool:
        """True when no further entry can be admitted."""
        return self._cap_reached() is not None

    def asked_again(self) -> None:
        """The lead is about to be asked for more: what it then repeats of what has been admitted,
        under the same id and title, is not planned twice.
        """
        self._repeats = True

    def admit(self, raw: object) -> tuple[Subtask, ...]:
        """Return the subtasks to run: one, several for a `for_each`, none when the entry is
        dropped; `take_repairs` says why.
        """
        self._written += 1
        match raw:
            case Unreadable():
                return self._drop("not valid JSON", asked_for=1)
            case Mapping():
                entry = Entry(cast("Mapping[str, Any]", raw))
            case _:
                return self._drop("not an object")
        if not entry.asks_for:
            return self._drop("neither instructions nor a title")
        if self._repeats and (entry.id, shortened(entry.title, MAX_TITLE_CHARS)) in self._planned:
            return self._drop("already planned")
        if entry.lacks_items:
            return self._drop("for_each without an item", asked_for=1)
        if (cap := self._cap_reached()) is not None:
            return self._drop_over(cap, entry)
        return self._admit(entry)

    def take_repairs(self) -> list[Repair]:
        """Return what was changed since the last call."""
        repairs, self._repairs = self._repairs, []
        return repairs

    def _cap_reached(self) -> str | None:
        if self._admitted >= self._rules.max_subtasks:
            return f"{self._rules.max_subtasks} subtasks"
        if self._workers >= self._rules.max_workers:
            return f"{self._rules.max_workers} workers"
        return None

    def _drop(self, problem: str, *, asked_for: int = 0) -> tuple[Subtask, ...]:
        self.dropped += asked_for
        self._unusable += 1
        if self._unusable <= FEW:
            self._record_drop(problem)
        elif self._unusable == FEW + 1:
            self._record_drop(f"{problem}; further ones that are of no use are not reported")
        return ()

    def _drop_over(self, cap: str, entry: Entry) -> tuple[Subtask, ...]:
        self.dropped += entry.asks_for
        self._over += 1
        if self._over == 1:
            self._record_drop(f"over the cap of {cap}, as is all that follows")
        return ()

    def _record_drop(self, reason: str) -> None:
        self._repairs.append(Repair(None, f"subtask {self._written} dropped: {reason}"))

    def _admit(self, entry: Entry) -> tuple[Subtask, ...]:
        entry_id = self._new_id(entry)
        words = Expansion(entry.title, entry.instructions)
        whole = Subtask(
            id=entry_id,
            title=words.plain_title,
            instructions=words.plain_instructions,
            depends_on=self._dependencies(entry),
            type=entry.choice("type", self._types),
            tier=entry.choice("tier", self._tiers),
            tools=entry.choices("tools", self._tools),
            attachments=entry.choices("attachments", self._attachments),
            output=cast("Literal['text', 'json']", entry.choice("output", _OUTPUTS) or "text"),
        )
        subtasks = self._each(whole, words, entry) if entry.items else (whole,)
        if words.cut:
            entry.note("instructions", f"instructions cut at {MAX_INSTRUCTIONS_CHARS} characters")
        self._enter(entry, entry_id, tuple(subtask.id for subtask in subtasks))
        self._planned |= {(entry.id, whole.title), (entry_id, whole.title)}
        self._planned |= {(subtask.id, subtask.title) for subtask in subtasks}
        return subtasks

    def _each(self, whole: Subtask, words: Expansion, entry: Entry) -> tuple[Subtask, ...]:
        wanted, room = len(entry.items), self._rules.max_workers - self._workers
        if wanted > room:
            self.dropped += wanted - room
            cap = self._rules.max_workers
            reason = f"{wanted - room} of {wanted} items dropped: over the cap of {cap} workers"
            entry.note("items over the cap", reason)
        ids = self._numbered(whole.id) if wanted > 1 else iter([whole.id])
        return tuple(
            replace(
                whole,
                id=next(ids),
                title=words.title(item),
                instructions=words.instructions(item),
                item=item,
            )
            for item in entry.items[:room]
        )

    def _enter(self, entry: Entry, entry_id: str, ids: tuple[str, ...]) -> None:
        self._admitted += 1
        self._workers += len(ids)
        self._ids |= {subtask_id: (subtask_id,) for subtask_id in ids}
        self._ids[entry_id] = ids
        if entry.id:
            self._lead_ids.setdefault(entry.id, ids)
        self._repairs += [Repair(entry_id, reason) for reason in entry.changes()]

    def _numbered(self, entry_id: str) -> Iterator[str]:
        numbered = (f"{entry_id}.{number}" for number in count(1))
        return (subtask_id for subtask_id in numbered if subtask_id not in self._ids)

    def _new_id(self, entry: Entry) -> str:
        problem = self._problem_with(entry)
        if problem is None:
            return entry.id
        number = max(self._written, self._next_number)
        while (chosen := f"s{number}") in self._ids:
            number += 1
        self._next_number = number + 1
        named = f"the id {shown(entry.id)} {problem}" if entry.id else "it had no id"
        entry.note("id", f"renamed: {named}")
        return chosen

    def _problem_with(self, entry: Entry) -> str | None:
        # Some numbers may be taken, so the highest can be twice the cap.
        number = len(f".{2 * self._rules.max_workers}") if len(entry.items) > 1 else 0
        if entry.id in self._ids:
            return "was already taken"
        if len(entry.id) > MAX_ID_CHARS - number or not _ID.fullmatch(entry.id):
            return "is not usable"
        return None

    def _dependencies(self, entry: Entry) -> tuple[str, ...]:
        found: dict[str, None] = {}
        seen: set[str] = set()
        for value in entry.listed("depends_on"):
            wanted = as_text(value) or ""
            ids = self._lead_ids.get(wanted) or self._ids.get(wanted)
            if wanted in seen:
                problem = "named twice"
            elif ids is None:
                problem = "it is this one" if wanted == entry.id != "" else "no earlier subtask"
            else:
                seen.add(wanted)
                found |= dict.fromkeys(ids)
                continue
            entry.note("depends_on", f"dependency {shown(value)} ignored: {problem}")
        return tuple(found)
