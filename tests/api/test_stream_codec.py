"""Streams at random: whatever a model says, however it is cut on its way here and on its way out,
the caller reads exactly that, frame by frame in OpenAI's form.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import openai
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from callers_tools import CLOCK, WEATHER
from chat import MODEL, QUESTION, body
from dumb_upstream import DumbCall, Write
from orchestrator_worker.api.chat import response as response_module
from plans import subtask
from stage import Stage
from strict_openai import check_completion, check_stream
from tests.sse_reader import read_events

TEAMS = {"plain": 'route = "never"', "haiku": 'lead.model = "claude-haiku-5-5"'}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS)]

Json = dict[str, Any]
RANDOM = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
        HealthCheck.filter_too_much,
        HealthCheck.function_scoped_fixture,
    ],
)
HARD = [
    "data: [DONE]\n\n", "\n\n", "event: error\ndata: {}\n\n", ": working\n\n", "\r",
    "\r\n\r\n", "\u2028",
    "\u2029", "\x85", "\0", "\x0b\x0c\x1c\x1d\x1e", "\ufeff", '"', "\\", '\\"}',
    "}]}\n\ndata: ", "👩\u200d👩\u200d👧", "e\u0301",
    "🏴\U000e0067\U000e0062\U000e007f", "\ud7ff\ue000\uffff", "\U0010ffff", "[DONE]",
    "\\ud800", "<|end|>", "retry: 1\n",
]  # fmt: skip
WORDS = st.sampled_from(HARD) | st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8
)
TEXTS = st.lists(WORDS, min_size=1, max_size=12).map("".join).filter(bool)
SAID = TEXTS.map(lambda text: f"{text}.")
"""Never blank: what says nothing is no beginning of an answer, and no result."""
CUTS = st.lists(st.integers(0, 10_000), max_size=30)
HEARTBEAT = b": working\n\n"
LONG = ("🙂e\u0301\u2028\n\n" * 17_000)[:100_000]


def cut(whole: Any, places: Sequence[int]) -> list[Any]:
    """Cut a string, or bytes, at these places as far as it reaches."""
    at = sorted({0, len(whole), *(place % (len(whole) + 1) for place in places)})
    return [whole[start:end] for start, end in pairwise(at)]


def every(whole: bytes, size: int) -> list[bytes]:
    return [whole[at : at + size] for at in range(0, len(whole), size)]


@dataclass
class Call:
    """A call of a tool, its input in pieces."""

    name: str
    pieces: list[str]
    id: str = "toolu_1"


@dataclass
class Torn:
    """A message of the API whose bytes leave in pieces cut at `cuts`, inside characters too."""

    blocks: Sequence[list[str] | Call]
    cuts: Sequence[int] = ()
    stop_reason: str = "end_turn"
    ends_with: str | None = None
    """Type of an error event that comes instead of the end."""
    escaped: bool = False
    """Whether its JSON is all ASCII."""
    hold: asyncio.Event | None = None
    """Wait before the last piece."""
    sent: bytes = field(default=b"", init=False)

    async def __call__(self, call: DumbCall, write: Write) -> None:
        self.sent = b"".join(self._events(call.body["model"]))
        await write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        for piece in cut(self.sent, self.cuts):
            if self.hold and self.sent.endswith(piece):
                await self.hold.wait()
            head, tail = cut(
                f"{len(piece):x}\r\n".encode() + piece + b"\r\n", [len(piece) // 2 + 3]
            )
            await write(head)
            await write(tail)
        await write(b"0\r\n\r\n")

    def _events(self, model: str) -> Iterator[bytes]:
        message: Json = {
            "id": "msg", "type": "message", "role": "assistant", "model": model, "content": [],
            "stop_reason": None, "stop_sequence": None,
            "usage": {"input_tokens": 3, "output_tokens": 1},
        }  # fmt: skip
        yield self._event("message_start", message=message)
        yield self._event("ping")
        yield self._event("of_another_version", delta={"text": "nobody knows"})
        for index, block in enumerate(self.blocks):
            yield from self._block(index, block)
        if self.ends_with is not None:
            yield self._event("error", error={"type": self.ends_with, "message": "canary"})
            return
        delta = {"stop_reason": self.stop_reason, "stop_sequence": None}
        yield self._event("message_delta", delta=delta, usage={"output_tokens": 9})
        yield self._event("message_stop")

    def _block(self, index: int, block: list[str] | Call) -> Iterator[bytes]:
        if isinstance(block, Call):
            start: Json = {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": it} for it in block.pieces]
        else:
            start = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": it} for it in block]
        yield self._event("content_block_start", index=index, content_block=start)
        for delta in deltas:
            yield self._event("content_block_delta", index=index, delta=delta)
        yield self._event("content_block_stop", index=index)

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = json.dumps({"type": kind, **fields}, ensure_ascii=self.escaped)
        return f"event: {kind}\ndata: {data}\n\n".encode()


@dataclass
class Read:
    """What a caller has read of a stream."""

    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    calls: list[list[str]] = field(default_factory=list[list[str]])
    """Name and arguments."""
    finish_reason: str | None = None
    error: Json | None = None
    usage: Json | None = None


def read(content: bytes, cuts: Sequence[int]) -> Read:
    """Read a stream's bytes, cut anywhere, the plain way and as the openai package does."""
    text = content.decode("utf-8", "strict")
    # Some clients split where Python does, at more than the lines' own ends.
    assert text.splitlines() == text.split("\n")[:-1]
    pieces = cut(content, cuts)
    *data, done = [event.data for event in read_events(pieces)]
    assert done == "[DONE]"
    assert [event.data for event in read_events([content])] == [*data, done]
    assert [event.data for event in SSEDecoder().iter_bytes(iter(pieces))] == [*data, done]
    assert content.replace(HEARTBEAT, b"") == rewritten([*data, done])
    frames = [json.loads(item) for item in data]
    check_stream(frames)
    return as_read(frames)


