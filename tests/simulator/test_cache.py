"""What the prompt cache does to the bill, seen through HTTP."""

import asyncio
from time import monotonic
from typing import Any

import pytest
from anthropic.types import Usage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulator.wire import HAIKU, INSTANT, OLD_HAIKU, SONNET, Json, Wire, ask

LONG = "The supplier delivers bicycles to the shops within five days. " * 40
"""About 700 tokens."""
CONTROL = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
LOOK: Json = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
FORMAT = {
    "type": "json_schema",
    "schema": {"type": "object", "properties": {}, "additionalProperties": False},
}


def text(value: str, **more: Any) -> Json:
    return {"type": "text", "text": value, **more}


def shared(tail: str = "Summarise it.", **more: Any) -> Json:
    """A request with a long beginning up to a breakpoint, and an end of its own."""
    content = [text(LONG, **CONTROL), text(tail)]
    body = ask(system="Be kind.", messages=[{"role": "user", "content": content}])
    return body | more


async def usage(wire: Wire, body: Json) -> Usage:
    return (await wire.message(body)).usage


async def counted(wire: Wire, body: Json) -> int:
    left_out = ("max_tokens", "stream")
    return await wire.count({key: value for key, value in body.items() if key not in left_out})


def prompt_of(spent: Any) -> int:
    return (
        spent.input_tokens
        + (spent.cache_creation_input_tokens or 0)
        + (spent.cache_read_input_tokens or 0)
    )


async def test_the_first_call_writes_and_the_next_reads(wire: Wire) -> None:
    first, second = await usage(wire, shared("One.")), await usage(wire, shared("Two?"))
    assert first.cache_read_input_tokens == 0
    assert first.cache_creation_input_tokens
    assert first.cache_creation
    assert first.cache_creation.ephemeral_5m_input_tokens == first.cache_creation_input_tokens
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert second.cache_creation_input_tokens == 0
    assert first.input_tokens == second.input_tokens < 5
    assert prompt_of(first) == await counted(wire, shared("One."))


async def test_a_stream_and_the_record_tell_the_same(wire: Wire) -> None:
    whole = await usage(wire, shared())
    events = await wire.events(shared())
    start, end = events[0].message.usage, events[-2].usage
    assert start.cache_read_input_tokens == whole.cache_creation_input_tokens
    assert end.cache_read_input_tokens == whole.cache_creation_input_tokens
    written, read = [call["usage"] for call in await wire.calls()]
    assert written["cache_creation_input_tokens"] == read["cache_read_input_tokens"] > 0


CHANGES: list[tuple[Json, bool]] = [
    ({}, True),
    ({"max_tokens": 50}, True),
    ({"stop_sequences": ["x"]}, True),
    ({"system": [text("Be kind.", **CONTROL)]}, True),
    ({"system": "Be rude."}, False),
    ({"model": "claude-opus-5"}, False),
    ({"tools": [LOOK]}, False),
    ({"thinking": {"type": "adaptive"}}, False),
    ({"output_config": {"effort": "low"}}, False),
    ({"output_config": {"format": FORMAT}}, False),
]


@pytest.mark.parametrize(("change", "hit"), CHANGES, ids=[str(change) for change, _ in CHANGES])
async def test_an_entry_is_for_what_is_rendered_into_the_prompt(
    wire: Wire, change: Json, *, hit: bool
) -> None:
    await wire.message(shared())
    assert bool((await usage(wire, shared(**change))).cache_read_input_tokens) == hit


async def test_an_entry_is_for_one_key(wire: Wire) -> None:
    await wire.message(shared())
    wire.http.headers["authorization"] = "Bearer other"
    assert (await usage(wire, shared())).cache_read_input_tokens == 0


@pytest.mark.parametrize(
    ("model", "words", "cached"),
    [
        (HAIKU, 350, False),
        (HAIKU, 370, True),
        (SONNET, 370, True),
        ("claude-sonnet-5", 700, False),
        ("claude-sonnet-5", 730, True),
        ("claude-opus-4-7", 1430, False),
        ("claude-opus-4-7", 1440, True),
        (OLD_HAIKU, 2850, False),
        (OLD_HAIKU, 2880, True),
    ],
)
async def test_a_prompt_under_the_models_minimum_is_silently_not_cached(
    wire: Wire, model: str, words: int, *, cached: bool
) -> None:
    content = [text("word " * words, **CONTROL)]
    body = ask(model=model, messages=[{"role": "user", "content": content}])
    del body["thinking"]
    first, second = await usage(wire, body), await usage(wire, body)
    assert bool(first.cache_creation_input_tokens) == cached
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens


