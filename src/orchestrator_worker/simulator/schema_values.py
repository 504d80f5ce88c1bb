"""Values that obey a JSON schema and say something about the request.

A field is filled by its type first and then by what its name and description suggest.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator_worker.simulator.jsons import JsonObject, as_list, as_object
from orchestrator_worker.simulator.part import Part, joined
from orchestrator_worker.simulator.schema_rules import resolve
from orchestrator_worker.simulator.wording import words

DEEP = 5
"""Levels after which a choice falls on what ends."""
_PLAIN = frozenset({"string", "integer", "number", "boolean", "null"})
_ID = re.compile(r"^(?:id|key|ref|identifier)$|_id$", re.IGNORECASE)
_TITLE = re.compile(r"title|heading|label|headline|^name$|caption", re.IGNORECASE)
_DEPENDS = re.compile(r"depend|prerequisite|^requires$|^needs$|^after$|builds?_on", re.IGNORECASE)
_REFS = re.compile(r"attach|document|files?$|sources?$", re.IGNORECASE)
_INSTRUCTION = re.compile(
    r"instruct|task|prompt|descri|goal|objective|query|question|request|detail|what", re.IGNORECASE
)
_SAID = re.compile(
    r"answer|response|reply|result|summary|text|content|output|body|message|expla", re.IGNORECASE
)
_PLACEHOLDER = re.compile(r"\{\{\s*[\w.-]+\s*\}\}")
_QUOTED = re.compile(r"[“\"]([^”\"]+)[”\"]|(?<!\w)'([^']+)'(?!\w)")
_PROPER = re.compile(r"(?<=[a-z,:] )((?:[A-Z][\w'-]+)(?: [A-Z][\w'-]+)*)")
_LAST_NOUN = re.compile(r"\b(?:in|for|of|about|at|on|from|to|near)\s+(?:the\s+)?([^?.!,]+)")
_URL = re.compile(r"https?://\S+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_FORMATS = {
    "date-time": "2026-11-21T12:00:00Z",
    "time": "12:00:00Z",
    "date": "2026-11-21",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


@dataclass(frozen=True, slots=True)
class Material:
    """What values are made of."""

    parts: list[Part]
    ask: str
    said: str
    """The answer as text, for fields that hold one."""


def instance(schema: JsonObject, material: Material) -> Any:
    """A value that obeys the schema; a top-level array of objects gets one per part."""
    return _Filler(schema, material).root()


def plan_property(schema: JsonObject) -> str | None:
    """The required property that is an array of objects, which makes a tool one that takes a
    plan.
    """
    properties = as_object(schema.get("properties")) or {}
    for name in as_list(schema.get("required")) or []:
        member = _resolved(as_object(properties.get(name)) or {}, schema)
        if member.get("type") == "array" and _is_object(_items(member, schema)):
            return str(name)
    return None


def _list_placeholder(schema: JsonObject, root: JsonObject) -> str:
    """What a property's description says to write where a thing of its list is meant, empty when
    the property is no array of strings or says no such thing.
    """
    resolved = _resolved(schema, root)
    said = _PLACEHOLDER.search(f"{schema.get('description', '')} {resolved.get('description', '')}")
    strings = resolved.get("type") == "array" and _items(resolved, root).get("type") == "string"
    return said[0] if said and strings else ""


def _items(schema: JsonObject, root: JsonObject) -> JsonObject:
    return _resolved(as_object(schema.get("items")) or {}, root)


def _is_object(schema: JsonObject) -> bool:
    return schema.get("type") == "object" or "properties" in schema


def _resolved(schema: JsonObject, root: JsonObject, *, depth: int = 0) -> JsonObject:
    """The schema with references, `allOf` and `anyOf` replaced by what they stand for: the first
    option that holds something, and from some depth on the plainest, or a schema that contains
    itself would have no end.
    """
    if "$ref" in schema:
        return _resolved(resolve(schema["$ref"], root) or {}, root, depth=depth)
    merged = dict(schema)
    for member in as_list(merged.pop("allOf", None)) or []:
        merged |= _resolved(as_object(member) or {}, root, depth=depth)
    options = [as_object(o) or {} for o in as_list(merged.pop("anyOf", None)) or []]
    if options:
        filled = [option for option in options if option.get("type") != "null"]
        plain = [option for option in options if _is_plain(option)]
        best = plain if depth > DEEP and plain else filled or options
        merged |= _resolved(best[0], root, depth=depth)
    return merged


def _is_plain(schema: JsonObject) -> bool:
    kind = schema.get("type")
    return (isinstance(kind, str) and kind in _PLAIN) or bool({"enum", "const"} & schema.keys())


def _nullable(schema: JsonObject) -> bool:
    kinds = as_list(schema.get("type")) or []
    options = [as_object(o) or {} for o in as_list(schema.get("anyOf")) or []]
    return "null" in kinds or any(option.get("type") == "null" for option in options)


class _Filler:
    def __init__(self, schema: JsonObject, material: Material) -> None:
        self._schema = schema
        self._material = material
        self._entries = material.parts
        self._whole = (
            material.parts[0] if len(material.parts) == 1 else Part(material.ask[:60], material.ask)
        )

    def root(self) -> Any:
        return self._value("", self._schema, self._whole, 1, depth=0)

    def _value(self, name: str, raw: JsonObject, part: Part, index: int, *, depth: int) -> Any:
        schema = _resolved(raw, self._schema, depth=depth)
        if "const" in schema:
            return schema["const"]
        if options := as_list(schema.get("enum")):
            return self._option(options, part)
        if _nullable(raw) and not _meaningful(name, part):
            return None
        if _is_object(schema):
            return self._object(schema, part, index, depth=depth)
        kinds = as_list(schema.get("type")) or [schema.get("type", "string")]
        kind = next((kind for kind in kinds if kind != "null"), "null")
        if kind == "array":
            return self._array(name, schema, part, index, depth=depth)
        return self._scalar(str(kind), name, schema, part, index)

    def _option(self, options: list[Any], part: Part) -> Any:
        """The option that the part names, else the first."""
        named = set(words(part.instruction))
        return next((o for o in options if isinstance(o, str) and o.lower() in named), options[0])

    def _object(self, schema: JsonObject, part: Part, index: int, *, depth: int) -> JsonObject:
        return {
            name: self._value(name, member, part, index, depth=depth + 1)
            for name, member in self._wanted(schema, part)
        }

    def _wanted(self, schema: JsonObject, part: Part) -> Iterator[tuple[str, JsonObject]]:
        """The members to fill, required ones first, as the API orders them."""
        properties = as_object(schema.get("properties")) or {}
        needed = [name for name in as_list(schema.get("required")) or [] if name in properties]
        for name in needed:
            yield name, as_object(properties[name]) or {}
        for name, value in properties.items():
            member = as_object(value) or {}
            lists = bool(_list_placeholder(member, self._schema))
            if name not in needed and (bool(part.each) if lists else _meaningful(name, part)):
                yield name, member

    def _array(
        self, name: str, schema: JsonObject, part: Part, index: int, *, depth: int
    ) -> list[Any]:
        items = _items(schema, self._schema)
        if _DEPENDS.search(name):
            return self._earlier(items, part, index)
        if _list_placeholder(schema, self._schema):
            return list(part.each)
        if _REFS.search(name):
            return _references(items, part, index)
        if _is_object(items) and depth <= 1:
            self._entries = self._planned(items)
            return [
                self._object(items, p, i, depth=depth + 1) for i, p in enumerate(self._entries, 1)
            ]
        if not schema.get("minItems") and depth > 1:
            return []
        return [self._value("", items, part, index, depth=depth + 1)]

    def _earlier(self, items: JsonObject, part: Part, index: int) -> list[Any]:
        if not part.depends:
            return []
        earlier = enumerate(self._entries[: index - 1], 1)
        before = [(i, p.id or f"s{i}") for i, p in earlier]
        return [i if items.get("type") == "integer" else id for i, id in before]

    def _planned(self, items: JsonObject) -> list[Part]:
        """The parts, as few entries as the schema of an entry can say them in."""
        for member in (as_object(items.get("properties")) or {}).values():
            placeholder = _list_placeholder(as_object(member) or {}, self._schema)
            if placeholder:
                return joined(self._material.parts, placeholder)
        return self._material.parts

    def _scalar(self, kind: str, name: str, schema: JsonObject, part: Part, index: int) -> Any:
        if kind == "string":
            return self._string(name, schema, part, index)
        if kind in ("integer", "number"):
            return _number(kind, schema, part)
        return False if kind == "boolean" else None

    def _string(self, name: str, schema: JsonObject, part: Part, index: int) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        said = self._material.said
        fields: tuple[tuple[re.Pattern[str], Callable[[], str]], ...] = (
            (_ID, lambda: part.id or f"s{index}"),
            (_TITLE, lambda: part.title),
            (_INSTRUCTION, lambda: part.instruction),
            (_SAID, lambda: said or part.instruction),
        )
        for pattern, value in fields:
            if pattern.search(name):
                return value()
        return _extracted(name, part)


def _meaningful(name: str, part: Part) -> bool:
    """Whether an optional member would say something."""
    if _DEPENDS.search(name):
        return part.depends
    if _REFS.search(name):
        return bool(part.refs)
    return bool(_ID.search(name) or _TITLE.search(name) or name.startswith("instruct"))


def _references(items: JsonObject, part: Part, index: int) -> list[Any]:
    if items.get("type") in ("integer", "number"):
        return [int(ref) if ref.isdecimal() else index for ref in part.refs]
    return list(part.refs)


def _number(kind: str, schema: JsonObject, part: Part) -> float | int:
    found = _NUMBER.search(part.instruction)
    usual = schema.get("default")
    least = schema.get("minimum", usual if isinstance(usual, int | float) else 1)
    value = float(found[0]) if found else float(least)
    value = min(max(value, schema.get("minimum", value)), schema.get("maximum", value))
    return int(value) if kind == "integer" else value


def _extracted(name: str, part: Part) -> str:
    """The thing the text is about: an address, something quoted, a proper name, the last noun."""
    text = part.instruction
    if re.search(r"url|uri|link|href", name, re.IGNORECASE):
        found = _URL.search(text)
        return found[0].rstrip(".,)") if found else _FORMATS["uri"]
    if quoted := _QUOTED.search(text):
        return quoted[1] or quoted[2]
    for pattern in (_PROPER, _LAST_NOUN):
        if found := pattern.search(text):
            return found[1].strip()
    return part.title
