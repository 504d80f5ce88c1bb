"""Counting tokens and cutting text into them. One estimate serves usage, pacing and `count_tokens`.

Not Claude's tokenizer, which is not public: a request costs about what it would cost, never
exactly.
"""

import math
from collections.abc import Iterator
from typing import Any

import orjson

from orchestrator_worker.simulator.jsons import JsonObject, as_object, objects

BYTES_PER_TOKEN = 3.5
TOKENS_PER_MESSAGE = 3
TOKENS_PER_MEDIA = 1_500
"""Flat price of an image or a base64 document, whose pixels and pages the simulator does not look
at."""


def estimate(text: str) -> int:
    """Tokens of a text: its UTF-8 bytes divided by 3.5, rounded up; 0 for the empty text."""
    return math.ceil(len(text.encode()) / BYTES_PER_TOKEN)


def pieces(text: str, count: int | None = None) -> list[str]:
    """Cut a text into token-sized pieces, or into exactly `count` of nearly equal length.

    Pieces are empty only when `count` is larger than the number of characters.
    """
    length = len(text)
    if count is None:
        count = min(estimate(text), length)
    return [text[i * length // count : (i + 1) * length // count] for i in range(count)]


def value_tokens(value: Any) -> int:
    """Tokens of a value that stands in the prompt as JSON, such as a tool."""
    return estimate(orjson.dumps(value).decode())


def _content_tokens(content: Any) -> Iterator[int]:
    if isinstance(content, str):
        yield estimate(content)
    for block in objects(content):
        yield block_tokens(block)


def block_tokens(block: JsonObject) -> int:
    """Tokens of a content block of a message or of the system prompt."""
    kind = block.get("type")
    if kind == "text":
        return estimate(str(block.get("text", "")))
    source = as_object(block.get("source")) or {}
    if kind in ("image", "document") and source.get("type") not in ("text", "content"):
        return TOKENS_PER_MEDIA
    if kind == "tool_result":
        return TOKENS_PER_MESSAGE + sum(_content_tokens(block.get("content")))
    return value_tokens(without_cache_control(block))


def without_cache_control(entry: JsonObject) -> JsonObject:
    """The entry without its cache breakpoint, which is no part of the prompt."""
    return {key: value for key, value in entry.items() if key != "cache_control"}
