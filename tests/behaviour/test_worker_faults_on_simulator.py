"""Every way in which the simulator can break a worker, all in one run: each costs its part."""

import re
from dataclasses import dataclass
from typing import Any

import pytest

from plans import part
from simulated import INSTANT, Simulated, delegating
from stage import HAIKU, SONNET, Seen

TEAMS = {"brisk": "[timeouts]\ncoordination = 2\n"}
WIDE = {"MAX_SUBTASKS": "30", "MAX_CONCURRENT_WORKERS": "30"}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS, **WIDE)]

FAILED = "the model provider failed"
OVERLOADED = "the model provider is overloaded"
BROKE_OFF = "its answer broke off"
ONCE, THRICE, BOTH, BOTH_THRICE = (1, 0), (3, 0), (1, 1), (3, 3)
"""Attempts on haiku and on sonnet."""


@dataclass(frozen=True)
class Case:
    fault: dict[str, Any]
    outcome: str
    reason: str | None
    attempts: tuple[int, int]


def failed(reason: str, attempts: tuple[int, int], kind: str, **fault: Any) -> Case:
    return Case({"kind": kind, **fault}, "failed", reason, attempts)


CASES: dict[str, Case] = {
    "Status 500": failed(FAILED, BOTH_THRICE, "status", status=500),
    "Status 529": failed(OVERLOADED, BOTH_THRICE, "status", status=529),
    "Status 400": failed("the model provider refuses the request", BOTH, "status", status=400),
    "Status 401": failed(
        "the model provider refuses this service's key", ONCE, "status", status=401
    ),
    "A page for an error": failed(FAILED, BOTH_THRICE, "plain_error", status=502),
    "A page for an answer": failed(BROKE_OFF, BOTH_THRICE, "html"),
    "Empty text": failed("empty answer", BOTH, "empty"),
    "A refusal": failed("the model declined it", ONCE, "refusal"),
    "A late refusal": failed("the model declined it", ONCE, "refusal", after_deltas=3),
    "A cut": failed(BROKE_OFF, BOTH, "cut", after_deltas=3),
    "An early cut": failed(BROKE_OFF, BOTH_THRICE, "cut"),
    "A clean end": failed(BROKE_OFF, BOTH, "truncate", after_deltas=3),
    "An error event": failed(OVERLOADED, BOTH, "error_event", after_deltas=3),
    "An early error event": failed(OVERLOADED, BOTH_THRICE, "error_event"),
    "Garbage": failed(FAILED, BOTH, "garbage", after_deltas=3),
    "Early garbage": failed(FAILED, BOTH_THRICE, "garbage"),
    "Binary": failed(BROKE_OFF, BOTH, "binary", after_deltas=3),
    "Token limit": Case({"kind": "max_tokens", "after_deltas": 3}, "succeeded", None, ONCE),
    "A hang": Case({"kind": "hang"}, "timed_out", "not done after 2 s", ONCE),
    "A stall": Case(
        {"kind": "stall", "after_deltas": 3}, "timed_out", "not done after 2 s", ONCE
    ),
}  # fmt: skip
GOOD = ["Good one", "Good two"]


def faults(names: list[str]) -> list[dict[str, Any]]:
    return [
        {"when": {"role": "worker", "contains": f'"{name}"\nDo'}, "fault": CASES[name].fault}
        for name in names
    ]


async def play(simulated: Simulated, names: list[str]) -> Seen:
    """Run a plan of the good ones and these, each with its fault."""
    plan = [{**part(name), "id": f"s{at}"} for at, name in enumerate([*GOOD, *names])]
    await simulated.order(
        latencies=INSTANT,
        replies=[{"when": {"role": "lead"}, "reply": delegating({"subtasks": plan})}],
        faults=faults(names),
    )
    return await simulated.watch("brisk")


async def test_in_one_run_every_worker_may_fail_in_a_way_of_its_own(simulated: Simulated) -> None:
    seen = await play(simulated, list(CASES))
    expected = {name: (case.outcome, case.reason) for name, case in CASES.items()}
    assert seen.outcomes == dict.fromkeys(GOOD, ("succeeded", None)) | expected
    tried = {
        name: tuple([model for model, _ in seen.attempts(name)].count(m) for m in (HAIKU, SONNET))
        for name in CASES
    }
    assert tried == {name: case.attempts for name, case in CASES.items()}
    for name, case in CASES.items():
        assert case.reason is None or re.search(f"“{name}”[^“]*{case.reason}", seen.answer)
    assert seen.report["partial"] is True
    assert seen.report["phases"]["coordination_seconds"] == pytest.approx(2, abs=0.25)
    assert len(seen.report["agents"]) == len(await simulated.calls())


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].outcome == "failed"])
async def test_alone_each_way_to_fail_ends_the_run_as_soon_as_it_has_failed(
    simulated: Simulated, name: str
) -> None:
    seen = await play(simulated, [name])
    assert seen.outcomes[name] == ("failed", CASES[name].reason)
    assert seen.report["phases"]["coordination_seconds"] < 1.5
    assert "(simulated)" in seen.answer
    calls, agents = await simulated.calls(), seen.report["agents"]
    assert len(calls) == len(agents) == 4 + sum(CASES[name].attempts)
    told = sum((call["usage"] or {}).get("input_tokens", 0) for call in calls)
    assert sum(agent["input_tokens"] for agent in agents) == told
    assert seen.usage["completion_tokens"] == sum(agent["output_tokens"] for agent in agents)
