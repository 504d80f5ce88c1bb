"""One part of a request, and parts that are the same work on several things."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

SLOT = "\0"
"""Stands in a pattern where the thing stands that the part is about."""
MIN_ALIKE = 3
"""Parts of one pattern from which on one entry for all of them is shorter."""
MAX_ITEM = 60
"""Characters of a thing in a list of short things."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a request."""

    title: str
    instruction: str
    depends: bool = False
    """Whether it builds on the parts before it."""
    refs: tuple[str, ...] = ()
    """Ids of the attached texts it is about."""
    id: str = ""
    """Its id in a plan. Empty: by its number."""
    item: str = ""
    pattern: str = ""
    """The instruction with `SLOT` in place of the item, the same for all parts that differ in
    nothing else. Empty: the part stands alone."""
    each: tuple[str, ...] = ()
    """The items of a part that stands for several."""


def joined(parts: Iterable[Part], placeholder: str) -> list[Part]:
    """The parts with those that are alike made one, whose words hold the placeholder."""
    found: list[Part] = []
    for pattern, run in groupby(parts, key=lambda part: part.pattern):
        alike = list(run)
        items = tuple(dict.fromkeys(part.item for part in alike))
        fits = all(len(item) <= MAX_ITEM and "{{" not in item for item in items)
        # A title is written once for all of them, so each must read well as one.
        fits = fits and all(part.title == part.item for part in alike)
        if pattern and fits and len(items) >= MIN_ALIKE and placeholder not in pattern:
            found.append(Part(placeholder, pattern.replace(SLOT, placeholder), each=items))
        else:
            found += alike
    return found
