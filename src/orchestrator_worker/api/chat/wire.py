"""What all parts of a request's body have in common."""

from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict

_LEVELS_AROUND = 10
"""What a value stands in on its way to Claude, amply."""


class Wire(BaseModel):
    """A part of the body: unknown keys are ignored, and no value is taken for another type."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


def written(value: Any) -> bytes:
    """Return a caller's JSON value as it goes on.

    Raises:
        ValueError: it is nested too deeply: more levels can be read than written.
    """
    around = value
    for _ in range(_LEVELS_AROUND):
        around = [around]
    try:
        return orjson.dumps(around)[_LEVELS_AROUND:-_LEVELS_AROUND]
    except orjson.JSONEncodeError as error:
        raise ValueError("is nested too deeply") from error
