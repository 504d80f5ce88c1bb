import asyncio
from time import monotonic
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import AsyncAnthropic

from orchestrator_worker.simulator import EmbeddedSimulator
from tests.simulator.wire import HAIKU, SONNET, Wire, ask, parse_events, refused, text_of

WORKER, LEAD = {"x-orchestrator-role": "worker"}, {"x-orchestrator-role": "lead"}
MINE = {"when": {}, "reply": {"text": "mine"}}


def slow(first: float, rate: float) -> dict[str, Any]:
    latency = {"first_token_seconds": first, "tokens_per_second": rate}
    return {"latencies": dict.fromkeys(("haiku", "sonnet", "default"), latency)}


def broken(kind: str, **more: Any) -> dict[str, Any]:
    return {"faults": [{"when": {}, "fault": {"kind": kind, **more}}]}


@pytest.mark.parametrize(
    ("when", "met"),
    [
        ({}, True),
        ({"model": "haiku"}, True),
        ({"model": "sonnet"}, False),
        ({"contains": "capital"}, True),
        ({"contains": "river"}, False),
        ({"system_contains": "kind"}, True),
        ({"system_contains": "capital"}, False),
        ({"has_tool": "look"}, True),
        ({"has_tool": "hear"}, False),
        ({"has_tool_result": False}, True),
        ({"has_tool_result": True}, False),
        ({"has_format": False, "stream": False}, True),
        ({"has_format": True}, False),
        ({"stream": True, "model": "haiku"}, False),
        ({"role": "worker"}, True),
        ({"role": "lead"}, False),
        ({"header": {"X-Trace": "7"}}, True),
        ({"header": {"x-trace": "8"}}, False),
        ({"role": "worker", "header": {"x-trace": "7", "x-other": ""}}, False),
    ],
)
async def test_a_reply_goes_to_the_calls_it_is_meant_for(
    wire: Wire, when: dict[str, Any], *, met: bool
) -> None:
    await wire.script(replies=[{"when": when, "reply": {"text": "mine"}}])
    tools = [{"name": "look", "input_schema": {"type": "object"}}]
    wire.http.headers.update(WORKER | {"x-trace": "7"})
    message = await wire.message(ask(system="be kind", tools=tools))
    assert (text_of(message) == "mine") == met


async def test_the_first_matching_reply_wins_and_a_new_script_replaces_all(wire: Wire) -> None:
    await wire.script(replies=[MINE, {"when": {}, "reply": {"text": "late"}}])
    assert text_of(await wire.message(ask())) == "mine"
    await wire.script()
    assert "mine" not in text_of(await wire.message(ask()))
    await wire.script(replies=[MINE])
    await wire.http.delete("/_simulator/script")
    assert "mine" not in text_of(await wire.message(ask()))


async def test_a_condition_on_text_looks_at_the_last_user_message_only(wire: Wire) -> None:
    await wire.script(replies=[{"when": {"contains": "first"}, "reply": {"text": "mine"}}])
    talk = [{"role": role, "content": text} for role, text in [("user", "first"), ("user", "two")]]
    assert text_of(await wire.message(ask(messages=talk))) != "mine"


async def test_a_scripted_reply_has_the_number_of_deltas_asked_for(wire: Wire) -> None:
    reply = {
        "text": "abcdefghij" * 5,
        "tokens": 25,
        "thinking_tokens": 7,
        "stop_reason": "end_turn",
    }
    await wire.script(replies=[{"when": {}, "reply": reply}])
    events = await wire.events(ask())
    texts = [e for e in events if e.type == "content_block_delta" and e.delta.type == "text_delta"]
    assert len(texts) == 25
    assert events[-2].usage.output_tokens == 32
    assert events[-2].usage.output_tokens_details.thinking_tokens == 7


async def test_a_scripted_tool_call_is_streamed_with_its_text(wire: Wire) -> None:
    call = {"name": "delegate", "input": {"subtasks": []}}
    reply = {"text": "First.", "tool": call, "tokens": 10}
    await wire.script(replies=[{"when": {}, "reply": reply}])
    message = await wire.message(ask())
    assert [block.type for block in message.content] == ["text", "tool_use"]
    assert message.stop_reason == "tool_use"
    events = await wire.events(ask())
    pieces = [e for e in events if e.type == "content_block_delta" and e.index == 1]
    assert len(pieces) == 1 + 10


