"""A request as the model sees it: what is asked now, what came before, what tools returned.

The system prompt is never treated as the request.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from orchestrator_worker.simulator.attached import Document, attached, documents_of
from orchestrator_worker.simulator.code_blocks import CodeBlock, code_blocks, without_code
from orchestrator_worker.simulator.jsons import JsonObject, objects, text_blocks
from orchestrator_worker.simulator.tagged import TaggedBlock, outside_blocks, tagged_blocks
from orchestrator_worker.simulator.wording import (
    content_words,
    is_ask,
    list_items,
    sections,
    sentences,
)

LONG_TEXT = 600
"""Characters from which a text with paragraphs is a document with an ask, not an ask."""
MIN_MATERIAL = 200
"""Characters from which paragraphs beside an ask are something to work on, not more of the ask."""
_NAMED = re.compile(r"[“\"]([^“”\"\n]{1,80})[”\"]")


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool returned."""

    name: str
    text: str
    is_error: bool


class Conversation:
    """Views of one request body."""

    def __init__(self, body: JsonObject) -> None:
        self._messages = list(objects(body["messages"]))
        self._last = max(
            (i for i, message in enumerate(self._messages) if message["role"] == "user"), default=0
        )

    @cached_property
    def last_texts(self) -> list[str]:
        """The text blocks of the last user message."""
        return text_blocks(self._messages[self._last]["content"])

    @cached_property
    def request(self) -> str:
        """The whole text of the last user message."""
        return "\n\n".join(self.last_texts)

    @cached_property
    def tool_results(self) -> list[ToolResult]:
        """The tool results in the last user message, be they blocks of their own or of a text."""
        return self._native_results or self._told_results

    @cached_property
    def _told_results(self) -> list[ToolResult]:
        if not self.last_texts or not _tells_results(self.last_texts[-1]):
            return []
        told = [block for block in self.blocks if _is_of_tool(block)]
        return [ToolResult(block.title or "tool", block.text, is_error=False) for block in told]

    @cached_property
    def _native_results(self) -> list[ToolResult]:
        names = {
            block["id"]: str(block["name"])
            for message in self._messages
            for block in objects(message["content"])
            if block.get("type") == "tool_use"
        }
        return [
            ToolResult(
                names.get(block["tool_use_id"], "tool"),
                "\n".join(text_blocks(block.get("content", ""))),
                bool(block.get("is_error")),
            )
            for block in objects(self._messages[self._last]["content"])
            if block.get("type") == "tool_result"
        ]

    @cached_property
    def blocks(self) -> list[TaggedBlock]:
        """The data blocks of the last user message."""
        return tagged_blocks(self.request)

    @cached_property
    def results(self) -> list[TaggedBlock]:
        """Those that look like results of earlier work, when they are what the message ends
        with.
        """
        last = tagged_blocks(self.last_texts[-1]) if self.last_texts else []
        found = [block for block in last if block.kind == "result" and not _is_of_tool(block)]
        alone = len(last) == 1 and not outside_blocks(self.request).strip()
        return [] if alone and len(self.last_texts) == 1 else found

    @property
    def asks_nothing_new(self) -> bool:
        """Whether the last message only gives results for what was asked before."""
        written_up = bool(self.results) and not self.builds_on_results
        return not self.last_texts or bool(self._told_results) or written_up

    @cached_property
    def builds_on_results(self) -> bool:
        """Whether the results stand there as material for a task of their own.

        A task has words in common with what was asked or with the results' titles; a bare order
        to answer has not, and neither has a repetition of the request. Documents do not count:
        a long one has words in common with everything.
        """
        around = outside_blocks(self.last_texts[-1]) if self.last_texts else ""
        lines = [
            line for line in around.splitlines() if line.strip() and line.strip() not in self.told
        ]
        orders = [s for line in lines for s in sentences(line) if is_ask(s)]
        asks = [_split(outside_blocks(text))[0] for text in self._told_texts]
        asked = [ask for ask in asks if len(ask) < LONG_TEXT]
        known = content_words(" ".join([*asked, *(block.title for block in self.results)]))
        return len(content_words(" ".join(orders or lines)) & known) >= 2

    @cached_property
    def ask(self) -> str:
        """What is asked, without documents and data."""
        last = self._asking_text
        told = [block for block in tagged_blocks(last) if block.kind == "instruction"]
        outside = outside_blocks(last).strip()
        if told:
            return "\n".join([*(block.text for block in told), outside]).strip()
        return _split(outside)[0] if outside else last

    @cached_property
    def _asking_text(self) -> str:
        """The last text block that is no mere document, else the last one."""
        for text in reversed(self.last_texts):
            ask, document = _split(outside_blocks(text))
            brief = bool(ask) and not document and len(ask) < LONG_TEXT
            if brief or any(is_ask(sentence) for sentence in sentences(ask)):
                return text
        return self.last_texts[-1] if self.last_texts else ""

    @cached_property
    def instruction(self) -> str:
        """The part of the ask that says what to do: its first ask, else its first sentence."""
        found = sentences(self.ask) or [self.ask]
        return next((s for s in found if is_ask(s)), max(found, key=len))

    @cached_property
    def subject(self) -> str:
        """The one thing the instruction is about, when the message names it in quotes before."""
        before, found, _ = self.ask.partition(self.instruction)
        named = _NAMED.findall(before) if found else []
        return named[-1] if named and named[-1] in self.instruction else ""

    @cached_property
    def code(self) -> list[CodeBlock]:
        """The fenced code of the last user message."""
        return [block for text in self.last_texts for block in code_blocks(outside_blocks(text))]

    @cached_property
    def asked_before(self) -> str:
        """What the user wrote in the message before the last, if the last is all they write now."""
        if len(self.last_texts) > 1:
            return ""
        return self._told_texts[-1] if self._told_texts else ""

    @cached_property
    def documents(self) -> list[str]:
        """Every text that may hold the answer: documents, data, and what was said before."""
        found = [_split(outside_blocks(text))[1] for text in self.last_texts[-1:]]
        found += [block.text for block in self.blocks if block.kind != "instruction"]
        found += [_material(outside_blocks(text)) for text in self.last_texts[:-1]]
        found += [document.text for document in self.attachments]
        for message in self._messages[: self._last]:
            found += text_blocks(message["content"])
        return [text for text in map(without_code, found) if text.strip()]

    @cached_property
    def attachments(self) -> list[Document]:
        """The document blocks of all messages."""
        return documents_of(self._messages)

    @cached_property
    def attached(self) -> str:
        """A sentence that names all images and documents, empty when there are none."""
        return attached(self._messages)

    @cached_property
    def told(self) -> str:
        """What the user said before the last text block."""
        return "\n".join(self._told_texts)

    @cached_property
    def before_last(self) -> "Conversation | None":
        """What the user said before the last text block, as if nothing had followed."""
        said = [{"type": "text", "text": text} for text in self._told_texts]
        return Conversation({"messages": [{"role": "user", "content": said}]}) if said else None

    @cached_property
    def _told_texts(self) -> list[str]:
        earlier = self._messages[: self._last]
        texts = [t for m in earlier if m["role"] == "user" for t in text_blocks(m["content"])]
        return [*texts, *self.last_texts[:-1]]


