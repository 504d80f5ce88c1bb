"""The load: clients that send chat completions and note when each part of the answer arrived.

While answers come in nothing is parsed, so that the load generator stays cheap; they are read and
checked afterwards.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import aiohttp
import orjson

REQUEST_SECONDS = 180.0
RAMP_SECONDS = 1.2
DEFAULT_MODEL = "orchestrator-worker"


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


def body(question: str, model: str = DEFAULT_MODEL, system: str | None = None) -> bytes:
    """Return a request for a streamed answer."""
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": question})
    return orjson.dumps({"model": model, "stream": True, "messages": messages})


async def ask(session: aiohttp.ClientSession, url: str, token: str, request: bytes) -> Received:
    """Send one request and take its answer."""
    started = perf_counter()
    async with session.post(
        f"{url}/v1/chat/completions",
        data=request,
        headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
        timeout=aiohttp.ClientTimeout(REQUEST_SECONDS),
    ) as response:
        response.raise_for_status()
        parts = [(perf_counter(), data) async for data in response.content.iter_any()]
    return Received(started, parts)


async def run_clients(
    session: aiohttp.ClientSession,
    url: str,
    token: str,
    request: bytes,
    *,
    concurrency: int,
    requests: int,
) -> list[Received]:
    """Let `concurrency` clients begin one after the other over the ramp; each sends its `requests`
    one by one.
    """

    async def client(number: int) -> list[Received]:
        await asyncio.sleep(RAMP_SECONDS * number / concurrency)
        return [await ask(session, url, token, request) for _ in range(requests)]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client(number)) for number in range(concurrency)]
    return [received for task in tasks for received in task.result()]


def sample(received: Received, answer: str) -> Sample:
    """Return what a request took.

    Raises:
        ValueError: the answer is not the scripted one, whole.
    """
    pieces, done = _read(received)
    if "".join(piece for _, piece in pieces) != answer:
        raise ValueError(f"this is not the scripted answer: {pieces[:5]}")
    return Sample(_instant_of(pieces, 0) - received.started, done - received.started)


def sample_of_parts(received: Received, parts: Sequence[str]) -> Sample:
    """Return what a request took whose answer is made of `parts`, with anything around them; its
    first token is that of the first part.

    Raises:
        ValueError: a part is missing, or stands before an earlier one.
    """
    pieces, done = _read(received)
    text = "".join(piece for _, piece in pieces)
    positions = [text.find(part) for part in parts]
    if -1 in positions or positions != sorted(positions):
        raise ValueError(f"this is not the scripted answer: {text[:200]!r}")
    return Sample(_instant_of(pieces, positions[0]) - received.started, done - received.started)


def _read(received: Received) -> tuple[list[tuple[float, str]], float]:
    """Return the pieces of the answer's text, and when its end marker arrived."""
    done: float | None = None
    pieces: list[tuple[float, str]] = []
    for instant, payload in _payloads(received.parts):
        if payload == b"[DONE]":
            done = instant
        else:
            pieces.append((instant, _content(payload)))
    if done is None:
        raise ValueError(f"the answer has no end: {pieces[:5]}")
    return pieces, done


def _instant_of(pieces: list[tuple[float, str]], position: int) -> float:
    """Return when the character at that position arrived."""
    length = 0
    for instant, piece in pieces:
        length += len(piece)
        if length > position:
            return instant
    raise ValueError(f"the answer ends before {position}")


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
