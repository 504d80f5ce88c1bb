"""Finding data blocks like `<name attr="…">…</name>` in a text, and telling what they are by their
form.

The name may carry any suffix, such as a nonce. Knows no particular name: words for results,
documents and instructions are the common ones of the genre.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Literal

Kind = Literal["result", "document", "instruction"]

_BLOCK = re.compile(
    r"<(?P<name>[A-Za-z][\w.:-]*)(?P<attributes>(?:\s+[\w:.-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*)\s*"
    r"(?:/>|>(?P<text>.*?)</(?P=name)(?:\s[^>]*)?>)",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"([\w:.-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_MARKUP_NAMES = (
    "a abbr b body br code div em h1 h2 h3 h4 head html i img li ol p pre s script span"
    " strong style"
    " table tbody td th thead tr u ul"
)
_MARKUP = frozenset(_MARKUP_NAMES.split())
_RESULT = re.compile(
    r"result|finding|output|answer|response|report|part|section|piece|missing|gap|fail"
)
_DOCUMENT = re.compile(
    r"attach|doc|file|source|page|context|index|conversation|history|material|excerpt"
)
_INSTRUCTION = re.compile(r"task|instruct|request|question|query|ask|goal|prompt|message|user")
_BAD = re.compile(
    r"fail|missing|error|timed?.?out|skip|refus|cancel|gap|unavailable|incomplete", re.IGNORECASE
)
_TITLES = ("title", "heading", "label", "subject", "name", "topic", "subtask", "filename", "id")
_REASONS = ("reason", "error", "why", "cause", "detail", "details", "message")


@dataclass(frozen=True, slots=True)
class TaggedBlock:
    """A data block of a text."""

    name: str
    attributes: dict[str, str]
    text: str

    @property
    def title(self) -> str:
        """Its title-like attribute, else an empty string."""
        return _first(self.attributes, _TITLES)

    @property
    def reason(self) -> str:
        """Why it is missing, as far as it says."""
        return _first(self.attributes, _REASONS) or (self.text if self.failed else "")

    @property
    def failed(self) -> bool:
        """Whether it stands for something that is not there."""
        status = _first(self.attributes, ("status", "state", "outcome"))
        return not self.text or bool(_BAD.search(status) or _BAD.search(self.name))

    @property
    def kind(self) -> Kind:
        """What it is, by its attributes and its name."""
        name = self.name.lower()
        if self.attributes.keys() & {"status", "state", "outcome", "reason"}:
            return "result"
        if _DOCUMENT.search(name) or self.attributes.keys() & {"filename", "media_type", "size"}:
            return "document"
        if _RESULT.search(name):
            return "result"
        if _INSTRUCTION.search(name):
            return "instruction"
        return "result" if self.title else "document"


def _first(attributes: dict[str, str], keys: tuple[str, ...]) -> str:
    return next((attributes[key].strip() for key in keys if attributes.get(key)), "")


def tagged_blocks(text: str) -> list[TaggedBlock]:
    """The outermost data blocks of a text, in order; a block that only holds blocks counts as
    those.
    """
    return list(_found(text))


def _found(text: str) -> Iterator[TaggedBlock]:
    for match in _BLOCK.finditer(text):
        if match["name"].lower() in _MARKUP:
            continue
        inner = match["text"] or ""
        attributes = {
            found[1].lower(): unescape(found[2] or found[3] or "")
            for found in _ATTRIBUTE.finditer(match["attributes"])
        }
        children = list(_found(inner))
        if children and not outside_blocks(inner).strip():
            yield from children
        else:
            yield TaggedBlock(match["name"], attributes, inner.strip())


def outside_blocks(text: str) -> str:
    """The text without its data blocks."""
    return _BLOCK.sub(lambda found: found[0] if found["name"].lower() in _MARKUP else "\n", text)
