"""What is kept for `Idempotency-Key`s and for how long, without a service around it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from orchestrator_worker.api.idempotency import IdempotentAnswers
from orchestrator_worker.api.middleware import RequestTrace
from orchestrator_worker.auth.principal import Principal
from orchestrator_worker.errors import InvalidRequest


@dataclass
class Kept:
    """Kept answers without a service around them, and how often something was run."""

    answers: IdempotentAnswers
    runs: int = 0

    async def ask(self, key: str, make: Callable[[], Response] | None = None) -> list[Message]:
        """Answer a request with this key; returns what is sent."""
        headers = [(b"idempotency-key", key.encode())]
        trace = RequestTrace("req")
        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "headers": headers,
            "state": {"trace": trace},
        }
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError

        def counted() -> Response:
            self.runs += 1
            return make() if make else PlainTextResponse("x" * 10)

        request, who = Request(scope), Principal("somebody")
        response = self.answers.response(request, who, b"{}", (), counted)
        await response(scope, receive, send)
        return sent

    async def runs_again(self, key: str) -> bool:
        before = self.runs
        await self.ask(key)
        return self.runs > before


async def test_the_oldest_key_makes_room_for_the_newest() -> None:
    kept = Kept(IdempotentAnswers(max_keys=2))
    for key in ("a", "b"):
        await kept.ask(key)
    assert not await kept.runs_again("a")  # being asked for makes it no younger
    await kept.ask("c")
    assert [await kept.runs_again(key) for key in "bc"] == [False, False]
    assert await kept.runs_again("a")


async def test_all_bodies_together_stay_within_the_bound() -> None:
    kept = Kept(IdempotentAnswers(max_bytes=30))
    for key in "abc":
        await kept.ask(key)
    assert [await kept.runs_again(key) for key in "abc"] == [False, False, False]
    await kept.ask("d", lambda: PlainTextResponse("y" * 15))
    assert [await kept.runs_again(key) for key in "cd"] == [False, False]
    assert await kept.runs_again("b")  # which makes room for itself in turn
    assert [await kept.runs_again(key) for key in "db"] == [False, False]


async def test_room_is_made_by_age_and_not_by_use() -> None:
    kept = Kept(IdempotentAnswers(max_bytes=20))
    for key in "aba":
        await kept.ask(key)
    assert kept.runs == 2
    await kept.ask("c")
    assert not await kept.runs_again("b")
    assert await kept.runs_again("a")


@pytest.mark.parametrize(("size", "again"), [(20, False), (21, True)])
@pytest.mark.parametrize(
    "bounded",
    [lambda: IdempotentAnswers(max_answer_bytes=20), lambda: IdempotentAnswers(max_bytes=20)],
    ids=["one", "all together"],
)
async def test_an_answer_that_is_too_long_is_not_kept(
    bounded: Callable[[], IdempotentAnswers], size: int, again: bool
) -> None:
    kept = Kept(bounded())
    sent = await kept.ask("a", lambda: PlainTextResponse("z" * size))
    assert b"".join(it.get("body", b"") for it in sent) == b"z" * size
    assert await kept.runs_again("a") is again


async def test_a_kept_answer_is_forgotten_after_its_time() -> None:
    now = 0.0
    kept = Kept(IdempotentAnswers(clock=lambda: now))
    await kept.ask("a")
    now = 24 * 60 * 60 - 1
    assert not await kept.runs_again("a")  # being asked for does not prolong it
    now += 1
    assert await kept.runs_again("a")


# Every way of ending.


class _Ends(Response):
    """Sends a beginning, or nothing, and then ends in some way."""

    def __init__(self, begun: bool, how: Callable[[], Any]) -> None:
        super().__init__()
        self._begun, self._how = begun, how

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        self._how()


def crash() -> None:
    raise RuntimeError("canary")


def cancel() -> None:
    raise asyncio.CancelledError


def just_end() -> None:
    return


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("how", [crash, cancel, just_end])
async def test_the_key_is_free_however_it_ends(how: Callable[[], Any], begun: bool) -> None:
    kept = Kept(IdempotentAnswers())
    with suppress(RuntimeError, asyncio.CancelledError):
        await kept.ask("a", lambda: _Ends(begun, how))
    assert await kept.runs_again("a")
    assert not await kept.runs_again("a")


async def test_a_response_that_cannot_be_made_leaves_the_key_free() -> None:
    kept = Kept(IdempotentAnswers())

    def unmade() -> Response:
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest):
        await kept.ask("a", unmade)
    assert await kept.runs_again("a")


async def test_another_status_than_200_is_not_kept() -> None:
    kept = Kept(IdempotentAnswers())
    await kept.ask("a", lambda: PlainTextResponse("no", status_code=503))
    assert await kept.runs_again("a")


@pytest.mark.parametrize(("status", "again"), [(200, False), (503, True)])
async def test_who_has_read_the_last_byte_may_ask_again(status: int, again: bool) -> None:
    kept = Kept(IdempotentAnswers())
    ran: list[bool] = []

    class Lingering(PlainTextResponse):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await super().__call__(scope, receive, send)
            ran.append(await kept.runs_again("a"))

    await kept.ask("a", lambda: Lingering("all", status_code=status))
    assert ran == [again]
