"""Our own bytes against the SDK's: the same request, the same events, the same errors."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dumb_upstream import DumbUpstream, Reply
from orchestrator_worker.claude.anthropic_client import AnthropicClient, retry_after_seconds
from orchestrator_worker.claude.capabilities import capabilities_of
from orchestrator_worker.claude.client import (
    Call,
    CallOrigin,
    Message,
    MessageStopped,
    StreamEvent,
    TextDelta,
    Tool,
    ToolChoice,
    ToolInputDelta,
)
from orchestrator_worker.claude.ledger import RunLedger
from orchestrator_worker.claude.pricing import cost_usd
from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.claude.wire import StreamDecoder, data_lines, encode
from orchestrator_worker.errors import UpstreamError
from orchestrator_worker.orchestration.plan import PLAN_SCHEMA

ORIGIN = CallOrigin("run_1", "req_1", "tester", "lead")


def call(**fields: Any) -> Call:
    given_fields: dict[str, Any] = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 500,
        "messages": (Message("user", ("Hello", "there")),),
        "origin": ORIGIN,
        "ledger": RunLedger(),
        "deadline": 1e9,
        "idle_seconds": 30.0,
        "system": ("Be brief.",),
        "effort": "medium",
        **fields,
    }
    return Call(**given_fields)


async def test_our_request_is_the_one_the_sdk_would_send(upstream: DumbUpstream) -> None:
    upstream.answer("lead", Reply(text="hi"))
    tool = Tool("delegate", "Hands over.", PLAN_SCHEMA, eager=True)
    client = AnthropicClient(api_key="k", base_url=upstream.url)
    asked = call(
        tools=(tool,),
        tool_choice=ToolChoice(parallel=False),
        output_schema=PLAN_SCHEMA,
        headers={"x-orchestrator-role": "lead"},
    )
    async with client.stream(asked) as events:
        ours = [event async for event in events]
    await client.close()
    assert isinstance(ours[-1], MessageStopped)
    async with (
        anthropic.AsyncAnthropic(
            api_key="k",
            base_url=upstream.url,
            default_headers={"x-orchestrator-role": "lead"},
        ) as sdk,
        sdk.messages.stream(
            model="claude-sonnet-5-5",
            max_tokens=500,
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Hello"},
                        {"type": "text", "text": "there"},
                    ],
                }
            ],
            system=[{"type": "text", "text": "Be brief."}],
            tools=[
                {
                    "name": "delegate",
                    "description": "Hands over.",
                    "input_schema": PLAN_SCHEMA,  # type: ignore[typeddict-item]
                    "eager_input_streaming": True,
                }
            ],
            tool_choice={"type": "auto", "disable_parallel_tool_use": True},
            output_config={
                "effort": "medium",
                "format": {"type": "json_schema", "schema": dict(PLAN_SCHEMA)},
            },
            thinking={"type": "between_tools"},
        ) as stream,
    ):
        final = await stream.get_final_message()
    mine, theirs = upstream.calls
    assert mine.path == theirs.path == "/v1/messages"
    assert mine.body == theirs.body
    for name in ("authorization", "anthropic-version", "content-type"):
        assert mine.headers[name] == theirs.headers[name]
    texts = "".join(event.text for event in ours if isinstance(event, TextDelta))
    assert texts == "".join(block.text for block in final.content if block.type == "text")


def sse(*payloads: dict[str, Any], newline: str = "\n") -> bytes:
    frames = [f"event: {p['type']}{newline}data: {json.dumps(p)}{newline * 2}" for p in payloads]
    return "".join(frames).encode()


STREAM: tuple[dict[str, Any], ...] = (
    {"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 7}}},
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
    {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": ""}},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a\n\ndata: [DONE]"}},
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "é🙂"}},
    {"type": "content_block_delta", "delta": {"type": "brand_new_delta"}},
    {"type": "brand_new_event"},
    {
        "type": "content_block_start",
        "content_block": {"type": "tool_use", "id": "t", "name": "delegate"},
    },
    {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": '{"s'}},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 9, "input_tokens": None},
    },
    {"type": "message_stop"},
)


async def decoded(data: bytes, size: int) -> list[StreamEvent]:
    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(data), size):
            yield data[at : at + size]

    decoder = StreamDecoder()
    events = [decoder.decode(payload) async for payload in data_lines(chunks())]
    return [event for event in events if event is not None]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
async def test_a_stream_reads_the_same_in_pieces_of_any_size(newline: str) -> None:
    data = sse(*STREAM, newline=newline)
    whole = await decoded(data, len(data))
    assert whole[-1] == MessageStopped("end_turn", Usage(7, 9))
    assert [e.text for e in whole if isinstance(e, TextDelta)] == ["a\n\ndata: [DONE]", "é🙂"]
    assert [e.partial_json for e in whole if isinstance(e, ToolInputDelta)] == ['{"s']
    for size in range(1, 40):
        assert await decoded(data, size) == whole


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_an_upstream_error(data: bytes) -> None:
    with suppress(UpstreamError):
        assert StreamDecoder().decode(data) is None


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"type": "message_start"},
        {"type": "content_block_delta", "delta": {"type": "text_delta"}},
        {"type": "content_block_delta", "delta": None},
        {"type": ["x"]},
        {"type": "message_delta"},
    ],
)
def test_json_that_is_not_the_api_is_malformed(payload: dict[str, Any]) -> None:
    with pytest.raises(UpstreamError):
        StreamDecoder().decode(json.dumps(payload).encode())


def test_usage_takes_the_last_value_and_never_a_negative_one() -> None:
    usage = Usage().updated({"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": 3})
    usage = usage.updated({"output_tokens": 8, "input_tokens": None})
    usage = usage.updated({"cache_creation_input_tokens": -4, "output_tokens_details": None})
    assert usage == Usage(5, 8, 3, 0)
    thinking = usage.updated({"output_tokens_details": {"thinking_tokens": 2}})
    assert thinking.thinking_tokens == 2
    assert thinking.total_input_tokens == 8


def test_the_cost_of_an_unknown_model_is_unknown() -> None:
    assert cost_usd("llama-9", Usage(1000, 1000)) is None
    known = cost_usd("claude-haiku-5-5", Usage(1_000, 1_000, 1_000, 1_000))
    # 0.10 + 0.50 + 0.01 + 0.125 USD per million tokens.
    assert known is not None
    assert float(known) == pytest.approx(0.000735)


def test_a_model_that_is_not_claude_gets_the_plainest_request() -> None:
    body = json.loads(
        encode(call(model="llama-9", tools=(Tool("t", "d", {}),)), capabilities_of("llama-9"))
    )
    assert set(body) == {
        "model",
        "max_tokens",
        "messages",
        "system",
        "stream",
        "tools",
        "tool_choice",
    }
    assert set(body["tools"][0]) == {"name", "description", "input_schema"}
    small = json.loads(
        encode(
            call(model="claude-haiku-4-5", max_tokens=128_000), capabilities_of("claude-haiku-4-5")
        )
    )
    assert small["max_tokens"] == 64_000


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("0", None),
        ("-1", None),
        ("soon", None),
        (None, None),
        ("inf", None),
        ("nan", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header) == seconds
    in_the_future = retry_after_seconds("Wed, 21 Oct 2099 07:28:00 GMT")
    assert in_the_future is not None
    assert in_the_future > 1e9


async def read(client: AnthropicClient) -> list[StreamEvent]:
    async with client.stream(call(headers={"x-orchestrator-role": "lead"})) as events:
        return [event async for event in events]


async def test_a_connection_serves_again_also_when_its_body_ends_late(
    upstream: DumbUpstream,
) -> None:
    client = AnthropicClient(api_key="k", base_url=upstream.url)
    loop = asyncio.get_running_loop()
    for _ in range(5):
        end = asyncio.Event()
        # The end comes in a segment of its own, as from a server that writes events as they are.
        reply = Reply(text="hi", hold_end_of_body=end)
        upstream.answer("lead", reply)
        reply.on_piece = lambda end=end: loop.call_later(0.005, end.set) and None
        assert isinstance((await read(client))[-1], MessageStopped)
    assert upstream.connections == 1
    upstream.answer("lead", Reply(text="hi", hold_end_of_body=asyncio.Event()))
    began = loop.time()
    assert isinstance((await read(client))[-1], MessageStopped)
    assert loop.time() - began < 0.5
    await client.close()


async def test_what_breaks_after_the_end_takes_nothing_back(upstream: DumbUpstream) -> None:
    client = AnthropicClient(api_key="k", base_url=upstream.url)
    upstream.answer("lead", Reply(text="hi", cut_after_end=True))
    assert isinstance((await read(client))[-1], MessageStopped)
    await client.close()


@pytest.mark.parametrize("lost", ["message_start", "message_delta"])
async def test_a_message_without_its_start_or_its_reason_is_not_complete(lost: str) -> None:
    data = sse(*(payload for payload in STREAM if payload["type"] != lost))
    with pytest.raises(UpstreamError, match="failed"):
        await decoded(data, 50)


async def test_a_line_without_end_is_refused_in_linear_time() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"data: " + b"x" * 100_000

    with pytest.raises(UpstreamError):
        async for _ in data_lines(endless()):
            pass


async def test_nobody_listening_is_a_connection_fault() -> None:
    client = AnthropicClient(api_key="k", base_url="http://127.0.0.1:9")
    with pytest.raises(UpstreamError) as error:
        async with client.stream(call()):
            pass
    assert error.value.fault.value == "connection"
    with pytest.raises(UpstreamError):
        await client.probe()
    with pytest.raises(UpstreamError):
        await client.model_status("claude-haiku-5-5")
    await client.close()


async def test_bytes_that_are_not_http_are_an_upstream_fault() -> None:
    async def gibberish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 smtp ready\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(gibberish, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    client = AnthropicClient(api_key="k", base_url=url)
    with pytest.raises(UpstreamError):
        async with client.stream(call()):
            pass
    await client.close()
    server.close()


def test_the_sdks_transport_errors_are_the_ones_we_name() -> None:
    # A rename in the SDK's HTTP library must show here, not in production.
    assert issubclass(httpx2.RemoteProtocolError, httpx2.HTTPError)
    assert issubclass(httpx2.ReadError, httpx2.HTTPError)
    assert issubclass(httpx2.TimeoutException, httpx2.HTTPError)
