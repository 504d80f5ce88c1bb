"""Calls that share a prefix: where the breakpoint goes, how it is warmed, and what that costs."""

from decimal import Decimal
from typing import Any

import orjson
import pytest

from dumb_upstream import DumbUpstream, Hang, Reply, Status, Warmed
from orchestrator_worker.claude.capabilities import capabilities_of
from orchestrator_worker.claude.client import Message, MessageStarted, MessageStopped, Tool
from orchestrator_worker.claude.pricing import cost_usd
from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.claude.wire import encode
from orchestrator_worker.errors import UpstreamError, UpstreamFault
from tests.claude.chain import call, chain_before

BREAKPOINT = {"type": "ephemeral"}
SYSTEM = ("You work.",)
TOOL = Tool("look_up", "Looks up.", {"type": "object"})
CONVERSATION = (
    Message("user", ("one", "two")),
    Message("assistant", ("three",)),
)


def marked(body: dict[str, Any]) -> list[Any]:
    """The texts (a tool's name) of the blocks that carry a breakpoint."""
    blocks = [block for message in body["messages"] for block in message["content"]]
    every = [*body.get("tools", []), *body.get("system", []), *blocks]
    found = [block for block in every if "cache_control" in block]
    assert all(block["cache_control"] == BREAKPOINT for block in found)
    return [block.get("text") or block["name"] for block in found]


@pytest.mark.parametrize(
    ("fields", "shared_end", "warm_end"),
    [
        ({"messages": (Message("user", ("a", "b", "own")),), "system": SYSTEM}, "b", "own"),
        ({"messages": (*CONVERSATION, Message("user", ("own",)))}, "three", "own"),
        ({"messages": (Message("user", ("own",)),), "system": ("x", "y")}, "y", "own"),
        ({"messages": (Message("user", ("own",)),), "tools": (TOOL,)}, "look_up", "own"),
        ({"messages": (Message("user", ("own",)),)}, None, "own"),
    ],
)
async def test_the_breakpoint_ends_the_shared_part(
    fields: dict[str, Any], shared_end: str | None, warm_end: str
) -> None:
    takes = capabilities_of("claude-haiku-5-5")
    body = orjson.loads(encode(call(shared_prefix=True, **fields), takes))
    assert marked(body) == ([shared_end] if shared_end else [])
    warm = orjson.loads(encode(call(shared_prefix=True, max_tokens=0, **fields), takes))
    assert marked(warm) == [warm_end]
    unshared = orjson.loads(encode(call(**fields), takes))
    assert marked(unshared) == []


async def test_a_model_that_caches_nothing_gets_no_breakpoint() -> None:
    asked = call(shared_prefix=True, model="llama-9")
    assert marked(orjson.loads(encode(asked, capabilities_of("llama-9")))) == []


