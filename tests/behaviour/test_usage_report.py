"""`X-Orchestration: usage`: who did what, when and for how much, and what the answer waited for."""

import asyncio
import json
import random
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from chat import QUESTION, frames_of
from dumb_upstream import Answer, Hang, Reply, Status
from listening import listening
from orchestrator_worker.orchestration import critical_path
from plans import plan_json, subtask
from stage import Stage

TWICE = "[caps]\nmax_rounds = 2\n"
TEAMS = {
    "one": "[caps]\nmax_concurrent_workers = 1\n",
    "two": "[caps]\nmax_concurrent_workers = 2\n",
    "evaluated": "evaluate = true",
    "everything": f"evaluate = true\nreduce_above_tokens = 1000\n{TWICE}",
    "twice": TWICE,
    "reading": "reduce_above_tokens = 1000\n",
    "careful": 'missing_dependency = "skip"',
    "hurried": "[timeouts]\ncoordination = 1",
    "hurried-twice": "evaluate = true\n[timeouts]\ncoordination = 1",
    "sections": 'synthesis = "sections"',
    "list": 'synthesis = "list"',
    "unpriced": '[worker]\nmodel = "somebody-elses"',
    "fixed": """
        route = "fixed"
        [[subtasks]]
        id = "s1"
        title = "Part 1"
        [[subtasks]]
        id = "s2"
        title = "Part 2"
        depends_on = ["s1"]
    """,
}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS)]
MANY = Reply(text="~~~~ " * 360, piece=4000)
"""Two of these are too long to be read at once where only 1000 tokens may be."""
SHORT = [{"role": "user", "content": QUESTION}]
LONG = [{"role": "user", "content": f"{'Some words of context. ' * 400}{QUESTION}"}]
"""More than a prompt cache asks for."""
INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
TOKENS = (*INPUT, "total_input_tokens", "output_tokens")


@pytest.fixture
def stage(stage: Stage) -> Stage:
    upstream = stage.upstream
    upstream.answer("worker", Reply(text="done"))
    upstream.answer("synthesizer", Reply(text="the answer"))
    return stage


def planned(stage: Stage, *plan: dict[str, Any]) -> None:
    stage.upstream.answer("lead", Reply(plan=plan, piece=100_000))


def path(report: dict[str, Any]) -> list[str]:
    """Return the path's steps by subtask, or else by role, and what they were for."""
    return [
        " ".join(filter(None, (it["subtask_id"] or it["role"], it["purpose"])))
        for it in report["critical_path"]
    ]


def end(it: dict[str, Any]) -> Decimal:
    """Return when an attempt or a step ended; exact, as the report rounds to milliseconds."""
    return Decimal(str(it["starts_seconds"])) + Decimal(str(it["seconds"]))


def check_times(report: dict[str, Any]) -> None:
    """All steps are in order, side by side with none, and inside the run, like the attempts."""
    steps, total = report["critical_path"], Decimal(str(report["totals"]["seconds"]))
    for before, after in pairwise(steps):
        assert end(before) <= Decimal(str(after["starts_seconds"]))
    for it in (*steps, *report["agents"]):
        assert it["starts_seconds"] >= 0
        assert it["seconds"] >= 0
        assert end(it) <= total
    assert sum(Decimal(str(it["seconds"])) for it in steps) <= total
    begun = {(it["role"], it["subtask_id"], it["starts_seconds"]) for it in report["agents"]}
    assert {(it["role"], it["subtask_id"], it["starts_seconds"]) for it in steps} <= begun


async def test_a_direct_answer_waited_for_the_lead_alone(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text="short"))
    report = (await stage.watch()).report
    (agent,), (step,) = report["agents"], report["critical_path"]
    assert step == {name: agent[name] for name in step}
    assert (step["role"], step["title"], report["subtasks"]) == ("lead", None, [])
    check_times(report)


