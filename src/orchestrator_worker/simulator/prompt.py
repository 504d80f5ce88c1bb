"""The prompt of a request as the API renders it: a row of blocks in the order tools, system,
messages.

Owns what belongs to the prompt, what it costs and how it is told from another one. Stands below
`prompt_cache`, which looks for its beginnings, and `thinking_rules`, which binds thinking to them.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson

from orchestrator_worker.simulator.jsons import JsonObject, as_object, objects
from orchestrator_worker.simulator.tokens import (
    TOKENS_PER_MESSAGE,
    block_tokens,
    value_tokens,
    without_cache_control,
)

_UNMARKABLE = ("thinking", "redacted_thinking")
DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class PromptBlock:
    """A block, and all that stands before it."""

    digest: bytes
    """Of everything from the first tool to the end of this block. Breakpoints do not count."""
    tokens: int
    """Of everything to the end of this block."""
    ttl: str | None
    """`5m` or `1h` when a cache breakpoint stands here."""
    markable: bool
    """Whether automatic caching may put its breakpoint here."""


class Prompt:
    """A checked request's prompt. Read in one pass over its content."""

    def __init__(self, body: JsonObject) -> None:
        config = as_object(body.get("output_config")) or {}
        self.rendered = orjson.dumps(
            [body.get("thinking"), config.get("effort"), config.get("format")]
        )
        """What is rendered into the prompt besides its blocks."""
        self._hash = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._empty = self._hash.digest()
        # The API describes a wanted format in a system prompt of its own.
        self._tokens = value_tokens(config["format"]) if config.get("format") else 0
        self._starts: list[int] = []
        self.roles = [message["role"] for message in objects(body["messages"])]
        self.blocks = list(self._read(body))
        self._mark_automatically(body)

    @property
    def tokens(self) -> int:
        """Tokens of the whole prompt, the figure of `count_tokens`."""
        return self._tokens

    def before_turn(self, message: int) -> bytes:
        """Digest of everything before the turn that the message of that number belongs to.

        Consecutive messages of the assistant are one turn. The number after the last message
        stands for the turn that answers the request.
        """
        while message > 0 and self.roles[message - 1] == "assistant":
            message -= 1
        start = self._starts[message] if message < len(self._starts) else len(self.blocks)
        return self.blocks[start - 1].digest if start else self._empty

    def _read(self, body: JsonObject) -> Iterator[PromptBlock]:
        for tool in objects(body.get("tools")):
            plain = without_cache_control(tool)
            yield self._block("tool", tool, plain, value_tokens(plain))
        for block in _blocks(body.get("system")):
            yield self._block("system", block, without_cache_control(block), block_tokens(block))
        count = sum(1 for _ in objects(body.get("tools"))) + len(_blocks(body.get("system")))
        for message in objects(body["messages"]):
            self._starts.append(count)
            for number, block in enumerate(_blocks(message["content"])):
                opening = TOKENS_PER_MESSAGE if number == 0 else 0
                place = f"{message['role']}:{'opens' if opening else ''}"
                yield self._block(place, block, _plain(block), opening + block_tokens(block))
                count += 1

    def _block(self, place: str, block: JsonObject, plain: Any, tokens: int) -> PromptBlock:
        self._hash.update(orjson.dumps([place, plain]))
        self._tokens += tokens
        control = as_object(block.get("cache_control"))
        return PromptBlock(
            self._hash.copy().digest(),
            self._tokens,
            control.get("ttl", "5m") if control else None,
            block.get("type") not in _UNMARKABLE,
        )

    def _mark_automatically(self, body: JsonObject) -> None:
        control = as_object(body.get("cache_control"))
        if control is None:
            return
        last = max((i for i, block in enumerate(self.blocks) if block.markable), default=None)
        if last is not None and self.blocks[last].ttl is None:
            self.blocks[last] = replace(self.blocks[last], ttl=control.get("ttl", "5m"))


def _blocks(content: Any) -> list[JsonObject]:
    """The content as blocks: a string is one text block."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(objects(content))


def _plain(block: JsonObject) -> JsonObject:
    """The block without breakpoints, also those inside a tool's result."""
    plain = without_cache_control(block)
    if block.get("type") == "tool_result" and not isinstance(block.get("content", ""), str):
        plain["content"] = [without_cache_control(inner) for inner in objects(block["content"])]
    return plain
