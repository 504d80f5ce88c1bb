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


def input_tokens(body: JsonObject) -> int:
    """Tokens of system prompt, tools and messages of a request."""
    return max(1, sum(_prompt_parts(body)))


def _prompt_parts(body: JsonObject) -> Iterator[int]:
    yield from _content_tokens(body.get("system"))
    for tool in objects(body.get("tools")):
        yield estimate(orjson.dumps(_without_cache_control(tool)).decode())
    output_format = (as_object(body.get("output_config")) or {}).get("format")
    if output_format is not None:
        yield estimate(orjson.dumps(output_format).decode())
    for message in objects(body.get("messages")):
        yield TOKENS_PER_MESSAGE
        yield from _content_tokens(message.get("content"))


def _content_tokens(content: Any) -> Iterator[int]:
    if isinstance(content, str):
        yield estimate(content)
    for block in objects(content):
        yield _block_tokens(block)


def _block_tokens(block: JsonObject) -> int:
    kind = block.get("type")
    if kind == "text":
        return estimate(str(block.get("text", "")))
    source = as_object(block.get("source")) or {}
    if kind in ("image", "document") and source.get("type") not in ("text", "content"):
        return TOKENS_PER_MEDIA
    if kind == "tool_result":
        return TOKENS_PER_MESSAGE + sum(_content_tokens(block.get("content")))
    return estimate(orjson.dumps(_without_cache_control(block)).decode())


def _without_cache_control(entry: JsonObject) -> JsonObject:
    return {key: value for key, value in entry.items() if key != "cache_control"}
