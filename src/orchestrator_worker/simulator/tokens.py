"""Counting tokens and cutting text into them. One estimate serves usage, pacing and `count_tokens`.

Not Claude's tokenizer, which is not public: a request costs about what it would cost, never
exactly.
"""

import math
from collections.abc import Iterator
from typing import Any

import orjson

from orchestrator_worker.simulator.jsons import JsonObject, as_object, objects
from orchestrator_worker.simulator.media import decoded, image_size, pdf_pages

BYTES_PER_TOKEN = 3.5
TOKENS_PER_MESSAGE = 3
TOKENS_PER_MEDIA = 1_500
"""Price of a page of a PDF, and of an image or a document that is named and not sent along."""
PATCH = 28
"""Side of the squares that an image is cut into, in pixels. Each is a token."""
MAX_IMAGE_TOKENS = 4_784
"""What an image costs at most: a larger one is made smaller first."""


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
    if kind in ("image", "document"):
        return _media_tokens(block)
    if kind == "tool_result":
        return TOKENS_PER_MESSAGE + sum(_content_tokens(block.get("content")))
    return value_tokens(without_cache_control(block))


def _media_tokens(block: JsonObject) -> int:
    source = as_object(block.get("source")) or {}
    titles = sum(estimate(str(block[key])) for key in ("title", "context") if block.get(key))
    if source.get("type") == "text":
        return titles + estimate(source["data"])
    if source.get("type") == "content":
        return titles + sum(_content_tokens(source["content"]))
    if source.get("type") != "base64":
        return titles + TOKENS_PER_MEDIA
    data = decoded(source["data"]) or b""
    if block["type"] == "document":
        return titles + pdf_pages(data) * TOKENS_PER_MEDIA
    width, height = image_size(data) or (PATCH, PATCH)
    return min(math.ceil(width / PATCH) * math.ceil(height / PATCH), MAX_IMAGE_TOKENS)


def without_cache_control(entry: JsonObject) -> JsonObject:
    """The entry without its cache breakpoint, which is no part of the prompt."""
    return {key: value for key, value in entry.items() if key != "cache_control"}
