"""Answers that must be JSON: streamed where Claude holds them to their schema, else checked first,
asked for once more, and never wrong in silence.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from chat import MODEL, QUESTION, answer_of, body, frames_of
from dumb_upstream import Answer, DumbCall, Hang, Reply, Status
from listening import listening
from orchestrator_worker.api.chat import response as response_module
from plans import plan_json, subtask, subtasks
from simulated import INSTANT, Simulated
from stage import Stage
from worker_turns import WORKER_PROMPT

FORMS = {
    "never": 'route = "never"',
    "always": 'route = "always"',
    "sections": 'synthesis = "sections"',
    "listing": 'synthesis = "list"',
    "text": 'plan_form = "text"',
    "text-always": 'plan_form = "text"\nroute = "always"',
    "reviewed": "[caps]\nmax_rounds = 2",
    "refused": """
        lead.model = "claude-sonnet-5-5-plain"
        synthesizer.model = "claude-haiku-5-5-plain"
    """,
    "foreign": 'lead.model = "own-large"\nsynthesizer.model = "own-small"',
    "hurried": "[timeouts]\nsynthesis = 1",
}
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.served({"default": {"worker.md": WORKER_PROMPT}, **FORMS}),
]

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
BOUNDED: dict[str, Any] = {
    **SCHEMA,
    "properties": {"city": {"type": "string"}, "people": {"type": "integer", "minimum": 1}},
}
"""With a rule that the API cannot enforce."""
GOOD = '{"city": "Paris", "people": 2100000}'
BROKEN = '{"city": "Paris", "people": "many"}'
PROSE = "Paris has about two million people."
ANY: dict[str, Any] = {"type": "json_object"}
REFUSES_FORMAT = Status(
    400, "invalid_request_error", message="output_config.format: Extra inputs are not permitted"
)


def after(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}


def format_of(call: DumbCall) -> Any:
    return call.body.get("output_config", {}).get("format")


def roles(stage: Stage) -> list[tuple[str, str]]:
    return [(call.role, call.purpose) for call in stage.upstream.calls]


def said(call: DumbCall) -> list[tuple[str, str]]:
    """The conversation of a call: each turn's role and last text."""
    return [(it["role"], it["content"][-1]["text"]) for it in call.body["messages"]]


def at_work(stage: Stage, *answers: Answer, model: str = MODEL, count: int = 2) -> None:
    """Have a plan done by workers, and written up like this."""
    plan = subtasks(*range(1, count + 1))
    in_text = model in {"always", "text", "text-always"}
    stage.upstream.answer("lead", Reply(text=plan_json(*plan)) if in_text else Reply(plan=plan))
    stage.upstream.answer("worker", Reply(text="done"))
    stage.upstream.answer("synthesizer", *answers)


async def test_an_enforced_answer_goes_up_with_its_schema_and_streams_as_it_is_written(
    stage: Stage,
) -> None:
    rest = asyncio.Event()
    stage.upstream.answer("lead", Reply(text=GOOD, hold_after_pieces=(3, rest)))
    async with listening(stage.http, response_format=after(SCHEMA)) as heard:
        await heard.until_text(GOOD[:21])
        assert len(heard.deltas) >= 2
        [call] = stage.upstream.calls
        assert not call.done
        rest.set()
        await heard.to_the_end()
    assert (heard.text, heard.finish_reason) == (GOOD, "stop")
    assert heard.report["partial"] is False
    assert format_of(call) == {"type": "json_schema", "schema": SCHEMA}
    assert "JSON Schema" not in call.system_text


@pytest.mark.parametrize("form", [after(BOUNDED), ANY], ids=["schema", "object"])
async def test_what_is_not_enforced_is_held_back_until_it_is_whole(stage: Stage, form: Any) -> None:
    rest = asyncio.Event()
    fenced = f"```json\n{GOOD}\n```"
    stage.upstream.answer("lead", Reply(text=fenced, hold_after_pieces=(5, rest)))
    async with listening(stage.http, response_format=form) as heard:
        await heard.until_event("run_started")
        await stage.upstream.arrived(1)
        assert not stage.upstream.calls[0].done
        rest.set()
        await heard.to_the_end()
    assert heard.deltas == [GOOD]
    [call] = stage.upstream.calls
    assert format_of(call) is None
    assert "program" in call.system_text
    told = json.dumps(BOUNDED["properties"]["people"], separators=(",", ":"))
    assert (told in call.system_text) is (form != ANY)


