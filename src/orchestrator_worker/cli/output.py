"""What commands print: a table that fits a terminal, or JSON for programs."""

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

NARROW = 80
"""Columns of a terminal that does not say how wide it is."""


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2))


def print_table(rows: Sequence[Sequence[str] | str], indent: str = "") -> None:
    """Print rows in aligned columns, the last one wrapped within its own; a text is a heading."""
    cells = [row for row in rows if not isinstance(row, str)]
    widths = [max(map(len, column)) for column in list(zip(*cells, strict=True))[:-1]]
    for row in rows:
        for line in [row] if isinstance(row, str) else _lines(row, widths, indent):
            print(line)


def _lines(row: Sequence[str], widths: Sequence[int], indent: str) -> Iterator[str]:
    *cells, text = row
    pairs = zip(cells, widths, strict=True)
    head = indent + "".join(f"{cell:<{width}}  " for cell, width in pairs)
    room = max(20, _width() - len(head))
    first, *others = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [
        ""
    ]
    yield (head + first).rstrip()
    for line in others:
        yield " " * len(head) + line


def _width() -> int:
    return min(shutil.get_terminal_size((NARROW, 24)).columns, 120)
