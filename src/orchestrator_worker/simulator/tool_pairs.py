"""What the API refuses about calls of tools in the history: each is answered in the next turn, at
its beginning, and nothing else is answered; no id comes twice, and tools are defined.
"""

from typing import Any

from orchestrator_worker.simulator.errors import InvalidRequestError
from orchestrator_worker.simulator.jsons import JsonObject, objects


def check_tool_pairs(messages: list[Any], *, has_tools: bool) -> None:
    """Each tool call is answered in the next turn, and each result answers a call of the turn
    before.
    """
    _check_unique(messages)
    open_calls: list[str] = []
    last_role = ""
    for index, message in enumerate(messages):
        path = f"messages.{index}"
        if message["role"] == "assistant":
            if last_role != "assistant":
                _refuse_unanswered(open_calls, path)
            open_calls += _ids(message, "tool_use", "id")
        else:
            answered = _ids(message, "tool_result", "tool_use_id")
            if answered and next(objects(message["content"])).get("type") != "tool_result":
                _refuse_unanswered(open_calls, path)
            for number, id in enumerate(answered):
                _check_answers(id, answered[:number], open_calls, path)
            open_calls = [id for id in open_calls if id not in answered]
            _refuse_unanswered(open_calls, path)
        last_role = message["role"]
    _refuse_unanswered(open_calls, f"messages.{len(messages)}")
    if not has_tools:
        _refuse_any(messages)


def _refuse_any(messages: list[Any]) -> None:
    for message in messages:
        if _ids(message, "tool_use", "id") or _ids(message, "tool_result", "tool_use_id"):
            raise InvalidRequestError(
                "Requests which include `tool_use` or `tool_result` blocks must define tools"
            )


def _check_unique(messages: list[Any]) -> None:
    seen: set[str] = set()
    for number, message in enumerate(messages):
        for index, block in enumerate(objects(message["content"])):
            if block.get("type") != "tool_use":
                continue
            if block["id"] in seen:
                raise InvalidRequestError(
                    "`tool_use` ids must be unique", f"messages.{number}.content.{index}"
                )
            seen.add(block["id"])


def _check_answers(id: str, before: list[str], open_calls: list[str], path: str) -> None:
    if id in before:
        raise InvalidRequestError(
            f"each tool_use must have a single result. Found multiple `tool_result`"
            f" blocks with id: {id}",
            path,
        )
    if id not in open_calls:
        raise InvalidRequestError(
            f"unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each"
            f" `tool_result` block must"
            " have a corresponding `tool_use` block in the previous message.",
            path,
        )


def _refuse_unanswered(open_calls: list[str], path: str) -> None:
    if open_calls:
        raise InvalidRequestError(
            f"`tool_use` ids were found without `tool_result` blocks immediately after:"
            f" {', '.join(open_calls)}. Each `tool_use` block must have a corresponding"
            f" `tool_result` block"
            " in the next message.",
            path,
        )


def _ids(message: JsonObject, kind: str, key: str) -> list[str]:
    return [str(block[key]) for block in objects(message["content"]) if block.get("type") == kind]
