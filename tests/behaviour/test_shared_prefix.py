"""What the workers of a run have in common is written to the prompt cache once, and read by all."""

import asyncio
import time
from typing import Any

import pytest

from cached_runs import MESSAGES, marked, prepared
from chat import ask
from dumb_upstream import DumbCall, Hang, Reply, Status, Warmed, Write
from listening import hung_up, listening, of_subtask
from orchestrator_worker.orchestration import prefix
from plans import plan_json, subtask
from stage import HAIKU, SONNET, Stage

LISTED = 'route = "fixed"\n' + "".join(
    f'[[subtasks]]\nid = "s{n}"\ntitle = "Part {n}"\n' for n in (1, 2, 3)
)
TEAMS = {
    "caching": "",
    "must": 'route = "always"',
    "in-text": 'plan_form = "text"',
    "elsewhere": '[worker]\nmodel = "llama-9"',
    "listed": LISTED,
    "listed-one": 'route = "fixed"\n[[subtasks]]\nid = "s1"\ntitle = "Part 1"',
}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS)]


@pytest.fixture
def stage(stage: Stage) -> Stage:
    return prepared(stage)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers wait long enough for a test to see who waits for whom."""
    monkeypatch.setattr(prefix, "MAX_WAIT_SECONDS", 5.0)


@pytest.mark.parametrize("team", ["caching", "must", "in-text"])
async def test_the_cache_is_warmed_as_the_plan_opens_with_what_all_workers_begin_with(
    stage: Stage, team: str
) -> None:
    upstream, rest = stage.upstream, asyncio.Event()
    plan = plan_json(subtask(1), subtask(2), subtask(3))
    held = (len('{"subtasks": [{"id"'), rest)
    as_tool = Reply(plan_json=plan, piece=1, hold_after_pieces=held)
    as_text = Reply(text=plan, piece=1, hold_after_pieces=held)
    upstream.answer("lead", as_tool if team == "caching" else as_text)
    asking = asyncio.create_task(stage.watch(team, messages=MESSAGES))
    await upstream.arrived(1, "warm-up")
    assert [call.role for call in upstream.calls] == ["lead", "warm-up"]
    rest.set()
    assert (await asking).answer == "the answer"
    (warm,) = upstream.calls_of("warm-up")
    assert warm.body["max_tokens"] == 0
    assert "stream" not in warm.body
    assert marked(warm) == ["All of them."]
    workers = upstream.calls_of("worker")
    assert len(workers) == 3
    for worker in workers:
        assert marked(worker) == ["All of them."]
        own = worker.body["messages"][-1]["content"].pop()
        assert "cache_control" not in own
        # Byte for byte the same up to the breakpoint; only then do they differ.
        for name in ("model", "system", "messages", "thinking", "output_config", "tools"):
            assert worker.body.get(name) == warm.body.get(name), name


async def nothing_to_share(stage: Stage) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Compare."}]}


async def a_direct_answer(stage: Stage) -> dict[str, Any]:
    stage.upstream.answer("lead", Reply(text="the answer"))
    return {}


async def a_model_that_caches_nothing(stage: Stage) -> dict[str, Any]:
    return {"model": "elsewhere"}


async def a_listed_plan_of_one(stage: Stage) -> dict[str, Any]:
    stage.upstream.answer("worker", Reply(text="the answer"))
    return {"model": "listed-one"}


@pytest.mark.parametrize(
    "case",
    [nothing_to_share, a_direct_answer, a_model_that_caches_nothing, a_listed_plan_of_one],
)
async def test_nothing_is_warmed_or_marked_where_it_does_not_pay(stage: Stage, case: Any) -> None:
    fields: dict[str, Any] = {"messages": MESSAGES, **await case(stage)}
    assert (await stage.watch(fields.pop("model", "caching"), **fields)).answer == "the answer"
    assert stage.upstream.calls_of("warm-up") == []
    assert [marked(call) for call in stage.upstream.calls_of("worker") if marked(call)] == []


async def test_nothing_is_warmed_when_only_the_plan_is_asked_for(stage: Stage) -> None:
    response = await ask(
        stage.http, model="caching", messages=MESSAGES, headers={"x-orchestration": "plan"}
    )
    assert response.status_code == 200
    assert [call.role for call in stage.upstream.calls] == ["lead"]


@pytest.mark.usefixtures("patient")
async def test_workers_that_are_ready_wait_for_the_warm_up(stage: Stage) -> None:
    upstream, ready = stage.upstream, asyncio.Event()
    sent_before: list[int] = []

    async def warm(call: DumbCall, write: Write) -> None:
        await ready.wait()
        sent_before.append(len(upstream.calls_of("worker")))
        await Warmed()(call, write)

    upstream.answer("warm-up", warm)
    async with listening(stage.http, model="caching", messages=MESSAGES) as heard:
        for number in (1, 2, 3):
            await heard.until_event("worker_started", subtask_id=f"s{number}")
        ready.set()
        await heard.to_the_end()
    assert sent_before == [0]
    assert len(upstream.calls_of("worker")) == 3


async def test_a_warm_up_that_hangs_holds_neither_a_worker_nor_the_answer_for_long(
    stage: Stage,
) -> None:
    upstream = stage.upstream
    upstream.answer("warm-up", Hang())
    began = time.perf_counter()
    seen = await stage.watch("caching", messages=MESSAGES)
    assert 0.29 < time.perf_counter() - began < 2
    assert seen.answer == "the answer"
    assert len(upstream.calls_of("worker")) == 3
    (warm,) = upstream.calls_of("warm-up")
    await hung_up(warm)
    (agent,) = [it for it in seen.report["agents"] if it["purpose"] == "warm-up"]
    assert (agent["role"], agent["outcome"]) == ("worker", "cancelled")


async def a_warm_up_that_fails(stage: Stage) -> str:
    stage.upstream.answer("warm-up", Status(529, "overloaded_error"))
    return "caching"


async def a_plan_that_the_team_has_listed(stage: Stage) -> str:
    return "listed"


WITHOUT_WARM_UP = pytest.mark.parametrize(
    "case", [a_warm_up_that_fails, a_plan_that_the_team_has_listed]
)


@WITHOUT_WARM_UP
@pytest.mark.usefixtures("patient")
async def test_without_a_warm_up_the_first_worker_leads_and_the_others_wait_for_its_first_event(
    stage: Stage, case: Any
) -> None:
    upstream, ready, rest = stage.upstream, asyncio.Event(), asyncio.Event()
    team = await case(stage)
    upstream.answer_subtask("Part 1", Reply(text="done", hold_before=ready, hold_before_text=rest))
    async with listening(stage.http, model=team, messages=MESSAGES) as heard:
        for number in (1, 2, 3):
            await heard.until_event("worker_started", subtask_id=f"s{number}")
        await upstream.arrived(1, "worker")
        assert len(upstream.calls_of("worker")) == 1
        ready.set()
        await upstream.arrived(3, "worker")
        assert not upstream.calls_of("worker")[0].done
        rest.set()
        await heard.to_the_end()
    leader, *others = upstream.calls_of("worker")
    assert leader is of_subtask(upstream, "Part 1")[0]
    assert all(marked(call) == ["All of them."] for call in (leader, *others))
    assert len(upstream.calls_of("warm-up")) == (team == "caching")  # and is not tried again


@WITHOUT_WARM_UP
async def test_nobody_waits_long_for_a_leader_that_hangs(stage: Stage, case: Any) -> None:
    upstream, ready = stage.upstream, asyncio.Event()
    team = await case(stage)
    upstream.answer_subtask("Part 1", Reply(text="done", hold_before=ready))
    async with listening(stage.http, model=team, messages=MESSAGES) as heard:
        await heard.until_event("worker_finished", subtask_id="s2")
        await heard.until_event("worker_finished", subtask_id="s3")
        ready.set()
        await heard.to_the_end()
    assert heard.text == "the answer"


@pytest.mark.usefixtures("patient")
async def test_a_leader_that_fails_hands_over_to_the_next(stage: Stage) -> None:
    upstream, ready = stage.upstream, asyncio.Event()
    upstream.answer_subtask("Part 1", Status(400, "invalid_request_error"))
    upstream.answer_subtask("Part 2", Reply(text="done", hold_before=ready))
    async with listening(stage.http, model="listed", messages=MESSAGES) as heard:
        # Its second try, on the next tier, shares nothing and waits for nobody.
        await heard.until_event("worker_finished", subtask_id="s1")
        await upstream.arrived(3, "worker")
        assert of_subtask(upstream, "Part 3") == []
        ready.set()
        await heard.to_the_end()
    assert len(of_subtask(upstream, "Part 3")) == 1
    models = [(call.body["model"], bool(marked(call))) for call in of_subtask(upstream, "Part 1")]
    assert models == [(HAIKU, True), (SONNET, False)]


@pytest.mark.usefixtures("patient")
async def test_a_subtask_on_another_tier_takes_no_part(stage: Stage) -> None:
    upstream, ready = stage.upstream, asyncio.Event()
    upstream.answer("lead", Reply(plan=[subtask(1), subtask(2, tier="sonnet")]))
    upstream.answer("warm-up", Warmed(hold_before=ready))
    async with listening(stage.http, model="caching", messages=MESSAGES) as heard:
        await heard.until_event("worker_finished", subtask_id="s2")
        (call,) = upstream.calls_of("worker")
        assert (call.body["model"], marked(call)) == (SONNET, [])
        ready.set()
        await heard.to_the_end()


async def test_usage_report_and_ledger_show_what_was_written_and_read(stage: Stage) -> None:
    upstream = stage.upstream
    read = {"input_tokens": 30, "cache_read_input_tokens": 1000}
    upstream.answer("worker", Reply(text="done", usage=read))
    seen = await stage.watch("caching", messages=MESSAGES)
    assert seen.usage["prompt_tokens_details"] == {"cached_tokens": 3000}
    assert seen.usage["prompt_tokens"] == 10 + 1000 + 3 * 1030 + 10
    warm, *workers = [it for it in seen.report["agents"] if it["role"] == "worker"]
    assert (warm["purpose"], warm["model"], warm["outcome"]) == ("warm-up", HAIKU, "succeeded")
    assert warm["cache_creation_input_tokens"] == 1000
    assert warm["cost_usd"] > 0
    assert [it["cache_read_input_tokens"] for it in workers] == [1000] * 3
    assert seen.report["totals"]["cache_read_input_tokens"] == 3000
    assert seen.report["totals"]["cache_creation_input_tokens"] == 1000
    attempts = [
        it
        for it in await stage.service.logged("upstream_attempt")
        if it["run_id"] == seen.report["run_id"] and it["role"] == "worker"
    ]
    written = [it["cache_creation_input_tokens"] for it in attempts if it["purpose"] == "warm-up"]
    assert written == [1000]
    assert sum(it["cache_read_input_tokens"] for it in attempts) == 3000
