"""A lead whose plan was cut off, or is of no use, is asked once more; what runs goes on running."""

import asyncio
import json
from collections.abc import Callable

import pytest

from chat import QUESTION, answer_of, frames_of
from dumb_upstream import Answer, DumbCall, Hang, Reply, Status
from plans import plan_json, subtask, working
from served_teams import AS_BUNDLED
from stage import Stage

TEAMS = {
    "auto": "",
    "always": 'route = "always"',
    "text": 'plan_form = "text"',
    "hasty": "[timeouts]\ncoordination = 1",
}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served({**AS_BUNDLED, **TEAMS})]


CUT = plan_json(subtask(1), subtask(2))[: -len("]}")] + ', {"id": "s3", "title": "Lost", "inst'
ELEMENTS = "".join(
    f"<task><id>s{n}</id><title>Part {n}</title><description>Do it.</description></task>"
    for n in (1, 2)
)
CUTS: dict[str, tuple[str, Reply]] = {
    "max_tokens": ("auto", Reply(plan_json=CUT, stop_reason="max_tokens")),
    "no message_stop": ("auto", Reply(plan_json=CUT, truncate=True)),
    "a lost connection": ("auto", Reply(plan_json=CUT, piece=len(CUT), cut_after_pieces=1)),
    "an error event": (
        "auto",
        Reply(plan_json=CUT, piece=len(CUT), error_after_pieces=(1, "overloaded_error")),
    ),
    "an open list": ("auto", Reply(plan_json=CUT)),
    "structured output": ("always", Reply(text=CUT, stop_reason="max_tokens")),
    "text": ("text", Reply(text=f"```json\n{CUT}", stop_reason="max_tokens")),
    "elements": ("text", Reply(text=f"<tasks>{ELEMENTS}<task><id>", stop_reason="max_tokens")),
}


def planned(team: str, text: str) -> Reply:
    return Reply(plan_json=text) if team in {"auto", "hasty"} else Reply(text=text)


def all_working(stage: Stage) -> None:
    working(stage.upstream)
    for number in (4, 3, 2, 1):  # a turn also names the titles before its own
        stage.upstream.answer_subtask(f"Part {number}", Reply(text=f"result {number}"))
    stage.upstream.answer("worker", Reply(text="done alone"))


def purposes(stage: Stage) -> list[str]:
    return [call.purpose for call in stage.upstream.calls_of("lead")]


def subtasks_run(stage: Stage) -> list[str]:
    turns = [call.last_text for call in stage.upstream.calls_of("worker")]
    return sorted(turn.split('subtask is "')[1].split('"')[0] for turn in turns)


@pytest.mark.parametrize("name", CUTS)
async def test_a_cut_plan_keeps_what_was_closed_and_the_rest_is_asked_for(
    stage: Stage, name: str
) -> None:
    team, cut = CUTS[name]
    all_working(stage)
    rest = plan_json(subtask(3, depends_on=["s1"]), subtask(4, depends_on=["s3"]))
    stage.upstream.answer("lead", cut, planned(team, rest))
    response = await stage.ask(team, headers={"x-orchestration": "results, usage"})
    assert answer_of(response) == "the answer"
    report = response.json()["orchestration"]
    assert [it["text"] for it in report["results"]] == [f"result {n}" for n in (1, 2, 3, 4)]
    assert (report["partial"], report["omissions"]) == (False, [])
    assert [a["purpose"] for a in report["agents"][:2]] == [None, "rest of plan"]
    assert purposes(stage) == ["", "rest of plan"]
    third = next(c for c in stage.upstream.calls_of("worker") if '"Part 3"' in c.last_text)
    assert "result 1" in third.last_text
    assert "result 2" not in third.last_text


async def test_the_rest_is_asked_for_in_the_same_conversation(stage: Stage) -> None:
    all_working(stage)
    entry = subtask(2, title='Say "no"', depends_on=["s1"])
    cut = Reply(plan_json=plan_json(subtask(1), entry)[:-2], stop_reason="max_tokens")
    stage.upstream.answer("lead", cut, Reply(text="complete"))
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": QUESTION},
    ]
    await stage.ask("auto", messages=messages, max_tokens=2000)
    first, again = stage.upstream.calls_of("lead")
    assert again.body["messages"][:-1] == first.body["messages"][:-1]
    *same, asked = again.body["messages"][-1]["content"]
    assert same == first.body["messages"][-1]["content"]
    for field in ("model", "tools", "tool_choice", "output_config", "thinking"):
        assert again.body[field] == first.body[field]
    assert again.system_text == first.system_text
    listed = next(line for line in asked["text"].splitlines() if line.startswith("["))
    assert json.loads(listed) == [
        {"id": "s1", "title": "Part 1", "depends_on": []},
        {"id": "s2", "title": 'Say "no"', "depends_on": ["s1"]},
    ]
    # The caller's cap is on the answer, which this can no longer be.
    assert (first.body["max_tokens"], again.body["max_tokens"]) == (2000, 8192)


