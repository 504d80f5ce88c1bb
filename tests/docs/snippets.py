"""The fenced blocks of the documentation: where they stand and what they say.

Knows Markdown's fences and nothing of what blocks are for; `page_session.py` runs them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_FENCE = re.compile(r"(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    page: str
    """Its file, from the root of the repository."""
    line: int
    """Of its opening fence, from 1."""
    language: str
    title: str
    """What the info string says after the language; empty: nothing."""
    text: str

    @property
    def place(self) -> str:
        """Where a person finds it."""
        return f"{self.page}:{self.line}"


def pages(root: Path = ROOT) -> list[str]:
    """Return the pages whose blocks are promises: the README, the site and the examples."""
    found = [root / "README.md", *root.glob("docs/**/*.md"), *root.glob("examples/**/*.md")]
    return sorted(path.relative_to(root).as_posix() for path in found)


def blocks_of(page: str, root: Path = ROOT) -> list[Block]:
    """Return the blocks of a page, in order."""
    return list(_blocks(page, (root / page).read_text("utf-8")))


def indented_blocks(page: str, root: Path = ROOT) -> list[str]:
    """Return the first line of each block that is code by its indentation alone, outside lists."""
    text = re.sub(
        r"^( *)(```+|~~~+).*?^ *\2 *$", "", (root / page).read_text("utf-8"), flags=re.M | re.S
    )
    parts = re.split(r"\n(?: *\n)+", text)
    in_list = re.compile(r" |[*+-] |\d+[.)] ")
    return [
        part.splitlines()[0].strip()
        for before, part in pairwise(["", *parts])
        if part.startswith("    ") and not in_list.match(before)
    ]


def _blocks(page: str, text: str) -> Iterator[Block]:
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if opening := _FENCE.fullmatch(line):
            language, _, title = opening["info"].strip().partition(" ")
            inner = _inner(page, number, opening, lines)
            yield Block(page, number, language.lower(), title.strip(), inner)


def _inner(page: str, began: int, opening: re.Match[str], lines: Iterator[tuple[int, str]]) -> str:
    closing = re.compile(rf" *{opening['fence'][0]}{{{len(opening['fence'])},}} *")
    indent, taken = len(opening["indent"]), list[str]()
    for _, line in lines:
        if closing.fullmatch(line):
            return "\n".join(taken) + "\n"
        # A block inside a list is written with the list's own indentation.
        taken.append(line[indent:] if line[:indent].isspace() else line)
    raise ValueError(f"{page}:{began}: the block is never closed")
