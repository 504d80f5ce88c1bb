import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from time import monotonic

import httpx2

from orchestrator_worker.simulator import EmbeddedSimulator
from tests.simulator.wire import HEADERS, Wire, ask

RUN = "from orchestrator_worker.simulator import serve; serve('127.0.0.1', 0)"


@asynccontextmanager
async def process() -> AsyncGenerator[tuple[asyncio.subprocess.Process, str]]:
    """A simulator in a process of its own, and the line it prints."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, stdout=PIPE, stderr=PIPE
    )
    assert running.stdout
    try:
        async with asyncio.timeout(20):
            line = (await running.stdout.readline()).decode().strip()
        yield running, line
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


async def hang(url: str) -> None:
    script = {"faults": [{"when": {}, "fault": {"kind": "hang"}}]}
    async with httpx2.AsyncClient(base_url=url, headers=HEADERS) as http:
        await http.put("/_simulator/script", json=script)
        await http.post("/v1/messages", json=ask(), timeout=30)


async def until_in_flight(wire: Wire) -> None:
    async with asyncio.timeout(5):
        while not (await wire.record())["in_flight"]:
            pass


async def test_a_process_says_where_it_listens_and_ends_within_a_second() -> None:
    async with process() as (running, line):
        start, _, url = line.rpartition(" ")
        assert start == "Simulator of the Claude Messages API listens on"
        open_call = asyncio.ensure_future(hang(url))
        async with Wire(url) as wire:
            await until_in_flight(wire)
        running.terminate()
        begun = monotonic()
        async with asyncio.timeout(5):
            out, err = await running.communicate()
        assert monotonic() - begun < 1
        assert (out, err) == (b"", b"")
        result = await asyncio.gather(open_call, return_exceptions=True)
        assert isinstance(result[0], httpx2.TransportError)


async def test_an_embedded_simulator_stops_within_a_second_with_open_calls() -> None:
    async with EmbeddedSimulator() as simulator:
        url = simulator.url
        open_call = asyncio.ensure_future(hang(url))
        async with Wire(url) as wire:
            await until_in_flight(wire)
        begun = monotonic()
    assert monotonic() - begun < 1
    result = await asyncio.gather(open_call, return_exceptions=True)
    assert isinstance(result[0], httpx2.TransportError)


async def test_two_simulators_know_nothing_of_each_other() -> None:
    async with (
        EmbeddedSimulator() as one,
        EmbeddedSimulator() as two,
        Wire(one.url) as wire,
        Wire(two.url) as other,
    ):
        await wire.script()
        await wire.message(ask())
        assert len(await wire.calls()) == 1
        assert await other.calls() == []
