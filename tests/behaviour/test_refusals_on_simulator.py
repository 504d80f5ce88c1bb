"""A server that refuses an optional part of a request is served without it: against the simulator,
whose refusals have the API's own form.
"""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from chat import answer_of, ask
from conftest import StartService
from orchestrator_worker.simulator.server import EmbeddedSimulator
from running_service import RunningService

COMPARISON = "Compare PostgreSQL, MySQL and SQLite for a small shop. " + "It sells tea. " * 200
"""Long enough for the workers' cache."""


class Refusing:
    """The service before a simulator that can be told what to refuse."""

    def __init__(self, service: RunningService, url: str) -> None:
        self.service = service
        self._url = url

    async def refuse(self, *features: str) -> None:
        async with httpx2.AsyncClient(base_url=self._url) as control:
            fast = {"first_token_seconds": 0.05, "tokens_per_second": 2000}
            latencies = dict.fromkeys(("sonnet", "haiku"), fast)
            script = {"refuse": list(features), "latencies": latencies}
            assert (await control.put("/_simulator/script", json=script)).status_code == 200

    async def bodies(self, status: int) -> list[dict[str, Any]]:
        async with httpx2.AsyncClient(base_url=self._url) as control:
            calls = (await control.get("/_simulator/calls")).json()["calls"]
        return [
            call["body"]
            for call in calls
            if call["path"] == "/v1/messages" and call["status"] == status
        ]

    async def answer(self) -> str:
        headers = self.service.headers
        async with httpx2.AsyncClient(base_url=self.service.url, headers=headers) as client:
            messages = [{"role": "user", "content": COMPARISON}]
            return answer_of(await ask(client, messages=messages))


@pytest.fixture
async def refusing(start_service: StartService) -> AsyncIterator[Refusing]:
    async with EmbeddedSimulator() as simulator:
        service = await start_service(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=simulator.url)
        yield Refusing(service, simulator.url)


def carries(body: dict[str, Any], feature: str) -> bool:
    match feature:
        case "thinking" | "output_config":
            return feature in body
        case "effort":
            return "effort" in body.get("output_config", {})
        case "pre_warm":
            return body["max_tokens"] == 0
        case _:
            return f"'{feature}'" in str(body)


FEATURES = (
    "eager_input_streaming",
    "effort",
    "thinking",
    "cache_control",
    "output_config",
    "pre_warm",
)


@pytest.mark.parametrize("feature", FEATURES)
async def test_each_optional_part_is_left_out_once_it_is_refused(
    refusing: Refusing, feature: str
) -> None:
    await refusing.refuse(feature)
    first = await refusing.answer()
    assert all(name in first for name in ("PostgreSQL", "MySQL", "SQLite"))
    assert await refusing.answer() == first  # the lead's own prompt goes to the cache only now
    refused = await refusing.bodies(400)
    assert refused
    assert all(carries(body, feature) for body in refused)
    assert not any(carries(body, feature) for body in await refusing.bodies(200))
    assert await refusing.answer() == first
    # Whatever had to be learned has been learned.
    assert len(await refusing.bodies(400)) == len(refused)


async def test_a_server_that_refuses_all_of_them_is_served_too(refusing: Refusing) -> None:
    await refusing.refuse(*FEATURES)
    answer = await refusing.answer()
    assert all(name in answer for name in ("PostgreSQL", "MySQL", "SQLite"))
    switched = {
        (event["model"], event["feature"])
        for event in refusing.service.events("feature_switched_off")
    }
    assert ("claude-sonnet-5-5", "eager_input_streaming") in switched
    assert ("claude-haiku-5-5", "thinking") in switched
    assert len(refusing.service.events("feature_switched_off")) == len(switched)
