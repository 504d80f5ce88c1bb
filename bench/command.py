"""What the benchmarks' command lines have in common: their options, their end, their exit code."""

import argparse
import asyncio
import os
import platform
import signal
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import orjson
import uvloop


class Report(Protocol):
    """All figures of one run."""

    def lines(self) -> Iterable[str]:
        """Yield the report as text, at most 80 columns wide."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return everything, unrounded."""
        ...

    def missed(self) -> list[str]:
        """Return the claims that the figures do not bear out, or leave open."""
        ...

    def plot(self) -> str:
        """Return the figures as SVG."""
        ...


def today() -> str:
    """Return the present minute, for a report's head."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def machine() -> str:
    """Return what the report was made on."""
    return f"{os.cpu_count()} CPUs, Python {platform.python_version()}"


def numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of an option such as 1,20."""
    return tuple(int(number) for number in text.split(","))


def parser(
    description: str, *, repeat: int, unit: str, minutes: float | None = 4.5
) -> argparse.ArgumentParser:
    """Return a parser of the options that all benchmarks have.

    Args:
        description: What is measured.
        repeat: How often by default.
        unit: What is repeated.
        minutes: See `Repeats.by`. None: there is no such option.
    """
    found = argparse.ArgumentParser(description=description)
    if minutes is not None:
        after = f"after so many, no {unit} beyond the first valid one"
        found.add_argument("--minutes", type=float, default=minutes, help=after)
    found.set_defaults(started=monotonic())
    found.add_argument("--repeat", type=int, default=repeat, help=f"valid {unit} wanted")
    found.add_argument("--attempts", type=int, default=3, help=f"{unit} per valid one, at most")
    found.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    found.add_argument("--plot", type=Path, metavar="FILE", help="draw the figures there (SVG)")
    found.add_argument("--check", action="store_true", help="exit 1 when a claim is missed")
    return found


def run(words: argparse.Namespace, measure: Callable[[], Awaitable[Report]]) -> int:
    """Measure, print and write what the options ask for; returns the exit code."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(_until_signal(measure))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    print("\n".join(found.lines()))
    if words.json:
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        words.json.write_bytes(orjson.dumps(found.to_json(), option=options))
    if words.plot:
        words.plot.write_text(found.plot(), "utf-8")
    missed = found.missed() if words.check else []
    for line in missed:
        print(f"FAILED: {line}")
    return 1 if missed else 0


async def _until_signal(measure: Callable[[], Awaitable[Report]]) -> Report:
    # SIGTERM as Ctrl-C: the blocks are left, which ends the processes.
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await measure()