async def test_automatic_caching_marks_the_last_block_and_grows_with_the_talk(wire: Wire) -> None:
    body = ask(LONG, **CONTROL)
    first = await usage(wire, body)
    assert first.input_tokens == 0
    body["messages"] = [
        *body["messages"],
        {"role": "assistant", "content": "Gladly."},
        {"role": "user", "content": "And now?"},
    ]
    second = await usage(wire, body)
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert 0 < (second.cache_creation_input_tokens or 0) < 20


@pytest.mark.parametrize(("between", "hit"), [(18, True), (19, False)])
async def test_a_breakpoint_looks_at_twenty_blocks(wire: Wire, between: int, *, hit: bool) -> None:
    def body(*blocks: Json) -> Json:
        return ask(messages=[{"role": "user", "content": list(blocks)}])

    await wire.message(body(text(LONG, **CONTROL)))
    notes = [text(f"Note {number}.") for number in range(between)]
    spent = await usage(wire, body(text(LONG), *notes, text("The end.", **CONTROL)))
    assert bool(spent.cache_read_input_tokens) == hit


async def test_the_bill_tells_long_entries_from_short_ones(wire: Wire) -> None:
    tools = [LOOK | {"description": LONG}]
    body = shared(tools=tools) | {"system": [text("Be kind.", **HOUR)]}
    spent = await usage(wire, body)
    assert spent.cache_creation
    long, short = (
        spent.cache_creation.ephemeral_1h_input_tokens,
        spent.cache_creation.ephemeral_5m_input_tokens,
    )
    assert long > 600
    assert short > 600
    assert long + short == spent.cache_creation_input_tokens
    await wire.advance(301)
    later = await usage(wire, body)
    assert (later.cache_read_input_tokens, later.cache_creation_input_tokens) == (long, short)


async def test_an_entry_lives_five_minutes_from_its_last_use(wire: Wire) -> None:
    await wire.message(shared())
    for _ in range(3):
        await wire.advance(299)
        assert (await usage(wire, shared())).cache_read_input_tokens
    await wire.advance(301)
    assert (await usage(wire, shared())).cache_read_input_tokens == 0


async def test_a_script_may_shorten_the_lives_of_entries_and_switch_them_off(wire: Wire) -> None:
    await wire.script(cache={"ttl_5m_seconds": 1})
    await wire.message(shared())
    await wire.advance(1.1)
    assert (await usage(wire, shared())).cache_read_input_tokens == 0
    await wire.script(cache={"enabled": False})
    spent = await usage(wire, shared())
    assert (spent.cache_read_input_tokens, spent.cache_creation_input_tokens) == (0, 0)


@pytest.mark.parametrize(("path", "kept"), [("cache", False), ("script", False), ("calls", True)])
async def test_the_control_empties_the_cache(wire: Wire, path: str, *, kept: bool) -> None:
    await wire.message(shared())
    await wire.http.delete(f"/_simulator/{path}")
    assert bool((await usage(wire, shared())).cache_read_input_tokens) == kept


async def test_calls_sent_before_the_first_has_begun_all_write(wire: Wire) -> None:
    slow = {"first_token_seconds": 0.2, "tokens_per_second": 0}
    await wire.script(latencies={"haiku": slow})
    together = await asyncio.gather(*(usage(wire, shared(tail)) for tail in ("One.", "Two.")))
    assert all(spent.cache_creation_input_tokens for spent in together)
    assert (await usage(wire, shared())).cache_creation_input_tokens == 0


async def test_an_entry_exists_as_soon_as_a_stream_has_begun(wire: Wire) -> None:
    reply = {"text": "x", "tokens": 500, "latency": {"tokens_per_second": 1}}
    await wire.script(replies=[{"when": {"stream": True}, "reply": reply}])
    body = shared(stream=True)
    async with wire.http.stream("POST", "/v1/messages", json=body) as response:
        assert b"message_start" in await anext(response.aiter_bytes())
        assert (await usage(wire, shared("Two."))).cache_read_input_tokens


