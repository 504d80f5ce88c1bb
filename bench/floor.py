"""The floor: the least that a program in this language has to do for the workload.

A bare aiohttp server that makes the same calls as the service to the same simulator and streams
where the service streams: it reads the lead's stream, starts a worker as each subtask closes in it,
and when all are done passes the synthesizer's stream on. No authentication, checks, retries,
accounting, deadlines or logs. `overhead.py` starts it as a process of its own and tells it the
bodies that the service has sent, so that both put the same bytes on the wire:

    python floor.py PORT UPSTREAM_URL BODIES_FILE
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvloop
from aiohttp import web

HEADERS = {
    "x-api-key": "bench",
    "anthropic-version": "2023-06-01",
    "content-type": "application/json",
}
_CHUNK = (
    b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":%b}}]}\n\n'
)


class PlanScanner:
    """Finds the objects of `subtasks` while the plan's JSON is still growing."""

    def __init__(self) -> None:
        self._text = ""
        self._position = 0
        self._decoder = json.JSONDecoder()

    def feed(self, piece: str) -> Iterator[dict[str, Any]]:
        """Yield the subtasks that `piece` completes."""
        self._text += piece
        if "}" not in piece:
            return
        if not self._position:
            self._position = self._text.find("[") + 1
        while (start := self._text.find("{", self._position)) >= 0:
            try:
                subtask, self._position = self._decoder.raw_decode(self._text, start)
            except ValueError:
                return  # it goes on in a later piece
            yield subtask


class Floor:
    """Answers requests with the calls of the workload."""

    def __init__(self, url: str, bodies: dict[str, dict[str, Any]]) -> None:
        self._url = f"{url}/v1/messages"
        self._bodies = bodies
        self._session: aiohttp.ClientSession

    async def open(self, _app: web.Application) -> AsyncIterator[None]:
        """Hold the one client session while the server runs."""
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        async with aiohttp.ClientSession(headers=HEADERS, connector=connector) as self._session:
            yield

    async def health(self, _request: web.Request) -> web.Response:
        """Say that the server listens."""
        return web.Response()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request with a stream."""
        await request.json(loads=orjson.loads)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        try:
            await response.prepare(request)
            await self._stream(response)
        except ConnectionResetError:
            pass  # the benchmark was interrupted
        return response

    async def _stream(self, response: web.StreamResponse) -> None:
        results = await self._coordinate()
        async for delta in self._deltas(self._body("synthesizer", "\n\n".join(results))):
            await response.write(_CHUNK % orjson.dumps(delta["text"]))
        await response.write(b"data: [DONE]\n\n")

    async def _coordinate(self) -> list[str]:
        scanner = PlanScanner()
        async with asyncio.TaskGroup() as group:
            workers: list[asyncio.Task[str]] = []
            async for delta in self._deltas(orjson.dumps(self._bodies["lead"])):
                closed = scanner.feed(delta["partial_json"])
                workers.extend(group.create_task(self._work(subtask)) for subtask in closed)
        return [worker.result() for worker in workers]

    async def _work(self, subtask: dict[str, Any]) -> str:
        body = self._body("worker", subtask["instructions"])
        return "".join([delta["text"] async for delta in self._deltas(body)])

    def _body(self, role: str, turn: str) -> bytes:
        """Return the recorded body of that role with its last text replaced."""
        body = self._bodies[role]
        *before, last = body["messages"]
        content = [*last["content"][:-1], {"type": "text", "text": turn}]
        return orjson.dumps({**body, "messages": [*before, {**last, "content": content}]})

    async def _deltas(self, body: bytes) -> AsyncIterator[dict[str, Any]]:
        async with self._session.post(self._url, data=body) as response:
            response.raise_for_status()
            pending = b""
            async for chunk in response.content.iter_any():
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    if not line.startswith(b"data: "):
                        continue
                    event = orjson.loads(line[6:])
                    if event["type"] == "content_block_delta":
                        yield event["delta"]


def main(port: int, url: str, bodies: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    floor = Floor(url, orjson.loads(bodies.read_bytes()))
    app = web.Application()
    app.cleanup_ctx.append(floor.open)
    app.router.add_get("/health/ready", floor.health)
    app.router.add_post("/v1/chat/completions", floor.answer)
    loop = uvloop.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None, loop=loop)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
