"""A request sent again under its `Idempotency-Key`: answered once, paid once."""

import asyncio
from itertools import count
from typing import Any

import httpx2
import openai
import pytest
import pytest_asyncio

from chat import MODEL, QUESTION, answer_of, ask, body
from conftest import StartService
from dumb_upstream import Answer, Hang, Reply, Status
from listening import hung_up
from orchestrator_worker.api.chat import response as chat_response
from orchestrator_worker.api.idempotency import PIECE_BYTES
from orchestrator_worker.auth.signing import token_signer
from plans import subtask
from stage import Stage
from tests.api.described import Description

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.served({"default": "tiers = []"}),
]
CHAT = "/v1/chat/completions"
REPLAYED = "idempotent-replayed"
OF_A_STREAM = ("content-type", "cache-control", "x-accel-buffering")
BOTH = pytest.mark.parametrize("stream", [False, True])


@pytest_asyncio.fixture(loop_scope="module")
async def description(stage: Stage) -> Description:
    return Description((await stage.http.get("/openapi.json")).json())


@pytest.fixture
def key(request: pytest.FixtureRequest) -> dict[str, str]:
    """The test's own key, for the service is shared."""
    return {"idempotency-key": request.node.name.replace(" ", "-")}


def replayed(response: httpx2.Response) -> bool:
    assert response.status_code == 200, response.text
    value = response.headers.get(REPLAYED)
    assert value in {None, "true"}
    return value is not None


def code_of(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


async def line_of(stage: Stage, request_id: str) -> dict[str, Any]:
    """Return a request's line in the log, which comes after its response."""
    for so_many in count(1):
        lines = await stage.service.logged("request_finished", so_many)
        if found := [it for it in lines if it["request_id"] == request_id]:
            return found[0]
    raise AssertionError


# Sent again.


@BOTH
async def test_the_same_request_gets_the_same_bytes_and_nothing_is_called(
    stage: Stage, key: dict[str, str], description: Description, stream: bool
) -> None:
    stage.upstream.answer("lead", Reply(plan=[subtask(1), subtask(2)]))
    stage.upstream.answer("worker", Reply(text="done"))
    stage.upstream.answer("synthesizer", Reply(text="the — whole"))
    headers = {**key, "x-orchestration": "progress, usage, results"}
    first = await stage.ask(headers=headers, stream=stream)
    calls = len(stage.upstream.calls)
    again = await stage.ask(headers=headers, stream=stream)
    assert (replayed(first), replayed(again)) == (False, True)
    assert answer_of(first) == "the — whole"
    assert again.content == first.content
    for name in OF_A_STREAM:
        assert again.headers.get(name) == first.headers.get(name)
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert len(stage.upstream.calls) == calls == 4
    description.check(CHAT, first)
    description.check(CHAT, again)
    ran = await line_of(stage, first.headers["x-request-id"])
    repeated = await line_of(stage, again.headers["x-request-id"])
    assert (ran["outcome"], repeated["outcome"]) == ("ok", "replayed")
    assert repeated["stream"] is stream
    assert "run_id" not in repeated
    assert "cost_usd" not in repeated


@BOTH
@pytest.mark.parametrize("piece", [1000, 2 * PIECE_BYTES])
async def test_a_long_answer_is_sent_again_whole(
    stage: Stage, key: dict[str, str], piece: int, stream: bool
) -> None:
    stage.upstream.answer("lead", Reply(text="é" * 3 * PIECE_BYTES, piece=piece))
    first = await stage.ask(headers=key, stream=stream)
    again = await stage.ask(headers=key, stream=stream)
    assert replayed(again)
    assert again.content == first.content
    assert len(first.content) > 3 * PIECE_BYTES


async def test_heartbeats_are_not_sent_again(
    stage: Stage, key: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_response, "HEARTBEAT_SECONDS", 0.02)
    go_on = asyncio.Event()
    stage.upstream.answer("lead", Reply(text=": tea: water", hold_after_pieces=(1, go_on)))
    beats = b": working\n\n"
    asked = stage.http.build_request("POST", CHAT, json=body(stream=True), headers=key)
    first = await stage.http.send(asked, stream=True)
    heard = b""
    async with asyncio.timeout(5):
        async for piece in first.aiter_raw():
            heard += piece
            if beats in heard:
                go_on.set()
    again = await stage.ask(headers=key, stream=True)
    assert replayed(again)
    assert beats in heard
    assert again.content == heard.replace(beats, b"")
    assert answer_of(again) == ": tea: water"


async def test_the_wishes_may_be_written_otherwise(stage: Stage, key: dict[str, str]) -> None:
    stage.upstream.answer("lead", Reply(text="short"))
    first = await stage.ask(headers={**key, "x-orchestration": "usage, results"})
    again = await stage.ask(headers={**key, "x-orchestration": "Results,, USAGE"})
    assert replayed(again)
    assert again.content == first.content


async def test_without_a_key_everything_runs_again(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text="short"))
    assert [replayed(await stage.ask()) for _ in range(2)] == [False, False]
    assert len(stage.upstream.calls) == 2


