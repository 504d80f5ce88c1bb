import json
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from anthropic.types import MessageParam, RawContentBlockDeltaEvent

from tests.simulator.wire import HAIKU, OLD_HAIKU, OPUS, SONNET, Wire, ask, text_of

DELEGATE: dict[str, Any] = {
    "name": "delegate",
    "description": "Splits the work.",
    "input_schema": {
        "type": "object",
        "properties": {
            "subtasks": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "string"},
                        "title": {"type": "string"},
                        "instructions": {"type": "string"},
                        "depends_on": {"type": "array", "items": {"type": "string"}},
                        "attachments": {"type": "array", "items": {"type": "string"}},
                    },
                    "required": ["id", "title", "instructions"],
                },
            }
        },
        "required": ["subtasks"],
    },
    "eager_input_streaming": True,
}
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "Says how the weather is.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "kelvin"]}},
        "required": ["city", "unit"],
    },
}


def text_delta(event: RawContentBlockDeltaEvent) -> str:
    assert event.delta.type == "text_delta"
    return event.delta.text


async def test_a_message_has_the_form_the_sdk_knows_and_adds_up(wire: Wire) -> None:
    message = await wire.message(ask())
    assert message.model == HAIKU
    assert message.stop_reason == "end_turn"
    assert "capital of France" in text_of(message)
    assert text_of(message).endswith("(simulated)")
    assert message.usage.input_tokens == await wire.count(
        {key: value for key, value in ask().items() if key != "max_tokens"}
    )


async def test_a_stream_has_the_events_of_the_api_and_the_text_of_the_message(wire: Wire) -> None:
    whole = await wire.message(ask())
    events = await wire.events(ask())
    kinds = [event.type for event in events]
    deltas = [event for event in events if isinstance(event, RawContentBlockDeltaEvent)]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert "".join(text_delta(event) for event in deltas) == text_of(whole)
    assert events[0].message.usage.output_tokens == 1
    assert events[-2].usage.output_tokens == len(deltas) == whole.usage.output_tokens


async def test_the_sdk_reads_stream_and_message_alike(client: AsyncAnthropic) -> None:
    question: MessageParam = {"role": "user", "content": "Compare tea and coffee."}
    whole = await client.messages.create(model=SONNET, max_tokens=999, messages=[question])
    async with client.messages.stream(
        model=SONNET,
        max_tokens=999,
        messages=[question],
    ) as stream:
        streamed = await stream.get_final_message()
    assert text_of(streamed) == text_of(whole)
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    assert stream.request_id
    assert stream.request_id.startswith("req_")


async def test_the_same_request_gets_the_same_answer(wire: Wire) -> None:
    first, second = (
        await wire.message(ask("Tell me about tea")),
        await wire.message(ask("Tell me about tea")),
    )
    assert first.content == second.content
    assert first.id != second.id


@pytest.mark.parametrize(
    ("model", "thinking", "thinks"),
    [
        (HAIKU, None, True),
        (HAIKU, {"type": "disabled"}, False),
        (SONNET, None, True),
        (SONNET, {"type": "between_tools"}, False),
        (OPUS, {"type": "adaptive", "display": "summarized"}, True),
        ("claude-opus-4-8", None, False),
        (OLD_HAIKU, None, False),
        (OLD_HAIKU, {"type": "enabled", "budget_tokens": 1024}, True),
    ],
)
async def test_a_thinking_block_comes_first_where_the_model_thinks(
    wire: Wire, model: str, thinking: dict[str, Any] | None, *, thinks: bool
) -> None:
    body = ask(model=model, max_tokens=2000)
    del body["thinking"]
    if thinking:
        body["thinking"] = thinking
    message = await wire.message(body)
    assert [block.type for block in message.content] == ["thinking", "text"][not thinks :]
    details = message.usage.output_tokens_details
    assert bool(details and details.thinking_tokens) == thinks
    starts = [e for e in await wire.events(body) if e.type == "content_block_start"]
    assert len(starts) == len(message.content)


async def test_thinking_is_empty_unless_a_summary_is_asked_for(wire: Wire) -> None:
    omitted = (await wire.message(ask(thinking={"type": "adaptive"}))).content[0]
    shown = ask(thinking={"type": "adaptive", "display": "summarized"})
    assert omitted.type == "thinking"
    assert omitted.thinking == ""
    assert omitted.signature
    kinds = [e.delta.type for e in await wire.events(shown) if e.type == "content_block_delta"]
    assert kinds[0] == "thinking_delta"
    assert kinds.count("signature_delta") == 1
    block = (await wire.message(shown)).content[0]
    assert block.type == "thinking"
    assert block.thinking


async def test_thinking_eats_max_tokens(wire: Wire) -> None:
    message = await wire.message(ask(max_tokens=5, thinking={"type": "adaptive"}))
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 5
    assert text_of(message) == ""


async def test_max_tokens_cuts_the_text(wire: Wire) -> None:
    message = await wire.message(ask(max_tokens=3))
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 3
    assert (
        (await wire.message(ask())).model_dump()["content"][0]["text"].startswith(text_of(message))
    )


