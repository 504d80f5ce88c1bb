"""Splitting an ask into its real parts, by its form: lists, sections, files, several asks,
enumerations.

Each part can be understood alone, in the user's own words.
"""

import re
from dataclasses import replace

from orchestrator_worker.simulator.conversation import Conversation
from orchestrator_worker.simulator.enumerations import enumerated_parts
from orchestrator_worker.simulator.part import SLOT, Part
from orchestrator_worker.simulator.wording import (
    IMPERATIVES,
    as_sentence,
    clipped,
    is_ask,
    list_items,
    sections,
    sentences,
    short,
    title_of,
    without_courtesy,
    words,
)

MAX_PARTS = 20
EXCERPT = 160
"""Characters of a section that its task quotes."""

_PLACES = "(?:sub)?section|chapter|part|heading|paragraph|clause|article|point"
_EACH = re.compile(
    r"\b(?:each|every|all|both|any)\b(?: one)?(?: of)?(?: (?:the|these|those|its|my))*(?: \w+)? "
    rf"(?P<what>{_PLACES})s?\b",
    re.IGNORECASE,
)
_ONE_BY_ONE = re.compile(rf",?\s+(?P<what>{_PLACES}) (?:by|for) (?P=what)\b,?", re.IGNORECASE)
_EACH_FILE = re.compile(
    r"\b(?:each|every|all|both|these|those|the)\b(?: one)?(?: of)?(?: (?:the|these|those|my|\d+))*"
    r"(?: \w+){0,2}? (?:attachment|document|file|contract|report|letter|invoice|review"
    r"|email|page|paper|resume|cv)s?\b",
    re.IGNORECASE,
)
_FILE = re.compile(r"\b[\w-]+\.(?:pdf|txt|md|docx?|csv|json|html?|py|xlsx?|log|eml)\b")
_THEN = re.compile(
    r"(?:[,;]\s*|\.\s+|\s+and\s+|\s+)(?=(?:and )?(?:then|finally|lastly|afterwards|after"
    r" that|in the end"
    r"|based on (?:that|this|these|those|it|them))\b)",
    re.IGNORECASE,
)
_VERBS = "|".join(sorted(IMPERATIVES))
_NEXT_ASK = re.compile(
    rf"(?:,\s*(?:and\s+)?|;\s*(?:and\s+)?|\s+and\s+)(?:also\s+)?(?=(?:{_VERBS})\b)", re.IGNORECASE
)
_INLINE_NUMBER = re.compile(r"(?:^|[\s:])\(?(?:\d{1,2}|[a-h])\)\s+")
_FIRST = re.compile(
    r"^(?:first(?:ly)?(?: of all)?|to (?:begin|start) with|(?:begin|start) by)\b,?\s+",
    re.IGNORECASE,
)
_LAST = re.compile(
    r",?\s*\b(?:(?:at|in) the (?:very )?end|in conclusion|to conclude|all in all)\b,?",
    re.IGNORECASE,
)
_VERDICT = re.compile(
    r"^(?:say|tell|decide|judge|state|conclude|recommend)\b.*\b(?:whether|which|if)\b",
    re.IGNORECASE,
)
_POINTS_BACK = re.compile(
    r"\b(?:it|its|they|them|their|this|that|these|those|which|there)\b", re.IGNORECASE
)


def parts_of(conversation: Conversation) -> list[Part]:
    """The parts of what is asked; a single one when it has none."""
    main, tails = _without_tails(conversation.ask)
    setting, first = _first_step(main) if tails else ("", main)
    found = (
        _by_section(main, conversation)
        or _by_file(main, conversation)
        or _by_list(main)
        or [
            replace(part, instruction=part.instruction + _about(setting)) if setting else part
            for part in _by_ask(first, one_piece=bool(conversation.code))
        ]
    )
    later = [_later(tail, setting or main) for tail in tails]
    return [*found, *later][:MAX_PARTS]


def _without_tails(ask: str) -> tuple[str, list[str]]:
    """The ask, and what is to be done after it."""
    if list_items(ask):
        return ask, []
    main, *tails = _THEN.split(ask)
    kept = [tail for tail in tails if len(words(without_courtesy(tail))) > 1]
    return (main, kept) if words(main) else (ask, [])


def _first_step(main: str) -> tuple[str, str]:
    """What is said before the first of several steps, and that step."""
    said = sentences(main)
    for number, sentence in enumerate(said):
        step = _FIRST.sub("", sentence)
        if step != sentence and is_ask(step):
            return " ".join(said[:number]), " ".join([step, *said[number + 1 :]])
    return "", main


def _later(tail: str, main: str) -> Part:
    text = without_courtesy(tail.removeprefix("and "))
    about = f"Build on the earlier results of “{clipped(main, 200)}”."
    return Part(title_of(text), f"{as_sentence(text)} {about}", depends=True)


