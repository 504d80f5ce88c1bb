"""Stop sequences: the answer ends before the first of them, whoever writes it, and nothing is paid
for after it.
"""

import asyncio
from typing import Any

import pytest

from chat import MODEL, answer_of, frames_of
from dumb_upstream import DumbCall, Reply, Status
from listening import hung_up, listening, of_subtask
from plans import plan_json, subtasks
from simulated import INSTANT, Simulated
from stage import Stage
from worker_turns import WORKER_PROMPT

TEAMS = {
    "never": 'route = "never"',
    "always": 'route = "always"',
    "sections": 'synthesis = "sections"',
    "text": 'plan_form = "text"',
    "plain": 'route = "never"\nlead.model = "claude-sonnet-5-5-plain"',
}
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.served({"default": {"worker.md": WORKER_PROMPT}, **TEAMS}),
]
TEXT = "One. Two. END Three."
NEVER = asyncio.Event()
"""Is never set: what waits for it must be hung up on."""


def endless(text: str) -> Reply:
    """An answer that goes on for ever after this."""
    pieces = -(-len(text) // Reply.piece)
    return Reply(text=f"{text}{' more' * 10}", hold_after_pieces=(pieces + 1, NEVER))


def at_work(stage: Stage, *answers: Any, count: int = 2) -> None:
    stage.upstream.answer("lead", Reply(plan=subtasks(*range(1, count + 1))))
    stage.upstream.answer("worker", Reply(text="done"))
    stage.upstream.answer("synthesizer", *answers)


def stops_of(call: DumbCall) -> list[str] | None:
    return call.body.get("stop_sequences")


@pytest.mark.parametrize(
    ("stop", "heard"),
    [
        ("END", "One. Two. "),
        (["Three", "END"], "One. Two. "),
        (["Four"], TEXT),
        (" END", "One. Two."),
        ([" "], "One."),
        ("One", ""),
        ("", TEXT),
        (["", "Two"], "One. "),
        ([], TEXT),
        (None, TEXT),
        (["x"] * 15 + ["END"], "One. Two. "),
    ],
)
@pytest.mark.parametrize("piece", [1, 3, 100])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_answer_ends_before_the_first_of_them(
    stage: Stage, stop: Any, heard: str, piece: int, stream: bool
) -> None:
    stage.upstream.answer("lead", Reply(text=TEXT, piece=piece))
    response = await stage.ask(stop=stop, stream=stream)
    assert answer_of(response) == heard
    last = frames_of(response)[-1] if stream else response.json()
    assert last["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("stop", "param"),
    [
        (["x"] * 17, "stop"),
        ("x" * 1001, "stop"),
        (["a", "x" * 1001], "stop.1"),
        (5, "stop"),
        ({"a": 1}, "stop"),
        (["a", None], "stop.1"),
        (True, "stop"),
    ],
)
async def test_what_is_no_stop_sequence_is_refused(stage: Stage, stop: Any, param: str) -> None:
    response = await stage.ask(stop=stop)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert stage.upstream.calls == []


async def test_the_longest_of_them_is_met_too(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text=f"ab{'x' * 1000}cd"))
    assert answer_of(await stage.ask(stop="x" * 1000)) == "ab"
    assert answer_of(await stage.ask(stop="b" + "x" * 998 + "c")) == f"ab{'x' * 1000}cd"


async def test_a_call_that_surely_writes_the_answer_carries_those_that_the_api_takes(
    stage: Stage,
) -> None:
    stop = ["END", "\n\n", " ", "\t", "a b"]
    taken = ["END", "a b"]
    stage.upstream.answer("lead", Reply(text="ok"))
    await stage.ask("never", stop=stop)
    await stage.ask(stop=stop, max_tokens=100)
    await stage.ask(stop=stop, reasoning_effort="none")
    assert [stops_of(call) for call in stage.upstream.calls] == [taken] * 3
    await stage.ask("never", stop=["\n\n", " "])
    assert stops_of(stage.upstream.calls[-1]) is None


async def test_a_call_that_may_plan_or_call_tools_carries_none(stage: Stage) -> None:
    tools = [{"type": "function", "function": {"name": "look_up"}}]
    at_work(stage, Reply(text="ok"))
    await stage.ask(stop="id")
    await stage.ask("sections", stop="id")
    await stage.ask("always", stop="id")
    await stage.ask("text", stop="id")
    stage.upstream.answer("lead", Reply(text="ok"))
    await stage.ask("never", stop="id", tools=tools)
    calls = stage.upstream.calls
    assert {call.role for call in calls if stops_of(call)} == {"synthesizer"}
    assert stops_of(stage.upstream.calls_of("synthesizer")[0]) == ["id"]
    assert calls[-1].body["tools"]


