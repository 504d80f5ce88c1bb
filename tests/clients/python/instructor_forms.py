"""Instructor over the official client, whose answers it turns into pydantic models."""

# pyright: reportMissingImports=false

import asyncio
from typing import Any

import instructor
from instructor.core import InstructorRetryException
from instructor.processing.multimodal import Image
from openai import APIError, AsyncOpenAI, BadRequestError, NotFoundError, OpenAI
from pydantic import BaseModel
from suite import (
    API_KEY,
    BASE_URL,
    CASES,
    MODEL,
    UNKNOWN_MODEL,
    Suite,
    calls,
    cut_short,
    ended_early,
    image_arrived,
    met,
    numbered,
    png_url,
    raised,
    same,
    same_usage,
    went_on,
)

suite = Suite(
    "instructor",
    "instructor",
    not_offered={
        "tools": "instructor uses tools itself, as a way to forms",
        "tools_streamed": "instructor uses tools itself, as a way to forms",
        "progress": "instructor returns forms, and nothing beside them",
    },
)
openai = OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
concurrent = AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
FORM = CASES["structured"]


class Form(BaseModel):
    """What is to be filled."""

    city: str
    degrees: int
    words: list[str]


def asked(content: Any, **options: Any) -> dict[str, Any]:
    """Return what every request has in common."""
    messages = [{"role": "user", "content": content}]
    return {"model": MODEL, "messages": messages, "max_retries": 0, **options}


def client(mode: Any = instructor.Mode.TOOLS) -> Any:
    """Return a client as one points it at the service."""
    return instructor.from_openai(openai, mode=mode)


@suite.case
def plain() -> str:
    (choice,) = client().create(**asked(suite.prompt("plain")), response_model=None).choices
    same((choice.message.content, choice.finish_reason), (CASES["plain"]["answer"], "stop"))
    return "with `response_model=None`"


@suite.case
def streamed() -> str:
    prompt = suite.prompt("streamed", like="structured")
    for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA):
        partial = [form.model_dump() for form in client(mode).create_partial(Form, **asked(prompt))]
        same(partial[-1], FORM["value"])
        assert len(partial) > 1, partial
    return "`create_partial`, in the modes TOOLS and JSON_SCHEMA"


@suite.case
def conversation() -> str:
    asking = asked(suite.prompt("conversation", like="progress"))
    answer = client().create(response_model=None, **asking).choices[0].message
    more = asked(suite.prompt("conversation", like="structured"))
    more["messages"] = [*asking["messages"], answer.model_dump(), *more["messages"]]
    same(client().create(response_model=Form, **more).model_dump(), FORM["value"])
    return went_on(suite.mark("conversation"))


@suite.case
def usage() -> str:
    prompt = suite.prompt("usage", like="structured")
    form, completion = client().create_with_completion(response_model=Form, **asked(prompt))
    same(form.model_dump(), FORM["value"])
    used = completion.usage
    return same_usage(
        suite.mark("usage"), used.prompt_tokens, used.completion_tokens, used.total_tokens
    )


@suite.case
def structured() -> str:
    prompt = suite.prompt("structured")
    modes = (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA, instructor.Mode.JSON)
    for mode in modes:
        form = client(mode).create(response_model=Form, **asked(prompt))
        same(form.model_dump(), FORM["value"])
    same(len(calls(suite.mark("structured"))), len(modes))
    return "in the modes TOOLS, JSON_SCHEMA and JSON"


@suite.case
def image() -> str:
    parts = [suite.prompt("image", like="structured"), Image.from_base64(png_url())]
    form = client().create(response_model=Form, **asked(parts))
    same(form.model_dump(), FORM["value"])
    return image_arrived(suite.mark("image"))


@suite.case
def unknown_model() -> str:
    asking = asked("?", model=UNKNOWN_MODEL)
    error = raised(InstructorRetryException, lambda: client().create(response_model=Form, **asking))
    cause: Any = error
    while not isinstance(cause, NotFoundError):
        assert cause is not None, repr(error)
        cause = cause.__cause__
    same((cause.status_code, cause.code), (404, "model_not_found"))
    assert UNKNOWN_MODEL in str(error), error
    return f"InstructorRetryException, from openai.NotFoundError: {cause.message}"


@suite.case
def bad_parameter() -> str:
    asking = asked("?", temperature=3)
    error = raised(BadRequestError, lambda: client().create(response_model=None, **asking))
    same((error.status_code, error.param), (400, "temperature"))
    return f"openai.BadRequestError: {error.message}"


@suite.case
def error_in_stream() -> str:
    pieces: list[str] = []

    def read() -> None:
        asking = asked(suite.prompt("error_in_stream"), stream=True)
        chunks = client().create(response_model=None, **asking)
        pieces.extend(chunk.choices[0].delta.content or "" for chunk in chunks)

    error = raised(APIError, read)
    cut_short(pieces)
    return f"openai.APIError: {error.message}"


@suite.case
async def cancellation() -> str:
    asking: Any = asked(suite.prompt("cancellation"), stream=True)
    stream = await instructor.from_openai(concurrent).create(response_model=None, **asking)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    return await ended_early(suite.mark("cancellation"))


@suite.case
async def parallel() -> str:
    asking: Any = instructor.from_openai(concurrent)

    async def one(number: str) -> str:
        prompt = suite.prompt("parallel", number)
        completion = await asking.create(response_model=None, **asked(prompt))
        return completion.choices[0].message.content

    answers = await asyncio.gather(*(one(number) for number, _ in numbered()))
    same(answers, [answer for _, answer in numbered()])
    return met(suite.mark("parallel"))


suite.run()