async def test_openais_client_gets_the_answer_again(stage: Stage, key: dict[str, str]) -> None:
    stage.upstream.answer("lead", Reply(text="short"))
    async with openai.AsyncOpenAI(
        base_url=f"{stage.service.url}/v1",
        api_key=stage.service.token,
        http_client=openai.DefaultAsyncHttpxClient(trust_env=False),
    ) as client:
        answers = [
            await client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": QUESTION}], extra_headers=key
            )
            for _ in range(2)
        ]
    assert answers[0] == answers[1]
    assert len(stage.upstream.calls) == 1


async def test_a_page_elsewhere_may_see_that_it_is_a_repetition(
    start_service: StartService, stage: Stage, key: dict[str, str]
) -> None:
    origin = "https://app.example"
    service = await start_service(stage.upstream, CORS_ORIGINS=origin)
    stage.upstream.answer("lead", Reply(text="short"))
    async with service.client() as client:
        _, response = [await ask(client, headers={**key, "origin": origin}) for _ in range(2)]
    assert replayed(response)
    assert REPLAYED in response.headers["access-control-expose-headers"].lower()
    assert response.headers.get_list("access-control-allow-origin") == [origin]


# Not at the same time.


@BOTH
async def test_while_it_is_being_answered_it_is_refused(
    stage: Stage, key: dict[str, str], description: Description, stream: bool
) -> None:
    go_on = asyncio.Event()
    stage.upstream.answer("lead", Reply(text="at last", hold_after_pieces=(1, go_on)))
    first = asyncio.create_task(stage.ask(headers=key, stream=stream))
    await stage.upstream.arrived(1)
    second = await stage.ask(headers=key, stream=stream)
    assert code_of(second) == (409, "idempotency_key_in_use")
    assert second.headers["retry-after"] == "1"
    assert "x-should-retry" not in second.headers
    description.check(CHAT, second)
    other = await stage.ask(headers=key, stream=stream, max_tokens=7)
    assert code_of(other) == (422, "idempotency_key_reused")
    go_on.set()
    content = (await first).content
    third = await stage.ask(headers=key, stream=stream)
    assert replayed(third)
    assert third.content == content
    assert len(stage.upstream.calls) == 1


async def test_of_twenty_at_once_one_runs(stage: Stage, key: dict[str, str]) -> None:
    go_on = asyncio.Event()
    stage.upstream.answer("lead", Reply(text="once", hold_before=go_on))
    waiting = {asyncio.create_task(stage.ask(headers=key)) for _ in range(20)}
    refused: list[httpx2.Response] = []
    async with asyncio.timeout(10):
        while len(waiting) > 1:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            refused += [task.result() for task in done]
    assert {code_of(it) for it in refused} == {(409, "idempotency_key_in_use")}
    go_on.set()
    (last,) = waiting
    assert answer_of(await last) == "once"
    assert len(refused) == 19
    assert len(stage.upstream.calls) == 1


# Another's.


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"max_tokens": 7}, {}),
        ({"stream": True}, {}),
        ({}, {"x-orchestration": "usage"}),
    ],
    ids=["another field", "as a stream", "another wish"],
)
async def test_another_request_may_not_use_the_key(
    stage: Stage,
    key: dict[str, str],
    description: Description,
    fields: dict[str, Any],
    headers: dict[str, str],
) -> None:
    stage.upstream.answer("lead", Reply(text="short"))
    first = await stage.ask(headers=key)
    other = await stage.ask(headers={**key, **headers}, **fields)
    assert code_of(other) == (422, "idempotency_key_reused")
    description.check(CHAT, other)
    assert replayed(await stage.ask(headers=key))
    assert first.status_code == 200
    assert len(stage.upstream.calls) == 1


async def test_another_callers_key_is_another_key(stage: Stage, key: dict[str, str]) -> None:
    stage.upstream.answer("lead", Reply(text="for one"), Reply(text="for another"))
    token = token_signer(stage.service.settings).issue("another")
    answers = [
        await stage.ask(headers=key),
        await stage.ask(headers={**key, "authorization": f"Bearer {token}"}),
    ]
    assert [answer_of(it) for it in answers] == ["for one", "for another"]
    assert [replayed(it) for it in answers] == [False, False]


