"""Histories with calls of tools, as clients keep them: what goes upstream of each, and which are
refused.
"""

import asyncio
import json
import re
import time
from typing import Any

import pytest

from callers_tools import (
    ASKED,
    OSLO,
    QUESTION,
    WEATHER,
    answered,
    call,
    calling,
    error_of,
    names_of,
    result,
)
from dumb_upstream import Reply
from stage import Stage

TEAMS = {"plain": 'route = "never"'}
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.served(TEAMS, MAX_REQUEST_BODY_BYTES="8000000"),
]
GO_ON = "Go on exactly where the last answer stops"
SAID = {"role": "assistant", "content": "Hello."}
TOOL_USE = {"type": "tool_use", "name": "get_weather", "input": OSLO}
DONE = {"type": "tool_result", "content": "5 degrees"}
OURS = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")


@pytest.fixture
def stage(stage: Stage) -> Stage:
    stage.upstream.answer("lead", Reply(text="Fine."))
    return stage


KEPT = {"cache_control": {"type": "ephemeral"}}
"""Ends a conversation that goes on: the next turn reads it from the cache."""


async def sent(stage: Stage, *history: Any, **fields: Any) -> list[dict[str, Any]]:
    """Return the messages that go upstream for a history, with the tool offered."""
    asked: dict[str, Any] = {"tools": [WEATHER], **fields}
    assert answered(await stage.ask(messages=history, **asked)).text == "Fine."
    return stage.upstream.calls[-1].body["messages"]


def user(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **fields}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def pairs_of(messages: list[dict[str, Any]]) -> list[tuple[str, Any, Any]]:
    """Return id, input and result of all calls; checks that they are as the API wants them."""
    seen: list[tuple[str, Any, Any]] = []
    assert messages[0]["role"] == messages[-1]["role"] == "user"
    calls: dict[str, Any] = {}
    for at, message in enumerate(messages):
        assert message["role"] == ("user", "assistant")[at % 2]
        blocks = message["content"]
        results = [it for it in blocks if it["type"] == "tool_result"]
        assert blocks[: len(results)] == results
        assert {it["tool_use_id"] for it in results} == calls.keys()
        seen += [(it["tool_use_id"], calls[it["tool_use_id"]], it["content"]) for it in results]
        calls = {it["id"]: it["input"] for it in blocks if it["type"] == "tool_use"}
    assert calls == {}
    ids = [id_ for id_, *_ in seen]
    assert len(set(ids)) == len(ids)
    assert all(map(OURS.match, ids))
    return seen


async def test_calls_and_results_go_up_as_what_they_are(stage: Stage) -> None:
    messages = await sent(stage, ASKED, calling(call("toolu_a")), result("toolu_a"))
    assert messages == [
        {"role": "user", "content": [text(QUESTION)]},
        {"role": "assistant", "content": [{**TOOL_USE, "id": "toolu_a"}]},
        {"role": "user", "content": [{**DONE, "tool_use_id": "toolu_a", **KEPT}]},
    ]


@pytest.mark.parametrize(
    "id",
    [
        "call_1.2:3",
        "call_" + "x" * 64,
        "ü" * 64,
        " ",
        "a b",
        "functions.get_weather:0",
        "chatcmpl-tool-0123456789abcdef0123456789abcdef",
        "x" * 5000,
        "line\nbreak",
        '"',
    ],
)
async def test_ids_of_any_shape_become_ones_that_the_api_takes(stage: Stage, id: str) -> None:
    messages = await sent(stage, ASKED, calling(call(id)), result(id))
    assert [(input, told) for _, input, told in pairs_of(messages)] == [(OSLO, "5 degrees")]


async def test_ids_that_come_again_in_another_turn_are_kept_apart(stage: Stage) -> None:
    history = [ASKED]
    for turn in range(4):
        history += [
            calling(call("call_0", f'{{"city": "{turn}"}}'), call("call.1", f'{{"n": {turn}}}')),
            result("call.1", f"n{turn}"),
            result("call_0", f"c{turn}"),
        ]
    pairs = [(input, told) for _, input, told in pairs_of(await sent(stage, *history))]
    assert sorted(pairs, key=str) == sorted(
        [({"city": str(turn)}, f"c{turn}") for turn in range(4)]
        + [({"n": turn}, f"n{turn}") for turn in range(4)],
        key=str,
    )


