"""Results that must be JSON: finding the value in what a model wrote, and holding it against its
schema.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

_FENCE = re.compile(r"\A\s*(?:```|~~~)\w*\n(.*?)\n?(?:```|~~~)\s*\Z", re.DOTALL)
MAX_PLACE_CHARS = 200


class NotTheJson(Exception):
    """The text is not the JSON that was asked for; the message says why, without quoting it."""


def read_json(text: str, schema: Mapping[str, Any] | None) -> Any:
    """Return the JSON value that `text` is, which a Markdown fence may surround.

    Raises:
        NotTheJson: it is none, or breaks `schema`.
    """
    fenced = _FENCE.match(text)
    try:
        value = orjson.loads(fenced[1] if fenced else text)
    except orjson.JSONDecodeError as error:
        raise NotTheJson("its result is not JSON") from error
    if schema is not None:
        _check(value, schema)
    return value


def _check(value: Any, schema: Mapping[str, Any]) -> None:
    validator: Any = Draft202012Validator(schema)  # its stubs leave types out
    try:
        validator.validate(value)
    except ValidationError as error:
        place = error.json_path[:MAX_PLACE_CHARS]
        raise NotTheJson(f"its result breaks the schema at {place}") from error
