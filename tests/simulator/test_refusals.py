from typing import Any

import pytest

from tests.simulator.wire import (
    HAIKU,
    OLD_HAIKU,
    OLD_OPUS,
    OPUS,
    SONNET,
    Wire,
    ask,
    refused,
)

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/tiff", "data": "eA=="}}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"}
THOUGHT = {"type": "thinking", "thinking": "", "signature": "x"}
UNCITED = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
CITED = UNCITED | {"citations": {"enabled": True}}
CONTROL = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def says(*blocks: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def text(value: Any = "hi", **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def tool(name: Any = "look", **more: Any) -> dict[str, Any]:
    return {"name": name, "input_schema": {"type": "object", "properties": {}}, **more}


def form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"format": {"type": "json_schema", "schema": schema}}


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def optional(count: int) -> dict[str, Any]:
    names = {f"p{i}": {"type": "string"} for i in range(count)}
    return closed(**names) | {"required": []}


EXTRA = "Extra inputs are not permitted"
NESTED = closed(x={"type": "object", "properties": {}})
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"temperature": 1.0}, f"temperature: {EXTRA}"),
    ({"top_p": 1}, f"top_p: {EXTRA}"),
    ({"top_k": 1}, f"top_k: {EXTRA}"),
    ({"fancy": 1}, f"fancy: {EXTRA}"),
    ({"max_tokens": None}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": -1}, "max_tokens: Input should be greater"),
    ({"max_tokens": 128_001}, "max_tokens: 128001 > 128000, which is the maximum"),
    ({"model": OLD_HAIKU, "max_tokens": 64_001}, "max_tokens: 64001 > 64000"),
    ({"max_tokens": 0, "stream": True}, "max_tokens: max_tokens must be at least 1 when stream"),
    ({"max_tokens": 0, "output_config": form(closed())}, "output_config.format"),
    ({"max_tokens": 0, "tools": [tool()], "tool_choice": {"type": "any"}}, "tool_choice"),
    (
        {
            "model": OLD_HAIKU,
            "max_tokens": 0,
            "thinking": {"type": "enabled", "budget_tokens": 1024},
        },
        "thinking.enabled",
    ),
    ({"stream": "yes"}, "stream: Input should be a valid boolean"),
    ({"messages": "hi"}, "messages: Input should be a valid array"),
    ({"messages": []}, "messages: at least one message is required"),
    ({"messages": ["hi"]}, "messages.0: Input should be an object"),
    ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    ({"messages": [{"role": "user", "content": "x", "name": "y"}]}, f"messages.0.name: {EXTRA}"),
    ({"messages": [says(text(), role="bot")]}, "messages.0.role: Input should be"),
    ({"messages": [says(text(), role="assistant")]}, 'first message must use the "user" role'),
    ({"messages": [says(text()), says(text(), role="assistant")]}, "prefill"),
    ({"messages": [says()]}, "messages.0: all messages must have non-empty content"),
    ({"messages": [{"role": "user", "content": "  "}]}, "messages.0.content: text content blocks"),
    ({"messages": [says(text(""))]}, "messages.0.content.0.text: text content blocks must be non-"),
    ({"messages": [says(text(), text(" \n"))]}, "messages.0.content.1.text: text content blocks"),
    ({"messages": [says({"type": "song"})]}, "messages.0.content.0: Input tag 'song'"),
    ({"messages": [says({"text": "hi"})]}, "messages.0.content.0.type: Field required"),
    ({"messages": [says(text(colour="red"))]}, f"messages.0.content.0.colour: {EXTRA}"),
    ({"messages": [says(text(citations=[{"a": 1}]))]}, "citations"),
    (
        {"messages": [says(IMAGE)]},
        "messages.0.content.0.image.source.base64.media_type: Input should be",
    ),
    ({"messages": [says({"type": "image"})]}, "messages.0.content.0.image.source: Field required"),
    (
        {"messages": [says({"type": "document", "source": {"type": "base64"}})]},
        "messages.0.content.0.document.source.base64.data: Field required",
    ),
    (
        {"messages": [says(text()), says({"type": "document"}, role="assistant"), says(text())]},
        "messages.1.content.0: Input tag 'document'",
    ),
    ({"messages": [says(RESULT)]}, "unexpected `tool_use_id` found in `tool_result` blocks"),
    (
        {"messages": [says(text()), says(CALL, role="assistant"), says(text())]},
        "`tool_use` ids were found without `tool_result` blocks immediately after: toolu_1",
    ),
    (
        {"messages": [says(text()), says(CALL, role="assistant"), says(RESULT, RESULT)]},
        "single result",
    ),
    (
        {"messages": [says(text()), says(CALL | {"id": "a b"}, role="assistant"), says(text())]},
        "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
    ),
    (
        {
            "messages": [
                says(text()),
                says({"type": "thinking", "thinking": "hm"}, role="assistant"),
                says(text()),
            ]
        },
        "messages.1.content.0.signature: Field required",
    ),
    (
        {
            "messages": [
                says(text()),
                says({"type": "thinking", "thinking": "", "signature": ""}, role="assistant"),
                says(text()),
            ]
        },
        "Invalid `signature` in `thinking` block",
    ),
    ({"system": 5}, "system: Input should be a valid array"),
    ({"system": [text("")]}, "system.0.text: text content blocks must be non-empty"),
    ({"system": [{"type": "image"}]}, "system.0.type: Input should be 'text'"),
    ({"tools": {}}, "tools: Input should be a valid array"),
    ({"tools": [tool("a b")]}, "tools.0.custom.name: String should match pattern"),
    ({"tools": [tool("x" * 65)]}, "tools.0.custom.name: String should match pattern"),
    ({"tools": [tool(), tool()]}, "tools: Tool names must be unique."),
    ({"tools": [{"name": "look"}]}, "tools.0.custom.input_schema: Field required"),
    ({"tools": [tool(input_schema={})]}, "tools.0.custom.input_schema.type: Field required"),
    ({"tools": [tool(input_schema={"type": "array"})]}, "input_schema.type: Input should be"),
    ({"tools": [tool(colour="red")]}, f"tools.0.custom.colour: {EXTRA}"),
    ({"tools": [tool(strict="yes")]}, "tools.0.custom.strict: Input should be a valid boolean"),
    ({"tools": [tool(strict=True)]}, "additionalProperties"),
    ({"tools": [tool(allowed_callers=["me"])]}, "tools.0.custom.allowed_callers.0"),
    ({"tools": [tool(type="hammer")]}, "tools.0: Input tag 'hammer'"),
    ({"tool_choice": {"type": "auto"}}, "tool_choice"),
    ({"tools": [tool()], "tool_choice": {"type": "some"}}, "tool_choice.type: Input should be"),
    ({"tools": [tool()], "tool_choice": {"type": "auto", "x": 1}}, f"tool_choice.x: {EXTRA}"),
    ({"tools": [tool()], "tool_choice": {"type": "tool", "name": "no"}}, "Tool 'no' not found"),
    ({"thinking": {}}, "thinking.type: Field required"),
    ({"thinking": {"type": "deep"}}, "thinking.type: Input should be"),
    ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, 'thinking.type: "enabled"'),
    ({"thinking": {"type": "between_tools"}}, 'thinking.type: "between_tools"'),
    ({"model": SONNET}, 'thinking.type: "disabled"'),
    ({"model": OPUS}, 'thinking.type: "disabled"'),
    ({"model": OLD_HAIKU, "thinking": {"type": "adaptive"}}, 'thinking.type: "adaptive"'),
    ({"model": OLD_HAIKU, "thinking": {"type": "enabled"}}, "budget_tokens: Field required"),
    (
        {"model": OLD_HAIKU, "thinking": {"type": "enabled", "budget_tokens": 100}},
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ),
    (
        {"model": OLD_HAIKU, "thinking": {"type": "enabled", "budget_tokens": 1024}},
        "`max_tokens` must be greater than `thinking.budget_tokens`",
    ),
    (
        {"thinking": {"type": "disabled", "display": "omitted"}},
        f"thinking.disabled.display: {EXTRA}",
    ),
    ({"thinking": {"type": "adaptive", "display": "all"}}, "thinking.adaptive.display"),
    ({"output_config": {"effort": "huge"}}, "output_config.effort: Input should be"),
    ({"output_config": {"effort": "xhigh"}}, 'output_config.effort: "xhigh" is not supported'),
    (
        {
            "model": SONNET,
            "thinking": {"type": "between_tools"},
            "output_config": {"effort": "xhigh"},
        },
        'output_config.effort: "xhigh" is not supported with thinking.type "between_tools"',
    ),
    ({"model": OLD_OPUS, "output_config": {"effort": "max"}}, 'output_config.effort: "max"'),
    ({"model": OLD_HAIKU, "output_config": {"effort": "low"}}, "output_config.effort: This model"),
    ({"output_config": {"verbosity": 1}}, f"output_config.verbosity: {EXTRA}"),
    ({"output_config": {"format": {"type": "text"}}}, "output_config.format.type"),
    ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema: Field"),
    ({"output_config": form({"type": "object"})}, "'additionalProperties' must be explicitly set"),
    ({"output_config": form(NESTED)}, "schema.properties.x: For 'object' type"),
    ({"output_config": form(closed(n={"type": "integer", "minimum": 1}))}, "'minimum' is not supp"),
    ({"output_config": form(closed(s={"type": "string", "maxLength": 1}))}, "'maxLength' is not"),
    ({"output_config": form(closed(s={"type": "string", "pattern": "(?=a)"}))}, "Pattern"),
    ({"output_config": form(closed(s={"type": "string", "format": "phone"}))}, "String format"),
    ({"output_config": form(closed(s={"$ref": "http://a/b"}))}, "Cannot resolve $ref"),
    ({"output_config": form(closed(s={"type": "text"}))}, "Invalid type 'text'"),
    ({"output_config": form(closed(s={}))}, "Schema must have a 'type' field"),
    (
        {
            "output_config": form(
                closed(a={"type": "array", "items": {"type": "null"}, "minItems": 2})
            )
        },
        "'minItems' values other than 0 or 1",
    ),
    ({"output_config": form(optional(25))}, "Schema is too complex"),
    (
        {
            "output_config": form(
                closed(**{f"u{i}": {"type": ["string", "null"]} for i in range(17)})
            )
        },
        "Schema is too complex",
    ),
    ({"tools": [tool(f"t{i}", strict=True, input_schema=closed()) for i in range(21)]}, "complex"),
    ({"cache_control": {}}, "cache_control.type: Field required"),
    ({"cache_control": {"type": "permanent"}}, "cache_control.type: Input should be 'ephemeral'"),
    ({"cache_control": {"type": "ephemeral", "ttl": "2h"}}, "cache_control.ttl: Input should be"),
    ({"system": [text(cache_control={"type": "ephemeral", "x": 1})]}, "system.0.cache_control.x"),
    (
        {"messages": [says(text("", **CONTROL))]},
        "messages.0.content.0.text: cache_control cannot be set for empty text blocks",
    ),
    (
        {"messages": [says(text()), says(THOUGHT | CONTROL, role="assistant"), says(text())]},
        f"messages.1.content.0.cache_control: {EXTRA}",
    ),
    (CONTROL | {"messages": [says(*[text(**CONTROL)] * 4, text())]}, "A maximum of 4 blocks"),
    (HOUR | {"messages": [says(text(**CONTROL), text())]}, "cache_control.ttl: a ttl='1h'"),
    (HOUR | {"messages": [says(text(**CONTROL))]}, "cache_control.ttl: the last block carries"),
    ({"messages": [says(CITED)], "output_config": form(closed())}, "citations cannot be used"),
    (
        {
            "messages": [
                says(text()),
                says(CALL, role="assistant"),
                says(RESULT | {"content": [CITED]}),
            ],
            "tools": [tool()],
            "output_config": form(closed()),
        },
        "citations cannot be used with output_config.format",
    ),
    ({"messages": [says(CITED, UNCITED)]}, "citations must be enabled on all documents or on none"),
    (
        {"messages": [says(text()), says(CALL, role="assistant"), says(text(), RESULT)]},
        "`tool_use` ids were found without `tool_result` blocks immediately after: toolu_1",
    ),
    ({"messages": [says(*[text(**CONTROL)] * 5)]}, "A maximum of 4 blocks with cache_control"),
    ({"system": [text(**CONTROL)], "messages": [says(text(**HOUR))]}, "messages.0.content.0.cache"),
    ({"stop_sequences": "x"}, "stop_sequences: Input should be a valid array"),
    ({"stop_sequences": [" "]}, "stop_sequences.0: each stop sequence must contain non-whitespace"),
    ({"metadata": {"team": "x"}}, f"metadata.team: {EXTRA}"),
    ({"metadata": {"user_id": 5}}, "metadata.user_id: Input should be a valid string"),
    ({"service_tier": "gold"}, "service_tier: Input should be 'auto' or 'standard_only'"),
    ({"model": 5}, "model: Input should be a valid string"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[m[:50] for _, m in REFUSED])
