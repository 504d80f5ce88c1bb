"""The official client, synchronous and asynchronous."""

import asyncio
import base64
import json
from typing import Any

from openai import (
    APIError,
    AsyncOpenAI,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
)
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
    joined,
    met,
    numbered,
    pdf,
    png_url,
    raised,
    same,
    same_usage,
    showed_the_team,
    under_way,
    went_on,
)

suite = Suite("openai-python", "openai")
client = OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
concurrent = AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
TOOL = CASES["tools"]
FUNCTION: dict[str, Any] = {
    "name": TOOL["name"],
    "description": TOOL["description"],
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
TOOLS: Any = [{"type": "function", "function": FUNCTION}]


class Form(BaseModel):
    """What the structured cases want filled."""

    city: str
    degrees: int
    words: list[str]


def asked(content: Any) -> dict[str, Any]:
    """Return what every request has in common."""
    return {"model": MODEL, "messages": [{"role": "user", "content": content}]}


def create(content: Any, **options: Any) -> Any:
    """Ask one thing."""
    return client.chat.completions.create(**{**asked(content), **options})


@suite.case
def plain() -> str:
    completion = create(suite.prompt("plain"))
    (choice,) = completion.choices
    same(choice.message.content, CASES["plain"]["answer"])
    same((choice.finish_reason, choice.message.role), ("stop", "assistant"))
    same((completion.object, completion.model), ("chat.completion", MODEL))
    used = completion.usage
    return same_usage(
        suite.mark("plain"), used.prompt_tokens, used.completion_tokens, used.total_tokens
    )


@suite.case
def streamed() -> str:
    chunks = list(create(suite.prompt("streamed", like="plain"), stream=True))
    same(joined(chunk.choices[0].delta.content for chunk in chunks), CASES["plain"]["answer"])
    same(chunks[0].choices[0].delta.role, "assistant")
    same([c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason], ["stop"])
    same(len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}), 1)
    return f"{len(chunks)} chunks"


@suite.case
def conversation() -> str:
    messages: list[Any] = asked(suite.prompt("conversation", like="progress"))["messages"]
    with client.chat.completions.stream(model=MODEL, messages=messages) as stream:
        for _ in stream:
            pass
        message = stream.get_final_completion().choices[0].message
    question = asked(suite.prompt("conversation", like="plain"))["messages"]
    answer = create("", messages=[*messages, message, *question]).choices[0].message.content
    same(answer, CASES["plain"]["answer"])
    return went_on(suite.mark("conversation"))


@suite.case
def usage() -> str:
    prompt = suite.prompt("usage", like="plain")
    chunks = list(create(prompt, stream=True, stream_options={"include_usage": True}))
    same([chunk.usage is not None for chunk in chunks], [False] * (len(chunks) - 1) + [True])
    same(chunks[-1].choices, [])
    used = chunks[-1].usage
    return same_usage(
        suite.mark("usage"), used.prompt_tokens, used.completion_tokens, used.total_tokens
    )


@suite.case
def tools() -> str:
    messages: list[Any] = asked(suite.prompt("tools"))["messages"]
    completion = create("", messages=messages, tools=TOOLS)
    (choice,) = completion.choices
    same(choice.finish_reason, "tool_calls")
    (call,) = choice.message.tool_calls
    same((call.type, call.function.name), ("function", TOOL["name"]))
    same(json.loads(call.function.arguments), TOOL["arguments"])
    same(choice.message.content, TOOL["said"])
    result = {"role": "tool", "tool_call_id": call.id, "content": TOOL["result"]}
    answer = create("", messages=[*messages, choice.message, result], tools=TOOLS).choices[0]
    same((answer.message.content, answer.finish_reason), (TOOL["answer"], "stop"))
    return _result_arrived("tools")


def _result_arrived(case: str) -> str:
    """Look for the call and its result in what Claude was asked at last."""
    *_, asking, answering = calls(suite.mark(case))[-1]["body"]["messages"]
    (use,) = [block for block in asking["content"] if block["type"] == "tool_use"]
    (result,) = [block for block in answering["content"] if block["type"] == "tool_result"]
    same(use["input"], TOOL["arguments"])
    same(result["tool_use_id"], use["id"])
    return "the call and its result arrived upstream"


def _arguments(calls: Any) -> list[Any]:
    same({(call.type, call.function.name) for call in calls}, {("function", TOOL["name"])})
    return [json.loads(call.function.arguments) for call in calls]


