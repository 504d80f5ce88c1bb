"""What a server refuses is left out, once found out, for good; nothing else is."""

import asyncio
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from dumb_upstream import DumbUpstream, Reply, Status, Warmed
from orchestrator_worker.claude.client import Call, MessageStopped, Tool, ToolChoice
from orchestrator_worker.claude.refusal import read_refusal
from orchestrator_worker.errors import Feature, UpstreamError, UpstreamFault
from tests.claude.chain import call, chain_before

SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
EVERYTHING: dict[str, Any] = {
    "tools": (Tool("delegate", "Hands over.", SCHEMA, strict=True, eager=True),),
    "tool_choice": ToolChoice(forced=True),
    "stop_sequences": ("END",),
    "output_schema": SCHEMA,
    "effort": "low",
    "shared_prefix": True,
}
FORCED = 'tool_choice: type "tool" and "any" are not supported for this model'
EXTRA = "Extra inputs are not permitted; canary-of-the-prompt"


def refused(message: str, status: int = 400, kind: str = "invalid_request_error") -> Status:
    return Status(status, kind, message=message)


def features_in(body: dict[str, Any]) -> set[str]:
    """What a request carries, told from its bytes alone."""
    config = body.get("output_config", {})
    found = {
        "eager_input_streaming": any("eager_input_streaming" in t for t in body.get("tools", [])),
        "strict": any("strict" in t for t in body.get("tools", [])),
        "effort": "effort" in config,
        "output_format": "format" in config,
        "thinking": "thinking" in body,
        "cache_control": "cache_control" in str(body),
        "forced_tools": body.get("tool_choice", {}).get("type") in ("any", "tool"),
        "stop_sequences": "stop_sequences" in body,
    }
    return {name for name, there in found.items() if there}


ALL_OF_THEM = {
    "eager_input_streaming",
    "strict",
    "effort",
    "output_format",
    "thinking",
    "cache_control",
    "forced_tools",
    "stop_sequences",
}


@pytest.mark.parametrize(
    ("path", "features"),
    [
        ("tools.0.custom.eager_input_streaming", {"eager_input_streaming"}),
        ("tools.0.eager_input_streaming", {"eager_input_streaming"}),
        ("tools.0.custom.strict", {"strict"}),
        ("output_config.effort", {"effort"}),
        ("output_config.format", {"output_format"}),
        ("output_config", {"effort", "output_format"}),
        ("thinking", {"thinking"}),
        ("thinking.type", {"thinking"}),
        ("messages.0.content.0.cache_control", {"cache_control"}),
        ("messages.0.content.0.text.cache_control.ephemeral.ttl", {"cache_control"}),
        ("stop_sequences", {"stop_sequences"}),
    ],
)
async def test_a_refused_field_is_left_out_at_once_and_from_then_on(
    upstream: DumbUpstream, path: str, features: set[str]
) -> None:
    upstream.answer("worker", refused(f"{path}: {EXTRA}"), Reply(text="right"))
    with capture_logs() as logs:
        async with chain_before(upstream) as chain:
            assert await chain.text(call(**EVERYTHING)) == "right"
            assert await chain.text(call(**EVERYTHING)) == "right"
    carried = [features_in(asked.body) for asked in upstream.calls]
    assert carried == [ALL_OF_THEM, ALL_OF_THEM - features, ALL_OF_THEM - features]
    switched = [log for log in logs if log["event"] == "feature_switched_off"]
    assert {log["feature"] for log in switched} == features
    assert len(switched) == len(features)
    assert {log["model"] for log in switched} == {"claude-haiku-5-5"}
    assert "canary" not in str(logs)


async def test_each_attempt_of_a_negotiated_call_is_on_record_under_its_own_number(
    upstream: DumbUpstream,
) -> None:
    upstream.answer(
        "worker",
        refused("thinking: no"),
        refused("output_config.effort: no"),
        Status(529, "overloaded_error"),
        Reply(text="right"),
    )
    async with chain_before(upstream) as chain:
        asked = call(effort="low")
        assert await chain.text(asked) == "right"
    told = [(a.attempt, a.outcome, a.reason) for a in chain.attempts]
    assert told == [
        (1, "failed", "rejected"),
        (2, "failed", "rejected"),
        (3, "failed", "overloaded"),
        (4, "succeeded", None),
    ]
    assert [call.headers["x-orchestrator-attempt"] for call in upstream.calls] == list("1234")
    assert [a.cost_usd for a in chain.attempts[:2]] == [0, 0]
    assert [a.usage.total_input_tokens for a in chain.attempts[:2]] == [0, 0]


