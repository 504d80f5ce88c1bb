"""`evaluate = true`: results are scored against the question, weak ones done once more."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from chat import QUESTION
from dumb_upstream import Answer, Hang, Reply, Status
from listening import hung_up, of_subtask
from plans import subtask
from stage import SONNET, Stage

EVALUATED = "evaluate = true\n"
TEAMS = {
    "evaluated": EVALUATED,
    "strict": f'{EVALUATED}[evaluator]\nmodel = "sonnet"\nmin_score = 9',
    "hurried": f"{EVALUATED}[timeouts]\ncoordination = 1",
    "twice": f"{EVALUATED}[caps]\nmax_rounds = 2",
    "list": f'{EVALUATED}synthesis = "list"',
}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS)]


@pytest.fixture
def stage(stage: Stage) -> Stage:
    upstream = stage.upstream
    upstream.answer("lead", Reply(plan=[subtask(1), subtask(2)]))
    upstream.answer_subtask("Part 1", Reply(text="good result"))
    upstream.answer_subtask("Part 2", Reply(text="weak result"), Reply(text="better result"))
    upstream.answer("synthesizer", Reply(text="the answer"))
    return stage


def scores(*entries: tuple[str, Any]) -> Reply:
    named = [{"id": name, "reason": f"Says {name}.", "score": score} for name, score in entries]
    return Reply(text=json.dumps({"scores": named}))


def told(stage: Stage) -> str:
    (call,) = stage.upstream.calls_of("synthesizer")
    return call.last_text


async def test_a_weak_result_is_done_once_more_and_the_better_one_used(stage: Stage) -> None:
    upstream = stage.upstream
    upstream.answer("evaluator", scores(("s1", 9), ("s2", 3)))
    seen = await stage.watch("evaluated")
    (asked,) = upstream.calls_of("evaluator")
    assert QUESTION in asked.last_text
    assert "good result" in asked.last_text
    first, second = of_subtask(upstream, "Part 2")
    assert second.purpose == "second try after evaluation"
    assert second.last_text.startswith(first.last_text.strip())
    assert "weak result" in second.last_text
    assert "Says s2." in second.last_text
    assert len(of_subtask(upstream, "Part 1")) == 1
    assert "better result" in told(stage)
    assert "weak result" not in told(stage)
    assert seen.report["scores"] == [
        {"subtask_id": "s1", "score": 9, "reason": "Says s1.", "redone": False},
        {"subtask_id": "s2", "score": 3, "reason": "Says s2.", "redone": True},
    ]
    assert [it["redone"] for it in seen.events_of("result_scored")] == [False, True]
    agents = [(it["role"], it["purpose"]) for it in seen.report["agents"]]
    assert agents == [
        ("lead", None),
        ("worker", None),
        ("worker", None),
        ("worker", "second try after evaluation"),
        ("evaluator", None),
        ("synthesizer", None),
    ]
    total = sum(Decimal(str(it["cost_usd"])) for it in seen.report["agents"])
    assert Decimal(str(seen.report["totals"]["cost_usd"])) == total > 0


async def test_good_results_are_left_as_they_are(stage: Stage) -> None:
    stage.upstream.answer("evaluator", scores(("s1", 6), ("s2", 10)))
    seen = await stage.watch("evaluated")
    assert len(stage.upstream.calls_of("worker")) == 2
    assert [it["redone"] for it in seen.report["scores"]] == [False, False]


async def test_the_team_chooses_the_evaluators_model_and_what_is_good_enough(stage: Stage) -> None:
    stage.upstream.answer("evaluator", scores(("s1", 9), ("s2", 8)))
    await stage.watch("strict")
    (asked,) = stage.upstream.calls_of("evaluator")
    assert asked.body["model"] == SONNET
    assert "- 9: just good enough" in asked.system_text
    assert "better result" in told(stage)


@pytest.mark.parametrize(
    "second_try",
    [Status(400, "invalid_request_error"), Reply(text=""), Reply(text="x", truncate=True)],
    ids=["refused", "empty", "broken off"],
)
async def test_a_second_try_that_fails_keeps_the_first_result(
    stage: Stage, second_try: Answer
) -> None:
    upstream = stage.upstream
    upstream.answer_subtask("Part 2", Reply(text="weak result"), second_try)
    upstream.answer("evaluator", scores(("s1", 9), ("s2", 3)))
    seen = await stage.watch("evaluated")
    assert seen.answer == "the answer"
    assert "weak result" in told(stage)
    assert seen.report["partial"] is False
    assert seen.outcomes["Part 2"] == ("succeeded", None)
    # Nobody is told of a failure that costs nothing but money, which is counted.
    ends = [it for it in seen.events_of("worker_finished") if it["subtask_id"] == "s2"]
    assert [it["outcome"] for it in ends] == ["succeeded", "succeeded"]
    assert ends[1]["cost_usd"] >= ends[0]["cost_usd"]


async def test_a_second_try_that_is_not_done_in_time_keeps_the_first_result(stage: Stage) -> None:
    upstream = stage.upstream
    upstream.answer_subtask("Part 2", Reply(text="weak result"), Hang())
    upstream.answer("evaluator", scores(("s1", 9), ("s2", 3)))
    seen = await stage.watch("hurried")
    assert seen.report["timed_out"] is True
    assert "weak result" in told(stage)
    assert seen.outcomes["Part 2"] == ("succeeded", None)
    await hung_up(of_subtask(upstream, "Part 2")[1])


@pytest.mark.parametrize(
    "answer",
    [
        Status(400, "invalid_request_error"),
        Reply(text="All of it is fine, I think."),
        Reply(text='{"scores": [{"id": "s2", "reason": "x", "score": "low"}]}'),
        Reply(text='[{"id": "s2"}]'),
        Reply(text='{"scores": [{"id": "s2", "rea', stop_reason="max_tokens"),
        Reply(text=""),
    ],
    ids=["refused", "prose", "a word for a score", "another form", "cut", "nothing"],
)
async def test_an_evaluator_that_is_of_no_use_changes_nothing(stage: Stage, answer: Answer) -> None:
    stage.upstream.answer("evaluator", answer)
    seen = await stage.watch("evaluated")
    assert seen.answer == "the answer"
    assert "weak result" in told(stage)
    assert seen.report["scores"] == []
    assert seen.report["partial"] is False
    assert len(stage.upstream.calls_of("worker")) == 2


async def test_an_evaluator_that_hangs_ends_at_the_deadline(stage: Stage) -> None:
    stage.upstream.answer("evaluator", Hang())
    seen = await stage.watch("hurried")
    assert seen.answer == "the answer"
    assert "weak result" in told(stage)
    await hung_up(stage.upstream.calls_of("evaluator")[0])


async def test_unknown_ids_are_passed_over_and_scores_kept_within_their_range(stage: Stage) -> None:
    stage.upstream.answer("evaluator", scores(("s9", 1), ("s1", 99), ("s2", -5), ("", 0)))
    seen = await stage.watch("evaluated")
    kept = [(it["subtask_id"], it["score"]) for it in seen.report["scores"]]
    assert kept == [("s1", 10), ("s2", 0)]
    assert "better result" in told(stage)


async def test_failed_results_are_not_scored(stage: Stage) -> None:
    stage.upstream.answer_subtask("Part 1", Status(400, "invalid_request_error"))
    stage.upstream.answer("evaluator", scores(("s1", 2), ("s2", 9)))
    seen = await stage.watch("evaluated")
    assert 'id="s1"' not in stage.upstream.calls_of("evaluator")[0].last_text
    assert [it["subtask_id"] for it in seen.report["scores"]] == ["s2"]


async def test_the_only_result_is_judged_before_anybody_reads_it(stage: Stage) -> None:
    upstream = stage.upstream
    upstream.answer("lead", Reply(plan=[subtask(2)]))
    upstream.answer("evaluator", scores(("s2", 3)))
    seen = await stage.watch("evaluated")
    roles = ["lead", "worker", "evaluator", "worker", "synthesizer"]
    assert [call.role for call in upstream.calls] == roles
    assert "better result" in told(stage)
    assert seen.answer == "the answer"


async def test_weak_results_are_done_again_side_by_side(stage: Stage) -> None:
    upstream, release = stage.upstream, asyncio.Event()
    for number in (1, 2):
        second = Reply(text="better result", hold_before=release)
        upstream.answer_subtask(f"Part {number}", Reply(text="weak result"), second)
    upstream.answer("evaluator", scores(("s1", 1), ("s2", 1)))
    asking = asyncio.create_task(stage.watch("evaluated"))
    await upstream.arrived(4, "worker")
    assert upstream.in_flight >= 2
    release.set()
    await asking
    assert told(stage).count("better result") == 2


async def test_each_round_scores_only_what_is_new(stage: Stage) -> None:
    upstream = stage.upstream
    review = Reply(plan=[subtask(3)])
    upstream.answer("lead", Reply(plan=[subtask(1), subtask(2)]), review)
    upstream.answer_subtask("Part 3", Reply(text="third result"))
    upstream.answer("evaluator", scores(("s1", 9), ("s2", 3)), scores(("s3", 9), ("s2", 0)))
    seen = await stage.watch("twice")
    second = upstream.calls_of("evaluator")[1].last_text
    assert "third result" in second
    assert "better result" not in second
    # The review already sees what came of the second try, and nothing is done a third time.
    assert "better result" in upstream.calls_of("lead")[1].last_text
    assert len(of_subtask(upstream, "Part 2")) == 2
    assert [it["subtask_id"] for it in seen.report["scores"]] == ["s1", "s2", "s3"]


async def test_a_list_holds_the_better_results(stage: Stage) -> None:
    stage.upstream.answer("evaluator", scores(("s1", 9), ("s2", 3)))
    entries = json.loads((await stage.watch("list")).answer)
    assert [it["text"] for it in entries] == ["good result", "better result"]
