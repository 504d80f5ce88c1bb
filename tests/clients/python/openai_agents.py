"""The OpenAI Agents SDK with its model class for chat completions."""

# pyright: reportMissingImports=false

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    RunConfig,
    Runner,
    function_tool,
)
from openai import APIError, AsyncOpenAI, BadRequestError, NotFoundError
from pydantic import BaseModel
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
    png_url,
    raised_async,
    same,
    same_usage,
    showed_the_team,
    went_on,
)

suite = Suite("openai-agents", "openai-agents")
client = AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
TOOL = CASES["tools"]


def agent(model: str = MODEL, **options: Any) -> Any:
    """Return an agent as one points it at the service."""
    served = OpenAIChatCompletionsModel(model=model, openai_client=client)
    return Agent(name="Asker", model=served, **options)


async def run(asking: Any, prompt: Any) -> Any:
    """Let an agent answer."""
    return await Runner.run(asking, prompt, run_config=RunConfig(tracing_disabled=True))


def stream(asking: Any, prompt: Any) -> Any:
    """Let an agent answer in pieces."""
    return Runner.run_streamed(asking, prompt, run_config=RunConfig(tracing_disabled=True))


TEXT = "response.output_text.delta"


async def deltas(events: Any, kind: str = TEXT) -> AsyncGenerator[str]:
    """Give the deltas of that kind as they come."""
    async for event in events.stream_events():
        if event.type == "raw_response_event" and event.data.type == kind:
            yield event.data.delta


async def pieces(events: Any, kind: str = TEXT) -> list[str]:
    """Return them all."""
    return [piece async for piece in deltas(events, kind)]


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


def _used(case: str, result: Any) -> str:
    used = result.context_wrapper.usage
    return same_usage(suite.mark(case), used.input_tokens, used.output_tokens, used.total_tokens)


@suite.case
async def plain() -> str:
    result = await run(agent(), suite.prompt("plain"))
    same(result.final_output, CASES["plain"]["answer"])
    return _used("plain", result)


@suite.case
async def streamed() -> str:
    result = stream(agent(), suite.prompt("streamed", like="plain"))
    found = await pieces(result)
    same(joined(found), CASES["plain"]["answer"])
    same(result.final_output, CASES["plain"]["answer"])
    return f"{len(found)} pieces"


@suite.case
async def conversation() -> str:
    result = stream(agent(), suite.prompt("conversation", like="progress"))
    await pieces(result)
    more = {"role": "user", "content": suite.prompt("conversation", like="plain")}
    answer = await run(agent(), [*result.to_input_list(), more])
    same(answer.final_output, CASES["plain"]["answer"])
    return went_on(suite.mark("conversation"))


@suite.case
async def usage() -> str:
    asking = agent(model_settings=ModelSettings(include_usage=True))
    result = stream(asking, suite.prompt("usage", like="plain"))
    await pieces(result)
    return _used("usage", result)


@suite.case
async def tools() -> str:
    asked_for.clear()
    result = await run(agent(tools=[function_tool(get_weather)]), suite.prompt("tools"))
    same(asked_for, [TOOL["arguments"]["city"]])
    same(result.final_output, TOOL["answer"])
    return f"called with {asked_for[0]}"


@suite.case
async def tools_streamed() -> str:
    asked_for.clear()
    prompt = suite.prompt("tools_streamed")
    found = await pieces(stream(agent(tools=[function_tool(get_weather)]), prompt))
    same(sorted(asked_for), CASES["tools_streamed"]["cities"])
    same(joined(found), TOOL["answer"])
    return f"called with {sorted(asked_for)}"


@suite.case
async def structured() -> str:
    result = await run(agent(output_type=Form), suite.prompt("structured"))
    same(result.final_output, Form(**CASES["structured"]["value"]))
    return "by `output_type`"


@suite.case
async def image() -> str:
    parts = [
        {"type": "input_text", "text": suite.prompt("image")},
        {"type": "input_image", "image_url": png_url(), "detail": "auto"},
    ]
    result = await run(agent(), [{"role": "user", "content": parts}])
    same(result.final_output, CASES["image"]["answer"])
    return image_arrived(suite.mark("image"))


@suite.case
async def unknown_model() -> str:
    error = await raised_async(NotFoundError, lambda: run(agent(UNKNOWN_MODEL), "?"))
    same((error.status_code, error.code), (404, "model_not_found"))
    assert UNKNOWN_MODEL in error.message, error.message
    return f"openai.NotFoundError: {error.message}"


@suite.case
async def bad_parameter() -> str:
    asking = agent(model_settings=ModelSettings(temperature=3))
    error = await raised_async(BadRequestError, lambda: run(asking, "?"))
    same((error.status_code, error.param), (400, "temperature"))
    return f"openai.BadRequestError: {error.message}"


@suite.case
async def error_in_stream() -> str:
    found: list[str] = []

    async def read() -> None:
        async for piece in deltas(stream(agent(), suite.prompt("error_in_stream"))):
            found.append(piece)  # noqa: PERF401 what came must outlive the error

    error = await raised_async(APIError, read)
    cut_short(found)
    return f"openai.APIError: {error.message}"


@suite.case
async def cancellation() -> str:
    result = stream(agent(), suite.prompt("cancellation"))
    async for _ in deltas(result):
        result.cancel()
    return await ended_early(suite.mark("cancellation"))


@suite.case
async def parallel() -> str:
    asking = agent()
    runs = [run(asking, suite.prompt("parallel", number)) for number, _ in numbered()]
    answers = [result.final_output for result in await asyncio.gather(*runs)]
    same(answers, [answer for _, answer in numbered()])
    return met(suite.mark("parallel"))


@suite.case
async def progress() -> str:
    result = stream(agent(), suite.prompt("progress"))
    shown = await pieces(result, "response.reasoning_summary_text.delta")
    same(result.final_output, CASES["progress"]["answer"])
    showed_the_team("".join(shown))
    return "as `response.reasoning_summary_text.delta` events"


suite.run()