async def test_the_path_goes_through_the_dependency_and_not_through_what_ended_sooner(
    stage: Stage,
) -> None:
    planned(stage, subtask(1), subtask(2), subtask(3, depends_on=["s1"]))
    release = asyncio.Event()
    stage.upstream.answer_subtask("Part 1", Reply(text="done", hold_before=release))
    async with listening(stage.http) as heard:
        await heard.until_event("plan_closed")
        await heard.until_event("worker_finished", subtask_id="s2")
        release.set()
        report = (await heard.to_the_end()).report
    assert path(report) == ["lead", "s1", "s3", "synthesizer"]
    assert [it["title"] for it in report["critical_path"]] == [None, "Part 1", "Part 3", None]
    check_times(report)


@pytest.mark.parametrize("slower", [1, 2])
async def test_of_two_side_by_side_the_slower_one_counts(stage: Stage, slower: int) -> None:
    planned(stage, subtask(1), subtask(2))
    release = asyncio.Event()
    stage.upstream.answer_subtask(f"Part {slower}", Reply(text="done", hold_before=release))
    async with listening(stage.http) as heard:
        await heard.until_event("worker_finished", subtask_id=f"s{3 - slower}")
        release.set()
        report = (await heard.to_the_end()).report
    assert path(report) == ["lead", f"s{slower}", "synthesizer"]


async def test_who_waited_for_a_place_waited_for_the_worker_that_left_it(stage: Stage) -> None:
    planned(stage, subtask(1), subtask(2), subtask(3))
    release = asyncio.Event()
    stage.upstream.answer_subtask("Part 1", Reply(text="done", hold_before=release))
    async with listening(stage.http, model="one") as heard:
        await heard.until_event("plan_closed")
        release.set()
        report = (await heard.to_the_end()).report
    assert path(report) == ["lead", "s1", "s2", "s3", "synthesizer"]
    check_times(report)


async def test_only_the_worker_whose_place_was_taken_counts(stage: Stage) -> None:
    planned(stage, subtask(1), subtask(2), subtask(3))
    gates = [asyncio.Event() for _ in range(3)]
    for number, gate in enumerate(gates, start=1):
        stage.upstream.answer_subtask(f"Part {number}", Reply(text="done", hold_before=gate))
    async with listening(stage.http, model="two") as heard:
        await heard.until_event("plan_closed")
        gates[1].set()
        await stage.upstream.arrived(3, "worker")
        gates[0].set()
        await heard.until_event("worker_finished", subtask_id="s1")
        gates[2].set()
        report = (await heard.to_the_end()).report
    assert path(report) == ["lead", "s2", "s3", "synthesizer"]
    check_times(report)


async def test_places_that_are_left_together_are_waited_for_all_the_same(stage: Stage) -> None:
    planned(stage, *(subtask(number) for number in range(1, 7)))
    release = asyncio.Event()
    for title in ("Part 1", "Part 2"):
        stage.upstream.answer_subtask(title, Reply(text="done", hold_before=release))
    async with listening(stage.http, model="two") as heard:
        await heard.until_event("plan_closed")
        release.set()
        report = (await heard.to_the_end()).report
    assert path(report)[:2] in (["lead", "s1"], ["lead", "s2"])
    assert len(path(report)) > len(["lead", "one of the two", "synthesizer"])
    check_times(report)


async def test_what_the_lead_wrote_late_waited_for_the_lead(stage: Stage) -> None:
    text = plan_json(subtask(1), subtask(2))
    late, rest = asyncio.Event(), asyncio.Event()
    closed = text.index('"s2"')
    stage.upstream.answer("lead", Reply(plan_json=text, piece=1, hold_after_pieces=(closed, late)))
    stage.upstream.answer_subtask("Part 2", Reply(text="done", hold_before=rest))
    async with listening(stage.http) as heard:
        await heard.until_event("worker_finished", subtask_id="s1")
        late.set()
        await heard.until_event("plan_closed")
        rest.set()
        report = (await heard.to_the_end()).report
    assert path(report) == ["lead", "s2", "synthesizer"]
    lead, worker, _ = report["critical_path"]
    assert end(lead) <= Decimal(str(worker["starts_seconds"]))
    check_times(report)


