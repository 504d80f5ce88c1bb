"""What the workers' common beginning costs when they share it through the prompt cache.

All workers of a run begin with the same tokens: their role and the caller's conversation. The
service marks the end of that prefix and has it written to the cache by a call without an answer
when the lead opens its plan. The simulator keeps a cache as the API's documentation describes it
and reports each call's tokens as written, read or uncached; priced are those of the prefix alone,
at the real prices of the workers' model, relative to the same tokens all uncached. Every request
brings a conversation of its own, so nothing is left in the cache from an earlier one.

Beside it: the time to the end of the answer with and without sharing (a service started with
PROMPT_CACHE=off), asked at the same time in changing order, where the simulator reads prompts in
no time, so that sharing can only lose; and that a direct answer makes no such call. The lead writes
40 tokens per subtask at 80 tokens/s, a worker takes 1 s. A round counts only if the simulator's own
loop lag stayed below 30 ms.

    .venv/bin/python bench/cache.py --check --json cache.json --plot docs/plots/cache.svg
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from cache_figures import PRICED_MODEL, Cell, Report
from command import numbers, parser, run
from load import Received, body, sample
from processes import Program
from rounds import Repeats, Rounds, median, rounds
from stage import Stage, stage
from upstream import Call, Record, message_calls, warm_ups
from workload import Speech, Workload, entry, steady, text

CLAIMED_PREFIX, CLAIMED_WORKERS = 20_000, 8
"""Of the comparison of times and of the direct answer."""
BYTES_PER_TOKEN = 3.5
"""As the simulator counts."""
WORK = Speech(40, 0.2, 50.0)
DIRECT = "Bench-direct: what is the rent?"
DIRECT_ANSWER = Speech(60)
SETTINGS = {
    "MAX_SUBTASKS": 40,
    "MAX_CONCURRENT_WORKERS": 40,
    "WORKER_MODEL": PRICED_MODEL,
    # Another model than the workers', so that the record without bodies tells them apart.
    "SYNTHESIZER_MODEL": "claude-sonnet-5-5",
}


def plan(workers: int) -> Workload:
    """Return the workload of that many workers."""
    name = f"cache-{workers}"
    return steady(name, [entry(name, number, 40, WORK) for number in range(1, workers + 1)])


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that runs."""

    stage: Stage
    shared: Program
    unshared: Program
    numbers: "count[int]"

    async def ask(self, program: Program, question: str, prefix: int) -> Received:
        """Ask with a conversation of that many tokens, and of no other request."""
        return (await self.stage.ask_all([(program, self.request(question, prefix))]))[0]

    def request(self, question: str, prefix: int) -> bytes:
        """Return a request with a conversation of its own."""
        characters = int(prefix * BYTES_PER_TOKEN)
        context = text(f"Report {next(self.numbers)}. ", prefix)[:characters]
        return body(question, system=context)


def cell(prefix: int, workload: Workload, record: Record) -> Cell:
    """Return what the calls of one request say about its prefix.

    Raises:
        ValueError: the number of workers is not as scripted.
    """
    warmed = warm_ups(record)
    workers = [call for call in message_calls(record) if call["model"] == PRICED_MODEL]
    if len(workers) != len(workload.entries):
        raise ValueError(f"{len(workers)} workers for {len(workload.entries)} subtasks")
    return Cell.of(prefix, _usages(workers), _usages(warmed))


def _usages(calls: Sequence[Call]) -> list[dict[str, int]]:
    return [call["usage"] for call in calls]


async def price(bench: Bench, prefix: int, workers: int, once: Repeats) -> Rounds[Cell]:
    """Play one round for the price of that prefix with that many workers."""
    workload = plan(workers)
    await bench.stage.upstream.order([workload], record_bodies=False)

    async def play(_: int) -> Received:
        return await bench.ask(bench.shared, workload.question(), prefix)

    def read(received: Received, record: Record) -> Cell:
        # A single worker's text is the answer.
        alone = workload.finding(workload.entries[0])
        sample(received, workload.answer if workers > 1 else alone)
        return cell(prefix, workload, record)

    what = f"{prefix} tokens, {workers} workers"
    return await rounds(bench.stage.upstream, what, once, play, read)


async def times(bench: Bench, repeats: Repeats) -> Rounds[tuple[float, float]]:
    """Play the rounds of the comparison; returns seconds with and without sharing."""
    workload = plan(CLAIMED_WORKERS)
    await bench.stage.upstream.order([workload], record_bodies=False)

    async def play(number: int) -> dict[str, Received]:
        programs = [bench.shared, bench.unshared]
        if number % 2:
            programs.reverse()
        asked = [(p, bench.request(workload.question(), CLAIMED_PREFIX)) for p in programs]
        received = await bench.stage.ask_all(asked)
        return {p.name: each for p, each in zip(programs, received, strict=True)}

    def read(played: dict[str, Received], _: Record) -> tuple[float, float]:
        took = {name: sample(each, workload.answer).total for name, each in played.items()}
        return took[bench.shared.name], took[bench.unshared.name]

    return await rounds(bench.stage.upstream, "with and without", repeats, play, read)


async def direct(bench: Bench) -> int:
    """Return how many calls a direct answer makes beside the lead's.

    Raises:
        ValueError: the lead's answer did not arrive.
    """
    said = text("The rent is ", DIRECT_ANSWER.tokens)
    rule = {"when": {"contains": DIRECT}, "reply": DIRECT_ANSWER.reply({"text": said})}
    await bench.stage.upstream.put({"replies": [rule], "record_bodies": False})
    await bench.stage.upstream.forget()
    sample(await bench.ask(bench.shared, DIRECT, CLAIMED_PREFIX), said)
    record = await bench.stage.upstream.record()
    return len(message_calls(record)) + len(warm_ups(record)) - 1


async def report(words: argparse.Namespace) -> Report:
    """Run the whole benchmark."""
    async with stage() as programs:
        shared = await programs.service(SETTINGS, "shared")
        unshared = await programs.service({**SETTINGS, "PROMPT_CACHE": "off"}, "unshared")
        bench = Bench(programs, shared, unshared, count(1))
        extra = await direct(bench)
        compared = await times(bench, Repeats.of(words, words.repeat))
        priced = [
            await price(bench, prefix, workers, Repeats.of(words, 1))
            for prefix in words.prefixes
            for workers in words.workers
        ]
    all_rounds = [compared, *priced]
    return Report.of(
        cells=[cell for rounds in priced for cell in rounds.found],
        seconds=(
            median(shared for shared, _ in compared.found),
            median(unshared for _, unshared in compared.found),
        ),
        direct_extra_calls=extra,
        discarded_rounds=sum(rounds.discarded for rounds in all_rounds),
        valid_rounds=sum(len(rounds.found) for rounds in all_rounds),
    )


def main() -> int:
    """Run as a command; returns the exit code."""
    found = parser("Measure what a shared prefix costs.", repeat=7, unit="rounds of the times")
    prefixes = (2_000, 5_000, 20_000, 50_000, 100_000)
    found.add_argument("--prefixes", type=numbers, default=prefixes, metavar="2000,20000")
    found.add_argument("--workers", type=numbers, default=(1, 2, 4, 8, 20), metavar="1,8,20")
    words = found.parse_args()
    return run(words, lambda: report(words))


if __name__ == "__main__":
    sys.exit(main())
