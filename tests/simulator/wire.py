"""Raw HTTP to the simulator, and checks of what comes back against the SDK's own types."""

import json
from typing import Any, Self

import httpx2
from anthropic.types import (
    ErrorResponse,
    Message,
    MessageTokensCount,
    ModelInfo,
    RawMessageStreamEvent,
)
from pydantic import BaseModel, TypeAdapter

HEADERS = {"authorization": "Bearer k", "anthropic-version": "2026-10-21"}
HAIKU, SONNET, OPUS = "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"
OLD_HAIKU, OLD_OPUS = "claude-haiku-4-5", "claude-opus-5"
_AT_ONCE = {"first_token_seconds": 0, "tokens_per_second": 0}
INSTANT = {"latencies": dict.fromkeys(("haiku", "sonnet", "default"), _AT_ONCE)}
EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
Json = dict[str, Any]


def ask(text: str = "What is the capital of France?", **more: Any) -> Json:
    """A minimal request for a message that does not think first."""
    body: Json = {
        "model": HAIKU,
        "max_tokens": 1000,
        "thinking": {"type": "disabled"},
        "messages": [{"role": "user", "content": text}],
    }
    return body | more


def without_unknown(model: Any) -> Any:
    """The model, after making sure that no part of it has a field the SDK does not know."""
    if isinstance(model, BaseModel):
        assert not model.model_extra, f"{type(model).__name__} got {model.model_extra}"
        for name in type(model).model_fields:
            without_unknown(getattr(model, name))
    elif isinstance(model, list):
        for member in model:
            without_unknown(member)
    return model


class Wire:
    """A client that shows bytes as they are and holds bodies against the SDK's types."""

    def __init__(self, url: str) -> None:
        self.http = httpx2.AsyncClient(base_url=url, headers=HEADERS, timeout=5)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def script(self, **fields: Any) -> None:
        response = await self.http.put("/_simulator/script", json=INSTANT | fields)
        assert response.status_code == 200, response.text

    async def advance(self, seconds: float) -> None:
        """Let time pass for cache entries and rate limits."""
        sent = await self.http.post("/_simulator/clock", json={"advance_seconds": seconds})
        assert sent.status_code == 200, sent.text

    async def record(self) -> Json:
        return (await self.http.get("/_simulator/calls")).json()

    async def calls(self) -> list[Json]:
        return (await self.record())["calls"]

    async def post(self, body: Any, path: str = "/v1/messages") -> httpx2.Response:
        return await self.http.post(path, json=body)

    async def message(self, body: Json) -> Message:
        response = await self.post(body)
        assert response.status_code == 200, response.text
        return without_unknown(Message.model_validate(response.json()))

    async def count(self, body: Json) -> int:
        response = await self.post(body, "/v1/messages/count_tokens")
        assert response.status_code == 200, response.text
        return without_unknown(MessageTokensCount.model_validate(response.json())).input_tokens

    async def model(self, id: str) -> ModelInfo:
        response = await self.http.get(f"/v1/models/{id}")
        return without_unknown(ModelInfo.model_validate(response.json()))

    async def refusal(self, body: Any, path: str = "/v1/messages") -> tuple[int, str, str]:
        """Status, error type and message of a refused request."""
        return refused(await self.post(body, path))

    async def events(self, body: Json) -> list[Any]:
        """Every event of a stream, checked, pings left out."""
        response = await self.post(body | {"stream": True})
        assert response.status_code == 200, response.text
        return parse_events(response.text)


def refused(response: httpx2.Response) -> tuple[int, str, str]:
    body = response.json()
    # The SDK raises on 413 by status; its union of error objects does not list the type.
    if body["error"]["type"] != "request_too_large":
        without_unknown(ErrorResponse.model_validate(body))
    assert set(body) == {"type", "error", "request_id"}
    assert body["type"] == "error"
    assert set(body["error"]) == {"type", "message"}
    assert body["request_id"] == response.headers["request-id"]
    return response.status_code, body["error"]["type"], body["error"]["message"]


def parse_events(text: str) -> list[Any]:
    found: list[Any] = []
    assert text.endswith("\n\n")
    for raw in text.removesuffix("\n\n").split("\n\n"):
        first, second = raw.split("\n")
        kind, data = first.removeprefix("event: "), json.loads(second.removeprefix("data: "))
        assert data["type"] == kind
        if kind != "ping":
            found.append(without_unknown(EVENTS.validate_python(data)))
    return found


def text_of(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")
