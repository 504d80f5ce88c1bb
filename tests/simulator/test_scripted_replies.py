"""Replies to the letter: pieces, ids, order of blocks, ends; and a context as small as a test
wants it.
"""

import json
from typing import Any

import pytest

from tests.simulator.test_messages import WEATHER
from tests.simulator.wire import OLD_HAIKU, SONNET, Json, Wire, ask, text_of

FAMILY = "👨‍👩‍👧"
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
FORM = {"format": {"type": "json_schema", "schema": SCHEMA}}


async def says(wire: Wire, **reply: Any) -> None:
    await wire.script(replies=[{"when": {}, "reply": reply}])


async def deltas(wire: Wire, body: Json) -> list[tuple[int, str]]:
    """Every delta of text or input, with the number of its block."""
    return [
        (e.index, e.delta.text if e.delta.type == "text_delta" else e.delta.partial_json)
        for e in await wire.events(body)
        if e.type == "content_block_delta"
    ]


async def test_text_comes_in_the_pieces_that_are_given(wire: Wire) -> None:
    pieces = ["A ", *FAMILY, "", "e", "\u0301"]
    await says(wire, text_pieces=pieces)
    assert [piece for _, piece in await deltas(wire, ask())] == pieces
    assert text_of(await wire.message(ask())) == f"A {FAMILY}e\u0301"


async def test_a_stop_sequence_over_pieces_ends_the_text_before_it(wire: Wire) -> None:
    await says(wire, text_pieces=["one ST", "OP", " two", " STOP three"])
    body = ask(stop_sequences=["three", "STOP"])
    assert await deltas(wire, body) == [(0, "one ")]
    message = await wire.message(body)
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "STOP")
    assert text_of(message) == "one "
    assert message.usage.output_tokens == 1


async def test_a_stop_sequence_at_the_beginning_leaves_no_text(wire: Wire) -> None:
    await says(wire, text="STOP here")
    message = await wire.message(ask(stop_sequences=["STOP"]))
    assert (message.content, message.stop_reason) == ([], "stop_sequence")


async def test_a_stop_sequence_has_no_say_inside_a_tools_input(wire: Wire) -> None:
    await says(wire, tool={"name": "get_weather", "input": {"city": "STOP"}})
    message = await wire.message(ask(tools=[WEATHER], stop_sequences=["STOP"]))
    assert message.stop_reason == "tool_use"
    block = message.content[0]
    assert block.type == "tool_use"
    assert block.input == {"city": "STOP"}


async def test_a_stop_sequence_before_a_call_leaves_the_call_out(wire: Wire) -> None:
    await says(wire, text="Wait. STOP", tool={"name": "get_weather"}, text_after="Never said")
    message = await wire.message(ask(tools=[WEATHER], stop_sequences=["STOP"]))
    assert [block.type for block in message.content] == ["text"]
    await says(wire, text="Wait.", tool={"name": "get_weather"}, text_after="a STOP b")
    message = await wire.message(ask(tools=[WEATHER], stop_sequences=["STOP"]))
    assert (message.stop_reason, text_of(message)) == ("stop_sequence", "Wait.a ")


async def test_calls_have_the_ids_and_pieces_that_are_given(wire: Wire) -> None:
    pieces = ['{"ci', 'ty": "B', 'ern"}']
    calls = [
        {"name": "get_weather", "id": "toolu_mine", "input_pieces": pieces},
        {"name": "get_weather", "input": ""},
        {"name": "get_weather", "id": "toolu_mine", "input": "{broken"},
    ]
    await says(wire, text="Before.", tools=calls, text_after="After.")
    body = ask(tools=[WEATHER])
    message = await wire.message(body)
    kinds = [block.type for block in message.content]
    assert kinds == ["text", "tool_use", "tool_use", "tool_use", "text"]
    assert text_of(message) == "Before.After."
    used = [block for block in message.content if block.type == "tool_use"]
    assert [block.input for block in used] == [{"city": "Bern"}, {}, {}]
    assert [block.id for block in used][::2] == ["toolu_mine"] * 2
    assert used[1].id.startswith("toolu_01")
    found = await deltas(wire, body)
    assert [piece for index, piece in found if index == 1] == ["", *pieces]
    assert [piece for index, piece in found if index == 2] == [""]


