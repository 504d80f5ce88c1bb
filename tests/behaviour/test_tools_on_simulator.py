"""The caller's tools before the simulator, which refuses what the API refuses: whole rounds of call
and result by the openai package, on models of every kind.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from callers_tools import (
    ASKED,
    CITY,
    CLOCK,
    OSLO,
    QUESTION,
    WEATHER,
    answered,
    call,
    calling,
    error_of,
    named,
    result,
    tool,
)
from simulated import INSTANT, Simulated, delegating

TEAMS = {
    "default": "",
    "sonnet": 'lead.model = "claude-sonnet-5-5"',
    "deliberate": 'lead.model = "claude-sonnet-5-5"\nlead.effort = "high"',
    "haiku": 'lead.model = "claude-haiku-5-5"',
    "keen": 'lead.model = "claude-haiku-5-5"\nlead.effort = "max"',
    "older": 'lead.model = "claude-opus-4-6"\nlead.effort = "high"',
    "oldest": 'lead.model = "claude-haiku-4-5"',
    "thinker": 'lead.model = "claude-opus-5-5"',
    "fable": 'lead.model = "claude-fable-5-2"\nlead.effort = "high"',
}
MODELS = [name for name in TEAMS if name != "default"]
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS)]
BOTH_WAYS = pytest.mark.parametrize("stream", [False, True])
ON_EVERY_MODEL = pytest.mark.parametrize("model", MODELS)
TOOLS: dict[str, Any] = {"tools": [WEATHER, CLOCK]}
TURN = [ASKED, calling(call("a.1"), call("b")), result("b", "10:30"), result("a.1", "5 degrees")]
CALL = {"tool": {"name": "get_weather", "input": OSLO}}


@pytest_asyncio.fixture(loop_scope="module")
async def client(simulated: Simulated) -> AsyncIterator[openai.AsyncOpenAI]:
    service = simulated.service
    async with openai.AsyncOpenAI(
        base_url=f"{service.url}/v1", api_key=service.token, max_retries=0
    ) as made:
        yield made


async def order(simulated: Simulated, *replies: Any, **script: Any) -> None:
    """Have the lead say these one after the other, the last of them for ever."""
    rules = [
        {"when": {"role": "lead"}, "nth": [number], "reply": reply}
        for number, reply in enumerate(replies, 1)
    ]
    rules += [{"when": {"role": "lead"}, "reply": reply} for reply in replies[-1:]]
    await simulated.order(latencies=INSTANT, replies=rules, **script)


async def statuses(simulated: Simulated) -> list[int]:
    return [made["status"] for made in await simulated.calls()]


@ON_EVERY_MODEL
@BOTH_WAYS
async def test_rounds_of_calls_and_results(
    simulated: Simulated, client: openai.AsyncOpenAI, model: str, stream: bool
) -> None:
    tools = [
        {"name": "get_weather", "input": OSLO},
        {"name": "get_time", "input": {}},
    ]
    await order(simulated, {"text": "Looking.", "tools": tools}, CALL, {"text": "It is cold."})
    history: list[Any] = [ASKED]
    rounds = 0
    while True:
        message = await said(client, model, history, stream=stream)
        history.append(message.model_dump(exclude_none=True))
        if not message.tool_calls:
            break
        rounds += 1
        for made in message.tool_calls:
            assert isinstance(json.loads(made.function.arguments), dict)
            history.append(result(made.id))
    assert (rounds, message.content) == (2, "It is cold.")
    assert await statuses(simulated) == [200, 200, 200]


async def said(client: openai.AsyncOpenAI, model: str, history: Any, *, stream: bool) -> Any:
    asked: dict[str, Any] = {"model": model, "messages": history, **TOOLS}
    if not stream:
        return (await client.chat.completions.create(**asked)).choices[0].message
    async with client.chat.completions.stream(**asked) as chunks:
        async for _ in chunks:
            pass
        return (await chunks.get_final_completion()).choices[0].message


@ON_EVERY_MODEL
@pytest.mark.parametrize("choice", ["required", named("get_weather")])
async def test_a_call_that_must_come_comes(simulated: Simulated, model: str, choice: Any) -> None:
    await order(simulated)
    for history in ([ASKED], TURN, [{"role": "user", "content": "Tell me a joke."}]):
        asked = await simulated.ask(model, **TOOLS, tool_choice=choice, messages=history)
        seen = answered(asked)
        assert seen.calls
        assert seen.finish_reason == "tool_calls"
    assert set(await statuses(simulated)) == {200}


async def test_a_server_that_refuses_forcing_is_asked_in_words(simulated: Simulated) -> None:
    await order(simulated, refuse=["forced_tools"])
    seen = answered(await simulated.ask("oldest", **TOOLS, tool_choice="required"))
    assert seen.calls
    assert await statuses(simulated) == [400, 200]


HISTORIES: dict[str, list[Any]] = {
    "in any order": TURN,
    "with words between": [*TURN[:2], {"role": "user", "content": "Hurry."}, *TURN[2:]],
    "with words after": [*TURN, {"role": "user", "content": "And now?"}],
    "gone on with": [*TURN, {"role": "assistant", "content": "It is"}],
    "again and again": [*TURN, *TURN[1:], *TURN[1:]],
    "broken arguments": [ASKED, calling(call("a", '{"city')), result("a")],
    "no arguments": [ASKED, calling(call("a", "")), result("a")],
    "nothing found": [ASKED, calling(call("a"), content=""), result("a", "")],
    "no content": [ASKED, calling(call("a")), result("a", None)],
    "odd ids": [ASKED, calling(call("é:" + "x" * 100)), result("é:" + "x" * 100)],
    "odd names": [ASKED, calling(call("a", name="ü ." * 100)), result("a")],
    "calls first": TURN[1:],
    "of tools that are gone": [ASKED, calling(call("a", name="gone")), result("a")],
    "the older form": [
        ASKED,
        {"role": "assistant", "function_call": {"name": "get_time", "arguments": "{}"}},
        {"role": "function", "name": "get_time", "content": "10:30"},
    ],
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
@pytest.mark.parametrize("model", ["deliberate", "haiku", "older", "thinker"])
async def test_histories_of_every_kind_are_taken(
    simulated: Simulated, history: list[Any], model: str
) -> None:
    await order(simulated, {"text": "Fine."})
    for fields in (TOOLS, {"tools": None}, {**TOOLS, "tool_choice": "none"}):
        asked: dict[str, Any] = fields
        assert answered(await simulated.ask(model, messages=history, **asked)).text == "Fine."
    assert await statuses(simulated) == [200, 200, 200]


@ON_EVERY_MODEL
@BOTH_WAYS
async def test_json_after_results_is_mended(simulated: Simulated, model: str, stream: bool) -> None:
    await order(simulated, {"text": "no JSON"}, {"text": '{"degrees": 5}'})
    fields: dict[str, Any] = {"response_format": {"type": "json_object"}, "stream": stream}
    seen = answered(await simulated.ask(model, **TOOLS, messages=TURN, **fields))
    assert seen.text == '{"degrees": 5}'
    assert await statuses(simulated) == [200, 200]


async def test_a_plan_after_results_is_carried_out(simulated: Simulated) -> None:
    plan = {
        "subtasks": [{"id": f"s{n}", "title": f"Part {n}", "instructions": "Do."} for n in (1, 2)]
    }
    await order(simulated, delegating(plan))
    for model in ("sonnet", "keen", "thinker"):
        assert answered(await simulated.ask(model, **TOOLS, messages=TURN)).text
    assert set(await statuses(simulated)) == {200}
    assert len(await simulated.calls("worker")) == 6


async def test_parallel_calls_can_be_ruled_out(simulated: Simulated) -> None:
    tools = [{"name": "get_weather", "input": OSLO}, {"name": "get_time", "input": {}}]
    await order(simulated, {"tools": tools})
    for model in ("sonnet", "haiku"):
        one = await simulated.ask(model, **TOOLS, parallel_tool_calls=False)
        assert len(answered(one).calls) == 1
        older = await simulated.ask(model, functions=[it["function"] for it in TOOLS["tools"]])
        assert answered(older).function == ("get_weather", json.dumps(OSLO, separators=(",", ":")))


SCHEMAS: dict[str, Any] = {
    "none": None,
    "empty": {},
    "closed": {**CITY, "additionalProperties": False},
    "either": {**CITY, "anyOf": [{"required": ["city"]}, {"required": ["place"]}]},
    "bounded": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}},
    "nullable": {
        "type": "object",
        "properties": {"n": {"type": ["integer", "null"]}},
        "required": ["n"],
        "additionalProperties": False,
    },
    "defined": {
        "type": "object",
        "properties": {"n": {"$ref": "#/$defs/n"}},
        "required": ["n"],
        "additionalProperties": False,
        "$defs": {"n": {"enum": ["a", "b"]}},
    },
    "open": {"type": "object", "additionalProperties": {"type": "string"}},
}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@pytest.mark.parametrize("strict", [True, False, None])
async def test_schemas_of_every_kind_are_taken(
    simulated: Simulated, schema: Any, strict: bool | None
) -> None:
    await order(simulated, {"text": "Fine."})
    seen = answered(await simulated.ask(tools=[tool("t", schema, strict=strict)]))
    assert seen.text == "Fine."
    assert await statuses(simulated) == [200]


async def test_many_strict_tools_are_taken(simulated: Simulated) -> None:
    await order(simulated, {"text": "Fine."})
    optional = {f"p{number}": {"type": "string"} for number in range(9)}
    loose = {"type": "object", "properties": optional, "additionalProperties": False}
    for schema, count in ((SCHEMAS["closed"], 20), (SCHEMAS["closed"], 25), (loose, 5)):
        tools = [tool(f"t{number}", schema, strict=True) for number in range(count)]
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": loose}}
        assert answered(await simulated.ask(tools=tools)).text == "Fine."
        asked = await simulated.ask(tools=tools, response_format=form)
        assert error_of(asked, 502)["code"] == "invalid_answer"  # "Fine." is no JSON
    assert set(await statuses(simulated)) == {200}


async def test_a_key_that_the_api_does_not_take_is_the_callers_mistake(
    simulated: Simulated,
) -> None:
    await order(simulated)
    tools = [tool("t", {"type": "object", "properties": {"größe": {"type": "string"}}})]
    assert error_of(await simulated.ask(tools=tools))["param"] == "tools"


async def test_the_simulators_own_choice_calls_and_then_answers(simulated: Simulated) -> None:
    await simulated.order(latencies=INSTANT)
    first = answered(await simulated.ask(**TOOLS, messages=[ASKED]))
    ((id_, name, arguments),) = first.calls
    assert name == "get_weather"
    history = [ASKED, calling(call(id_, arguments)), result(id_, "minus 40 degrees")]
    second = answered(await simulated.ask(**TOOLS, messages=history))
    assert second.calls == []
    assert "minus 40 degrees" in (second.text or "")
    assert QUESTION not in (second.text or "")
