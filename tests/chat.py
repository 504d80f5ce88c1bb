"""Asking for chat completions the plain way, and reading what comes back."""

import json
from typing import Any

import httpx2

MODEL = "orchestrator-worker"
QUESTION = "Compare three ways to make tea."


def body(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], **fields}


async def ask(
    client: httpx2.AsyncClient, *, headers: dict[str, str] | None = None, **fields: Any
) -> httpx2.Response:
    """Post a completion and read it to its end."""
    return await client.post(
        "/v1/chat/completions", json=body(**fields), headers=headers, timeout=30
    )


def frames_of(response: httpx2.Response) -> list[dict[str, Any]]:
    """Return the JSON frames of a streamed completion; checks its grammar and its end."""
    assert response.headers["content-type"].startswith("text/event-stream")
    pieces = response.text.split("\n\n")
    assert pieces.pop() == ""
    data = [piece.removeprefix("data: ") for piece in pieces if not piece.startswith(":")]
    assert data.pop() == "[DONE]"
    return [json.loads(item) for item in data]


def answer_of(response: httpx2.Response) -> str:
    """Return the answer's text, streamed or not."""
    assert response.status_code == 200, response.text
    if response.headers["content-type"].startswith("application/json"):
        return response.json()["choices"][0]["message"]["content"]
    deltas = [c["delta"] for f in frames_of(response) for c in f.get("choices", [])]
    return "".join(delta.get("content") or "" for delta in deltas)