async def test_a_text_is_said_although_a_form_was_asked_for(wire: Wire) -> None:
    await says(wire, text="Sorry, here it is: {")
    assert text_of(await wire.message(ask(output_config=FORM))) == "Sorry, here it is: {"


async def test_a_form_can_be_cut(wire: Wire) -> None:
    await says(wire, text='{"answer": "To', stop_reason="max_tokens")
    message = await wire.message(ask(output_config=FORM))
    assert (text_of(message), message.stop_reason) == ('{"answer": "To', "max_tokens")


@pytest.mark.parametrize("text", ["", "I would rather not."])
async def test_a_refusal_has_details_with_text_and_without(wire: Wire, text: str) -> None:
    await says(wire, text=text, stop_reason="refusal", category="bio")
    message = await wire.message(ask(output_config=FORM))
    assert (text_of(message), message.stop_reason) == (text, "refusal")
    assert message.stop_details
    assert message.stop_details.category == "bio"
    end = (await wire.events(ask()))[-2]
    assert end.delta.stop_details.category == "bio"


async def test_a_reply_meant_for_the_first_call_is_not_given_again(wire: Wire) -> None:
    rules = [
        {"when": {"has_format": True}, "nth": [1, 3], "reply": {"text": "no JSON"}},
        {"when": {}, "nth": [4], "reply": {"text": "four"}},
    ]
    await wire.script(replies=rules)
    bodies = [ask(output_config=FORM)] * 3 + [ask()]
    said = [text_of(await wire.message(body)) for body in bodies]
    assert [said[0], said[2], said[3]] == ["no JSON", "no JSON", "four"]
    assert "answer" in json.loads(said[1])


async def test_a_reply_can_be_meant_for_results_of_tools(wire: Wire) -> None:
    await wire.script(replies=[{"when": {"has_tool_result": True}, "reply": {"text": "mine"}}])
    call = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1"}
    turns = [("user", "Weather?"), ("assistant", [call]), ("user", [result])]
    talk = [{"role": role, "content": content} for role, content in turns]
    assert text_of(await wire.message(ask(messages=talk, tools=[WEATHER]))) == "mine"


async def test_stop_sequences_can_be_refused(wire: Wire) -> None:
    await wire.script(refuse=["stop_sequences"])
    said = (await wire.refusal(ask(stop_sequences=["x"])))[2]
    assert said == "stop_sequences: Extra inputs are not permitted"
    await wire.message(ask())


@pytest.mark.parametrize(("model", "most"), [(OLD_HAIKU, 200_000), (SONNET, 1_000_000)])
async def test_a_prompt_longer_than_the_context_is_refused(
    wire: Wire, model: str, most: int
) -> None:
    await wire.script(context_tokens=10 * most)
    body = ask("x" * (most // 2 * 7), model=model)
    del body["thinking"]
    status, kind, said = await wire.refusal(body)
    assert (status, kind) == (400, "invalid_request_error")
    assert said == f"prompt is too long: {most + 3} tokens > {most} maximum"


async def test_the_context_can_be_made_smaller(wire: Wire) -> None:
    body = ask("x" * 350)
    await wire.script(context_tokens=102)
    assert (await wire.refusal(body))[2] == "prompt is too long: 103 tokens > 102 maximum"
    assert (await wire.calls())[-1]["outcome"] == "refused"
    await wire.script(context_tokens=103)
    assert (await wire.message(body)).stop_reason == "model_context_window_exceeded"


async def test_a_reply_that_fills_the_context_is_cut(wire: Wire) -> None:
    await wire.script(context_tokens=105)
    message = await wire.message(ask("x" * 350))
    assert message.stop_reason == "model_context_window_exceeded"
    assert message.usage.output_tokens == 2
    await wire.script(context_tokens=105)
    assert (await wire.message(ask("x" * 350, max_tokens=2))).stop_reason == "max_tokens"