@pytest.mark.parametrize(("handover", "way"), [(60.0, ["lead", "s1", "s2"]), (0.0, ["lead", "s2"])])
async def test_while_the_lead_writes_a_dependency_counts_only_if_the_work_begins_right_after(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, handover: float, way: list[str]
) -> None:
    monkeypatch.setattr(critical_path, "HANDOVER_SECONDS", handover)
    text, release = plan_json(subtask(1), subtask(2, depends_on=["s1"])), asyncio.Event()
    first = len(plan_json(subtask(1))) - len("]}")
    stage.upstream.answer(
        "lead", Reply(plan_json=text, piece=1, hold_after_pieces=(first, release))
    )
    async with listening(stage.http) as heard:
        await heard.until_event("worker_finished", subtask_id="s1")
        release.set()
        report = (await heard.to_the_end()).report
    assert path(report) == [*way, "synthesizer"]
    check_times(report)


async def test_all_tries_of_a_subtask_are_one_step(stage: Stage) -> None:
    planned(stage, subtask(1), subtask(2))
    overloaded = Status(529, "overloaded_error")
    late = asyncio.Event()
    stage.upstream.answer_subtask(
        "Part 2", overloaded, Reply(), overloaded, Reply(text="done", hold_before=late)
    )
    async with listening(stage.http) as heard:
        await heard.until_event("worker_finished", subtask_id="s1")
        late.set()
        report = (await heard.to_the_end()).report
    assert path(report) == ["lead", "s2", "synthesizer"]
    tries = [it for it in report["agents"] if it["subtask_id"] == "s2"]
    assert [it["outcome"] for it in tries] == ["failed", "succeeded", "failed", "succeeded"]
    step = report["critical_path"][1]
    assert step["starts_seconds"] == tries[0]["starts_seconds"]
    assert end(step) == end(tries[-1])
    check_times(report)


async def test_retries_of_the_lead_and_of_the_synthesizer_belong_to_their_steps(
    stage: Stage,
) -> None:
    overloaded = Status(529, "overloaded_error")
    stage.upstream.answer("lead", overloaded, Reply(plan=[subtask(1), subtask(2)]))
    stage.upstream.answer("synthesizer", overloaded, Reply(text="the answer"))
    report = (await stage.watch()).report
    assert len(report["agents"]) == 6
    assert len(report["critical_path"]) == 3
    first, *_, last = report["critical_path"]
    assert first["starts_seconds"] == report["agents"][0]["starts_seconds"]
    assert last["starts_seconds"] == report["agents"][-2]["starts_seconds"]
    check_times(report)


def scores(*entries: tuple[str, int]) -> Reply:
    named = [{"id": name, "reason": "So.", "score": score} for name, score in entries]
    return Reply(text=json.dumps({"scores": named}))


async def test_a_second_try_after_evaluation_is_a_step_of_its_own(stage: Stage) -> None:
    planned(stage, subtask(1), subtask(2, depends_on=["s1"]))
    stage.upstream.answer("evaluator", scores(("s1", 9), ("s2", 2)))
    report = (await stage.watch("evaluated")).report
    again = "s2 second try after evaluation"
    assert path(report)[-5:] == ["s1", "s2", "evaluator", again, "synthesizer"]
    check_times(report)


async def test_what_a_review_added_waited_for_the_review(stage: Stage) -> None:
    added = Reply(plan=[subtask(3, depends_on=["s1"])])
    stage.upstream.answer("lead", Reply(plan=[subtask(1), subtask(2)]), added)
    report = (await stage.watch("twice")).report
    assert path(report)[-3:] == ["lead review", "s3", "synthesizer"]


