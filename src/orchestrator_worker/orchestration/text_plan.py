"""Plans written as text, for teams and servers without tools or structured output.

Owns the telling of a plan from the prose before it, and the reading of its XML form; JSON is
`PlanReader`'s. Entries leave under the schema's names and unchecked: the gate stands behind.
"""

import html
import re
from collections.abc import Iterable
from typing import Protocol, cast

from orchestrator_worker.orchestration.plan import PlanReader

OPENING_CHARS = 200
"""The longest opening of a plan is shorter, so no more prose than this is held back for one."""
MAX_HELD_CHARS = 20_000
"""How much may be held back beside an answer until a first entry tells a plan from an example."""
_SPACE = r"[ \t\r\n]{0,32}+"


def _word(text: str) -> list[str]:
    return [re.escape(letter) for letter in text]


def _fence(mark: str) -> list[str]:
    return [mark, mark, mark, mark + "{0,5}+", r"[ \t]{0,4}+", r"[\w+.-]{0,16}+", _SPACE]


# Each opening is a row of atoms. Both expressions below are made of them: the one that finds a
# whole opening and the one that finds every beginning of one at the end of a piece.
_FENCES = [_fence("`"), _fence("~")]
_OBJECTS = [
    [r"\{", _SPACE, *_word(f'"{key}"'), _SPACE, ":", _SPACE, r"\["] for key in ("subtasks", "tasks")
]
_ARRAYS = [
    [r"\[", _SPACE, r"\{", _SPACE, *_word(f'"{key}"'), _SPACE, ":"]
    for key in ("id", "title", "type", "instructions", "description")
]
_ELEMENTS = [
    [*_word(outer), _SPACE, *_word(inner)]
    for outer in ("<subtasks>", "<tasks>")
    for inner in ("<subtask>", "<task>")
]


def _whole(openings: Iterable[list[str]]) -> str:
    return "|".join("".join(atoms) for atoms in openings)


def _begun(openings: Iterable[list[str]], then: str = "") -> str:
    """Return an expression for every beginning of `openings`; `then` may follow whole ones."""
    branches: list[str] = []
    for atoms in openings:
        branch = then
        for atom in reversed(atoms):
            branch = f"(?:{atom}{branch})?"
        branches.append(branch)
    return f"(?:{'|'.join(branches)})"


_OPENING = re.compile(
    f"(?:{_whole(_FENCES)})?(?:(?P<object>{_whole(_OBJECTS)})"
    f"|(?P<array>{_whole(_ARRAYS)})|(?P<elements>{_whole(_ELEMENTS)}))"
)
_BARE_BEGUN = _begun([*_OBJECTS, *_ARRAYS, *_ELEMENTS])
_OPENING_BEGUN = re.compile(rf"(?:{_BARE_BEGUN}|{_begun(_FENCES, _BARE_BEGUN)})\Z")

_MARK = re.compile(r"<!\[CDATA\[|</?(?:sub)?task>|</(?:sub)?tasks>")
_CDATA_END = re.compile(r"\]\]>")
_MARK_BEGUN = re.compile(r"(?:<[!/\[A-Za-z]{0,9}|\]{1,2})\Z")
_MARK_CHARS = 12
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_TEXTS = ("description", "instructions")
_LISTS = ("depends_on", "for_each", "tools", "attachments")
_CHILD = re.compile(rf"<(id|title|type|tier|output|{'|'.join((*_TEXTS, *_LISTS))})>")
_MAY_END_ENTRY = re.compile(r"[}\],]")
_PART = re.compile(r"<(?:id|item)>(.*?)(?=</?(?:id|item)>|\Z)", re.DOTALL)


class _Reader(Protocol):
    closed: bool

    def feed(self, text: str) -> list[object]: ...