async def test_a_stop_sequence_ends_the_text_and_is_named(wire: Wire) -> None:
    message = await wire.message(ask(stop_sequences=["never", "capital"]))
    assert message.stop_reason == "stop_sequence"
    assert message.stop_sequence == "capital"
    assert "capital" not in text_of(message)


async def test_a_prewarm_writes_nothing(wire: Wire) -> None:
    message = await wire.message(ask(max_tokens=0))
    assert (message.content, message.stop_reason) == ([], "max_tokens")
    assert message.usage.output_tokens == 0


async def test_a_request_with_parts_is_planned_and_streamed_as_json(wire: Wire) -> None:
    body = ask("Compare solar, wind and nuclear energy.", tools=[DELEGATE])
    events = await wire.events(body)
    deltas = [e.delta.partial_json for e in events if e.type == "content_block_delta"]
    plan = json.loads("".join(deltas))
    assert deltas[0] == ""
    assert all(len(delta) <= 5 for delta in deltas)
    assert events[-2].delta.stop_reason == "tool_use"
    assert [subtask["title"] for subtask in plan["subtasks"]] == ["Solar", "Wind", "Nuclear energy"]
    assert [subtask["id"] for subtask in plan["subtasks"]] == ["s1", "s2", "s3"]
    block = (await wire.message(body)).content[0]
    assert block.type == "tool_use"
    assert block.input == plan


async def test_a_simple_request_is_answered_and_not_planned(wire: Wire) -> None:
    assert (await wire.message(ask(tools=[DELEGATE, WEATHER]))).stop_reason == "end_turn"


async def test_a_tool_whose_name_matches_is_called_once(wire: Wire) -> None:
    body = ask("What is the weather in Paris?", tools=[DELEGATE, WEATHER])
    call = (await wire.message(body)).content[0]
    assert call.type == "tool_use"
    assert (call.name, call.input) == ("get_weather", {"city": "Paris", "unit": "celsius"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "18 degrees, rain"}
    body["messages"] += [
        {"role": "assistant", "content": [call.model_dump(exclude_none=True)]},
        {"role": "user", "content": [result]},
    ]
    answer = await wire.message(body)
    assert answer.stop_reason == "end_turn"
    assert "18 degrees, rain" in text_of(answer)


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
async def test_a_forced_tool_is_called_whatever_is_asked(
    wire: Wire, choice: dict[str, str]
) -> None:
    message = await wire.message(ask("Hello", tools=[WEATHER], tool_choice=choice))
    assert message.stop_reason == "tool_use"
    none = await wire.message(
        ask("Weather in Rome?", tools=[WEATHER], tool_choice={"type": "none"})
    )
    assert none.stop_reason == "end_turn"


async def test_structured_output_obeys_the_schema(wire: Wire) -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "answer": {"type": "string"},
            "score": {"type": "integer"},
            "sure": {"type": "boolean"},
            "mood": {"type": "string", "enum": ["calm", "angry"]},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "when": {"type": "string", "format": "date"},
            "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
        },
        "required": ["answer", "score", "sure", "mood", "note", "when", "items"],
        "additionalProperties": False,
        "$defs": {
            "item": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "price": {"type": "number"}},
                "required": ["name", "price"],
                "additionalProperties": False,
            }
        },
    }
    form = {"format": {"type": "json_schema", "schema": schema}}
    found = json.loads(
        text_of(await wire.message(ask("Compare tea and milk.", output_config=form)))
    )
    assert set(found) == set(schema["required"])
    assert [item["name"] for item in found["items"]] == ["Tea", "Milk"]
    assert all(isinstance(item["price"], float) for item in found["items"])
    assert (found["sure"], found["mood"], found["note"]) == (False, "calm", None)
    assert "(simulated)" in found["answer"]


async def test_models_are_listed_in_pages(wire: Wire, client: AsyncAnthropic) -> None:
    ids = [model.id async for model in client.models.list(limit=3)]
    assert {HAIKU, SONNET, OPUS, "claude-fable-5-2", "claude-sonnet-4-5-20250929"} <= set(ids)
    page = (await wire.http.get("/v1/models?limit=2&after_id=" + ids[0])).json()
    assert [page["first_id"], page["last_id"]] == ids[1:3]
    assert page["has_more"] is True
    back = (await wire.http.get(f"/v1/models?limit=2&before_id={ids[2]}")).json()
    assert [model["id"] for model in back["data"]] == ids[:2]
    assert "claude-3-opus-20240229" not in ids
    retired = (await wire.http.get("/v1/models?lifecycle=retired")).json()
    assert {model["lifecycle"] for model in retired["data"]} == {"retired"}


async def test_a_model_tells_its_limits(wire: Wire) -> None:
    sonnet = await wire.model(SONNET)
    assert sonnet.max_tokens == 128_000
    assert sonnet.capabilities
    assert sonnet.capabilities.thinking.types.between_tools.supported
    assert not sonnet.capabilities.thinking.types.disabled.supported
    assert (await wire.model("claude-sonnet-4-5")).lifecycle == "deprecated"
    haiku = await wire.model(OLD_HAIKU)
    assert haiku.capabilities
    assert not haiku.capabilities.effort.supported
