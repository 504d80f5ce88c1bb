from datetime import UTC, datetime, timedelta
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import AsyncAnthropic

from tests.simulator.wire import HAIKU, OPUS, SONNET, Wire, ask, refused

KINDS = ("requests", "tokens", "input-tokens", "output-tokens")
LIMITS = {
    "requests_per_minute": 60,
    "input_tokens_per_minute": 60_000,
    "output_tokens_per_minute": 6_000,
}
LONG = "word " * 7_000
"""10,000 tokens."""


def shown(response: httpx2.Response, kind: str, what: str) -> str:
    return response.headers[f"anthropic-ratelimit-{kind}-{what}"]


def left(response: httpx2.Response) -> list[int]:
    return [int(shown(response, kind, "remaining")) for kind in KINDS]


@pytest.mark.parametrize(
    ("change", "script", "status"),
    [
        ({}, {}, 200),
        ({"stream": True}, {}, 200),
        ({"temperature": 1}, {}, 400),
        ({}, {"faults": [{"fault": {"kind": "status", "status": 529}}]}, 529),
    ],
)
async def test_every_message_response_shows_the_limits(
    wire: Wire, change: dict[str, Any], script: dict[str, Any], status: int
) -> None:
    await wire.script(**script)
    response = await wire.post(ask(**change))
    assert response.status_code == status
    assert response.headers["request-id"].startswith("req_")
    assert response.headers["anthropic-organization-id"]
    for kind in KINDS:
        assert 0 < int(shown(response, kind, "remaining")) <= int(shown(response, kind, "limit"))
        assert datetime.strptime(shown(response, kind, "reset"), "%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007
    assert "retry-after" not in response.headers


async def test_what_is_used_is_gone_and_comes_back_within_a_minute(wire: Wire) -> None:
    await wire.script(rate_limits=LIMITS)
    before = datetime.now(UTC)
    response = await wire.post(ask(LONG))
    assert left(response) == [59, 56_000, 50_000, 6_000]
    reset = datetime.fromisoformat(shown(response, "input-tokens", "reset"))
    assert timedelta(seconds=8) < reset - before < timedelta(seconds=13)
    await wire.advance(60)
    assert left(await wire.post(ask("hi")))[0] == 59


async def test_models_of_one_class_share_a_limit_and_others_do_not(wire: Wire) -> None:
    await wire.script(rate_limits=LIMITS)
    for model in ("claude-opus-4-8", "claude-opus-4-6", "claude-opus-4-5"):
        response = await wire.post(ask(model=model))
    assert left(response)[0] == 57
    thinking = {"type": "adaptive"}
    for model in (SONNET, HAIKU, OPUS):
        assert left(await wire.post(ask(model=model, thinking=thinking)))[0] == 59
    other = await wire.http.post("/v1/messages", json=ask(), headers={"authorization": "Bearer z"})
    assert left(other)[0] == 59


@pytest.mark.parametrize(
    ("limits", "wait"),
    [
        ({"requests_per_minute": 2}, 30),
        ({"input_tokens_per_minute": 20_100}, 30),
        ({"output_tokens_per_minute": 40}, 47),
        ({"requests_per_minute": 0}, 60),
    ],
)
async def test_a_call_too_many_is_told_when_to_come_back(
    wire: Wire, client: AsyncAnthropic, limits: dict[str, int], wait: int
) -> None:
    await wire.script(rate_limits=limits)
    while (response := await wire.post(ask(LONG, max_tokens=35))).status_code == 200:
        assert len(await wire.calls()) < 4
    status, kind, said = refused(response)
    assert (status, kind) == (429, "rate_limit_error")
    assert str(next(iter(limits.values()))) in said
    seconds = int(response.headers["retry-after"])
    assert wait - 1 <= seconds <= wait
    assert (await wire.calls())[-1]["outcome"] == "refused"
    with pytest.raises(anthropic.RateLimitError):
        await client.messages.create(**ask(LONG))
    await wire.advance(seconds)
    if 0 not in limits.values():
        assert (await wire.post(ask(LONG, max_tokens=35))).status_code == 200


async def test_what_the_cache_holds_does_not_count(wire: Wire) -> None:
    await wire.script(rate_limits=LIMITS)
    marked = {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}
    body = ask(messages=[{"role": "user", "content": [marked]}])
    first, second = await wire.post(body), await wire.post(body)
    assert left(first)[2] == left(second)[2] == 50_000