async def test_what_the_api_refuses_is_refused(
    wire: Wire, change: dict[str, Any], message: str
) -> None:
    status, kind, said = await wire.refusal(ask(**change))
    assert (status, kind) == (400, "invalid_request_error")
    assert message in said
    assert (await wire.calls())[0]["outcome"] == "refused"


@pytest.mark.parametrize("model", [SONNET, OPUS, "claude-fable-5-1", "claude-fable-5-2"])
@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "look"}])
async def test_newer_models_refuse_a_forced_tool(
    wire: Wire, model: str, choice: dict[str, str]
) -> None:
    body = ask(model=model, thinking={"type": "adaptive"}, tools=[tool()], tool_choice=choice)
    _, _, said = await wire.refusal(body)
    assert said == 'tool_choice: type "tool" and "any" are not supported for this model'


@pytest.mark.parametrize("key", ["model", "max_tokens", "messages"])
async def test_required_fields_are_required(wire: Wire, key: str) -> None:
    body = ask()
    del body[key]
    assert (await wire.refusal(body))[2] == f"{key}: Field required"


@pytest.mark.parametrize("model", ["claude-9", "claude-3-opus-20240229", "claude-sonnet-4-0"])
async def test_unknown_and_retired_models_are_not_found(wire: Wire, model: str) -> None:
    expected = (404, "not_found_error", f"model: {model}")
    assert await wire.refusal(ask(model=model)) == expected
    if model == "claude-9":
        assert refused(await wire.http.get(f"/v1/models/{model}")) == expected


