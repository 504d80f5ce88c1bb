"""Typed looks into parsed JSON. Owns no knowledge of the API."""

from collections.abc import Iterator
from typing import Any, cast

JsonObject = dict[str, Any]


def as_object(value: Any) -> JsonObject | None:
    """The value when it is a JSON object."""
    return cast("JsonObject", value) if isinstance(value, dict) else None


def as_list(value: Any) -> list[Any] | None:
    """The value when it is a JSON array."""
    return cast("list[Any]", value) if isinstance(value, list) else None


def objects(value: Any) -> Iterator[JsonObject]:
    """The objects of an array; nothing when it is no array."""
    for item in as_list(value) or []:
        entry = as_object(item)
        if entry is not None:
            yield entry


def text_blocks(content: Any) -> list[str]:
    """The texts of a `content` or `system` value, which is a string or an array of blocks."""
    if isinstance(content, str):
        return [content]
    return [str(block["text"]) for block in objects(content) if block.get("type") == "text"]
