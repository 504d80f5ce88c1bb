"""`tool_choice`: what the lead may or must call, on models and servers that can be made to, and on
those that cannot.
"""

import json
from typing import Any

import pytest

from callers_tools import (
    BERGEN,
    CLOCK,
    OSLO,
    QUESTION,
    WEATHER,
    answered,
    call,
    calling,
    error_of,
    named,
    names_of,
    result,
    weather,
)
from chat import frames_of
from dumb_upstream import Answer, Called, Reply, Status
from plans import subtask, working
from stage import HAIKU, SONNET, Stage

TEAMS = {
    "small": f'lead.model = "{HAIKU}"',
    "large": f'lead.model = "{SONNET}"',
    "refused": 'lead.model = "claude-haiku-4-5"',
    "list": 'synthesis = "list"',
    "must": 'route = "always"',
}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS)]
BOTH_WAYS = pytest.mark.parametrize("stream", [False, True])
PLAN = Called("delegate", {"subtasks": [subtask(1), subtask(2)]})
TOOLS: dict[str, Any] = {"tools": [WEATHER, CLOCK]}
ANY, ONE = "Call one of the tools you have now.", "Call the tool `get_weather` now."
UNFORCED = Status(
    400,
    "invalid_request_error",
    message='tool_choice: type "tool" and "any" are not supported for this model',
)


def allowed(mode: str, *names: str) -> dict[str, Any]:
    some = {"mode": mode, "tools": [named(name) for name in names]}
    return {"type": "allowed_tools", "allowed_tools": some}


def says(stage: Stage, *replies: Answer) -> None:
    stage.upstream.answer("lead", *replies)


CALL, TEXT = Reply(blocks=[weather()]), Reply(text="It rains, I think.")


@BOTH_WAYS
async def test_none_offers_nothing(stage: Stage, stream: bool) -> None:
    says(stage, TEXT)
    history = [{"role": "user", "content": "?"}, calling(call("a")), result("a", "9 degrees")]
    seen = answered(await stage.ask(**TOOLS, tool_choice="none", messages=history, stream=stream))
    assert seen.text == "It rains, I think."
    (lead,) = stage.upstream.calls
    assert names_of(lead) == ["delegate"]
    assert '"tool_use"' not in json.dumps(lead.body)
    assert "9 degrees" in lead.last_text


async def test_none_does_not_keep_the_lead_from_planning(stage: Stage) -> None:
    working(stage.upstream)
    says(stage, Reply(blocks=[PLAN]))
    assert answered(await stage.ask(**TOOLS, tool_choice="none")).text == "the answer"


async def test_none_passes_no_call_on(stage: Stage) -> None:
    says(stage, Reply(blocks=["Text.", weather()]))
    seen = answered(await stage.ask(**TOOLS, tool_choice="none"))
    assert (seen.text, seen.calls, seen.finish_reason) == ("Text.", [], "stop")


@pytest.mark.parametrize("choice", [None, "auto", allowed("auto", "get_weather", "get_time")])
async def test_auto_leaves_everything_open(stage: Stage, choice: Any) -> None:
    says(stage, TEXT)
    answered(await stage.ask(**TOOLS, tool_choice=choice))
    (lead,) = stage.upstream.calls
    assert names_of(lead) == ["delegate", "get_weather", "get_time"]
    assert lead.body["tool_choice"] == {"type": "auto"}
    assert "now. Do not answer" not in lead.system_text


@BOTH_WAYS
@pytest.mark.parametrize(
    ("choice", "forced", "offered", "told"),
    [
        ("required", {"type": "any"}, ["get_weather", "get_time"], ANY),
        (named("get_weather"), {"type": "tool", "name": "get_weather"}, ["get_weather"], ONE),
        (allowed("required", "get_weather"), {"type": "any"}, ["get_weather"], ANY),
    ],
)
@pytest.mark.parametrize("model", ["small", "large"])
async def test_a_call_that_must_come_is_demanded_as_the_model_allows(
    stage: Stage, model: str, choice: Any, forced: Any, offered: list[str], told: str, stream: bool
) -> None:
    says(stage, CALL)
    seen = answered(await stage.ask(model, **TOOLS, tool_choice=choice, stream=stream))
    assert seen.calls == [("toolu_1", "get_weather", json.dumps(OSLO))]
    assert seen.finish_reason == "tool_calls"
    (lead,) = stage.upstream.calls
    assert names_of(lead) == offered
    assert lead.body["tool_choice"] == (forced if model == "small" else {"type": "auto"})
    assert told in lead.system_text