async def test_a_plan_that_is_asked_for_again_waited_for_the_lead(stage: Stage) -> None:
    cut = Reply(plan_json=plan_json(subtask(1), subtask(2))[:-2], stop_reason="max_tokens")
    rest, first, third = asyncio.Event(), asyncio.Event(), asyncio.Event()
    stage.upstream.answer("lead", cut, Reply(plan=[subtask(3)], hold_before=rest))
    stage.upstream.answer_subtask("Part 1", Reply(text="done", hold_before=first))
    stage.upstream.answer_subtask("Part 3", Reply(text="done", hold_before=third))
    async with listening(stage.http) as heard:
        await heard.until_event("worker_finished", subtask_id="s2")
        rest.set()
        await stage.upstream.arrived(3, "worker")
        first.set()
        await heard.until_event("worker_finished", subtask_id="s1")
        third.set()
        report = (await heard.to_the_end()).report
    assert path(report) == ["lead", "lead rest of plan", "s3", "synthesizer"]


async def test_shortening_stands_before_the_synthesizer(stage: Stage) -> None:
    planned(stage, subtask(1), subtask(2))
    stage.upstream.answer("worker", MANY)
    stage.upstream.answer("reducer", Reply(text="short"))
    report = (await stage.watch("reading")).report
    roles = [it["role"] for it in report["critical_path"]]
    assert roles == ["lead", "worker", "reducer", "synthesizer"]


async def test_a_path_may_begin_or_end_with_a_worker(stage: Stage) -> None:
    planned(stage, subtask(1))
    assert path((await stage.watch("fixed")).report) == ["s1", "s2", "synthesizer"]
    assert path((await stage.watch()).report) == ["lead", "s1"]


async def test_who_ran_until_the_deadline_is_what_the_answer_waited_for(stage: Stage) -> None:
    planned(stage, subtask(1), subtask(2))
    stage.upstream.answer_subtask("Part 2", Hang())
    report = (await stage.watch("hurried")).report
    assert path(report) == ["lead", "s2", "synthesizer"]
    assert report["critical_path"][1]["seconds"] > 0.5
    check_times(report)


async def test_work_that_the_lead_withdrew_is_on_no_path(stage: Stage) -> None:
    refused = Reply(plan=[subtask(1), subtask(2)], stop_reason="refusal")
    stage.upstream.answer("lead", refused)
    stage.upstream.answer("worker", Hang())
    report = (await stage.watch()).report
    assert (path(report), report["subtasks"]) == (["lead"], [])


async def test_an_error_tells_its_path_too(stage: Stage) -> None:
    planned(stage, subtask(1), subtask(2, depends_on=["s1"]))
    stage.upstream.answer("worker", Status(400, "invalid_request_error"))
    response = await stage.ask(headers={"x-orchestration": "usage"}, stream=True)
    error = frames_of(response)[-1]
    assert "error" in error
    report = error["orchestration"]
    assert path(report) == ["lead", "s1", "s2"]
    assert [it["outcome"] for it in report["subtasks"]] == ["failed", "failed"]
    check_times(report)


async def test_a_failed_lead_is_the_whole_path(stage: Stage) -> None:
    broken = Reply(text="half an answer", truncate=True)
    stage.upstream.answer("lead", Status(529, "overloaded_error"), broken)
    response = await stage.ask(headers={"x-orchestration": "usage"}, stream=True)
    report = frames_of(response)[-1]["orchestration"]
    assert (path(report), len(report["agents"])) == (["lead"], 2)
    assert end(report["critical_path"][0]) == end(report["agents"][-1])
    check_times(report)


ENDINGS: list[list[Answer]] = [
    [Reply(text="done")],
    [Reply(text="done")],
    [Status(529, "overloaded_error"), Reply(text="done", piece=1)],
    [Reply(), Reply(text="a better one")],
    [Status(400, "invalid_request_error")],
    [MANY],
]


