"""`synthesis = "sections"`: the workers' own text is the answer, heard in plan order and live."""

import asyncio
from typing import Any

import pytest

from chat import QUESTION
from dumb_upstream import Hang, Reply, Status
from listening import hung_up, listening, of_subtask
from plans import plan_json, subtask
from stage import HAIKU, SONNET, Stage

TEAM = 'synthesis = "sections"\n'
LISTED = """
    synthesis = "sections"
    route = "fixed"
    [[subtasks]]
    id = "s1"
    title = "Part 1"
    [[subtasks]]
    id = "s2"
    title = "Part 2"
    [[subtasks]]
    id = "s3"
    title = "Part 3"
"""
TEAMS = {
    "sections": TEAM,
    "listed": LISTED,
    "one-by-one": f"{LISTED}[caps]\nmax_concurrent_workers = 1",
    "hurried": f"{TEAM}[timeouts]\ncoordination = 1\ndirect_answer = 2",
}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS)]


async def test_the_first_section_is_heard_while_it_and_the_plan_are_being_written(
    stage: Stage,
) -> None:
    upstream, rest_of_plan, rest_of_text = stage.upstream, asyncio.Event(), asyncio.Event()
    plan = [subtask(1), subtask(2)]
    first_closed = len(plan_json(*plan[:1])) - len("]}")
    upstream.answer(
        "lead", Reply(plan=plan, piece=1, hold_after_pieces=(first_closed, rest_of_plan))
    )
    upstream.answer_subtask("Part 1", Reply(text="first text", hold_after_pieces=(1, rest_of_text)))
    upstream.answer_subtask("Part 2", Reply(text="second text"))
    async with listening(stage.http, model="sections") as heard:
        await heard.until_text("## Part 1\n\nfirst t")
        assert [call.role for call in upstream.calls] == ["lead", "worker"]
        assert not any(call.done for call in upstream.calls)
        rest_of_plan.set()
        rest_of_text.set()
        await heard.to_the_end()
    assert heard.text == "## Part 1\n\nfirst text\n\n## Part 2\n\nsecond text"
    assert heard.finish_reason == "stop"
    assert heard.report["partial"] is False
    assert upstream.calls_of("synthesizer") == []


async def test_later_sections_are_held_back_until_their_turn_and_then_live_too(
    stage: Stage,
) -> None:
    upstream, first, third = stage.upstream, asyncio.Event(), asyncio.Event()
    upstream.answer("lead", Reply(plan=[subtask(1), subtask(2), subtask(3)]))
    upstream.answer_subtask("Part 1", Reply(text="first text", hold_after_pieces=(1, first)))
    upstream.answer_subtask("Part 2", Reply(text="second text"))
    upstream.answer_subtask("Part 3", Reply(text="third text", hold_after_pieces=(1, third)))
    async with listening(stage.http, model="sections") as heard:
        await heard.until_event("worker_finished", subtask_id="s2")
        await upstream.arrived(3, "worker")
        assert heard.text in {"", "## Part 1\n\nfirst t"}
        first.set()
        await heard.until_text("third t")
        assert not of_subtask(upstream, "Part 3")[0].done
        third.set()
        await heard.to_the_end()
    sections = ("## Part 1\n\nfirst text", "## Part 2\n\nsecond text", "## Part 3\n\nthird text")
    assert heard.text == "\n\n".join(sections)


@pytest.mark.parametrize(
    ("fields", "written", "section"),
    [
        ({"output": "json"}, '{"a": [1,  2]}', '{"a":[1,2]}'),
        ({"depends_on": ["s1"]}, " some text ", "some text"),
    ],
    ids=["JSON", "dependent"],
)
async def test_a_section_that_others_results_go_into_or_that_must_be_checked_is_heard_whole(
    stage: Stage, fields: dict[str, Any], written: str, section: str
) -> None:
    upstream, rest, written_so_far = stage.upstream, asyncio.Event(), asyncio.Event()
    third = asyncio.Event()
    upstream.answer("lead", Reply(plan=[subtask(1), subtask(2, **fields), subtask(3)]))
    begun = Reply(text=written, hold_after_pieces=(1, rest), on_piece=written_so_far.set)
    upstream.answer_subtask("Part 2", begun)
    upstream.answer_subtask("Part 1", Reply(text="first"))
    upstream.answer_subtask("Part 3", Reply(text="third", hold_before=third))
    async with listening(stage.http, model="sections") as heard:
        async with asyncio.timeout(5):
            await written_so_far.wait()
        third.set()
        await heard.until_event("worker_finished", subtask_id="s1")
        await heard.until_event("worker_finished", subtask_id="s3")
        assert heard.text == "## Part 1\n\nfirst"
        rest.set()
        await heard.to_the_end()
    assert heard.text == f"## Part 1\n\nfirst\n\n## Part 2\n\n{section}\n\n## Part 3\n\nthird"
    assert section in "".join(heard.deltas)


