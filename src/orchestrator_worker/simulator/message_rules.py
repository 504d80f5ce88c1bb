"""What the API refuses about `system` and `messages`: roles and blocks. `tool_pairs` looks at
the calls of tools in them, `media_rules` at images and documents, `thinking_rules` at thinking.
"""

import re
from collections.abc import Callable
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
from orchestrator_worker.simulator.jsons import JsonObject
from orchestrator_worker.simulator.media_rules import (
    check_document,
    check_image,
    check_media_together,
)
from orchestrator_worker.simulator.models import Model
from orchestrator_worker.simulator.tool_pairs import check_tool_pairs

MAX_MESSAGES = 100_000
TOOL_USE_ID = re.compile(r"^[a-zA-Z0-9_-]+$")
MAX_CALLED_NAME = 200
"""Characters of the name in a call of a tool."""
_SERVER_BLOCKS = frozenset(
    {
        "server_tool_use", "web_search_tool_result", "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result", "text_editor_code_execution_tool_result",
        "tool_search_tool_result", "container_upload",
    }
)  # fmt: skip
_ROLE_BLOCKS = {
    "user": frozenset({"text", "image", "document", "search_result", "tool_result"}),
    "assistant": frozenset({"text", "thinking", "redacted_thinking", "tool_use"}) | _SERVER_BLOCKS,
    "system": frozenset({"text"}),
}
_RESULT_BLOCKS = frozenset({"text", "image", "document", "search_result", "tool_reference"})


def check_system(body: JsonObject, controls: CacheControls) -> None:
    """Check the system prompt: a string or an array of text blocks."""
    system = body.get("system")
    if system is None or isinstance(system, str):
        return
    for index, value in enumerate(list_at(system, "system")):
        path = f"system.{index}"
        block = object_at(value, path)
        one_of(required(block, "type", path), ("text",), join(path, "type"))
        _check_text(block, path)
        controls.check(block, path)


def check_messages(body: JsonObject, model: Model, controls: CacheControls) -> None:
    """Check all messages, each for itself and their order."""
    messages = list_at(required(body, "messages"), "messages")
    if not messages:
        raise InvalidRequestError("at least one message is required", "messages")
    if len(messages) > MAX_MESSAGES:
        raise InvalidRequestError(f"at most {MAX_MESSAGES} messages are allowed", "messages")
    for index, value in enumerate(messages):
        _check_message(object_at(value, f"messages.{index}"), f"messages.{index}", model, controls)
    _check_order(messages, model)
    check_tool_pairs(messages, has_tools=bool(body.get("tools")))
    check_media_together(messages, model)


def _check_message(message: JsonObject, path: str, model: Model, controls: CacheControls) -> None:
    no_extra_keys(message, ("role", "content"), path)
    roles = ("user", "assistant", "system") if model.system_role else ("user", "assistant")
    role = one_of(required(message, "role", path), roles, join(path, "role"))
    content = required(message, "content", path)
    if isinstance(content, str):
        _check_not_empty(content, path)
        controls.check({}, path)
        return
    blocks = list_at(content, join(path, "content"))
    _check_not_empty(blocks, path)
    for index, value in enumerate(blocks):
        block_path = f"{path}.content.{index}"
        block = object_at(value, block_path)
        _check_block(block, block_path, _ROLE_BLOCKS[role])
        if role == "user" and block["type"] == "text" and block.get("citations"):
            raise InvalidRequestError("citations are not permitted here", f"{block_path}.citations")
        controls.check(block, block_path)


def _check_not_empty(content: str | list[Any], path: str) -> None:
    if not content:
        raise InvalidRequestError(
            "all messages must have non-empty content except for the optional final"
            " assistant message",
            path,
        )
    if isinstance(content, str) and not content.strip():
        raise InvalidRequestError(
            "text content blocks must contain non-whitespace text", f"{path}.content"
        )


def _check_order(messages: list[Any], model: Model) -> None:
    if messages[0]["role"] != "user":
        raise InvalidRequestError('first message must use the "user" role', "messages")
    if messages[-1]["role"] == "assistant" and not model.prefill:
        raise InvalidRequestError(
            "This model does not support assistant message prefill."
            " The conversation must end with a user message."
        )


def _check_block(block: JsonObject, path: str, allowed: frozenset[str]) -> None:
    kind = string_at(required(block, "type", path), join(path, "type"))
    if kind not in allowed:
        tags = ", ".join(f"'{tag}'" for tag in sorted(allowed))
        raise InvalidRequestError(
            f"Input tag '{kind}' found using 'type' does not match any of the expected"
            f" tags: {tags}",
            path,
        )
    check = _BLOCK_CHECKS.get(kind)
    if check:
        check(block, path)


def _check_text(block: JsonObject, path: str) -> None:
    no_extra_keys(block, ("type", "text", "cache_control", "citations"), path)
    text = string_at(required(block, "text", path), join(path, "text"))
    if not text and block.get("cache_control"):
        raise InvalidRequestError(
            "cache_control cannot be set for empty text blocks", join(path, "text")
        )
    if not text:
        raise InvalidRequestError("text content blocks must be non-empty", join(path, "text"))
    if not text.strip():
        raise InvalidRequestError(
            "text content blocks must contain non-whitespace text", join(path, "text")
        )


def _check_thinking(block: JsonObject, path: str) -> None:
    no_extra_keys(block, ("type", "thinking", "signature"), path)
    string_at(required(block, "thinking", path), join(path, "thinking"))
    if not string_at(required(block, "signature", path), join(path, "signature")):
        raise InvalidRequestError("Invalid `signature` in `thinking` block", path)


def _check_redacted(block: JsonObject, path: str) -> None:
    no_extra_keys(block, ("type", "data"), path)
    string_at(required(block, "data", path), join(path, "data"))


def _check_tool_use(block: JsonObject, path: str) -> None:
    keys = ("type", "id", "name", "input", "cache_control", "caller", "toolset_name")
    no_extra_keys(block, keys, path)
    path = join(path, "tool_use")
    _check_id(required(block, "id", path), join(path, "id"))
    name = string_at(required(block, "name", path), join(path, "name"))
    if not 1 <= len(name) <= MAX_CALLED_NAME:
        raise InvalidRequestError(
            f"String should have 1 to {MAX_CALLED_NAME} characters", join(path, "name")
        )
    object_at(required(block, "input", path), join(path, "input"))


def _check_tool_result(block: JsonObject, path: str) -> None:
    keys = ("type", "tool_use_id", "content", "is_error", "cache_control", "toolset_name")
    no_extra_keys(block, keys, path)
    path = join(path, "tool_result")
    _check_id(required(block, "tool_use_id", path), join(path, "tool_use_id"))
    if "is_error" in block:
        boolean_at(block["is_error"], join(path, "is_error"))
    content = block.get("content", "")
    if not isinstance(content, str):
        for index, value in enumerate(list_at(content, join(path, "content"))):
            child = f"{path}.content.{index}"
            _check_block(object_at(value, child), child, _RESULT_BLOCKS)


def _check_id(value: Any, path: str) -> None:
    if not TOOL_USE_ID.fullmatch(string_at(value, path)):
        raise InvalidRequestError("String should match pattern '^[a-zA-Z0-9_-]+$'", path)


_BLOCK_CHECKS: dict[str, Callable[[JsonObject, str], None]] = {
    "text": _check_text,
    "image": check_image,
    "document": check_document,
    "thinking": _check_thinking,
    "redacted_thinking": _check_redacted,
    "tool_use": _check_tool_use,
    "tool_result": _check_tool_result,
}