@pytest.mark.parametrize("stop", ["END", "\n\n", ["\n"]])
async def test_a_direct_answer_ends_at_once_and_its_call_with_it(stage: Stage, stop: Any) -> None:
    stage.upstream.answer("lead", endless("One. END\n\n"))
    async with listening(stage.http, stop=stop) as heard:
        await heard.to_the_end()
    assert (heard.text, heard.finish_reason) == ("One. " if stop == "END" else "One. END", "stop")
    assert heard.report["partial"] is False
    await hung_up(stage.upstream.calls[0])


async def test_nothing_of_a_sequence_is_heard_before_it_is_complete(stage: Stage) -> None:
    rest = asyncio.Event()
    stage.upstream.answer(
        "lead", Reply(text="Go on. EN or not", hold_after_pieces=(9, rest), piece=1)
    )
    async with listening(stage.http, stop="END") as heard:
        await heard.until_text("Go on. ")
        assert heard.text == "Go on. "
        rest.set()
        await heard.to_the_end()
    assert heard.text == "Go on. EN or not"


async def test_what_is_held_at_the_end_is_not_lost(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text="One. EN"))
    assert answer_of(await stage.ask(stop="END")) == "One. EN"
    stage.upstream.answer("lead", Reply(text="One. EN and", cut_after_pieces=1))
    seen = await stage.watch(stop="END")
    assert (seen.answer, seen.error and seen.error["code"]) == ("One. EN", "upstream_error")


async def test_a_written_up_answer_ends_there_and_nothing_is_added(stage: Stage) -> None:
    at_work(stage, endless("The answer END"))
    stage.upstream.answer_subtask("Part 2", Status(400))
    async with asyncio.timeout(10):  # long before anybody gives up waiting for Claude
        seen = await stage.watch(stop="END")
    assert (seen.answer, seen.error) == ("The answer ", None)
    [synthesizer] = stage.upstream.calls_of("synthesizer")
    await hung_up(synthesizer)
    assert stops_of(synthesizer) == ["END"]


async def test_an_answer_that_claude_has_stopped_gets_no_note_either(stage: Stage) -> None:
    at_work(stage, Reply(text="The answer ", stop_reason="stop_sequence"))
    stage.upstream.answer_subtask("Part 2", Status(400))
    async with listening(stage.http, stop="END") as heard:
        await heard.to_the_end()
    assert (heard.text, heard.finish_reason) == ("The answer ", "stop")


@pytest.mark.parametrize("model", ["never", MODEL])
async def test_an_answer_that_claude_has_stopped_at_once_is_empty(stage: Stage, model: str) -> None:
    nothing = Reply(stop_reason="stop_sequence")
    at_work(stage, nothing)
    if model == "never":
        stage.upstream.answer("lead", nothing)
    response = await stage.ask(model, stop="END")
    assert answer_of(response) == ""
    assert response.json()["choices"][0]["finish_reason"] == "stop"
    assert [call.role for call in stage.upstream.calls].count("lead") == 1


SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
FORMS: list[dict[str, Any]] = [
    {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
    {"type": "json_object"},
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("model", ["never", MODEL, "always"])
@pytest.mark.parametrize("claude_stops", [False, True])
async def test_json_is_cut_like_any_text(
    stage: Stage, form: Any, model: str, claude_stops: bool
) -> None:
    whole = Reply(text='{"a": "one END two"}')
    cut = Reply(text='{"a": "one ', stop_reason="stop_sequence")
    at_work(stage, cut if claude_stops else whole)
    if model == "always":
        stage.upstream.answer("lead", Reply(text=plan_json(*subtasks(1, 2))))
    else:
        stage.upstream.answer("lead", cut if claude_stops and model == "never" else whole)
    async with listening(stage.http, model=model, response_format=form, stop="END") as heard:
        await heard.to_the_end()
    assert (heard.text, heard.finish_reason, heard.error) == ('{"a": "one ', "stop", None)
    assert "repair" not in [call.purpose for call in stage.upstream.calls]


async def test_the_only_workers_text_ends_there(stage: Stage) -> None:
    at_work(stage, count=1)
    stage.upstream.answer("worker", endless("The answer END"))
    async with listening(stage.http, stop="END") as heard:
        await heard.to_the_end()
    assert (heard.text, heard.finish_reason) == ("The answer ", "stop")
    await hung_up(stage.upstream.calls_of("worker")[0])
    assert stops_of(stage.upstream.calls_of("worker")[0]) is None
    assert heard.report["partial"] is False


async def test_later_sections_are_not_heard_and_not_paid_for(stage: Stage) -> None:
    at_work(stage, count=3)
    stage.upstream.answer_subtask("Part 1", Reply(text="first"))
    stage.upstream.answer_subtask("Part 2", endless("second END"))
    stage.upstream.answer_subtask("Part 3", endless("third"))
    async with listening(stage.http, model="sections", stop="END") as heard:
        await heard.to_the_end()
    assert heard.text == "## Part 1\n\nfirst\n\n## Part 2\n\nsecond "
    assert heard.finish_reason == "stop"
    for title in ("Part 2", "Part 3"):
        for call in of_subtask(stage.upstream, title):
            await hung_up(call)
    assert "synthesizer" not in stage.roles


@pytest.mark.parametrize("silent", [False, True])
async def test_a_plan_is_not_gone_on_with_once_the_answer_has_ended(
    stage: Stage, silent: bool
) -> None:
    """Neither a lead that goes on nor one that has fallen silent is waited for."""
    plan, rest = subtasks(1, 2), asyncio.Event()
    first_closed = len(plan_json(*plan[:1])) - len("]}")
    lead = Reply(plan=plan, piece=1, hold_after_pieces=(first_closed, rest))
    stage.upstream.answer("lead", lead)
    stage.upstream.answer("worker", Reply(text="first END"))
    async with listening(stage.http, model="sections", stop="END") as heard:
        await heard.until_text("first ")
        if not silent:
            rest.set()
        await heard.to_the_end()
    assert (heard.text, heard.finish_reason) == ("## Part 1\n\nfirst ", "stop")
    assert stage.roles == ["lead", "worker"]


async def test_what_is_said_before_a_plan_may_be_all(stage: Stage) -> None:
    plan = subtasks(1, 2)
    stage.upstream.answer("lead", Reply(text="Let me see. END", plan=plan))
    seen = await stage.watch(stop="END")
    assert (seen.answer, stage.roles) == ("Let me see. ", ["lead"])


async def test_nothing_is_planned_behind_a_stop_that_the_service_itself_has_written(
    stage: Stage,
) -> None:
    """A blank line stands between what the lead says and what its plan comes to."""
    at_work(stage, Reply(text="the answer"))
    stage.upstream.answer("lead", Reply(text="Let me see.", plan=subtasks(1, 2)))
    seen = await stage.watch(stop="\n\n")
    assert seen.error is None
    assert (seen.answer, stage.roles) in [
        ("Let me see.", ["lead"]),
        ("Let me see.\n\nthe answer", ["lead", "worker", "worker", "synthesizer"]),
    ]


async def test_a_server_that_knows_no_stop_sequences_is_served_too(stage: Stage) -> None:
    refuses = Status(
        400, "invalid_request_error", message="stop_sequences: Extra inputs are not permitted"
    )
    stage.upstream.answer("lead", refuses, Reply(text=TEXT))
    assert answer_of(await stage.ask("plain", stop="END")) == "One. Two. "
    assert [stops_of(call) for call in stage.upstream.calls] == [["END"], None]


async def test_what_was_stopped_is_paid_for_as_far_as_it_is_known(stage: Stage) -> None:
    at_work(stage, endless("The answer END"))
    async with asyncio.timeout(10):  # long before anybody gives up waiting for Claude
        seen = await stage.watch(stop="END")
    agents = seen.report["agents"]
    assert [it["role"] for it in agents] == ["lead", "worker", "worker", "synthesizer"]
    usage = seen.usage
    assert usage["prompt_tokens"] == sum(it["input_tokens"] for it in agents) == 40
    assert usage["completion_tokens"] == sum(it["output_tokens"] for it in agents)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize("words", ["What is the capital of France?", "Compare tea and coffee."])
@pytest.mark.parametrize("model", ["never", MODEL])
async def test_the_simulator_stops_where_the_service_does(
    simulated: Simulated, model: str, words: str
) -> None:
    """It refuses blank ones, and stops at the others by itself where it is sent them."""
    await simulated.order(latencies=INSTANT)
    messages = [{"role": "user", "content": words}]
    whole = answer_of(await simulated.ask(model, messages=messages))
    for stop in (whole[20:26], whole[-4:], " ", "e"):
        response = await simulated.ask(model, messages=messages, stop=[stop, "\n\n\n", "\t"])
        assert answer_of(response) == whole[: whole.index(stop)]
        assert response.json()["choices"][0]["finish_reason"] == "stop"
    assert {call["status"] for call in await simulated.calls()} <= {200, None}
