"""Results that must be JSON: finding the value in what a model wrote, and holding it against its
schema.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from orchestrator_worker.teams.result_schema import compiled

_FENCE = re.compile(r"\A\s*(?:```|~~~)\w*\n(.*?)\n?(?:```|~~~)\s*\Z", re.DOTALL)
MAX_CHARS_FOR_PLACE = 20_000
"""In a longer result nobody looks for the place of a mistake: that would keep the event loop."""


class NotTheJson(Exception):
    """The text is not the JSON that was asked for; the message says why, without quoting it."""


def read_json(text: str, schema: Mapping[str, Any] | None) -> Any:
    """Return the JSON value that `text` is, which a Markdown fence may surround.

    Raises:
        NotTheJson: it is none, is nested too deeply to be written again, or breaks `schema`.
    """
    return _read(text, schema)[0]


def compact_json(text: str, schema: Mapping[str, Any] | None) -> str:
    """Return the same without the fence and without space.

    Raises:
        NotTheJson: see `read_json`.
    """
    return _read(text, schema)[1].decode()


def without_fence(text: str) -> str:
    """Return the text without the Markdown fence that may surround it."""
    fenced = _FENCE.match(text)
    return (fenced[1] if fenced else text).strip()


def _read(text: str, schema: Mapping[str, Any] | None) -> tuple[Any, bytes]:
    try:
        value = orjson.loads(without_fence(text))
    except orjson.JSONDecodeError as error:
        raise NotTheJson("its result is not JSON") from error
    try:
        compact = orjson.dumps(value)
    except orjson.JSONEncodeError as error:  # it reads about 1000 levels and writes 254
        raise NotTheJson("its result is nested too deeply") from error
    if schema is not None:
        _check(value, len(compact), schema)
    return value, compact


def _check(value: Any, size: int, schema: Mapping[str, Any]) -> None:
    wanted = compiled(schema)
    if wanted.fulfilled_by(value):
        return
    if size > MAX_CHARS_FOR_PLACE:
        raise NotTheJson("its result breaks the schema")
    raise NotTheJson(f"its result breaks the schema at {wanted.broken_at(value)}")
