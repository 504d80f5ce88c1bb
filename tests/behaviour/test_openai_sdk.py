"""The openai package as callers use it, before both upstreams; every object is held against its
types.
"""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from chat import MODEL, QUESTION
from conftest import StartService
from dumb_upstream import DumbUpstream, Reply, Status
from plans import subtasks, working
from running_service import RunningService

MESSAGES: Any = [{"role": "user", "content": QUESTION}]
EXTENSIONS = {"orchestration", "reasoning_content"}


@pytest.fixture
async def client(service: RunningService) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{service.url}/v1", api_key=service.token, max_retries=0
    ) as made:
        yield made


def strictly(model: ChatCompletion | ChatCompletionChunk) -> None:
    """Nothing is missing and nothing is there that OpenAI does not have, but our own extensions."""
    type(model).model_validate(model.model_dump(), strict=True)
    extra: set[str] = set(model.model_extra or {})
    for choice in model.choices:
        extra |= set(choice.model_extra or {})
        part = choice.message if isinstance(model, ChatCompletion) else choice.delta  # type: ignore[union-attr]
        extra |= set(part.model_extra or {})
    assert extra <= EXTENSIONS


async def test_a_plain_completion(client: openai.AsyncOpenAI, upstream: DumbUpstream) -> None:
    working(upstream, *subtasks(1, 2))
    completion = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
    strictly(completion)
    assert completion.choices[0].message.content == "the answer"
    assert completion.choices[0].finish_reason == "stop"
    assert completion._request_id
    assert completion.usage
    # Four calls of 10 tokens in and 5 out; only the synthesizer's output is shown.
    assert completion.usage.prompt_tokens == 40
    assert completion.usage.completion_tokens == 20
    assert completion.usage.completion_tokens_details
    assert completion.usage.completion_tokens_details.reasoning_tokens == 15


async def test_a_streamed_completion(client: openai.AsyncOpenAI, upstream: DumbUpstream) -> None:
    working(upstream, *subtasks(1, 2))
    text, reasoning, usages = "", "", 0
    stream = await client.chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    async for chunk in stream:
        strictly(chunk)
        usages += chunk.usage is not None
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
            reasoning += getattr(chunk.choices[0].delta, "reasoning_content", None) or ""
    assert text == "the answer"
    assert usages == 1
    assert reasoning.startswith("Planned 2 subtasks: Part 1; Part 2\n") or "Planned" in reasoning
    assert "✓" in reasoning
    assert "Writing the answer" in reasoning


async def test_the_accumulating_stream_helper(
    client: openai.AsyncOpenAI, upstream: DumbUpstream
) -> None:
    working(upstream, *subtasks(1, 2))
    async with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "the answer"


async def test_errors_have_their_class(client: openai.AsyncOpenAI, upstream: DumbUpstream) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        await client.chat.completions.create(model="nope", messages=MESSAGES)
    assert missing.value.code == "model_not_found"
    assert missing.value.param == "model"
    assert missing.value.request_id
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(model=MODEL, messages=[])
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="wrong").models.list()
    upstream.answer("lead", Status(529))
    with pytest.raises(openai.InternalServerError) as overloaded:
        await client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert overloaded.value.status_code == 503


async def test_an_error_in_mid_stream_is_raised(
    client: openai.AsyncOpenAI, upstream: DumbUpstream
) -> None:
    upstream.answer("lead", Reply(text="some text", cut_after_pieces=1))
    stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    with pytest.raises(openai.APIError):
        async for _ in stream:
            pass


async def test_models(client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == [MODEL]
    assert (await client.models.retrieve(MODEL)).object == "model"


async def test_the_same_client_before_the_simulator(start_service: StartService) -> None:
    service = await start_service()
    async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key=service.token) as client:
        completion = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "What is the capital of France?"}]
        )
        strictly(completion)
        assert "simulated" in (completion.choices[0].message.content or "")
        stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        chunks = [chunk async for chunk in stream]
    for chunk in chunks:
        strictly(chunk)
    assert chunks[-1].choices[0].finish_reason == "stop"