async def test_made_up_ids_keep_clear_of_the_callers(stage: Stage) -> None:
    history = [ASKED, calling(call("call.x"), call("call_1")), result("call_1"), result("call.x")]
    history += [calling(call("call_0"), call("call_2")), result("call_2"), result("call_0")]
    assert len(pairs_of(await sent(stage, *history))) == 4


async def test_results_come_in_any_order_and_before_what_was_said_meanwhile(
    stage: Stage,
) -> None:
    messages = await sent(
        stage,
        ASKED,
        calling(call("a"), call("b"), call("c"), content="Looking."),
        user("Hurry."),
        result("c", "C"),
        {"role": "system", "content": "Be quick."},
        user("Please."),
        result("a", "A"),
        result("b", "B"),
    )
    assert {told for *_, told in pairs_of(messages)} == {"A", "B", "C"}
    assert messages[1]["content"][0] == text("Looking.")
    assert messages[2]["content"][3:] == [text("Hurry."), {**text("Please."), **KEPT}]
    assert "Be quick." in stage.upstream.calls[0].system_text


@pytest.mark.parametrize(
    ("history", "param", "code"),
    [
        ([ASKED, calling(call("a"))], "messages.1", "invalid_value"),
        ([ASKED, calling(call("a")), user("Well?")], "messages.1", "invalid_value"),
        (
            [ASKED, calling(call("a"), call("b")), result("a"), user("?")],
            "messages.1",
            "invalid_value",
        ),
        (
            [ASKED, SAID, ASKED, calling(call("a")), SAID, result("a")],
            "messages.3",
            "invalid_value",
        ),
        ([ASKED, calling(call("a")), calling(call("b")), result("b")], "messages.1", None),
        ([ASKED, result("a")], "messages.1.tool_call_id", None),
        ([result("a")], "messages.0.tool_call_id", None),
        ([ASKED, calling(call("a")), result("b")], "messages.2.tool_call_id", None),
        ([ASKED, calling(call("a")), result("")], "messages.2.tool_call_id", None),
        (
            [ASKED, calling(call("a")), result("a"), result("a")],
            "messages.3.tool_call_id",
            None,
        ),
        (
            [ASKED, calling(call("a")), result("a"), SAID, result("a")],
            "messages.4.tool_call_id",
            None,
        ),
        (
            [ASKED, calling(call("a"), call("a")), result("a")],
            "messages.1.tool_calls.1.id",
            None,
        ),
        ([ASKED, calling(call(""))], "messages.1.tool_calls.0.id", None),
        ([ASKED, calling(call("a", name=""))], "messages.1.tool_calls.0.function.name", None),
        ([ASKED, calling(call("a", {"city": "Oslo"})), result("a")], None, None),
        ([ASKED, calling({**call("a"), "type": "custom"}), result("a")], None, None),
        ([ASKED, {"role": "tool", "content": "x"}], "messages.1.tool_call_id", None),
        ([ASKED, {"role": "function", "content": "x"}], "messages.1.name", None),
        ([ASKED, {"role": "function", "name": "f", "content": "x"}], "messages.1.name", None),
        (
            [ASKED, {"role": "assistant", "function_call": {"name": "f", "arguments": ""}}],
            "messages.1",
            None,
        ),
        ([ASKED, calling(*[call(str(n)) for n in range(129)])], "messages.1.tool_calls", None),
    ],
)
async def test_histories_that_do_not_add_up_are_refused_by_message(
    stage: Stage, history: Any, param: str | None, code: str | None
) -> None:
    for fields in ({"tools": [WEATHER]}, {}):
        asked: dict[str, Any] = fields
        error = error_of(await stage.ask(messages=history, **asked))
        if param is not None:
            assert error["param"] == param
        assert error["param"].startswith("messages.")
        assert error["code"] == (code or "invalid_value")
        assert re.search(r"messages\.\d", error["message"])
    assert stage.upstream.calls == []


