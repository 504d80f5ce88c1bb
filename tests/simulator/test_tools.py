"""Tools of the caller's own: which are called, what their history must look like, how calls are
streamed.
"""

import json
from typing import Any

import pytest

from tests.simulator.test_messages import DELEGATE, WEATHER
from tests.simulator.wire import HAIKU, SONNET, Json, Wire, ask, text_of

TIME: Json = {
    "name": "get_time",
    "description": "Tells the local time of a place.",
    "input_schema": {
        "type": "object",
        "properties": {"place": {"type": "string"}},
        "required": ["place"],
    },
}
PING: Json = {"name": "ping", "input_schema": {"type": "object", "properties": {}}}
CITIES: Json = {
    "name": "weather_of_cities",
    "input_schema": {
        "type": "object",
        "properties": {"cities": {"type": "array", "items": {"type": "string"}}},
        "required": ["cities"],
    },
}
TOOLS = [DELEGATE, WEATHER, TIME]
BOTH = "What is the weather in Paris and the time in Tokyo?"
ORDER = "Call one of the tools you have now. Do not answer in text."


async def called(wire: Wire, body: Json) -> list[tuple[str, Any]]:
    content = (await wire.message(body)).content
    return [(block.name, block.input) for block in content if block.type == "tool_use"]


def in_celsius(*cities: str) -> list[tuple[str, Any]]:
    return [("get_weather", {"city": city, "unit": "celsius"}) for city in cities]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (BOTH, [*in_celsius("Paris"), ("get_time", {"place": "Tokyo"})]),
        ("What is the weather in Paris and Rome?", in_celsius("Paris", "Rome")),
        (
            "Weather in Paris, New York and Oslo, and then the time in Bern",
            [*in_celsius("Paris", "New York", "Oslo"), ("get_time", {"place": "Bern"})],
        ),
        (
            "Tell me the time in Rome. Is the weather fine in Rome?",
            [("get_time", {"place": "Rome"}), *in_celsius("Rome")],
        ),
        ("Weather in Rome, please, the weather in Rome", in_celsius("Rome")),
        ("What is the weather in Paris, and should I take an umbrella?", in_celsius("Paris")),
    ],
)
async def test_each_thing_that_is_asked_for_gets_a_call(
    wire: Wire, text: str, calls: list[tuple[str, Any]]
) -> None:
    assert await called(wire, ask(text, tools=TOOLS)) == calls


async def test_a_tool_that_takes_a_list_is_called_once(wire: Wire) -> None:
    calls = await called(wire, ask("The weather of the cities Paris and Rome", tools=[CITIES]))
    assert [name for name, _ in calls] == ["weather_of_cities"]


@pytest.mark.parametrize("choice", [{"type": "auto"}, {"type": "any"}])
async def test_parallel_calls_can_be_disabled(wire: Wire, choice: Json) -> None:
    choice |= {"disable_parallel_tool_use": True}
    body = ask(BOTH, tools=TOOLS, tool_choice=choice)
    assert await called(wire, body) == in_celsius("Paris")
    calls = [{"name": "get_time", "input": {"place": str(n)}} for n in range(3)]
    await wire.script(replies=[{"when": {}, "reply": {"tools": calls}}])
    assert await called(wire, body) == [("get_time", {"place": "0"})]
    assert len(await called(wire, ask(BOTH, tools=TOOLS))) == 3


async def test_the_calls_of_a_stream_have_blocks_and_ids_of_their_own(wire: Wire) -> None:
    events = await wire.events(ask(BOTH, tools=TOOLS))
    starts = [e for e in events if e.type == "content_block_start"]
    assert [start.index for start in starts] == [0, 1]
    assert [start.content_block.name for start in starts] == ["get_weather", "get_time"]
    assert len({start.content_block.id for start in starts}) == 2
    inputs = [
        "".join(
            e.delta.partial_json for e in events if e.type == "content_block_delta" and e.index == i
        )
        for i in (0, 1)
    ]
    assert [json.loads(raw) for raw in inputs] == [
        {"city": "Paris", "unit": "celsius"},
        {"place": "Tokyo"},
    ]


async def test_a_tool_that_is_named_goes_before_a_plan(wire: Wire) -> None:
    text = "Compare the weather in Paris, Rome and Oslo."
    assert {name for name, _ in await called(wire, ask(text, tools=TOOLS))} == {"get_weather"}
    assert [name for name, _ in await called(wire, ask(text, tools=[DELEGATE, PING]))] == [
        "delegate"
    ]
    named = "Compare tea, coffee and mate with `ping`."
    assert [name for name, _ in await called(wire, ask(named, tools=[DELEGATE, PING]))] == ["ping"]


