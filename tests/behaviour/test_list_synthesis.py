"""`synthesis = "list"`: the answer is the results themselves, as a JSON array."""

import asyncio
import json
from typing import Any

import pytest

from dumb_upstream import Hang, Reply, Status
from listening import listening
from plans import subtask
from stage import Stage

TEAMS = {
    "list": 'synthesis = "list"',
    "small-list": 'synthesis = "list"\n[caps]\nmax_subtasks = 2',
    "skipping": 'synthesis = "list"\nmissing_dependency = "skip"',
    "hurried": 'synthesis = "list"\n[timeouts]\ncoordination = 1',
    "typed": 'synthesis = "list"\n[types.figures]\nschema = { type = "object" }',
}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS)]


def entry(number: int, text: Any, **fields: Any) -> dict[str, Any]:
    usual = {"type": None, "outcome": "succeeded", "reason": None}
    return {"id": f"s{number}", "title": f"Part {number}", "text": text, **usual, **fields}


async def test_the_answer_is_an_array_of_all_results_in_plan_order(stage: Stage) -> None:
    upstream, first = stage.upstream, asyncio.Event()
    upstream.answer("lead", Reply(plan=[subtask(n) for n in range(1, 4)]))
    upstream.answer_subtask("Part 1", Reply(text='first "text"', hold_before=first))
    upstream.answer_subtask("Part 2", Status(400, "invalid_request_error"))
    upstream.answer_subtask("Part 3", Reply(text="third"))
    async with listening(stage.http, model="list") as heard:
        await heard.until_event("worker_finished", subtask_id="s2")
        await heard.until_event("worker_finished", subtask_id="s3")
        first.set()
        await heard.to_the_end()
    refused = {"outcome": "failed", "reason": "the model provider refuses the request"}
    assert json.loads(heard.text) == [
        entry(1, 'first "text"'),
        entry(2, None, **refused),
        entry(3, "third"),
    ]
    assert heard.finish_reason == "stop"
    assert heard.report["partial"] is True
    assert upstream.calls_of("synthesizer") == []


async def test_results_that_are_json_stand_in_the_array_as_values(stage: Stage) -> None:
    plan = [subtask(1, output="json"), subtask(2, type="figures"), subtask(3)]
    stage.upstream.answer("lead", Reply(plan=plan))
    stage.upstream.answer_subtask("Part 1", Reply(text='```json\n["a", 1.5, null]\n```'))
    stage.upstream.answer_subtask("Part 2", Reply(text='{"b": {"c": []}}'))
    stage.upstream.answer_subtask("Part 3", Reply(text='{"only": "text"}'))
    seen = await stage.watch("typed")
    assert json.loads(seen.answer) == [
        entry(1, ["a", 1.5, None]),
        entry(2, {"b": {"c": []}}, type="figures"),
        entry(3, '{"only": "text"}'),
    ]


async def test_what_was_dropped_from_the_plan_stands_at_the_end(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(plan=[subtask(n) for n in range(1, 4)]))
    stage.upstream.answer("worker", Reply(text="done"))
    seen = await stage.watch("small-list")
    dropped = {"id": None, "title": None, "outcome": "skipped"}
    assert json.loads(seen.answer) == [
        entry(1, "done"),
        entry(2, "done"),
        entry(3, None, reason="1 planned part that was dropped", **dropped),
    ]


async def test_a_skipped_and_a_late_subtask_have_entries_with_their_reasons(stage: Stage) -> None:
    upstream = stage.upstream
    upstream.answer("lead", Reply(plan=[subtask(1), subtask(2, depends_on=["s1"]), subtask(3)]))
    upstream.answer_subtask("Part 1", Status(400, "invalid_request_error"))
    upstream.answer_subtask("Part 3", Reply(text="done"))
    skipped = json.loads((await stage.watch("skipping")).answer)[1]
    assert skipped == entry(
        2, None, outcome="skipped", reason="it needs “Part 1”, which is missing"
    )
    upstream.answer("lead", Reply(plan=[subtask(3), subtask(4)]))
    upstream.answer_subtask("Part 4", Hang())
    seen = await stage.watch("hurried")
    late = entry(4, None, outcome="timed_out", reason="not done after 1 s")
    assert json.loads(seen.answer) == [entry(3, "done"), late]
    assert seen.report["timed_out"] is True


async def test_one_subtask_is_an_array_of_one_and_its_worker_is_not_heard_live(
    stage: Stage,
) -> None:
    upstream, rest, begun = stage.upstream, asyncio.Event(), asyncio.Event()
    upstream.answer("lead", Reply(plan=[subtask(1)]))
    writing = Reply(text="some text", hold_after_pieces=(1, rest), on_piece=begun.set)
    upstream.answer("worker", writing)
    async with listening(stage.http, model="list") as heard:
        await heard.until_event("plan_closed")
        async with asyncio.timeout(5):
            await begun.wait()
        rest.set()
        await heard.to_the_end()
    assert heard.deltas == [heard.text]
    assert json.loads(heard.text) == [entry(1, "some text")]


async def test_when_everything_fails_there_is_an_error_and_no_array(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(plan=[subtask(1), subtask(2)]))
    stage.upstream.answer("worker", Status(400, "invalid_request_error"))
    seen = await stage.watch("list")
    assert seen.answer == ""
    assert seen.error
    assert seen.error["code"] == "upstream_error"


async def test_what_the_lead_says_before_its_plan_does_not_spoil_the_array(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text="Let me see.", plan=[subtask(1), subtask(2)]))
    stage.upstream.answer("worker", Reply(text="done"))
    seen = await stage.watch("list")
    assert json.loads(seen.answer) == [entry(1, "done"), entry(2, "done")]


async def test_a_lead_that_answers_by_itself_is_read_as_ever(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text="Paris, of course."))
    seen = await stage.watch("list")
    assert seen.answer == "Paris, of course."
    assert len(stage.upstream.calls) == 1