async def test_a_section_that_breaks_off_after_it_was_heard_leaves_a_note_and_is_not_redone(
    stage: Stage,
) -> None:
    upstream = stage.upstream
    upstream.answer("lead", Reply(plan=[subtask(1), subtask(2)]))
    upstream.answer_subtask("Part 1", Reply(text="first text", cut_after_pieces=1))
    upstream.answer_subtask("Part 2", Reply(text="second text"))
    async with listening(stage.http, model="sections") as heard:
        await heard.to_the_end()
    note = "Missing from this answer: “Part 1” (its answer broke off)."
    assert heard.text == f"## Part 1\n\nfirst t\n\n{note}\n\n## Part 2\n\nsecond text"
    assert len(of_subtask(upstream, "Part 1")) == 1
    assert heard.finish_reason == "stop"
    assert heard.report["partial"] is True


async def test_the_first_section_is_tried_again_while_nothing_of_it_was_heard(stage: Stage) -> None:
    upstream = stage.upstream
    upstream.answer("lead", Reply(plan=[subtask(1), subtask(2)]))
    upstream.answer_subtask(
        "Part 1", Status(400, "invalid_request_error"), Reply(text="first text")
    )
    upstream.answer_subtask("Part 2", Reply(text="second text"))
    async with listening(stage.http, model="sections") as heard:
        await heard.to_the_end()
    assert heard.text == "## Part 1\n\nfirst text\n\n## Part 2\n\nsecond text"
    assert [call.body["model"] for call in of_subtask(upstream, "Part 1")] == [HAIKU, SONNET]


async def test_a_section_that_breaks_off_while_it_is_held_back_is_tried_again(stage: Stage) -> None:
    upstream, first, second = stage.upstream, asyncio.Event(), asyncio.Event()
    begun = asyncio.Event()
    upstream.answer("lead", Reply(plan=[subtask(1), subtask(2)]))
    upstream.answer_subtask("Part 1", Reply(text="first text", hold_after_pieces=(1, first)))
    broken = Reply(text="never heard", cut_after_pieces=1)
    again = Reply(text="second text", hold_after_pieces=(1, second), on_piece=begun.set)
    upstream.answer_subtask("Part 2", broken, again)
    async with listening(stage.http, model="sections") as heard:
        await heard.until_event("worker_escalated", subtask_id="s2")
        async with asyncio.timeout(5):
            await begun.wait()
        first.set()
        await heard.until_text("## Part 2\n\nsecond ")
        second.set()
        await heard.to_the_end()
    assert heard.text == "## Part 1\n\nfirst text\n\n## Part 2\n\nsecond text"
    assert [call.body["model"] for call in of_subtask(upstream, "Part 2")] == [HAIKU, SONNET]


async def test_the_note_of_a_failed_first_section_waits_for_text_to_stand_before(
    stage: Stage,
) -> None:
    upstream, second = stage.upstream, asyncio.Event()
    upstream.answer("lead", Reply(plan=[subtask(1), subtask(2)]))
    upstream.answer_subtask("Part 1", Status(400, "invalid_request_error"))
    upstream.answer_subtask("Part 2", Reply(text="second text", hold_before=second))
    async with listening(stage.http, model="sections") as heard:
        await heard.until_event("worker_finished", subtask_id="s1")
        second.set()
        await heard.to_the_end()
    note = "Missing from this answer: “Part 1” (the model provider refuses the request)."
    assert heard.deltas[0] == f"{note}\n\n## Part 2\n\n"
    assert heard.text == f"{note}\n\n## Part 2\n\nsecond text"


@pytest.mark.parametrize("stream", [False, True])
async def test_when_every_section_fails_there_is_an_error_and_no_text(
    stage: Stage, stream: bool
) -> None:
    stage.upstream.answer("lead", Reply(plan=[subtask(1), subtask(2)]))
    stage.upstream.answer("worker", Status(400, "invalid_request_error"))
    if stream:
        seen = await stage.watch("sections")
        assert (seen.answer, seen.error and seen.error["code"]) == ("", "upstream_error")
        return
    question = {"model": "sections", "messages": [{"role": "user", "content": QUESTION}]}
    response = await stage.http.post("/v1/chat/completions", json=question)
    assert response.status_code == 502
    assert response.json()["error"]["message"].startswith("All 2 subtasks failed")


