"""Finding the sentences of a conversation that an instruction is about."""

import re
from functools import lru_cache

from orchestrator_worker.simulator.conversation import Conversation
from orchestrator_worker.simulator.wording import (
    content_words,
    is_ask,
    list_items,
    sections,
    sentences,
)

MAX_SENTENCES = 4
_ABOUT_ALL = re.compile(
    r"\b(?:summar|overview|key|main|important|this|attached|above|document|text|zusammenfass|fasse\b|résum|resum)",
    re.IGNORECASE,
)
_NUMBERS = ("one", "two", "three", "four")
_COUNT = re.compile(rf"\b({'|'.join(_NUMBERS)}|\d)[ -]sentences?\b", re.IGNORECASE)


def relevant_passage(conversation: Conversation) -> str:
    """Some sentences about the instruction, as many as it asks for and four at most; an empty
    string when there are none.
    """
    asked = conversation.ask
    texts = _attachment_named(conversation) or conversation.documents
    found = _section_named(asked, texts) or _by_overlap(asked, texts)
    if not found and _ABOUT_ALL.search(asked):
        found = [s for text in texts for s, _ in statements(text)]
    return " ".join(_ended(sentence) for sentence in found[: _count_in(asked)])


def _count_in(asked: str) -> int:
    match = _COUNT.search(asked)
    if match is None:
        return MAX_SENTENCES
    said = match[1].lower()
    return min(int(said) if said.isdecimal() else _NUMBERS.index(said) + 1, MAX_SENTENCES) or 1


def _section_named(asked: str, documents: list[str]) -> list[str]:
    known = [section for text in documents for section in sections(text)]
    quoted = [s for s in known if re.search(rf"[“\"]{re.escape(s.heading)}[”\"]", asked)]
    named = quoted or [
        s for s in known if re.search(rf"(?<!\w){re.escape(s.heading)}(?!\w)", asked, re.IGNORECASE)
    ]
    if not named:
        return []
    section = max(named, key=lambda s: len(s.heading))
    return list_items(section.text) or sentences(section.text)


def _attachment_named(conversation: Conversation) -> list[str]:
    """The texts of the attached documents whose titles the instruction has."""
    named = (d for d in conversation.attachments if d.title and d.title in conversation.ask)
    return [document.text for document in named if document.text]


def _by_overlap(asked: str, texts: list[str]) -> list[str]:
    wanted = content_words(asked)
    needed = 1 if len(wanted) <= 2 else 2
    known = dict(found for text in texts for found in statements(text))
    scored = [(len(meant & wanted), sentence) for sentence, meant in known.items()]
    best = sorted((score for score, _ in scored if score >= needed), reverse=True)[:MAX_SENTENCES]
    return [sentence for score, sentence in scored if best and score >= best[-1]]


@lru_cache(maxsize=16)
def statements(text: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """The sentences that state something, with the words that carry their meaning.

    Kept, because many calls are about the same long document.
    """
    headings = {section.heading for section in sections(text)}
    return tuple(
        (sentence, frozenset(content_words(sentence)))
        for sentence in sentences(text)
        if len(sentence) > 15 and not is_ask(sentence) and sentence not in headings
    )


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?", "…", ":")) else f"{sentence}."
