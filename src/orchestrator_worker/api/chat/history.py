"""The messages of a request as the core knows them: instructions apart, turns alternating, no blank
text, every call of a tool answered in the turn after it.
"""

import re
from typing import Any, Literal, cast

import orjson

from orchestrator_worker.api.chat.messages import (
    AnswerContent,
    AssistantMessage,
    CalledFunction,
    ChatMessage,
    FilePart,
    FunctionMessage,
    ImagePart,
    RefusalPart,
    SystemMessage,
    TextContent,
    TextPart,
    ToolMessage,
    UserContent,
    UserMessage,
)
from orchestrator_worker.api.chat.wire import written
from orchestrator_worker.claude.client import Block, Message, ToolResult, ToolUse
from orchestrator_worker.errors import InvalidRequest
from orchestrator_worker.orchestration.conversation import Conversation

OPENING_TURN = "…"
"""Stands before a history that begins with the assistant: the Messages API wants a user turn first.
"""
MAX_NAME_CHARS = 64
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_TAKEN_AS_IT_IS = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def read_history(messages: list[ChatMessage], go_on: str) -> Conversation:
    """Return the conversation; one that ends with an answer gets the user turn `go_on`.

    Raises:
        InvalidRequest: there is nothing to answer, a tool's result answers no call, or a call has
            no result; names the message.
    """
    history = _History()
    for index, message in enumerate(messages):
        history.read(index, message)
    return history.conversation(go_on)


class _History:
    def __init__(self) -> None:
        self._system: list[str] = []
        self._turns: list[tuple[Literal["user", "assistant"], list[Block]]] = []
        self._open: dict[str, str] = {}
        """Calls of the last answer that wait for their result: the caller's id to ours."""
        self._asked_at = 0
        """Where the answer with those calls stands."""
        self._used: set[str] = set()
        """All our ids; the API takes none twice, and clients may count anew in each answer."""
        self._made = 0
        self._results = 0
        """Of the last turn: they stand before all else in it."""

    def read(self, index: int, message: ChatMessage) -> None:
        match message:
            case SystemMessage():
                self._system += _texts(message.content)
            case UserMessage():
                self._add("user", _user_blocks(message))
            case ToolMessage():
                self._result(index, "tool_call_id", message.tool_call_id, message.content)
            case FunctionMessage():
                self._result(index, "name", _legacy(message.name), message.content)
            case AssistantMessage():
                self._answer(index, message)

    def conversation(self, go_on: str) -> Conversation:
        self._require_results()
        if not self._turns and self._system:  # instructions alone are what is asked
            self._add("user", list(self._system))
            self._system = []
        if not self._turns:
            raise InvalidRequest("'messages' holds nothing to answer.", param="messages")
        if self._turns[0][0] == "assistant":
            self._turns.insert(0, ("user", [OPENING_TURN]))
        if self._turns[-1][0] == "assistant":
            self._add("user", [go_on])
        return Conversation(
            tuple(self._system),
            tuple(Message(role, tuple(blocks)) for role, blocks in self._turns),
        )

    def _add(self, role: Literal["user", "assistant"], blocks: list[Block]) -> None:
        if not blocks:
            return
        if self._turns and self._turns[-1][0] == role:
            self._turns[-1][1].extend(blocks)
        else:
            self._turns.append((role, blocks))

    def _answer(self, index: int, message: AssistantMessage) -> None:
        self._require_results()
        said: list[Block] = [*_texts(message.content)]
        if not said and message.refusal and message.refusal.strip():
            said.append(message.refusal)
        calls = [(call.id, call.function) for call in message.tool_calls or ()]
        if message.function_call is not None:
            calls.append((_legacy(message.function_call.name), message.function_call))
        self._asked_at, self._results = index, 0
        for at, (id_, function) in enumerate(calls):
            if id_ in self._open:
                raise InvalidRequest(
                    f"messages.{index}: two calls have the id {id_!r}.",
                    param=f"messages.{index}.tool_calls.{at}.id",
                    code="invalid_value",
                )
            self._open[id_] = self._our_id(id_)
            said.append(ToolUse(self._open[id_], _plain(function.name), _arguments(function)))
        self._add("assistant", said)

    def _our_id(self, id_: str) -> str:
        ours = id_
        while not _TAKEN_AS_IT_IS.fullmatch(ours) or ours in self._used:
            ours = f"call_{self._made}"
            self._made += 1
        self._used.add(ours)
        return ours

    def _result(self, index: int, field: str, id_: str, content: TextContent | None) -> None:
        ours = self._open.pop(id_, None)
        if ours is None:
            raise InvalidRequest(
                f"messages.{index}: the last answer before it has no open call that this is the "
                "result of.",
                param=f"messages.{index}.{field}",
                code="invalid_value",
            )
        result = ToolResult(ours, "\n\n".join(_texts(content)))
        if not self._turns or self._turns[-1][0] != "user":
            self._turns.append(("user", []))
        self._turns[-1][1].insert(self._results, result)
        self._results += 1

    def _require_results(self) -> None:
        if self._open:
            names = ", ".join(repr(id_.removeprefix(_LEGACY)) for id_ in self._open)
            raise InvalidRequest(
                f"messages.{self._asked_at}: no message holds the result of the call {names}.",
                param=f"messages.{self._asked_at}",
                code="invalid_value",
            )


_LEGACY = "function:"
"""Begins the id of a call in the older form, which has none: it is answered by name."""


def _legacy(name: str) -> str:
    return f"{_LEGACY}{name}"


def _plain(name: str) -> str:
    """Return a function's name in the letters that the API takes."""
    return _NOT_IN_NAMES.sub("_", name)[:MAX_NAME_CHARS]


def _arguments(function: CalledFunction) -> dict[str, Any]:
    """Return the input of a call; a broken one may be the model's own, so it is not refused."""
    text = (function.arguments or "").strip()
    if not text:
        return {}
    try:
        value = orjson.loads(text)
        written(value)
    except ValueError:
        value = text
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {"arguments": text}


def _texts(content: TextContent | UserContent | AnswerContent | None) -> list[str]:
    if not isinstance(content, list):
        pieces = [content or ""]
    else:
        pieces = [part.text for part in content if isinstance(part, TextPart | RefusalPart)]
    return [piece for piece in pieces if piece.strip()]


def _user_blocks(message: UserMessage) -> list[Block]:
    content = message.content
    parts = [content] if isinstance(content, str) else [_block(part) for part in content]
    blocks = [part for part in parts if not isinstance(part, str) or part.strip()]
    if message.name and message.name.strip() and blocks:
        return _named(message.name.strip(), blocks)
    return blocks


def _block(part: TextPart | ImagePart | FilePart) -> Block:
    match part:
        case TextPart():
            return part.text
        case ImagePart():
            return part.image_url.block
        case FilePart():
            return part.file.block


def _named(name: str, blocks: list[Block]) -> list[Block]:
    first, *rest = blocks
    return [f"{name}: {first}", *rest] if isinstance(first, str) else [f"{name}:", *blocks]
