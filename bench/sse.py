"""What a chunk of a streamed answer costs the service, from the run's event to the bytes.

Both ways run in this process and on one event loop, in turns: a run whose answer is said piece by
piece, shown by the response that serves real requests; and the same bytes, prepared beforehand,
handed to sse-starlette's EventSourceResponse. Nothing is sent anywhere: what `send` is given is
counted, and must be the same frames. Times are CPU times of this process.

    .venv/bin/python bench/sse.py [--chunks 5000] [--repeat 9] [--check]

`--check`: exit status 1 when a chunk costs more than twice what it costs prepared.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from sse_starlette import EventSourceResponse
from starlette.responses import Response
from starlette.types import Message

from orchestrator_worker.api.chat.codec import Wanted
from orchestrator_worker.api.chat.response import RunResponse
from orchestrator_worker.api.middleware import RequestTrace
from orchestrator_worker.claude.client import Message as Turn
from orchestrator_worker.config import load_settings
from orchestrator_worker.orchestration.conversation import Conversation
from orchestrator_worker.orchestration.events import LeadStarted, RouteDecided
from orchestrator_worker.orchestration.run import Run, RunRequest
from orchestrator_worker.teams.loader import load_teams
from processes import new_secret

LIMIT = 2.0
PIECE = " and some words more"


class _Said:
    """Stands where the orchestrator does: its runs say the same pieces and end."""

    def __init__(self, chunks: int) -> None:
        self._chunks = chunks

    @asynccontextmanager
    async def run(self, request: RunRequest) -> AsyncGenerator[Run]:
        """Start a run that talks."""
        run = Run(request)
        talking = asyncio.create_task(self._talk(run))
        yield run
        await talking

    async def _talk(self, run: Run) -> None:
        await run.emit(LeadStarted())
        await run.emit(RouteDecided("direct"))
        for _ in range(self._chunks):
            await run.say(PIECE)
        run.stop_reason = "end_turn"
        run.end(None)


async def _cost(response: Response) -> tuple[float, list[bytes]]:
    """Return the CPU seconds that sending a response takes, and what was sent."""
    sent: list[bytes] = []

    async def send(message: Message) -> None:
        if body := message.get("body"):
            sent.append(body)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "state": {"trace": RequestTrace("bench")},
    }
    began = time.process_time()
    await response(scope, receive, send)
    return time.process_time() - began, sent


async def _prepared(frames: list[bytes]) -> AsyncIterator[bytes]:
    for frame in frames:
        yield frame


async def _measure(chunks: int, repeat: int) -> tuple[list[float], list[float]]:
    os.environ["JWT_SECRET_KEY"] = new_secret()  # settings want one; no token is made
    team = next(iter(load_teams(load_settings()).values()))
    conversation = Conversation((), (Turn("user", ("hello",)),))
    request = RunRequest("bench", "bench", team, conversation)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(repeat + 1):
        shown = RunResponse(_Said(chunks), request, Wanted(), stream=True)  # type: ignore[arg-type]
        seconds, frames = await _cost(shown)
        ours.append(seconds)
        seconds, again = await _cost(EventSourceResponse(_prepared(frames)))
        theirs.append(seconds)
        if again != frames or len(frames) != chunks + 3:
            sys.exit(f"the two ways have not sent the same: {len(frames)} and {len(again)} frames")
    return ours[1:], theirs[1:]  # the first round warms up


def main() -> int:
    """Measure, print, and with --check hold the claim."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--chunks", type=int, default=5000, help="of one stream")
    parser.add_argument("--repeat", type=int, default=9, help="streams of each way")
    parser.add_argument("--check", action="store_true", help="exit status 1 over the limit")
    options = parser.parse_args()
    ours, theirs = uvloop.run(_measure(options.chunks, options.repeat))
    ratios = sorted(mine / other for mine, other in zip(ours, theirs, strict=True))
    for name, seconds in (("the service", ours), ("prepared bytes", theirs)):
        each = [second / options.chunks * 1e6 for second in seconds]
        print(f"{name:15} {statistics.median(each):6.1f} us of CPU per chunk (median)")
    ratio = statistics.median(ratios)
    print(
        f"ratio {ratio:.2f} (lowest {ratios[0]:.2f}, highest {ratios[-1]:.2f}); limit {LIMIT:.1f}"
    )
    return 1 if options.check and ratio > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
