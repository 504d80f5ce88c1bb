"""The message of an answer that is sent as one object, put together from a run's events."""

from dataclasses import dataclass, field
from typing import Any

from orchestrator_worker.orchestration.events import (
    AnswerDelta,
    Event,
    RefusalDelta,
    ToolCallDelta,
    ToolCallStarted,
)

NO_REASON = "The model declined to answer."
"""Stands for a refusal that gives none: clients take an empty one for no refusal."""


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    arguments: list[str] = field(default_factory=list[str])

    @property
    def function(self) -> dict[str, str]:
        return {"name": self.name, "arguments": "".join(self.arguments)}


class AnswerObject:
    """One message; `functions`: its call in the older form."""

    def __init__(self, functions: bool) -> None:
        self._functions = functions
        self._text: list[str] = []
        self._calls: list[_Call] = []
        self._refusal: str | None = None

    def take(self, event: Event) -> None:
        """Take an event; what is no part of the answer is passed over."""
        match event:
            case AnswerDelta(text):
                self._text.append(text)
            case RefusalDelta(text):
                self._refusal = text or NO_REASON
            case ToolCallStarted(_, id, name):
                self._calls.append(_Call(id, name))
            case ToolCallDelta(_, piece):
                self._calls[-1].arguments.append(piece)
            case _:
                pass

    def message(self) -> dict[str, Any]:
        """Return OpenAI's message; without text its content is null beside a call or a refusal."""
        text = "".join(self._text)
        empty = not text and (self._calls or self._refusal)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if empty else text,
            "refusal": self._refusal,
        }
        if self._calls and self._functions:
            message["function_call"] = self._calls[0].function
        elif self._calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": call.function}
                for call in self._calls
            ]
        return message
