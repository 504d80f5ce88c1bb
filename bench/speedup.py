"""How much sooner the answer is complete because workers start while the plan is being written.

The same scripted plans are run by the service and by a bare program (`floor.py`) with three
policies: eager as the service, gather (all workers at once after the whole plan) and sequential
(one worker after the other after the whole plan). The lead writes 40 tokens per subtask at 80
tokens/s; a worker takes 1 s, or between 0.5 and 1.5 s in an order that is shuffled anew in each
round, the same for all programs. A diamond (b and c need a, d needs both) is held against its
longest path.

In a round all programs get the same plan at nearly the same time, in changing order, so that all
have the same disturbances. A round counts only if the simulator's own loop lag stayed below 30 ms.

    .venv/bin/python bench/speedup.py --check --json speedup.json --plot docs/plots/speedup.svg
"""

import argparse
import random
import sys
from collections.abc import Awaitable
from dataclasses import dataclass

from command import numbers, parser, run
from load import Received, body, sample
from processes import Program
from rounds import Repeats, Rounds, rounds
from speedup_figures import DIAMOND, SPREADS, Report, Took
from stage import Stage, stage
from upstream import Record, calls_by_role
from workload import Speech, Workload, entry, even, steady

CAP = 4
MOST = 40
"""Subtasks and workers at the same time that are never reached: no cap."""
CLAIMED = 8
"""Subtasks of the plans about which something is claimed."""
ORDERS = 1000
"""Orders of uneven workers that the arithmetic looks at."""
ENTRY_TOKENS = 40
PARALLEL = ("product", "eager", "gather")
WORKER_TOKENS_PER_SECOND = 50.0
FIRST_TOKEN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Case:
    """One request of a round: a program and what it is asked."""

    program: Program
    policy: str
    cap: int | None
    spread: str
    workload: Workload

    @property
    def asker(self) -> str:
        """Tells the calls of this request from all others of the round."""
        return f"{self.policy}-{self.cap}"


@dataclass(frozen=True, slots=True)
class Programs:
    """What runs, by policy and cap."""

    stage: Stage
    running: dict[tuple[str, int | None], Program]

    def cases(self, subtasks: int, number: int) -> list[Case]:
        """Return the requests of the round of that number."""
        found = [
            Case(program, policy, cap, spread, plan(spread, subtasks, number))
            for spread in SPREADS
            for (policy, cap), program in self.running.items()
            if policy in PARALLEL
        ]
        if subtasks == CLAIMED:
            product = self.running["product", None]
            found.append(Case(product, "product", None, DIAMOND, diamond()))
        return found[number % len(found) :] + found[: number % len(found)]

    def sequential(self, subtasks: tuple[int, ...], number: int) -> list[Case]:
        """Return the requests of a round of the policy for which caps are no matter."""
        program = self.running["sequential", None]
        return [
            Case(program, "sequential", None, spread, plan(spread, count, number))
            for count in subtasks
            for spread in SPREADS
        ]

    async def play(self, cases: list[Case]) -> list[tuple[Case, Received]]:
        """Send all requests, one shortly after the other."""
        await self.stage.upstream.order({case.workload for case in cases}, record_bodies=True)
        received = await self.stage.ask_all(
            [(case.program, body(case.workload.question(case.asker))) for case in cases]
        )
        return list(zip(cases, received, strict=True))


def plan(spread: str, subtasks: int, number: int) -> Workload:
    """Return the plan of that many subtasks for the round of that number."""
    seconds = [1.0] * subtasks
    if spread == "uneven":
        seconds = [0.5 + place / (subtasks - 1) for place in range(subtasks)]
        random.Random(number).shuffle(seconds)
    name = f"{spread}-{subtasks}"
    works = enumerate(map(_work, seconds), 1)
    return steady(name, [entry(name, place, ENTRY_TOKENS, work) for place, work in works])


def diamond() -> Workload:
    """Return a plan in which b and c need a, and d needs both."""
    needs = {1: (), 2: (1,), 3: (1,), 4: (2, 3)}
    return steady(
        "diamond",
        [
            entry("diamond", number, ENTRY_TOKENS, _work(1.0), depends_on=needed)
            for number, needed in needs.items()
        ],
    )


