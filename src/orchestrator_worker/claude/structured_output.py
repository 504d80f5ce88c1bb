"""Which JSON Schemas Claude can enforce as they are, and the form in which it takes them.

Owns the narrowing of a caller's schema to the subset that `output_config.format` and strict tools
take. A form allows no value that the caller's schema does not allow, so that what is written under
it may be passed on before it is complete. Where that cannot be had there is no form: whatever
Claude would not hold itself to has to be checked in the finished answer, which is done elsewhere
(`teams/result_schema.py`).

A schema is a caller's text: size and depth are bounded, and nothing in it raises.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, cast
from urllib.parse import unquote

from orchestrator_worker.claude.schema_overlap import MAX_OPTIONS, Tags, are_disjoint

MAX_OPTIONAL = 24
"""Properties that may be left out, in all schemas of one request."""
MAX_UNIONS = 16
"""Schemas with `anyOf` or several types, in all schemas of one request."""
MAX_SCHEMAS = 1000
MAX_ENUM_VALUES = 1000
MAX_DEPTH = 32
MAX_PATTERN_CHARS = 500
_MAX_REFERENCES_IN_A_ROW = 8

_SCALARS = frozenset({"string", "integer", "number", "boolean", "null"})
_KEYWORDS: dict[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems"}),
    "string": frozenset({"format", "pattern"}),
    "integer": frozenset(),
    "number": frozenset(),
    "boolean": frozenset(),
    "null": frozenset(),
}
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_SAYS_NOTHING_ABOUT_VALUES = frozenset(
    {
        "title", "description", "default", "examples", "example", "deprecated", "readOnly",
        "writeOnly", "$comment", "$defs", "definitions", "discriminator",
    }
)  # fmt: skip
_ONLY_AT_ROOT = frozenset({"$schema", "$id"})
_MOST = 2**53 - 1
"""Zod writes these bounds of JavaScript's integers for every integer; no answer is about them."""
_WITHOUT_EFFECT = [
    ("uniqueItems", bool, False),
    ("minLength", int, 0),
    ("minProperties", int, 0),
    ("minimum", int, -_MOST),
    ("maximum", int, _MOST),
]
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ESCAPE = r"\\[dwsnrt.\-/\\^$*+?()\[\]{}|]"
_PATTERN_PART = re.compile(
    rf"(?:(?P<open>\((?:\?:)?)|(?P<bar>\|)"
    rf"|(?:(?P<close>\))|{_ESCAPE}|\[\^?(?:{_ESCAPE}|(?!&&|--|~~)[^\[\]\\^])+\]|[^\\\[\](){{}}*+?|^$])"
    r"(?:[*+?]|\{[0-9]{1,2}(?:,[0-9]{0,2})?\})?)"
)
"""What all engines read alike; the API documents no more than this."""


class _Lost(Exception):
    """Something in the schema would not be enforced."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a schema stands."""

    holder: str
    """The reference to the definition that it is part of; `#` is the root."""
    depth: int = 0
    needed: bool = True
    """Each value of the holder has a value of this schema in it."""
    whole: bool = True
    """A value of this schema is one of the holder, not a part of one."""

    def part(self, *, needed: bool) -> "_Place":
        return replace(self, depth=self.depth + 1, needed=self.needed and needed, whole=False)

    def option(self, of: int) -> "_Place":
        return replace(self, depth=self.depth + 1, needed=self.needed and of == 1)


def enforceable(schema: Any) -> Mapping[str, Any] | None:
    """Return the schema in the form that `output_config.format` takes, None when there is none."""
    try:
        return _Narrowing(_object(schema)).form()
    except _Lost:
        return None


def enforceable_tool(schema: Any) -> Mapping[str, Any] | None:
    """Return the parameters of a function in the form that a strict tool takes, None when there is
    none. A function that names no parameters has none, where such a response could be anything.
    """
    if isinstance(schema, Mapping):
        root = cast("Mapping[str, Any]", schema)
        if root.get("type") == "object" and not root.get("properties"):
            schema = {"additionalProperties": False, **root}
    return enforceable(schema)


