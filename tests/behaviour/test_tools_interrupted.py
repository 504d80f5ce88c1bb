"""Calls of the caller's tools that do not come to their end: cut, broken off, out of time, left."""

import asyncio
import json
from typing import Any

import pytest

from callers_tools import (
    ASKED,
    OSLO,
    WEATHER,
    answered,
    call,
    calling,
    error_of,
    names_of,
    result,
    weather,
)
from chat import body, frames_of
from dumb_upstream import Called, Reply, Status
from listening import hung_up, listening
from plans import subtask, working
from stage import Stage

TEAMS = {
    "hasty": "[timeouts]\ncoordination = 1\ndirect_answer = 1",
    "twice": "[caps]\nmax_rounds = 2",
}
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.served(TEAMS, STREAM_IDLE_TIMEOUT="5"),
]
BOTH_WAYS = pytest.mark.parametrize("stream", [False, True])
TOOLS: dict[str, Any] = {"tools": [WEATHER]}
PLAN = Called("delegate", {"subtasks": [subtask(1), subtask(2)]})


def says(stage: Stage, *blocks: str | Called, **fields: Any) -> None:
    stage.upstream.answer("lead", Reply(blocks=blocks, **fields))


def never() -> asyncio.Event:
    return asyncio.Event()


def pieces(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    deltas = [choice["delta"] for frame in frames for choice in frame.get("choices", ())]
    return [piece for delta in deltas for piece in delta.get("tool_calls", ())]


@BOTH_WAYS
async def test_arguments_that_a_cap_cuts_end_at_a_length(stage: Stage, stream: bool) -> None:
    says(stage, weather('{"city": "Os'), stop_reason="max_tokens")
    seen = answered(await stage.ask(**TOOLS, stream=stream))
    assert seen.calls == [("toolu_1", "get_weather", '{"city": "Os')]
    assert seen.finish_reason == "length"


@BOTH_WAYS
async def test_a_refusal_after_a_call_is_a_refusal(stage: Stage, stream: bool) -> None:
    says(stage, weather(), stop_reason="refusal")
    seen = answered(await stage.ask(**TOOLS, stream=stream))
    assert seen.finish_reason == "content_filter"


@BOTH_WAYS
async def test_servers_that_know_no_stop_reason_for_calls(stage: Stage, stream: bool) -> None:
    says(stage, weather(), stop_reason="end_turn")
    assert answered(await stage.ask(**TOOLS, stream=stream)).finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "broken",
    [
        {"cut_after_pieces": 1},
        {"error_after_pieces": (1, "overloaded_error")},
        {"truncate": True},
    ],
)
async def test_a_break_in_the_middle_of_a_call_is_an_error_frame(
    stage: Stage, broken: dict[str, Any]
) -> None:
    says(stage, weather(), **broken)
    *chunks, error = frames_of(await stage.ask(**TOOLS, stream=True))
    assert error["error"]["type"] == "server_error"
    assert all(it["choices"][0]["finish_reason"] is None for it in chunks)
    assert "".join(it["function"]["arguments"] for it in pieces(chunks)) in json.dumps(OSLO)
    # What has gone out cannot be taken back, so nothing is tried again.
    assert len(stage.upstream.calls) == 1


async def test_a_break_in_the_middle_of_a_call_is_a_status(stage: Stage) -> None:
    says(stage, weather(), cut_after_pieces=1)
    response = await stage.ask(**TOOLS)
    error_of(response, 502)
    assert "toolu_1" not in response.text


async def test_a_call_that_was_announced_and_then_broken_is_not_made_whole(stage: Stage) -> None:
    says(stage, weather(), cut_after_pieces=0)
    *chunks, error = frames_of(await stage.ask(**TOOLS, stream=True))
    assert "error" in error
    assert "".join(it["function"]["arguments"] for it in pieces(chunks)) == ""


@BOTH_WAYS
@pytest.mark.parametrize("first", [Status(529), Status(500), Reply(blocks=(), truncate=True)])
async def test_a_retry_before_the_first_delta_doubles_no_call(
    stage: Stage, first: Any, stream: bool
) -> None:
    stage.upstream.answer("lead", first, Reply(blocks=[weather()]))
    seen = answered(await stage.ask(**TOOLS, stream=stream))
    assert seen.calls == [("toolu_1", "get_weather", json.dumps(OSLO))]
    one, other = stage.upstream.calls
    assert one.body == other.body


@BOTH_WAYS
async def test_a_deadline_in_the_middle_of_a_call_ends_it_at_a_length(
    stage: Stage, stream: bool
) -> None:
    says(stage, weather(), hold_after_pieces=(1, never()))
    seen = answered(await stage.ask("hasty", **TOOLS, stream=stream))
    assert seen.calls == [("toolu_1", "get_weather", json.dumps(OSLO)[:7])]
    assert seen.finish_reason == "length"
    await hung_up(stage.upstream.calls[0])


@BOTH_WAYS
async def test_leaving_in_the_middle_of_a_call_closes_the_upstream(
    stage: Stage, stream: bool
) -> None:
    says(stage, weather(), hold_after_pieces=(1, never()))
    asked = body(stream=stream, **TOOLS)
    asking = asyncio.create_task(stage.http.post("/v1/chat/completions", json=asked))
    await stage.upstream.arrived(1)
    asking.cancel()
    await hung_up(stage.upstream.calls[0])