async def test_a_stream_that_breaks_off_after_negotiation_is_retried_under_the_next_number(
    upstream: DumbUpstream,
) -> None:
    upstream.answer("worker", refused("thinking: no"), Reply(truncate=True), Reply(text="right"))
    async with chain_before(upstream) as chain:
        assert await chain.text(call(effort="low")) == "right"
    assert [(a.attempt, a.reason) for a in chain.attempts] == [
        (1, "rejected"),
        (2, "truncated"),
        (3, None),
    ]


async def test_a_server_that_refuses_everything_ends_the_negotiation(
    upstream: DumbUpstream,
) -> None:
    paths = ("thinking", "output_config", "tools.0.strict", "tools.0.eager_input_streaming")
    more = ("system.0.cache_control", "stop_sequences")
    answers = [refused(f"{path}: no") for path in (*paths, *more)]
    upstream.answer("worker", *answers, refused(FORCED), refused("thinking: still no"))
    async with chain_before(upstream) as chain:
        with pytest.raises(UpstreamError) as error:
            await chain.events(call(**EVERYTHING))
    assert error.value.fault is UpstreamFault.REJECTED
    assert error.value.attempts == 8
    assert features_in(upstream.calls[-1].body) == set()
    assert len(upstream.calls) == 8


async def test_what_one_model_refuses_another_still_gets(upstream: DumbUpstream) -> None:
    upstream.answer("worker", refused("thinking: no"), Reply(text="right"))
    async with chain_before(upstream) as chain:
        await chain.text(call(effort="low"))
        await chain.text(call(effort="low", model="claude-opus-5"))
    assert ["thinking" in asked.body for asked in upstream.calls] == [True, False, True]


async def test_calls_that_are_refused_side_by_side_switch_off_once(upstream: DumbUpstream) -> None:
    go_on = asyncio.Event()

    async def refuse(asked: Any, write: Any) -> None:
        await go_on.wait()
        await refused("thinking: no")(asked, write)

    upstream.answer("worker", refuse, refuse, Reply(text="right"))
    with capture_logs() as logs:
        async with chain_before(upstream) as chain, asyncio.TaskGroup() as tasks:
            both = [tasks.create_task(chain.text(call(effort="low"))) for _ in range(2)]
            await upstream.arrived(2)
            go_on.set()
            assert [await one for one in both] == ["right", "right"]
    assert [log["event"] for log in logs].count("feature_switched_off") == 1
    assert ["thinking" in asked.body for asked in upstream.calls] == [True, True, False, False]


@pytest.mark.parametrize(
    "answer",
    [
        refused('messages.0.content.0.text: "thinking: is not supported"'),
        refused('prompt is too long: "thinking is not supported"'),
        refused("tools.0.custom.input_schema.properties.strict: no"),
        refused("output_config.format.schema: Schema is too complex"),
        refused("output_config.format.schema.properties.effort: no"),
        refused("max_tokens: 500 > 400"),
        refused("Your credit balance is too low; thinking is not supported"),
        refused("thinking: no", status=404, kind="not_found_error"),
        refused("thinking: no", status=413, kind="request_too_large"),
        refused("thinking: no", kind="billing_error"),
    ],
)
async def test_other_refusals_switch_nothing_off(upstream: DumbUpstream, answer: Status) -> None:
    upstream.answer("worker", answer, Reply(text="right"))
    with capture_logs() as logs:
        async with chain_before(upstream) as chain:
            with pytest.raises(UpstreamError):
                await chain.text(call(**EVERYTHING))
            assert await chain.text(call(**EVERYTHING)) == "right"
    assert logs == []
    assert features_in(upstream.calls[-1].body) == ALL_OF_THEM
    assert len(upstream.calls) == 2


async def test_a_field_that_the_call_did_not_carry_is_not_to_blame(upstream: DumbUpstream) -> None:
    upstream.answer("worker", refused("thinking: no"))
    async with chain_before(upstream) as chain:
        with pytest.raises(UpstreamError):
            await chain.text(call())
    assert len(upstream.calls) == 1


def envelope(message: object, **fields: object) -> bytes:
    error = {"type": "invalid_request_error", "message": message, **fields}
    return json.dumps({"type": "error", "error": error}).encode()


