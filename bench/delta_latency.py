"""How long a piece of a direct answer takes through the service.

An upstream of this script's own writes each text delta as the clock's reading at that moment; the
client, in the same process, compares it with the clock when the delta arrives. What is measured is
therefore the whole way: upstream's socket, service, client's socket. The same stream read without
the service is printed beside it.

    .venv/bin/python bench/delta_latency.py [--streams 1,20] [--deltas 300] [--check]

`--check`: exit status 1 when, with one stream, a delta in a hundred took longer than 5 ms.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import uvloop

from processes import bearer_token, new_secret, service

LIMIT_MILLISECONDS = 5.0
DELTAS_PER_SECOND = 100
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_MODEL = "claude-sonnet-5-5"
_HEADER = "streams  way            median      95 %      99 %       max   <= 5 ms   deltas"


def _event(payload: dict[str, object]) -> bytes:
    data = f"event: {payload['type']}\ndata: {json.dumps(payload)}\n\n".encode()
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _delta(text: str) -> bytes:
    delta = {"type": "text_delta", "text": text}
    return _event({"type": "content_block_delta", "index": 0, "delta": delta})


async def _write_message(writer: asyncio.StreamWriter, deltas: int) -> None:
    message = {"id": "msg", "role": "assistant", "content": (), "model": _MODEL}
    block = {"type": "text", "text": ""}
    writer.write(_HEAD + _event({"type": "message_start", "message": message}))
    writer.write(_event({"type": "content_block_start", "index": 0, "content_block": block}))
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(deltas):
        await asyncio.sleep(max(0.0, began + number / DELTAS_PER_SECOND - loop.time()))
        writer.write(_delta(f"{time.monotonic_ns()} "))
    writer.write(_event({"type": "content_block_stop", "index": 0}))
    writer.write(_event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}))
    writer.write(_event({"type": "message_stop"}) + b"0\r\n\r\n")
    await writer.drain()


@asynccontextmanager
async def _upstream(deltas: int) -> AsyncGenerator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                if head.startswith("get"):
                    writer.write(b"HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n")
                    continue
                length = head.split("content-length:")[1].split("\r\n")[0]
                await reader.readexactly(int(length))
                await _write_message(writer, deltas)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _read(response: aiohttp.ClientResponse) -> list[float]:
    """Return each delta's age on arrival, in milliseconds."""
    ages: list[float] = []
    async for line in response.content:
        if line.startswith(b"data: {"):
            now = time.monotonic_ns()
            for text in _texts(json.loads(line[6:])):
                ages += [(now - int(written)) / 1e6 for written in text.split()]
    return ages


def _texts(frame: dict[str, object]) -> list[str]:
    match frame:
        case {"choices": [{"delta": {"content": str(text)}}]}:
            return [text]
        case {"delta": {"text": str(text)}}:
            return [text]
        case _:
            return []


async def _measure(url: str, path: str, headers: dict[str, str], streams: int) -> list[float]:
    body = {
        "model": "orchestrator-worker",
        "max_tokens": 2000,
        "stream": True,
        "messages": [{"role": "user", "content": "x"}],
    }
    connector = aiohttp.TCPConnector(limit=0)

    async def one(session: aiohttp.ClientSession) -> list[float]:
        async with session.post(url + path, json=body) as response:
            response.raise_for_status()
            return await _read(response)

    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        await one(session)  # a first one opens connections and warms caches
        found = await asyncio.gather(*(one(session) for _ in range(streams)))
    return sorted(age for ages in found for age in ages)


def _row(streams: int, name: str, ages: list[float]) -> str:
    def at(share: float) -> float:
        return ages[min(len(ages) - 1, int(len(ages) * share))]

    within = sum(age <= LIMIT_MILLISECONDS for age in ages) / len(ages)
    figures = "  ".join(f"{value:8.2f}" for value in (at(0.5), at(0.95), at(0.99), ages[-1]))
    return f"{streams:7}  {name:12} {figures}  {within:8.2%}  {len(ages):7}"


async def run(streams: list[int], deltas: int) -> bool:
    """Print the table; returns whether one stream stayed within the limit."""
    good = True
    secret = new_secret()
    with tempfile.TemporaryDirectory() as directory:
        async with _upstream(deltas) as upstream, aiohttp.ClientSession() as session:
            with service(Path(directory), upstream, secret) as program:
                await program.ready(session, "/health")
                headers = {"authorization": f"Bearer {bearer_token(secret)}"}
                print(
                    f"Milliseconds from the upstream's write to the client, {os.cpu_count()} CPUs"
                )
                print(_HEADER)
                for count in streams:
                    direct = await _measure(upstream, "/v1/messages", {}, count)
                    print(_row(count, "direct", direct))
                    through = await _measure(program.url, "/v1/chat/completions", headers, count)
                    print(_row(count, "the service", through))
                    if count == 1:
                        good = through[int(len(through) * 0.99)] <= LIMIT_MILLISECONDS
    return good


def main() -> int:
    """Parse the words and run; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure the way of a delta through the service.")
    parser.add_argument("--streams", default="1,20", help="at the same time, comma separated")
    parser.add_argument("--deltas", type=int, default=300, help="per stream")
    parser.add_argument("--check", action="store_true", help="fail when the limit is passed")
    options = parser.parse_args()
    streams = [int(count) for count in options.streams.split(",")]
    good = uvloop.run(run(streams, options.deltas))
    return 0 if good or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
