"""The rules of the gate once more on the simulator, which streams the lead's plan token by token
and writes workers' texts and the answer itself.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from gate_cases import CASES, LIMITS, NO_PLANS, QUESTION, TEAMS, Worker, worker
from orchestrator_worker.simulator import EmbeddedSimulator
from stage import Seen, served, turn_of, watch

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_ONCE = {"first_token_seconds": 0, "tokens_per_second": 0}
INSTANT = dict.fromkeys(("haiku", "sonnet", "default"), AT_ONCE)


@dataclass
class Scene:
    """The service and the control of its simulator."""

    http: httpx2.AsyncClient
    control: httpx2.AsyncClient

    async def plans(self, *inputs: Any) -> None:
        """Let the lead delegate with these inputs, the second when it is asked again."""
        first, *again = [{"tool": {"name": "delegate", "input": it}} for it in inputs]
        asked_again = {"role": "lead", "header": {"x-orchestrator-purpose": "repair"}}
        replies = [{"when": asked_again, "reply": reply} for reply in again]
        replies.append({"when": {"role": "lead"}, "reply": first})
        script = {"latencies": INSTANT, "replies": replies}
        response = await self.control.put("/_simulator/script", json=script)
        assert response.status_code == 200, response.text
        await self.control.delete("/_simulator/calls")

    async def calls_of(self, role: str) -> list[dict[str, Any]]:
        calls = (await self.control.get("/_simulator/calls")).json()["calls"]
        messages = [call for call in calls if call["path"] == "/v1/messages"]
        return [call for call in messages if call["headers"]["x-orchestrator-role"] == role]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("gate")
    async with (
        EmbeddedSimulator() as simulator,
        served(folder, simulator.url, TEAMS, **LIMITS) as (_, http),
        httpx2.AsyncClient(base_url=simulator.url, trust_env=False) as control,
    ):
        yield Scene(http, control)


async def sent(scene: Scene, seen: Seen) -> list[Worker]:
    """Return the workers that have come, in plan order, as the table has them."""
    bodies = [call["body"] for call in await scene.calls_of("worker")]
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
    scene: Scene, name: str
) -> None:
    case = CASES[name]
    await scene.plans(case.plan if isinstance(case.plan, str) else {"subtasks": case.plan})
    seen = await watch(scene.http, model=case.model)
    assert await sent(scene, seen) == case.workers
    assert seen.repairs == case.reasons
    assert seen.report["partial"] == (case.missing is not None)
    assert (f"Missing from this answer: {case.missing}." in seen.answer) == bool(case.missing)
    assert "(simulated)" in seen.answer
    assert all(outcome == "succeeded" for outcome, _ in seen.outcomes.values())


@pytest.mark.parametrize("name", NO_PLANS)
async def test_a_plan_of_which_nothing_can_be_used_is_asked_for_once_more(
    scene: Scene, name: str
) -> None:
    plan_json, reasons = NO_PLANS[name]
    good = [{"id": name, "title": f"T {name}", "instructions": f"Do {name}."} for name in "ab"]
    await scene.plans(plan_json, {"subtasks": good})
    seen = await watch(scene.http)
    assert await sent(scene, seen) == [worker("a"), worker("b")]
    assert seen.repairs == reasons
    assert len(await scene.calls_of("lead")) == 2


@pytest.mark.parametrize("name", NO_PLANS)
async def test_a_request_that_cannot_be_planned_is_one_workers_own(scene: Scene, name: str) -> None:
    plan_json, reasons = NO_PLANS[name]
    await scene.plans(plan_json, plan_json)
    seen = await watch(scene.http)
    assert await sent(scene, seen) == [Worker("s1", QUESTION, QUESTION)]
    assert seen.repairs[-1] == "no usable subtask; the request itself is one"
    assert seen.repairs[: len(reasons)] == reasons
    assert "(simulated)" in seen.answer