async def test_a_pre_warm_and_the_calls_after_it_begin_with_the_same_bytes(
    upstream: DumbUpstream,
) -> None:
    fields: dict[str, Any] = {
        "system": SYSTEM,
        "tools": (TOOL,),
        "effort": "low",
        "shared_prefix": True,
    }
    written = {"input_tokens": 3, "cache_creation_input_tokens": 20_000}
    upstream.answer("warm-up", Warmed(written))
    upstream.answer("worker", Reply(text="right"))
    async with chain_before(upstream) as chain:
        shared = (Message("user", ("the shared part",)),)
        warm = call(max_tokens=0, messages=shared, purpose="warm-up", **fields)
        events = await chain.events(warm)
        assert await chain.text(call(**fields)) == "right"
    usage = Usage(3, 0, 0, 20_000)
    assert events == [MessageStarted("msg_dumb", usage), MessageStopped("max_tokens", usage)]
    first, second = upstream.calls
    assert "stream" not in first.body
    assert first.headers["accept"] == "application/json"
    assert first.body["max_tokens"] == 0
    for name in ("model", "system", "tools", "tool_choice", "thinking", "output_config"):
        assert first.body[name] == second.body[name]
    assert second.body["stream"] is True
    assert first.body["messages"][0]["content"][0] == second.body["messages"][0]["content"][0]
    assert marked(first.body) == marked(second.body) == ["the shared part"]
    assert upstream.connections == 1
    record, _ = chain.attempts
    assert (record.purpose, record.outcome, record.usage) == ("warm-up", "succeeded", usage)
    assert record.first_delta_seconds is None
    # 20k tokens written at 0.125 and 3 read at 0.10 USD per million.
    assert record.cost_usd == Decimal("0.0025003")


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (Usage(cache_creation_input_tokens=20_000), "0.0025"),
        (Usage(cache_read_input_tokens=20_000), "0.0002"),
        (Usage(input_tokens=20_000), "0.002"),
        (Usage(input_tokens=300, output_tokens=400, cache_read_input_tokens=20_000), "0.00043"),
        # Above 100k of prompt, whatever its kind, every token costs five times as much.
        (Usage(cache_creation_input_tokens=120_000), "0.075"),
        (Usage(input_tokens=20_000, cache_read_input_tokens=100_000), "0.015"),
        (Usage(), "0"),
    ],
)
def test_writing_and_reading_the_cache_have_prices_of_their_own(usage: Usage, usd: str) -> None:
    assert cost_usd("claude-haiku-5-5", usage) == Decimal(usd)


def test_the_share_of_a_cache_read_differs_between_models() -> None:
    read = Usage(cache_read_input_tokens=1_000_000)
    assert cost_usd("claude-sonnet-5-5", read) == Decimal("0.1")
    assert cost_usd("claude-opus-5-5", read) == Decimal("0.2")


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"<html>", "malformed"),
        (b"[]", "malformed"),
        (b'{"usage": {}}', "malformed"),
        (b'{"usage": 3, "stop_reason": "max_tokens"}', "malformed"),
        (b"event: message_start\n\n", "malformed"),
        (b" " * 70_000, "malformed"),
    ],
)
async def test_a_pre_warm_that_is_answered_with_something_else_fails(
    upstream: DumbUpstream, body: bytes, fault: str
) -> None:
    upstream.answer("worker", Warmed(body=body))
    async with chain_before(upstream) as chain:
        with pytest.raises(UpstreamError) as error:
            await chain.events(call(max_tokens=0, shared_prefix=True))
    assert error.value.fault == fault
    assert [(a.outcome, a.reason) for a in chain.attempts] == [("failed", fault)]


async def test_a_pre_warm_is_not_retried(upstream: DumbUpstream) -> None:
    upstream.answer("worker", Status(529, "overloaded_error"), Warmed())
    async with chain_before(upstream) as chain:
        with pytest.raises(UpstreamError):
            await chain.events(call(max_tokens=0, shared_prefix=True))
    assert len(upstream.calls) == 1


async def test_silence_ends_a_pre_warm(upstream: DumbUpstream) -> None:
    upstream.answer("worker", Hang())
    async with chain_before(upstream) as chain:
        with pytest.raises(UpstreamError) as error:
            await chain.events(call(max_tokens=0, shared_prefix=True, idle_seconds=0.05))
    assert error.value.fault is UpstreamFault.SILENT


async def test_an_error_whose_body_never_comes_is_told_by_its_status(
    upstream: DumbUpstream,
) -> None:
    async def half(_asked: Any, write: Any) -> None:
        await write(b"HTTP/1.1 401 X\r\ncontent-length: 10\r\n\r\n{")
        await Hang()(_asked, write)

    upstream.answer("worker", half)
    async with chain_before(upstream) as chain:
        with pytest.raises(UpstreamError) as error:
            await chain.events(call(idle_seconds=0.05))
    assert error.value.fault is UpstreamFault.AUTHENTICATION