class _Candidate:
    """JSON in the midst of an answer, from its opening on, until its first entry shows whether it
    is a plan.
    """

    def __init__(self, opening: str) -> None:
        self.reader = PlanReader(inside=True)
        self.entries: list[object] = []
        self.is_plan: bool | None = None
        """None: it cannot be told yet."""
        self._pieces = [opening]
        self._room = MAX_HELD_CHARS - len(opening)

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def feed(self, text: str, at: int) -> int:
        """Read `text` from `at` on; returns where it was decided, or the end.

        One bracket or comma at a time: pieces cut anywhere are to be decided at the same place.
        """
        while self.is_plan is None and at < len(text):
            stop = min(len(text), at + self._room)
            sign = _MAY_END_ENTRY.search(text, at, stop)
            end = sign.end() if sign else stop
            piece = text[at:end]
            self._pieces.append(piece)
            self._room -= len(piece)
            self.entries = self.reader.feed(piece)
            if self.entries:
                self.is_plan = _is_whole(self.entries[0])
            elif self.reader.closed or not self._room:
                self.is_plan = False
            at = end
        return at


def _is_whole(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    fields = cast("dict[str, object]", entry)
    return bool(fields.get("title") and any(fields.get(name) for name in _TEXTS))


class TextPlan:
    """Tells a plan from the prose around it in a text that is cut anywhere: one pass, O(n).

    A plan begins where its list of entries does: an object whose first key is `subtasks` or
    `tasks`, an array of objects whose first key is one of an entry's, or a `<tasks>` element, each
    with a Markdown fence or without. Prose is passed on at once, but for an end that may be the
    beginning of such an opening; nothing after a plan is prose.
    """

    def __init__(self, *, beside_answers: bool = False) -> None:
        """`beside_answers`: the text may also be an answer, which may hold JSON of its own. Then an
        array and a list of `tasks` are a plan only at the very beginning, and a list of `subtasks`
        after words once its first entry has both a title and instructions.
        """
        self._beside_answers = beside_answers
        self._in_prose = False
        """True once words have been read."""
        self._held = ""
        self._candidate: _Candidate | None = None
        self._reader: _Reader | None = None

    @property
    def begun(self) -> bool:
        """True once a plan has been recognised."""
        return self._reader is not None

    @property
    def closed(self) -> bool:
        """True once its list has ended; all further text is dropped."""
        return self._reader is not None and self._reader.closed

    def feed(self, text: str) -> tuple[str, list[object]]:
        """Return the prose that is certainly no plan, and the entries that `text` completes."""
        if self._reader is not None:
            return "", self._read(self._reader, text)
        text, self._held = self._held + text, ""
        prose: list[str] = []
        at = 0
        while True:
            if self._candidate is None:
                opening = self._opening(text, at)
                if opening is None:
                    prose.append(self._certain(text, at))
                    return "".join(prose), []
                prose.append(text[at : opening.start()])
                if self._decides(opening):
                    self._reader, start = _reader_for(opening)
                    return "".join(prose), self._read(self._reader, text[start:])
                self._candidate = _Candidate(opening[0])
                at = opening.end()
            candidate = self._candidate
            at = candidate.feed(text, at)
            if candidate.is_plan is None:
                return "".join(prose), []
            self._candidate = None
            if candidate.is_plan:
                self._reader = candidate.reader
                entries = [_in_schema_names(entry) for entry in candidate.entries]
                return "".join(prose), entries + self._read(self._reader, text[at:])
            prose.append(candidate.text)

    def end(self) -> str:
        """Return the prose that was held back and is no plan after all."""
        held = self._candidate.text if self._candidate else self._held
        self._held, self._candidate = "", None
        return held

    def _certain(self, text: str, at: int) -> str:
        """Return the text from `at` on up to what may be the beginning of an opening."""
        held = _OPENING_BEGUN.search(text, max(at, len(text) - OPENING_CHARS))
        cut = held.start() if held else len(text)
        self._held = text[cut:]
        self._in_prose = self._in_prose or bool(text[at:cut].strip())
        return text[at:cut]

    def _opening(self, text: str, at: int) -> re.Match[str] | None:
        """Return the next opening that may be a plan's."""
        read = at
        while opening := _OPENING.search(text, at):
            self._in_prose = self._in_prose or bool(text[read : opening.start()].strip())
            if (
                not (self._beside_answers and self._in_prose)
                or opening["elements"]
                or '"subtasks"' in (opening["object"] or "")
            ):
                return opening
            at = read = opening.end() - 1
        return None

    def _decides(self, opening: re.Match[str]) -> bool:
        """Whether this opening is a plan's whatever comes after it."""
        return not (self._beside_answers and self._in_prose) or bool(opening["elements"])

    def _read(self, reader: _Reader, text: str) -> list[object]:
        return [_in_schema_names(entry) for entry in reader.feed(text)]


def _reader_for(opening: re.Match[str]) -> tuple[_Reader, int]:
    """Return the reader of the plan that `opening` begins, and where its part of the text does."""
    if opening["elements"]:
        return _ElementReader(), opening.start("elements")
    if opening["array"]:
        return PlanReader(inside=True), opening.start("array") + 1
    return PlanReader(inside=True), opening.end()


def _in_schema_names(entry: object) -> object:
    if not isinstance(entry, dict):
        return entry
    fields = cast("dict[str, object]", entry)
    if "description" in fields and "instructions" not in fields:
        fields["instructions"] = fields.pop("description")
    return fields


class _ElementReader:
    """Reads `<tasks>` in pieces cut anywhere: one pass, one `<task>` in memory."""

    def __init__(self) -> None:
        self.closed = False
        self._in_cdata = False
        self._in_entry = False
        self._held: list[str] = []
        self._tail: str = ""
        """The end of the last piece when it may be the beginning of a mark."""

    def feed(self, text: str) -> list[object]:
        found: list[object] = []
        piece, start, at = self._tail + text, 0, 0
        while not self.closed and (mark := self._pattern().search(piece, at)):
            at = mark.end()
            if mark[0] in ("<![CDATA[", "]]>"):
                self._in_cdata = not self._in_cdata
                continue
            found += self._entry_up_to(piece[start : mark.start()])
            start = at
            self._in_entry = not mark[0].startswith("</")
            self.closed = mark[0].endswith("s>")
        begun = _MARK_BEGUN.search(piece, max(at, len(piece) - _MARK_CHARS))
        cut = begun.start() if begun else len(piece)
        self._tail = piece[cut:]
        if self._in_entry:
            self._held.append(piece[start:cut])
        return found

    def _pattern(self) -> re.Pattern[str]:
        return _CDATA_END if self._in_cdata else _MARK

    def _entry_up_to(self, rest: str) -> list[object]:
        """Return the open entry, whether its own end has come or only the next one's beginning."""
        if not self._in_entry:
            return []
        text = "".join([*self._held, rest])
        self._held.clear()
        return [_fields(_CDATA.sub(lambda cdata: html.escape(cdata[1]), text))]


def _fields(text: str) -> dict[str, object]:
    fields: dict[str, object] = {}
    never_closed: set[str] = set()
    at = 0
    while child := _CHILD.search(text, at):
        name, start = child[1], child.end()
        end = _end_of(name, text, start, never_closed)
        fields[name] = _parts(name, text[start:end]) if name in _LISTS else _plain(text[start:end])
        at = end
    return fields or {"instructions": _plain(text)}


def _end_of(name: str, text: str, start: int, never_closed: set[str]) -> int:
    """Return where the child ends: at its own end, or at the next child's beginning when it has
    none. Only in long texts and lists may such a beginning stand before the end.
    """
    end = -1
    if name in (*_TEXTS, *_LISTS) and name not in never_closed:
        end = text.find(f"</{name}>", start)
    if end >= 0:
        return end
    never_closed.add(name)
    sibling = _CHILD.search(text, start)
    while name == "depends_on" and sibling and sibling[1] == "id":
        sibling = _CHILD.search(text, sibling.end())
    limit = sibling.start() if sibling else len(text)
    end = text.find(f"</{name}>", start, limit)
    return end if end >= 0 else limit


def _parts(name: str, text: str) -> list[str]:
    parts = _PART.findall(text) or re.split(r"[,\s]+" if name == "depends_on" else r"[,\n]", text)
    return [part for part in map(_plain, parts) if part]


def _plain(text: str) -> str:
    try:
        return html.unescape(text).strip()
    except ValueError:  # the number of a character, thousands of digits long
        return text.strip()
