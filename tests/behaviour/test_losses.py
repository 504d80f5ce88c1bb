"""Nothing is lost without a word: deadlines, caps and rounds at the places where they meet."""

import asyncio
from typing import Any

import pytest

from chat import MODEL, QUESTION, answer_of
from dumb_upstream import Hang, Reply, Status
from plans import plan_json, subtask, subtasks, working
from stage import Stage

TWICE = "[caps]\nmax_rounds = 2\n"
TEAMS = {
    "list": 'synthesis = "list"\n[timeouts]\ndirect_answer = 1',
    "listing": 'synthesis = "list"',
    "twice": TWICE,
    "hurried": f"{TWICE}[timeouts]\ncoordination = 1",
    "quick": "[timeouts]\ncoordination = 1",
    "late": "[timeouts]\nsynthesis = 1",
    "fixed": 'route = "fixed"\n'
    + "\n".join(f'[[subtasks]]\nid = "s{n}"\ntitle = "Part {n}"' for n in (1, 2, 3)),
    "typed": '[types.memo]\nprompt = "A memo on {{title}}."',
    "short": "reduce_above_tokens = 1000",
}
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.served(TEAMS, MAX_SUBTASKS="3"),
]
USELESS = Reply(plan_json='{"subtasks": [null]}')


def finish_reason(response: Any) -> str:
    return response.json()["choices"][0]["finish_reason"]


async def test_words_held_back_for_a_list_are_said_at_the_deadline(stage: Stage) -> None:
    never = asyncio.Event()
    text = "Half of a long answer"
    stage.upstream.answer("lead", Reply(text=text, hold_after_pieces=(2, never)))
    response = await stage.ask("list")
    assert answer_of(response) == text[:14]
    assert finish_reason(response) == "length"


async def test_a_list_is_whole_also_when_its_entries_are_not(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(plan=subtasks(1, 2)))
    stage.upstream.answer_subtask("Part 1", Reply(text="done"))
    stage.upstream.answer_subtask("Part 2", Status(400))
    assert finish_reason(await stage.ask("listing")) == "stop"


async def test_a_review_finds_the_result_of_the_request_as_a_whole(stage: Stage) -> None:
    working(stage.upstream)
    again = Reply(plan=[{"id": "s1", "title": "More", "instructions": "x", "depends_on": ["s1"]}])
    stage.upstream.answer("lead", USELESS, USELESS, again)
    stage.upstream.answer("worker", Reply(text="FIRST"), Reply(text="SECOND"))
    seen = await stage.watch("twice")
    first, second = stage.upstream.calls_of("worker")
    assert QUESTION in first.last_text
    assert "FIRST" in second.last_text
    assert [it["text"] for it in seen.report["results"]] == ["FIRST", "SECOND"]


async def test_a_full_plan_is_not_reviewed(stage: Stage) -> None:
    working(stage.upstream, *subtasks(1, 2, 3))
    await stage.ask("twice")
    assert stage.roles.count("lead") == 1


async def test_what_a_review_asks_for_in_vain_is_named(stage: Stage) -> None:
    working(stage.upstream)
    stage.upstream.answer("lead", Reply(plan=subtasks(1, 2)), Reply(plan=subtasks(3, 4, 5)))
    seen = await stage.watch("twice")
    assert "2 planned parts that were dropped" in seen.answer
    assert seen.report["partial"] is True


async def test_a_review_that_is_cut_off_is_named(stage: Stage) -> None:
    working(stage.upstream)
    cut = plan_json(subtask(3), subtask(4)).rpartition("{")[0]
    stage.upstream.answer(
        "lead", Reply(plan=subtasks(1, 2)), Reply(plan_json=cut, stop_reason="max_tokens")
    )
    seen = await stage.watch("twice")
    assert [it["title"] for it in seen.report["results"]] == ["Part 1", "Part 2", "Part 3"]
    assert "the rest of the plan, which broke off" in seen.answer


async def test_a_review_that_the_deadline_cuts_off_is_named(stage: Stage) -> None:
    working(stage.upstream)
    text = plan_json(subtask(3), subtask(4))
    pieces = text.index("},") // 7 + 2
    halted = Reply(plan_json=text, hold_after_pieces=(pieces, asyncio.Event()))
    stage.upstream.answer("lead", Reply(plan=subtasks(1, 2)), halted)
    seen = await stage.watch("hurried")
    assert [it["title"] for it in seen.report["results"]] == ["Part 1", "Part 2", "Part 3"]
    assert "the rest of the plan, which was not finished in time" in seen.answer
    assert (seen.report["partial"], seen.report["timed_out"]) == (True, True)


async def test_a_deadline_while_asking_for_another_plan_is_a_timeout(stage: Stage) -> None:
    stage.upstream.answer("lead", USELESS, Hang())
    response = await stage.ask("quick")
    assert response.status_code == 504
    assert response.headers["x-should-retry"] == "false"
    assert "coordination phase" in response.json()["error"]["message"]


