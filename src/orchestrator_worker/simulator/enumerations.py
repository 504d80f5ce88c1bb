"""Splitting one ask that names several things: languages, things to compare, two sides, a list."""

import re
from collections.abc import Callable

from orchestrator_worker.simulator.part import SLOT, Part
from orchestrator_worker.simulator.wording import (
    as_sentence,
    capitalised,
    clipped,
    is_ask,
    without_courtesy,
)

_TAIL = re.compile(
    r"\s+(?=(?:in terms of|with respect to|with regard"
    r" to|regarding|about|for|by|on|in|with|from|using|as)\b)",
    re.IGNORECASE,
)
_HEAD = re.compile(
    r"^(.*\b(?:about|of|for|in|on|between|with|into|to|from|following|both|compare)\b:?"
    r"|[^:]*:|\w+(?: me| us)?)\s+(.+)$",
    re.IGNORECASE | re.DOTALL,
)
_AND = re.compile(r",\s*(?:and|or)\s+|\s+(?:and|or|&|versus|vs\.?)\s+|,\s+", re.IGNORECASE)
_TRANSLATE = re.compile(
    r"^(.*\btranslat\w+\b.*?\b(?:into|to)\b)\s+(.+)$", re.IGNORECASE | re.DOTALL
)
_COMPARE = re.compile(
    r"\bcompar(?:e|ing|ison of|ison between)\b\s+(.+)$", re.IGNORECASE | re.DOTALL
)
_PROS = re.compile(
    r"\b(pros|advantages|benefits|strengths|upsides)\s+(?:and|&)\s+(?:the\s+)?"
    r"(cons|disadvantages|drawbacks|risks|weaknesses|downsides|costs)\b",
    re.IGNORECASE,
)


def enumerated_parts(ask: str) -> list[Part]:
    """The parts that one ask enumerates, none when it is whole."""
    forms: tuple[Callable[[str], list[Part]], ...] = (
        _translated,
        _compared,
        _for_and_against,
        _enumerated,
    )
    text = without_courtesy(ask)
    for form in forms:
        if found := form(text):
            return found
    return []


def _items(text: str) -> list[str]:
    return [item.strip() for item in _AND.split(text.strip().rstrip(".?!")) if item.strip()]


def _translated(ask: str) -> list[Part]:
    match = _TRANSLATE.match(ask)
    languages = _items(match[2].split(":")[0]) if match else []
    if match is None or len(languages) < 2:
        return []
    rest = match[2].partition(":")[2]
    pattern = as_sentence(f"{match[1]} {SLOT}{':' if rest else ''}{rest}")
    return [_alike(language, pattern) for language in languages]


def _alike(item: str, pattern: str) -> Part:
    return Part(capitalised(item), pattern.replace(SLOT, item), item=item, pattern=pattern)


def _compared(ask: str) -> list[Part]:
    match = _COMPARE.search(ask)
    if match is None:
        return []
    compared = re.sub(r"\s+(?:with|to|against)\s+", " and ", match[1], count=1)
    # What stands behind a colon is what to compare them by.
    before, colon, criteria = compared.partition(":")
    named, tail = _tail(before)
    items = _items(named)
    if len(items) < 2:
        return []
    tail += f"{colon}{criteria.rstrip('.?! ')}"
    *first, last = items
    pattern = f"Describe {SLOT}{tail}, for a comparison of {', '.join(first)} and {last}."
    return [
        Part(
            capitalised(item),
            f"Describe {item}{tail}, so that it can be compared with "
            f"{' and '.join(other for other in items if other != item)}.",
            item=item,
            pattern=pattern,
        )
        for item in items
    ]


def _tail(text: str) -> tuple[str, str]:
    """An enumeration and what is said about all of its items."""
    text = text.strip().rstrip(".?!")
    last = max((match.end() for match in _AND.finditer(text)), default=0)
    match = _TAIL.search(text, last)
    return (text[: match.start()], " " + text[match.end() :]) if match else (text, "")


def _for_and_against(ask: str) -> list[Part]:
    match = _PROS.search(ask)
    if match is None:
        return []
    before, after = ask[: match.start()], ask[match.end() :]
    return [
        Part(
            f"{capitalised(side)} {clipped(after.rstrip('.?!'), 50)}",
            as_sentence(f"{before}{side}{after}"),
        )
        for side in (match[1], match[2])
    ]


def _enumerated(ask: str) -> list[Part]:
    named, tail = _tail(ask)
    first, *rest = _items(named) or [""]
    match = _HEAD.match(first)
    if len(rest) < 2 or match is None or not is_ask(ask):
        return []
    end = "?" if ask.rstrip().endswith("?") else "."
    pattern = as_sentence(f"{match[1]} {SLOT}{tail}{end}")
    return [_alike(item, pattern) for item in (match[2], *rest)]