# Free again.

REFUSED = Status(400, "invalid_request_error")
FAILS: dict[str, tuple[Answer, bool]] = {
    "an error": (REFUSED, False),
    "an error before a stream": (REFUSED, True),
    "half an answer": (Reply(text="half an answer", truncate=True), False),
}


@pytest.mark.parametrize(("answer", "stream"), list(FAILS.values()), ids=list(FAILS))
async def test_an_error_is_not_kept(
    stage: Stage, key: dict[str, str], answer: Answer, stream: bool
) -> None:
    stage.upstream.answer("lead", answer)
    failed = await stage.ask(headers=key, stream=stream)
    assert failed.status_code == 502
    await _answered_now(stage, key, stream)


async def test_a_stream_that_fails_is_not_kept(stage: Stage, key: dict[str, str]) -> None:
    begun = asyncio.Event()
    broken = Reply(text="half an answer", hold_after_pieces=(1, begun), cut_after_pieces=1)
    stage.upstream.answer("lead", broken)
    asked = stage.http.build_request("POST", CHAT, json=body(stream=True), headers=key)
    failed = await stage.http.send(asked, stream=True)
    assert failed.status_code == 200
    begun.set()
    assert b'"error"' in await failed.aread()
    await _answered_now(stage, key, stream=True)


async def _answered_now(stage: Stage, key: dict[str, str], stream: bool) -> None:
    stage.upstream.answer("lead", Reply(text="now it works"))
    second = await stage.ask(headers=key, stream=stream)
    assert not replayed(second)
    assert answer_of(second) == "now it works"
    assert replayed(await stage.ask(headers=key, stream=stream))


@BOTH
@pytest.mark.parametrize("begun", [False, True])
async def test_the_key_of_a_caller_who_left_is_free(
    stage: Stage, key: dict[str, str], begun: bool, stream: bool
) -> None:
    hold = (1, asyncio.Event())
    stage.upstream.answer("lead", Reply(text="never read", hold_after_pieces=hold))
    if not begun:
        stage.upstream.answer("lead", Hang())
    headers = {**key, "x-request-id": f"left-{begun}-{stream}"}
    async with stage.service.client() as client:
        asking = asyncio.create_task(ask(client, headers=headers, stream=stream))
        await stage.upstream.arrived(1)
        asking.cancel()
        await asyncio.wait([asking])
    await hung_up(stage.upstream.calls[0])
    line = await line_of(stage, headers["x-request-id"])
    assert line["outcome"] == "client_disconnected"
    # Free even for another request: nothing of the first is left.
    stage.upstream.answer("lead", Reply(text="short"))
    second = await stage.ask(headers=key, stream=stream, max_tokens=7)
    assert not replayed(second)
    assert answer_of(second) == "short"


async def test_what_is_refused_takes_no_key(stage: Stage, key: dict[str, str]) -> None:
    stage.upstream.answer("lead", Reply(text="short"))
    refusals = [
        await stage.ask(headers=key, max_tokens=0),
        await stage.ask("gpt-9", headers=key),
        await stage.ask(headers={**key, "x-orchestration": "magic"}),
        await stage.ask(headers={**key, "authorization": "Bearer forged"}),
    ]
    assert [it.status_code for it in refusals] == [400, 404, 400, 401]
    assert not replayed(await stage.ask(headers=key))
    assert not stage.upstream.calls[1:]


BAD_KEYS: dict[str, list[bytes]] = {
    "empty": [b""],
    "too long": [b"k" * 256],
    "a space": [b"a b"],
    "not ASCII": ["schlüssel".encode()],
    "a control character": [b"a\tb"],
    "twice": [b"a", b"b"],
    "twice the same": [b"a", b"a"],
}


@pytest.mark.parametrize("keys", list(BAD_KEYS.values()), ids=list(BAD_KEYS))
async def test_what_is_no_key_is_refused(
    stage: Stage, description: Description, keys: list[bytes]
) -> None:
    headers = [(b"idempotency-key", it) for it in keys]
    response = await stage.http.post(CHAT, json=body(), headers=headers)
    assert code_of(response) == (400, "invalid_value")
    assert response.json()["error"]["param"] == "Idempotency-Key"
    description.check(CHAT, response)
    assert stage.upstream.calls == []


async def test_the_longest_key_is_one(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text="short"))
    longest = {"idempotency-key": "~!" + "k" * 253}
    assert [replayed(await stage.ask(headers=longest)) for _ in range(2)] == [False, True]