async def test_a_synthesis_that_never_begins_leaves_the_results_where_words_stand(
    stage: Stage,
) -> None:
    stage.upstream.answer("lead", Reply(text="Let me see.", plan=subtasks(1, 2)))
    stage.upstream.answer("worker", Reply(text="a result"))
    stage.upstream.answer("synthesizer", Hang())
    response = await stage.ask("late")
    assert answer_of(response).startswith("Let me see.\n\n## Part 1\n\na result")
    assert finish_reason(response) == "length"
    seen = await stage.watch("late")
    assert (seen.report["timed_out"], seen.report["partial"]) == (True, True)


async def test_a_timeout_of_the_synthesis_shows_in_the_report(stage: Stage) -> None:
    working(stage.upstream, *subtasks(1, 2))
    stage.upstream.answer("synthesizer", Hang())
    seen = await stage.watch("late")
    assert seen.error
    assert seen.error["code"] == "timeout"
    assert seen.report["timed_out"] is True


CAPS: dict[str, tuple[str, int, list[int]]] = {
    "a fixed plan": ("fixed", 100, [4096] * 3),
    "a list": ("listing", 1100, [4096] * 2),
    "a reviewed plan": ("twice", 1100, [4096] * 2),
}


@pytest.mark.parametrize("name", CAPS)
async def test_only_a_worker_that_may_be_the_answer_keeps_to_the_callers_cap(
    stage: Stage, name: str
) -> None:
    team, cap, expected = CAPS[name]
    working(stage.upstream)
    stage.upstream.answer("lead", Reply(plan=subtasks(1, 2)), Reply(text="Enough."))
    await stage.ask(team, max_tokens=cap)
    assert [it.body["max_tokens"] for it in stage.upstream.calls_of("worker")] == expected


async def test_nobody_thinks_under_a_small_cap(stage: Stage) -> None:
    working(stage.upstream)
    await stage.ask("fixed", max_tokens=100, reasoning_effort="xhigh")
    assert [call.body["thinking"]["type"] for call in stage.upstream.calls] == ["disabled"] * 4


async def test_a_callers_cap_never_raises_the_operators_limit(stage: Stage) -> None:
    working(stage.upstream, *subtasks(1, 2))
    await stage.ask("twice", max_tokens=900_000)
    assert {call.body["max_tokens"] for call in stage.upstream.calls} == {4096, 8192}


async def test_a_refused_synthesis_is_a_refusal(stage: Stage) -> None:
    working(stage.upstream, *subtasks(1, 2))
    stage.upstream.answer("synthesizer", Reply(text="", stop_reason="refusal"))
    response = await stage.ask("quick")
    assert (answer_of(response), finish_reason(response)) == ("", "content_filter")


async def test_an_only_worker_that_declines_is_a_refusal_and_no_error(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(plan=subtasks(1)))
    stage.upstream.answer("worker", Reply(text="", stop_reason="refusal"))
    response = await stage.ask("quick")
    assert (answer_of(response), finish_reason(response)) == ("", "content_filter")


@pytest.mark.parametrize("reason", ["model_context_window_exceeded", "pause_turn"])
async def test_a_result_that_would_have_gone_on_is_flagged(stage: Stage, reason: str) -> None:
    working(stage.upstream, *subtasks(1, 2))
    stage.upstream.answer_subtask("Part 2", Reply(text="half", stop_reason=reason))
    seen = await stage.watch("quick")
    assert seen.report["partial"] is True
    assert 'truncated="true"' in stage.upstream.calls_of("synthesizer")[0].last_text


async def test_a_types_prompt_without_a_place_for_them_is_followed_by_the_instructions(
    stage: Stage,
) -> None:
    working(stage.upstream, subtask(1, type="memo", instructions="IMPORTANT"), subtask(2))
    await stage.ask("typed")
    assert "A memo on Part 1.\n\nIMPORTANT" in stage.upstream.calls_of("worker")[0].last_text


async def test_however_much_there_is_to_shorten_every_reducer_may_write(stage: Stage) -> None:
    working(stage.upstream, *subtasks(1, 2))
    stage.upstream.answer("worker", Reply(text="word " * 20_000, piece=50_000))
    stage.upstream.answer("reducer", Reply(text="short"))
    messages = [{"role": "user", "content": QUESTION + " and more" * 800}]
    await stage.ask("short", messages=messages)
    reducers = stage.upstream.calls_of("reducer")
    assert 1 < len(reducers) <= 66
    assert {call.body["max_tokens"] for call in reducers} == {256}


async def test_two_header_lines_are_one_wish(stage: Stage) -> None:
    working(stage.upstream, *subtasks(1, 2))
    response = await stage.http.post(
        "/v1/chat/completions",
        json={"model": MODEL, "messages": [{"role": "user", "content": QUESTION}]},
        headers=[("x-orchestration", "usage"), ("x-orchestration", "results")],
    )
    assert {"agents", "results"} <= set(response.json()["orchestration"])
