"""Schemas at random, and values of their forms."""

from typing import Any

from hypothesis import strategies as st

from tests.claude.schema_cases import Json

NAMES = st.sampled_from(["a", "b", "kind"])
LITERALS = st.sampled_from(["x", "y", "", 0, 1, 1.0, 1.5, True, False, None])
PATTERNS = ["^[xy]+$", "[0-9]{2}", "^x|y$"]
REFERENCES = st.sampled_from(["#", "#/$defs/a", "#/$defs/b", "#/properties/a"])
EXTRA: list[Json] = [
    *[{}] * 8,
    {"title": "T"}, {"default": None}, {"minimum": 1}, {"maxLength": 1}, {"minLength": 0},
    {"uniqueItems": True}, {"enum": ["x", 1, None]}, {"type": "string"},
    {"type": ["integer", "null"]}, {"not": {"const": "x"}},
]  # fmt: skip


def objects(member: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    more = st.sampled_from(
        [{}, {}, {"additionalProperties": False}, {"additionalProperties": True}]
    )
    members = st.dictionaries(NAMES, member, min_size=1, max_size=3)
    return st.builds(_object, members, st.lists(NAMES, unique=True, max_size=3), more)


def _object(members: Json, required: list[str], more: Json) -> Json:
    there = [name for name in required if name in members]
    return {"type": "object", "properties": members, "required": there, **more}


def _array(items: Json, least: int) -> Json:
    return {"type": "array", "items": items, "minItems": least}


def _combined(combiner: str, options: list[Json]) -> Json:
    return {combiner: options}


def _both(schema: Json, more: Json) -> Json:
    return schema | more


def _with_definitions(root: Json, definitions: Json) -> Json:
    return root | {"$defs": definitions}


SIMPLE = st.one_of(
    st.sampled_from(["string", "integer", "number", "boolean", "null"]).map(lambda t: {"type": t}),
    st.lists(st.sampled_from(["string", "integer", "number", "null"]), min_size=1, unique=True).map(
        lambda kinds: {"type": kinds}
    ),
    LITERALS.map(lambda value: {"const": value}),
    st.lists(LITERALS, min_size=1, max_size=3).map(lambda values: {"enum": values}),
    st.sampled_from(PATTERNS).map(lambda pattern: {"type": "string", "pattern": pattern}),
    st.just({"type": ["string", "null"], "pattern": PATTERNS[0]}),
    REFERENCES.map(lambda pointer: {"$ref": pointer}),
)


def extended(member: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.builds(_both, member, st.sampled_from(EXTRA))


def larger(member: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    member = extended(member)
    return st.one_of(
        objects(member),
        st.builds(_array, member, st.sampled_from([0, 0, 1, 2])),
        st.builds(
            _combined,
            st.sampled_from(["anyOf", "oneOf", "allOf"]),
            st.lists(member, min_size=1, max_size=3),
        ),
    )


EITHER = st.builds(_combined, st.just("oneOf"), st.lists(SIMPLE, min_size=2, max_size=2))
SCHEMA = EITHER | extended(st.recursive(SIMPLE, larger, max_leaves=5))
ROOT = st.builds(
    _with_definitions,
    objects(SCHEMA),
    st.fixed_dictionaries({"a": SCHEMA, "b": SCHEMA}),
)
INTEGERS = st.integers(-3, 3) | st.sampled_from([1.0, 2**40])
OF_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "string": st.sampled_from(["", "x", "y", "z", "xyz"]),
    "integer": INTEGERS,
    "number": INTEGERS | st.sampled_from([0.5, -1.5]),
    "boolean": st.booleans(),
    "null": st.none(),
}


def value_of(draw: st.DrawFn, form: Json, root: Json, depth: int = 0) -> Any:
    """A value that the form allows; where it is deep, mostly as little as it may be."""
    if depth > 12:
        raise TooDeep
    if "$ref" in form:
        name = form["$ref"].removeprefix("#/$defs/")
        return value_of(draw, root if name == "#" else root["$defs"][name], root, depth + 1)
    if "anyOf" in form:
        return value_of(draw, draw(st.sampled_from(form["anyOf"])), root, depth + 1)
    if "const" in form or "enum" in form:
        return draw(st.sampled_from(form.get("enum", [form.get("const")])))
    if form["type"] == "object":
        wanted = [n for n in form["properties"] if n in form["required"] or draw(st.booleans())]
        return {n: value_of(draw, form["properties"][n], root, depth + 1) for n in wanted}
    if form["type"] == "array":
        count = draw(st.integers(form.get("minItems", 0), 1 if depth > 3 else 2))
        return [value_of(draw, form["items"], root, depth + 1) for _ in range(count)]
    if "pattern" in form:
        return draw(st.from_regex(form["pattern"].replace("$", r"\Z")))
    kinds = form["type"] if isinstance(form["type"], list) else [form["type"]]
    return draw(OF_TYPE[draw(st.sampled_from(kinds))])


class TooDeep(Exception):
    """The value grew beyond what a test needs."""


KEYWORDS = st.sampled_from(
    [
        "type", "properties", "required", "items", "anyOf", "oneOf", "allOf", "$ref", "$defs",
        "enum", "const", "pattern", "format", "minItems", "additionalProperties", "default",
        "title", "$id", "a", "0",
    ]
)  # fmt: skip
ANYTHING = st.recursive(
    LITERALS | st.sampled_from(["object", "array", "string", "#", "#/$defs/a", "#/anyOf/0", "#/"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS, inner, max_size=5),
    max_leaves=20,
)
