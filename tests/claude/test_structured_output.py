"""What of a caller's schema Claude can enforce: tables of cases, what the popular schema makers
write, and schemas made at random. Each form is also put to a simulator, whose reading of the API's
rules is its own.
"""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator_worker.claude.structured_output import (
    enforceable,
    enforceable_tool,
    within_limits,
)
from orchestrator_worker.simulator import EmbeddedSimulator, Script
from orchestrator_worker.teams.result_schema import compiled
from tests.claude.made_schemas import MADE
from tests.claude.random_schemas import ANYTHING, ROOT, TooDeep, value_of
from tests.claude.schema_cases import (
    BEYOND,
    LOST,
    NARROWED,
    SAME,
    TEXT,
    Json,
    closed,
    optional,
    unions,
)


@pytest.mark.parametrize("schema", SAME.values(), ids=SAME)
def test_what_claude_enforces_stays_as_it_is(schema: Json) -> None:
    assert enforceable(schema) == schema


@pytest.mark.parametrize(("schema", "form"), NARROWED.values(), ids=NARROWED)
def test_what_has_a_form_gets_it_and_is_left_alone(schema: Json, form: Json) -> None:
    before = json.dumps(schema)
    assert enforceable(schema) == form
    assert json.dumps(schema) == before


@pytest.mark.parametrize("schema", LOST.values(), ids=LOST)
def test_what_would_not_be_enforced_has_no_form(schema: Any) -> None:
    assert enforceable(schema) is None


@pytest.mark.parametrize("pattern", BEYOND)
def test_a_pattern_beyond_the_plain_ones_has_no_form(pattern: str) -> None:
    assert enforceable(closed(a=TEXT | {"pattern": pattern})) is None


def test_a_function_that_names_no_parameters_has_none() -> None:
    for schema in ({"type": "object"}, {"type": "object", "properties": {}}):
        form = enforceable_tool(schema)
        assert form is not None
        assert form["properties"] == {}
        assert form["additionalProperties"] is False
        assert enforceable(schema) is None
    assert enforceable_tool({"type": "object", "additionalProperties": True}) is None
    assert enforceable_tool({"type": "object", "properties": []}) is None
    assert enforceable_tool(None) is None
    assert enforceable_tool(closed(a=TEXT)) == closed(a=TEXT)


def test_the_forms_of_one_request_count_together() -> None:
    assert within_limits([optional(12), optional(12), unions(8), unions(8)])
    assert not within_limits([optional(12), optional(13)])
    assert not within_limits([unions(8), unions(9)])
    assert not within_limits([closed() | {"$defs": {"a": unions(17)}}])


@pytest.mark.parametrize("schema", MADE.values(), ids=MADE)
def test_what_schema_makers_write_is_enforceable(schema: Json) -> None:
    assert enforceable(schema) is not None
    assert enforceable_tool(schema) == enforceable(schema)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROOT, st.data())
def test_what_a_form_allows_its_schema_allows(schema: Json, data: st.DataObject) -> None:
    form = enforceable(schema)
    if form is None:
        return
    theirs, ours = compiled(schema), compiled(form)

    @st.composite
    def values(draw: st.DrawFn) -> Any:
        return value_of(draw, dict(form), dict(form))

    for _ in range(4):
        try:
            value = data.draw(values())
        except TooDeep:
            continue
        assert ours.fulfilled_by(value)
        assert theirs.fulfilled_by(value)


@settings(max_examples=200, deadline=None)
@given(ANYTHING)
def test_nothing_raises(anything: Any) -> None:
    form = enforceable(anything)
    if form is not None:
        assert form["type"] == "object"
        assert enforceable(form) == form
    assert enforceable_tool(anything) is None or isinstance(anything, Mapping)


# The simulator takes every form.

AT_ONCE = {"first_token_seconds": 0, "tokens_per_second": 0}
INSTANT = {"latencies": dict.fromkeys(("haiku", "sonnet", "default"), AT_ONCE)}
SAYS_NOTHING = INSTANT | {"replies": [{"when": {}, "reply": {"text": "{}"}}]}


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    script = Script.from_json(INSTANT)
    headers = {"authorization": "Bearer k", "anthropic-version": "2026-10-21"}
    async with (
        EmbeddedSimulator(script) as simulator,
        httpx2.AsyncClient(base_url=simulator.url, headers=headers, trust_env=False) as http,
    ):
        yield http


def body(form: Mapping[str, Any]) -> Json:
    return {
        "model": "claude-haiku-5-5",
        "max_tokens": 4000,
        "thinking": {"type": "disabled"},
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "output_config": {"format": {"type": "json_schema", "schema": form}},
    }


def tool(form: Mapping[str, Any]) -> Json:
    return {"name": "f", "description": "d", "input_schema": form, "strict": True}


async def answered(http: httpx2.AsyncClient, request: Json) -> str:
    response = await http.post("/v1/messages", json=request)
    assert response.status_code == 200, response.text
    return response.json()["content"][0]["text"]


EACH = SAME | {name: schema for name, (schema, _) in NARROWED.items()} | MADE


async def test_the_simulator_answers_each_form_with_what_the_caller_allows(
    http: httpx2.AsyncClient,
) -> None:
    for name, schema in EACH.items():
        form = enforceable(schema)
        assert form is not None
        value = json.loads(await answered(http, body(form)))
        if "pattern" not in json.dumps(form):  # which the simulator does not write by
            assert compiled(schema).fulfilled_by(value), name


async def test_the_simulator_takes_each_form_in_a_strict_tool(http: httpx2.AsyncClient) -> None:
    for schema in [*EACH.values(), {"type": "object"}]:
        form = enforceable_tool(schema)
        assert form is not None
        request = body({})
        del request["output_config"]
        await answered(http, request | {"tools": [tool(form)]})


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(schema=ROOT)
async def test_the_simulator_takes_the_forms_of_schemas_at_random(
    http: httpx2.AsyncClient, schema: Json
) -> None:
    form = enforceable(schema)
    if form is not None:
        # A reply of ours: not each of these forms has a value that the simulator finds by itself.
        ordered = await http.put("/_simulator/script", json=SAYS_NOTHING)
        assert ordered.status_code == 200, ordered.text
        assert await answered(http, body(form)) == "{}"
