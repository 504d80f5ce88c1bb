"""Listening to a stream as it comes, so that a test can tell when something was heard."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from chat import body
from dumb_upstream import DumbCall, DumbUpstream


class Listening:
    """A stream that is being read."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.text = ""
        self.events: list[dict[str, Any]] = []
        """Progress for programs."""
        self.finish_reason: str | None = None
        self.report: dict[str, Any] = {}
        self.error: dict[str, Any] | None = None
        self.deltas: list[str] = []

    async def until_text(self, text: str) -> None:
        """Read until the answer so far contains `text`."""
        while text not in self.text:
            await self._read_one()

    async def until_event(self, name: str, **fields: Any) -> None:
        """Read until there is such an event."""
        wanted = {"event": name, **fields}
        while not any(wanted.items() <= event.items() for event in self.events):
            await self._read_one()

    async def to_the_end(self) -> "Listening":
        """Read all that is left."""
        async with asyncio.timeout(5):
            while await self._take():
                pass
        return self

    async def _read_one(self) -> None:
        async with asyncio.timeout(5):
            assert await self._take(), f"the stream ended; heard {self.text!r}"

    async def _take(self) -> bool:
        line = await anext(self._lines, "data: [DONE]")
        if line == "data: [DONE]":
            return False
        if line.startswith("data: "):
            self._take_frame(json.loads(line[6:]))
        return True

    def _take_frame(self, frame: dict[str, Any]) -> None:
        told = frame.get("orchestration", {})
        if "event" in told:
            self.events.append(told)
        elif told:
            self.report = told
        self.error = frame.get("error", self.error)
        for choice in frame.get("choices", []):
            if delta := choice["delta"].get("content"):
                self.deltas.append(delta)
                self.text += delta
            self.finish_reason = choice["finish_reason"] or self.finish_reason


@asynccontextmanager
async def listening(
    http: httpx2.AsyncClient, *, wishes: str = "progress, usage, results", **fields: Any
) -> AsyncGenerator[Listening]:
    """Ask, and read the stream as it comes; leaving the block hangs up."""
    request = http.build_request(
        "POST",
        "/v1/chat/completions",
        json=body(stream=True, **fields),
        headers={"x-orchestration": wishes},
    )
    response = await http.send(request, stream=True)
    try:
        assert response.status_code == 200
        yield Listening(response.aiter_lines())
    finally:
        await response.aclose()


def of_subtask(upstream: DumbUpstream, title: str) -> list[DumbCall]:
    """The calls of the worker whose turn names this title."""
    return [call for call in upstream.calls_of("worker") if f'"{title}"' in call.last_text]


async def hung_up(call: DumbCall) -> None:
    """Wait until the service has closed this call's connection."""
    async with asyncio.timeout(5):
        await call.client_left.wait()