async def test_a_scripted_tool_input_may_be_broken_json(wire: Wire) -> None:
    calls = [{"name": "a", "input": '{"x": '}, {"name": "b", "input": {"y": 1}}]
    await wire.script(replies=[{"when": {}, "reply": {"tools": calls}}])
    message = await wire.message(ask())
    inputs = [block.input for block in message.content if block.type == "tool_use"]
    assert inputs == [{}, {"y": 1}]
    events = await wire.events(ask())
    first = [
        e.delta.partial_json for e in events if e.type == "content_block_delta" and not e.index
    ]
    assert "".join(first) == '{"x": '


@pytest.mark.parametrize(
    ("script", "path"),
    [
        ({"speed": 1}, "speed: Extra inputs are not permitted"),
        ({"refuse": ["stream"]}, "refuse.0"),
        ({"latencies": {"haiku": {"first": 1}}}, "latencies.haiku.first"),
        ({"latencies": {"haiku": {"first_token_seconds": -1}}}, "latencies.haiku.first_token_sec"),
        ({"replies": [{"when": {"modle": "x"}, "reply": {}}]}, "replies.0.when.modle"),
        ({"replies": [{"when": {"stream": "x"}, "reply": {}}]}, "replies.0.when.stream"),
        ({"replies": [{"when": {"role": 1}, "reply": {}}]}, "replies.0.when.role"),
        ({"faults": [{"when": {"header": {"a": 1}}, "fault": {"kind": "cut"}}]}, "when.header.a"),
        ({"cache": {"ttl": 1}}, "cache.ttl: Extra inputs are not permitted"),
        ({"cache": {"ttl_5m_seconds": -1}}, "cache.ttl_5m_seconds"),
        ({"rate_limits": {"requests": 1}}, "rate_limits.requests"),
        ({"rate_limits": {"requests_per_minute": 1.5}}, "rate_limits.requests_per_minute"),
        ({"replies": [{"when": {}}]}, "replies.0.reply: Field required"),
        ({"replies": [{"reply": {"txt": "x"}}]}, "replies.0.reply.txt"),
        ({"replies": [{"reply": {"tokens": True}}]}, "replies.0.reply.tokens"),
        ({"replies": [{"reply": {"stop_reason": "tired"}}]}, "replies.0.reply.stop_reason"),
        ({"replies": [{"reply": {"tool": {"input": {}}}}]}, "replies.0.reply.tool.name"),
        ({"replies": [{"reply": {"text_pieces": ["a", 1]}}]}, "replies.0.reply.text_pieces.1"),
        (
            {"replies": [{"reply": {"tool": {"name": "a", "input_pieces": [{}]}}}]},
            "replies.0.reply.tool.input_pieces.0",
        ),
        ({"replies": [{"nth": ["1"], "reply": {}}]}, "replies.0.nth"),
        ({"context_tokens": -1}, "context_tokens: must not be negative"),
        ({"faults": [{"fault": {"kind": "rust"}}]}, "faults.0.fault.kind"),
        ({"faults": [{"fault": {"kind": "cut", "after": 1}}]}, "faults.0.fault.after"),
        ({"faults": [{"fault": {"kind": "status", "status": 200}}]}, "faults.0.fault.status"),
        ({"faults": [{"nth": [0], "fault": {"kind": "cut"}}]}, "faults.0.nth"),
        ([], "Input should be an object"),
    ],
)
async def test_a_wrong_script_is_refused_by_path_and_changes_nothing(
    wire: Wire, script: Any, path: str
) -> None:
    await wire.script(replies=[MINE])
    status, kind, said = refused(await wire.http.put("/_simulator/script", json=script))
    assert (status, kind) == (400, "invalid_request_error")
    assert path in said
    assert text_of(await wire.message(ask())) == "mine"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic._exceptions.OverloadedError),
        (401, anthropic.AuthenticationError),
    ],
)
async def test_a_status_fault_is_the_error_the_sdk_knows(
    wire: Wire, client: AsyncAnthropic, status: int, error: type[anthropic.APIStatusError]
) -> None:
    await wire.script(**broken("status", status=status, retry_after=2, message="busy"))
    with pytest.raises(error) as caught:
        await client.messages.create(**ask())
    assert caught.value.response.headers["retry-after"] == "2"
    assert "busy" in str(caught.value)
    call = (await wire.calls())[0]
    assert (call["outcome"], call["fault"], call["status"]) == ("fault", "status", status)