NOTHING_MISSING = {
    "complete": ("auto", Reply(text="complete")),
    "in a sentence": ("auto", Reply(text="Nothing is missing.")),
    "an empty plan": ("auto", Reply(plan=[])),
    "an empty list": ("always", Reply(text='{"subtasks": []}')),
    "complete as text": ("text", Reply(text="complete")),
}


@pytest.mark.parametrize("name", NOTHING_MISSING)
async def test_when_the_lead_says_that_nothing_is_missing_nothing_is(
    stage: Stage, name: str
) -> None:
    team, rest = NOTHING_MISSING[name]
    all_working(stage)
    closed = plan_json(subtask(1), subtask(2))[:-2]
    cut = Reply(plan_json=closed) if team == "auto" else Reply(text=closed)
    stage.upstream.answer("lead", cut, rest)
    response = await stage.ask(team, headers={"x-orchestration": "results"})
    assert answer_of(response) == "the answer"
    assert response.json()["orchestration"]["partial"] is False
    assert subtasks_run(stage) == ["Part 1", "Part 2"]
    assert purposes(stage) == ["", "rest of plan"]


AGAIN: dict[str, tuple[Answer, list[str]]] = {
    "cut again": (
        Reply(plan_json=plan_json(subtask(3), subtask(4))[:-20], stop_reason="max_tokens"),
        ["Part 1", "Part 2", "Part 3"],
    ),
    "cut before anything": (Reply(plan_json="", stop_reason="max_tokens"), ["Part 1", "Part 2"]),
    "its words cut": (Reply(text="comp", truncate=True), ["Part 1", "Part 2"]),
    "a refusal": (Reply(text="", stop_reason="refusal"), ["Part 1", "Part 2"]),
    "an error": (Status(400, "invalid_request_error"), ["Part 1", "Part 2"]),
}


@pytest.mark.parametrize("name", AGAIN)
async def test_what_is_still_missing_then_is_named_and_not_asked_for_again(
    stage: Stage, name: str
) -> None:
    rest, run = AGAIN[name]
    all_working(stage)
    stage.upstream.answer("lead", Reply(plan_json=CUT, stop_reason="max_tokens"), rest)
    response = await stage.ask("auto", headers={"x-orchestration": "results"})
    note = "Missing from this answer: the rest of the plan, which broke off."
    assert answer_of(response) == f"the answer\n\n{note}"
    report = response.json()["orchestration"]
    assert (report["partial"], len(report["omissions"])) == (True, 1)
    assert subtasks_run(stage) == run
    assert purposes(stage) == ["", "rest of plan"]
    assert "the rest of the plan" in stage.upstream.calls_of("synthesizer")[0].last_text


async def test_workers_that_run_are_not_disturbed_while_the_rest_is_asked_for(stage: Stage) -> None:
    upstream = stage.upstream
    all_working(stage)
    work, tell = asyncio.Event(), asyncio.Event()
    upstream.answer_subtask("Part 1", Reply(text="result 1", hold_before_text=work))
    rest = Reply(plan=[subtask(3)], hold_before=tell)
    upstream.answer("lead", Reply(plan_json=CUT, stop_reason="max_tokens"), rest)
    asking = asyncio.create_task(stage.ask("auto"))
    await upstream.arrived(2, "lead")
    await upstream.arrived(2, "worker")
    first = next(call for call in upstream.calls_of("worker") if '"Part 1"' in call.last_text)
    second = upstream.calls_of("lead")[1]
    assert (first.done, second.done) == (False, False)  # both in flight
    work.set()
    tell.set()
    assert answer_of(await asking) == "the answer"
    assert first.done
    assert not first.client_left.is_set()
    assert subtasks_run(stage) == ["Part 1", "Part 2", "Part 3"]


async def test_what_the_rest_adds_starts_while_it_is_still_being_written(stage: Stage) -> None:
    all_working(stage)
    go_on = asyncio.Event()
    text = plan_json(subtask(3), subtask(4))
    held = Reply(plan_json=text, piece=1, hold_after_pieces=(text.index("}") + 1, go_on))
    stage.upstream.answer("lead", Reply(plan_json=CUT, stop_reason="max_tokens"), held)
    asking = asyncio.create_task(stage.ask("auto"))
    await stage.upstream.arrived(3, "worker")
    assert subtasks_run(stage) == ["Part 1", "Part 2", "Part 3"]
    assert not stage.upstream.calls_of("lead")[1].done
    go_on.set()
    assert answer_of(await asking) == "the answer"


async def test_a_rest_that_does_not_come_in_time_is_named(stage: Stage) -> None:
    all_working(stage)
    stage.upstream.answer("lead", Reply(plan_json=CUT, stop_reason="max_tokens"), Hang())
    response = await stage.ask("hasty", headers={"x-orchestration": "usage"})
    assert "the rest of the plan, which was not finished in time" in answer_of(response)
    assert response.json()["orchestration"]["timed_out"] is True
    async with asyncio.timeout(5):
        await stage.upstream.calls_of("lead")[1].client_left.wait()


