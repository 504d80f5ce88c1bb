"""The figures of `speedup.py`: from what each request took to rows, a table, claims and a plot."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from command import machine, today
from plots import Series, chart
from rounds import Rounds, discarded, median

SPREADS = ("even", "uneven")
DIAMOND = "diamond"
CLAIMS = {("uneven", None, 8): 0.05, ("even", 4, 8): 0.12}
"""Least share by which eager must be sooner than gather, by spread, cap and subtasks."""
DIAMOND_LIMIT = 1.03


@dataclass(frozen=True, slots=True)
class Took:
    """What one request took, in seconds."""

    policy: str
    """product, eager, gather or sequential; all but the product are the bare program."""
    cap: int | None
    """Workers at the same time. None: all."""
    spread: str
    subtasks: int
    end_to_end: float
    """From sending the request to the stream's end marker."""
    last_worker: float
    """From the lead's call to the end of the last worker's, on the simulator's clock."""
    longest_path: float
    """End to end by the script's arithmetic, without a cap."""


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of plan; medians in seconds, None where nothing valid was measured."""

    spread: str
    cap: int | None
    subtasks: int
    rounds: int
    product: float | None
    eager: float | None
    gather: float | None
    sequential: float | None
    sooner: float | None
    """1 - product / gather, end to end."""
    worked_sooner: float | None
    """The same of the last worker's end."""


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one run."""

    rows: tuple[Row, ...]
    diamond: float | None
    """End to end / longest path."""
    diamond_rounds: int
    gains_by_arithmetic: dict[str, tuple[float, float]]
    """Of uneven workers without a cap over many orders, by subtasks: median, lowest tenth."""
    notes: tuple[str, ...]
    date: str = field(default_factory=today)
    machine: str = field(default_factory=machine)

    @classmethod
    def of(
        cls, done: Iterable[Rounds[list[Took]]], gains: Mapping[int, Sequence[float]]
    ) -> "Report":
        """Return the report about these rounds; `gains` are those of many orders, by subtasks."""
        done = list(done)
        took = [each for rounds in done for found in rounds.found for each in found]
        bad = sum(rounds.discarded for rounds in done)
        tried = bad + sum(len(rounds.found) for rounds in done)
        kinds = [(s, cap, n) for s in SPREADS for cap in (None, 4) for n in gains]
        ratios = [each.end_to_end / each.longest_path for each in took if each.spread == DIAMOND]
        return cls(
            tuple(_row(took, *kind) for kind in kinds),
            median(ratios),
            len(ratios),
            {
                str(subtasks): (statistics.median(found), statistics.quantiles(found, n=10)[0])
                for subtasks, found in gains.items()
            },
            (discarded(bad, tried),),
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything, unrounded."""
        return asdict(self)

    def missed(self) -> list[str]:
        """Return the claims that the figures do not bear out, or leave open."""
        found: list[str] = []
        sooner = {(each.spread, each.cap, each.subtasks): each.sooner for each in self.rows}
        for kind, least in CLAIMS.items():
            share = sooner.get(kind)
            if share is None or share < least:
                found.append(f"{kind}: {_percent(share)} sooner than gather, not {least:.0%}")
        if self.diamond is None or self.diamond > DIAMOND_LIMIT:
            found.append(f"diamond: {self.diamond} of its longest path, limit {DIAMOND_LIMIT}")
        return found

    def lines(self) -> Iterable[str]:
        """Yield the report as text, at most 80 columns wide."""
        yield f"What starting workers early is worth, {self.date}, {self.machine}"
        yield "40 tokens per planned subtask at 80 tokens/s; workers 1 s, uneven 0.5 to 1.5 s"
        yield ""
        yield "                     answer complete after [s]             service v. gather"
        yield "workers cap subtasks service  (bare) gather  one by one    answer  last worker"
        yield from map(_line, self.rows)
        yield ""
        if self.diamond:
            yield (
                f"Diamond (b and c need a, d needs both): {self.diamond:.3f} of its longest path "
                f"({self.diamond_rounds} rounds)"
            )
        yield ""
        yield "By arithmetic, over many orders of uneven workers without a cap:"
        yield f"{'subtasks':26}" + "".join(f"{n:>7}" for n in self.gains_by_arithmetic)
        for place, name in enumerate(("sooner in the median", "in nine of ten, more than")):
            shares = (gains[place] for gains in self.gains_by_arithmetic.values())
            yield f"{name:26}" + "".join(f"{_percent(share):>7}" for share in shares)
        yield ""
        yield from self.notes

    def plot(self) -> str:
        """Return how much sooner the answer is complete, over the number of subtasks."""
        kinds = dict.fromkeys((each.spread, each.cap) for each in self.rows)
        return chart(
            "How much sooner the answer is complete than with gather",
            "subtasks in the plan",
            "sooner by [%]",
            [
                Series(
                    f"{spread} workers, {f'{cap} at a time' if cap else 'no cap'}",
                    [
                        (each.subtasks, None if each.sooner is None else each.sooner * 100)
                        for each in self.rows
                        if (each.spread, each.cap) == (spread, cap)
                    ],
                )
                for spread, cap in kinds
            ],
            log_x=True,
        )


def _row(took: Sequence[Took], spread: str, cap: int | None, subtasks: int) -> Row:
    def of(policy: str, cap: int | None) -> list[Took]:
        kind = (policy, cap, spread, subtasks)
        return [t for t in took if (t.policy, t.cap, t.spread, t.subtasks) == kind]

    own, gathered = of("product", cap), of("gather", cap)
    return Row(
        spread,
        cap,
        subtasks,
        rounds=len(own),
        product=_end_to_end(own),
        eager=_end_to_end(of("eager", cap)),
        gather=_end_to_end(gathered),
        sequential=_end_to_end(of("sequential", None)),
        sooner=_sooner(_end_to_end(own), _end_to_end(gathered)),
        worked_sooner=_sooner(
            median(each.last_worker for each in own), median(each.last_worker for each in gathered)
        ),
    )


def _end_to_end(took: Iterable[Took]) -> float | None:
    return median(each.end_to_end for each in took)


def _sooner(own: float | None, other: float | None) -> float | None:
    return 1 - own / other if own and other else None


def _line(row: Row) -> str:
    times = (row.product, row.eager, row.gather, row.sequential)
    product, eager, gather, sequential = ("-" if t is None else f"{t:.3f}" for t in times)
    return (
        f"{row.spread:7} {row.cap or '-':>3} {row.subtasks:8}{product:>8}{f'({eager})':>9}"
        f"{gather:>7}{sequential:>12}{_percent(row.sooner):>10}{_percent(row.worked_sooner):>13}"
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
