"""Asking for chat completions the plain way, and reading what comes back: every answer is held
against OpenAI's own types.
"""

import json
from typing import Any

import httpx2

from strict_openai import check_completion, check_error, check_stream

MODEL = "orchestrator-worker"
QUESTION = "Compare three ways to make tea."


def body(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], **fields}


async def ask(
    client: httpx2.AsyncClient, *, headers: dict[str, str] | None = None, **fields: Any
) -> httpx2.Response:
    """Post a completion and read it to its end."""
    response = await client.post(
        "/v1/chat/completions", json=body(**fields), headers=headers, timeout=30
    )
    _check(response)
    return response


def _check(response: httpx2.Response) -> None:
    if response.status_code != 200:
        check_error(response.json()["error"])
    elif response.headers["content-type"].startswith("application/json"):
        check_completion(response.json())
    else:
        frames_of(response)


def frames_of(response: httpx2.Response) -> list[dict[str, Any]]:
    """Return the JSON frames of a streamed completion; checks its types, grammar and end."""
    assert response.headers["content-type"].startswith("text/event-stream")
    pieces = response.text.split("\n\n")
    assert pieces.pop() == ""
    data = [piece.removeprefix("data: ") for piece in pieces if not piece.startswith(":")]
    assert data.pop() == "[DONE]"
    frames = [json.loads(item) for item in data]
    check_stream(frames)
    return frames


def answer_of(response: httpx2.Response) -> str:
    """Return the answer's text, streamed or not."""
    assert response.status_code == 200, response.text
    if response.headers["content-type"].startswith("application/json"):
        return response.json()["choices"][0]["message"]["content"]
    deltas = [c["delta"] for f in frames_of(response) for c in f.get("choices", [])]
    return "".join(delta.get("content") or "" for delta in deltas)
