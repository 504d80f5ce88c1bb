"""The figures of `cache.py`: from the tokens of each call to prices, a table, claims and a plot."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from genai_prices import Usage, calc_price

from command import machine, today
from plots import Series, chart
from rounds import discarded

PRICED_MODEL = "claude-haiku-5-5"
MOST_OF_UNCACHED = 0.30
"""Largest price of a prefix of 20k tokens with 8 workers, relative to uncached."""
CLAIMED = (20_000, 8)
RUNS = 1000
"""That the plot's prices are about."""
SLOWEST = 1.02
"""Largest end to end with sharing / without."""


@cache
def usd_per_token(kind: str, prompt_tokens: int) -> float:
    """Return the price of an input token of a call with so many; `kind` is input_tokens,
    cache_write_tokens or cache_read_tokens.
    """
    tokens = {"input_tokens": prompt_tokens, kind: prompt_tokens}
    price = calc_price(Usage(**tokens), PRICED_MODEL, provider_id="anthropic")
    return float(price.total_price) / prompt_tokens


@dataclass(frozen=True, slots=True)
class Cell:
    """The prefix of one request."""

    prefix: int
    """Tokens of the conversation, as wanted."""
    workers: int
    warm_ups: int
    prefix_tokens: int
    """Tokens that were shared, the workers' role included. 0: nothing was."""
    written_tokens: int
    """By all calls together."""
    read_tokens: int
    price_usd: float
    """Of the prefix over all calls, warm-up included."""
    uncached_usd: float
    """The same, had every worker paid the whole prefix."""

    @classmethod
    def of(
        cls, prefix: int, workers: Sequence[Mapping[str, int]], warmed: Sequence[Mapping[str, int]]
    ) -> "Cell":
        """Return the figures of a request by its calls' `usage`."""
        calls = [*warmed, *workers]
        shared = max(_written(usage) + _read(usage) for usage in calls)
        return cls(
            prefix,
            len(workers),
            len(warmed),
            shared,
            sum(map(_written, calls)),
            sum(map(_read, calls)),
            sum(_price(usage, shared) for usage in calls),
            sum(shared * usd_per_token("input_tokens", _prompt(usage)) for usage in workers),
        )

    @property
    def share(self) -> float | None:
        """Price relative to uncached. None: nothing was shared."""
        return self.price_usd / self.uncached_usd if self.uncached_usd else None


def _written(usage: Mapping[str, int]) -> int:
    return usage["cache_creation_input_tokens"]


def _read(usage: Mapping[str, int]) -> int:
    return usage["cache_read_input_tokens"]


def _prompt(usage: Mapping[str, int]) -> int:
    return usage["input_tokens"] + _written(usage) + _read(usage)


def _price(usage: Mapping[str, int], shared: int) -> float:
    """Return the price of a call's part of the prefix, in USD."""
    written, read, prompt = _written(usage), _read(usage), _prompt(usage)
    return (
        written * usd_per_token("cache_write_tokens", prompt)
        + read * usd_per_token("cache_read_tokens", prompt)
        + max(0, shared - written - read) * usd_per_token("input_tokens", prompt)
    )


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one run."""

    cells: tuple[Cell, ...]
    shared_seconds: float | None
    """Median end to end with sharing. None: nothing valid was measured."""
    unshared_seconds: float | None
    direct_extra_calls: int
    """Calls that a direct answer made beside the lead's."""
    notes: tuple[str, ...]
    date: str = field(default_factory=today)
    machine: str = field(default_factory=machine)

    @classmethod
    def of(
        cls,
        *,
        cells: Sequence[Cell],
        seconds: tuple[float | None, float | None],
        direct_extra_calls: int,
        discarded_rounds: int,
        valid_rounds: int,
    ) -> "Report":
        """Return the report about these rounds."""
        note = discarded(discarded_rounds, discarded_rounds + valid_rounds)
        return cls(tuple(cells), *seconds, direct_extra_calls, (note,))

    @property
    def slowdown(self) -> float | None:
        """End to end with sharing / without."""
        if not self.shared_seconds or not self.unshared_seconds:
            return None
        return self.shared_seconds / self.unshared_seconds

    def to_json(self) -> dict[str, Any]:
        """Return everything, unrounded."""
        shares = [{**asdict(cell), "share": cell.share} for cell in self.cells]
        return {**asdict(self), "cells": shares, "slowdown": self.slowdown}

    def missed(self) -> list[str]:
        """Return the claims that the figures do not bear out, or leave open."""
        found: list[str] = []
        share = self._shares().get(CLAIMED)
        if share is None or share > MOST_OF_UNCACHED:
            found.append(f"{CLAIMED}: {share} of the uncached price, limit {MOST_OF_UNCACHED}")
        if self.slowdown is None or self.slowdown > SLOWEST:
            found.append(f"end to end: {self.slowdown} of that without sharing, limit {SLOWEST}")
        if self.direct_extra_calls:
            found.append(f"a direct answer made {self.direct_extra_calls} more calls")
        return found

    def lines(self) -> Iterable[str]:
        """Yield the report as text, at most 80 columns wide."""
        counts = sorted({cell.workers for cell in self.cells})
        yield f"What a shared prefix costs, {self.date}, {self.machine}"
        yield f"relative to the same tokens uncached, at the prices of {PRICED_MODEL}"
        yield ""
        yield "conversation   workers"
        yield "[tokens]    " + "".join(f"{each:8}" for each in counts)
        shares = self._shares()
        for prefix in sorted({cell.prefix for cell in self.cells}):
            row = (_number(shares.get((prefix, workers))) for workers in counts)
            yield f"{prefix:8}    " + "".join(f"{each:>8}" for each in row)
        yield ""
        yield from self._sentences()
        yield from self.notes

    def _sentences(self) -> Iterable[str]:
        for cell in self.cells:
            if (cell.prefix, cell.workers) == CLAIMED and cell.share:
                yield (
                    f"{cell.prefix} tokens, {cell.workers} workers: {cell.price_usd:.5f} USD "
                    f"instead of {cell.uncached_usd:.5f} USD."
                )
        if self.slowdown:
            yield (
                f"End to end with {CLAIMED[0]} tokens and {CLAIMED[1]} workers: "
                f"{self.shared_seconds:.3f} s, not shared {self.unshared_seconds:.3f} s\n"
                f"({self.slowdown:.3f} of it)."
            )
        yield f"Calls of a direct answer beside the lead's: {self.direct_extra_calls}."

    def _shares(self) -> dict[tuple[int, int], float | None]:
        return {(cell.prefix, cell.workers): cell.share for cell in self.cells}

    def plot(self) -> str:
        """Return the prices of one prefix over the number of workers."""
        prefixes = {cell.prefix for cell in self.cells}
        prefix = CLAIMED[0] if CLAIMED[0] in prefixes else min(prefixes, default=0)
        cells = [cell for cell in self.cells if cell.prefix == prefix]
        return chart(
            f"Price of the {prefix:,} tokens that all workers read",
            "workers",
            f"USD per {RUNS:,} runs",
            [
                Series(
                    "each worker pays them", [(c.workers, c.uncached_usd * RUNS) for c in cells]
                ),
                Series("shared by the cache", [(c.workers, c.price_usd * RUNS) for c in cells]),
            ],
        )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
