"""Repeating a measurement until it counts: a round in which the simulator was late is discarded."""

import argparse
import statistics
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Generic, TypeVar

from upstream import MAX_LAG_SECONDS, Record, Upstream, lag_seconds

Played = TypeVar("Played")
Found = TypeVar("Found")


@dataclass(slots=True)
class Rounds(Generic[Found]):
    """The rounds of one measurement."""

    found: list[Found] = field(default_factory=list[Found])
    """Of the valid ones."""
    discarded: int = 0


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often something is measured."""

    valid: int
    """Rounds wanted."""
    attempts: int
    """Rounds spent at most per valid one wanted."""
    by: float
    """Instant on the monotonic clock from which on one valid round is enough, or the attempts
    for one.
    """

    @classmethod
    def of(cls, words: argparse.Namespace, valid: int) -> "Repeats":
        """Return what the command line's words say, for so many valid rounds."""
        return cls(valid, words.attempts, words.started + words.minutes * 60)

    def spent(self, valid: int, played: int) -> bool:
        """Return whether so many rounds are enough, or all that may be played."""
        wanted = self.valid if monotonic() < self.by else 1
        return valid >= wanted or played >= wanted * self.attempts


async def rounds(
    upstream: Upstream,
    what: str,
    repeats: Repeats,
    play: Callable[[int], Awaitable[Played]],
    read: Callable[[Played, Record], Found],
) -> Rounds[Found]:
    """Play rounds until enough are valid, or all attempts are spent.

    Args:
        upstream: Keeps the record.
        what: For the progress on standard error.
        repeats: How many.
        play: Plays the round of that number, from 1; a discarded one is played again.
        read: Returns what was found in a valid round, from what was played and the record.
    """
    done: Rounds[Found] = Rounds()
    while not repeats.spent(len(done.found), len(done.found) + done.discarded):
        number = len(done.found) + 1
        await upstream.forget()
        played = await play(number)
        record = await upstream.record()
        lag = lag_seconds(record)
        valid = lag < MAX_LAG_SECONDS
        progress(f"{what}, round {number}: lag {lag * 1000:.1f} ms{'' if valid else ', discarded'}")
        if valid:
            done.found.append(read(played, record))
        else:
            done.discarded += 1
    return done


def progress(line: str) -> None:
    """Say on standard error how far it is."""
    print(line, file=sys.stderr, flush=True)


def discarded(count: int, tried: int, unit: str = "rounds") -> str:
    """Return the sentence about what did not count."""
    return (
        f"{count} of {tried} {unit} were discarded because the simulator's own loop\n"
        f"lagged {MAX_LAG_SECONDS * 1000:.0f} ms or more."
    )


def median(values: Iterable[float]) -> float | None:
    """Return the median, None if there is no value."""
    found: Sequence[float] = list(values)
    return statistics.median(found) if found else None