def rewritten(data: list[str]) -> bytes:
    """Return the stream as it must be to the byte: one line and an empty one for each frame."""
    return b"".join(f"data: {it}\n\n".encode() for it in data)


def as_read(frames: list[Json]) -> Read:
    seen = Read()
    for frame in frames:
        seen.error = frame.get("error")
        seen.usage = frame.get("usage") or seen.usage
        for choice in frame.get("choices", ()):
            delta = choice["delta"]
            seen.text += delta.get("content") or ""
            seen.refusal += delta.get("refusal") or ""
            seen.reasoning += delta.get("reasoning_content") or ""
            seen.finish_reason = choice["finish_reason"] or seen.finish_reason
            for call in delta.get("tool_calls", ()):
                if "id" in call:
                    seen.calls.append([call["function"]["name"], ""])
                seen.calls[call["index"]][1] += call["function"]["arguments"]
    return seen


class Front:
    """The stage, without its whole story in the words of a failed example."""

    def __init__(self, stage: Stage) -> None:
        self.service = stage.service
        self.upstream = stage.upstream
        self.ask = stage.ask
        self.http = stage.http


@pytest.fixture
def front(stage: Stage) -> Front:
    return Front(stage)


async def streamed(front: Front, cuts: Sequence[int] = (), **fields: Any) -> Read:
    response = await front.ask("plain", stream=True, **fields)
    assert response.status_code == 200, response.text
    return read(response.content, cuts)


@pytest_asyncio.fixture(loop_scope="module")
async def package(front: Front) -> AsyncIterator[openai.AsyncOpenAI]:
    base_url = f"{front.service.url}/v1"
    async with openai.AsyncOpenAI(
        base_url=base_url, api_key=front.service.token, max_retries=0
    ) as client:
        yield client


@RANDOM
@example(LONG, [*range(0, 100_000, 701)], [*range(0, 400_000, 997)], [*range(7, 9999, 13)], False)
@given(TEXTS, CUTS, CUTS, CUTS, st.booleans())
async def test_a_text_arrives_as_the_model_says_it(
    front: Front,
    text: str,
    deltas: Sequence[int],
    bytes_in: Sequence[int],
    bytes_out: Sequence[int],
    escaped: bool,
) -> None:
    said = [piece for piece in cut(text, deltas) if piece]
    front.upstream.answer("lead", Torn([said], bytes_in, escaped=escaped))
    seen = await streamed(front, bytes_out)
    assert (seen.text, seen.finish_reason, seen.error) == (text, "stop", None)
    assert seen.reasoning == ""
    whole = await front.ask("plain")
    check_completion(whole.json())
    assert whole.json()["choices"][0]["message"]["content"] == text


async def test_every_place_to_cut_a_stream_is_as_good_as_any_other(front: Front) -> None:
    text = "a\r\n\nb\u2028🙂"
    answer = Torn([cut(text, [3])])
    front.upstream.answer("lead", answer)
    content = (await front.ask("plain", stream=True)).content
    for at in range(len(content)):
        assert read(content, [at]).text == text
    for size in (1, 2, 3, 5, 7, 64):
        answer.cuts = range(0, len(answer.sent), size)
        content = (await front.ask("plain", stream=True)).content
        assert read(content, range(0, len(content), size)).text == text


@RANDOM
@given(TEXTS, CUTS, CUTS)
async def test_the_openai_package_reads_the_same(
    front: Front,
    package: openai.AsyncOpenAI,
    text: str,
    deltas: Sequence[int],
    bytes_in: Sequence[int],
) -> None:
    front.upstream.answer("lead", Torn([cut(text, deltas)], bytes_in))
    stream = await package.chat.completions.create(
        model="plain", messages=[{"role": "user", "content": QUESTION}], stream=True
    )
    seen = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in seen) == text


ARGUMENTS = st.dictionaries(WORDS, WORDS, min_size=1, max_size=4)


