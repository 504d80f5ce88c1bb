"""Thinking in the history of a conversation, seen through HTTP."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from anthropic.types import Message

from tests.simulator.wire import HAIKU, OLD_HAIKU, OPUS, SONNET, Json, Wire, ask

LOOK: Json = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
ADAPTIVE: Json = {"thinking": {"type": "adaptive"}}
FORCED: Json = {"tool_choice": {"type": "any"}}
CHANGED = "blocks in the latest assistant message cannot be modified"
BOUND = "bound to the conversation that produced them"


def turn_of(message: Message) -> Json:
    content = [block.model_dump(exclude_none=True) for block in message.content]
    return {"role": "assistant", "content": content}


async def in_a_tool_round(wire: Wire, **more: Any) -> Json:
    """A request that answers a tool call which came after thinking."""
    body = ask("Please look.", system="Be kind.", tools=[LOOK], **(ADAPTIVE | more))
    turn = turn_of(await wire.message(body))
    assert [block["type"] for block in turn["content"]][-2:] == ["thinking", "tool_use"]
    result = {"type": "tool_result", "tool_use_id": turn["content"][-1]["id"], "content": "seen"}
    body["messages"] += [turn, {"role": "user", "content": [result]}]
    return body


def block(body: Json) -> Json:
    return body["messages"][1]["content"][0]


def resigned(body: Json) -> None:
    block(body)["signature"] = "c2ltdWxhdGVk"


def garbled(body: Json) -> None:
    block(body)["signature"] = "no signature at all"


def scribbled(body: Json) -> None:
    block(body)["thinking"] = "I never thought that."


def dropped(body: Json) -> None:
    del body["messages"][1]["content"][0]


def redacted(body: Json) -> None:
    body["messages"][1]["content"][0] = {"type": "redacted_thinking", "data": "eA=="}


def other_system(body: Json) -> None:
    body["system"] = "Be rude."


def other_tools(body: Json) -> None:
    body["tools"].append(LOOK | {"name": "listen"})


def other_question(body: Json) -> None:
    body["messages"][0]["content"] += " Or not."


def other_model(body: Json) -> None:
    body["model"] = OPUS


EDITS: list[tuple[Callable[[Json], None], str]] = [
    (resigned, "messages.1.content.0: Invalid `signature` in `thinking` block"),
    (garbled, "messages.1.content.0: Invalid `signature` in `thinking` block"),
    (scribbled, CHANGED),
    (dropped, "messages.1.content.0: Expected `thinking` or `redacted_thinking`, but found"),
    (redacted, "messages.1.content.0: Invalid `data` in `redacted_thinking` block"),
    (other_system, BOUND),
    (other_tools, BOUND),
    (other_question, BOUND),
    (other_model, "cannot be used with another model"),
]


@pytest.mark.parametrize(("edit", "message"), EDITS, ids=[edit.__name__ for edit, _ in EDITS])
@pytest.mark.parametrize("model", [HAIKU, SONNET])
async def test_thinking_must_come_back_as_it_was(
    wire: Wire, model: str, edit: Callable[[Json], None], message: str
) -> None:
    body = await in_a_tool_round(wire, model=model)
    await wire.message(body)
    edited = deepcopy(body)
    edit(edited)
    status, kind, said = await wire.refusal(edited)
    assert (status, kind) == (400, "invalid_request_error")
    assert message in said


async def test_another_account_cannot_use_it(wire: Wire) -> None:
    body = await in_a_tool_round(wire)
    wire.http.headers["authorization"] = "Bearer other"
    assert CHANGED in (await wire.refusal(body))[2]


async def test_breakpoints_and_the_form_of_a_text_are_no_change(wire: Wire) -> None:
    body = await in_a_tool_round(wire)
    control = {"cache_control": {"type": "ephemeral"}}
    body["tools"][0] = LOOK | control
    body["system"] = [{"type": "text", "text": body["system"]}]
    body["messages"][0]["content"] = [
        {"type": "text", "text": body["messages"][0]["content"], **control}
    ]
    await wire.message(body)


async def test_a_finished_turn_may_lose_its_thinking(wire: Wire) -> None:
    body = ask("Hello there, who are you?", **ADAPTIVE)
    turn = turn_of(await wire.message(body))
    del turn["content"][0]
    body["messages"] += [turn, {"role": "user", "content": "Tell me more about tea."}]
    await wire.message(body)


@pytest.mark.parametrize("edit", [other_system, other_question])
async def test_older_models_do_not_bind_it_to_the_conversation(
    wire: Wire, edit: Callable[[Json], None]
) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    body = await in_a_tool_round(wire, model=OLD_HAIKU, thinking=thinking, max_tokens=3000)
    edit(body)
    await wire.message(body)
    scribbled(body)
    assert CHANGED in (await wire.refusal(body))[2]


async def test_redacted_thinking_comes_back_too(wire: Wire) -> None:
    reply = {"tool": {"name": "look"}, "redacted_thinking": True, "thinking_tokens": 5}
    await wire.script(replies=[{"when": {"contains": "look"}, "reply": reply}])
    body = ask("Please look.", tools=[LOOK], **ADAPTIVE)
    starts = [e for e in await wire.events(body) if e.type == "content_block_start"]
    assert starts[0].content_block.type == "redacted_thinking"
    message = await wire.message(body)
    assert message.usage.output_tokens_details
    assert message.usage.output_tokens_details.thinking_tokens == 5
    turn = turn_of(message)
    result = {"type": "tool_result", "tool_use_id": turn["content"][1]["id"], "content": "seen"}
    body["messages"] += [turn, {"role": "user", "content": [result]}]
    await wire.message(body)
    body["system"] = "Be rude."
    assert BOUND in (await wire.refusal(body))[2]
    del body["system"]
    dropped(body)
    assert "Expected `thinking`" in (await wire.refusal(body))[2]


async def test_thinking_that_max_tokens_cut_is_valid_as_far_as_it_came(wire: Wire) -> None:
    body = ask(max_tokens=5, thinking={"type": "adaptive", "display": "summarized"})
    turn = turn_of(await wire.message(body))
    assert turn["content"][0]["thinking"]
    body["messages"] += [turn, {"role": "user", "content": "Go on about tea, please."}]
    await wire.message(body | {"max_tokens": 500})