@pytest.mark.parametrize("model", ["one", "two", "everything", "careful", "list", "sections"])
@pytest.mark.parametrize("seed", range(4))
async def test_a_path_is_in_order_and_inside_the_run(stage: Stage, model: str, seed: int) -> None:
    chance = random.Random(f"{model} {seed}")
    names = [f"s{number}" for number in range(12)]
    plan = [
        subtask(n, depends_on=chance.sample(names[:n], min(n, chance.choice([0, 0, 1, 2]))))
        for n in range(12)
    ]
    piece = chance.choice([3, 50, 100_000])
    added = Reply(plan=[subtask(20, depends_on=[chance.choice(names)]), subtask(21)])
    stage.upstream.answer("lead", Reply(plan=plan, piece=piece), added)
    for it in reversed(plan):  # a turn names the earlier ones whose results it holds
        stage.upstream.answer_subtask(it["title"], *chance.choice(ENDINGS))
    stage.upstream.answer("evaluator", scores(*((n, chance.randrange(11)) for n in names)))
    stage.upstream.answer("reducer", Reply(text="short"))
    seen = await stage.watch(model, messages=chance.choice([SHORT, LONG]))
    report = seen.report
    check_times(report)
    steps = report["critical_path"]
    assert steps[0]["role"] == "lead"
    ends = [end(it) for it in report["agents"] if it["purpose"] != "warm-up"]
    assert end(steps[-1]) == max(ends)
    check_account(report, seen.usage)


