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
"""The longest opening of a plan is shorter, so no more prose than this is ever held back."""
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
_PART = re.compile(r"<(?:id|item)>(.*?)(?=</?(?:id|item)>|\Z)", re.DOTALL)


class _Reader(Protocol):
    closed: bool

    def feed(self, text: str) -> list[object]: ...


class TextPlan:
    """Tells a plan from the prose around it in a text that is cut anywhere: one pass, O(n).

    A plan begins where its list of entries does: an object whose first key is `subtasks` or
    `tasks`, an array of objects whose first key is one of an entry's, or a `<tasks>` element, each
    with a Markdown fence or without. Prose is passed on at once, but for an end that may be the
    beginning of such an opening; nothing after a plan is prose.
    """

    def __init__(self, *, beside_answers: bool = False) -> None:
        """`beside_answers`: the text may also be an answer, which may hold JSON of its own. Then an
        array and a list of `tasks` are a plan only at the very beginning.
        """
        self._beside_answers = beside_answers
        self._in_prose = False
        """True once words have been passed on."""
        self._held = ""
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
        text = self._held + text
        opening = self._opening(text)
        if opening is None:
            held = _OPENING_BEGUN.search(text, max(0, len(text) - OPENING_CHARS))
            cut = held.start() if held else len(text)
            self._held = text[cut:]
            self._in_prose = self._in_prose or bool(text[:cut].strip())
            return text[:cut], []
        self._held = ""
        self._reader, start = _reader_for(opening)
        return text[: opening.start()], self._read(self._reader, text[start:])

    def end(self) -> str:
        """Return the prose that was held back and is no plan after all."""
        held, self._held = self._held, ""
        return held

    def _opening(self, text: str) -> re.Match[str] | None:
        at = 0
        while opening := _OPENING.search(text, at):
            sure = opening["elements"] or '"subtasks"' in (opening["object"] or "")
            if (
                sure
                or not self._beside_answers
                or not (self._in_prose or text[: opening.start()].strip())
            ):
                return opening
            at = opening.end() - 1
        return None

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
