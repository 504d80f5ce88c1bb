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
    r"\b(?:summar|overview|key|main|important|this|attached|above|document|text)", re.IGNORECASE
)


def relevant_passage(conversation: Conversation) -> str:
    """Two to four sentences about the instruction, an empty string when there are none."""
    asked = conversation.ask
    found = _section_named(asked, conversation.documents) or _by_overlap(asked, conversation)
    if not found and _ABOUT_ALL.search(asked):
        found = [s for text in conversation.documents for s, _ in _statements(text)]
    return " ".join(_ended(sentence) for sentence in found[:MAX_SENTENCES])


def _section_named(asked: str, documents: list[str]) -> list[str]:
    known = [section for text in documents for section in sections(text)]
    named = [s for s in known if re.search(rf"\b{re.escape(s.heading)}\b", asked, re.IGNORECASE)]
    if not named:
        return []
    section = max(named, key=lambda s: len(s.heading))
    return list_items(section.text) or sentences(section.text)


def _by_overlap(asked: str, conversation: Conversation) -> list[str]:
    wanted = content_words(asked)
    needed = 1 if len(wanted) <= 2 else 2
    known = dict(found for text in conversation.documents for found in _statements(text))
    scored = [(len(meant & wanted), sentence) for sentence, meant in known.items()]
    best = sorted((score for score, _ in scored if score >= needed), reverse=True)[:MAX_SENTENCES]
    return [sentence for score, sentence in scored if best and score >= best[-1]]


@lru_cache(maxsize=16)
def _statements(text: str) -> tuple[tuple[str, frozenset[str]], ...]:
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
