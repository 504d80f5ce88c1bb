"""The lead's own prompt goes through the prompt cache once it is used again."""

from typing import Any

import httpx2

from chat import answer_of, ask
from conftest import StartService
from dumb_upstream import DumbUpstream, Reply, Status

BREAKPOINT = {"type": "ephemeral"}


def breakpoints(body: dict[str, Any]) -> list[bool]:
    return ["cache_control" in block for block in body.get("system", [])]


async def test_a_prompt_that_comes_again_is_cached_from_its_second_use_on(
    http: httpx2.AsyncClient, upstream: DumbUpstream
) -> None:
    upstream.answer("lead", Reply(text="Paris."))
    instructions = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Who?"}]
    for _ in range(3):
        assert answer_of(await ask(http, messages=instructions)) == "Paris."
    # The caller's own instructions follow our prompt and are nobody else's business.
    assert [breakpoints(call.body) for call in upstream.calls] == [
        [False, False],
        [True, False],
        [True, False],
    ]
    assert upstream.calls[1].body["system"][0]["cache_control"] == BREAKPOINT


async def test_a_single_call_without_a_prompt_of_ours_is_never_marked(
    http: httpx2.AsyncClient, upstream: DumbUpstream
) -> None:
    upstream.answer("lead", Reply(text="Paris."))
    for _ in range(2):
        await ask(http, reasoning_effort="none")
    assert ["system" in call.body for call in upstream.calls] == [False, False]


async def test_the_cache_can_be_switched_off(
    start_service: StartService, upstream: DumbUpstream
) -> None:
    service = await start_service(upstream, PROMPT_CACHE="false")
    upstream.answer("lead", Reply(text="Paris."))
    async with service.client() as client:
        for _ in range(2):
            await ask(client)
    assert [breakpoints(call.body) for call in upstream.calls] == [[False], [False]]


async def test_a_server_that_refuses_it_is_asked_without(
    http: httpx2.AsyncClient, upstream: DumbUpstream
) -> None:
    refusal = Status(
        400,
        "invalid_request_error",
        message="system.0.cache_control: Extra inputs are not permitted",
    )
    upstream.answer("lead", Reply(text="one"), refusal, Reply(text="two"))
    assert [answer_of(await ask(http)) for _ in range(3)] == ["one", "two", "two"]
    assert [breakpoints(call.body) for call in upstream.calls] == [
        [False],
        [True],
        [False],
        [False],
    ]