def within_limits(forms: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether one request may carry all these forms: the API counts them together."""
    optional = unions = 0
    pending: list[Mapping[str, Any]] = list(forms)
    while pending:
        form = pending.pop()
        optional += len(form.get("properties", ())) - len(form.get("required", ()))
        unions += "anyOf" in form or isinstance(form.get("type"), list)
        pending.extend(_within(form))
    return optional <= MAX_OPTIONAL and unions <= MAX_UNIONS


def _within(form: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from form.get("$defs", {}).values()
    yield from form.get("properties", {}).values()
    yield from form.get("anyOf", ())
    if "items" in form:
        yield form["items"]


class _Narrowing:
    """The way of one schema to its form."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._schemas = self._enum_values = self._unnamed = 0
        self._references = {id(root): "#"}
        self._targets: dict[str, Any] = {}
        self._names: set[str] = set()
        self._tags: dict[int, Tags] = {}
        self._forms: dict[str, dict[str, Any]] = {}
        self._pending: list[tuple[str, Any]] = []
        self._needed: TopologicalSorter[str] = TopologicalSorter()
        self._same: TopologicalSorter[str] = TopologicalSorter()

    def form(self) -> Mapping[str, Any]:
        root = self._at_root()
        form = self._narrowed(root, _Place("#"))
        while self._pending:
            name, schema = self._pending.pop()
            self._forms[name] = self._narrowed(schema, _Place(f"#/$defs/{name}"))
        self._refuse_endless()
        if self._forms:
            form["$defs"] = self._forms
        if form.get("type") != "object" or not within_limits([form]):
            raise _Lost
        return form

    def _at_root(self) -> Mapping[str, Any]:
        """The root without what may stand only there. A root that is a reference, as a recursive
        model has it, is what it refers to: a tool's root must have a type.
        """
        root = _without(self._root, _ONLY_AT_ROOT)
        for _ in range(_MAX_REFERENCES_IN_A_ROW):
            if _asserting(root) != {"$ref"}:
                return root
            root = _object(self._target(root["$ref"]))
            self._references[id(root)] = "#"
        raise _Lost

    def _refuse_endless(self) -> None:
        """Refuse what has no end, or no beginning for a grammar: a definition that needs itself,
        or is itself one of its own options. Options that all need it are not found out.
        """
        try:
            self._needed.prepare()
            self._same.prepare()
        except CycleError as error:
            raise _Lost from error

    def _narrowed(self, raw: Any, place: _Place) -> dict[str, Any]:
        schema = _object(raw)
        self._schemas += 1
        if self._schemas > MAX_SCHEMAS or place.depth > MAX_DEPTH:
            raise _Lost
        asserting = _asserting(schema)
        for combiner in ("$ref", "anyOf", "oneOf", "allOf"):
            if combiner in asserting:
                if len(asserting) > 1:
                    raise _Lost
                return self._combined(combiner, schema, place)
        if asserting & {"enum", "const"}:
            return self._literals(schema, asserting) | _said(schema)
        return self._typed(schema, asserting, place) | _said(schema)

    def _combined(self, combiner: str, schema: Mapping[str, Any], place: _Place) -> dict[str, Any]:
        if combiner == "$ref":
            # Nothing beside it: what the API makes of that is not documented.
            return {"$ref": self._reference(schema["$ref"], place)}
        options = _list(schema[combiner])
        if len(options) != 1:
            return self._union(combiner, options, place) | _said(schema)
        form = self._narrowed(options[0], place.option(1))
        return form if "$ref" in form else form | _said(schema)

    def _union(self, combiner: str, options: list[Any], place: _Place) -> dict[str, Any]:
        if not options or combiner == "allOf":
            raise _Lost
        if combiner == "oneOf" and not are_disjoint(self._tags_of(options)):
            raise _Lost
        below = place.option(len(options))
        return {"anyOf": [self._narrowed(option, below) for option in options]}

    def _tags_of(self, options: list[Any]) -> list[Tags]:
        if len(options) > MAX_OPTIONS:
            raise _Lost
        referred = [self._referred(option) for option in options]
        for option in referred:
            if id(option) not in self._tags:
                self._tags[id(option)] = Tags.of(option)
        return [self._tags[id(option)] for option in referred]

    def _referred(self, option: Any) -> Mapping[str, Any]:
        """The schema itself, at the end of references."""
        for _ in range(_MAX_REFERENCES_IN_A_ROW):
            schema = _object(option)
            if "$ref" not in schema:
                return schema
            option = self._target(schema["$ref"])
        raise _Lost

    def _reference(self, pointer: Any, place: _Place) -> str:
        target = _object(self._target(pointer))
        reference = self._references.get(id(target))
        if reference is None:
            name = self._name(pointer)
            reference = self._references[id(target)] = f"#/$defs/{name}"
            self._pending.append((name, target))
        if place.needed:
            self._needed.add(place.holder, reference)
        if place.whole:
            self._same.add(place.holder, reference)
        return reference

    def _name(self, pointer: str) -> str:
        """Name a definition as the caller does, where that is short, plain and still free."""
        name = pointer.rpartition("/")[2]
        while name in self._names or not _PLAIN_NAME.fullmatch(name):
            self._unnamed += 1
            name = f"schema-{self._unnamed}"
        self._names.add(name)
        return name

    def _target(self, pointer: Any) -> Any:
        """What an internal reference names."""
        if pointer == "#":
            return self._root
        if not isinstance(pointer, str) or not pointer.startswith("#/"):
            raise _Lost
        if pointer not in self._targets:
            if pointer.count("/") > MAX_DEPTH * 2:
                raise _Lost
            found: Any = self._root
            for step in pointer[2:].split("/"):
                found = _member(found, unquote(step).replace("~1", "/").replace("~0", "~"))
            self._targets[pointer] = found
        return self._targets[pointer]

    def _literals(self, schema: Mapping[str, Any], asserting: Collection[str]) -> dict[str, Any]:
        if not {"enum", "const", "type"}.issuperset(asserting):
            raise _Lost
        kinds = _kinds(schema["type"]) if "type" in schema else _SCALARS
        values = _list(schema["enum"]) if "enum" in schema else [schema["const"]]
        self._enum_values += len(values)
        if self._enum_values > MAX_ENUM_VALUES:
            raise _Lost
        if not all(map(_kinds_of, values)):
            raise _Lost  # Lists and objects cannot be listed.
        left = [value for value in values if _kinds_of(value).intersection(kinds)]
        if "enum" in schema and "const" in schema:
            only = (_kinds_of(schema["const"]), schema["const"])
            left = [value for value in left if (_kinds_of(value), value) == only]
        if not left:
            raise _Lost
        return {"enum": left} if "enum" in schema else {"const": left[0]}

    def _typed(
        self, schema: Mapping[str, Any], asserting: Collection[str], place: _Place
    ) -> dict[str, Any]:
        kinds = _kinds(schema["type"]) if "type" in schema else _implied(asserting)
        applicable = frozenset({"type"}).union(*(_KEYWORDS[kind] for kind in kinds))
        if not applicable.issuperset(asserting):
            raise _Lost
        if len(kinds) == 1:
            return self._of_one_type(kinds[0], schema, place)
        if len(asserting) == 1 and _SCALARS.issuperset(kinds):
            return {"type": kinds}
        below = place.option(len(kinds))
        return {"anyOf": [self._of_one_type(kind, schema, below) for kind in kinds]}

    def _of_one_type(self, kind: str, schema: Mapping[str, Any], place: _Place) -> dict[str, Any]:
        if kind == "object":
            return self._closed_object(schema, place)
        if kind == "array":
            return self._array(schema, place)
        return {"type": kind} | (_text_rules(schema) if kind == "string" else {})

    def _closed_object(self, schema: Mapping[str, Any], place: _Place) -> dict[str, Any]:
        properties = _object(schema.get("properties", {}))
        required = _list(schema.get("required", []))
        more = schema.get("additionalProperties", True)
        if more is not False and (not properties or more not in (True, {})):
            raise _Lost  # The names of its properties are the answer's to choose.
        if len(properties) > MAX_SCHEMAS or len(required) > len(properties):
            raise _Lost
        if not all(isinstance(name, str) and name in properties for name in required):
            raise _Lost
        if len(set(required)) < len(required):
            raise _Lost
        needed = frozenset(required)
        narrowed = {
            name: self._narrowed(member, place.part(needed=name in needed))
            for name, member in properties.items()
        }
        form = {"type": "object", "properties": narrowed, "additionalProperties": False}
        return form | {"required": list(required)}

    def _array(self, schema: Mapping[str, Any], place: _Place) -> dict[str, Any]:
        least = schema.get("minItems", 0)
        if type(least) is not int or least not in (0, 1) or "items" not in schema:
            raise _Lost
        items = self._narrowed(schema["items"], place.part(needed=least == 1))
        form = {"type": "array", "items": items}
        return form | {"minItems": least} if least else form


def _text_rules(schema: Mapping[str, Any]) -> dict[str, Any]:
    rules = {name: schema[name] for name in ("format", "pattern") if name in schema}
    if len(rules) > 1 or not all(isinstance(rule, str) for rule in rules.values()):
        raise _Lost
    if rules.get("format", "date") not in _FORMATS or not _is_simple(rules.get("pattern", "")):
        raise _Lost
    return rules


def _is_simple(pattern: str) -> bool:
    if len(pattern) > MAX_PATTERN_CHARS:
        return False
    at, end = int(pattern.startswith("^")), len(pattern)
    if pattern.endswith("$") and not pattern.endswith("\\$"):
        end -= 1
    opened = 0
    while at < end:
        part = _PATTERN_PART.match(pattern, at, end)
        if part is None:
            return False
        opened += bool(part["open"]) - bool(part["close"])
        if opened < 0:
            return False
        at = part.end()
    return opened == 0


def _asserting(schema: Mapping[str, Any]) -> set[str]:
    """The keywords that values must obey; what is not known counts as one."""
    return {
        keyword
        for keyword, value in schema.items()
        if keyword not in _SAYS_NOTHING_ABOUT_VALUES
        and not keyword.startswith("x-")
        and (keyword, type(value), value) not in _WITHOUT_EFFECT
    }


def _said(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What is said to the reader of the schema."""
    said = {n: schema[n] for n in ("title", "description") if isinstance(schema.get(n), str)}
    if "default" in schema and _kinds_of(schema["default"]):
        said["default"] = schema["default"]
    return said


def _implied(asserting: Collection[str]) -> list[str]:
    """The type that a schema without one is meant for."""
    if "properties" in asserting:
        return ["object"]
    if "items" in asserting:
        return ["array"]
    raise _Lost


def _kinds(value: Any) -> list[str]:
    kinds: list[Any] = [value] if isinstance(value, str) else _list(value)
    if not kinds or not all(isinstance(kind, str) and kind in _KEYWORDS for kind in kinds):
        raise _Lost
    return list(dict.fromkeys(kinds))


def _kinds_of(value: Any) -> frozenset[str]:
    """The types that a scalar is of; none for a list or an object."""
    if value is None:
        return frozenset({"null"})
    if isinstance(value, bool):
        return frozenset({"boolean"})
    if isinstance(value, str):
        return frozenset({"string"})
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return frozenset({"integer", "number"})
    return frozenset({"number"}) if isinstance(value, float) else frozenset()


def _member(of: Any, step: str) -> Any:
    found: Any = None
    if isinstance(of, Mapping):
        found = cast("Mapping[str, Any]", of).get(step)
    elif _INDEX.fullmatch(step) and int(step) < len(_list(of)):
        found = of[int(step)]
    if isinstance(found, Mapping) and isinstance(cast("Mapping[str, Any]", found).get("$id"), str):
        raise _Lost  # References in it are its own, not the root's.
    return cast("Any", found)


def _without(schema: Mapping[str, Any], keywords: Collection[str]) -> Mapping[str, Any]:
    return {keyword: value for keyword, value in schema.items() if keyword not in keywords}


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _Lost
    return cast("Mapping[str, Any]", value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Lost
    return cast("list[Any]", value)
