"""The floor: the least that a program in this language has to do for the workload.

A bare aiohttp server that makes the same calls as the service to the same simulator and streams
where the service streams: it reads the lead's stream, starts a worker as each subtask closes in it,
and when all are done passes the synthesizer's stream on. No authentication, checks, retries,
accounting, deadlines or logs. The benchmarks start it as a process of its own and tell it the
bodies that the service has sent, by question, so that both put the same bytes on the wire:

    python floor.py PORT UPSTREAM_URL BODIES_FILE [--policy eager|gather|sequential] [--cap N]

The policy says when a worker starts: as its subtask closes (eager), all at once after the whole
plan (gather), or one after the other after the whole plan (sequential).
"""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Policy:
    """When workers start."""

    eager: bool
    """While the plan is still being written, not after it."""
    cap: int
    """Workers at the same time."""

    @classmethod
    def named(cls, name: str, cap: int) -> "Policy":
        """Return the policy of the command line's words."""
        return cls(name == "eager", 1 if name == "sequential" else cap)


Bodies = Mapping[str, Any]
"""The body of each role's call."""


class Workers:
    """The workers of one request: as many at the same time as the policy lets."""

    def __init__(self, floor: "Floor", group: asyncio.TaskGroup, bodies: Bodies, cap: int) -> None:
        self._floor = floor
        self._group = group
        self._bodies = bodies
        self._places = asyncio.Semaphore(cap)
        self._tasks: dict[str, asyncio.Task[str]] = {}

    def start(self, subtask: dict[str, Any]) -> None:
        """Start the worker as soon as it can; what it depends on must have been started before."""
        self._tasks[subtask["id"]] = self._group.create_task(self._work(subtask))

    async def _work(self, subtask: dict[str, Any]) -> str:
        findings = [await self._tasks[name] for name in subtask["depends_on"]]
        turn = "\n\n".join([*findings, subtask["instructions"]])
        async with self._places:
            return "".join(
                [d["text"] async for d in self._floor.deltas(_body(self._bodies["worker"], turn))]
            )

    def results(self) -> list[str]:
        """Return what they have written, once all have ended."""
        return [task.result() for task in self._tasks.values()]


def _body(recorded: Any, turn: str) -> bytes:
    """Return a recorded body with its last text replaced."""
    *before, last = recorded["messages"]
    content = [*last["content"][:-1], {"type": "text", "text": turn}]
    return orjson.dumps({**recorded, "messages": [*before, {**last, "content": content}]})


class Floor:
    """Answers requests with the calls of the workload."""

    def __init__(self, url: str, bodies: Mapping[str, Bodies], policy: Policy) -> None:
        self._url = f"{url}/v1/messages"
        self._bodies = bodies
        self._policy = policy
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
        asked = await request.json(loads=orjson.loads)
        bodies = self._bodies[asked["messages"][-1]["content"]]
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        try:
            await response.prepare(request)
            await self._stream(response, bodies)
        except ConnectionResetError:
            pass  # the benchmark was interrupted
        return response

    async def _stream(self, response: web.StreamResponse, bodies: Bodies) -> None:
        results = await self._coordinate(bodies)
        async for delta in self.deltas(_body(bodies["synthesizer"], "\n\n".join(results))):
            await response.write(_CHUNK % orjson.dumps(delta["text"]))
        await response.write(b"data: [DONE]\n\n")

    async def _coordinate(self, bodies: Bodies) -> list[str]:
        scanner = PlanScanner()
        planned: list[dict[str, Any]] = []
        async with asyncio.TaskGroup() as group:
            workers = Workers(self, group, bodies, self._policy.cap)
            async for delta in self.deltas(orjson.dumps(bodies["lead"])):
                planned += scanner.feed(delta["partial_json"])
                while self._policy.eager and planned:
                    workers.start(planned.pop(0))
            for subtask in planned:
                workers.start(subtask)
        return workers.results()

    async def deltas(self, body: bytes) -> AsyncIterator[dict[str, Any]]:
        """Make a call and yield what its stream brings."""
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


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve the floor of a benchmark.")
    parser.add_argument("port", type=int)
    parser.add_argument("url", help="of the simulator")
    parser.add_argument("bodies", type=Path, help="a file: question -> role -> body of its call")
    parser.add_argument("--policy", choices=("eager", "gather", "sequential"), default="eager")
    parser.add_argument("--cap", type=int, default=1000, help="workers at the same time")
    return parser.parse_args()


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    words = _words()
    policy = Policy.named(words.policy, words.cap)
    floor = Floor(words.url, orjson.loads(words.bodies.read_bytes()), policy)
    app = web.Application()
    app.cleanup_ctx.append(floor.open)
    app.router.add_get("/health/ready", floor.health)
    app.router.add_post("/v1/chat/completions", floor.answer)
    loop = uvloop.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=words.port, print=None, access_log=None, loop=loop)


if __name__ == "__main__":
    main()
