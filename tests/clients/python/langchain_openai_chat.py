"""LangChain's ChatOpenAI."""

# pyright: reportMissingImports=false, reportUnknownParameterType=false

import asyncio
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import APIError, BadRequestError, NotFoundError
from pydantic import BaseModel
from suite import (
    API_KEY,
    BASE_URL,
    CASES,
    MODEL,
    UNKNOWN_MODEL,
    NotOfferedError,
    Suite,
    cut_short,
    ended_early,
    image_arrived,
    joined,
    met,
    numbered,
    png_url,
    raised,
    same,
    same_usage,
    went_on,
)

suite = Suite("langchain", "langchain-openai")
TOOL = CASES["tools"]


def chat(**options: Any) -> Any:
    """Return a model as one points it at the service."""
    asked = {"model": MODEL, "base_url": BASE_URL, "api_key": API_KEY, "max_retries": 0}
    return ChatOpenAI(**{**asked, **options})


class Form(BaseModel):
    """What the structured case wants filled."""

    city: str
    degrees: int
    words: list[str]


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"{TOOL['result']} in {city}"


weather: Any = tool(get_weather)


@suite.case
def plain() -> str:
    answer = chat().invoke(suite.prompt("plain"))
    same(answer.content, CASES["plain"]["answer"])
    same(answer.response_metadata["finish_reason"], "stop")
    used = answer.usage_metadata
    return same_usage(
        suite.mark("plain"), used["input_tokens"], used["output_tokens"], used["total_tokens"]
    )


@suite.case
def streamed() -> str:
    chunks = list(chat().stream(suite.prompt("streamed", like="plain")))
    same(joined(chunk.content for chunk in chunks), CASES["plain"]["answer"])
    reasons = [chunk.response_metadata.get("finish_reason") for chunk in chunks]
    same([reason for reason in reasons if reason], ["stop"])
    return f"{len(chunks)} chunks"


@suite.case
def conversation() -> str:
    asked = HumanMessage(suite.prompt("conversation", like="progress"))
    answer, *others = chat().stream([asked])
    for chunk in others:
        answer += chunk
    more = HumanMessage(suite.prompt("conversation", like="plain"))
    same(chat().invoke([asked, answer, more]).content, CASES["plain"]["answer"])
    return went_on(suite.mark("conversation"))


@suite.case
def usage() -> str:
    chunks = list(chat(stream_usage=True).stream(suite.prompt("usage", like="plain")))
    used = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    tokens = [(u["input_tokens"], u["output_tokens"], u["total_tokens"]) for u in used]
    same(len(tokens), 1)
    return same_usage(suite.mark("usage"), *tokens[0])


@suite.case
def tools() -> str:
    model = chat().bind_tools([weather])
    asked = HumanMessage(suite.prompt("tools"))
    asking = model.invoke([asked])
    same(asking.content, TOOL["said"])
    (call,) = asking.tool_calls
    same((call["name"], call["args"]), (TOOL["name"], TOOL["arguments"]))
    result = weather.invoke(call)
    assert isinstance(result, ToolMessage)
    same(model.invoke([asked, asking, result]).content, TOOL["answer"])
    return f"{call['name']}({call['args']})"


@suite.case
def tools_streamed() -> str:
    model = chat().bind_tools([weather])
    asked = HumanMessage(suite.prompt("tools_streamed"))
    first, *others = model.stream([asked])
    for chunk in others:
        first += chunk
    same([call["args"]["city"] for call in first.tool_calls], CASES["tools_streamed"]["cities"])
    results = [weather.invoke(call) for call in first.tool_calls]
    pieces = [chunk.content for chunk in model.stream([asked, first, *results])]
    same(joined(pieces), TOOL["answer"])
    return f"{len(results)} calls"


@suite.case
def structured() -> str:
    wanted = CASES["structured"]["value"]
    for method in ("json_schema", "function_calling"):
        form = chat().with_structured_output(Form, method=method)
        same(form.invoke(suite.prompt("structured")).model_dump(), wanted)
    return "by `json_schema` and by `function_calling`"


@suite.case
def image() -> str:
    parts = [
        {"type": "text", "text": suite.prompt("image")},
        {"type": "image_url", "image_url": {"url": png_url()}},
    ]
    same(chat().invoke([HumanMessage(parts)]).content, CASES["image"]["answer"])
    return image_arrived(suite.mark("image"))


@suite.case
def unknown_model() -> str:
    error = raised(NotFoundError, lambda: chat(model=UNKNOWN_MODEL).invoke("?"))
    same((error.status_code, error.code), (404, "model_not_found"))
    assert UNKNOWN_MODEL in error.message, error.message
    return f"openai.NotFoundError: {error.message}"


@suite.case
def bad_parameter() -> str:
    error = raised(BadRequestError, lambda: chat(temperature=3).invoke("?"))
    same((error.status_code, error.param), (400, "temperature"))
    return f"openai.BadRequestError: {error.message}"


@suite.case
def error_in_stream() -> str:
    pieces: list[str] = []

    def read() -> None:
        chunks = chat().stream(suite.prompt("error_in_stream"))
        pieces.extend(chunk.content for chunk in chunks)

    error = raised(APIError, read)
    cut_short(pieces)
    return f"openai.APIError: {error.message}"


@suite.case
async def cancellation() -> str:
    stream = chat().astream(suite.prompt("cancellation"))
    async for chunk in stream:
        if chunk.content:
            break
    await stream.aclose()
    return await ended_early(suite.mark("cancellation"))


@suite.case
async def parallel() -> str:
    model = chat()
    asked = [model.ainvoke(suite.prompt("parallel", number)) for number, _ in numbered()]
    answers = [message.content for message in await asyncio.gather(*asked)]
    same(answers, [answer for _, answer in numbered()])
    return met(suite.mark("parallel"))


@suite.case
def progress() -> str:
    chunks = list(chat().stream(suite.prompt("progress")))
    same(joined(chunk.content for chunk in chunks), CASES["progress"]["answer"])
    beside = [chunk.additional_kwargs for chunk in chunks if chunk.additional_kwargs]
    same(beside, [])
    raise NotOfferedError("langchain-openai leaves progress out")


suite.run()