@pytest.mark.parametrize(
    ("message", "features"),
    [
        ("This model does not support the effort parameter.", {"effort"}),
        ("adaptive thinking is not supported on this model", {"thinking"}),
        ("This model does not support adaptive thinking", {"thinking"}),
        (
            '"thinking.type.disabled" is not supported for this model. Use'
            ' "thinking.type.adaptive" and "output_config.effort".',
            {"thinking"},
        ),
        (
            "unknown field `eager_input_streaming`, expected one of `strict`",
            {"eager_input_streaming"},
        ),
        ("Unsupported parameter: 'cache_control'", {"cache_control"}),
        ("max_tokens must be at least 1", {"pre_warm"}),
        ("`Thinking` is not permitted", {"thinking"}),
        ("output_config.format.type: no", {"output_format"}),
        (FORCED, {"forced_tools"}),
        ("output_config.task_budget: no", set[Feature]()),
        ("The user said thinking is not supported", set[Feature]()),
        ("0: no", set[Feature]()),
        ("...: no", set[Feature]()),
        ("", set[Feature]()),
        (None, set[Feature]()),
        (7, set[Feature]()),
    ],
)
def test_refusals_in_other_words(message: object, features: set[Feature]) -> None:
    assert read_refusal(400, envelope(message)).features == features


@pytest.mark.parametrize(
    ("body", "features"),
    [
        (b'{"detail":[{"loc":["body","thinking"],"input":"strict: x"}]}', {"thinking"}),
        (b'{"detail":[{"loc":["body","tools",0,"strict"]},{"loc":["body","x"]}]}', {"strict"}),
        (b'{"detail":"thinking: Extra inputs"}', {"thinking"}),
        (b'{"detail":[7]}', set[Feature]()),
        (b'{"detail":[{}]}', set[Feature]()),
        (b'{"error":"thinking: no"}', set[Feature]()),
        (b"[]", set[Feature]()),
        (b"<html>", set[Feature]()),
        (b"", set[Feature]()),
    ],
)
def test_the_refusals_of_servers_that_answer_422(body: bytes, features: set[Feature]) -> None:
    assert read_refusal(422, body).features == features


def test_an_error_code_that_is_no_word_is_none() -> None:
    assert read_refusal(429, envelope("x", details={"error_code": ["x"]})).error_code is None
    assert read_refusal(429, envelope("x", details={"error_code": "x"})).error_code == "x"


def warming(**fields: Any) -> Call:
    return call(max_tokens=0, shared_prefix=True, purpose="warm-up", **fields)


async def test_a_server_without_pre_warms_is_not_asked_again(upstream: DumbUpstream) -> None:
    upstream.answer("warm-up", refused("max_tokens: must be at least 1"))
    upstream.answer("worker", Reply(text="right"))
    with capture_logs() as logs:
        async with chain_before(upstream) as chain:
            for _ in range(2):
                with pytest.raises(UpstreamError) as error:
                    await chain.events(warming())
                assert error.value.fault is UpstreamFault.REJECTED
            assert await chain.text(call(shared_prefix=True)) == "right"
    assert [(a.purpose, a.outcome) for a in chain.attempts] == [
        ("warm-up", "failed"),
        (None, "succeeded"),
    ]
    assert [asked.body["max_tokens"] for asked in upstream.calls] == [0, 500]
    assert "cache_control" in features_in(upstream.calls[-1].body)
    assert [log["feature"] for log in logs if log["event"] == "feature_switched_off"] == [
        "pre_warm"
    ]


@pytest.mark.parametrize("model", ["llama-9", "claude-haiku-5-5"])
async def test_no_cache_is_warmed_where_there_is_none(upstream: DumbUpstream, model: str) -> None:
    upstream.answer("worker", refused("system.0.cache_control: no"), Reply(text="right"))
    async with chain_before(upstream) as chain:
        if model != "llama-9":
            await chain.text(call(shared_prefix=True))
        before = len(upstream.calls)
        with pytest.raises(UpstreamError):
            await chain.events(warming(model=model))
    assert len(upstream.calls) == before


async def test_a_pre_warm_survives_the_loss_of_another_feature(upstream: DumbUpstream) -> None:
    upstream.answer("warm-up", refused("output_config.effort: no"), Warmed())
    async with chain_before(upstream) as chain:
        events = await chain.events(warming(effort="low"))
    assert isinstance(events[-1], MessageStopped)
    assert ["output_config" in asked.body for asked in upstream.calls] == [True, False]
