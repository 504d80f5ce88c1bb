"""Words and sentences: splitting text, telling an ask from a statement, naming things. Owns no
state.

By rules of thumb, for English; of other languages only the usual verbs of an ask are known. A text
they do not understand is one sentence and one ask.
"""

import re
from typing import NamedTuple


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SENTENCE_END = re.compile(r"(?<=[.!?])[\"”’)]?\s+(?=[\"“„«(¿¡]?[A-Z0-9À-ÖØ-Þ])|\n+")
_WRAPPED = re.compile(r"(?<=[^\n]{50})\n[ \t]*(?![-*•#>|`\s]|\d{1,2}[.)]\s)")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|vs|Mr|Mrs|Ms|Dr|No|approx|etc|Inc|Ltd)\.$")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)]|\(?[a-z0-9]\))\s+")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
_NUMBERED_HEADING = re.compile(
    r"^((?:Section|Chapter|Article|Part|Clause)\s+\w+[.:]?[^\n]{0,60}"
    r"|\d{1,2}\.\s+[A-Z][^\n.:?]{1,60})$",
    re.MULTILINE,
)
_POLITE = re.compile(
    r"^(?:(?:hi|hello|hey|dear)\b[^,.!]*[,.!]\s*)?"
    r"(?:(?:please|kindly|also|and|so|first|second|third|now|next|finally|then|lastly|afterwards|after"
    r" that)\b,?\s*)*"
    r"(?:(?:can|could|would|will) you\s+|i(?:'d like| would like| want| need) you"
    r" to\s+|help me(?: to)?\s+"
    r"|let us\s+|let's\s+)?(?:please\s+|also\s+|then\s+|finally\s+)*",
    re.IGNORECASE,
)
IMPERATIVES = _set(
    "add analyse analyze argue assess brainstorm build calculate categorise categorize check choose"
    " classify collect combine compare compose conclude contrast convert count create decide define"
    " describe design determine develop discuss draft edit estimate evaluate examine"
    " explain extract"
    " find fix generate give highlight identify implement improve investigate list"
    " mention merge name"
    " note outline pick plan point prepare produce proofread propose provide rank rate"
    " read recommend"
    " research review rewrite say search show simplify sketch state suggest summarise"
    " summarize tell"
    " test translate verify weigh write"
)
_FOREIGN_IMPERATIVES = _set(
    "vergleiche vergleich vergleichen erkläre beschreibe nenne schreibe übersetze fasse gib zeige"
    " prüfe bewerte untersuche analysiere empfiehl"
    " comparez explique expliquez décris décrivez résume résumez traduis traduisez écris écrivez"
    " donnez analysez recommandez"
    " compara comparad compare describa traduce escribe analiza enumera recomienda"
    " confronta spiega descrivi riassumi traduci scrivi elenca descreva traduza escreva"
    " vergelijk beschrijf vertaal schrijf jämför beskriv förklara översätt skriv"
    " sammenlign forklar oversæt oversett porównaj opisz wyjaśnij przetłumacz napisz"
    " porovnej popiš vysvětli"
)
_STOP = _set(
    "a about above after all also an and any are as at be been but by can could did do"
    " does each every"
    " for from had has have how i if in into is it its just like me more most my no not"
    " of on one only"
    " or other our out over please say should so some such tell than that the their them then there"
    " these they this those to up us use was we were what when where which who why will"
    " with would you"
    " your answer text give part write using following"
)
_ADDED = re.compile(
    rf"[,;:]\s|\s+and\s+(?=(?:{'|'.join(sorted(IMPERATIVES))})\b)|\s+(?:so that|because)\s"
)
TITLE_WORDS = 7
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class Section(NamedTuple):
    """A heading and what stands below it."""

    heading: str
    text: str


def sentences(text: str) -> list[str]:
    """The sentences of a text. The break of a short line ends a sentence, a bullet is stripped."""
    found: list[str] = []
    for piece in _SENTENCE_END.split(_WRAPPED.sub(" ", text)):
        if found and _ABBREVIATION.search(found[-1]):
            found[-1] = f"{found[-1]} {piece.strip()}"
        elif stripped := _BULLET.sub("", piece).strip(" \t#*_"):
            found.append(stripped)
    return found


def list_items(text: str) -> list[str]:
    """The items of bulleted and numbered lines."""
    return [_BULLET.sub("", line).strip() for line in text.splitlines() if _BULLET.match(line)]


def sections(text: str) -> list[Section]:
    """The parts of a text under its headings; none when it has fewer than two."""
    marks = list(_HEADING.finditer(text))
    if len(marks) < 2:
        marks = list(_NUMBERED_HEADING.finditer(text))
    if len(marks) < 2:
        return []
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    found = [
        Section(mark[1].strip(" :#"), text[mark.end() : end].strip())
        for mark, end in zip(marks, ends, strict=True)
    ]
    # A title above the first section is a heading without text of its own.
    return [section for section in found if section.text]


def without_courtesy(text: str) -> str:
    """The sentence without what makes it polite or joins it to the one before."""
    stripped = _POLITE.sub("", text, count=1).strip()
    return stripped or text.strip()


def words(text: str) -> list[str]:
    """All words in lower case."""
    return [word.lower() for word in _WORD.findall(text)]


def stem(word: str) -> str:
    """The word cut to six letters without a plural, so that forms of one word meet."""
    return (word.removesuffix("s") if len(word) > 3 else word)[:6]


def content_words(text: str) -> set[str]:
    """The stems of the words that carry meaning."""
    return {stem(word) for word in words(text) if word not in _STOP and len(word) > 1}


def is_ask(sentence: str) -> bool:
    """Whether a sentence asks for something to be done."""
    if sentence.rstrip(' "”’)').endswith("?"):
        return True
    found = words(without_courtesy(sentence))
    return bool(found) and (found[0] in IMPERATIVES or found[0] in _FOREIGN_IMPERATIVES)


def capitalised(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def as_sentence(text: str) -> str:
    """The text as a sentence of its own."""
    text = capitalised(text.strip().rstrip(",;:").strip())
    return text if text.endswith((".", "?", "!", "…")) else f"{text}."


def short(text: str, count: int = TITLE_WORDS) -> str:
    """The first words of a text, as a title."""
    found = text.strip().rstrip(".?!:;,").split()
    return capitalised(" ".join(found[:count]).rstrip(",;:")) + ("…" if len(found) > count else "")


def title_of(ask: str) -> str:
    """An ask as a title: a long one without what is added to it."""
    text = without_courtesy(ask)
    if len(text.split()) > TITLE_WORDS:
        main = _ADDED.split(text, maxsplit=1)[0]
        text = main if len(main.split()) > 1 else text
    return short(text)


def clipped(text: str, length: int) -> str:
    """The text cut at a word boundary, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[:length].rsplit(' ', 1)[0]}…"


def listed(names: list[str]) -> str:
    """The names as an enumeration."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
