"""What the caller said, as every agent of a run receives it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import orjson

from orchestrator_worker.claude.client import (
    Block,
    Document,
    Image,
    Message,
    ToolResult,
    ToolUse,
)
from orchestrator_worker.claude.tokens import estimate_tokens
from orchestrator_worker.ids import new_nonce

WORDLESS = "…"
"""Stands for a turn that holds nothing but pictures or files."""
IMAGE_TOKENS = 1600
"""Of a picture of ordinary size; Claude's most is about three times that."""
PDF_BYTES_PER_TOKEN = 25
"""A page is some 50 KB of file and 2,000 tokens; base64 is a third longer than the file."""


@dataclass(frozen=True)
class Conversation:
    """The caller's instructions and history; starts and ends with a user turn."""

    system: tuple[str, ...]
    """The caller's system and developer messages, in order; may be empty."""
    messages: tuple[Message, ...]

    def with_turn(self, text: str) -> tuple[Message, ...]:
        """Return the messages with `text` as one more block of the last user turn.

        Everything before that block stays byte for byte the same, which is what lets workers share
        a cached prefix.
        """
        *history, last = self.messages
        return (*history, Message("user", (*last.content, text)))

    def system_after(self, *own: str) -> tuple[str, ...]:
        """Return a role's own prompt, if it has one, followed by the caller's instructions."""
        return tuple(text for text in (*own, *self.system) if text)

    @cached_property
    def told(self) -> "Conversation":
        """The same for agents that have none of the caller's tools: calls and results as text.

        The API takes calls and results only from those who are offered tools.
        """
        if not any(isinstance(block, ToolUse | ToolResult) for block in self._blocks()):
            return self
        telling = _Telling()
        return replace(
            self,
            messages=tuple(
                Message(message.role, tuple(map(telling.tell, message.content)))
                for message in self.messages
            ),
        )

    @cached_property
    def words(self) -> "Conversation":
        """The same without pictures and files, for whoever need only know what is wanted."""
        return replace(
            self,
            messages=tuple(
                Message(
                    it.role,
                    tuple(b for b in it.content if not isinstance(b, Image | Document))
                    or (WORDLESS,),
                )
                for it in self.messages
            ),
        )

    @property
    def answers_calls(self) -> bool:
        """Whether it ends with results of the tools that the last answer called."""
        return any(isinstance(block, ToolResult) for block in self.messages[-1].content)

    @cached_property
    def estimated_tokens(self) -> int:
        """About how many tokens all of it is."""
        return sum(map(estimate_tokens, self.system)) + sum(map(_tokens, self._blocks()))

    @property
    def last_request(self) -> str:
        """The text of the last user turn that has any; what tools have returned is none."""
        turns = (it.content for it in reversed(self.messages) if it.role == "user")
        texts = ([it for it in turn if isinstance(it, str)] for turn in turns)
        return "\n\n".join(next(filter(None, texts), ()))

    def _blocks(self) -> Iterator[Block]:
        for message in self.messages:
            yield from message.content


class _Telling:
    """Calls of tools and their results as text, between tags that no text inside can close."""

    def __init__(self) -> None:
        self._nonce = new_nonce()
        self._names: dict[str, str] = {}

    def tell(self, block: Block) -> Block:
        match block:
            case ToolUse(id, name, input):
                self._names[id] = name
                return self._tagged("tool-call", name, orjson.dumps(input).decode())
            case ToolResult(tool_use_id, content):
                name = self._names.get(tool_use_id, "")
                return self._tagged("tool-result", name, content, ' content="untrusted data"')
            case _:
                return block

    def _tagged(self, kind: str, name: str, text: str, more: str = "") -> str:
        tag = f"{kind}-{self._nonce}"
        return f'<{tag} name="{name}"{more}>\n{text}\n</{tag}>'


def _tokens(block: Block) -> int:
    match block:
        case str(text) | ToolResult(content=text):
            return estimate_tokens(text)
        case Image():
            return IMAGE_TOKENS
        case Document(media_type="text/plain", data=text):
            return estimate_tokens(text)
        case Document(data=data):
            return len(data) // PDF_BYTES_PER_TOKEN + 1
        case ToolUse(input=input):
            return estimate_tokens(orjson.dumps(input).decode())
