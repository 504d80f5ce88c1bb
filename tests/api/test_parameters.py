"""Every parameter of OpenAI's request: used, taken without effect, or refused by name; never passed
on to Claude unasked.
"""

from typing import Any

import pytest
from openai.types.chat import completion_create_params

from chat import MODEL, QUESTION, answer_of, frames_of
from dumb_upstream import DumbCall, Reply
from orchestrator_worker.clock import stopwatch
from plans import subtasks
from stage import Stage
from worker_turns import WORKER_PROMPT

TEAMS = {
    "never": 'route = "never"',
    "quiet": "progress = false",
    "thinking": 'lead.effort = "high"\nworker.effort = "high"\nsynthesizer.effort = "high"',
}
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.served({"default": {"worker.md": WORKER_PROMPT}, **TEAMS}),
]
TOOL = {"type": "function", "function": {"name": "look_up"}}
FUNCTION = {"name": "look_up"}

WITHOUT_EFFECT: dict[str, list[Any]] = {
    "audio": [None, {}],
    "frequency_penalty": [-2, 0, 1.5, 2, None],
    "function_call": ["none", "auto", None],
    "functions": [[], None],
    "logit_bias": [{}, None],
    "logprobs": [False, None],
    "metadata": [{"a": "b"}, None, 5],
    "modalities": [["text"], [], None],
    "moderation": [{"model": "x"}, None],
    "n": [1, None],
    "parallel_tool_calls": [True, False, None],
    "prediction": [{"type": "content", "content": "x"}, None],
    "presence_penalty": [-2, 2, None],
    "prompt_cache_key": ["k", None],
    "prompt_cache_options": [{"a": 1}, None],
    "prompt_cache_retention": ["24h", None],
    "response_format": [{"type": "text"}, None],
    "safety_identifier": ["x", None],
    "seed": [7, -1, "x", None],
    "service_tier": ["auto", "flex", None],
    "stop": [[], "", None],
    "store": [True, False, None],
    "stream": [False, None],
    "stream_options": [{"include_usage": True}, {"include_obfuscation": False}, {}, None],
    "temperature": [0, 1, 2, 0.7, None],
    "tool_choice": ["none", "auto", None],
    "tools": [[], None],
    "top_logprobs": [0, None],
    "top_p": [0, 1, 0.1, None],
    "user": ["ann", None, 5],
    "verbosity": ["low", None, "odd"],
    "web_search_options": [None],
    "max_tokens": [None],
    "max_completion_tokens": [None],
    "reasoning_effort": [None, "medium"],
}
REFUSED: dict[str, list[Any]] = {
    "audio": [{"voice": "alloy", "format": "mp3"}],
    "frequency_penalty": [-2.1, 2.1, "1", True],
    "function_call": ["required", {"name": "other"}, 5],
    "functions": [{}, [5], [{"description": "no name"}], [FUNCTION] * 129],
    "logit_bias": [{"50256": -100}],
    "logprobs": [True, "false"],
    "max_completion_tokens": [0, -1, 1.5, "5", 10**30, True],
    "max_tokens": [0, -1, 1.5, "5", 10**30],
    "messages": [[], None, {}, "hi", [5], [{"role": "x", "content": "y"}]],
    "modalities": [["text", "audio"], ["audio"], "text"],
    "model": [None, 5, "gpt-4o", ""],
    "n": [0, 2, 128, "1"],
    "parallel_tool_calls": ["x"],
    "presence_penalty": [-2.1, 3],
    "reasoning_effort": ["ultra", "", 5],
    "response_format": ["json", {}, {"type": "xml"}, {"type": "json_schema"}],
    "stop": [5, {"a": 1}],
    "stream": ["yes", 1],
    "stream_options": [[], {"include_usage": "x"}],
    "temperature": [-0.1, 2.1, "1", [1]],
    "tool_choice": ["required", "always", {"type": "function"}],
    "tools": [{}, [5], [{"type": "custom", "custom": {"name": "x"}}], [TOOL] * 129],
    "top_logprobs": [1, 20],
    "top_p": [-0.1, 1.1],
    "web_search_options": [{}, {"search_context_size": "low"}],
}


def each(values: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(name, value, id=f"{name}={str(value)[:30]}")
        for name, several in values.items()
        for value in several
    ]


async def test_no_parameter_that_openai_has_is_forgotten_here() -> None:
    known: set[str] = set()
    for params in (
        completion_create_params.CompletionCreateParamsNonStreaming,
        completion_create_params.CompletionCreateParamsStreaming,
    ):
        known |= params.__required_keys__ | params.__optional_keys__
    assert known == set(WITHOUT_EFFECT) | set(REFUSED)


def shape(call: DumbCall) -> dict[str, Any]:
    return {name: value for name, value in call.body.items() if name != "messages"}