@pytest.mark.parametrize(
    ("arguments", "input"),
    [
        ('{"city": "Oslo"}', OSLO),
        ("", {}),
        ("  \n", {}),
        (None, {}),
        ("{}", {}),
        ("[1, 2]", {"arguments": "[1, 2]"}),
        ("null", {"arguments": "null"}),
        ('"Oslo"', {"arguments": '"Oslo"'}),
        ('{"city": "Os', {"arguments": '{"city": "Os'}),
        ('{"n": NaN}', {"arguments": '{"n": NaN}'}),
        ('{"s": "\\ud800"}', {"arguments": '{"s": "\\ud800"}'}),
        ('{"s": "\\u0000 ü 🌨"}', {"s": "\0 ü 🌨"}),
    ],
)
async def test_arguments_are_taken_as_they_came(stage: Stage, arguments: Any, input: Any) -> None:
    (pair,) = pairs_of(await sent(stage, ASKED, calling(call("a", arguments)), result("a")))
    assert pair[1] == input
    without = await sent(stage, ASKED, calling(call("a", arguments)), result("a"), tools=None)
    assert json.loads(without[1]["content"][0]["text"].split("\n")[1]) == input


@pytest.mark.parametrize("levels", [100, 240, 260, 600, 2000])
async def test_deeply_nested_arguments_crash_nothing(stage: Stage, levels: int) -> None:
    nested = '{"a":' * levels + "1" + "}" * levels
    history = [ASKED, calling(call("a", nested)), result("a")]
    (pair,) = pairs_of(await sent(stage, *history))
    assert pair[1] == {"arguments": nested} or json.loads(nested) == pair[1]
    await sent(stage, *history, tools=None)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("5 degrees", "5 degrees"),
        ("", ""),
        (None, ""),
        ("  ", ""),
        ([], ""),
        ([text("5"), text(""), text("degrees")], "5\n\ndegrees"),
    ],
)
async def test_results_of_any_form_reach_the_lead(stage: Stage, content: Any, told: str) -> None:
    history = [ASKED, calling(call("a")), result("a", content)]
    (pair,) = pairs_of(await sent(stage, *history))
    assert pair[2] == told
    as_text = await sent(stage, *history, tools=None)
    assert f"\n{told}\n" in as_text[2]["content"][0]["text"]


async def test_a_result_without_content_is_an_empty_one(stage: Stage) -> None:
    bare = {"role": "tool", "tool_call_id": "a"}
    (pair,) = pairs_of(await sent(stage, ASKED, calling(call("a")), bare))
    assert pair[2] == ""


@pytest.mark.parametrize(
    "content",
    [None, "", "  ", [], [text("")], "absent"],
)
async def test_an_answer_of_calls_alone_has_no_text(stage: Stage, content: Any) -> None:
    message = calling(call("a"), content=content, reasoning_content="Hm.", refusal=None)
    if content == "absent":
        del message["content"]
    messages = await sent(stage, ASKED, message, result("a"))
    assert [it["type"] for it in messages[1]["content"]] == ["tool_use"]
    assert "Hm." not in json.dumps(messages)


async def test_empty_and_missing_lists_of_calls_are_none(stage: Stage) -> None:
    for calls in ([], None):
        messages = await sent(stage, ASKED, {**SAID, "tool_calls": calls}, ASKED)
        assert [len(it["content"]) for it in messages] == [1, 1, 1]


async def test_the_older_form_is_answered_by_name(stage: Stage) -> None:
    history: list[Any] = [ASKED]
    for city in ("Oslo", "Bergen"):
        made = {"name": "get_weather", "arguments": json.dumps({"city": city})}
        history += [
            {"role": "assistant", "content": None, "function_call": made},
            {"role": "function", "name": "get_weather", "content": f"in {city}"},
        ]
    pairs = pairs_of(await sent(stage, *history))
    assert [(input["city"], told) for _, input, told in pairs] == [
        ("Oslo", "in Oslo"),
        ("Bergen", "in Bergen"),
    ]
    await sent(stage, *history, tools=None, functions=[WEATHER["function"]])
    assert names_of(stage.upstream.calls[-1]) == ["delegate", "get_weather"]
    assert '"tool_result"' in json.dumps(stage.upstream.calls[-1].body)