async def test_a_fault_strikes_the_calls_it_counts_and_no_others(wire: Wire) -> None:
    fault = {"kind": "status", "status": 500}
    when = {"model": "haiku"}
    await wire.script(faults=[{"when": when, "nth": [1, 3], "fault": fault}])
    await wire.post(ask(model=SONNET, thinking={"type": "between_tools"}))
    codes = [(await wire.post(ask())).status_code for _ in range(4)]
    assert codes == [500, 200, 500, 200]


async def test_the_nth_call_of_a_role_fails_whatever_the_others_do(wire: Wire) -> None:
    fault = {"kind": "status", "status": 500}
    when = {"role": "worker"}
    await wire.script(
        faults=[
            {"when": when, "nth": [2], "fault": fault},
            {"when": when, "nth": [2, 3], "fault": fault | {"status": 529}},
        ]
    )
    said = [WORKER, LEAD, WORKER, LEAD, WORKER, WORKER]
    await wire.http.post("/v1/messages", json=ask(max_tokens=-1), headers=WORKER)
    codes = [
        (await wire.http.post("/v1/messages", json=ask(), headers=headers)).status_code
        for headers in said
    ]
    assert codes == [200, 200, 500, 200, 529, 200]


async def test_an_error_event_ends_the_stream_after_its_deltas(
    wire: Wire, client: AsyncAnthropic
) -> None:
    await wire.script(**broken("error_event", after_deltas=3, error_type="overloaded_error"))
    seen: list[str] = []

    async def read() -> None:
        async for event in await client.messages.create(**ask(), stream=True):
            seen.append(event.type)  # noqa: PERF401

    with pytest.raises(anthropic.APIStatusError) as caught:
        await read()
    assert seen.count("content_block_delta") == 3
    assert (caught.value.status_code, caught.value.type) == (200, "overloaded_error")
    assert (await wire.refusal(ask()))[:2] == (529, "overloaded_error")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_cut_breaks_the_connection(wire: Wire, *, stream: bool) -> None:
    await wire.script(**broken("cut", after_deltas=2))
    with pytest.raises(httpx2.RemoteProtocolError):
        await wire.post(ask(stream=stream))
    assert [call["outcome"] for call in await wire.calls()] == ["fault"]


async def test_a_truncated_stream_ends_cleanly_without_its_end(wire: Wire) -> None:
    await wire.script(**broken("truncate", after_deltas=2))
    kinds = [event.type for event in parse_events((await wire.post(ask(stream=True))).text)]
    assert kinds == ["message_start", "content_block_start", *["content_block_delta"] * 2]
    assert (await wire.post(ask())).text == '{"id": "msg_'


async def test_garbage_is_one_line_that_is_no_json(wire: Wire) -> None:
    await wire.script(**broken("garbage", after_deltas=1))
    text = (await wire.post(ask(stream=True))).text
    assert text.count("data: {this is no JSON\n\n") == 1
    assert "message_stop" in text
    await wire.script(**broken("html"))
    response = await wire.post(ask())
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html")


@pytest.mark.parametrize("stream", [True, False])
async def test_bytes_that_are_no_text_end_the_response(wire: Wire, *, stream: bool) -> None:
    await wire.script(**broken("binary", after_deltas=1))
    body = (await wire.post(ask(stream=stream))).content
    assert (body.count(b"text_delta"), b"message_stop" in body) == (int(stream), False)
    with pytest.raises(UnicodeDecodeError):
        body.decode()


async def test_a_plain_error_has_a_body_that_is_no_json(wire: Wire, client: AsyncAnthropic) -> None:
    await wire.script(**broken("plain_error", status=502, message="Bad gateway", retry_after=1))
    response = await wire.post(ask(stream=True))
    assert (response.status_code, response.headers["content-type"]) == (502, "text/html")
    assert response.headers["retry-after"] == "1"
    assert "Bad gateway" in response.text
    with pytest.raises(anthropic.InternalServerError):
        await client.messages.create(**ask())


async def test_faults_of_content_are_proper_messages(wire: Wire) -> None:
    await wire.script(**broken("empty"))
    empty = await wire.message(ask())
    assert (empty.content, empty.stop_reason) == ([], "end_turn")
    await wire.script(**broken("refusal", category="cyber"))
    refusal = await wire.message(ask())
    assert (refusal.content, refusal.stop_reason) == ([], "refusal")
    assert refusal.stop_details
    assert refusal.stop_details.category == "cyber"
    assert (await wire.events(ask()))[-2].delta.stop_details.category == "cyber"
    await wire.script(**broken("refusal", after_deltas=2))
    events = await wire.events(ask())
    assert [e.type for e in events].count("content_block_delta") == 2
    assert events[-2].delta.stop_reason == "refusal"
    await wire.script(**broken("max_tokens", after_deltas=2))
    cut = await wire.message(ask())
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 2)


