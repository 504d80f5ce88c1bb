"""Pydantic AI's agent with OpenAIChatModel."""

# pyright: reportMissingImports=false

import asyncio
from typing import Any

from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, NativeOutput, PartDeltaEvent, PartStartEvent
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.messages import TextPartDelta, ThinkingPart, ThinkingPartDelta
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from suite import (
    API_KEY,
    BASE_URL,
    CASES,
    MODEL,
    UNKNOWN_MODEL,
    Suite,
    cut_short,
    ended_early,
    image_arrived,
    joined,
    met,
    numbered,
    png,
    raised_async,
    same,
    same_usage,
    showed_the_team,
    went_on,
)

suite = Suite("pydantic-ai", "pydantic-ai-slim")
provider = OpenAIProvider(
    openai_client=AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
)
TOOL = CASES["tools"]


def agent(model: str = MODEL, **options: Any) -> Any:
    """Return an agent as one points it at the service."""
    return Agent(OpenAIChatModel(model, provider=provider), **options)


class Form(BaseModel):
    """What the structured case wants filled."""

    city: str
    degrees: int
    words: list[str]


asked_for: list[str] = []


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    asked_for.append(city)
    return TOOL["result"]


@suite.case
async def plain() -> str:
    result = await agent().run(suite.prompt("plain"))
    same(result.output, CASES["plain"]["answer"])
    same(result.response.finish_reason, "stop")
    used = result.usage
    return same_usage(suite.mark("plain"), used.input_tokens, used.output_tokens, used.total_tokens)


@suite.case
async def streamed() -> str:
    async with agent().run_stream(suite.prompt("streamed", like="plain")) as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    same(joined(pieces), CASES["plain"]["answer"])
    return f"{len(pieces)} pieces"


@suite.case
async def conversation() -> str:
    async with agent().run_stream(suite.prompt("conversation", like="progress")) as result:
        same(await result.get_output(), CASES["progress"]["answer"])
        history = result.all_messages()
    prompt = suite.prompt("conversation", like="plain")
    same((await agent().run(prompt, message_history=history)).output, CASES["plain"]["answer"])
    return went_on(suite.mark("conversation"))


@suite.case
async def usage() -> str:
    async with agent().run_stream(suite.prompt("usage", like="plain")) as result:
        same(await result.get_output(), CASES["plain"]["answer"])
        used = result.usage
    return same_usage(suite.mark("usage"), used.input_tokens, used.output_tokens, used.total_tokens)


@suite.case
async def tools() -> str:
    asked_for.clear()
    result = await agent(tools=[get_weather]).run(suite.prompt("tools"))
    same(asked_for, [TOOL["arguments"]["city"]])
    same(result.output, TOOL["answer"])
    return f"called with {asked_for[0]}"


@suite.case
async def tools_streamed() -> str:
    asked_for.clear()
    prompt = suite.prompt("tools_streamed")
    async with agent(tools=[get_weather]).run_stream(prompt) as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    same(sorted(asked_for), CASES["tools_streamed"]["cities"])
    same(joined(pieces), TOOL["answer"])
    return f"called with {sorted(asked_for)}"


@suite.case
async def structured() -> str:
    for wanted in (Form, NativeOutput(Form)):
        result = await agent(output_type=wanted).run(suite.prompt("structured"))
        same(result.output.model_dump(), CASES["structured"]["value"])
    return "by a tool, its default, and by NativeOutput"


@suite.case
async def image() -> str:
    parts = [suite.prompt("image"), BinaryContent(png(), media_type="image/png")]
    same((await agent().run(parts)).output, CASES["image"]["answer"])
    return image_arrived(suite.mark("image"))


@suite.case
async def unknown_model() -> str:
    error = await raised_async(ModelHTTPError, lambda: agent(UNKNOWN_MODEL).run("?"))
    body: Any = error.body
    same((error.status_code, body["code"]), (404, "model_not_found"))
    assert UNKNOWN_MODEL in body["message"], body
    return f"ModelHTTPError: {error}"


@suite.case
async def bad_parameter() -> str:
    asking = agent(model_settings={"temperature": 3})
    error = await raised_async(ModelHTTPError, lambda: asking.run("?"))
    body: Any = error.body
    same((error.status_code, body["param"]), (400, "temperature"))
    return f"ModelHTTPError: {error}"


@suite.case
async def error_in_stream() -> str:
    pieces: list[str] = []

    async def read() -> None:
        async with agent().run_stream(suite.prompt("error_in_stream")) as result:
            async for piece in result.stream_text(delta=True, debounce_by=None):
                pieces.append(piece)  # noqa: PERF401 what came must outlive the error

    error = await raised_async(ModelAPIError, read)
    cut_short(pieces)
    return f"{type(error).__name__}: {error}"


@suite.case
async def cancellation() -> str:
    async with agent().run_stream(suite.prompt("cancellation")) as result:
        async for _ in result.stream_text(delta=True, debounce_by=None):
            break
        await result.cancel()
    return await ended_early(suite.mark("cancellation"))


@suite.case
async def parallel() -> str:
    asking = agent()
    runs = [asking.run(suite.prompt("parallel", number)) for number, _ in numbered()]
    answers = [result.output for result in await asyncio.gather(*runs)]
    same(answers, [answer for _, answer in numbered()])
    return met(suite.mark("parallel"))


@suite.case
async def progress() -> str:
    thought = said = ""
    async with agent().run_stream_events(suite.prompt("progress")) as events:
        async for event in events:
            if isinstance(event, PartStartEvent):
                if isinstance(event.part, ThinkingPart):
                    thought += event.part.content
                elif hasattr(event.part, "content"):
                    said += str(event.part.content)
            elif isinstance(event, PartDeltaEvent):
                if isinstance(event.delta, ThinkingPartDelta):
                    thought += event.delta.content_delta or ""
                elif isinstance(event.delta, TextPartDelta):
                    said += event.delta.content_delta
    same(said, CASES["progress"]["answer"])
    showed_the_team(thought)
    return "as `ThinkingPart`"


suite.run()