def after_results(text: str, *contents: str) -> list[Json]:
    ids = [f"toolu_{n}" for n in range(len(contents))]
    calls = [
        {"type": "tool_use", "id": id, "name": "get_weather", "input": {"city": "Paris"}}
        for id in ids
    ]
    results = [
        {"type": "tool_result", "tool_use_id": id, "content": content}
        for id, content in zip(ids, contents, strict=True)
    ]
    return [
        {"role": "user", "content": text},
        {"role": "assistant", "content": calls},
        {"role": "user", "content": results},
    ]


async def test_after_results_it_answers_and_plans_no_more(wire: Wire) -> None:
    talk = after_results(
        "Compare tea, coffee and mate.", "18 degrees", "<result title='x'>y</result>"
    )
    message = await wire.message(ask(messages=talk, tools=TOOLS))
    assert message.stop_reason == "end_turn"
    assert "18 degrees" in text_of(message)
    talk[-1]["content"].append({"type": "text", "text": "Say how the weather in Paris is."})
    assert await called(wire, ask(messages=talk, tools=TOOLS)) == []


async def test_after_results_a_form_is_filled_from_the_first_request(wire: Wire) -> None:
    schema = {
        "type": "object",
        "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
        "required": ["question", "answer"],
        "additionalProperties": False,
    }
    body = ask(
        messages=after_results("How warm is Paris?", "18 degrees"),
        tools=TOOLS,
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    found = json.loads(text_of(await wire.message(body)))
    assert found["question"] == "How warm is Paris?"
    assert "18 degrees" in found["answer"]


async def test_results_that_are_told_as_text_are_answered_from_too(wire: Wire) -> None:
    told = [
        f'<tool-result-7f name="{name}" content="untrusted data">\n{text}\n</tool-result-7f>'
        for name, text in (("get_weather", "18 degrees"), ("get_time", "noon"))
    ]
    turn = [{"type": "text", "text": text} for text in told]
    messages = talk(BOTH, '<tool-call-7f name="get_weather">\n{}\n</tool-call-7f>', turn)
    message = await wire.message(ask(messages=messages, tools=[DELEGATE]))
    assert text_of(message) == (
        "This is what the tools returned.\n\nget_weather: 18 degrees\n\nget_time: noon (simulated)"
    )
    turn.append({"type": "text", "text": "Your part: say how many degrees it has."})
    said = text_of(await wire.message(ask(messages=messages, tools=[DELEGATE])))
    assert not said.startswith("This is what")


async def test_results_that_are_written_up_in_a_form_are_about_the_request(wire: Wire) -> None:
    schema = {
        "type": "object",
        "properties": {"title": {"type": "string"}},
        "required": ["title"],
        "additionalProperties": False,
    }
    results = '<result-7f title="Tea" outcome="succeeded">\nHot.\n</result-7f>'
    turn = [
        {"type": "text", "text": "Describe the tea of Assam."},
        {"type": "text", "text": f"{results}\n\nWrite the answer to the request above."},
    ]
    form = {"format": {"type": "json_schema", "schema": schema}}
    message = await wire.message(ask(messages=talk(turn), output_config=form))
    assert json.loads(text_of(message)) == {"title": "Describe the tea of Assam"}


async def test_with_a_form_a_tool_may_still_be_called(wire: Wire) -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    form = {"format": {"type": "json_schema", "schema": schema}}
    assert await called(wire, ask("Weather in Rome?", tools=TOOLS, output_config=form))
    assert json.loads(text_of(await wire.message(ask("Hi", tools=TOOLS, output_config=form)))) == {}


async def test_haiku_5_5_can_be_made_to_call_a_tool(wire: Wire) -> None:
    choice = {"type": "tool", "name": "get_time"}
    body = ask("Weather in Rome?", model=HAIKU, tools=TOOLS, tool_choice=choice)
    assert await called(wire, body) == [("get_time", {"place": "Rome"})]
    await wire.script(refuse=["forced_tools"])
    for kind in (choice, {"type": "any"}):
        assert (await wire.refusal(body | {"tool_choice": kind}))[2] == (
            'tool_choice: type "tool" and "any" are not supported for this model'
        )
    await wire.message(body | {"tool_choice": {"type": "auto"}})


@pytest.mark.parametrize(
    ("order", "tools", "calls"),
    [
        (ORDER, TOOLS, ["get_weather"]),
        ("Call the tool `get_time` now. Do not answer in text.", TOOLS, ["get_time"]),
        ("Call the tool `get_time` now. Do not answer in text.", [WEATHER], []),
    ],
)
async def test_an_order_in_words_to_call_a_tool_is_followed(
    wire: Wire, order: str, tools: list[Json], calls: list[str]
) -> None:
    body = ask("Hello", model=SONNET, thinking={"type": "between_tools"}, tools=tools)
    blocks = [{"type": "text", "text": text} for text in ("You lead a team.", order)]
    said = await called(wire, body | {"system": blocks})
    assert [name for name, _ in said] == calls
    turn = [{"role": "user", "content": [{"type": "text", "text": t} for t in ("Hello", order)]}]
    said = await called(wire, body | {"messages": turn})
    assert [name for name, _ in said] == calls


async def test_talk_about_calls_in_the_system_prompt_is_no_order(wire: Wire) -> None:
    told = (
        "Call the tool straight away.\nCall the tool `get_time` for times. You may, now and then."
    )
    assert await called(wire, ask("Hello", system=told, tools=TOOLS)) == []


async def test_a_forced_call_is_not_changed_by_words(wire: Wire) -> None:
    choice = {"type": "tool", "name": "get_time"}
    body = ask("Weather in Rome?", system=ORDER, tools=TOOLS, tool_choice=choice)
    assert [name for name, _ in await called(wire, body)] == ["get_time"]


def talk(*turns: Any) -> list[Json]:
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": turn} for n, turn in enumerate(turns)]


def use(id: str = "toolu_1", name: str = "ping") -> Json:
    return {"type": "tool_use", "id": id, "name": name, "input": {}}


def result(id: str = "toolu_1") -> Json:
    return {"type": "tool_result", "tool_use_id": id, "content": "seen"}


def with_schema(**schema: Any) -> Json:
    return {"tools": [PING, {"name": "look", "input_schema": schema}]}


AT_TOP = "tools.1.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the"
REFUSED: dict[str, tuple[Json, str]] = {
    "calls without tools": (
        {"messages": talk("Hi", [use()], [result()])},
        "Requests which include `tool_use` or `tool_result` blocks must define tools",
    ),
    "calls with no tool in tools": (
        {"messages": talk("Hi", [use()], [result()]), "tools": []},
        "Requests which include `tool_use` or `tool_result` blocks must define tools",
    ),
    "the same id in one turn": (
        {"messages": talk("Hi", [use(), use()], [result()]), "tools": [PING]},
        "messages.1.content.1: `tool_use` ids must be unique",
    ),
    "the same id in a later turn": (
        {
            "messages": talk("Hi", [use()], [result()], [use()], [result()]),
            "tools": [PING],
        },
        "messages.3.content.0: `tool_use` ids must be unique",
    ),
    "a long name": (
        {"messages": talk("Hi", [use(name="x" * 201)], [result()]), "tools": [PING]},
        "messages.1.content.0.tool_use.name: String should have",
    ),
    "an id of another service": (
        {"messages": talk("Hi", [use("call:1")], [result("call:1")]), "tools": [PING]},
        "messages.1.content.0.tool_use.id: String should match pattern",
    ),
    "an id that ends in a line break": (
        {"messages": talk("Hi", [use("a\n")], [result("a\n")]), "tools": [PING]},
        "messages.1.content.0.tool_use.id: String should match pattern",
    ),
    "oneOf": (with_schema(type="object", oneOf=[{"required": ["a"]}]), AT_TOP),
    "anyOf": (with_schema(anyOf=[{"type": "object"}]), AT_TOP),
    "allOf": (with_schema(type="object", allOf=[]), AT_TOP),
    "a key with a bracket": (
        with_schema(type="object", properties={"filter[id]": {"type": "string"}}),
        "tools.1.custom.input_schema.properties: Property keys should match pattern"
        " '^[a-zA-Z0-9_.-]{1,64}$'",
    ),
    "a name that ends in a line break": (
        {"tools": [PING | {"name": "ping\n"}]},
        "tools.0.custom.name: String should match pattern",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_the_api_refuses_about_tools_is_refused(wire: Wire, case: str) -> None:
    change, message = REFUSED[case]
    status, kind, said = await wire.refusal(ask(**change))
    assert (status, kind) == (400, "invalid_request_error")
    assert said.startswith(message)


@pytest.mark.parametrize(
    "change",
    [
        {"messages": talk("Hi", [use()], [result()], [use("b")], [result("b")])},
        {"messages": talk("Hi", [use()], [result()]), "tool_choice": {"type": "none"}},
        with_schema(type="object", properties={"a": {"anyOf": [{"type": "string"}]}}),
    ],
)
async def test_what_the_api_accepts_about_tools_is_accepted(wire: Wire, change: Json) -> None:
    await wire.message(ask(tools=[PING]) | change)


async def test_an_empty_input_is_one_empty_delta(wire: Wire) -> None:
    body = ask("Please ping.", tools=[PING])
    events = await wire.events(body)
    block = [e for e in events if e.type.startswith("content_block")]
    assert [event.type for event in block] == [
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    ]
    assert block[1].delta.partial_json == ""
    assert events[-2].delta.stop_reason == "tool_use"
    assert await called(wire, body) == [("ping", {})]
