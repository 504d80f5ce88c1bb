"""What the model says when no script says it: a tool call, JSON in a form, or text.

Text is made of what the conversation holds: results of earlier work are merged verbatim,
instructions are answered with real sentences, facts that were told are remembered. It never claims
knowledge and says that it is simulated.
"""

import re

import orjson

from orchestrator_worker.simulator.conversation import Conversation
from orchestrator_worker.simulator.errands import errand
from orchestrator_worker.simulator.jsons import JsonObject, as_object
from orchestrator_worker.simulator.orders import ordered_schema
from orchestrator_worker.simulator.parts import parts_of
from orchestrator_worker.simulator.passages import relevant_passage
from orchestrator_worker.simulator.replies import Reply
from orchestrator_worker.simulator.schema_values import Material, instance
from orchestrator_worker.simulator.stand_ins import (
    about_code,
    building_on,
    ending,
    stand_in,
    translation,
)
from orchestrator_worker.simulator.tagged import TaggedBlock
from orchestrator_worker.simulator.tool_choosing import choose_tools, due_review
from orchestrator_worker.simulator.wording import is_ask, words

MARK = "(simulated)"
BRIEF = 4_000
"""Characters of a request in which a greeting or a fact to remember is looked for."""
_NAME = re.compile(
    r"\b(?:my name is|i am called|call me)\s+([A-Z][\w'-]*(?:\s[A-Z][\w'-]*)?)", re.IGNORECASE
)
_REMEMBER = re.compile(
    r"\b(?:remember|note)\b(?:\s+that|\s+this)?\s*:?\s+([^.\n!?]+)", re.IGNORECASE
)
_MINE = re.compile(r"\bmy\s+([\w ]{2,30}?)\s+(?:is|are)\s+([^.,;\n!?]+)", re.IGNORECASE)
_GREETINGS = frozenset({"hello", "hi", "hey", "greetings", "good", "thanks", "thank"})


def answer(body: JsonObject) -> Reply:
    """The reply to a checked request. The same request gets the same reply."""
    conversation = Conversation(body)
    if done := errand(conversation.last_texts[-1] if conversation.last_texts else ""):
        return Reply(text=done)
    calls = choose_tools(body, conversation)
    if calls:
        return Reply(tools=calls)
    review = due_review(body, conversation)
    if review is not None:
        return Reply(text=_marked(review.verdict))
    schema = _schema(body)
    if schema is not None:
        return Reply(text=_in_form(schema, conversation))
    return Reply(text=_marked(speak(conversation)))


def _schema(body: JsonObject) -> JsonObject | None:
    """The schema that the answer must obey, None when it may be text."""
    output_format = (as_object(body.get("output_config")) or {}).get("format")
    return ordered_schema(body) if output_format is None else output_format["schema"]


def _in_form(schema: JsonObject, conversation: Conversation) -> str:
    """The answer as JSON. After nothing but results it is about what was asked before."""
    before = conversation.before_last if conversation.asks_nothing_new else None
    asking = before or conversation
    material = Material(parts_of(asking), asking.ask, _marked(speak(conversation)))
    return orjson.dumps(instance(schema, material)).decode()


def _marked(text: str) -> str:
    """The text with the mark at its end, once."""
    return text if text.endswith(MARK) else f"{text} {MARK}"


def speak(conversation: Conversation) -> str:
    """The answer as text, without the mark."""
    if conversation.tool_results:
        return _from_tools(conversation)
    if conversation.results:
        if conversation.builds_on_results:
            return building_on(conversation)
        merged = [_merged(block, i) for i, block in enumerate(conversation.results, 1)]
        return "\n\n".join([*merged, ending(conversation)]).strip()
    return f"{conversation.attached} {_about(conversation)}".strip()


def _about(conversation: Conversation) -> str:
    return (
        _recalled(conversation)
        or ("" if conversation.attached else _greeted(conversation.request[:BRIEF]))
        or translation(conversation)
        or about_code(conversation)
        or relevant_passage(conversation)
        or stand_in(conversation)
    )


def _merged(block: TaggedBlock, number: int) -> str:
    title = block.title or f"Part {number}"
    if block.failed:
        return f"## {title}\n\n“{title}” is missing{f': {block.reason}' if block.reason else ''}."
    return f"## {title}\n\n{block.text}"


def _from_tools(conversation: Conversation) -> str:
    lines = [
        f"{result.name} failed: {result.text}"
        if result.is_error
        else f"{result.name}: {result.text}"
        for result in conversation.tool_results
    ]
    return "This is what the tools returned.\n\n" + "\n\n".join(lines)


def _recalled(conversation: Conversation) -> str:
    """An answer from facts the user told, or an acknowledgement of new ones."""
    asked = conversation.instruction
    if "?" not in asked and not re.search(r"\b(?:what|tell|repeat|recall)\b", asked, re.IGNORECASE):
        # A document may say “note that …” too, or the user before asking for something.
        if is_ask(asked) and not _REMEMBER.search(asked):
            return ""
        return _acknowledged(conversation.request[:BRIEF])
    lower = asked.lower()
    if re.search(r"\bmy name\b|\bwho am i\b|\bam i called\b", lower):
        names = _NAME.findall(conversation.told)
        return f"Your name is {names[-1]}." if names else ""
    for thing, value in reversed(_MINE.findall(conversation.told)):
        if f"my {thing.lower()}" in lower:
            return f"Your {thing} is {value.strip()}."
    if "remember" in lower:
        kept = _REMEMBER.findall(conversation.told)
        return (
            f"You asked me to remember: {'; '.join(fact.strip() for fact in kept)}." if kept else ""
        )
    return ""


def _acknowledged(request: str) -> str:
    name, fact = _NAME.search(request), _REMEMBER.search(request)
    if name:
        return f"Nice to meet you, {name[1]}. I will remember your name."
    return f"I will remember: {fact[1].strip()}." if fact else ""


def _greeted(request: str) -> str:
    found = words(request)
    if not found or (found[0] in _GREETINGS and len(found) <= 4):
        return "Hello! I am a stand-in for Claude that works without a key. Ask me something."
    return ""
