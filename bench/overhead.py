"""How close the service comes to the ideal, and what it costs, next to a bare floor.

Runs the simulator, the service and the floor as processes of their own, sends both the same load in
turns, and prints for each concurrency: end to end / ideal, the time to the answer's first token and
the CPU time per request. `workload.py` holds the workload and the ideal, `floor.py` the floor.
A batch counts only if the simulator's own loop lag stayed below 30 ms; others are repeated.

    .venv/bin/python bench/overhead.py --check --json overhead.json
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson
import uvloop

from figures import Batch, Report, row
from load import ask, run_clients, sample
from processes import Program, bearer_token, floor, new_secret, service, simulator
from upstream import Deviation, Upstream, as_scripted, bodies, deviations
from workload import MAX_LAG_SECONDS, ideal

CHECKS = 5
"""How often the comparison of script and record is tried on a noisy machine."""
PROGRAMS = ("product", "floor")


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured how often."""

    concurrency: tuple[int, ...]
    requests: int
    """Of each client in a batch."""
    repeat: int
    """Valid batches wanted of each program at each concurrency."""
    attempts: int
    """Batches spent at most per valid one wanted."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that runs."""

    session: aiohttp.ClientSession
    upstream: Upstream
    product: Program
    floor: Program
    token: str

    async def batch(self, program: Program, concurrency: int, requests: int) -> Batch:
        """Run one batch."""
        await self.upstream.forget()
        before = program.cpu_seconds()
        received = await run_clients(self.session, program.url, self.token, concurrency, requests)
        cpu_seconds = program.cpu_seconds() - before
        lag = await self.upstream.lag_seconds(len(received))
        samples = tuple(sample(each) for each in received)
        return Batch(program.name, concurrency, samples, cpu_seconds, lag)


@asynccontextmanager
async def running() -> AsyncGenerator[Bench]:
    """Start everything, and end it when the block is left."""
    secret = new_secret()
    token = bearer_token(secret)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    async with aiohttp.ClientSession(connector=connector) as session:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            claude = stack.enter_context(simulator(directory))
            await claude.ready(session, "/_simulator/calls")
            upstream = Upstream(session, claude.url)
            product = stack.enter_context(service(directory, claude.url, secret))
            await product.ready(session, "/health/ready")
            templates = directory / "bodies.json"
            templates.write_bytes(orjson.dumps(await _recorded(session, upstream, product, token)))
            bare = stack.enter_context(floor(directory, claude.url, templates))
            await bare.ready(session, "/health/ready")
            yield Bench(session, upstream, product, bare, token)


async def _recorded(
    session: aiohttp.ClientSession, upstream: Upstream, product: Program, token: str
) -> dict[str, dict[str, object]]:
    """Return the bodies that the service sends, for the floor to send the same."""
    await upstream.order(record_bodies=True)
    await upstream.forget()
    sample(await ask(session, product.url, token))
    found = bodies(await upstream.record())
    await upstream.order(record_bodies=False)
    return found


async def check_ideal(bench: Bench) -> str:
    """Compare the ideal's arithmetic with what the simulator played; returns a line that says so.

    Raises:
        RuntimeError: they differ.
    """
    found: list[Deviation] = []
    for _ in range(CHECKS):
        await bench.upstream.forget()
        await ask(bench.session, bench.floor.url, bench.token)
        found = deviations(await bench.upstream.record())
        if as_scripted(found):
            latest = max(found, key=lambda each: each.seconds)
            return (
                "The simulator's record of one floor request agrees with the script: the\n"
                f"largest deviation is {latest.seconds * 1000:+.1f} ms ({latest.what})."
            )
    raise RuntimeError(f"the simulator does not play the script: {found}")


async def measure(bench: Bench, concurrency: int, options: Options) -> list[Batch]:
    """Run the batches at one concurrency, the programs in turns and in changing order."""
    batches: list[Batch] = []
    wanted = dict.fromkeys((bench.product, bench.floor), options.repeat)
    for turn in range(options.repeat * options.attempts):
        order = (bench.product, bench.floor) if turn % 2 else (bench.floor, bench.product)
        for program in order:
            if not wanted[program]:
                continue
            batch = await bench.batch(program, concurrency, options.requests)
            batches.append(batch)
            wanted[program] -= batch.valid
            _progress(batch)
        if not any(wanted.values()):
            break
    return batches


def _progress(batch: Batch) -> None:
    verdict = "" if batch.valid else ", discarded"
    print(
        f"{batch.concurrency} {batch.program}: lag {batch.lag_seconds * 1000:.1f} ms{verdict}",
        file=sys.stderr,
        flush=True,
    )


async def report(options: Options) -> Report:
    """Run the whole benchmark."""
    async with running() as bench:
        notes = [await check_ideal(bench)]
        for program in (bench.product, bench.floor):
            await run_clients(bench.session, program.url, bench.token, max(options.concurrency), 1)
        batches: list[Batch] = []
        for concurrency in options.concurrency:
            batches += await measure(bench, concurrency, options)
    discarded = sum(not batch.valid for batch in batches)
    notes.append(
        f"{discarded} of {len(batches)} batches were discarded because the simulator's own loop\n"
        f"lagged {MAX_LAG_SECONDS * 1000:.0f} ms or more."
    )
    rows = [row(p, c, batches, ideal()) for c in options.concurrency for p in PROGRAMS]
    return Report(ideal(), tuple(rows), tuple(notes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure the service against a bare floor.")
    parser.add_argument("--concurrency", type=_numbers, default=(1, 20, 100), metavar="1,20,100")
    parser.add_argument("--requests", type=int, default=4, help="per client and batch")
    parser.add_argument("--repeat", type=int, default=5, help="valid batches of each program")
    parser.add_argument("--attempts", type=int, default=3, help="batches per valid one, at most")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--check", action="store_true", help="exit 1 when a limit is exceeded")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


async def _until_signal(options: Options) -> Report:
    # SIGTERM as Ctrl-C: the blocks are left, which ends the processes.
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await report(options)


def main() -> int:
    """Run as a command; returns the exit code."""
    words = _parser().parse_args()
    options = Options(words.concurrency, words.requests, words.repeat, words.attempts)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(_until_signal(options))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    print("\n".join(found.lines()))
    if words.json:
        words.json.write_bytes(
            orjson.dumps(found.to_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        )
    broken = found.broken_limits() if words.check else []
    for line in broken:
        print(f"FAILED: {line}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
