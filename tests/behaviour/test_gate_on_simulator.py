"""The rules of the gate once more on the simulator, which streams the lead's plan token by token
and writes workers' texts and the answer itself.
"""

from typing import Any

import pytest

from chat import QUESTION
from gate_cases import CASES, LIMITS, NO_PLANS, TEAMS, Worker, worker
from plans import entry
from simulated import INSTANT, Simulated, delegating
from stage import Seen
from worker_turns import turn_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS, **LIMITS)]


async def plans(simulated: Simulated, *inputs: Any) -> None:
    """Let the lead delegate with these inputs, the second when it is asked again."""
    first, *again = map(delegating, inputs)
    asked_again = {"role": "lead", "header": {"x-orchestrator-purpose": "repair"}}
    replies = [{"when": asked_again, "reply": reply} for reply in again]
    replies.append({"when": {"role": "lead"}, "reply": first})
    await simulated.order(latencies=INSTANT, replies=replies)


async def sent(simulated: Simulated, seen: Seen) -> list[Worker]:
    """Return the workers that have come, in plan order, as the table has them."""
    bodies = [call["body"] for call in await simulated.calls("worker")]
    told = [(turn_of(body["messages"][-1]["content"][-1]["text"]), body) for body in bodies]
    by_id = {turn.id: (turn, body["model"]) for turn, body in told}
    assert len(by_id) == len(bodies)
    return [
        Worker(
            id=event["subtask_id"],
            title=by_id[event["subtask_id"]][0].title,
            instructions=by_id[event["subtask_id"]][0].instructions,
            model=by_id[event["subtask_id"]][1],
            after=tuple(event["depends_on"]),
            type=event["type"],
        )
        for event in seen.events_of("subtask_planned")
    ]


@pytest.mark.parametrize("name", CASES)
async def test_a_plan_is_taken_repaired_or_cut_and_the_answer_says_what_it_lacks(
    simulated: Simulated, name: str
) -> None:
    case = CASES[name]
    await plans(simulated, case.plan if isinstance(case.plan, str) else {"subtasks": case.plan})
    seen = await simulated.watch(case.model)
    assert await sent(simulated, seen) == case.workers
    assert seen.repairs == case.reasons
    assert seen.report["partial"] == (case.missing is not None)
    assert (f"Missing from this answer: {case.missing}." in seen.answer) == bool(case.missing)
    assert "(simulated)" in seen.answer
    assert all(outcome == "succeeded" for outcome, _ in seen.outcomes.values())


@pytest.mark.parametrize("name", NO_PLANS)
async def test_a_plan_of_which_nothing_can_be_used_is_asked_for_once_more(
    simulated: Simulated, name: str
) -> None:
    plan_json, reasons = NO_PLANS[name]
    good = [entry("a"), entry("b")]
    await plans(simulated, plan_json, {"subtasks": good})
    seen = await simulated.watch()
    assert await sent(simulated, seen) == [worker("a"), worker("b")]
    assert seen.repairs == reasons
    assert len(await simulated.calls("lead")) == 2


@pytest.mark.parametrize("name", NO_PLANS)
async def test_a_request_that_cannot_be_planned_is_one_workers_own(
    simulated: Simulated, name: str
) -> None:
    plan_json, reasons = NO_PLANS[name]
    await plans(simulated, plan_json, plan_json)
    seen = await simulated.watch()
    assert await sent(simulated, seen) == [Worker("s1", QUESTION, QUESTION)]
    assert seen.repairs[-1] == "no usable subtask; the request itself is one"
    assert seen.repairs[: len(reasons)] == reasons
    assert "(simulated)" in seen.answer