@pytest.mark.parametrize(("name", "value"), each(WITHOUT_EFFECT))
async def test_without_effect_means_that_claude_hears_the_same(
    stage: Stage, name: str, value: Any
) -> None:
    stage.upstream.answer("lead", Reply(text="ok"))
    await stage.ask("never")
    response = await stage.ask("never", **{name: value})
    assert answer_of(response) == "ok"
    plain, other = stage.upstream.calls
    assert other.body == plain.body


@pytest.mark.parametrize(("name", "value"), each(REFUSED))
async def test_what_would_change_the_answer_and_is_not_supported_is_refused_by_name(
    stage: Stage, name: str, value: Any
) -> None:
    response = await stage.ask(**{name: value})
    expected = 404 if name == "model" and isinstance(value, str) else 400
    assert response.status_code == expected, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["param"] or "").split(".")[0] == name
    assert error["type"] == "invalid_request_error"
    assert stage.upstream.calls == []


@pytest.mark.parametrize(
    "body",
    [b'{"temperature": NaN}', b'{"top_p": 1e999}', b'{"user": "\\ud800"}', b"[]", b"", b"null"],
)
async def test_what_is_no_json_object_is_the_callers_mistake(stage: Stage, body: bytes) -> None:
    response = await stage.http.post("/v1/chat/completions", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_unknown_keys_are_passed_over_wherever_they_stand(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text="ok"))
    odd: dict[str, Any] = {"x_unknown": {"deep": [1]}, "cache_control": {"type": "ephemeral"}}
    url = {"url": "https://example.com/a.png", **odd}
    parts = [
        {"type": "text", "text": QUESTION, **odd},
        {"type": "image_url", "image_url": url, **odd},
    ]
    answer = {
        "role": "assistant",
        "content": "Yes?",
        "reasoning_content": "an echoed thought",
        "audio": None,
    }
    tool = {"type": "function", "function": {"name": "f", "parameters": None, **odd}, **odd}
    response = await stage.ask(
        messages=[
            {"role": "system", "content": "Be brief.", "name": "s", **odd},
            {"role": "user", "content": "hi", **odd},
            {**answer, "annotations": [], "audio": None, **odd},
            {"role": "user", "content": parts, **odd},
        ],
        tools=[tool],
        stream_options={"include_usage": True, **odd},
        response_format={"type": "text", **odd},
        extra_body={"a": 1},
        **odd,
    )
    assert answer_of(response) == "ok"
    sent = str(stage.upstream.calls[0].body)
    assert "x_unknown" not in sent
    assert "an echoed thought" not in sent


@pytest.mark.parametrize("cap", [1, 1023, 1024, 5000])
@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("max_tokens", {}),
        ("max_completion_tokens", {}),
        ("max_completion_tokens", {"max_tokens": 7}),
        ("max_completion_tokens", {"max_tokens": 100_000}),
    ],
)
async def test_the_cap_goes_up_exactly_and_a_small_one_leaves_no_room_for_a_team(
    stage: Stage, cap: int, name: str, other: dict[str, Any]
) -> None:
    stage.upstream.answer("lead", Reply(text="cut", stop_reason="max_tokens"))
    response = await stage.ask("thinking", **{name: cap}, **other)
    assert response.json()["choices"][0]["finish_reason"] == "length"
    [call] = stage.upstream.calls
    assert call.body["max_tokens"] == cap
    assert ("tools" in call.body) is (cap >= 1024)
    assert call.body["output_config"]["effort"] == ("high" if cap >= 1024 else "low")
    assert call.body["thinking"]["type"] == ("adaptive" if cap >= 1024 else "between_tools")


async def test_the_cap_holds_for_the_answer_and_not_for_the_work(stage: Stage) -> None:
    """Only where a worker's text may itself be the answer it holds for that worker."""
    stage.upstream.answer("lead", Reply(plan=subtasks(1, 2)))
    stage.upstream.answer("worker", Reply(text="done"))
    stage.upstream.answer("synthesizer", Reply(text="{}"))
    await stage.ask()
    default = [call.body["max_tokens"] for call in stage.upstream.calls_of("worker")]
    stage.upstream.calls.clear()
    await stage.ask(max_tokens=2000, response_format={"type": "json_object"})
    assert [call.body["max_tokens"] for call in stage.upstream.calls_of("synthesizer")] == [2000]
    assert [call.body["max_tokens"] for call in stage.upstream.calls_of("worker")] == default


async def test_a_cap_above_what_the_team_writes_changes_nothing(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text="ok"))
    await stage.ask()
    await stage.ask(max_tokens=2**31)
    plain, other = stage.upstream.calls
    assert shape(plain) == shape(other)


EFFORTS = {
    "none": (False, "low"),
    "minimal": (False, "low"),
    "low": (True, "low"),
    "medium": (True, "medium"),
    "high": (True, "high"),
    "xhigh": (True, "xhigh"),
    "max": (True, "max"),
}


