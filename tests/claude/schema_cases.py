"""Schemas of callers, and what of them Claude can enforce."""

from typing import Any

Json = dict[str, Any]
TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
NULL: Json = {"type": "null"}


def closed(**properties: Any) -> Json:
    """An object with these properties, all required, and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def optional(count: int) -> Json:
    return closed() | {"properties": {f"p{i}": TEXT for i in range(count)}}


def unions(count: int) -> Json:
    return closed(**{f"p{i}": {"type": ["string", "null"]} for i in range(count)})


def nested(depth: int) -> Json:
    schema = TEXT
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return closed(x=schema)


CAT, DOG = (closed(kind={"const": kind}, name=TEXT) for kind in ("cat", "dog"))
NODE = closed(value=TEXT, next={"anyOf": [{"$ref": "#/$defs/Node"}, NULL]})

SAME = {
    "scalars": closed(a=TEXT, b=NUMBER, c={"type": "integer"}, d={"type": "boolean"}, e=NULL),
    "an empty object": closed(),
    "nested": closed(a=closed(b={"type": "array", "items": closed(c=TEXT)})),
    "a list with something in it": closed(a={"type": "array", "items": TEXT, "minItems": 1}),
    "several types": closed(a={"type": ["string", "integer", "null"]}),
    "texts beside": closed(a=TEXT | {"title": "A", "description": "b", "default": "c"}),
    "a format": closed(a=TEXT | {"format": "date-time"}),
    "a pattern": closed(a=TEXT | {"pattern": r"^(?:[A-Z]{2,3}|\d+)-[^x\]]*\.$"}),
    "an end that is a dollar sign": closed(a=TEXT | {"pattern": r"\$"}),
    "constants": closed(a={"const": "x"}, b={"enum": ["x", 1, 1.5, True, None]}),
    "options": closed(a={"anyOf": [TEXT, closed(b=TEXT)]}),
    "optional properties": optional(24),
    "unions": unions(16),
    "depth": nested(31),
    "recursion by the root": closed(children={"type": "array", "items": {"$ref": "#"}}),
    "recursion by a definition": closed(list={"$ref": "#/$defs/Node"}) | {"$defs": {"Node": NODE}},
}
"""Schemas that Claude enforces as they are."""

NARROWED: dict[str, tuple[Json, Json]] = {
    "further properties, which nobody asked for": (
        {"type": "object", "properties": {"a": TEXT}, "required": ["a"]},
        closed(a=TEXT),
    ),
    "further properties that are allowed": (
        closed(a=closed(b=TEXT) | {"additionalProperties": {}}) | {"additionalProperties": True},
        closed(a=closed(b=TEXT)),
    ),
    "an object that does not say so": (
        {"properties": {"a": TEXT}, "required": ["a"]},
        closed(a=TEXT),
    ),
    "a list that does not say so": (
        closed(a={"items": TEXT}),
        closed(a={"type": "array", "items": TEXT}),
    ),
    "annotations": (
        closed(a=TEXT | {"$comment": "c", "deprecated": True, "examples": ["e"], "x-order": 1})
        | {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://a.example/s"},
        closed(a=TEXT),
    ),
    "a default that is no scalar": (closed(a=TEXT | {"default": []}), closed(a=TEXT)),
    "rules without effect": (
        closed(a=TEXT | {"minLength": 0}, b={"type": "array", "items": TEXT, "uniqueItems": False}),
        closed(a=TEXT, b={"type": "array", "items": TEXT}),
    ),
    "a type beside literals": (
        closed(a=TEXT | {"enum": ["x", 1, None]}, b={"type": "integer", "enum": [1, 1.5, True]}),
        closed(a={"enum": ["x"]}, b={"enum": [1]}),
    ),
    "a constant that is listed too": (
        closed(a={"const": 1, "enum": [True, 1]}),
        closed(a={"enum": [1]}),
    ),
    "types with rules of their own": (
        closed(a={"type": ["string", "null"], "format": "date", "title": "A"}),
        closed(a={"anyOf": [TEXT | {"format": "date"}, NULL], "title": "A"}),
    ),
    "an object or null": (
        closed(a=closed(b=TEXT) | {"type": ["object", "null"]}),
        closed(a={"anyOf": [closed(b=TEXT), NULL]}),
    ),
    "one of several types": (
        closed(a={"oneOf": [TEXT, {"type": ["integer", "null"]}]}),
        closed(a={"anyOf": [TEXT, {"type": ["integer", "null"]}]}),
    ),
    "one of several constants": (
        closed(a={"oneOf": [{"const": "x", "title": "X"}, {"enum": ["y", "z"]}]}),
        closed(a={"anyOf": [{"const": "x", "title": "X"}, {"enum": ["y", "z"]}]}),
    ),
    "one of several objects that a property tells apart": (
        closed(a={"oneOf": [CAT, DOG], "discriminator": {"propertyName": "kind"}}),
        closed(a={"anyOf": [CAT, DOG]}),
    ),
    "a single option": (
        closed(a={"allOf": [{"$ref": "#/$defs/t"}], "title": "A"}, b={"oneOf": [TEXT]})
        | {"$defs": {"t": TEXT}},
        closed(a={"$ref": "#/$defs/t"}, b=TEXT) | {"$defs": {"t": TEXT}},
    ),
    "words beside a reference": (
        closed(a={"$ref": "#/definitions/t", "description": "d"}) | {"definitions": {"t": TEXT}},
        closed(a={"$ref": "#/$defs/t"}) | {"$defs": {"t": TEXT}},
    ),
    "a definition that nothing refers to": (closed() | {"$defs": {"any": {}}}, closed()),
    "a root that is a reference": (
        {"$ref": "#/$defs/Node", "$defs": {"Node": NODE}},
        closed(value=TEXT, next={"anyOf": [{"$ref": "#"}, NULL]}),
    ),
    "a reference into the tree, as zod-to-json-schema makes them": (
        closed(a=closed(b=TEXT), c={"$ref": "#/properties/a"}, d={"$ref": "#/properties/a"}),
        closed(a=closed(b=TEXT), c={"$ref": "#/$defs/a"}, d={"$ref": "#/$defs/a"})
        | {"$defs": {"a": closed(b=TEXT)}},
    ),
    "references whose names are alike": (
        closed(a=closed(b=TEXT), c={"$ref": "#/properties/a"}, d={"$ref": "#/$defs/a"})
        | {"$defs": {"a": NUMBER}},
        closed(a=closed(b=TEXT), c={"$ref": "#/$defs/a"}, d={"$ref": "#/$defs/schema-1"})
        | {"$defs": {"a": closed(b=TEXT), "schema-1": NUMBER}},
    ),
    "references with escapes and indices": (
        closed(
            a={"$ref": "#/$defs/x~1y%20z"},
            b={"$ref": "#/properties/c/anyOf/1"},
            c={"anyOf": [TEXT, NULL]},
        )
        | {"$defs": {"x/y z": NUMBER}},
        closed(
            a={"$ref": "#/$defs/schema-1"}, b={"$ref": "#/$defs/1"}, c={"anyOf": [TEXT, NULL]}
        )
        | {"$defs": {"schema-1": NUMBER, "1": NULL}},
    ),
}  # fmt: skip
"""Schemas and the form in which Claude enforces them."""

LOST: dict[str, Any] = {
    "no schema": None,
    "a schema that allows all": True,
    "an empty schema": {},
    "a list at the root": {"type": "array", "items": TEXT},
    "options at the root": {"anyOf": [CAT, DOG]},
    "null allowed at the root": closed() | {"type": ["object", "null"]},
    "any object": {"type": "object"},
    "any object at some place": closed(a={"type": "object", "properties": {}}),
    "a map": closed(a={"type": "object", "additionalProperties": TEXT}),
    "a map with fixed keys": closed(a=TEXT) | {"additionalProperties": TEXT},
    "names by pattern": closed(a=TEXT) | {"patternProperties": {"^b": TEXT}},
    "a number of properties": closed(a=TEXT) | {"minProperties": 1},
    "required but not defined": closed(a=TEXT) | {"required": ["b"]},
    "required twice": closed(a=TEXT) | {"required": ["a", "a"]},
    "required as in draft 3": closed(a=TEXT) | {"required": True},
    "properties that are none": {"type": "object", "properties": []},
    "a property of any value": closed(a=True),
    "a property of unknown type": closed(a={"description": "whatever"}),
    "minimum": closed(a=NUMBER | {"minimum": 0}),
    "exclusiveMaximum": closed(a=NUMBER | {"exclusiveMaximum": 0}),
    "multipleOf": closed(a=NUMBER | {"multipleOf": 2}),
    "maxLength": closed(a=TEXT | {"maxLength": 3}),
    "minLength": closed(a=TEXT | {"minLength": 1}),
    "maxItems": closed(a={"type": "array", "items": TEXT, "maxItems": 2}),
    "minItems": closed(a={"type": "array", "items": TEXT, "minItems": 2}),
    "minItems that is no number": closed(a={"type": "array", "items": TEXT, "minItems": True}),
    "uniqueItems": closed(a={"type": "array", "items": TEXT, "uniqueItems": True}),
    "contains": closed(a={"type": "array", "items": TEXT, "contains": {"const": "x"}}),
    "a tuple": closed(a={"type": "array", "prefixItems": [TEXT], "items": False}),
    "a tuple of old": closed(a={"type": "array", "items": [TEXT, NUMBER]}),
    "a list of anything": closed(a={"type": "array"}),
    "a format that the API does not know": closed(a=TEXT | {"format": "phone"}),
    "a format of numbers": closed(a={"type": "integer", "format": "int32"}),
    "a format and a pattern": closed(a=TEXT | {"format": "uuid", "pattern": "^a"}),
    "a pattern that is none": closed(a=TEXT | {"pattern": 1}),
    "not": closed(a=TEXT | {"not": {"const": "x"}}),
    "if": closed(a=TEXT) | {"if": {}, "then": {}},
    "dependentRequired": closed(a=TEXT) | {"dependentRequired": {"a": ["b"]}},
    "an unknown keyword": closed(a=TEXT | {"maxLenght": 3}),
    "an unknown type": closed(a={"type": "text"}),
    "no type": closed(a={"type": []}),
    "all of several": closed(a={"allOf": [closed(b=TEXT), closed(c=TEXT)]}),
    "no option": closed(a={"anyOf": []}),
    "options beside a type": closed(a=TEXT | {"anyOf": [{"const": "x"}, {"const": "y"}]}),
    "one of an integer and a number": closed(a={"oneOf": [{"type": "integer"}, NUMBER]}),
    "one of objects alike": closed(a={"oneOf": [closed(b=TEXT), closed(c=TEXT)]}),
    "one of a type and no type": closed(a={"oneOf": [TEXT, {"properties": {"b": TEXT}}]}),
    "one of constants alike": closed(a={"oneOf": [{"enum": ["x", "y"]}, {"const": "y"}]}),
    "one of objects that an optional property tells apart": closed(
        a={"oneOf": [CAT | {"required": ["name"]}, DOG | {"required": []}]}
    ),
    "no literal": closed(a={"enum": []}),
    "no literal of the type": closed(a=TEXT | {"enum": [1]}),
    "a literal that is a list": closed(a={"enum": ["x", []]}),
    "a constant that is an object": closed(a={"const": {}}),
    "a rule beside literals": closed(a=TEXT | {"enum": ["x"], "maxLength": 3}),
    "an external reference": closed(a={"$ref": "https://a.example/s"}),
    "a reference by anchor": closed(a={"$ref": "#t"}) | {"$defs": {"t": TEXT | {"$anchor": "t"}}},
    "a reference to nothing": closed(a={"$ref": "#/$defs/t"}),
    "a reference to no item": closed(a={"$ref": "#/required/7"}),
    "a reference that is none": closed(a={"$ref": ["#"]}),
    "a reference by a huge index": closed(a={"$ref": "#/required/" + "9" * 5000}),
    "rules beside a reference": closed(a={"$ref": "#/$defs/t", "maxLength": 3})
    | {"$defs": {"t": TEXT}},
    "a reference in a schema with an id": closed(a={"$ref": "#/$defs/t/$defs/u"})
    | {"$defs": {"t": {"$id": "https://a.example/t", "$defs": {"u": TEXT}}}},
    "a reference to itself": closed(a={"$ref": "#/$defs/t"})
    | {"$defs": {"t": {"$ref": "#/$defs/t"}}},
    "a root that refers to itself": {"$ref": "#"},
    "an option that is the whole": closed(a={"$ref": "#/$defs/t"})
    | {"$defs": {"t": {"anyOf": [TEXT, {"$ref": "#/$defs/t"}]}}},
    "an object that must hold itself": closed(a={"$ref": "#"}),
    "a list that must hold itself": closed(
        a={"type": "array", "items": {"$ref": "#"}, "minItems": 1}
    ),
    "too many optional properties": optional(25),
    "too many unions": unions(17),
    "too many options to tell apart": closed(a={"oneOf": [{"const": str(i)} for i in range(33)]}),
    "too many literals": closed(a={"enum": list(range(1001))}),
    "too many schemas": closed(**{f"p{i}": TEXT for i in range(1000)}),
    "too deep": nested(32),
    "much too deep": nested(100_000),
}  # fmt: skip
"""What Claude would not hold itself to."""

BEYOND = (
    r"(?=a)", r"(?<!a)", r"\ba", r"(a)\1", r"\p{L}", r"\D", r"a{2,300}", r"a*?", r"a++", "(a",
    "a)", "[a", "a^b", "a$b", "*a", "[[:alpha:]]", "[a&&b]", "(?i)a", "(?P<n>a)", "a" * 501,
)  # fmt: skip
"""Patterns that engines read differently, or that the API does not take."""