async def test_the_callers_cap_counts_over_all_sections(stage: Stage) -> None:
    upstream, all_sent = stage.upstream, asyncio.Event()
    upstream.answer_subtask("Part 1", Reply(text="first", piece=1))
    upstream.answer_subtask("Part 2", Reply(text="ä" * 50, hold_before=all_sent))
    upstream.answer_subtask("Part 3", Hang())
    async with listening(stage.http, model="listed", max_tokens=10) as heard:
        await upstream.arrived(3, "worker")
        all_sent.set()
        await heard.to_the_end()
    assert [call.body["max_tokens"] for call in upstream.calls_of("worker")] == [10] * 3
    # Ten tokens are about thirty bytes, five of which the first section has used.
    assert heard.text == f"## Part 1\n\nfirst\n\n## Part 2\n\n{'ä' * 12}"
    assert heard.finish_reason == "length"
    # Nobody waits or pays for what can no longer be heard.
    await hung_up(of_subtask(upstream, "Part 3")[0])
    reasons = {it["id"]: it["reason"] for it in heard.report["results"]}
    assert reasons["s3"] == "the answer has reached its limit"
    assert heard.report["timed_out"] is False


async def test_beyond_the_callers_cap_no_worker_is_sent(stage: Stage) -> None:
    upstream = stage.upstream
    upstream.answer("worker", Reply(text="a" * 30))
    async with listening(stage.http, model="one-by-one", max_tokens=10) as heard:
        await heard.to_the_end()
    assert heard.text == f"## Part 1\n\n{'a' * 30}"
    assert heard.finish_reason == "length"
    assert len(upstream.calls_of("worker")) <= 2


async def test_at_the_deadline_what_is_finished_is_there_and_the_rest_is_named(
    stage: Stage,
) -> None:
    upstream, never = stage.upstream, asyncio.Event()
    upstream.answer("lead", Reply(plan=[subtask(n) for n in range(1, 5)]))
    upstream.answer_subtask("Part 1", Reply(text="first text"))
    upstream.answer_subtask("Part 2", Reply(text="second text", hold_after_pieces=(1, never)))
    upstream.answer_subtask("Part 3", Reply(text="third text"))
    upstream.answer_subtask("Part 4", Hang())
    async with listening(stage.http, model="hurried") as heard:
        await heard.to_the_end()
    gap = "\n\nMissing from this answer: “{}” (not done after 1 s)."
    assert heard.text == (
        "## Part 1\n\nfirst text\n\n## Part 2\n\nsecond "
        + gap.format("Part 2")
        + "\n\n## Part 3\n\nthird text"
        + gap.format("Part 4")
    )
    assert heard.finish_reason == "length"
    assert heard.report["timed_out"] is True
    assert 0.95 <= heard.report["phases"]["coordination_seconds"] <= 1.4
    for title in ("Part 2", "Part 4"):
        await hung_up(of_subtask(upstream, title)[0])


async def test_a_plan_of_one_has_no_heading(stage: Stage) -> None:
    upstream, plan_closed = stage.upstream, asyncio.Event()
    upstream.answer("lead", Reply(plan=[subtask(1)]))
    upstream.answer("worker", Reply(text="the answer", hold_before=plan_closed))
    async with listening(stage.http, model="sections") as heard:
        await heard.until_event("plan_closed")
        plan_closed.set()
        await heard.to_the_end()
    assert heard.text == "the answer"


async def test_an_only_section_heard_before_the_plans_end_has_the_time_of_a_direct_answer(
    stage: Stage,
) -> None:
    upstream, rest_of_plan = stage.upstream, asyncio.Event()
    plan = plan_json(subtask(1))
    before_its_end = (len(plan) - len("]}"), rest_of_plan)
    upstream.answer("lead", Reply(plan_json=plan, piece=1, hold_after_pieces=before_its_end))
    stuck = Reply(text="the answer", hold_after_pieces=(1, asyncio.Event()))
    upstream.answer("worker", stuck)
    async with listening(stage.http, model="hurried") as heard:
        await heard.until_text("the ans")
        rest_of_plan.set()
        await heard.to_the_end()
    assert heard.text == "## Part 1\n\nthe ans"
    assert heard.finish_reason == "length"
    assert 1.9 < heard.report["phases"]["coordination_seconds"] < 2.5


async def test_leaving_closes_every_workers_connection(stage: Stage) -> None:
    upstream = stage.upstream
    upstream.answer("lead", Reply(plan=[subtask(1), subtask(2), subtask(3)]))
    stuck = Reply(text="some text", hold_after_pieces=(1, asyncio.Event()))
    upstream.answer("worker", stuck)
    async with listening(stage.http, model="sections") as heard:
        await heard.until_text("some te")
        await upstream.arrived(3, "worker")
    for call in upstream.calls_of("worker"):
        await hung_up(call)
    assert len(upstream.calls) == 4
