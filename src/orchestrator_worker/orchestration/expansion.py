"""One entry of a plan: its fields, read as what they should be, and the words that its `for_each`
expands to.

What is wrong is put right or left out, and noted. How many subtasks run, their ids and what they
wait for are the gate's.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

MAX_INSTRUCTIONS_CHARS = 20_000
MAX_TITLE_CHARS = 120
MAX_ITEM_CHARS = 2_000
MAX_LABEL_CHARS = 64
FEW = 3
"""So many changes alike are told one by one; the others are counted."""
SHOWN_CHARS = 64
"""How much of a name of the lead's own making a reason repeats."""
_PLACEHOLDER = re.compile(r"\{\{\s*item\s*\}\}")


class Names:
    """The names a field may take, found whatever their case. None: any, as a label."""

    def __init__(self, names: frozenset[str] | None) -> None:
        self._names = names
        self._folded = {name.casefold(): name for name in sorted(names or (), reverse=True)}

    def find(self, name: str) -> str | None:
        """Return `name` as it is known here, or None."""
        if self._names is None:
            return shortened(name, MAX_LABEL_CHARS)
        return name if name in self._names else self._folded.get(name.casefold())


class Entry:
    """One entry as the lead wrote it."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields
        self._changes: dict[str, list[str]] = {}
        self._alike: dict[str, int] = {}
        self.id = self._text("id")
        """As the lead calls it; "" when it has no name."""
        title, instructions = self._text("title"), self._text("instructions")
        self.title = title or instructions
        self.instructions = instructions or title
        self.items = self._usable_items()
        """The distinct items of its `for_each`; none: it is one subtask."""
        self.lacks_items = self._has_place_without_item()
        """True when it speaks of an item and its `for_each` has none."""
        self.asks_for = max(1, len(self.items)) if self.title else 0
        """Subtasks; 0 when there is nothing in it that a worker could do."""
        if title and len(" ".join(title.split())) > MAX_TITLE_CHARS:
            self.note("title", f"title shortened to {MAX_TITLE_CHARS} characters")

    def note(self, kind: str, reason: str) -> None:
        """Remember a change; of those of one kind only a few are worth their words."""
        self._alike[kind] = self._alike.get(kind, 0) + 1
        if self._alike[kind] <= FEW:
            self._changes.setdefault(kind, []).append(reason)

    def changes(self) -> list[str]:
        """Return what was noted."""
        return [
            reason
            for kind, reasons in self._changes.items()
            for reason in (*reasons, *self._others(kind))
        ]

    def _others(self, kind: str) -> list[str]:
        others = self._alike[kind] - FEW
        return [f"{kind}: {others} more changes like these"] if others > 0 else []

    def choice(self, name: str, known: Names) -> str | None:
        """Return the field in the spelling known here; None when it is absent or unknown."""
        wanted = self._text(name)
        if not wanted:
            return None
        found = known.find(wanted)
        if found is None:
            self.note(name, f"{name} ignored: {shown(wanted)} is not known")
        return found

    def choices(self, name: str, known: Names) -> tuple[str, ...]:
        """Return the names in the list that are known here, each once."""
        found: dict[str, None] = {}
        for value in self.listed(name):
            wanted = as_text(value)
            spelling = known.find(wanted) if wanted else None
            if spelling is None:
                self.note(name, f"{name}: {shown(value)} removed, it is not known")
            else:
                found[spelling] = None
        return tuple(found)

    def listed(self, name: str) -> list[object]:
        """Return the field when it is a list, else an empty one."""
        value = self._fields.get(name)
        if isinstance(value, list):
            return cast("list[object]", value)
        if value is not None:
            self.note(name, f"{name} ignored: not a list")
        return []

    def _text(self, name: str) -> str:
        value = self._fields.get(name)
        text = as_text(value)
        if text is None:
            self.note(name, f"{name} ignored: {shown(value)}, not text")
        elif isinstance(value, int | float):
            self.note(name, f"{name}: the number {shown(value)} taken as text")
        return text or ""

    def _has_place_without_item(self) -> bool:
        if self.items or self._fields.get("for_each") is None:
            return False
        return any(map(_PLACEHOLDER.search, (self.title, self.instructions)))

    def _usable_items(self) -> list[str]:
        found: dict[str, None] = {}
        raw = self.listed("for_each")
        for number, value in enumerate(raw, 1):
            item = as_text(value) or ""
            if len(item) > MAX_ITEM_CHARS:
                self.note("for_each", f"item {number} cut at {MAX_ITEM_CHARS} characters")
                item = item[:MAX_ITEM_CHARS]
            if not item:
                self.note("for_each", f"item {number} removed: {shown(value)}, not text")
            elif item in found:
                self.note("for_each", f"item {number} removed: there is one like it")
            else:
                found[item] = None
        if not found and isinstance(self._fields.get("for_each"), list):
            self.note("for_each", f"for_each ignored: {'no usable item' if raw else 'no item'}")
        return list(found)


class Expansion:
    """An entry's title and instructions, to be filled in with its items.

    An item is put in, never read: a placeholder inside an item stays as it is.
    """

    def __init__(self, title: str, instructions: str) -> None:
        self.cut = len(instructions) > MAX_INSTRUCTIONS_CHARS
        """True once instructions have lost some of their text."""
        self.plain_title = shortened(title, MAX_TITLE_CHARS)
        self.plain_instructions = instructions[:MAX_INSTRUCTIONS_CHARS]
        self._title = _PLACEHOLDER.split(self.plain_title)
        self._instructions = _PLACEHOLDER.split(self.plain_instructions)
        self._fixed_chars = sum(map(len, self._instructions))

    def title(self, item: str) -> str:
        """Return the title with `item` in it, or after it when it has no place for one."""
        if len(self._title) > 1:
            return shortened(item.join(self._title), MAX_TITLE_CHARS)
        room = max(MAX_TITLE_CHARS // 2, MAX_TITLE_CHARS - len(item) - 2)
        return shortened(f"{shortened(self.plain_title, room)}: {item}", MAX_TITLE_CHARS)

    def instructions(self, item: str) -> str:
        """Return the instructions with `item` in them, or on a line of its own at their end."""
        places = len(self._instructions) - 1
        if not places:
            return self._with_last_line(item)
        if self._fixed_chars + places * len(item) > MAX_INSTRUCTIONS_CHARS:
            self.cut = True
        # No more parts than can matter: thousands of places would make megabytes to cut off.
        parts = self._instructions[: MAX_INSTRUCTIONS_CHARS // len(item) + 2]
        return item.join(parts)[:MAX_INSTRUCTIONS_CHARS]

    def _with_last_line(self, item: str) -> str:
        room = MAX_INSTRUCTIONS_CHARS - len(item) - 1
        if self._fixed_chars > room:
            self.cut = True
        return f"{self.plain_instructions[:room]}\n{item}"


def as_text(value: object) -> str | None:
    """Return what a plan's value says as text, "" for nothing, None when it is no text at all."""
    match value:
        case None:
            return ""
        case str():
            return value.strip()
        case bool():
            return None
        case int() | float():
            return str(value)
        case _:
            return None


def shown(value: object) -> str:
    """Return `value` as a reason shows it: text in quotes, anything else by its kind alone, since
    deeply nested lists cannot even be written out.
    """
    match value:
        case str():
            return repr(value[:SHOWN_CHARS])
        case bool():
            return "true or false"
        case int() | float():
            return str(value)
        case list():
            return "a list"
        case None:
            return "null"
        case _:
            return "an object"


def shortened(text: str, limit: int) -> str:
    """Return `text` on one line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
