"""What the API refuses about `tools` and `tool_choice`."""

import re
from typing import Any

from orchestrator_worker.simulator.errors import InvalidRequestError
from orchestrator_worker.simulator.field_checks import (
    CacheControls,
    boolean_at,
    join,
    list_at,
    no_extra_keys,
    object_at,
    one_of,
    required,
    string_at,
)
from orchestrator_worker.simulator.jsons import JsonObject, objects
from orchestrator_worker.simulator.models import Model
from orchestrator_worker.simulator.schema_rules import SchemaSize, check_schema

TOOL_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
CUSTOM_KEYS = frozenset(
    {
        "type", "name", "description", "input_schema", "strict", "eager_input_streaming",
        "cache_control",
        "defer_loading", "input_examples", "allowed_callers",
    }
)  # fmt: skip
SERVER_TOOLS = {
    "web_search": ("20250305", "20260209", "20260318"),
    "web_fetch": ("20250910", "20260209", "20260309", "20260318"),
    "code_execution": ("20250825", "20260120", "20260521"),
    "tool_search_tool_regex": ("20251119",),
    "tool_search_tool_bm25": ("20251119",),
    "bash": ("20250124",),
    "text_editor": ("20250728",),
    "memory": ("20250818",),
}
"""Tools the API defines itself, with the versions of their types. The simulator accepts and never
calls them."""
CALLERS = (
    "direct",
    "code_execution_20250825",
    "code_execution_20260120",
    "code_execution_20260521",
)
_SERVER_TYPES = frozenset(
    f"{name}_{version}" for name, vs in SERVER_TOOLS.items() for version in vs
)
PROPERTY_KEY = re.compile(r"^[a-zA-Z0-9_.-]{1,64}$")
FORCED = 'tool_choice: type "tool" and "any" are not supported for this model'


def check_tools(body: JsonObject, controls: CacheControls, size: SchemaSize) -> None:
    """Check every tool of the request."""
    if "tools" not in body:
        return
    names: set[str] = set()
    for index, tool in enumerate(list_at(body["tools"], "tools")):
        path = f"tools.{index}"
        name = _check_tool(object_at(tool, path), path, size)
        if name in names:
            raise InvalidRequestError("Tool names must be unique.", "tools")
        names.add(name)
        controls.check(object_at(tool, path), path)


def _check_tool(tool: JsonObject, path: str, size: SchemaSize) -> str:
    kind = tool.get("type") or "custom"
    if kind in _SERVER_TYPES:
        return string_at(required(tool, "name", path), join(path, "name"))
    if kind != "custom":
        raise InvalidRequestError(
            f"Input tag {kind!r} found using 'type' does not match any of the expected tags", path
        )
    path = join(path, "custom")
    no_extra_keys(tool, CUSTOM_KEYS, path)
    name = _check_name(required(tool, "name", path), path)
    _check_options(tool, path)
    _check_input_schema(tool, path, size)
    return name


def _check_name(value: Any, path: str) -> str:
    name = string_at(value, join(path, "name"))
    if not TOOL_NAME.fullmatch(name):
        raise InvalidRequestError(
            "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'", join(path, "name")
        )
    return name


def _check_options(tool: JsonObject, path: str) -> None:
    if "description" in tool:
        string_at(tool["description"], join(path, "description"))
    for key in ("strict", "eager_input_streaming", "defer_loading"):
        if tool.get(key) is not None:
            boolean_at(tool[key], join(path, key))
    if "input_examples" in tool:
        for index, example in enumerate(list_at(tool["input_examples"], f"{path}.input_examples")):
            object_at(example, f"{path}.input_examples.{index}")
    if "allowed_callers" in tool:
        for index, caller in enumerate(list_at(tool["allowed_callers"], f"{path}.allowed_callers")):
            one_of(caller, CALLERS, f"{path}.allowed_callers.{index}")


def _check_input_schema(tool: JsonObject, path: str, size: SchemaSize) -> None:
    schema_path = join(path, "input_schema")
    schema = object_at(required(tool, "input_schema", path), schema_path)
    if schema.keys() & {"oneOf", "allOf", "anyOf"}:
        raise InvalidRequestError(
            "input_schema does not support oneOf, allOf, or anyOf at the top level", schema_path
        )
    one_of(required(schema, "type", schema_path), ("object",), join(schema_path, "type"))
    if schema.get("properties") is not None:
        _check_properties(schema["properties"], join(schema_path, "properties"))
    if tool.get("strict"):
        size.strict_tools += 1
        check_schema(schema, schema_path, size)


def _check_properties(value: Any, path: str) -> None:
    if not all(map(PROPERTY_KEY.fullmatch, object_at(value, path))):
        raise InvalidRequestError(
            "Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'", path
        )


def check_tool_choice(body: JsonObject, model: Model) -> None:
    """Check `tool_choice` against the tools, the model and the thinking of the request."""
    if body.get("tool_choice") is None:
        return
    choice = object_at(body["tool_choice"], "tool_choice")
    kind = one_of(
        required(choice, "type", "tool_choice"), ("auto", "any", "tool", "none"), "tool_choice.type"
    )
    _check_choice_keys(choice, kind)
    if not body.get("tools"):
        raise InvalidRequestError(
            "tool_choice may only be specified while providing tools", "tool_choice"
        )
    if kind in ("any", "tool"):
        _check_forced(choice, body, model)


def _check_choice_keys(choice: JsonObject, kind: str) -> None:
    allowed = {"type"}
    if kind != "none":
        allowed.add("disable_parallel_tool_use")
    if kind == "tool":
        allowed.add("name")
    no_extra_keys(choice, allowed, "tool_choice")
    if "disable_parallel_tool_use" in choice:
        boolean_at(choice["disable_parallel_tool_use"], "tool_choice.disable_parallel_tool_use")


def _check_forced(choice: JsonObject, body: JsonObject, model: Model) -> None:
    if not model.forced_tools:
        raise InvalidRequestError(FORCED)
    thinking = body.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") == "enabled":  # pyright: ignore[reportUnknownMemberType]
        raise InvalidRequestError("Thinking may not be enabled when tool_choice forces tool use.")
    if choice["type"] == "tool":
        name = string_at(required(choice, "name", "tool_choice"), "tool_choice.name")
        if name not in {tool.get("name") for tool in objects(body["tools"])}:
            raise InvalidRequestError(f"Tool '{name}' not found in provided tools", "tool_choice")
