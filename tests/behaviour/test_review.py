"""`max_rounds`: the lead sees the results and may add to its plan."""

import asyncio
from typing import Any

import pytest

from chat import QUESTION
from dumb_upstream import Answer, Hang, Reply, Status
from listening import hung_up, listening, of_subtask
from plans import plan_json, subtask, working
from stage import Stage

TWICE = "[caps]\nmax_rounds = 2\n"
TEAMS = {
    "once": "",
    "twice": TWICE,
    "thrice": "[caps]\nmax_rounds = 3\n",
    "hurried": f"{TWICE}[timeouts]\ncoordination = 1",
    "sections": f'synthesis = "sections"\n{TWICE}',
    "must": f'route = "always"\n{TWICE}',
    "listed": f'route = "fixed"\n{TWICE}[[subtasks]]\nid = "s1"\ntitle = "Part 1"',
}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS)]
ENOUGH = "The results suffice."


@pytest.fixture
def stage(stage: Stage) -> Stage:
    working(stage.upstream)
    return stage


def lead(stage: Stage, *turns: Answer) -> None:
    """Answer the lead's first turn with two subtasks, and its reviews with `turns`."""
    stage.upstream.answer("lead", Reply(plan=[subtask(1), subtask(2)]), *turns)


async def test_the_lead_sees_results_and_gaps_and_its_sentence_ends_the_rounds(
    stage: Stage,
) -> None:
    upstream = stage.upstream
    lead(stage, Reply(text=ENOUGH))
    upstream.answer_subtask("Part 1", Reply(text="first result"))
    upstream.answer_subtask("Part 2", Status(400, "invalid_request_error"))
    seen = await stage.watch("thrice")
    first, review = upstream.calls_of("lead")
    assert (first.purpose, review.purpose) == ("", "review")
    assert QUESTION in review.last_text
    assert "first result" in review.last_text
    assert 'title="Part 2" outcome="failed" reason="the model provider' in review.last_text
    assert review.system_text == first.system_text
    assert review.body["tools"] == first.body["tools"]
    assert seen.answer.startswith("the answer")
    assert ENOUGH not in seen.answer
    round_two = {"round": 2, "added": [], "reason": ENOUGH}
    assert seen.report["rounds"] == [round_two]
    assert seen.events_of("round_reviewed") == [{"event": "round_reviewed", **round_two}]
    paid = [it for it in seen.report["agents"] if it["purpose"] == "review"]
    assert [(it["role"], it["output_tokens"]) for it in paid] == [("lead", 5)]
    assert paid[0]["cost_usd"] > 0


async def test_what_the_lead_adds_may_build_on_earlier_results_and_reaches_the_synthesizer(
    stage: Stage,
) -> None:
    upstream = stage.upstream
    lead(stage, Reply(plan=[subtask(3, depends_on=["s1"])]), Reply(text=ENOUGH))
    upstream.answer_subtask("Part 3", Reply(text="third result"))
    upstream.answer_subtask("Part 1", Reply(text="first result"))
    seen = await stage.watch("thrice")
    assert "first result" in of_subtask(upstream, "Part 3")[0].last_text
    assert "third result" in upstream.calls_of("lead")[2].last_text
    told = upstream.calls_of("synthesizer")[0].last_text
    places = [told.index(f'title="Part {number}"') for number in (1, 2, 3)]
    assert places == sorted(places)
    assert [it["id"] for it in seen.report["results"]] == ["s1", "s2", "s3"]
    assert [it["added"] for it in seen.report["rounds"]] == [["s3"], []]
    assert [it["round"] for it in seen.events_of("round_reviewed")] == [2, 3]
    assert seen.report["partial"] is False


async def test_an_added_subtask_starts_while_the_review_is_still_being_written(
    stage: Stage,
) -> None:
    upstream, rest = stage.upstream, asyncio.Event()
    plan = [subtask(3), subtask(4)]
    closed = len(plan_json(*plan[:1])) - len("]}")
    lead(stage, Reply(plan=plan, piece=1, hold_after_pieces=(closed, rest)))
    async with listening(stage.http, model="twice") as heard:
        await upstream.arrived(3, "worker")
        assert not upstream.calls_of("lead")[1].done
        rest.set()
        await heard.to_the_end()
    assert len(upstream.calls_of("worker")) == 4