@RANDOM
@given(
    st.lists(ARGUMENTS, min_size=1, max_size=3), st.none() | TEXTS, CUTS, CUTS, CUTS, st.booleans()
)
async def test_arguments_arrive_as_the_model_writes_them(
    front: Front,
    inputs: list[Json],
    text: str | None,
    deltas: Sequence[int],
    bytes_in: Sequence[int],
    bytes_out: Sequence[int],
    escaped: bool,
) -> None:
    names = ["get_weather", "get_time", "get_weather"]
    written = [json.dumps(it, ensure_ascii=escaped) for it in inputs]
    blocks: list[list[str] | Call] = [
        Call(name, ["", *cut(it, deltas)], f"toolu_{at}")
        for at, (name, it) in enumerate(zip(names, written, strict=False))
    ]
    if text:
        blocks.insert(0, cut(text, deltas))
    front.upstream.answer("lead", Torn(blocks, bytes_in, "tool_use"))
    seen = await streamed(front, bytes_out, tools=[WEATHER, CLOCK])
    assert seen.calls == [list(it) for it in zip(names, written, strict=False)]
    assert seen.finish_reason == "tool_calls"
    assert seen.text.strip() == (text or "").strip()
    whole = (await front.ask("plain", tools=[WEATHER, CLOCK])).json()
    check_completion(whole)
    calls = whole["choices"][0]["message"]["tool_calls"]
    assert [it["function"]["arguments"] for it in calls] == written


@RANDOM
@given(TEXTS, CUTS, CUTS)
async def test_what_a_model_says_that_declines_a_form_arrives(
    front: Front, text: str, deltas: Sequence[int], bytes_out: Sequence[int]
) -> None:
    front.upstream.answer("lead", Torn([cut(text, deltas)], stop_reason="refusal"))
    form = {"type": "json_object"}
    seen = await streamed(front, bytes_out, response_format=form)
    assert seen.refusal.strip() == text.strip() or not text.strip()
    assert seen.refusal
    assert seen.text == ""
    check_completion((await front.ask("plain", response_format=form)).json())


@RANDOM
@given(st.dictionaries(WORDS, WORDS, max_size=4), CUTS, CUTS, CUTS, st.booleans())
async def test_json_arrives_as_the_model_writes_it(
    front: Front,
    value: Json,
    deltas: Sequence[int],
    bytes_in: Sequence[int],
    bytes_out: Sequence[int],
    held: bool,
) -> None:
    written = json.dumps(value, ensure_ascii=False)
    front.upstream.answer("lead", Torn([cut(written, deltas)], bytes_in))
    form: Json = {"type": "json_object"}
    if not held:
        form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    seen = await streamed(front, bytes_out, response_format=form)
    assert json.loads(seen.text) == value


@RANDOM
@given(SAID, st.sampled_from(["overloaded_error", "api_error"]), CUTS, CUTS, CUTS)
async def test_a_stream_that_breaks_ends_well_formed(
    front: Front,
    text: str,
    kind: str,
    deltas: Sequence[int],
    bytes_in: Sequence[int],
    bytes_out: Sequence[int],
) -> None:
    front.upstream.answer("lead", Torn([cut(text, deltas)], bytes_in, ends_with=kind))
    seen = await streamed(front, bytes_out)
    assert seen.error
    assert "canary" not in json.dumps(seen.error)
    assert seen.text == text
    assert seen.finish_reason is None


@RANDOM
@given(st.lists(SAID, min_size=2, max_size=4), CUTS, CUTS)
async def test_lines_of_progress_and_reports_are_frames_like_all_others(
    front: Front, titles: list[str], deltas: Sequence[int], bytes_out: Sequence[int]
) -> None:
    plan = {
        "subtasks": [
            {**subtask(at), "title": f"Part {at} {title}"} for at, title in enumerate(titles)
        ]
    }
    written = json.dumps(plan, ensure_ascii=False)
    lead = Torn([Call("delegate", cut(written, deltas))], stop_reason="tool_use")
    front.upstream.answer("lead", lead)
    front.upstream.answer("worker", Torn([titles]))
    front.upstream.answer("synthesizer", Torn([titles]))
    response = await front.ask(
        MODEL,
        stream=True,
        stream_options={"include_usage": True},
        headers={"x-orchestration": "progress, usage, results"},
    )
    seen = read(response.content, bytes_out)
    assert seen.text == "".join(titles)
    assert f"Planned {len(titles)} subtasks" in seen.reasoning
    assert seen.usage


async def test_heartbeats_are_comments_between_frames(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response_module, "HEARTBEAT_SECONDS", 0.02)
    answer = Torn([["data: ", ": working", "\n\n🙂"]], [600], hold=asyncio.Event())
    assert answer.hold
    front.upstream.answer("lead", answer)
    content = b""
    async with front.http.stream(
        "POST", "/v1/chat/completions", json=body(model="plain", stream=True)
    ) as response:
        async with asyncio.timeout(5):
            async for piece in response.aiter_raw():
                content += piece
                if content.count(HEARTBEAT) >= 3:
                    answer.hold.set()
    assert content.count(HEARTBEAT) >= 3
    for at in range(len(content)):
        assert read(content, [at]).text == "data: : working\n\n🙂"
