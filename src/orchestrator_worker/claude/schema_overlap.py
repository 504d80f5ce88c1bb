"""Whether a value can be of two schemas at once, as far as that can be told at a glance.

Owns the proof that makes `oneOf` the same as `anyOf`: types, strings or a discriminator tell the
options apart. What cannot be proved counts as an overlap.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any, Self, cast

MAX_OPTIONS = 32
MAX_DISCRIMINATORS = 16
_OBJECT = frozenset({"object"})
_TYPES = frozenset({"object", "array", "string", "integer", "fraction", "boolean", "null"})


@dataclass(frozen=True, slots=True)
class Tags:
    """What tells the values of a schema from others."""

    kinds: frozenset[str]
    texts: frozenset[str] | None
    """The only strings among its values, None when they are not listed."""
    properties: Mapping[str, frozenset[str]]
    """Properties of its objects that are one of these strings, where they are there at all."""
    required: frozenset[str]

    @classmethod
    def of(cls, schema: Mapping[str, Any]) -> Self:
        """Return what can be told of a schema. It is not followed through references."""
        properties = dict(islice(_told(schema.get("properties")), MAX_DISCRIMINATORS))
        required = _strings(schema, "required")
        return cls(_kinds(schema.get("type")), _texts(schema), properties, required)


def are_disjoint(options: Sequence[Tags]) -> bool:
    """Return whether it is certain that no value is of two of at most `MAX_OPTIONS` options."""
    return all(_are_apart(one, other) for one, other in combinations(options, 2))


def _are_apart(one: Tags, other: Tags) -> bool:
    if not one.kinds & other.kinds:
        return True
    if one.texts is not None and other.texts is not None:
        return one.texts.isdisjoint(other.texts)
    if one.kinds != _OBJECT or other.kinds != _OBJECT:
        return False
    return any(
        one.properties[name].isdisjoint(other.properties[name])
        for name in one.properties.keys() & other.properties.keys()
        if name in one.required | other.required
    )


def _told(properties: Any) -> Iterator[tuple[str, frozenset[str]]]:
    if isinstance(properties, Mapping):
        for name, member in cast("Mapping[str, Any]", properties).items():
            texts = _texts(member)
            if texts is not None:
                yield name, texts


def _kinds(value: Any) -> frozenset[str]:
    """The types, where an integer and a fraction make up a number."""
    named: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
    kinds: set[str] = set()
    for kind in named:
        if kind == "number":
            kinds |= {"integer", "fraction"}
        elif isinstance(kind, str) and kind in _TYPES:
            kinds.add(kind)
        else:
            return _TYPES
    return frozenset(kinds)


def _texts(schema: Any) -> frozenset[str] | None:
    """The values of a schema that lists them and has only strings."""
    if not isinstance(schema, Mapping):
        return None
    listed = cast("Mapping[str, Any]", schema)
    if isinstance(listed.get("const"), str):
        return frozenset({listed["const"]})
    texts = _strings(listed, "enum")
    return texts if texts and len(texts) == len(listed["enum"]) else None


def _strings(schema: Mapping[str, Any], keyword: str) -> frozenset[str]:
    value = schema.get(keyword)
    if not isinstance(value, list):
        return frozenset()
    return frozenset(name for name in cast("list[Any]", value) if isinstance(name, str))
