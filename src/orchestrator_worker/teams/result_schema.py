"""The JSON Schema that results of a type must fulfil, compiled once and checked on the event loop.

A result is a model's text, so a check must be quick whatever is in it. Hence: no reference leaves
the schema, patterns match in linear time (which rules out look-around and backreferences), and
only `is_valid` is called, which stops at the first mistake: the library's reports of a mistake take
exponential time where `oneOf` or `anyOf` is recursive. Where the mistake lies is found here.
"""

import marshal
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Any, cast

import orjson
from jsonschema_rs import (
    ReferencingError,
    RegexOptions,
    ValidatorMap,
    validator_for,
    validator_map_for,
)

if TYPE_CHECKING:
    from jsonschema_rs import KeywordValidator

MAX_COMPILED = 256
MAX_PLACE_CHARS = 200
_WITHOUT_REFERENCES = 2
"""The last version of marshal's format in which a value is never a reference to an earlier one."""
_MAY_BE_OBJECT = b"{"
"""Begins each object in that format, and may be part of other values."""


class ResultSchema:
    """One compiled schema."""

    def __init__(self, schema_json: bytes) -> None:
        self._schema: dict[str, Any] = orjson.loads(schema_json)
        self._whole = validator_for(
            self._schema, offline=True, pattern_options=_PATTERNS, keywords=_OWN
        )

    @cached_property
    def _parts(self) -> ValidatorMap:
        # Only for whoever wants to know where a mistake is: it takes far longer than the whole.
        return validator_map_for(
            self._schema, offline=True, pattern_options=_PATTERNS, keywords=_OWN
        )

    def fulfilled_by(self, value: Any) -> bool:
        """Return whether `value` is as the schema says."""
        return self._whole.is_valid(value)

    def broken_at(self, value: Any) -> str:
        """Return the place of the first mistake in `value`, as JSONPath: as deep as properties and
        items of the schema lead to it. Slower than the check itself, so not for large values.
        """
        place, pointer = "$", "#"
        while wrong := next(self._wrong_parts(value, pointer), None):
            step, pointer, value = wrong
            place += step
        return place[:MAX_PLACE_CHARS]

    def _wrong_parts(self, value: Any, pointer: str) -> Iterator[tuple[str, str, Any]]:
        for step, below, part in _parts(value, pointer):
            checked = self._parts.get(below)
            if checked is not None and not checked.is_valid(part):
                yield step, below, part


def _parts(value: Any, pointer: str) -> Iterator[tuple[str, str, Any]]:
    """Yield each part of `value`: the step to it, the pointer to its schema, and itself."""
    if isinstance(value, dict):
        for name, part in cast("dict[str, Any]", value).items():
            escaped = name.replace("~", "~0").replace("/", "~1")
            step = f".{name}" if name.isidentifier() else f"[{name!r}]"
            yield step, f"{pointer}/properties/{escaped}", part
    elif isinstance(value, list):
        for at, part in enumerate(cast("list[Any]", value)):
            yield f"[{at}]", f"{pointer}/items", part


class _UniqueItems:
    """`uniqueItems` in linear time: the library's own hashes some different values alike, so that
    a list made for it takes seconds. 1 and 1.0 count as different here.
    """

    def __init__(self, parent_schema: dict[str, Any], value: Any, schema_path: object) -> None:
        self._wanted = value is True

    def validate(self, instance: Any) -> None:
        """Raise ValueError unless the items of a list are all different."""
        if self._wanted and isinstance(instance, list):
            items = cast("list[Any]", instance)
            if len(items) > 1 and _some_alike(items):
                raise ValueError("items are alike")


def _some_alike(items: list[Any]) -> bool:
    texts = _texts(items)
    if len(set(texts)) < len(items):
        return True
    if _MAY_BE_OBJECT not in b"".join(texts):
        return False
    # Once more with one order of keys; all at once, as each call for its own costs microseconds.
    in_order = orjson.loads(orjson.dumps(items, option=orjson.OPT_SORT_KEYS))
    return len(set(_texts(in_order))) < len(items)


def _texts(items: list[Any]) -> list[bytes]:
    """Return a text for each item, the same for the same values with their keys in one order."""
    return list(map(marshal.dumps, items, repeat(_WITHOUT_REFERENCES)))


_PATTERNS = RegexOptions(size_limit=10 * 1024**2, dfa_size_limit=1024**2)
_OWN: "dict[str, type[KeywordValidator]]" = {"uniqueItems": _UniqueItems}


def compiled(schema: Mapping[str, Any]) -> ResultSchema:
    """Return the schema ready for use; compiled only when it has not been seen lately.

    Raises:
        ValueError: it is no JSON Schema, or refers to what is not in it.
    """
    try:
        return _compiled(orjson.dumps(schema))
    except orjson.JSONEncodeError as error:
        raise ValueError(f"is not JSON: {error}") from error
    except ReferencingError as error:
        raise ValueError(f"is not a JSON Schema: {error}") from error
    except ValueError as error:
        raise ValueError(f"is not a JSON Schema: {getattr(error, 'message', error)}") from error


@lru_cache(maxsize=MAX_COMPILED)
def _compiled(schema_json: bytes) -> ResultSchema:
    return ResultSchema(schema_json)
