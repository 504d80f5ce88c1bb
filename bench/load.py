"""The load: clients that send chat completions and note when each part of the answer arrived.

While a batch runs nothing is parsed, so that the load generator stays cheap; the answers are read
and checked afterwards.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import aiohttp
import orjson

from workload import ANSWER_TEXT, QUESTION, RAMP_SECONDS

REQUEST_SECONDS = 60.0
_BODY = orjson.dumps(
    {
        "model": "orchestrator-worker",
        "stream": True,
        "messages": [{"role": "user", "content": QUESTION}],
    }
)


@dataclass(frozen=True, slots=True)
class Received:
    """One answer as it arrived; instants are seconds on one clock."""

    started: float
    parts: list[tuple[float, bytes]]


@dataclass(frozen=True, slots=True)
class Sample:
    """What one request took, in seconds from its sending."""

    first_token: float
    """Until the first text of the answer."""
    total: float
    """Until the stream's end marker."""


async def ask(session: aiohttp.ClientSession, url: str, token: str) -> Received:
    """Send one request and take its answer."""
    started = perf_counter()
    async with session.post(
        f"{url}/v1/chat/completions",
        data=_BODY,
        headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
        timeout=aiohttp.ClientTimeout(REQUEST_SECONDS),
    ) as response:
        response.raise_for_status()
        parts = [(perf_counter(), data) async for data in response.content.iter_any()]
    return Received(started, parts)


async def run_clients(
    session: aiohttp.ClientSession, url: str, token: str, concurrency: int, requests: int
) -> list[Received]:
    """Let `concurrency` clients begin one after the other over the ramp; each sends its `requests`
    one by one.
    """

    async def client(number: int) -> list[Received]:
        await asyncio.sleep(RAMP_SECONDS * number / concurrency)
        return [await ask(session, url, token) for _ in range(requests)]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client(number)) for number in range(concurrency)]
    return [received for task in tasks for received in task.result()]


def sample(received: Received) -> Sample:
    """Return what a request took.

    Raises:
        ValueError: the answer is not the scripted one, whole.
    """
    first: float | None = None
    done: float | None = None
    text = ""
    for instant, payload in _payloads(received.parts):
        if payload == b"[DONE]":
            done = instant
            continue
        piece = _content(payload)
        if piece and first is None:
            first = instant
        text += piece
    if text != ANSWER_TEXT or first is None or done is None:
        raise ValueError(f"this is not the scripted answer: {text[:200]!r}")
    return Sample(first - received.started, done - received.started)


def _payloads(parts: list[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    pending = b""
    for instant, data in parts:
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield instant, line[5:].strip()


def _content(payload: bytes) -> str:
    chunk = orjson.loads(payload)
    if "error" in chunk:
        raise ValueError(f"the answer broke off: {chunk['error']}")
    choices = chunk["choices"]
    return (choices[0]["delta"].get("content") or "") if choices else ""
