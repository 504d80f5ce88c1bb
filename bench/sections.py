"""When the answer begins if the results themselves are the answer.

Two teams get the same plan: one with `synthesis = "sections"`, where the first worker's stream goes
straight to the caller, one with `synthesis = "write"`, where a synthesizer writes after all workers
have ended. The lead writes 40 tokens per subtask at 80 tokens/s, a worker takes 1 s with its first
token after 0.2 s. The bound is scripted time alone: the instant at which the first subtask closes,
plus a worker's first token. First token means the first text of a worker (sections) or of the
synthesizer (write), not a heading. In a round both teams are asked at the same time. A round counts
only if the simulator's own loop lag stayed below 30 ms.

    .venv/bin/python bench/sections.py --check --json sections.json --plot docs/plots/sections.svg
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from command import machine, numbers, parser, run, today
from load import Received, Sample, body, sample, sample_of_parts
from plots import Series, chart
from processes import Program
from rounds import Repeats, Rounds, discarded, median, rounds
from stage import Stage, stage
from upstream import Record, calls_by_role
from workload import Speech, Workload, entry, steady

LIMIT = 1.05
"""Largest first token / bound that sections may show."""
TEAMS = ("sections", "write")
WORK = Speech(40, 0.2, 50.0)
MOST = 40


def plan(subtasks: int) -> Workload:
    """Return the workload of that many subtasks."""
    name = f"parts-{subtasks}"
    return steady(name, [entry(name, number, 40, WORK) for number in range(1, subtasks + 1)])


def bound(workload: Workload) -> float:
    """Return when the first worker's first token leaves, in seconds."""
    return workload.ideal().closings[0] + workload.entries[0].work.due(0)


def teams(directory: Path) -> Path:
    """Make a folder with the two teams; their prompts are those of the default team."""
    folder = directory / "prompts"
    for name in TEAMS:
        (folder / name).mkdir(parents=True)
        (folder / name / "team.toml").write_text(f'synthesis = "{name}"\n', "utf-8")
    return folder


@dataclass(frozen=True, slots=True)
class Took:
    """What one request took, in seconds."""

    team: str
    subtasks: int
    first_token: float
    end_to_end: float
    synthesizer_calls: int


@dataclass(frozen=True, slots=True)
class Row:
    """One team with one number of subtasks; medians in seconds, None: nothing valid measured."""

    team: str
    subtasks: int
    rounds: int
    bound: float
    first_token: float | None
    ratio: float | None
    """First token / bound."""
    end_to_end: float | None
    synthesizer_calls: int
    """In all valid rounds."""


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one run."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    date: str = field(default_factory=today)
    machine: str = field(default_factory=machine)

    def to_json(self) -> dict[str, Any]:
        """Return everything, unrounded."""
        return asdict(self)

    def missed(self) -> list[str]:
        """Return the claims that the figures do not bear out, or leave open."""
        found: list[str] = []
        for row in self.rows:
            if row.team != "sections":
                continue
            if row.ratio is None or row.ratio > LIMIT:
                found.append(f"{row.subtasks} subtasks: {row.ratio} of the bound, limit {LIMIT}")
            if row.synthesizer_calls:
                found.append(f"{row.subtasks} subtasks: {row.synthesizer_calls} synthesizer calls")
        return found

    def lines(self) -> Iterable[str]:
        """Yield the report as text, at most 80 columns wide."""
        yield f"When the answer begins, {self.date}, {self.machine}"
        yield "40 tokens per planned subtask at 80 tokens/s; workers 1 s"
        yield ""
        yield "                     first token [s]             answer      synthesizer"
        yield "subtasks synthesis    median   bound   ratio   complete [s]     calls"
        for row in self.rows:
            first, ratio, total = (
                "-" if t is None else f"{t:.3f}"
                for t in (row.first_token, row.ratio, row.end_to_end)
            )
            yield (
                f"{row.subtasks:8} {row.team:10}{first:>9}{row.bound:>8.3f}{ratio:>8}"
                f"{total:>15}{row.synthesizer_calls:>10}"
            )
        yield ""
        yield from self.notes

    def plot(self) -> str:
        """Return the time to the first token over the number of subtasks."""
        labels = {
            "write": "a synthesizer writes the answer",
            "sections": "results pass through as sections",
        }
        bounds = [(row.subtasks, row.bound) for row in self.rows if row.team == "sections"]
        return chart(
            "When the answer begins",
            "subtasks in the plan",
            "first token [s]",
            [
                *(
                    Series(
                        label, [(r.subtasks, r.first_token) for r in self.rows if r.team == team]
                    )
                    for team, label in labels.items()
                ),
                Series("bound by the script", bounds, reference=True),
            ],
            log_x=True,
        )


async def report(words: argparse.Namespace) -> Report:
    """Run the whole benchmark."""
    repeats = Repeats.of(words, words.repeat)
    async with stage() as programs:
        settings = {"PROMPTS_DIR": teams(programs.directory)}
        caps = {"MAX_SUBTASKS": MOST, "MAX_CONCURRENT_WORKERS": MOST}
        product = await programs.service({**settings, **caps})
        done = [await measure(programs, product, plan(n), repeats) for n in words.subtasks]
    took = [each for rounds in done for found in rounds.found for each in found]
    bad = sum(rounds.discarded for rounds in done)
    tried = bad + sum(len(rounds.found) for rounds in done)
    rows = [_row(took, team, plan(n)) for n in words.subtasks for team in TEAMS]
    return Report(tuple(rows), (discarded(bad, tried),))


async def measure(
    programs: Stage, product: Program, workload: Workload, repeats: Repeats
) -> Rounds[list[Took]]:
    """Play the rounds of one plan."""
    await programs.upstream.order([workload], record_bodies=True)

    async def play(_: int) -> list[Received]:
        return await programs.ask_all(
            [(product, body(workload.question(team), team)) for team in TEAMS]
        )

    def read(played: list[Received], record: Record) -> list[Took]:
        pairs = zip(TEAMS, played, strict=True)
        return [_took(team, workload, received, record) for team, received in pairs]

    what = f"{len(workload.entries)} subtasks"
    return await rounds(programs.upstream, what, repeats, play, read)


def _took(team: str, workload: Workload, received: Received, record: Record) -> Took:
    found = _sample(team, workload, received)
    calls = calls_by_role(record, workload, team)["synthesizer"]
    return Took(team, len(workload.entries), found.first_token, found.total, len(calls))


def _sample(team: str, workload: Workload, received: Received) -> Sample:
    if team == "write":
        return sample(received, workload.answer)
    # A result's own blanks at its ends are no part of the section.
    findings = [workload.finding(each).strip() for each in workload.entries]
    return sample_of_parts(received, findings)


def _row(took: Iterable[Took], team: str, workload: Workload) -> Row:
    subtasks = len(workload.entries)
    own = [each for each in took if (each.team, each.subtasks) == (team, subtasks)]
    first, least = median(each.first_token for each in own), bound(workload)
    return Row(
        team,
        subtasks,
        len(own),
        least,
        first,
        None if first is None else first / least,
        median(each.end_to_end for each in own),
        sum(each.synthesizer_calls for each in own),
    )


def main() -> int:
    """Run as a command; returns the exit code."""
    found = parser("Measure when an answer in sections begins.", repeat=5, unit="rounds")
    found.add_argument("--subtasks", type=numbers, default=(2, 4, 8, 16), metavar="2,4,8,16")
    words = found.parse_args()
    return run(words, lambda: report(words))


if __name__ == "__main__":
    sys.exit(main())
