"""LiteLLM as a library, with its `openai/` provider."""

# pyright: reportMissingImports=false

import asyncio
import json
from typing import Any

import litellm
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
    raised,
    same,
    same_usage,
    showed_the_team,
    went_on,
)

suite = Suite("litellm", "litellm")
litellm.suppress_debug_info = True
TOOL = CASES["tools"]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": TOOL["name"],
            "description": TOOL["description"],
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


class Form(BaseModel):
    """What the structured case wants filled."""

    city: str
    degrees: int
    words: list[str]


def asked(content: Any, **options: Any) -> dict[str, Any]:
    """Return a call as one points it at the service."""
    return {
        "model": f"openai/{MODEL}",
        "api_base": BASE_URL,
        "api_key": API_KEY,
        "num_retries": 0,
        "max_retries": 0,
        "messages": [{"role": "user", "content": content}],
        **options,
    }


def complete(content: Any, **options: Any) -> Any:
    """Ask one thing."""
    return litellm.completion(**asked(content, **options))


@suite.case
def plain() -> str:
    completion = complete(suite.prompt("plain"))
    (choice,) = completion.choices
    same((choice.message.content, choice.finish_reason), (CASES["plain"]["answer"], "stop"))
    used = completion.usage
    return same_usage(
        suite.mark("plain"), used.prompt_tokens, used.completion_tokens, used.total_tokens
    )


@suite.case
def streamed() -> str:
    chunks = list(complete(suite.prompt("streamed", like="plain"), stream=True))
    same(joined(chunk.choices[0].delta.content for chunk in chunks), CASES["plain"]["answer"])
    same([c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason], ["stop"])
    return f"{len(chunks)} chunks"


@suite.case
def conversation() -> str:
    prompt = suite.prompt("conversation", like="progress")
    chunks = list(complete(prompt, stream=True))
    answer: Any = litellm.stream_chunk_builder(chunks)
    messages = [
        {"role": "user", "content": prompt},
        answer.choices[0].message,
        {"role": "user", "content": suite.prompt("conversation", like="plain")},
    ]
    completion = complete("", messages=messages)
    same(completion.choices[0].message.content, CASES["plain"]["answer"])
    return went_on(suite.mark("conversation"))


@suite.case
def usage() -> str:
    prompt = suite.prompt("usage", like="plain")
    chunks = list(complete(prompt, stream=True, stream_options={"include_usage": True}))
    (used,) = [found for chunk in chunks if (found := getattr(chunk, "usage", None))]
    return same_usage(
        suite.mark("usage"), used.prompt_tokens, used.completion_tokens, used.total_tokens
    )


def _results(message: Any, cities: list[str]) -> list[dict[str, Any]]:
    """Return the results of the calls in a message, which must be these."""
    called = message.tool_calls
    same({call.function.name for call in called}, {TOOL["name"]})
    same([json.loads(call.function.arguments) for call in called], [{"city": c} for c in cities])
    return [{"role": "tool", "tool_call_id": c.id, "content": TOOL["result"]} for c in called]


@suite.case
def tools() -> str:
    messages: list[Any] = [{"role": "user", "content": suite.prompt("tools")}]
    (choice,) = complete("", messages=messages, tools=TOOLS).choices
    same(choice.finish_reason, "tool_calls")
    same(choice.message.content, TOOL["said"])
    messages += [choice.message, *_results(choice.message, [TOOL["arguments"]["city"]])]
    answer = complete("", messages=messages, tools=TOOLS).choices[0]
    same((answer.message.content, answer.finish_reason), (TOOL["answer"], "stop"))
    return "the call came, and the answer to its result"


@suite.case
def tools_streamed() -> str:
    prompt = suite.prompt("tools_streamed")
    messages: list[Any] = [{"role": "user", "content": prompt}]
    chunks = list(complete("", messages=messages, tools=TOOLS, stream=True))
    built: Any = litellm.stream_chunk_builder(chunks, messages=messages)
    same(built.choices[0].finish_reason, "tool_calls")
    message = built.choices[0].message
    messages += [message, *_results(message, CASES["tools_streamed"]["cities"])]
    answer = complete("", messages=messages, tools=TOOLS, stream=True)
    same(joined(chunk.choices[0].delta.content for chunk in answer), TOOL["answer"])
    return f"{len(chunks)} chunks of a call"


@suite.case
def structured() -> str:
    (choice,) = complete(suite.prompt("structured"), response_format=Form).choices
    form = Form.model_validate_json(choice.message.content)
    same(form.model_dump(), CASES["structured"]["value"])
    return "`response_format` of a pydantic model"


@suite.case
def image() -> str:
    parts = [
        {"type": "text", "text": suite.prompt("image")},
        {"type": "image_url", "image_url": {"url": png_url()}},
    ]
    same(complete(parts).choices[0].message.content, CASES["image"]["answer"])
    return image_arrived(suite.mark("image"))


@suite.case
def unknown_model() -> str:
    error = raised(litellm.NotFoundError, lambda: complete("?", model=f"openai/{UNKNOWN_MODEL}"))
    same(error.status_code, 404)
    assert UNKNOWN_MODEL in error.message, error.message
    return f"NotFoundError: {error.message}"


@suite.case
def bad_parameter() -> str:
    error = raised(litellm.BadRequestError, lambda: complete("?", temperature=3))
    same(error.status_code, 400)
    assert "temperature" in error.message, error.message
    return f"BadRequestError: {error.message}"


@suite.case
def error_in_stream() -> str:
    pieces: list[str] = []

    def read() -> None:
        chunks = complete(suite.prompt("error_in_stream"), stream=True)
        pieces.extend(chunk.choices[0].delta.content or "" for chunk in chunks)

    error = raised(litellm.ServiceUnavailableError, read)
    cut_short(pieces)
    return f"{type(error).__name__}: {error.message}"


@suite.case
async def cancellation() -> str:
    stream: Any = await litellm.acompletion(**asked(suite.prompt("cancellation"), stream=True))
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.aclose()
    return await ended_early(suite.mark("cancellation"))


@suite.case
async def parallel() -> str:
    async def one(number: str) -> str:
        completion: Any = await litellm.acompletion(**asked(suite.prompt("parallel", number)))
        return completion.choices[0].message.content

    answers = await asyncio.gather(*(one(number) for number, _ in numbered()))
    same(answers, [answer for _, answer in numbered()])
    return met(suite.mark("parallel"))


@suite.case
def progress() -> str:
    deltas = [c.choices[0].delta for c in complete(suite.prompt("progress"), stream=True)]
    same(joined(delta.content for delta in deltas), CASES["progress"]["answer"])
    showed_the_team("".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas))
    return "as `reasoning_content` of a delta"


suite.run()
