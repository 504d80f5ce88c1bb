"""Which calls a rule of a script is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator_worker.simulator.errors import InvalidRequestError
from orchestrator_worker.simulator.jsons import JsonObject, as_object, objects, text_blocks
from orchestrator_worker.simulator.script_values import read_fields

ROLE_HEADER = "x-orchestrator-role"
"""The header in which a client may say for which of its roles it calls."""
_FIELDS = {
    "model": str,
    "contains": str,
    "system_contains": str,
    "has_tool": str,
    "has_tool_result": bool,
    "has_format": bool,
    "stream": bool,
    "role": str,
    "header": dict,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """Which calls a rule meets. All conditions given must hold; None holds always."""

    model: str | None = None
    contains: str | None = None
    system_contains: str | None = None
    has_tool: str | None = None
    has_tool_result: bool | None = None
    """Whether the last user message answers calls of tools."""
    has_format: bool | None = None
    stream: bool | None = None
    role: str | None = None
    """Value of the header `ROLE_HEADER`."""
    header: Mapping[str, str] | None = None
    """Values of headers, by their names in lower case."""

    def meets(self, body: JsonObject, headers: Mapping[str, str]) -> bool:
        """Whether the rule is about this request. Names of headers come in lower case."""
        return self._meets_headers(headers) and self._meets_body(body)

    def _meets_headers(self, headers: Mapping[str, str]) -> bool:
        wanted = dict(self.header or {})
        if self.role is not None:
            wanted[ROLE_HEADER] = self.role
        return all(headers.get(name) == value for name, value in wanted.items())

    def _meets_body(self, body: JsonObject) -> bool:
        config = as_object(body.get("output_config")) or {}
        tools = {tool.get("name") for tool in objects(body.get("tools"))}
        return (
            (self.model is None or self.model in str(body.get("model")))
            and (self.contains is None or any(self.contains in text for text in last_texts(body)))
            and (self.system_contains is None or self.system_contains in _system_text(body))
            and (self.has_tool is None or self.has_tool in tools)
            and self.has_tool_result in (None, _answers_calls(body))
            and (self.has_format is None or self.has_format == bool(config.get("format")))
            and (self.stream is None or self.stream == bool(body.get("stream")))
        )


def last_texts(body: JsonObject) -> list[str]:
    """Every text in the last user message, tool results included."""
    content = _last_content(body)
    results = (block.get("content") for block in objects(content) if "tool_use_id" in block)
    return [*text_blocks(content), *(text for result in results for text in text_blocks(result))]


def _last_content(body: JsonObject) -> Any:
    messages = reversed(list(objects(body.get("messages"))))
    return next((m["content"] for m in messages if m.get("role") == "user"), "")


def _answers_calls(body: JsonObject) -> bool:
    return any("tool_use_id" in block for block in objects(_last_content(body)))


def _system_text(body: JsonObject) -> str:
    return "\n".join(system_texts(body))


def system_texts(body: JsonObject) -> list[str]:
    """The texts of the system prompt."""
    return text_blocks(body.get("system"))


def read_when(rule: JsonObject, path: str) -> When:
    """The conditions of a rule from its JSON."""
    path = f"{path}.when"
    fields = read_fields(rule.get("when", {}), _FIELDS, path)
    for name, value in fields.get("header", {}).items():
        if not isinstance(value, str):
            raise InvalidRequestError(f"unexpected value {value!r}", f"{path}.header.{name}")
    if "header" in fields:
        fields["header"] = {name.lower(): value for name, value in fields["header"].items()}
    return When(**fields)
