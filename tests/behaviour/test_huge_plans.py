"""Plans far beyond what anybody would write: the service answers in the time of an ordinary plan,
give or take, and stays healthy.
"""

import json
from time import perf_counter
from typing import Any

import pytest

from dumb_upstream import Reply
from gate_cases import LIMITS
from plans import entry, plan_json, working
from stage import Seen, Stage

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served({}, **LIMITS)]

PIECE = 64 * 1024
MEGABYTE = 1_000_000
DEPTH = 100_000
MOST_TIMES = 150
"""As long as an ordinary plan; anything quadratic would be thousands of times as long."""
GOOD = [entry("a"), entry("b")]


def plan(*entries: Any) -> str:
    return plan_json(*entries, *GOOD)


def raw_plan(bad: str) -> str:
    return f'{{"subtasks": [{bad}, {json.dumps(GOOD)[1:]}}}'


PLANS: dict[str, tuple[str, int, str | None]] = {
    # The tool's input, the workers that run, and what the answer says is missing.
    "10,000 subtasks": (
        plan_json(*[entry(f"s{number}") for number in range(10_000)]),
        4,
        "what was planned beyond the first 4 parts",
    ),
    "10,000 subtasks, all the same": (
        plan_json(*[entry()] * 10_000),
        4,
        "what was planned beyond the first 4 parts",
    ),
    "10,000 entries that are none": (
        raw_plan(", ".join(["1"] * 10_000)), 2, None
    ),
    "10,000 entries that are not JSON": (
        raw_plan(", ".join(["{1}"] * 10_000)), 2, "10000 planned parts that were dropped"
    ),
    "10,000 items": (
        plan_json(entry(for_each=[f"item {n}" for n in range(10_000)])),
        6,
        "9994 planned parts that were dropped",
    ),
    "10,000 dependencies": (
        plan(entry("c", depends_on=[f"s{n}" for n in range(10_000)])), 3, None
    ),
    "texts of a megabyte": (
        plan(dict.fromkeys(["id", "title", "instructions", "type"], "x y " * (MEGABYTE // 4))),
        3,
        None,
    ),
    "escapes of a megabyte": (
        plan(entry("c", instructions="\n\u00e9\U0001f642" * (MEGABYTE // 20))), 3, None
    ),
    "an item of a megabyte": (
        plan(entry("c", instructions="{{item}}" * 1000, for_each=["x" * MEGABYTE, "y"])), 4, None
    ),
    "a megabyte of spaces": (raw_plan(" " * MEGABYTE + json.dumps(entry("c"))), 3, None),
    "a megabyte before the plan": (
        f'{{"x": "{"y" * MEGABYTE}", {plan(entry("c"))[1:]}', 3, None
    ),
    "100,000 brackets in a title": (
        raw_plan(f'{{"id": "c", "title": {"[" * DEPTH}{"]" * DEPTH}}}'),
        2,
        "1 planned part that was dropped",
    ),
    "100,000 brackets for an entry": (
        raw_plan("[" * DEPTH + "]" * DEPTH), 2, "1 planned part that was dropped"
    ),
    "100,000 objects in each other": (
        raw_plan('{"a":' * DEPTH + "1" + "}" * DEPTH), 2, "1 planned part that was dropped"
    ),
    "100,000 brackets before the plan": (
        f'{{"x": {"[" * DEPTH}{"]" * DEPTH}, {plan(entry("c"))[1:]}', 3, None
    ),
}  # fmt: skip

USELESS: dict[str, str] = {
    "100,000 brackets": "[" * DEPTH,
    "100,000 closing brackets": "]}" * DEPTH,
    "a megabyte of one text": '{"subtasks": [{"title": "' + "x" * MEGABYTE,
    "a megabyte of quotes": '"' * MEGABYTE,
    "a megabyte of backslashes": '{"subtasks": ["' + "\\" * MEGABYTE,
    "a megabyte of words": "subtasks: [ " * (MEGABYTE // 12),
}
"""Nothing in them can be used, however long one reads."""


async def watched(stage: Stage, *inputs: str) -> tuple[float, Seen]:
    """Return the seconds that a run took, and the run."""
    stage.upstream.forget()
    stage.upstream.answer("lead", *[Reply(plan_json=text, piece=PIECE) for text in inputs])
    working(stage.upstream)
    began = perf_counter()
    seen = await stage.watch()
    return perf_counter() - began, seen


async def ordinary(stage: Stage, *inputs: str) -> float:
    return min([(await watched(stage, *(inputs or (plan(),))))[0] for _ in range(3)])


async def assert_healthy(stage: Stage) -> None:
    assert (await stage.http.get("/health/")).status_code == 200
    assert (await stage.http.get("/health/ready")).status_code == 200
    _, seen = await watched(stage, plan())
    assert seen.answer == "the answer"


@pytest.mark.parametrize("name", PLANS)
async def test_a_huge_plan_takes_little_longer_than_an_ordinary_one(
    stage: Stage, name: str
) -> None:
    usual = await ordinary(stage)
    text, workers, missing = PLANS[name]
    seconds, seen = await watched(stage, text)
    assert len(stage.upstream.calls_of("worker")) == workers
    note = f"\n\nMissing from this answer: {missing}." if missing else ""
    assert seen.answer == f"the answer{note}"
    assert len(json.dumps(seen.events)) < 30_000
    assert seconds < MOST_TIMES * usual
    await assert_healthy(stage)


@pytest.mark.parametrize("name", USELESS)
async def test_a_huge_plan_of_no_use_is_asked_for_again(stage: Stage, name: str) -> None:
    usual = await ordinary(stage, '{"subtasks": []}', plan())
    seconds, seen = await watched(stage, USELESS[name], plan())
    assert seen.answer == "the answer"
    assert seen.report["partial"] is False
    assert [call.purpose for call in stage.upstream.calls_of("lead")] == ["", "repair"]
    assert seconds < MOST_TIMES * usual
    await assert_healthy(stage)