def _by_section(ask: str, conversation: Conversation) -> list[Part]:
    match = _EACH.search(ask) or _ONE_BY_ONE.search(ask)
    found = [s for text in conversation.documents for s in sections(text)]
    unique = list({section.heading: section for section in found}.values())
    if not match or len(unique) < 2:
        return []
    form, kind = match.re, match["what"].lower()
    sentence = without_courtesy(next((s for s in sentences(ask) if form.search(s)), ask))
    one = f"the {kind} “{{}}”" if form is _EACH else f", only the {kind} “{{}}”,"
    return [
        Part(
            short(section.heading),
            as_sentence(form.sub(lambda _, h=section.heading: one.format(h), sentence, count=1))
            + f" It begins: “{clipped(section.text, EXCERPT)}”",
        )
        for section in unique
    ]


def _by_file(ask: str, conversation: Conversation) -> list[Part]:
    attached = [block for block in conversation.blocks if block.kind == "document" and block.title]
    names = [block.title for block in attached]
    keys = tuple(block.attributes.get("id") or block.title for block in attached)
    if len(names) < 2:
        # Blocks have no ids that a plan could refer to.
        names, keys = [d.title for d in conversation.attachments if d.title], ()
    if len(names) < 2:
        names = list(dict.fromkeys(_FILE.findall(conversation.request)))
        keys = tuple(names)
    match = _EACH_FILE.search(ask)
    if len(names) < 2 or not match:
        return []
    sentence = without_courtesy(next((s for s in sentences(ask) if _EACH_FILE.search(s)), ask))
    return [
        Part(
            name,
            as_sentence(_EACH_FILE.sub(lambda _, n=name: f"the attached “{n}”", sentence, count=1)),
            refs=keys[number : number + 1],
        )
        for number, name in enumerate(names)
    ]


def _by_list(ask: str) -> list[Part]:
    items = list_items(ask)
    intro = next((line.strip() for line in ask.splitlines() if line.strip()), "")
    if len(items) < 2:
        pieces = [piece.strip(" ,;") for piece in _INLINE_NUMBER.split(ask)]
        intro, items = pieces[0], [piece for piece in pieces[1:] if piece]
    if len(items) < 2:
        return []
    return [_item(item, "" if intro.endswith(items[0]) else intro) for item in items]


def _item(item: str, intro: str) -> Part:
    if is_ask(item) or not intro:
        text = as_sentence(without_courtesy(item))
        return Part(
            short(text), text + (_about(intro) if _POINTS_BACK.search(text) and intro else "")
        )
    pattern = f"{without_courtesy(intro).rstrip(':. ')}, only this one: {SLOT}"
    return Part(
        short(item), pattern.replace(SLOT, as_sentence(item)), item=item, pattern=f"{pattern}."
    )


def _about(ask: str) -> str:
    return f" This belongs to: “{clipped(ask, 200)}”."


def _by_ask(ask: str, *, one_piece: bool) -> list[Part]:
    """The parts by sentences that ask. What is `one_piece` is only divided by an enumeration:
    several asks about the same code need each other.
    """
    said = sentences(ask)
    asks = [s for s in said if is_ask(s)]
    if not asks:
        return [_whole(ask)]
    start = said.index(asks[0])
    pieces = [piece for sentence in asks for piece in _joined_asks(sentence)]
    rest = " ".join(s for s in said[start + 1 :] if not is_ask(s))
    divided = [enumerated_parts(pieces[0], " ".join(said[:start]), rest)]
    divided += [enumerated_parts(piece) for piece in pieces[1:]]
    if len(pieces) == 1 or (one_piece and not any(divided)):
        return divided[0] or [_whole(ask)]
    found = divided[0] or [_whole(pieces[0])]
    for piece, parts in zip(pieces[1:], divided[1:], strict=True):
        found += parts or [_one_more(piece, ask, found)]
    return found


def _one_more(piece: str, ask: str, before: list[Part]) -> Part:
    """One more ask; what it asks for at the end builds on what was asked for before."""
    text = _LAST.sub("", piece).strip()
    verdict = len(before) > 2 and _VERDICT.search(text)
    part = _self_contained(_whole(text), ask)
    return replace(part, depends=True) if text != piece or verdict else part


def _whole(ask: str) -> Part:
    asked = next((s for s in sentences(ask) if is_ask(s)), ask)
    return Part(title_of(asked), as_sentence(without_courtesy(ask)))


def _self_contained(part: Part, ask: str) -> Part:
    """The part with the whole ask quoted when its own words do not say what it is about."""
    brief = len(words(part.instruction)) < 6
    if not brief and not _POINTS_BACK.search(part.instruction):
        return part
    return replace(part, instruction=part.instruction + _about(ask))


def _joined_asks(sentence: str) -> list[str]:
    """Asks that one sentence joins. A verb alone is no ask: “compare and contrast”."""
    pieces = [without_courtesy(piece) for piece in _NEXT_ASK.split(sentence)]
    return pieces if all(len(words(piece)) > 1 for piece in pieces) else [sentence]
