"""The caller's tools and what may be called of them: OpenAI's forms, the older one of functions
included, as the core knows them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, field_validator

from orchestrator_worker.api.chat.answer_schema import MAX_SCHEMA_BYTES
from orchestrator_worker.api.chat.wire import Wire, written
from orchestrator_worker.claude.client import FREE_CHOICE, Tool, ToolChoice
from orchestrator_worker.claude.structured_output import enforceable_tool, within_limits
from orchestrator_worker.errors import InvalidRequest

MAX_STRICT_TOOLS = 20
"""In one request to Claude."""
_COMBINATORS = ("anyOf", "oneOf", "allOf")
"""What the API does not take at the top of a tool's schema."""

_Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class Function(Wire):
    """What a tool does, and what it takes."""

    name: _Name = Field(description="Used. Letters, digits, `_` and `-`, at most 64.")
    description: str | None = Field(default=None, description="Used. What it is for.")
    parameters: dict[str, Any] | None = Field(
        default=None, description="Used. JSON Schema of an object; null: it takes nothing."
    )

    @field_validator("parameters")
    @classmethod
    def _of_an_object(cls, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        if parameters is not None and parameters.get("type", "object") != "object":
            raise ValueError("must be the schema of an object")
        if parameters is not None and len(written(parameters)) > MAX_SCHEMA_BYTES:
            raise ValueError(f"is longer than {MAX_SCHEMA_BYTES} bytes")
        if parameters is not None and not isinstance(parameters.get("properties") or {}, dict):
            raise ValueError("has 'properties' that are no object")
        return parameters

    strict: bool | None = Field(
        default=None,
        description="Used. True: Claude holds the arguments to the schema, where it can hold them "
        "to all of it.",
    )


class FunctionTool(Wire):
    """A tool of the caller's."""

    type: Literal["function"] = Field(description="Used. Only functions; other kinds are refused.")
    function: Function = Field(description="Used. The function itself.")


class NamedFunction(Wire):
    """A function by name."""

    name: str = Field(description="Used. One of the request's.")


class NamedTool(Wire):
    """The tool that must be called."""

    type: Literal["function"] = Field(description="Used. What kind of tool it is.")
    function: NamedFunction = Field(description="Used. Which.")


class SomeTools(Wire):
    """Some of the request's tools."""

    mode: Literal["auto", "required"] = Field(description="Used. Whether one must be called.")
    tools: list[NamedTool] = Field(min_length=1, description="Used. Which may be called.")


class AllowedTools(Wire):
    """A choice among some of the request's tools."""

    type: Literal["allowed_tools"] = Field(description="Used. What kind of choice it is.")
    allowed_tools: SomeTools = Field(description="Used. The choice.")


Choice = Literal["none", "auto", "required"]


@dataclass(frozen=True, slots=True)
class OfferedTools:
    """What the caller offers and asks for, whatever the form."""

    functions: tuple[Function, ...] = ()
    parallel: bool = True
    choice: Choice = "auto"
    name: str | None = None
    """The one that must be called."""

    def tools(self, beside: Mapping[str, Any] | None) -> tuple[Tool, ...]:
        """Return the tools for the lead.

        `beside`: the form that the answer is held to; what Claude can be held to is limited over
        a whole request.
        """
        functions = () if self.choice == "none" else self.functions
        strict = [it for it in functions if it.strict]
        if len(strict) > MAX_STRICT_TOOLS:
            strict = []
        held = {it.name: enforceable_tool(_input_schema(it)) for it in strict}
        forms = [form for form in (*held.values(), beside) if form is not None]
        if not within_limits(forms):
            held = {}
        return tuple(_tool(function, held.get(function.name)) for function in functions)

    @property
    def tool_choice(self) -> ToolChoice:
        """What the lead may or must call."""
        if self.choice == "none" or not self.functions:
            return FREE_CHOICE
        return ToolChoice(self.choice == "required", self.name, self.parallel)


def from_tools(
    tools: Sequence[FunctionTool],
    choice: Choice | NamedTool | AllowedTools | None,
    parallel: bool | None,
) -> OfferedTools:
    """Return what `tools` and `tool_choice` ask for.

    Raises:
        InvalidRequest: two tools have one name, or the choice is none of them.
    """
    functions = tuple(tool.function for tool in tools)
    _require_different(functions, "tools")
    wanted = OfferedTools(functions, parallel=parallel is not False)
    match choice:
        case NamedTool(function=named):
            _require(functions, [named.name], "tool_choice")
            return replace(wanted, choice="required", name=named.name)
        case AllowedTools(allowed_tools=some):
            names = [tool.function.name for tool in some.tools]
            _require(functions, names, "tool_choice")
            allowed = tuple(function for function in functions if function.name in names)
            return replace(wanted, functions=allowed, choice=some.mode)
        case "required" if not functions:
            raise InvalidRequest(
                "'tool_choice' needs 'tools' to choose from.",
                param="tool_choice",
                code="invalid_value",
            )
        case _:
            return replace(wanted, choice=choice or "auto")


def from_functions(
    functions: Sequence[Function], choice: Literal["none", "auto"] | NamedFunction | None
) -> OfferedTools:
    """Return the same for the older form, in which a turn holds one call at most."""
    _require_different(functions, "functions")
    wanted = OfferedTools(tuple(functions), parallel=False)
    if isinstance(choice, NamedFunction):
        _require(functions, [choice.name], "function_call")
        return replace(wanted, choice="required", name=choice.name)
    return replace(wanted, choice=choice or "auto")


def _require_different(functions: Sequence[Function], param: str) -> None:
    names = [function.name for function in functions]
    for at, name in enumerate(names):
        if name in names[:at]:
            raise InvalidRequest(
                f"{param}.{at}: the name {name!r} is taken.",
                param=f"{param}.{at}",
                code="invalid_value",
            )


def _require(functions: Sequence[Function], names: Sequence[str], param: str) -> None:
    known = {function.name for function in functions}
    if unknown := [name for name in names if name not in known]:
        raise InvalidRequest(
            f"{param}: {unknown[0]!r} is none of the request's tools.",
            param=param,
            code="invalid_value",
        )


def _tool(function: Function, held: Mapping[str, Any] | None) -> Tool:
    if held is not None:
        return Tool(function.name, function.description or "", held, strict=True)
    schema = _input_schema(function)
    beyond = {name: schema[name] for name in _COMBINATORS if name in schema}
    if not beyond:
        return Tool(function.name, function.description or "", schema)
    plain = {name: value for name, value in schema.items() if name not in beyond}
    told = orjson.dumps(beyond).decode()
    return Tool(function.name, f"{function.description or ''}\n\n{told}".strip(), plain)


def _input_schema(function: Function) -> dict[str, Any]:
    given = function.parameters or {}
    return {"type": "object", **given, "properties": given.get("properties") or {}}
