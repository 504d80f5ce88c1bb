"""Splitting one ask that names several things: languages, things to compare, two sides, a list."""

import re
from collections.abc import Callable
from dataclasses import replace

from orchestrator_worker.simulator.languages import colon_list, phrases_for
from orchestrator_worker.simulator.part import SLOT, Part
from orchestrator_worker.simulator.wording import (
    as_sentence,
    capitalised,
    clipped,
    is_ask,
    listed,
    without_courtesy,
)

_TAIL = re.compile(
    r",?\s+(?=(?:in terms of|with respect to|with regard"
    r" to|regarding|about|for|by|on|in|with|from|using|as)\b)",
    re.IGNORECASE,
)
_HEAD = re.compile(
    r"^(.*\b(?:about|of|for|in|on|between|with|into|to|from|following|both|compare)\b:?"
    r"|[^:]*:|\w+(?: me| us)?)\s+(.+)$",
    re.IGNORECASE | re.DOTALL,
)
_CONJUNCTION = re.compile(r"\s(?:and|or|&|versus|vs\.?)\s", re.IGNORECASE)
_ASIDE = re.compile(r"\b(?:who|whom|whose|that|which|where|with|without)\s.*$", re.IGNORECASE)
"""A clause about the thing that is asked for, which is not what is asked for."""
_CHECK = re.compile(
    r"^(?:review|check|examine|test|proofread|analy[sz]e|evaluate|assess|inspect|search|verify)\b",
    re.IGNORECASE,
)
_POINTS_BACK = re.compile(r"\b(?:it|its|they|them|their|this|that|these|those|us)\b", re.IGNORECASE)
_SETTING = re.compile(r"\s(for|in)\s(?:it|this|that|us|them)(?=[:,.?]|$)", re.IGNORECASE)
_AND = re.compile(r",\s*(?:and|or)\s+|\s+(?:and|or|&|versus|vs\.?)\s+|,\s+", re.IGNORECASE)
_TRANSLATE = re.compile(
    r"^(.*\btranslat\w+\b.*?\b(?:into|to)\b)\s+(.+)$", re.IGNORECASE | re.DOTALL
)
_COMPARE = re.compile(
    r"\bcompar(?:e|ing|ison of|ison between)\b\s+(.+)$", re.IGNORECASE | re.DOTALL
)
_COUNTED = re.compile(
    r"(?:the |these |some |several )*"
    r"(?:following|two|three|four|five|six|seven|eight|nine|ten|some|several|\d+)\b",
    re.IGNORECASE,
)
"""What begins like this is not one of the things, but what all of them are."""
_PROS = re.compile(
    r"\b(pros|advantages|benefits|strengths|upsides)\s+(?:and|&)\s+(?:the\s+)?"
    r"(cons|disadvantages|drawbacks|risks|weaknesses|downsides|costs)\b",
    re.IGNORECASE,
)


def enumerated_parts(ask: str, setting: str = "", rest: str = "") -> list[Part]:
    """The parts that one ask enumerates, none when it is whole.

    Args:
        ask: One sentence.
        setting: What was said before it, which it may point back to.
        rest: What was said after it and is no ask of its own.
    """
    if foreign := _foreign(ask, rest):
        return foreign
    points_back = bool(setting and _POINTS_BACK.search(ask))
    if points_back:
        # “for it” says nothing to somebody who reads only this.
        ask = _SETTING.sub(r" \1 this setting", ask, count=1)
    found = _english(ask)
    return [_placed(part, setting) for part in found] if points_back else found


def _placed(part: Part, setting: str) -> Part:
    added = f" The setting: “{clipped(setting, 200)}”"
    pattern = part.pattern + added if part.pattern else ""
    return replace(part, instruction=part.instruction + added, pattern=pattern)


def _foreign(ask: str, rest: str) -> list[Part]:
    before, items = colon_list(ask)
    if not items or not is_ask(ask):
        return []
    pattern = f"{before}: {phrases_for(ask).only} {SLOT}. {rest}".strip()
    return [_alike(item, pattern) for item in items]


def _english(ask: str) -> list[Part]:
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
    compared = match[1]
    if not _COUNTED.match(compared):
        compared = re.sub(r"\s+(?:with|to|against)\s+", " and ", compared, count=1)
    # What stands behind a colon is what to compare them by, or else the things themselves.
    before, colon, criteria = compared.strip().rstrip(".?! ").partition(":")
    named, tail = _tail(before)
    items = _items(named)
    if len(items) < 2:
        items = _items(criteria)
        tail, colon, criteria = f" as one of {before}" if len(items) > 1 else "", "", ""
    if len(items) < 2:
        return []
    points = f"{colon}{criteria}."
    pattern = f"Describe {SLOT}{tail}, for a comparison of {listed(items)}{points}"
    return [
        Part(
            capitalised(item),
            f"Describe {item}{tail}, so that it can be compared with "
            f"{' and '.join(other for other in items if other != item)}{points}",
            item=item,
            pattern=pattern,
        )
        for item in items
    ]


def _tail(text: str) -> tuple[str, str]:
    """An enumeration and what is said about all of its items."""
    text = text.strip().rstrip(".?!")
    # A list ends with its first “and”; one without goes on to its last comma.
    conjunction = _CONJUNCTION.search(text)
    commas = (match.end() for match in _AND.finditer(text))
    match = _TAIL.search(text, conjunction.end() if conjunction else max(commas, default=0))
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
    head, items = match[1], [match[2], *rest]
    preposition = head.split()[-1].lower()
    repeated = all(item.lower().startswith(f"{preposition} ") for item in rest)
    if repeated:
        items = [items[0], *(item[len(preposition) + 1 :] for item in rest)]
    if _ASIDE.search(first) or (preposition == "for" and not _asked_for(head, items, repeated)):
        return []
    end = "?" if ask.rstrip().endswith("?") else "."
    pattern = as_sentence(f"{head} {SLOT}{tail}{end}")
    return [_alike(item, pattern) for item in items]


def _asked_for(head: str, items: list[str], repeated: bool) -> bool:
    """Whether what stands behind “for” divides the work, and does not just say whom it is for."""
    names = all(item[:1].isupper() for item in items)
    return repeated or names or bool(_CHECK.match(head))