ACCEPTED: list[dict[str, Any]] = [
    {"system": "be kind", "metadata": {"user_id": "u"}, "service_tier": "auto"},
    {"system": [text(**HOUR), text(**CONTROL)], "cache_control": {"type": "ephemeral"}},
    {
        "tools": [tool()],
        "messages": [says(text()), says(CALL, role="assistant"), says(RESULT, text())],
    },
    {"messages": [says(text()), says(text()), says(text(), role="assistant"), says(text())]},
    {"messages": [says(text()), says(text(), role="assistant"), says(text(), role="system")]},
    {"tools": [tool(strict=True, input_schema=closed(), eager_input_streaming=True, **CONTROL)]},
    {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    {"tools": [tool()], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
    {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
    {"output_config": {"effort": "high"}},
    {"output_config": form(closed(a={"type": "array", "items": {"$ref": "#"}}))},
    {"output_config": form(optional(24))},
    {"model": OLD_HAIKU, "messages": [says(text()), says(text("So"), role="assistant")]},
    {"model": "claude-sonnet-5", "output_config": {"effort": "max"}},
    {"messages": [says({"type": "document", "source": {"type": "url", "url": "http://x"}})]},
    {"messages": [says({"type": "image", "source": {"type": "file", "file_id": "f"}})]},
    {"messages": [says(CITED, CITED)]},
    CONTROL | {"messages": [says(*[text(**CONTROL)] * 4)]},
]


@pytest.mark.parametrize("change", ACCEPTED, ids=[str(list(c)) for c in ACCEPTED])
async def test_what_the_api_accepts_is_accepted(wire: Wire, change: dict[str, Any]) -> None:
    await wire.message(ask(**change))


FIELDS: dict[str, dict[str, Any]] = {
    "thinking": {},
    "effort": {"output_config": {"effort": "low"}},
    "output_config": {"output_config": {"effort": "low"}},
    "eager_input_streaming": {"tools": [tool(eager_input_streaming=True)]},
    "strict": {"tools": [tool(strict=True, input_schema=closed())]},
    "cache_control": {"messages": [says(text(**CONTROL))]},
    "output_format": {"output_config": form(closed())},
    "pre_warm": {"max_tokens": 0},
}
PATHS = {
    "thinking": f"thinking: {EXTRA}",
    "effort": f"output_config.effort: {EXTRA}",
    "output_config": f"output_config: {EXTRA}",
    "eager_input_streaming": f"tools.0.custom.eager_input_streaming: {EXTRA}",
    "strict": f"tools.0.custom.strict: {EXTRA}",
    "cache_control": f"messages.0.content.0.cache_control: {EXTRA}",
    "output_format": f"output_config.format: {EXTRA}",
    "pre_warm": "max_tokens: Input should be greater than or equal to 1",
}


@pytest.mark.parametrize("field", FIELDS)
async def test_an_optional_field_can_be_refused_by_name(wire: Wire, field: str) -> None:
    body = ask(**FIELDS[field])
    await wire.message(body)
    await wire.script(refuse=[field])
    assert await wire.refusal(body) == (400, "invalid_request_error", PATHS[field])
    await wire.script(refuse=[name for name in FIELDS if name not in (field, "thinking")])
    if field not in ("effort", "output_format", "output_config"):
        await wire.message(body)


@pytest.mark.parametrize(
    ("holder", "path"),
    [
        ({"system": [text(**CONTROL)]}, "system.0.cache_control"),
        ({"tools": [tool(), tool("b", **CONTROL)]}, "tools.1.custom.cache_control"),
        (CONTROL, "cache_control"),
    ],
)
async def test_a_refused_breakpoint_is_named_where_it_stands(
    wire: Wire, holder: dict[str, Any], path: str
) -> None:
    await wire.script(refuse=["cache_control"])
    assert (await wire.refusal(ask(**holder)))[2] == f"{path}: {EXTRA}"


async def test_counting_checks_the_prompt_too(wire: Wire) -> None:
    path = "/v1/messages/count_tokens"
    assert (await wire.refusal(ask(), path))[2] == f"max_tokens: {EXTRA}"
    body = {"model": HAIKU, "messages": [says(text())], "tools": [tool(), tool()]}
    assert (await wire.refusal(body, path))[2] == "tools: Tool names must be unique."


async def test_the_old_version_still_samples_on_old_models(wire: Wire) -> None:
    wire.http.headers["anthropic-version"] = "2023-06-01"
    await wire.message(ask(model=OLD_HAIKU, temperature=0.2))
    await wire.message(ask(temperature=1))
    assert "temperature" in (await wire.refusal(ask(temperature=0.2)))[2]
    assert "top_k: Input should be a valid number" in (await wire.refusal(ask(top_k="x")))[2]


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({"authorization": ""}, 401, "authentication_error"),
        ({"authorization": "Bearer invalid"}, 401, "authentication_error"),
        ({"authorization": "", "x-api-key": "invalid"}, 401, "authentication_error"),
        ({"anthropic-version": ""}, 400, "invalid_request_error"),
        ({"anthropic-version": "2020-01-01"}, 400, "invalid_request_error"),
        ({"content-type": "text/plain"}, 400, "invalid_request_error"),
    ],
)
async def test_headers_are_checked(
    wire: Wire, headers: dict[str, str], status: int, kind: str
) -> None:
    response = await wire.http.post("/v1/messages", json=ask(), headers=headers)
    assert refused(response)[:2] == (status, kind)


async def test_the_key_may_come_in_either_header(wire: Wire) -> None:
    headers = {"authorization": "", "x-api-key": "k"}
    assert (await wire.http.post("/v1/messages", json=ask(), headers=headers)).status_code == 200


@pytest.mark.parametrize("content", [b"{not json", b"[]", b'"hi"', b""])
async def test_a_body_that_is_no_json_object_is_refused(wire: Wire, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    response = await wire.http.post("/v1/messages", content=content, headers=headers)
    assert refused(response)[:2] == (400, "invalid_request_error")


async def test_a_body_over_32_mb_is_refused(wire: Wire) -> None:
    assert (await wire.refusal(ask("x" * (32 * 1024 * 1024))))[:2] == (413, "request_too_large")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/messages"),
        ("POST", "/v1/complete"),
        ("GET", "/"),
        ("GET", "/_simulator/nothing"),
        ("GET", "/v1/models/claude-9"),
    ],
)
async def test_everything_else_is_not_found(wire: Wire, method: str, path: str) -> None:
    assert refused(await wire.http.request(method, path))[:2] == (404, "not_found_error")


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=1001", "after_id=claude-9"])
async def test_wrong_page_parameters_are_refused(wire: Wire, query: str) -> None:
    assert refused(await wire.http.get(f"/v1/models?{query}"))[0] == 400