async def test_a_forced_model_may_be_kept_to_one_call(stage: Stage) -> None:
    says(stage, Reply(blocks=[weather(), weather(BERGEN, "toolu_2")]))
    fields: dict[str, Any] = {"tool_choice": "required", "parallel_tool_calls": False}
    seen = answered(await stage.ask("small", **TOOLS, **fields))
    assert len(seen.calls) == 1
    choice = {"type": "any", "disable_parallel_tool_use": True}
    assert stage.upstream.calls[0].body["tool_choice"] == choice


async def test_a_server_that_cannot_force_is_told_in_words(stage: Stage) -> None:
    says(stage, UNFORCED, CALL)
    seen = answered(await stage.ask("refused", **TOOLS, tool_choice="required"))
    assert len(seen.calls) == 1
    first, second = stage.upstream.calls
    assert first.body["tool_choice"] == {"type": "any"}
    assert second.body["tool_choice"] == {"type": "auto"}
    assert ANY in second.system_text
    # It is remembered.
    answered(await stage.ask("refused", **TOOLS, tool_choice=named("get_weather")))
    assert len(stage.upstream.calls) == 3


@BOTH_WAYS
@pytest.mark.parametrize(("choice", "told"), [("required", ANY), (named("get_weather"), ONE)])
async def test_text_instead_of_a_call_is_not_passed_on_and_the_lead_asked_once_more(
    stage: Stage, choice: Any, told: str, stream: bool
) -> None:
    says(stage, TEXT, Reply(blocks=["All right.", weather()]))
    seen = answered(await stage.ask("large", **TOOLS, tool_choice=choice, stream=stream))
    assert (seen.text, len(seen.calls), seen.finish_reason) == (None, 1, "tool_calls")
    first, second = stage.upstream.calls
    assert second.purpose == "repair"
    assert second.last_text.endswith(told + " Do not answer in text.")
    assert second.last_text.startswith(first.last_text)
    assert {**second.body, "messages": 0} == {**first.body, "messages": 0}


@pytest.mark.parametrize("model", ["small", "large", "list"])
async def test_who_still_calls_nothing_has_failed_for_good(stage: Stage, model: str) -> None:
    says(stage, TEXT)
    response = await stage.ask(model, **TOOLS, tool_choice="required")
    error = error_of(response, 502)
    assert error["code"] == "invalid_answer"
    assert response.headers["x-should-retry"] == "false"
    assert "rains" not in response.text
    assert len(stage.upstream.calls) == 2


async def test_who_still_calls_nothing_ends_a_stream_with_an_error(stage: Stage) -> None:
    says(stage, TEXT)
    response = await stage.ask("large", **TOOLS, tool_choice="required", stream=True)
    *chunks, error = frames_of(response)
    assert error["error"]["code"] == "invalid_answer"
    assert all(it["choices"][0]["finish_reason"] is None for it in chunks)
    assert "rains" not in response.text


@BOTH_WAYS
async def test_another_tool_than_the_named_one_does_not_count(stage: Stage, stream: bool) -> None:
    says(stage, Reply(blocks=[Called("get_time", OSLO, "toolu_9")]), CALL)
    choice = named("get_weather")
    seen = answered(await stage.ask("large", **TOOLS, tool_choice=choice, stream=stream))
    assert seen.calls == [("toolu_1", "get_weather", json.dumps(OSLO))]


async def test_no_plan_counts_as_a_call(stage: Stage) -> None:
    says(stage, Reply(blocks=[PLAN]), CALL)
    seen = answered(await stage.ask("large", **TOOLS, tool_choice="required"))
    assert len(seen.calls) == 1
    assert stage.roles == ["lead", "lead"]


async def test_a_refusal_is_not_insisted_on(stage: Stage) -> None:
    says(stage, Reply(text="No.", stop_reason="refusal"))
    seen = answered(await stage.ask("large", **TOOLS, tool_choice="required"))
    assert (seen.calls, seen.finish_reason) == ([], "content_filter")
    assert len(stage.upstream.calls) == 1