@pytest.mark.parametrize(
    ("form", "wrong", "why"),
    [
        (after(BOUNDED), BROKEN, "its result breaks the schema at $.people"),
        (after(BOUNDED), PROSE, "its result is not JSON"),
        (after(BOUNDED), f"So:\n```json\n{GOOD}\n```", "its result is not JSON"),
        (after(SCHEMA), PROSE, "its result is not JSON"),
        (ANY, "[1, 2]", "its result is no JSON object"),
        (ANY, '"Paris"', "its result is no JSON object"),
        (ANY, "null", "its result is no JSON object"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_broken_answer_is_asked_for_once_more(
    stage: Stage, form: Any, wrong: str, why: str, stream: bool
) -> None:
    stage.upstream.answer("lead", Reply(text=wrong), Reply(text=GOOD))
    response = await stage.ask(response_format=form, stream=stream)
    assert answer_of(response) == GOOD
    assert roles(stage) == [("lead", ""), ("lead", "repair")]
    first, again = stage.upstream.calls
    assert "tools" in first.body
    assert "tools" not in again.body
    assert again.system_text == ""  # nothing of tools that it does not have
    question, answer, turn = said(again)
    assert (question, answer) == (("user", QUESTION), ("assistant", wrong))
    assert turn[0] == "user"
    assert why in turn[1]
    assert format_of(again) == format_of(first)
    if not stream:
        assert response.json()["usage"]["prompt_tokens"] == 20


@pytest.mark.parametrize("model", [MODEL, "always", "never"])
async def test_what_stays_broken_is_an_error_that_nobody_retries(stage: Stage, model: str) -> None:
    at_work(stage, Reply(text=PROSE), model=model)
    if model != "always":
        stage.upstream.answer("lead", Reply(text=BROKEN))
    response = await stage.ask(model, response_format=after(BOUNDED))
    assert response.status_code == 502
    error = response.json()["error"]
    why = "its result is not JSON" if model == "always" else "breaks the schema at $.people"
    assert why in error.pop("message")
    assert error == {
        "type": "server_error",
        "param": None,
        "code": "invalid_answer",
    }
    assert response.headers["x-should-retry"] == "false"
    assert [it for it in roles(stage) if it[1]] == [(roles(stage)[-1][0], "repair")]


TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
CALLED: list[dict[str, Any]] = [
    {"role": "user", "content": QUESTION},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "look_up", "arguments": '{"what": "Paris"}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "2.1 million"},
]


async def test_whoever_is_asked_again_after_calls_of_tools_can_still_be_asked(stage: Stage) -> None:
    """The API takes calls and their results only beside tools, so both go up or neither."""
    stage.upstream.answer("lead", Reply(text=PROSE), Reply(text=GOOD))
    response = await stage.ask(messages=CALLED, tools=TOOLS, response_format=ANY)
    assert answer_of(response) == GOOD
    again = stage.upstream.calls[1]
    blocks = [block["type"] for turn in again.body["messages"] for block in turn["content"]]
    assert ("tool_use" in blocks) is ("tools" in again.body)


async def test_the_callers_tools_and_the_form_go_up_together(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text=GOOD))
    response = await stage.ask(tools=TOOLS, response_format=after(SCHEMA))
    assert answer_of(response) == GOOD
    [call] = stage.upstream.calls
    assert format_of(call)["schema"] == SCHEMA
    assert [it["name"] for it in call.body["tools"]] == ["delegate", "look_up"]


async def test_what_stays_broken_ends_a_stream_with_an_error(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text=PROSE))
    seen = await stage.watch(response_format=ANY)
    assert (seen.answer, seen.error and seen.error["code"]) == ("", "invalid_answer")
    assert [it["attempt"] for it in seen.report["agents"]] == [1, 1]


async def test_what_has_begun_to_stream_cannot_be_taken_back(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text=BROKEN), Reply(text=GOOD))
    seen = await stage.watch(response_format=after(SCHEMA))
    assert (seen.answer, seen.error and seen.error["code"]) == (BROKEN, "invalid_answer")
    assert len(stage.upstream.calls) == 1