@pytest.mark.parametrize("effort", EFFORTS)
async def test_reasoning_effort_scales_the_lead(stage: Stage, effort: str) -> None:
    stage.upstream.answer("lead", Reply(text="ok"))
    assert answer_of(await stage.ask(reasoning_effort=effort)) == "ok"
    [call] = stage.upstream.calls
    delegates, at = EFFORTS[effort]
    assert ("tools" in call.body) is delegates
    assert call.body["output_config"]["effort"] == at


@pytest.mark.parametrize(
    ("model", "header", "told"),
    [
        (MODEL, None, True),
        (MODEL, "quiet", False),
        (MODEL, "QUIET , usage", False),
        (MODEL, "progress,quiet", False),
        (MODEL, "usage", True),
        ("quiet", None, False),
        ("quiet", "progress", False),
    ],
)
async def test_progress_for_people_can_be_kept_quiet(
    stage: Stage, model: str, header: str | None, told: bool
) -> None:
    stage.upstream.answer("lead", Reply(plan=subtasks(1, 2)))
    stage.upstream.answer("worker", Reply(text="done"))
    stage.upstream.answer("synthesizer", Reply(text="ok"))
    headers = {"x-orchestration": header} if header else None
    response = await stage.ask(model, stream=True, headers=headers)
    assert answer_of(response) == "ok"
    assert ("reasoning_content" in response.text) is told
    events = ["event" in it.get("orchestration", {}) for it in frames_of(response)]
    assert any(events) is ("progress" in (header or ""))


async def test_an_unknown_wish_is_refused(stage: Stage) -> None:
    response = await stage.ask(headers={"x-orchestration": "quiet, silence"})
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], "'silence'" in error["message"]) == ("X-Orchestration", True)


SCHEMAS: dict[str, Any] = {
    "not a schema": {"type": "town"},
    "a wrong rule": {"type": "object", "properties": []},
    "too large": {"description": "x" * 100_001},
    "elsewhere": {"$ref": "https://example.com/schema.json"},
    "a file": {"$ref": "file:///etc/passwd"},
    "nowhere": {"$ref": "#/$defs/none"},
    "no object": [1],
    "a bad pattern": {"type": "string", "pattern": "("},
}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def after(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


@pytest.mark.parametrize("schema", [*SCHEMAS, "deep"])
async def test_a_bad_schema_is_the_callers_to_change(stage: Stage, schema: str) -> None:
    wanted = nested(300) if schema == "deep" else SCHEMAS[schema]
    response = await stage.ask(response_format=after(wanted))
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["param"] == "response_format.json_schema.schema"
    assert error["code"] == "invalid_value"
    assert stage.upstream.calls == []


async def test_parameters_of_a_function_that_are_nested_too_deeply_are_refused(
    stage: Stage,
) -> None:
    stage.upstream.answer("lead", Reply(text="ok"))
    deep = {"type": "function", "function": {"name": "f", "parameters": nested(300)}}
    response = await stage.ask(tools=[deep])
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"].startswith("tools.0")


PATTERNS = [
    "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$",
    r"^[\w.+-]{1,64}@([\w-]{1,63}\.){1,8}[a-z]{2,63}$",
    "^.{0,2000}$",
]


@pytest.mark.parametrize("pattern", PATTERNS)
async def test_patterns_in_common_use_are_taken(stage: Stage, pattern: str) -> None:
    stage.upstream.answer("lead", Reply(text="{}"))
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}}
    assert answer_of(await stage.ask(response_format=after(schema))) == "{}"


TELLTALE = {"x": {"const": 1}}


def entangled(count: int) -> dict[str, Any]:
    """Definitions that lead from each to two others."""
    return {
        "properties": {"a": {"$ref": "#/$defs/d0"}, **TELLTALE},
        "$defs": {
            f"d{at}": {
                "properties": {
                    "a": {"$ref": f"#/$defs/d{(at + 1) % count}"},
                    "b": {"$ref": f"#/$defs/d{at * 7 % count}"},
                }
            }
            for at in range(count)
        },
    }


def patterned(count: int, pattern: str) -> dict[str, Any]:
    named = {f"a{at}": {"pattern": pattern + "a" * (at % 7)} for at in range(count)}
    return {"properties": {**named, **TELLTALE}}


HOSTILE: dict[str, Any] = {
    "references": entangled(300),
    "some references": entangled(49),
    "patterns": patterned(1500, r"[\s\S]{200}"),
    "some patterns": patterned(45, r"[\s\S]{20}"),
    "depth": {"properties": {"a": nested(110), **TELLTALE}},
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_no_schema_holds_the_service_up(stage: Stage, kind: str) -> None:
    """Answered or refused, and its mistakes looked for, but at once: all other runs wait."""
    stage.upstream.answer("lead", Reply(text='{"x": 2}'), Reply(text='{"x": 1}'))
    began = stopwatch()
    response = await stage.ask(response_format=after(HOSTILE[kind]))
    assert stopwatch() - began < 1
    if response.status_code == 400:
        assert response.json()["error"]["param"] == "response_format.json_schema.schema"
    else:
        assert answer_of(response) == '{"x": 1}'
        assert stage.upstream.calls[1].purpose == "repair"
