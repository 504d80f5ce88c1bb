"""How much sooner the work on many like things has begun when the plan says it once.

The lead plans 32 like subtasks: once written out, 32 entries of 40 tokens, and once as a single
entry with `for_each`. It writes 80 tokens/s. Measured is the time from the lead's call until the
last worker's call has arrived at the simulator, by the simulator's own record. In a round both
plans are played at the same time. A round counts only if the simulator's own loop lag stayed below
30 ms.

    .venv/bin/python bench/for_each.py --check --json for_each.json --plot docs/plots/for_each.svg
"""

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from command import machine, parser, run, today
from load import Received, body, sample
from plots import Series, chart
from processes import Program
from rounds import Repeats, discarded, median, rounds
from stage import Stage, stage
from upstream import Record, calls_by_role
from workload import Entry, Speech, Workload, assignment_mark, entry, steady

LEAST_RATIO = 3.0
WORK = Speech(40, 0.2, 50.0)
_NAMES = (
    "Alsace Andalusia Aragon Bavaria Brabant Brittany Burgundy Calabria Carinthia Catalonia "
    "Cornwall Dalmatia Flanders Galicia Holstein Jutland Lapland Liguria Lombardy Lusatia "
    "Masovia Moravia Navarre Normandy Piedmont Pomerania Provence Saxony Silesia Thuringia "
    "Tuscany Tyrol"
)
ITEMS = tuple(_NAMES.split())
SETTINGS = {"MAX_SUBTASKS": 40, "MAX_CONCURRENT_WORKERS": len(ITEMS)}


def written_out() -> Workload:
    """Return the plan that has an entry for each thing."""
    name = "written"
    return steady(
        name,
        [entry(name, n, 40, WORK, title=f"Region {item}") for n, item in enumerate(ITEMS, 1)],
    )


def said_once() -> Workload:
    """Return the plan that has one entry for all."""
    name = "each"
    fields = {
        "id": "s1",
        "title": "Region {{item}}",
        "instructions": f"{assignment_mark(name, 1)} judge {{{{item}}}} by rent, wages and roads.",
        "for_each": ITEMS,
    }
    return steady(name, [Entry(1, json.dumps(fields), WORK, workers=len(ITEMS))])


@dataclass(frozen=True, slots=True)
class Took:
    """What one request took, in seconds."""

    arrivals: tuple[float, ...]
    """Of the workers' calls, from the lead's."""
    end_to_end: float


@dataclass(frozen=True, slots=True)
class Row:
    """One way to write the plan; medians in seconds, None where nothing valid was measured."""

    name: str
    plan_tokens: int
    last_arrival: float | None
    end_to_end: float | None
    arrivals: tuple[float, ...]
    """Of the last valid round."""


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one run."""

    rows: tuple[Row, Row]
    """Written out, for_each."""
    rounds: int
    notes: tuple[str, ...]
    date: str = field(default_factory=today)
    machine: str = field(default_factory=machine)

    @property
    def ratio(self) -> float | None:
        """How many times sooner the last worker's call arrives."""
        slow, quick = (row.last_arrival for row in self.rows)
        return slow / quick if slow and quick else None

    def to_json(self) -> dict[str, Any]:
        """Return everything, unrounded."""
        return {**asdict(self), "ratio": self.ratio}

    def missed(self) -> list[str]:
        """Return the claims that the figures do not bear out, or leave open."""
        if self.ratio is None:
            return ["no valid round"]
        return [] if self.ratio >= LEAST_RATIO else [f"{self.ratio:.2f} times, not {LEAST_RATIO}"]

    def lines(self) -> Iterable[str]:
        """Yield the report as text, at most 80 columns wide."""
        yield f"One planned entry for {len(ITEMS)} like subtasks, {self.date}, {self.machine}"
        yield "the lead writes 80 tokens/s; workers 1 s, all at the same time"
        yield ""
        yield "                 plan      last worker's    answer"
        yield "               [tokens]  call arrives [s]  complete [s]"
        for row in self.rows:
            times = ["-" if t is None else f"{t:.3f}" for t in (row.last_arrival, row.end_to_end)]
            yield f"{row.name:12}{row.plan_tokens:>11}{times[0]:>18}{times[1]:>14}"
        if self.ratio:
            yield ""
            yield f"The last worker's call arrives {self.ratio:.1f} times sooner."
        yield f"{self.rounds} valid rounds."
        yield from self.notes

    def plot(self) -> str:
        """Return the workers' calls over time."""
        return chart(
            f"{len(ITEMS)} like subtasks: workers that have begun",
            "seconds from the lead's call",
            "workers",
            [
                Series(row.name, [(at, n) for n, at in enumerate(row.arrivals, 1)])
                for row in self.rows
            ],
        )


async def report(words: argparse.Namespace) -> Report:
    """Run the whole benchmark."""
    workloads = written_out(), said_once()
    async with stage() as programs:
        product = await programs.service(SETTINGS)

        async def play(_: int) -> list[Received]:
            return await _play(programs, product, workloads)

        def read(played: list[Received], record: Record) -> list[Took]:
            return [took(w, each, record) for w, each in zip(workloads, played, strict=True)]

        repeats = Repeats.of(words, words.repeat)
        done = await rounds(programs.upstream, "32 subtasks", repeats, play, read)
    out, once = (
        _row(workload, name, [found[place] for found in done.found])
        for place, (workload, name) in enumerate(
            zip(workloads, ("written out", "for_each"), strict=True)
        )
    )
    count = len(done.found)
    return Report((out, once), count, (discarded(done.discarded, count + done.discarded),))


async def _play(
    programs: Stage, product: Program, workloads: tuple[Workload, ...]
) -> list[Received]:
    await programs.upstream.order(workloads, record_bodies=True)
    return await programs.ask_all([(product, body(each.question())) for each in workloads])


def took(workload: Workload, received: Received, record: Record) -> Took:
    """Return what one request took.

    Raises:
        ValueError: the answer or the number of workers is not as scripted.
    """
    calls = calls_by_role(record, workload)
    if len(calls["worker"]) != len(ITEMS):
        raise ValueError(f"{len(calls['worker'])} workers for {len(ITEMS)} things")
    began = calls["lead"][0]["arrived_at"]
    arrivals = tuple(call["arrived_at"] - began for call in calls["worker"])
    return Took(arrivals, sample(received, workload.answer).total)


def _row(workload: Workload, name: str, found: list[Took]) -> Row:
    return Row(
        name,
        workload.plan.tokens,
        median(each.arrivals[-1] for each in found),
        median(each.end_to_end for each in found),
        found[-1].arrivals if found else (),
    )


def main() -> int:
    """Run as a command; returns the exit code."""
    found = parser("Measure what for_each is worth.", repeat=5, unit="rounds")
    words = found.parse_args()
    return run(words, lambda: report(words))


if __name__ == "__main__":
    sys.exit(main())