@pytest.mark.parametrize("route", ["direct", "delegated"])
async def test_a_server_that_refuses_the_format_is_told_the_schema_and_checked(
    stage: Stage, route: str
) -> None:
    """The first call has gone without the schema; whoever is asked again must know it."""
    role = "lead" if route == "direct" else "synthesizer"
    at_work(stage, Reply())
    stage.upstream.answer(role, REFUSES_FORMAT, Reply(text=BROKEN), Reply(text=GOOD))
    seen = await stage.watch("refused", response_format=after(SCHEMA))
    assert (seen.answer, seen.error) == (GOOD, None)
    refused, plain, again = stage.upstream.calls_of(role)
    assert format_of(refused)
    assert format_of(plain) is format_of(again) is None
    assert '"people"' in said(again)[-1][1], "the model never hears of the schema"


async def test_a_model_that_nobody_knows_is_told_the_schema_as_well(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text=f"```\n{GOOD}\n```"))
    assert answer_of(await stage.ask("foreign", response_format=after(SCHEMA))) == GOOD
    [call] = stage.upstream.calls
    assert format_of(call)["schema"] == SCHEMA
    assert '"people"' in call.system_text


async def test_a_model_that_nobody_knows_is_not_trusted_to_hold_the_schema(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text=BROKEN), Reply(text=GOOD))
    assert answer_of(await stage.ask("foreign", response_format=after(SCHEMA))) == GOOD


@pytest.mark.parametrize("form", [after(SCHEMA), after(BOUNDED), ANY])
@pytest.mark.parametrize("model", ["never", MODEL, "always"])
async def test_a_cut_answer_is_passed_on_as_it_is(stage: Stage, form: Any, model: str) -> None:
    cut = Reply(text=GOOD[:20], stop_reason="max_tokens")
    at_work(stage, cut, model=model)
    if model != "always":
        stage.upstream.answer("lead", cut)
    response = await stage.ask(model, response_format=form)
    [choice] = response.json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (GOOD[:20], "length")
    assert "repair" not in [call.purpose for call in stage.upstream.calls]


@pytest.mark.parametrize("form", [after(SCHEMA), ANY])
@pytest.mark.parametrize("model", [MODEL, "always"])
@pytest.mark.parametrize("text", ["I cannot help with that.", ""])
async def test_a_refusal_has_its_own_place(stage: Stage, form: Any, model: str, text: str) -> None:
    refusal = Reply(text=text, stop_reason="refusal")
    at_work(stage, refusal, model=model)
    if model == MODEL:
        stage.upstream.answer("lead", refusal)
    told = text or "The model declined to answer."
    [choice] = (await stage.ask(model, response_format=form)).json()["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"] == {"role": "assistant", "content": None, "refusal": told}
    response = await stage.ask(model, response_format=form, stream=True)
    deltas = [it["choices"][0]["delta"] for it in frames_of(response) if it["choices"]]
    assert [it["refusal"] for it in deltas if "refusal" in it] == [told]
    assert not any(it.get("content") for it in deltas)


async def test_a_refusal_of_the_repair_is_one_too(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text=PROSE), Reply(text="No.", stop_reason="refusal"))
    [choice] = (await stage.ask(response_format=ANY)).json()["choices"]
    assert (choice["message"]["refusal"], choice["finish_reason"]) == ("No.", "stop")


async def test_without_a_form_a_refusal_stays_a_filtered_answer(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text="No.", stop_reason="refusal"))
    [choice] = (await stage.ask(response_format={"type": "text"})).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("No.", "content_filter")


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("model", [MODEL, "sections", "listing", "always", "text-always"])
async def test_a_delegated_answer_has_its_form_from_the_synthesizer(
    stage: Stage, model: str, count: int
) -> None:
    at_work(stage, Reply(text=GOOD), model=model, count=count)
    seen = await stage.watch(model, response_format=after(SCHEMA))
    assert (seen.answer, seen.report["partial"]) == (GOOD, False)
    [synthesizer] = stage.upstream.calls_of("synthesizer")
    assert format_of(synthesizer)["schema"] == SCHEMA
    assert all(format_of(call) is None for call in stage.upstream.calls_of("worker"))