async def test_pieces_of_a_call_go_out_as_they_come(stage: Stage) -> None:
    held = never()
    says(stage, "Looking.", weather(), hold_after_pieces=(4, held))
    async with listening(stage.http, **TOOLS) as heard:
        await heard.until_event("route_decided", route="direct")
        await heard.until_text("Looking.")
        assert stage.upstream.in_flight == 1
        held.set()
        await heard.to_the_end()
    assert heard.finish_reason == "tool_calls"


@BOTH_WAYS
async def test_a_stop_sequence_ends_text_and_never_arguments(stage: Stage, stream: bool) -> None:
    says(stage, "Looking.", weather())
    seen = answered(await stage.ask(**TOOLS, stop=["Oslo", "city"], stream=stream))
    assert seen.text == "Looking."
    assert seen.calls == [("toolu_1", "get_weather", json.dumps(OSLO))]
    assert "stop_sequences" not in stage.upstream.calls[0].body  # they would cut a plan too


@BOTH_WAYS
async def test_a_stop_sequence_before_a_call_ends_the_turn(stage: Stage, stream: bool) -> None:
    says(stage, "Looking. END", weather(), hold_after_pieces=(2, never()))
    seen = answered(await stage.ask(**TOOLS, stop="END", stream=stream))
    assert (seen.text, seen.calls, seen.finish_reason) == ("Looking. ", [], "stop")


@BOTH_WAYS
async def test_what_only_began_like_a_stop_sequence_is_said_beside_a_call(
    stage: Stage, stream: bool
) -> None:
    says(stage, "Looking. EN", weather())
    seen = answered(await stage.ask(**TOOLS, stop="END", stream=stream))
    assert (seen.text, len(seen.calls), seen.finish_reason) == ("Looking. EN", 1, "tool_calls")


@BOTH_WAYS
async def test_who_asks_for_the_plan_alone_may_get_a_call(stage: Stage, stream: bool) -> None:
    says(stage, weather())
    wish = {"x-orchestration": "plan"}
    seen = answered(await stage.ask(**TOOLS, headers=wish, stream=stream))
    assert (len(seen.calls), seen.finish_reason) == (1, "tool_calls")


@BOTH_WAYS
async def test_who_asks_for_the_plan_alone_gets_it_beside_tools(stage: Stage, stream: bool) -> None:
    says(stage, PLAN, weather())
    wish = {"x-orchestration": "plan"}
    seen = answered(await stage.ask(**TOOLS, headers=wish, stream=stream))
    assert "Part 2" in (seen.text or "")
    assert (seen.calls, seen.finish_reason) == ([], "stop")
    assert stage.roles == ["lead"]


async def test_a_plan_that_must_be_mended_is_asked_for_without_the_callers_tools(
    stage: Stage,
) -> None:
    working(stage.upstream)
    useless = Called("delegate", {"subtasks": []})
    replies = [Reply(blocks=[useless]), Reply(blocks=[weather(), PLAN])]
    stage.upstream.answer("lead", *replies)
    history = [ASKED, calling(call("a")), result("a", "9 degrees")]
    seen = answered(await stage.ask(**TOOLS, messages=history))
    assert (seen.text, seen.calls) == ("the answer", [])
    first, again = stage.upstream.calls_of("lead")
    assert '"tool_result"' in json.dumps(first.body)
    assert names_of(again) == ["delegate"]
    assert '"tool_result"' not in json.dumps(again.body)
    assert "9 degrees" in again.last_text


async def test_a_review_cannot_call_the_callers_tools(stage: Stage) -> None:
    working(stage.upstream)
    stage.upstream.answer("lead", Reply(blocks=[PLAN]), Reply(blocks=["Enough.", weather()]))
    seen = answered(await stage.ask("twice", **TOOLS))
    assert (seen.text, seen.calls) == ("the answer", [])
    assert [names_of(it) for it in stage.upstream.calls_of("lead")] == [
        ["delegate", "get_weather"],
        ["delegate"],
    ]


@BOTH_WAYS
async def test_json_that_must_be_mended_after_results_is_asked_for_legally(
    stage: Stage, stream: bool
) -> None:
    stage.upstream.answer("lead", Reply(text="no JSON"), Reply(text='{"degrees": 5}'))
    history = [ASKED, calling(call("a")), result("a", "9 degrees")]
    fields: dict[str, Any] = {"response_format": {"type": "json_object"}, "stream": stream}
    seen = answered(await stage.ask(**TOOLS, messages=history, **fields))
    assert seen.text == '{"degrees": 5}'
    _, again = stage.upstream.calls
    # The API takes calls and results from those alone who are offered tools.
    assert names_of(again) or '"tool_result"' not in json.dumps(again.body)


@BOTH_WAYS
async def test_a_call_instead_of_json_is_a_call(stage: Stage, stream: bool) -> None:
    says(stage, "I must look first.", weather())
    fields: dict[str, Any] = {"response_format": {"type": "json_object"}, "stream": stream}
    seen = answered(await stage.ask(**TOOLS, **fields))
    assert (seen.text, len(seen.calls), seen.finish_reason) == (None, 1, "tool_calls")
    assert len(stage.upstream.calls) == 1
