"""Cutting one ask into clauses that may each want a tool: “the weather in Paris and Rome, and the
time in Tokyo” has two, the first for two things.

By form alone. Stands above `wording` and below `tool_choosing`.
"""

import re
from dataclasses import dataclass, replace

_NAME = r"[A-Z][\w'’.-]*(?: [A-Z][\w'’.-]*)*"
_BREAK = re.compile(
    r"\s*[;\n]\s*|(?<=[.!?])\s+|,\s*(?:(?:and|or|then)\s+)*|\s+(?:and|or|then)\s+(?:then\s+)?",
    re.IGNORECASE,
)
_ONLY_NAME = re.compile(rf"(?:(?:in|for|of|about|at|on|from|to|near)\s+)?({_NAME})\s*[?.!]*")
_LAST_NAME = re.compile(rf"({_NAME})\s*[?.!]*$")


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of an ask that can stand alone."""

    text: str
    others: tuple[str, ...] = ()
    """Names that could stand in place of the one that the text ends with."""

    @property
    def variants(self) -> list[str]:
        """The text for each of the names."""
        match = _LAST_NAME.search(self.text)
        if match is None:
            return [self.text]
        start, end = match.span(1)
        named = [f"{self.text[:start]}{name}{self.text[end:]}" for name in self.others]
        return [self.text, *named]


def clauses(ask: str) -> list[Clause]:
    """The clauses of an ask, in order."""
    found: list[Clause] = []
    for piece in filter(None, map(str.strip, _BREAK.split(ask))):
        name = _ONLY_NAME.fullmatch(piece)
        if name and found and _LAST_NAME.search(found[-1].text):
            found[-1] = replace(found[-1], others=(*found[-1].others, name[1].rstrip(".")))
        else:
            found.append(Clause(piece))
    return found