@suite.case
def tools_streamed() -> str:
    messages: list[Any] = asked(suite.prompt("tools_streamed"))["messages"]
    asking: Any = {"model": MODEL, "tools": TOOLS}
    with client.chat.completions.stream(**asking, messages=messages) as stream:
        events = [event.type for event in stream]
        (choice,) = stream.get_final_completion().choices
    assert events.count("tool_calls.function.arguments.delta") > 0, events
    same(choice.finish_reason, "tool_calls")
    called = choice.message.tool_calls or []
    same(_arguments(called), [{"city": city} for city in CASES["tools_streamed"]["cities"]])
    results = [{"role": "tool", "tool_call_id": c.id, "content": TOOL["result"]} for c in called]
    more: Any = [*messages, choice.message, *results]
    with client.chat.completions.stream(**asking, messages=more) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
    same(joined(pieces), TOOL["answer"])
    return f"{len(called)} calls"


@suite.case
def structured() -> str:
    wanted = CASES["structured"]["value"]
    asking: Any = asked(suite.prompt("structured"))
    (choice,) = client.chat.completions.parse(**asking, response_format=Form).choices
    assert choice.message.parsed is not None, choice
    same((choice.message.parsed.model_dump(), choice.finish_reason), (wanted, "stop"))
    with client.chat.completions.stream(**asking, response_format=Form) as stream:
        text = joined(event.delta for event in stream if event.type == "content.delta")
        same(json.loads(text), wanted)
        parsed = stream.get_final_completion().choices[0].message.parsed
    assert parsed is not None
    same(parsed.model_dump(), wanted)
    schemas = [
        (call["body"].get("output_config") or {}).get("format", {}).get("schema", {})
        for call in calls(suite.mark("structured"))
    ]
    same([sorted(schema.get("properties", {})) for schema in schemas], [sorted(wanted)] * 2)
    return "parsed, also from a stream; Claude was given the schema"


@suite.case
def image() -> str:
    parts = [
        {"type": "text", "text": suite.prompt("image")},
        {"type": "image_url", "image_url": {"url": png_url(), "detail": "low"}},
    ]
    same(create(parts).choices[0].message.content, CASES["image"]["answer"])
    return image_arrived(suite.mark("image"))


@suite.case
def unknown_model() -> str:
    error = raised(NotFoundError, lambda: create("?", model=UNKNOWN_MODEL))
    same((error.status_code, error.code, error.param), (404, "model_not_found", "model"))
    assert UNKNOWN_MODEL in error.message, error.message
    return f"NotFoundError: {error.message}"


@suite.case
def bad_parameter() -> str:
    error = raised(BadRequestError, lambda: create("?", temperature=3))
    same(
        (error.status_code, error.type, error.param), (400, "invalid_request_error", "temperature")
    )
    return f"BadRequestError: {error.message}"


@suite.case
def error_in_stream() -> str:
    pieces: list[str] = []

    def read() -> None:
        chunks = create(suite.prompt("error_in_stream"), stream=True)
        pieces.extend(chunk.choices[0].delta.content or "" for chunk in chunks)

    error = raised(APIError, read)
    cut_short(pieces)
    same(error.type, "server_error")
    return f"{type(error).__name__}: {error.message}"


@suite.case
async def cancellation() -> str:
    asking: Any = asked(suite.prompt("cancellation"))
    async with await concurrent.chat.completions.create(**asking, stream=True) as stream:
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
    return await ended_early(suite.mark("cancellation"))


@suite.case
async def parallel() -> str:
    async def one(number: str) -> str | None:
        asking: Any = asked(suite.prompt("parallel", number))
        return (await concurrent.chat.completions.create(**asking)).choices[0].message.content

    answers = await asyncio.gather(*(one(number) for number, _ in numbered()))
    same(answers, [answer for _, answer in numbered()])
    return met(suite.mark("parallel"))


@suite.case
def progress() -> str:
    deltas = [c.choices[0].delta for c in create(suite.prompt("progress"), stream=True)]
    same(joined(delta.content for delta in deltas), CASES["progress"]["answer"])
    showed_the_team("".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas))
    return "as `reasoning_content`, an extra field of a delta"


@suite.case
def models() -> str:
    listed = client.models.list().data
    same([(m.id, m.object, type(m.created)) for m in listed], [(MODEL, "model", int)])
    same(client.models.retrieve(MODEL), listed[0])
    return f"{len(listed)} listed"


