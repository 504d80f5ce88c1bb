"""The subset of JSON Schema that structured outputs accept (`output_config.format` and strict
tools).

Source: the structured-outputs page of the API documentation.
"""

import re
from typing import Any

from orchestrator_worker.simulator.errors import InvalidRequestError
from orchestrator_worker.simulator.field_checks import join, object_at
from orchestrator_worker.simulator.jsons import JsonObject, as_list, as_object

MAX_OPTIONAL = 24
MAX_UNIONS = 16
MAX_STRICT_TOOLS = 20

TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
KEYWORDS = frozenset(
    {
        "type", "enum", "const", "anyOf", "allOf", "$ref", "$defs", "definitions", "default",
        "required",
        "properties", "additionalProperties", "items", "format", "pattern", "minItems", "title",
        "description", "$schema", "$id", "examples",
    }
)  # fmt: skip
_BEYOND_GRAMMAR = re.compile(r"\(\?[=!<]|\\[bB1-9]")


class SchemaSize:
    """The totals that are limited per request, over all its schemas."""

    def __init__(self) -> None:
        self.optional = 0
        self.unions = 0
        self.strict_tools = 0

    def check(self) -> None:
        """Refuse a request whose schemas are too complex together."""
        if (
            self.optional > MAX_OPTIONAL
            or self.unions > MAX_UNIONS
            or self.strict_tools > MAX_STRICT_TOOLS
        ):
            raise InvalidRequestError("Schema is too complex.")


def check_schema(schema: Any, path: str, size: SchemaSize) -> None:
    """Check a schema and all it contains, and add it to the totals."""
    root = object_at(schema, path)
    _check(root, root, path, size)


def _check(schema: JsonObject, root: JsonObject, path: str, size: SchemaSize) -> None:
    for keyword in schema:
        if keyword not in KEYWORDS:
            kind = schema.get("type", "schema")
            raise InvalidRequestError(
                f"For '{kind}' type, property '{keyword}' is not supported", path
            )
    _check_type(schema, path, size)
    _check_reference(schema, root, path)
    if schema.get("type") == "object" or "properties" in schema:
        _check_object(schema, path, size)
    _check_scalars(schema, path)
    for key, child in _children(schema):
        _check(object_at(child, join(path, key)), root, join(path, key), size)


def _check_type(schema: JsonObject, path: str, size: SchemaSize) -> None:
    kinds = as_list(schema.get("type")) or [schema.get("type", "string")]
    for kind in kinds:
        if not isinstance(kind, str) or kind not in TYPES:
            raise InvalidRequestError(f"Invalid type {kind!r}", path)
    if len(kinds) > 1 or "anyOf" in schema:
        size.unions += 1
    if not schema.keys() & {"type", "enum", "const", "anyOf", "allOf", "$ref"}:
        raise InvalidRequestError("Schema must have a 'type' field", path)


def _check_reference(schema: JsonObject, root: JsonObject, path: str) -> None:
    reference = schema.get("$ref")
    if reference is None:
        return
    if resolve(reference, root) is None:
        raise InvalidRequestError(f"Cannot resolve $ref {reference!r}", path)
    if "allOf" in schema:
        raise InvalidRequestError("allOf with $ref is not supported", path)


def _check_object(schema: JsonObject, path: str, size: SchemaSize) -> None:
    if schema.get("additionalProperties") is not False:
        raise InvalidRequestError(
            "For 'object' type, 'additionalProperties' must be explicitly set to false", path
        )
    properties = object_at(schema.get("properties", {}), join(path, "properties"))
    names = set(as_list(schema.get("required")) or ())
    for name in names - properties.keys():
        raise InvalidRequestError(f"Required property {name!r} is not defined", path)
    size.optional += len(properties.keys() - names)


def _check_scalars(schema: JsonObject, path: str) -> None:
    if "format" in schema and schema["format"] not in FORMATS:
        raise InvalidRequestError(f"String format {schema['format']!r} is not supported", path)
    if "minItems" in schema and schema["minItems"] not in (0, 1):
        raise InvalidRequestError(
            "For 'array' type, 'minItems' values other than 0 or 1 are not supported", path
        )
    if "pattern" in schema and _BEYOND_GRAMMAR.search(str(schema["pattern"])):
        raise InvalidRequestError("Pattern uses an unsupported feature", path)
    for value in as_list(schema.get("enum")) or ():
        if isinstance(value, (dict, list)):
            raise InvalidRequestError("Enum values must be scalars", path)


def _children(schema: JsonObject) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for group in ("properties", "$defs", "definitions"):
        members = as_object(schema.get(group)) or {}
        found += [(f"{group}.{name}", child) for name, child in members.items()]
    for group in ("anyOf", "allOf"):
        found += [
            (f"{group}.{i}", child) for i, child in enumerate(as_list(schema.get(group)) or ())
        ]
    if "items" in schema:
        found.append(("items", schema["items"]))
    return found


def resolve(reference: Any, root: JsonObject) -> JsonObject | None:
    """The schema that an internal `$ref` names, None when there is none."""
    if reference == "#":
        return root
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    found: JsonObject | None = root
    for step in reference[2:].split("/"):
        found = as_object((found or {}).get(step.replace("~1", "/").replace("~0", "~")))
    return found
