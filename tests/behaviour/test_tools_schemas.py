"""What the caller's tools take: schemas of every make, in the form that the API accepts."""

import json
from typing import Any

import pytest

from callers_tools import CITY, answered, error_of, tool
from dumb_upstream import Reply, Status
from stage import Stage

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served({})]
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
CLOSED = {**CITY, "additionalProperties": False}
BOUNDED = {**CLOSED, "properties": {"city": {"type": "string", "minLength": 2}}}
EITHER = [{"required": ["city"]}, {"required": ["place"]}]


async def offered(stage: Stage, *tools: Any, **fields: Any) -> list[dict[str, Any]]:
    """Return the caller's tools as they go upstream."""
    stage.upstream.answer("lead", Reply(text="Fine."))
    answered(await stage.ask(tools=tools, **fields))
    return stage.upstream.calls[-1].body["tools"][1:]


@pytest.mark.parametrize(
    ("parameters", "schema"),
    [
        (None, NOTHING),
        ({}, NOTHING),
        ({"type": "object"}, NOTHING),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        ({"type": "object", "properties": None}, NOTHING),
        (CITY, CITY),
        ({**CITY, "$defs": {"a": {"enum": [1]}}}, {**CITY, "$defs": {"a": {"enum": [1]}}}),
    ],
)
async def test_parameters_are_the_schema_of_an_object(
    stage: Stage, parameters: Any, schema: Any
) -> None:
    (sent,) = await offered(stage, tool("t", parameters))
    assert sent == {"name": "t", "description": "", "input_schema": schema}


async def test_what_a_client_leaves_out_or_sets_to_null_is_missing(stage: Stage) -> None:
    bare = {"type": "function", "function": {"name": "t"}}
    nulls = dict.fromkeys(("description", "parameters", "strict"))
    void = {"type": "function", "function": {"name": "u", **nulls}, "cache_control": {"x": 1}}
    assert [it["input_schema"] for it in await offered(stage, bare, void)] == [NOTHING] * 2


@pytest.mark.parametrize("word", ["anyOf", "oneOf", "allOf"])
async def test_what_the_api_takes_nowhere_at_the_top_is_told_in_words(
    stage: Stage, word: str
) -> None:
    schema = {**NOTHING, "properties": {"city": {}, "place": {}}, word: EITHER}
    (sent,) = await offered(stage, tool("t", schema, description="Of a city.", strict=True))
    assert sent["input_schema"] == {key: it for key, it in schema.items() if key != word}
    assert sent["description"].startswith("Of a city.\n\n")
    assert json.dumps({word: EITHER}, separators=(",", ":")) in sent["description"]
    assert "strict" not in sent


async def test_strict_is_asked_for_where_all_of_the_schema_can_be_held(stage: Stage) -> None:
    held, bounded, free = await offered(
        stage,
        tool("held", CLOSED, strict=True),
        tool("bounded", BOUNDED, strict=True),
        tool("free", CLOSED, strict=False),
    )
    assert held["strict"] is True
    assert held["input_schema"] == CLOSED
    assert "strict" not in bounded
    assert bounded["input_schema"] == BOUNDED
    assert "strict" not in free


async def test_a_strict_tool_without_parameters(stage: Stage) -> None:
    (sent,) = await offered(stage, tool("t", None, strict=True))
    assert sent["strict"] is True
    assert sent["input_schema"] == {**NOTHING, "additionalProperties": False} | {
        key: [] for key in sent["input_schema"] if key == "required"
    }


async def test_more_strict_tools_than_the_api_takes_are_not_held(stage: Stage) -> None:
    for count in (20, 21):
        tools = [tool(f"t{number}", CLOSED, strict=True) for number in range(count)]
        sent = await offered(stage, *tools)
        assert ["strict" in it for it in sent] == [count == 20] * count


@pytest.mark.parametrize(
    ("function", "param"),
    [
        ({"name": "get weather"}, "name"),
        ({"name": "get.weather"}, "name"),
        ({"name": "größe"}, "name"),
        ({"name": "get_weather\n"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": 7}, "name"),
        ({}, "name"),
        ({"name": "t", "parameters": {"type": "array"}}, "parameters"),
        ({"name": "t", "parameters": {"type": ["object", "null"]}}, "parameters"),
        ({"name": "t", "parameters": "object"}, "parameters"),
        ({"name": "t", "parameters": []}, "parameters"),
        ({"name": "t", "description": 7}, "description"),
        ({"name": "t", "strict": "yes"}, "strict"),
    ],
)
async def test_a_function_that_cannot_be_is_refused_by_field(
    stage: Stage, function: Any, param: str
) -> None:
    for fields, place in (
        ({"tools": [tool("good"), {"type": "function", "function": function}]}, "tools.1.function"),
        ({"functions": [{"name": "good"}, function]}, "functions.1"),
    ):
        asked: dict[str, Any] = fields
        assert error_of(await stage.ask(**asked))["param"] == f"{place}.{param}"
    assert stage.upstream.calls == []


@pytest.mark.parametrize("levels", [300, 900])
@pytest.mark.parametrize("strict", [False, True])
async def test_a_schema_that_is_nested_too_deeply_is_refused(
    stage: Stage, levels: int, strict: bool
) -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels // 2):
        schema = {"type": "object", "properties": {"a": schema}}
    response = await stage.ask(tools=[tool("t", schema, strict=strict)])
    assert error_of(response)["param"] == "tools.0.function.parameters"
    assert stage.upstream.calls == []


@pytest.mark.parametrize("levels", range(225, 256, 3))
async def test_however_deep_a_schema_is_it_goes_up_or_is_refused(stage: Stage, levels: int) -> None:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"default": schema}
    stage.upstream.answer("lead", Reply(text="Fine."))
    response = await stage.ask(tools=[tool("t", schema)])
    assert response.status_code in {200, 400}


@pytest.mark.parametrize("kind", ["custom", "web_search", None, 7])
async def test_other_kinds_of_tools_are_refused(stage: Stage, kind: Any) -> None:
    response = await stage.ask(tools=[{"type": kind, "function": {"name": "t"}}])
    assert error_of(response)["param"] == "tools.0.type"


async def test_no_more_than_128(stage: Stage) -> None:
    tools = [tool(f"t{number}") for number in range(129)]
    assert error_of(await stage.ask(tools=tools))["param"] == "tools"
    functions = [it["function"] for it in tools]
    assert error_of(await stage.ask(functions=functions))["param"] == "functions"
    assert len(await offered(stage, *tools[1:])) == 128


async def test_a_schema_that_the_api_refuses_is_the_callers_mistake(stage: Stage) -> None:
    stage.upstream.answer(
        "lead",
        Status(
            400,
            "invalid_request_error",
            message="tools.1.custom.input_schema.properties: Property keys should match pattern",
        ),
    )
    response = await stage.ask(tools=[tool("t", {"properties": {"größe": {}}})])
    assert error_of(response)["param"] == "tools"
    assert "pattern" not in response.text
    assert len(stage.upstream.calls) == 1