def eager_gains(subtasks: int) -> list[float]:
    """Return how much sooner than gather eager is by the script's arithmetic, without a cap, for
    many orders of uneven workers.
    """
    found: list[float] = []
    for number in range(1, ORDERS + 1):
        workload = plan("uneven", subtasks, number)
        slowest = max(entry.work.seconds for entry in workload.entries)
        gathered = workload.plan.seconds + slowest + workload.synthesis.seconds
        found.append(1 - workload.ideal().total / gathered)
    return found


def _work(seconds: float) -> Speech:
    tokens = round((seconds - FIRST_TOKEN_SECONDS) * WORKER_TOKENS_PER_SECOND)
    return Speech(tokens, FIRST_TOKEN_SECONDS, WORKER_TOKENS_PER_SECOND)


def took(case: Case, received: Received, record: Record) -> Took:
    """Return what one request took.

    Raises:
        ValueError: the answer or the number of calls is not as scripted.
    """
    workload = case.workload
    calls = calls_by_role(record, workload, case.asker)
    if sum(map(len, calls.values())) != workload.calls:
        raise ValueError(f"{case.asker} made {sum(map(len, calls.values()))} calls")
    (lead,) = calls["lead"]
    last = max(call["ended_at"] for call in calls["worker"]) - lead["arrived_at"]
    return Took(
        case.policy,
        case.cap,
        case.spread,
        len(workload.entries),
        end_to_end=sample(received, workload.answer).total,
        last_worker=last,
        longest_path=workload.ideal().total,
    )


def _took(played: list[tuple[Case, Received]], record: Record) -> list[Took]:
    return [took(case, received, record) for case, received in played]


async def measure(programs: Programs, words: argparse.Namespace) -> list[Rounds[list[Took]]]:
    """Play all rounds, those about which something is claimed first."""
    upstream, done = programs.stage.upstream, list[Rounds[list[Took]]]()
    for subtasks in sorted(words.subtasks, key=lambda count: (count != CLAIMED, count)):
        valid = words.repeat if subtasks == CLAIMED else (words.repeat + 1) // 2
        repeats = Repeats.of(words, valid)

        def play(number: int, subtasks: int = subtasks) -> Awaitable[list[tuple[Case, Received]]]:
            return programs.play(programs.cases(subtasks, number))

        done.append(await rounds(upstream, f"{subtasks} subtasks", repeats, play, _took))

    def play_one_by_one(number: int) -> Awaitable[list[tuple[Case, Received]]]:
        return programs.play(programs.sequential(words.subtasks, number))

    once = Repeats.of(words, 1)
    done.append(await rounds(upstream, "one by one", once, play_one_by_one, _took))
    return done


async def started(programs: Stage, words: argparse.Namespace) -> Programs:
    """Start all programs."""
    caps = {"MAX_SUBTASKS": MOST, "MAX_WORKERS_PER_RUN": MOST}
    running: dict[tuple[str, int | None], Program] = {}
    for cap in (None, CAP):
        settings = {**caps, "MAX_CONCURRENT_WORKERS": cap or MOST}
        running["product", cap] = await programs.service(settings, f"product-{cap}")
    questions = [
        plan(spread, subtasks, 1).question(f"{policy}-{cap}")
        for spread in SPREADS
        for subtasks in words.subtasks
        for policy in ("eager", "gather", "sequential")
        for cap in (None, CAP)
    ]
    templates = await programs.templates(running["product", None], even(5), questions)
    for policy in ("eager", "gather"):
        for cap in (None, CAP):
            name = f"{policy}-{cap}"
            running[policy, cap] = await programs.floor(templates, name, policy, cap)
    running["sequential", None] = await programs.floor(templates, "sequential", "sequential")
    return Programs(programs, running)


async def report(words: argparse.Namespace) -> Report:
    """Run the whole benchmark."""
    async with stage() as programs:
        done = await measure(await started(programs, words), words)
    return Report.of(done, {subtasks: eager_gains(subtasks) for subtasks in words.subtasks})


def main() -> int:
    """Run as a command; returns the exit code."""
    found = parser(
        "Measure what starting workers early is worth.", repeat=5, unit="rounds", minutes=3.5
    )
    found.add_argument("--subtasks", type=numbers, default=(2, 4, 8, 16, 32), metavar="2,4,8")
    words = found.parse_args()
    return run(words, lambda: report(words))


if __name__ == "__main__":
    sys.exit(main())