@suite.case
def developer_role() -> str:
    said = "Be brief, says the developer."
    messages = [
        {"role": "developer", "content": said},
        *asked(suite.prompt("developer_role", like="plain"))["messages"],
    ]
    same(create("", messages=messages).choices[0].message.content, CASES["plain"]["answer"])
    (call,) = calls(suite.mark("developer_role"))
    assert said in json.dumps(call["body"]["system"]), call["body"]["system"]
    return "arrived as Claude's system prompt"


@suite.case
def content_parts() -> str:
    def part(text: str) -> list[dict[str, str]]:
        return [{"type": "text", "text": text}]

    prompt = suite.prompt("content_parts", like="plain")
    said = ["A system part.", "An earlier question.", "An earlier answer.", prompt]
    roles = ("system", "user", "assistant", "user")
    messages = [
        {"role": role, "content": part(text)} for role, text in zip(roles, said, strict=True)
    ]
    same(create("", messages=messages).choices[0].message.content, CASES["plain"]["answer"])
    (call,) = calls(suite.mark("content_parts"))
    body = json.dumps([call["body"]["system"], call["body"]["messages"]])
    same([text for text in said if json.dumps(text)[1:-1] not in body], [])
    return "all parts arrived upstream"


@suite.case
def request_id() -> str:
    completion = create(suite.prompt("request_id", like="plain"))
    error = raised(NotFoundError, lambda: create("?", model=UNKNOWN_MODEL))
    assert completion._request_id, "no id on the answer"
    assert error.request_id, "no id on the error"
    assert completion._request_id != error.request_id
    return f"{completion._request_id} and {error.request_id}"


@suite.case
def n_refused() -> str:
    error = raised(BadRequestError, lambda: create("?", n=2))
    same((error.type, error.param), ("invalid_request_error", "n"))
    return f"BadRequestError: {error.message}"


@suite.case
def legacy_functions() -> str:
    messages = asked(suite.prompt("legacy_functions", like="tools"))["messages"]
    (choice,) = create("", messages=messages, functions=[FUNCTION]).choices
    same(choice.finish_reason, "function_call")
    call = choice.message.function_call
    same((call.name, json.loads(call.arguments)), (TOOL["name"], TOOL["arguments"]))
    result = {"role": "function", "name": call.name, "content": TOOL["result"]}
    more = [*messages, choice.message, result]
    answer = create("", messages=more, functions=[FUNCTION]).choices[0]
    same((answer.message.content, answer.finish_reason), (TOOL["answer"], "stop"))
    return _result_arrived("legacy_functions")


@suite.case
def tool_choice() -> str:
    named = {"type": "function", "function": {"name": TOOL["name"]}}
    prompt = suite.prompt("tool_choice", like="tools")
    completion = create(prompt, tools=TOOLS, tool_choice=named, parallel_tool_calls=False)
    same(_arguments(completion.choices[0].message.tool_calls), [TOOL["arguments"]])
    (call,) = calls(suite.mark("tool_choice"))
    same([tool["name"] for tool in call["body"]["tools"]], [TOOL["name"]])
    assert call["body"]["tool_choice"]["disable_parallel_tool_use"]
    return "only that tool was offered to Claude, for one call"


@suite.case
def stop() -> str:
    answer = CASES["plain"]["answer"]
    prompt = suite.prompt("stop", like="plain")
    (choice,) = create(prompt, stop=["never said", "sentences"]).choices
    same((choice.message.content, choice.finish_reason), (answer.split("sentences")[0], "stop"))
    chunks = list(create(prompt, stop="sentences", stream=True))
    same(joined(c.choices[0].delta.content for c in chunks), answer.split("sentences")[0])
    same(chunks[-1].choices[0].finish_reason, "stop")
    return f"cut to {choice.message.content!r}"


@suite.case
def length() -> str:
    prompt = suite.prompt("length", like="plain")
    (choice,) = create(prompt, max_completion_tokens=5).choices
    same(choice.finish_reason, "length")
    assert CASES["plain"]["answer"].startswith(choice.message.content), choice
    return f"cut to {choice.message.content!r}"


@suite.case
def refusal() -> str:
    asking: Any = asked(suite.prompt("refusal"))
    (choice,) = client.chat.completions.parse(**asking, response_format=Form).choices
    same((choice.message.parsed, choice.message.content), (None, None))
    assert choice.message.refusal, choice
    with client.chat.completions.stream(**asking, response_format=Form) as stream:
        for _ in stream:
            pass
        same(stream.get_final_completion().choices[0].message.refusal, choice.message.refusal)
    same(create(suite.prompt("refusal")).choices[0].finish_reason, "content_filter")
    return f"refusal {choice.message.refusal!r}"