async def test_a_plan_in_text_is_not_held_to_the_schema_of_the_answer(stage: Stage) -> None:
    """Held to it, the lead could write no plan at all."""
    at_work(stage, Reply(text=GOOD), model="text-always")
    await stage.ask("text-always", response_format=after(SCHEMA))
    assert format_of(stage.upstream.calls_of("lead")[0]) is None


async def test_an_answer_in_json_is_taken_for_no_plan(stage: Stage) -> None:
    """Where plans are text, an answer may look like one."""
    answer = json.dumps({"tasks": [{"id": "1", "title": "Milk"}, {"id": "2", "title": "Bread"}]})
    stage.upstream.answer("lead", Reply(text=answer))
    assert answer_of(await stage.ask("text", response_format=ANY)) == answer
    assert stage.roles == ["lead"]


async def test_no_note_breaks_the_form_and_the_answer_is_known_to_be_partial(stage: Stage) -> None:
    at_work(stage, Reply(text=GOOD))
    stage.upstream.answer_subtask("Part 2", Status(400))
    seen = await stage.watch(response_format=ANY)
    assert (seen.answer, seen.report["partial"]) == (GOOD, True)
    [call] = stage.upstream.calls_of("synthesizer")
    assert "Part 2" in call.last_text
    assert "JSON object" in call.system_text + call.last_text


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unreachable_synthesizer_is_an_error_and_not_prose(
    stage: Stage, stream: bool
) -> None:
    at_work(stage, Status(529))
    response = await stage.ask(response_format=after(SCHEMA), stream=stream)
    error = frames_of(response)[-1]["error"] if stream else response.json()["error"]
    assert error["code"] == "overloaded"
    assert stream or response.status_code == 503
    assert "done" not in response.text


async def test_a_synthesizer_that_is_too_slow_is_an_error_and_not_prose(stage: Stage) -> None:
    at_work(stage, Hang())
    response = await stage.ask("hurried", response_format=after(SCHEMA))
    assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")


@pytest.mark.parametrize("form", [after(SCHEMA), ANY])
@pytest.mark.parametrize("text", ["Let me look at this.", "```json\n{"])
async def test_what_the_lead_says_before_it_delegates_is_not_heard(
    stage: Stage, form: Any, text: str
) -> None:
    at_work(stage, Reply(text=GOOD))
    stage.upstream.answer("lead", Reply(text=text, plan=subtasks(1, 2)))
    assert (await stage.watch(response_format=form)).answer == GOOD


async def test_a_plan_after_an_answer_has_begun_is_dropped_and_told(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text=GOOD, plan=subtasks(1, 2)))
    seen = await stage.watch(response_format=after(SCHEMA))
    assert (seen.answer, seen.error) == (GOOD, None)
    assert seen.repairs == ["dropped: a plan beside what had gone to the caller"]
    assert roles(stage) == [("lead", "")]


async def test_reviews_leave_the_form_alone(stage: Stage) -> None:
    at_work(stage, Reply(text=GOOD))
    stage.upstream.answer(
        "lead", Reply(plan=[subtask(1)]), Reply(text="{One more}", plan=[subtask(2)])
    )
    seen = await stage.watch("reviewed", response_format=after(SCHEMA))
    assert seen.answer == GOOD
    lead, review = stage.upstream.calls_of("lead")
    assert format_of(lead)
    assert format_of(review) is None
    assert [it["title"] for it in seen.report["results"]] == ["Part 1", "Part 2"]


