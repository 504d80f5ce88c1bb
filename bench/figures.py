"""The figures of `overhead.py`: from the samples of its batches to rows, a table and JSON."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from command import machine, today
from load import RAMP_SECONDS, Sample
from plots import Series, chart
from rounds import median
from upstream import MAX_LAG_SECONDS
from workload import Ideal

LIMITS = {(5, 1): 1.02, (5, 20): 1.04, (20, 1): 1.03}
"""Largest median of end to end / ideal that the product may show, by workers of a request and
clients.
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of requests to one program."""

    program: str
    concurrency: int
    samples: tuple[Sample, ...]
    cpu_seconds: float
    """CPU time of the program over the whole batch."""
    lag_seconds: float
    """The simulator's largest loop lag during the batch."""

    @property
    def valid(self) -> bool:
        """Whether the simulator kept time, so that the batch counts."""
        return self.lag_seconds < MAX_LAG_SECONDS


@dataclass(frozen=True, slots=True)
class Row:
    """One program at one concurrency, over its valid batches. None: there was none."""

    program: str
    concurrency: int
    requests: int
    """In valid batches."""
    discarded: int
    """Batches that did not count."""
    least_lag_seconds: float
    """The best batch's, valid or not."""
    ratio_median: float | None
    """End to end / ideal."""
    ratio_p95: float | None
    first_token_median: float | None
    """Seconds from sending the request to the answer's first text."""
    first_token_p95: float | None
    cpu_milliseconds: float | None
    """Per request; the median of the batches."""


def row(program: str, concurrency: int, batches: Sequence[Batch], ideal: Ideal) -> Row:
    """Return the figures of one program at one concurrency."""
    own = [b for b in batches if (b.program, b.concurrency) == (program, concurrency)]
    valid = [batch for batch in own if batch.valid]
    samples = [sample for batch in valid for sample in batch.samples]
    ratios = [sample.total / ideal.total for sample in samples]
    firsts = [sample.first_token for sample in samples]
    cpu = [batch.cpu_seconds / len(batch.samples) * 1000 for batch in valid]
    return Row(
        program,
        concurrency,
        requests=len(samples),
        discarded=len(own) - len(valid),
        least_lag_seconds=min(batch.lag_seconds for batch in own),
        ratio_median=median(ratios),
        ratio_p95=_p95(ratios),
        first_token_median=median(firsts),
        first_token_p95=_p95(firsts),
        cpu_milliseconds=median(cpu),
    )


def _p95(values: Sequence[float]) -> float | None:
    """Return the smallest value that 95 % do not exceed (nearest rank)."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1] if values else None


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one run."""

    ideal: Ideal
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    date: str = field(default_factory=today)
    machine: str = field(default_factory=machine)

    def to_json(self) -> dict[str, Any]:
        """Return everything, unrounded."""
        return asdict(self)

    def missed(self) -> list[str]:
        """Return what the product's figures exceed, or leave open."""
        found: list[str] = []
        for each in self.rows:
            limit = LIMITS.get((len(self.ideal.closings), each.concurrency))
            if each.program != "product" or limit is None:
                continue
            if each.ratio_median is None:
                found.append(f"no valid batch at {each.concurrency} concurrent")
            elif each.ratio_median > limit:
                found.append(
                    f"{each.ratio_median:.3f} of the ideal at {each.concurrency} concurrent, "
                    f"the limit is {limit}"
                )
        return found

    def lines(self) -> Iterable[str]:
        """Yield the report as text, at most 80 columns wide."""
        yield f"Overhead of the service, {self.date}, {self.machine}"
        yield (
            f"{len(self.ideal.closings)} workers per request; ideal: {self.ideal.total:.4f} s "
            f"end to end, {self.ideal.first_token:.4f} s to the first"
        )
        yield f"token of the answer; clients ramp over {RAMP_SECONDS:g} s"
        yield ""
        yield "                 end to end / ideal  first token [s]  CPU per   requests"
        yield "clients program     median      p95  median     p95  request  (discarded)"
        for product, floor in self._pairs():
            yield from (_line(product), _line(floor), *_comparison(product, floor), "")
        yield from self.notes

    def plot(self) -> str:
        """Return end to end / ideal over the concurrency."""
        names = {"product": "the service", "floor": "bare floor"}
        return chart(
            "End to end, as a multiple of the ideal",
            "clients at the same time",
            "end to end / ideal (median)",
            [
                Series(label, [(r.concurrency, r.ratio_median) for r in self._of(program)])
                for program, label in names.items()
            ],
        )

    def _of(self, program: str) -> list[Row]:
        return [each for each in self.rows if each.program == program]

    def _pairs(self) -> Iterable[tuple[Row, Row]]:
        floors = {each.concurrency: each for each in self._of("floor")}
        return [(product, floors[product.concurrency]) for product in self._of("product")]


def _line(each: Row) -> str:
    head = f"{each.concurrency:7d} {each.program:8s}"
    if each.cpu_milliseconds is None:
        return (
            f"{head}  no valid batch: the simulator lagged {each.least_lag_seconds * 1000:.0f} ms "
            f"or more ({each.discarded})"
        )
    return (
        f"{head}{each.ratio_median:10.3f}{each.ratio_p95:9.3f}"
        f"{each.first_token_median:8.3f}{each.first_token_p95:8.3f}"
        f"{each.cpu_milliseconds:6.1f} ms{each.requests:6d} ({each.discarded})"
    )


def _comparison(product: Row, floor: Row) -> Iterable[str]:
    """Yield the product's medians as multiples of the floor's, if both have some."""
    pairs = (
        (product.ratio_median, floor.ratio_median),
        (product.first_token_median, floor.first_token_median),
        (product.cpu_milliseconds, floor.cpu_milliseconds),
    )
    total, first, cpu = (above / below if above and below else None for above, below in pairs)
    if total and first and cpu:
        yield f"{'':8s}{'x floor':8s}{total:10.3f}{'':9s}{first:8.3f}{'':8s}{cpu:6.2f}"
