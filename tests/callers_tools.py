"""Tools of a caller's own: offering them, having them called, reading the calls that come back."""

from dataclasses import dataclass, field
from typing import Any

import httpx2

from chat import frames_of
from dumb_upstream import Called, DumbCall
from strict_openai import check_completion

CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
OSLO, BERGEN = {"city": "Oslo"}, {"city": "Bergen"}
QUESTION = "How is the weather in Oslo?"
ASKED = {"role": "user", "content": QUESTION}


def tool(name: str, parameters: Any = CITY, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


WEATHER = tool("get_weather", description="The weather of a city.")
CLOCK = tool("get_time", description="The time in a city.")


def named(name: str) -> dict[str, Any]:
    """Return the choice of this tool."""
    return {"type": "function", "function": {"name": name}}


def weather(city: Any = OSLO, id: str = "toolu_1") -> Called:
    """Return the model's call."""
    return Called("get_weather", city, id)


def call(id: str, arguments: Any = '{"city": "Oslo"}', name: str = "get_weather") -> dict[str, Any]:
    """Return a call as a history has it."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **fields}


def result(id: str, content: Any = "5 degrees") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content}


@dataclass
class Answered:
    """What a caller reads of an answer, streamed or whole."""

    text: str | None = None
    calls: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    """Id, name and arguments."""
    function: tuple[str, str] | None = None
    """Name and arguments of a call in the older form."""
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None


def answered(response: httpx2.Response) -> Answered:
    """Read an answer; every object is held against OpenAI's types, a stream against its grammar."""
    assert response.status_code == 200, response.text
    if response.headers["content-type"].startswith("application/json"):
        return _whole(response.json())
    return _streamed(frames_of(response))


def _whole(body: dict[str, Any]) -> Answered:
    check_completion(body)
    (choice,) = body["choices"]
    message = choice["message"]
    seen = Answered(message["content"], finish_reason=choice["finish_reason"], usage=body["usage"])
    for made in message.get("tool_calls", ()):
        assert made["type"] == "function"
        seen.calls.append((made["id"], made["function"]["name"], made["function"]["arguments"]))
    if function := message.get("function_call"):
        seen.function = function["name"], function["arguments"]
    return seen


def _streamed(frames: list[dict[str, Any]]) -> Answered:
    seen = Answered()
    roles: list[bool] = []
    for frame in frames:
        assert "error" not in frame, frame
        assert seen.usage is None  # its chunk is the last
        seen.usage = frame.get("usage")
        for choice in frame["choices"]:
            assert seen.finish_reason is None  # nothing follows it
            seen.finish_reason = choice["finish_reason"]
            roles.append("role" in choice["delta"])
            _take(choice["delta"], seen)
    assert roles.index(True) == 0
    assert roles.count(True) == 1
    return seen


def _take(delta: dict[str, Any], seen: Answered) -> None:
    if delta.get("content"):
        seen.text = (seen.text or "") + delta["content"]
    for piece in delta.get("tool_calls", ()):
        if piece["index"] == len(seen.calls):
            assert piece.keys() == {"index", "id", "type", "function"}
            assert (piece["type"], piece["function"]["arguments"]) == ("function", "")
            seen.calls.append((piece["id"], piece["function"]["name"], ""))
        else:
            assert piece.keys() == {"index", "function"}
            assert piece["function"].keys() == {"arguments"}
            id_, name, arguments = seen.calls[piece["index"]]
            whole = arguments + piece["function"]["arguments"]
            seen.calls[piece["index"]] = id_, name, whole
    if function := delta.get("function_call"):
        if seen.function is None:
            assert function == {"name": function["name"], "arguments": ""}
            seen.function = function["name"], ""
        else:
            assert function.keys() == {"arguments"}
            seen.function = seen.function[0], seen.function[1] + function["arguments"]


def names_of(upstream_call: DumbCall) -> list[str]:
    """Return the names of the tools that a call offers."""
    return [offered["name"] for offered in upstream_call.body.get("tools", ())]


def kinds_of(upstream_call: DumbCall) -> list[list[str]]:
    """Return the kinds of the blocks of every message, after its role."""
    return [
        [message["role"], *(block["type"] for block in message["content"])]
        for message in upstream_call.body["messages"]
    ]


def error_of(response: httpx2.Response, status: int = 400) -> dict[str, Any]:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error