def check_account(report: dict[str, Any], usage: dict[str, Any]) -> None:
    """Subtasks and the other agents add up to the totals, and these are OpenAI's usage."""
    others = [it for it in report["agents"] if it["role"] != "worker" or not it["subtask_id"]]
    totals = report["totals"]
    for name in TOKENS:
        assert sum(it[name] for it in (*report["subtasks"], *others)) == totals[name]
    for it in (*report["agents"], *report["subtasks"], totals):
        assert it["total_input_tokens"] == sum(it[name] for name in INPUT)
    assert usage["prompt_tokens"] == totals["total_input_tokens"]
    assert usage["completion_tokens"] == totals["output_tokens"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    unseen = usage["completion_tokens_details"]["reasoning_tokens"]
    assert 0 <= unseen <= usage["completion_tokens"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    assert cached == totals["cache_read_input_tokens"] <= usage["prompt_tokens"]


USED = {"input_tokens": 10, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 3}


async def test_a_subtask_is_told_with_all_that_it_used(stage: Stage) -> None:
    planned(stage, subtask(1, type="search"), subtask(2, depends_on=["s1"]), subtask(3))
    # In this order: the second one's turn names the first one, too.
    stage.upstream.answer_subtask("Part 2", Reply(usage=USED), Reply(text="better", usage=USED))
    stage.upstream.answer_subtask("Part 1", Reply(text="done", usage=USED))
    stage.upstream.answer_subtask("Part 3", Status(400, "invalid_request_error"))
    seen = await stage.watch()
    first, second, third = seen.report["subtasks"]
    counts = {**USED, "total_input_tokens": 17, "output_tokens": 5}
    assert {name: first[name] for name in TOKENS} == counts
    assert {name: second[name] for name in TOKENS} == {name: 2 * counts[name] for name in TOKENS}
    assert {name: third[name] for name in TOKENS} == dict.fromkeys(TOKENS, 0)
    told = ("id", "type", "title", "depends_on", "outcome", "reason")
    assert [[it[name] for name in told] for it in (first, second, third)] == [
        ["s1", "search", "Part 1", [], "succeeded", None],
        ["s2", None, "Part 2", ["s1"], "succeeded", None],
        ["s3", None, "Part 3", [], "failed", "the model provider refuses the request"],
    ]
    finished = {it["subtask_id"]: it for it in seen.events_of("worker_finished")}
    for it in seen.report["subtasks"]:
        event = finished[it["id"]]
        assert it["total_input_tokens"] == event["input_tokens"]
        for name in ("outcome", "reason", "seconds", "output_tokens", "cost_usd"):
            assert it[name] == event[name]
    assert seen.spent[-1]["input_tokens"] < seen.report["totals"]["total_input_tokens"]
    assert second["cost_usd"] > first["cost_usd"] > 0
    check_account(seen.report, seen.usage)


async def test_what_is_skipped_used_nothing_and_what_has_no_price_is_unknown(stage: Stage) -> None:
    planned(stage, subtask(1), subtask(2, depends_on=["s1"]), subtask(3))
    stage.upstream.answer_subtask("Part 1", Status(400, "invalid_request_error"))
    report = (await stage.watch("careful")).report
    skipped = report["subtasks"][1]
    assert (skipped["outcome"], skipped["seconds"], skipped["cost_usd"]) == ("skipped", 0, 0)
    assert path(report) in (["lead", "s1", "synthesizer"], ["lead", "s3", "synthesizer"])
    report = (await stage.watch("unpriced")).report
    assert {it["cost_usd"] for it in report["subtasks"]} == {None}


async def test_a_second_try_that_the_deadline_cut_is_counted_with_its_subtask(
    stage: Stage,
) -> None:
    planned(stage, subtask(1), subtask(2))
    cut = Reply(text="never whole", piece=1, hold_after_pieces=(3, asyncio.Event()), usage=USED)
    stage.upstream.answer_subtask("Part 2", Reply(text="weak", usage=USED), cut)
    stage.upstream.answer("evaluator", scores(("s1", 9), ("s2", 2)))
    seen = await stage.watch("hurried-twice")
    weak = seen.report["subtasks"][1]
    assert (weak["outcome"], weak["total_input_tokens"]) == ("succeeded", 34)
    assert weak["output_tokens"] == 5 + 3
    check_account(seen.report, seen.usage)
    check_times(seen.report)


@pytest.mark.parametrize("route", ["direct", "delegated"])
async def test_a_plan_report_has_the_same_keys_with_and_without_a_plan(
    stage: Stage, route: str
) -> None:
    answers = {"direct": Reply(text="short"), "delegated": Reply(plan=[subtask(1)])}
    stage.upstream.answer("lead", answers[route])
    response = await stage.ask(headers={"x-orchestration": "plan"})
    report = response.json()["orchestration"]
    assert set(report) == {"run_id", "route", "plan", "omissions", "estimate"}
    assert (report["route"], report["omissions"]) == (route, [])


async def unseen(stage: Stage, model: str) -> int:
    """Return how much of a run's output the caller is told not to have seen."""
    seen = await stage.watch(model)
    check_account(seen.report, seen.usage)
    return seen.usage["completion_tokens_details"]["reasoning_tokens"]


PLANNED, WRITTEN = 5, 7


@pytest.mark.parametrize(
    ("model", "hidden"),
    [
        ("one", PLANNED + 2 * WRITTEN + 2 * 3),  # all but the synthesizer's
        ("list", PLANNED + 3),  # all but the results
        ("sections", PLANNED + 3),
    ],
)
async def test_output_that_the_caller_does_not_see_counts_as_reasoning(
    stage: Stage, model: str, hidden: int
) -> None:
    planned(stage, subtask(1), subtask(2))
    wasted = Reply(output_tokens=3)
    stage.upstream.answer_subtask("Part 1", wasted, Reply(text="done", output_tokens=WRITTEN))
    stage.upstream.answer_subtask("Part 2", Reply(text="done", output_tokens=WRITTEN))
    assert await unseen(stage, model) == hidden - (3 if model == "one" else 0)


async def test_a_result_that_is_not_in_the_list_was_not_seen(stage: Stage) -> None:
    planned(stage, subtask(1), subtask(2, output="json"))
    stage.upstream.answer_subtask("Part 1", Reply(text="done", output_tokens=WRITTEN))
    stage.upstream.answer_subtask("Part 2", Reply(text="no JSON", output_tokens=4))
    assert await unseen(stage, "list") == PLANNED + 2 * 4


async def test_thinking_is_unseen_and_never_more_than_there_was_output(stage: Stage) -> None:
    details = {"output_tokens_details": {"thinking_tokens": 3}}
    for output, thought in ((9, 3), (2, 2)):
        reply = Reply(text="short", usage={"input_tokens": 10, **details}, output_tokens=output)
        stage.upstream.answer("lead", reply)
        assert await unseen(stage, "one") == thought