async def test_a_prewarm_writes_and_the_calls_after_it_read(wire: Wire) -> None:
    warm = await usage(wire, shared("Be ready.", max_tokens=0))
    assert warm.output_tokens == 0
    assert warm.cache_creation_input_tokens
    spent = await usage(wire, shared())
    assert spent.cache_read_input_tokens == warm.cache_creation_input_tokens


@pytest.mark.parametrize(
    ("kind", "stream", "written"),
    [
        ("status", True, False),
        ("html", True, False),
        ("plain_error", False, False),
        ("error_event", False, False),
        ("truncate", False, False),
        ("error_event", True, True),
        ("truncate", True, True),
        ("refusal", False, True),
    ],
)
async def test_a_call_that_fails_before_it_begins_writes_nothing(
    wire: Wire, kind: str, *, stream: bool, written: bool
) -> None:
    await wire.script(faults=[{"when": {}, "nth": [1], "fault": {"kind": kind}}])
    await wire.post(shared(stream=stream))
    assert bool((await usage(wire, shared())).cache_read_input_tokens) == written


async def test_a_hit_spares_the_time_to_read_the_prompt(wire: Wire) -> None:
    latency = INSTANT["latencies"]["haiku"] | {"input_tokens_per_second": 3000}
    await wire.script(latencies={"haiku": latency})

    async def seconds(body: Json) -> float:
        await wire.http.delete("/_simulator/calls")
        await wire.message(body)
        call = (await wire.calls())[0]
        return call["first_byte_at"] - call["arrived_at"]

    cold, warm = await seconds(shared()), await seconds(shared())
    assert cold >= await counted(wire, shared()) / 3000
    assert warm < 0.1


@pytest.mark.timeout(30)
async def test_twenty_long_prompts_at_once_are_billed_without_delay(wire: Wire) -> None:
    await wire.script(
        replies=[{"when": {}, "reply": {"text": "Done.", "tokens": 1}}], record_bodies=False
    )
    document = text("The supplier delivers bicycles to shops. " * 8_600, **CONTROL)
    bodies = [
        ask(messages=[{"role": "user", "content": [document, text(f"Part {number}.")]}])
        for number in range(20)
    ]
    first = await usage(wire, bodies[0])
    assert first.cache_creation_input_tokens
    assert first.cache_creation_input_tokens > 100_000
    begun = monotonic()
    spent = await asyncio.gather(*(usage(wire, body) for body in bodies))
    assert monotonic() - begun < 3
    assert {each.cache_read_input_tokens for each in spent} == {first.cache_creation_input_tokens}


MARKS = st.sampled_from([{}, CONTROL, HOUR])
TEXTS = st.sampled_from(["hi", "Tell me about tea.", LONG, LONG * 2])
BLOCKS = st.lists(st.tuples(TEXTS, MARKS), min_size=1, max_size=4)
Blocks = list[tuple[str, Json]]


def ordered(body: Json) -> Json:
    """The request with breakpoints the API accepts: four, and the long-lived first."""
    blocks = [*body.get("system", []), *(b for m in body["messages"] for b in m["content"])]
    marked = [block for block in blocks if "cache_control" in block]
    for block in marked[4:]:
        del block["cache_control"]
    short = False
    for block in marked[:4]:
        short = short or "ttl" not in block["cache_control"]
        block["cache_control"] = dict((CONTROL if short else HOUR)["cache_control"])
    return body


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    system=BLOCKS, turns=st.lists(BLOCKS, min_size=1, max_size=4), advance=st.sampled_from([0, 301])
)
async def test_the_bill_always_adds_up_to_the_whole_prompt(
    wire: Wire, system: Blocks, turns: list[Blocks], advance: int
) -> None:
    roles = [("user", "assistant")[number % 2] for number in range(len(turns) - 1)] + ["user"]
    messages = [
        {"role": role, "content": [text(said, **mark) for said, mark in blocks]}
        for role, blocks in zip(roles, turns, strict=True)
    ]
    body = ordered(ask(system=[text(said, **mark) for said, mark in system], messages=messages))
    await wire.advance(advance)
    whole = await counted(wire, body)
    first, second = await usage(wire, body), await usage(wire, body)
    assert prompt_of(first) == prompt_of(second) == whole
    assert second.cache_creation_input_tokens == 0
    assert first.cache_creation
    split = first.cache_creation
    assert (
        split.ephemeral_1h_input_tokens + split.ephemeral_5m_input_tokens
        == first.cache_creation_input_tokens
    )