async def test_neighbours_of_one_role_are_one_turn(stage: Stage) -> None:
    messages = await sent(
        stage,
        user("A", name="Ann"),
        user([text("B"), text(" "), text("C")], name="Bo"),
        SAID,
        {"role": "assistant", "content": [text("More.")]},
        calling(call("a"), content="Looking."),
        result("a"),
        {"role": "assistant", "content": ""},
        user("D"),
    )
    assert pairs_of(messages)
    assert [[it.get("text") for it in message["content"]] for message in messages] == [
        ["Ann: A", "Bo: B", "C"],
        ["Hello.", "More.", "Looking.", None],
        [None, "D"],
    ]


async def test_an_answer_at_the_end_is_gone_on_with(stage: Stage) -> None:
    messages = await sent(stage, ASKED, calling(call("a")), result("a"), SAID)
    assert messages[-2]["content"] == [text("Hello.")]
    (block,) = messages[-1]["content"]
    assert block["text"].startswith(GO_ON)


async def test_an_answer_at_the_beginning_has_a_turn_before_it(stage: Stage) -> None:
    messages = await sent(stage, calling(call("a")), result("a"))
    assert pairs_of(messages)
    assert messages[0]["content"][0]["text"].strip()


async def test_instructions_alone_are_what_is_asked(stage: Stage) -> None:
    history = [{"role": "system", "content": "Say hi."}, {"role": "developer", "content": "Now."}]
    messages = await sent(stage, *history, model="plain")
    assert messages == [{"role": "user", "content": [text("Say hi."), text("Now.")]}]
    assert "system" not in stage.upstream.calls[0].body


async def test_instructions_in_the_middle_go_to_the_top(stage: Stage) -> None:
    late = {"role": "developer", "content": [text("One."), text(""), text("Two.")]}
    messages = await sent(stage, ASKED, calling(call("a")), late, result("a"), model="plain")
    assert pairs_of(messages)
    assert stage.upstream.calls[0].system_text == "One.\nTwo."


@pytest.mark.parametrize(
    "history", [[user("")], [user([])], [{"role": "system", "content": " "}], [user(" ")]]
)
async def test_a_history_of_nothing_is_refused(stage: Stage, history: Any) -> None:
    assert error_of(await stage.ask(messages=history))["param"] == "messages"


def long_history(ids: list[str]) -> list[Any]:
    return [ASKED, *(message for id in ids for message in (calling(call(id)), result(id)))]


async def seconds_for(stage: Stage, ids: list[str]) -> float:
    """Return what a history costs this process, whatever else the machine does meanwhile."""
    began = time.process_time()
    messages = await sent(stage, *long_history(ids))
    took = time.process_time() - began
    assert len(pairs_of(messages)) == len(ids)
    return took


async def test_a_history_of_a_thousand_messages_is_read_quickly(stage: Stage) -> None:
    for ids in ([f"call.{number}" for number in range(500)], ["call_0"] * 500):
        assert await seconds_for(stage, ids) < 1


async def test_ids_made_to_be_in_the_way_cost_nothing_more(stage: Stage) -> None:
    half = 2400
    plain = [f"x_{number}" for number in range(2 * half)]
    in_the_way = [f"call_{half + number}" for number in range(half)]
    in_the_way += [f"c.{number}" for number in range(half)]
    usual = await seconds_for(stage, plain)
    assert await seconds_for(stage, in_the_way) < 2 * usual


async def test_many_results_in_one_turn(stage: Stage) -> None:
    ids = [f"call:{number}" for number in range(128)]
    history = [ASKED, calling(*map(call, ids)), user("Hurry."), *map(result, reversed(ids))]
    messages = await sent(stage, *history)
    assert len(pairs_of(messages)) == 128
    assert messages[2]["content"][-1] == {**text("Hurry."), **KEPT}


async def test_requests_side_by_side_do_not_mix_their_calls(stage: Stage) -> None:
    async def one(city: str) -> None:
        history = [
            user(city),
            calling(call("a.b", json.dumps({"city": city}))),
            result("a.b", city),
        ]
        await sent(stage, *history, tool_choice="auto")

    await asyncio.gather(*(one(f"City {number}") for number in range(8)))
    for lead in stage.upstream.calls:
        ((_, input, told),) = pairs_of(lead.body["messages"])
        assert input == {"city": told}
        assert lead.body["messages"][0]["content"] == [text(told)]