@BOTH_WAYS
async def test_both_times_count(stage: Stage, stream: bool) -> None:
    says(stage, TEXT, CALL)
    options = {"include_usage": True}
    asked = await stage.ask(**TOOLS, tool_choice="required", stream=stream, stream_options=options)
    usage = answered(asked).usage
    assert usage
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (20, 10)


async def test_an_upstream_that_fails_the_second_time_has_failed(stage: Stage) -> None:
    says(stage, TEXT, Status(529))
    assert error_of(await stage.ask(**TOOLS, tool_choice="required"), 503)["code"] == "overloaded"


async def test_an_upstream_that_fails_is_not_insisted_on(stage: Stage) -> None:
    says(stage, Status(400, "invalid_request_error"))
    error = error_of(await stage.ask("large", **TOOLS, tool_choice="required"), 502)
    assert error["code"] == "upstream_error"
    assert len(stage.upstream.calls) == 1


@BOTH_WAYS
@pytest.mark.parametrize(
    ("choice", "kept"),
    [("none", None), ("auto", "auto"), ({"name": "get_weather"}, "tool"), (None, "auto")],
)
async def test_the_older_form_of_the_choice(
    stage: Stage, choice: Any, kept: str | None, stream: bool
) -> None:
    says(stage, CALL if kept == "tool" else TEXT)
    functions = [WEATHER["function"], CLOCK["function"]]
    asked = await stage.ask("small", functions=functions, function_call=choice, stream=stream)
    seen = answered(asked)
    (lead,) = stage.upstream.calls
    assert lead.body["tool_choice"]["type"] == (kept or "auto")
    if kept == "tool":
        assert seen.function == ("get_weather", json.dumps(OSLO))
        assert seen.finish_reason == "function_call"
    expected = {None: ["delegate"], "tool": ["get_weather"]}
    assert names_of(lead) == expected.get(kept, ["delegate", "get_weather", "get_time"])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "required", "tools": []}, "tool_choice"),
        ({"tool_choice": named("get_weather")}, "tool_choice"),
        ({**TOOLS, "tool_choice": named("nope")}, "tool_choice"),
        ({**TOOLS, "tool_choice": allowed("auto", "get_time", "nope")}, "tool_choice"),
        ({**TOOLS, "tool_choice": allowed("auto")}, "tool_choice.allowed_tools.tools"),
        ({**TOOLS, "tool_choice": allowed("any", "get_time")}, "tool_choice.allowed_tools.mode"),
        ({**TOOLS, "tool_choice": "any"}, "tool_choice"),
        ({**TOOLS, "tool_choice": ["auto"]}, "tool_choice"),
        ({**TOOLS, "tool_choice": 1}, "tool_choice"),
        ({**TOOLS, "tool_choice": {"type": "any"}}, "tool_choice.type"),
        ({**TOOLS, "tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"functions": [WEATHER["function"]], "function_call": {"name": "no"}}, "function_call"),
        ({"functions": [WEATHER["function"]], "function_call": "required"}, "function_call"),
        ({"function_call": {"name": "get_weather"}}, "function_call"),
        ({**TOOLS, "functions": [WEATHER["function"]]}, "functions"),
        ({"tools": [WEATHER, WEATHER]}, "tools.1"),
        ({"functions": [WEATHER["function"]] * 2}, "functions.1"),
        ({**TOOLS, "parallel_tool_calls": "no"}, "parallel_tool_calls"),
    ],
)
async def test_a_choice_that_contradicts_itself_is_refused(
    stage: Stage, fields: dict[str, Any], param: str
) -> None:
    assert error_of(await stage.ask(**fields))["param"] == param
    assert stage.upstream.calls == []


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": None, "tool_choice": None, "parallel_tool_calls": None},
        {"tools": [], "tool_choice": "auto", "parallel_tool_calls": False},
        {"tool_choice": "none"},
        {"functions": [], "function_call": "auto"},
    ],
)
async def test_a_choice_of_nothing_changes_nothing(stage: Stage, fields: dict[str, Any]) -> None:
    says(stage, TEXT)
    answered(await stage.ask(messages=[{"role": "user", "content": QUESTION}]))
    answered(await stage.ask(messages=[{"role": "user", "content": QUESTION}], **fields))
    plain, with_fields = stage.upstream.calls
    assert plain.body["tools"] == with_fields.body["tools"]
    assert plain.body["tool_choice"] == with_fields.body["tool_choice"]