def _is_of_tool(block: TaggedBlock) -> bool:
    return block.kind == "result" and block.name.lower().startswith("tool")


def _tells_results(text: str) -> bool:
    """Whether a text is nothing but what tools returned."""
    found = tagged_blocks(text)
    return bool(found) and all(map(_is_of_tool, found)) and not outside_blocks(text).strip()


def _split(text: str) -> tuple[str, str]:
    """A text as its ask and the document it carries. The ask stands before or after the
    document.
    """
    text = without_code(text)
    paragraphs = [p.strip() for p in text.split("\n\n") if p.strip()]
    asks = [p for p in (*paragraphs[:1], *paragraphs[-1:]) if _asks(p)]
    rest = [p for p in paragraphs if p not in asks]
    long = len(text) >= LONG_TEXT or sections(text) or (asks and _is_material(rest))
    if len(paragraphs) < 2 or not long:
        return text.strip(), ""
    return ("\n\n".join(asks), "\n\n".join(rest)) if asks else (text.strip(), text)


def _is_material(paragraphs: list[str]) -> bool:
    """Whether short paragraphs beside an ask are what it is about."""
    text = "\n\n".join(paragraphs)
    return len(text) >= MIN_MATERIAL and not list_items(text) and not any(map(_asks, paragraphs))


def _material(text: str) -> str:
    """What there is to work on in a text that something else was said after."""
    ask, document = _split(text)
    return document or ("" if _asks(ask) else ask)


def _asks(paragraph: str) -> bool:
    return not paragraph.startswith("#") and any(is_ask(s) for s in sentences(paragraph))
