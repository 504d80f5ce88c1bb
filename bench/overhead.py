"""How close the service comes to the ideal, and what it costs, next to a bare floor.

Runs the simulator, the service and the floor as processes of their own, sends both the same load in
turns, and prints for each concurrency: end to end / ideal, the time to the answer's first token and
the CPU time per request. `workload.py` holds the workload and the ideal, `floor.py` the floor.
A batch counts only if the simulator's own loop lag stayed below 30 ms; others are repeated.

    .venv/bin/python bench/overhead.py --check --json overhead.json
"""

import sys
from dataclasses import dataclass

from command import numbers, parser, run
from figures import Batch, Report, row
from load import Received, body, run_clients, sample
from processes import Program
from rounds import discarded, progress
from stage import Stage, stage
from upstream import Deviation, as_scripted, deviations, lag_seconds, message_calls
from workload import Workload, even

CHECKS = 5
"""How often the comparison of script and record is tried on a noisy machine."""
PROGRAMS = ("product", "floor")


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured how often."""

    workers: int
    """Of each request."""
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

    stage: Stage
    workload: Workload
    product: Program
    floor: Program

    async def batch(self, program: Program, concurrency: int, requests: int) -> Batch:
        """Run one batch.

        Raises:
            ValueError: an answer or the number of calls is not as scripted.
        """
        await self.stage.upstream.forget()
        before = program.cpu_seconds()
        received = await self.clients(program, concurrency, requests)
        cpu_seconds = program.cpu_seconds() - before
        record = await self.stage.upstream.record()
        calls = len(message_calls(record))
        if calls != len(received) * self.workload.calls:
            raise ValueError(f"{calls} calls for {len(received)} requests")
        samples = tuple(sample(each, self.workload.answer) for each in received)
        return Batch(program.name, concurrency, samples, cpu_seconds, lag_seconds(record))

    async def clients(self, program: Program, concurrency: int, requests: int) -> list[Received]:
        """Let clients send their requests to a program."""
        return await run_clients(
            self.stage.session,
            program.url,
            self.stage.token,
            body(self.workload.question()),
            concurrency=concurrency,
            requests=requests,
        )


async def check_ideal(bench: Bench) -> str:
    """Compare the ideal's arithmetic with what the simulator played; returns a line that says so.

    Raises:
        RuntimeError: they differ.
    """
    found: list[Deviation] = []
    for _ in range(CHECKS):
        await bench.stage.upstream.forget()
        await bench.stage.ask(bench.floor, body(bench.workload.question()))
        found = deviations(await bench.stage.upstream.record(), bench.workload)
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
            verdict = "" if batch.valid else ", discarded"
            progress(
                f"{concurrency} {program.name}: lag {batch.lag_seconds * 1000:.1f} ms{verdict}"
            )
        if not any(wanted.values()):
            break
    return batches


async def report(options: Options) -> Report:
    """Run the whole benchmark."""
    workload = even(options.workers)
    settings = {"MAX_SUBTASKS": options.workers, "MAX_CONCURRENT_WORKERS": options.workers}
    async with stage() as programs:
        product = await programs.service(settings)
        floor = await programs.floor(await programs.templates(product, workload, ()))
        bench = Bench(programs, workload, product, floor)
        await programs.upstream.order([workload], record_bodies=False)
        notes = [await check_ideal(bench)]
        for program in (product, floor):
            await bench.clients(program, max(options.concurrency), 1)
        batches: list[Batch] = []
        for concurrency in options.concurrency:
            batches += await measure(bench, concurrency, options)
    notes.append(discarded(sum(not batch.valid for batch in batches), len(batches), "batches"))
    ideal = workload.ideal()
    rows = [row(p, c, batches, ideal) for c in options.concurrency for p in PROGRAMS]
    return Report(ideal, tuple(rows), tuple(notes))


def main() -> int:
    """Run as a command; returns the exit code."""
    found = parser(
        "Measure the service against a bare floor.", repeat=5, unit="batches", minutes=None
    )
    found.add_argument("--concurrency", type=numbers, default=(1, 20, 100), metavar="1,20,100")
    found.add_argument("--workers", type=int, default=5, help="of each request")
    found.add_argument("--requests", type=int, default=4, help="per client and batch")
    words = found.parse_args()
    options = Options(
        words.workers, words.concurrency, words.requests, words.repeat, words.attempts
    )
    return run(words, lambda: report(options))


if __name__ == "__main__":
    sys.exit(main())
