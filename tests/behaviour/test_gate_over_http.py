"""Every rule of the gate as a caller and the workers meet it: what was planned, who was sent, what
was said about the rest.
"""

import asyncio

import pytest

from chat import QUESTION
from dumb_upstream import DumbUpstream, Reply, Status
from gate_cases import CASES, LIMITS, NO_PLANS, TEAMS, Worker, worker
from plans import entry, working
from stage import Seen, Stage
from worker_turns import turn

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS, **LIMITS)]


@pytest.fixture
def stage(stage: Stage) -> Stage:
    working(stage.upstream)
    return stage


def sent(upstream: DumbUpstream, seen: Seen) -> list[Worker]:
    """Return the workers that have come, in plan order, as the table has them."""
    calls = {turn(call).id: call for call in upstream.calls_of("worker")}
    assert len(calls) == len(upstream.calls_of("worker"))
    planned = {event["subtask_id"]: event for event in seen.events_of("subtask_planned")}
    assert planned.keys() == calls.keys()
    return [
        Worker(
            id=name,
            title=turn(calls[name]).title,
            instructions=turn(calls[name]).instructions,
            model=calls[name].body["model"],
            after=tuple(event["depends_on"]),
            type=event["type"],
        )
        for name, event in planned.items()
    ]


@pytest.mark.parametrize("name", CASES)
async def test_a_plan_is_taken_repaired_or_cut_and_the_answer_says_what_it_lacks(
    stage: Stage, name: str
) -> None:
    case = CASES[name]
    stage.upstream.answer("lead", Reply(plan_json=case.plan_json))
    seen = await stage.watch(case.model)
    assert sent(stage.upstream, seen) == case.workers
    assert seen.repairs == case.reasons
    assert seen.report["partial"] == (case.missing is not None)
    assert seen.report["omissions"] == ([case.missing] if case.missing else [])
    note = f"\n\nMissing from this answer: {case.missing}." if case.missing else ""
    assert seen.answer == f"the answer{note}"
    (synthesizer,) = stage.upstream.calls_of("synthesizer")
    assert (case.missing or "") in synthesizer.last_text
    assert len(stage.upstream.calls_of("lead")) == 1


@pytest.mark.parametrize("name", NO_PLANS)
async def test_a_lead_that_plans_nothing_usable_is_told_why_and_asked_once_more(
    stage: Stage, name: str
) -> None:
    plan_json, reasons = NO_PLANS[name]
    again = Reply(plan=[entry("a"), entry("b")])
    stage.upstream.answer("lead", Reply(plan_json=plan_json), again)
    seen = await stage.watch()
    assert sent(stage.upstream, seen) == [worker("a"), worker("b")]
    assert seen.repairs == reasons
    assert seen.report["partial"] is False
    first, second = stage.upstream.calls_of("lead")
    assert (first.purpose, second.purpose) == ("", "repair")
    assert all(reason in second.last_text for reason in reasons)


@pytest.mark.parametrize("again", [Reply(plan=[]), Reply(text="No."), Status(400)])
@pytest.mark.parametrize("name", NO_PLANS)
async def test_a_request_that_cannot_be_planned_is_one_workers_own(
    stage: Stage, name: str, again: Reply | Status
) -> None:
    plan_json, reasons = NO_PLANS[name]
    stage.upstream.answer("lead", Reply(plan_json=plan_json), again)
    seen = await stage.watch()
    assert sent(stage.upstream, seen) == [Worker("s1", QUESTION, QUESTION)]
    assert seen.repairs == [*reasons, "no usable subtask; the request itself is one"]
    assert (seen.answer, seen.report["partial"]) == ("done", False)
    assert len(stage.upstream.calls_of("lead")) == 2
    assert stage.upstream.calls_of("synthesizer") == []


async def test_of_a_plan_with_one_usable_entry_the_worker_answers_and_the_rest_is_named(
    stage: Stage,
) -> None:
    plan_json = '{"subtasks": [{"id": "x" "title": 1}, {"id": "a", "title": "T a"}]}'
    stage.upstream.answer("lead", Reply(plan_json=plan_json))
    seen = await stage.watch()
    assert sent(stage.upstream, seen) == [Worker("a", "T a", "T a")]
    assert seen.report["partial"] is True
    assert seen.answer == "done\n\nMissing from this answer: 1 planned part that was dropped."


async def test_a_lead_is_not_heard_out_once_its_plan_is_far_too_long(stage: Stage) -> None:
    plan = [entry(f"s{number}") for number in range(100)]
    never = asyncio.Event()
    stage.upstream.answer("lead", Reply(plan=plan, piece=200, hold_after_pieces=(10, never)))
    seen = await stage.watch()
    assert len(sent(stage.upstream, seen)) == 4
    (lead,) = stage.upstream.calls_of("lead")
    async with asyncio.timeout(5):
        await lead.client_left.wait()
    assert [it["outcome"] for it in seen.report["agents"] if it["role"] == "lead"] == ["cancelled"]