async def test_only_comments_come_while_an_answer_is_held_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response_module, "HEARTBEAT_SECONDS", 0.02)
    rest = asyncio.Event()
    stage.upstream.answer("lead", Reply(text=GOOD, hold_after_pieces=(3, rest)))
    request = stage.http.build_request(
        "POST", "/v1/chat/completions", json=body(stream=True, response_format=ANY)
    )
    response = await stage.http.send(request, stream=True)
    lines: list[str] = []
    async with asyncio.timeout(5):
        async for line in response.aiter_lines():
            lines += [line] if line else []
            if lines.count(": working") == 3:
                rest.set()
    data = [json.loads(it[6:]) for it in lines if it.startswith("data: {")]
    contents = [it["choices"][0]["delta"].get("content") for it in data]
    assert contents == ["", GOOD, None]
    assert lines.index(": working") < lines.index(next(it for it in lines if "Paris" in it))


async def test_a_held_answer_that_a_deadline_cuts_is_cut_like_any_other(stage: Stage) -> None:
    at_work(stage, Reply(text=GOOD, piece=10, hold_after_pieces=(2, asyncio.Event())))
    seen = (await stage.ask("hurried", response_format=ANY)).json()["choices"][0]
    assert (seen["message"]["content"], seen["finish_reason"]) == (GOOD[:20], "length")


async def test_prose_is_no_cut_answer(stage: Stage) -> None:
    at_work(stage, Reply(text=PROSE), Hang())
    response = await stage.ask("hurried", response_format=ANY)
    assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")


async def test_what_the_only_worker_declines_is_declined(stage: Stage) -> None:
    at_work(stage, Reply(text=GOOD), count=1)
    stage.upstream.answer("worker", Reply(text="No.", stop_reason="refusal"))
    [choice] = (await stage.ask(response_format=ANY)).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "stop")
    assert choice["message"]["refusal"]


@pytest.mark.parametrize("form", [after(SCHEMA), after(BOUNDED), ANY])
@pytest.mark.parametrize(
    "words", ["What is the capital of France?", "Compare tea, coffee and mate."]
)
async def test_the_simulator_takes_these_calls_too(
    simulated: Simulated, form: Any, words: str
) -> None:
    await simulated.order(latencies=INSTANT)
    response = await simulated.ask(
        response_format=form, messages=[{"role": "user", "content": words}]
    )
    answer = json.loads(answer_of(response))
    assert isinstance(answer, dict)
    assert form == ANY or set(answer) == {"city", "people"}
    assert {call["status"] for call in await simulated.calls()} == {200}


class Place(BaseModel):
    """What a program wants to know."""

    city: str
    people: int
    kind: Literal["town", "city"] | None = None


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[openai.AsyncOpenAI]:
    service = stage.service
    async with openai.AsyncOpenAI(
        base_url=f"{service.url}/v1", api_key=service.token, max_retries=0
    ) as made:
        yield made


async def test_the_openai_package_parses_answers_and_refusals(
    stage: Stage, client: openai.AsyncOpenAI
) -> None:
    text = '{"city": "Paris", "people": 2100000, "kind": null}'
    asked: Any = {
        "model": MODEL,
        "messages": [{"role": "user", "content": QUESTION}],
        "response_format": Place,
    }
    for parse in (client.chat.completions.parse, client.beta.chat.completions.parse):
        stage.upstream.answer("lead", Reply(text=text))
        parsed = (await parse(**asked)).choices[0].message
        assert parsed.parsed == Place(city="Paris", people=2100000)
        assert parsed.refusal is None
        stage.upstream.answer("lead", Reply(text="No.", stop_reason="refusal"))
        refused = (await parse(**asked)).choices[0].message
        assert (refused.parsed, refused.refusal) == (None, "No.")
    assert all(format_of(call) for call in stage.upstream.calls)


async def test_the_openai_package_parses_a_stream(stage: Stage, client: openai.AsyncOpenAI) -> None:
    at_work(stage, Reply(text='{"city": "Paris", "people": 2100000, "kind": "city"}'))
    async with client.chat.completions.stream(
        model=MODEL, messages=[{"role": "user", "content": QUESTION}], response_format=Place
    ) as stream:
        kinds = {event.type async for event in stream}
        final = await stream.get_final_completion()
    assert "content.delta" in kinds
    assert final.choices[0].message.parsed == Place(city="Paris", people=2100000, kind="city")