@pytest.mark.parametrize("kind", ["hang", "stall"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_silent_call_ends_when_the_client_leaves(
    wire: Wire, kind: str, *, stream: bool
) -> None:
    await wire.script(**broken(kind, after_deltas=1, ping_seconds=0.01))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wire.post(ask(stream=stream)), 0.15)
    call = await ended_call(wire)
    assert (call["outcome"], call["fault"]) == ("client_left", kind)


async def ended_call(wire: Wire) -> dict[str, Any]:
    """The only call, once it has ended."""
    async with asyncio.timeout(5):
        while (call := (await wire.calls())[0])["outcome"] == "in_flight":
            pass
    return call


async def test_a_client_that_leaves_a_stream_is_noticed_within_100_ms(wire: Wire) -> None:
    await wire.script(**slow(0, 20), replies=[{"when": {}, "reply": {"text": "x", "tokens": 500}}])
    async with wire.http.stream("POST", "/v1/messages", json=ask(stream=True)) as response:
        chunks = response.aiter_bytes()
        await anext(chunks)
        assert (await wire.record())["in_flight"] == 1
    left = monotonic()
    call = await ended_call(wire)
    assert monotonic() - left < 0.1
    assert call["outcome"] == "client_left"
    assert (await wire.record())["in_flight"] == 0


@pytest.mark.parametrize("stream", [True, False])
async def test_the_pace_is_first_token_plus_tokens_by_rate(wire: Wire, *, stream: bool) -> None:
    reply = {"text": "x" * 100, "tokens": 100}
    await wire.script(**slow(0.1, 400), replies=[{"when": {}, "reply": reply}])
    await wire.post(ask(stream=stream))
    call = (await wire.calls())[0]
    assert 0.345 <= call["ended_at"] - call["arrived_at"] < 0.6
    begun = call["first_byte_at"] - call["arrived_at"]
    assert 0.095 <= begun < 0.3 if stream else begun >= 0.345


async def test_a_reply_may_have_a_pace_of_its_own(wire: Wire) -> None:
    pace = {"first_token_seconds": 0.2, "tokens_per_second": 0}
    await wire.script(replies=[{"when": {}, "reply": {"text": "x", "latency": pace}}])
    await wire.post(ask())
    call = (await wire.calls())[0]
    assert call["ended_at"] - call["arrived_at"] >= 0.195


async def test_the_record_tells_what_was_asked_and_what_came_of_it(wire: Wire) -> None:
    await wire.message(ask("hello"))
    await wire.http.get("/v1/models")
    message, models = await wire.calls()
    assert message["body"] == ask("hello")
    assert message["headers"]["authorization"] == "***"
    assert message["headers"]["anthropic-version"] == "2026-10-21"
    assert (message["index"], message["method"], message["path"]) == (0, "POST", "/v1/messages")
    assert (message["model"], message["stream"], message["status"]) == (HAIKU, False, 200)
    assert (message["outcome"], message["stop_reason"]) == ("completed", "end_turn")
    assert message["usage"]["output_tokens"] > 0
    assert message["arrived_at"] <= message["first_byte_at"] <= message["ended_at"]
    assert (models["path"], models["outcome"]) == ("/v1/models", "completed")
    await wire.http.delete("/_simulator/calls")
    assert await wire.calls() == []


async def test_the_record_can_be_light(wire: Wire) -> None:
    await wire.script(record_bodies=False)
    await wire.message(ask())
    assert (await wire.calls())[0]["body"] is None


async def test_the_peak_counts_calls_in_flight_at_once(wire: Wire) -> None:
    await wire.script(**broken("hang"))
    sonnet = ask(model=SONNET, thinking={"type": "between_tools"})
    async with asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(wire.post(body)) for body in (ask(), ask(), sonnet)]
        async with asyncio.timeout(5):
            while (await wire.record())["in_flight"] < 3:
                pass
        for call in calls:
            call.cancel()
    record = await wire.record()
    assert record["in_flight_peak"] == 3
    assert record["in_flight_peak_by_model"] == {HAIKU: 2, SONNET: 1}
    assert record["max_loop_lag_seconds"] >= 0


async def test_an_unstarted_simulator_has_no_address() -> None:
    with pytest.raises(RuntimeError):
        _ = EmbeddedSimulator().url
