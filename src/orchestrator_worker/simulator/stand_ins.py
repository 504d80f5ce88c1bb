"""What stands in the answer where a real model's words would stand.

Each says what would be written there, and about what, in the words of the request. Sits below
`answers`, which tries real sentences first.
"""

import re

from orchestrator_worker.simulator.conversation import Conversation
from orchestrator_worker.simulator.languages import (
    ENGLISH,
    asked_ending,
    language_of,
    phrases_for,
)
from orchestrator_worker.simulator.parts import parts_of
from orchestrator_worker.simulator.passages import statements
from orchestrator_worker.simulator.wording import (
    as_sentence,
    capitalised,
    clipped,
    listed,
    sections,
    without_courtesy,
)

LITTLE_PROSE = 600
"""Characters up to which texts beside code do not make it a mere example."""
MAX_QUOTE = 240
MAX_EARLIER = 120
_TRANSLATE = re.compile(
    r"\btranslat\w+\b.*?\b(?:into|to)\s+(?P<language>[\w ]{2,30}?)\s*(?:[.,;?!]|:(?P<text>.+)|$)",
    re.IGNORECASE | re.DOTALL,
)
_INLINE_QUOTE = re.compile(r"[“\"]([^”\"]+)[”\"]")
_CRITERIA = re.compile(r"^[^:]+:\s+(?P<list>[^:“”\"]+?)[.?!]*$")
_DESCRIBED = re.compile(r"^describe\s+(?P<thing>.+?)(?:,|:|\s+(?:for|as|in|so)\b)", re.IGNORECASE)
_AND = re.compile(r",\s*(?:and|or)\s+|\s+(?:and|or)\s+|,\s+")
_EACH_ONE = re.compile(r"\beach (?:one|of (?:them|these|those))\b", re.IGNORECASE)


def stand_in(conversation: Conversation) -> str:
    """The words for an instruction about which nothing is known."""
    return _criteria(conversation) or _plain(conversation)


def about_code(conversation: Conversation) -> str:
    """What is true about the code that an instruction comes with, and what would follow."""
    prose = conversation.documents
    if not conversation.code or sum(map(len, prose)) > LITTLE_PROSE or any(map(sections, prose)):
        return ""
    block = max(conversation.code, key=lambda block: len(block.text))
    return f"{block.described(*_view(conversation))} {task(conversation.instruction)}"


def _view(conversation: Conversation) -> tuple[int, int]:
    """Which part of the request the instruction is, and how many there are."""
    asked = conversation.before_last
    parts = parts_of(asked) if asked else []
    own = (i for i, part in enumerate(parts) if part.instruction in conversation.ask)
    return next(own, 0), max(1, len(parts))


def task(instruction: str) -> str:
    """Says what would be answered or done here."""
    asked = as_sentence(clipped(without_courtesy(instruction), MAX_QUOTE))
    phrases = phrases_for(asked)
    return (phrases.question if asked.endswith("?") else phrases.task).format(asked)


def _plain(conversation: Conversation) -> str:
    instruction = conversation.instruction
    # A whole sentence of the request would be the same for each of the things it is about.
    if language_of(instruction) != ENGLISH and conversation.subject:
        said = phrases_for(instruction).about.format(conversation.subject)
    else:
        said = task(instruction)
    if not conversation.asked_before:
        return said
    earlier = clipped(conversation.asked_before, MAX_EARLIER)
    return f"{phrases_for(instruction).asked.format(earlier)} {said}"


def translation(conversation: Conversation) -> str:
    """What a translation would start from, when one is asked for."""
    match = _TRANSLATE.search(conversation.instruction)
    if match is None:
        return ""
    quoted = _INLINE_QUOTE.search(match[0])
    source = match["text"] or (quoted[1] if quoted else "") or _material(conversation)
    if not source:
        return ""
    return f"In {match['language']}, a real model would put: “{source.strip(' “”')}”"


def _material(conversation: Conversation) -> str:
    found = [s for text in conversation.documents for s, _ in statements(text)]
    return clipped(" ".join(found), 2 * MAX_QUOTE)


def _criteria(conversation: Conversation) -> str:
    """The points that are asked for about one thing, none of them filled in."""
    match = _CRITERIA.match(conversation.instruction)
    points = [point for point in _AND.split(match["list"]) if point.strip()] if match else []
    described = _DESCRIBED.match(conversation.instruction)
    if len(points) < 2 or described is None:
        return ""
    thing = described["thing"]
    blanks = [f"- {capitalised(_EACH_ONE.sub('it', point.strip()))}: …" for point in points]
    return f"A real model would fill in these points about {thing}:\n\n" + "\n".join(blanks)


def ending(conversation: Conversation) -> str:
    """Says what the request wants the answer to end with, unless a result is that."""
    titles = " ".join(block.title.lower() for block in conversation.results)
    thing, said = asked_ending(conversation.told)
    return said if thing and thing.split()[-1].lower() not in titles else ""


def building_on(conversation: Conversation) -> str:
    """The words for an instruction that needs the results of earlier ones."""
    there = [f"“{b.title or 'one part'}”" for b in conversation.results if not b.failed]
    gone = [f"“{b.title or 'one part'}”" for b in conversation.results if b.failed]
    found = f"This builds on {listed(there)}." if there else "There is nothing to build on."
    if gone:
        found += f" Missing {'is' if len(gone) == 1 else 'are'} {listed(gone)}."
    return f"{found} {task(conversation.instruction)}"