@pytest.mark.parametrize(("team", "reviews"), [("once", 0), ("twice", 1), ("thrice", 2)])
async def test_the_rounds_end_at_their_number(stage: Stage, team: str, reviews: int) -> None:
    lead(stage, Reply(plan=[subtask(3)]), Reply(plan=[subtask(4)]), Reply(plan=[subtask(5)]))
    seen = await stage.watch(team)
    assert len(stage.upstream.calls_of("lead")) == 1 + reviews
    assert len(seen.report["results"]) == 2 + reviews
    assert len(seen.report["rounds"]) == reviews
    assert seen.answer == "the answer"


@pytest.mark.parametrize(
    ("review", "reason"),
    [
        (Status(400, "invalid_request_error"), "the review failed: rejected"),
        (Reply(text="The res", truncate=True), "the review failed: truncated"),
    ],
)
async def test_a_failing_review_leaves_the_answer_as_it_is(
    stage: Stage, review: Answer, reason: str
) -> None:
    lead(stage, review)
    seen = await stage.watch("twice")
    assert seen.answer == "the answer"
    assert seen.report["rounds"] == [{"round": 2, "added": [], "reason": reason}]
    assert seen.report["partial"] is False


async def test_a_review_that_hangs_ends_at_the_deadline_and_the_results_are_used(
    stage: Stage,
) -> None:
    lead(stage, Hang())
    seen = await stage.watch("hurried")
    assert seen.answer == "the answer"
    assert seen.report["timed_out"] is True
    assert [it["outcome"] for it in seen.report["results"]] == ["succeeded", "succeeded"]
    await hung_up(stage.upstream.calls_of("lead")[1])


async def test_an_added_subtask_that_is_not_done_in_time_is_a_gap(stage: Stage) -> None:
    lead(stage, Reply(plan=[subtask(3)]))
    stage.upstream.answer_subtask("Part 3", Hang())
    seen = await stage.watch("hurried")
    note = "Missing from this answer: “Part 3” (not done after 1 s)."
    assert seen.answer == f"the answer\n\n{note}"
    assert seen.outcomes["Part 3"] == ("timed_out", "not done after 1 s")


async def test_sections_that_are_added_are_heard_after_the_others(stage: Stage) -> None:
    lead(stage, Reply(plan=[subtask(3)]))
    for number in (1, 2, 3):
        stage.upstream.answer_subtask(f"Part {number}", Reply(text=f"text {number}"))
    seen = await stage.watch("sections")
    sections = (f"## Part {number}\n\ntext {number}" for number in (1, 2, 3))
    assert seen.answer == "\n\n".join(sections)


async def test_the_only_result_is_reviewed_before_anybody_reads_it(stage: Stage) -> None:
    upstream = stage.upstream
    upstream.answer("lead", Reply(plan=[subtask(1)]), Reply(text=ENOUGH))
    seen = await stage.watch("twice")
    assert seen.answer == "the answer"
    assert [call.role for call in upstream.calls] == ["lead", "worker", "lead", "synthesizer"]


async def test_a_lead_that_must_plan_stops_with_an_empty_plan(stage: Stage) -> None:
    plans: list[list[Any]] = [[subtask(1), subtask(2)], []]
    stage.upstream.answer("lead", *(Reply(text=plan_json(*plan)) for plan in plans))
    seen = await stage.watch("must")
    assert seen.answer == "the answer"
    assert seen.report["rounds"] == [{"round": 2, "added": [], "reason": None}]


async def test_the_lead_may_add_to_a_plan_that_the_team_has_listed(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(plan=[subtask(2)]))
    seen = await stage.watch("listed")
    assert [it["id"] for it in seen.report["results"]] == ["s1", "s2"]
    assert [call.purpose for call in stage.upstream.calls_of("lead")] == ["review"]


async def test_no_review_is_paid_for_when_the_plan_already_passes_the_cap(stage: Stage) -> None:
    plan = [subtask(n) for n in range(1, 60)]
    stage.upstream.answer("lead", Reply(plan=plan), Hang())
    seen = await stage.watch("twice")
    assert len(stage.upstream.calls_of("lead")) == 1
    assert seen.report["rounds"] == []