@pytest.mark.parametrize(
    "reply",
    [
        Reply(plan_json=plan_json(subtask(1), subtask(2))[:-1], stop_reason="max_tokens"),
        Reply(plan_json=plan_json(subtask(1), subtask(2)), truncate=True),
    ],
    ids=["max_tokens", "no message_stop"],
)
async def test_what_breaks_off_after_the_lists_end_lacks_nothing(
    stage: Stage, reply: Reply
) -> None:
    all_working(stage)
    stage.upstream.answer("lead", reply)
    response = await stage.ask("auto", headers={"x-orchestration": "usage"})
    assert answer_of(response) == "the answer"
    assert response.json()["orchestration"]["partial"] is False
    assert purposes(stage) == [""]


USELESS: dict[str, tuple[str, str, str]] = {
    # The team, what its lead writes, and what it is told of that.
    "no objects": ("auto", '{"subtasks": [null, 3]}', "subtask 2 dropped: not an object"),
    "nothing to do": ("auto", '{"subtasks": [{"id": "x"}]}', "neither instructions nor a title"),
    "not JSON": ("auto", '{"subtasks": [{"id": 01}, {]}', "subtask 1 dropped: not valid JSON"),
    "no subtasks": ("auto", '{"subtasks": []}', "No complete subtask was found in it."),
    "another form": ("auto", '{"steps": ["a"]}', "No complete subtask was found in it."),
    "nothing": ("auto", "", "No complete subtask was found in it."),
    "prose": ("always", "I would rather answer.", "No complete subtask was found in it."),
    "no elements": ("text", "<tasks><task></task></tasks>", "neither instructions nor a title"),
}


@pytest.mark.parametrize("name", USELESS)
async def test_a_useless_plan_is_written_again_with_the_reasons_told(
    stage: Stage, name: str
) -> None:
    team, text, reason = USELESS[name]
    all_working(stage)
    better = plan_json(subtask(1), subtask(2))
    stage.upstream.answer("lead", planned(team, text), planned(team, better))
    response = await stage.ask(team, headers={"x-orchestration": "results"})
    assert answer_of(response) == "the answer"
    report = response.json()["orchestration"]
    assert (report["partial"], report["omissions"]) == (False, [])
    assert purposes(stage) == ["", "repair"]
    first, again = stage.upstream.calls_of("lead")
    assert reason in again.last_text
    assert again.last_text.startswith(first.last_text)
    assert subtasks_run(stage) == ["Part 1", "Part 2"]


TWICE: dict[str, Callable[[str, str], Answer]] = {
    "useless again": planned,
    "words": lambda team, text: Reply(text="I cannot."),
    "an error": lambda team, text: Status(400, "invalid_request_error"),
    "a lost connection": lambda team, text: Reply(text="…", cut_after_pieces=0),
}


@pytest.mark.parametrize("again", TWICE)
@pytest.mark.parametrize("team", ["auto", "always", "text"])
async def test_after_a_second_useless_plan_one_worker_gets_the_callers_own_request(
    stage: Stage, team: str, again: str
) -> None:
    all_working(stage)
    text = '{"subtasks": [{"id": "x"}, 7, {bad}]}'
    stage.upstream.answer("lead", planned(team, text), TWICE[again](team, text))
    response = await stage.ask(team, headers={"x-orchestration": "results"})
    assert answer_of(response) == "done alone"
    assert response.json()["orchestration"]["partial"] is False
    assert [call.role for call in distinct(stage)] == ["lead", "lead", "worker"]
    assert stage.upstream.calls[-1].last_text.endswith(QUESTION)


def distinct(stage: Stage) -> list[DumbCall]:
    """Return the calls without those that only try one again."""
    seen = {(call.role, call.purpose): call for call in stage.upstream.calls}
    return list(seen.values())


async def test_a_repaired_plan_that_is_cut_keeps_its_part_and_is_not_asked_for_again(
    stage: Stage,
) -> None:
    all_working(stage)
    cut = Reply(plan_json=CUT, stop_reason="max_tokens")
    stage.upstream.answer("lead", Reply(plan_json="{}"), cut)
    answer = answer_of(await stage.ask("auto"))
    assert answer.startswith("the answer")
    assert "the rest of the plan, which broke off" in answer
    assert purposes(stage) == ["", "repair"]


async def test_a_plan_that_fails_before_its_first_subtask_is_an_error(stage: Stage) -> None:
    broken = Reply(plan_json=CUT, piece=20, cut_after_pieces=1)
    stage.upstream.answer("lead", broken)
    response = await stage.ask("auto")
    assert response.status_code == 502
    assert purposes(stage) == [""]


async def test_progress_tells_what_was_wrong_with_a_plan(stage: Stage) -> None:
    all_working(stage)
    better = Reply(plan=[subtask(1), subtask(2)])
    stage.upstream.answer("lead", Reply(plan_json='{"subtasks": [7]}'), better)
    response = await stage.ask("auto", stream=True, headers={"x-orchestration": "progress"})
    told = [f["orchestration"] for f in frames_of(response) if "orchestration" in f]
    names = [e["event"] for e in told if e["event"] in {"plan_repaired", "subtask_planned"}]
    assert names == ["plan_repaired", "subtask_planned", "subtask_planned"]
    closed = [event["subtasks"] for event in told if event["event"] == "plan_closed"]
    assert closed == [2]