@suite.case
def file() -> str:
    def part(name: str, data: bytes, kind: str) -> dict[str, Any]:
        url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
        return {"type": "file", "file": {"filename": name, "file_data": url}}

    prompt = {"type": "text", "text": suite.prompt("file", like="plain")}
    text = part("notes.txt", "Notes: ü.".encode(), "text/plain")
    paper = part("paper.pdf", pdf(), "application/pdf")
    same(create([prompt, text, paper]).choices[0].message.content, CASES["plain"]["answer"])
    (call,) = calls(suite.mark("file"))
    blocks = [b for m in call["body"]["messages"] for b in m["content"] if isinstance(b, dict)]
    sources = [block["source"] for block in blocks if block["type"] == "document"]
    same([source["media_type"] for source in sources], ["text/plain", "application/pdf"])
    same(sources[0]["data"], "Notes: ü.")
    same(base64.b64decode(sources[1]["data"]), pdf())
    return "both arrived upstream"


@suite.case
def overloaded() -> str:
    error = raised(InternalServerError, lambda: create(suite.prompt("overloaded"), stream=True))
    same((error.status_code, error.type, error.code), (503, "server_error", "overloaded"))
    assert int(error.response.headers["retry-after"]) > 0
    return f"InternalServerError after {len(calls(suite.mark('overloaded')))} upstream calls"


@suite.case
async def leaving_a_team() -> str:
    asking: Any = asked(suite.prompt("leaving_a_team"))
    async with await concurrent.chat.completions.create(**asking, stream=True) as stream:
        async for chunk in stream:
            if getattr(chunk.choices[0].delta, "reasoning_content", None):
                break
        team = len(CASES["progress"]["subtasks"])
        await under_way(suite.mark("leaving_a_team"), "worker", team)
    return await ended_early(suite.mark("leaving_a_team"), "worker")


@suite.case
def foreign_history() -> str:
    ids = ["call_" + "a" * 59, "functions.get_weather:0"]
    called = [
        {"id": id, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
        for id, arguments in zip(ids, ("{}", ""), strict=True)
    ]
    parts = [{"type": "text", "text": "as parts"}]
    messages = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "tool_calls": called[:1]},
        {"role": "tool", "tool_call_id": ids[0], "content": parts},
        {"role": "assistant", "content": None, "tool_calls": called[1:]},
        {"role": "tool", "tool_call_id": ids[1], "content": ""},
        {"role": "assistant", "content": "", "name": "poet"},
        *asked(suite.prompt("foreign_history", like="plain"))["messages"],
    ]
    tools = [{"type": "function", "function": {"name": "get_weather"}}]
    answer = create("", messages=messages, tools=tools).choices[0].message.content
    same(answer, CASES["plain"]["answer"])
    (call,) = calls(suite.mark("foreign_history"))
    blocks = [b for m in call["body"]["messages"] for b in m["content"] if isinstance(b, dict)]
    uses = [block["id"] for block in blocks if block["type"] == "tool_use"]
    same([b["tool_use_id"] for b in blocks if b["type"] == "tool_result"], uses)
    same(len(uses), 2)
    return "calls and results arrived upstream in pairs"


@suite.case
def tolerated() -> str:
    without_effect: dict[str, Any] = {
        "n": 1,
        "stop": None,
        "tools": None,
        "temperature": 0.2,
        "top_p": 0.9,
        "presence_penalty": 0.1,
        "frequency_penalty": -0.1,
        "logit_bias": {},
        "logprobs": False,
        "seed": 7,
        "user": "somebody",
        "store": True,
        "metadata": {"a": "b"},
        "service_tier": "auto",
        "parallel_tool_calls": True,
        "prompt_cache_key": "key",
        "safety_identifier": "id",
        "verbosity": "low",
        "reasoning_effort": "low",
        "modalities": ["text"],
        "response_format": {"type": "text"},
        "extra_body": {"nobody_knows": {"this": 1}},
        "extra_headers": {"OpenAI-Organization": "org", "OpenAI-Beta": "assistants=v2"},
    }
    prompt = suite.prompt("tolerated", like="plain")
    same(create(prompt, **without_effect).choices[0].message.content, CASES["plain"]["answer"])
    return f"{len(without_effect)} at once"


@suite.case
def responses_api() -> str:
    error = raised(NotFoundError, lambda: client.responses.create(model=MODEL, input="?"))
    same((error.status_code, error.type), (404, "invalid_request_error"))
    return f"NotFoundError: {error.message}"


suite.run()
