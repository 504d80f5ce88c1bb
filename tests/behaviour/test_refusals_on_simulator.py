"""A server that refuses an optional part of a request is served without it: against the simulator,
whose refusals have the API's own form.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chat import answer_of
from served_teams import AS_BUNDLED
from simulated import Simulated, simulated

COMPARISON = "Compare PostgreSQL, MySQL and SQLite for a small shop. " + "It sells tea. " * 200
"""Long enough for the workers' cache."""


@pytest.fixture
async def fresh(tmp_path: Path, simulator_url: str) -> AsyncIterator[Simulated]:
    """A service of the test's own, for a service remembers what its server refuses."""
    async with simulated(tmp_path, simulator_url, AS_BUNDLED) as running:
        yield running


async def refuse(simulator: Simulated, *features: str) -> None:
    fast = {"first_token_seconds": 0.05, "tokens_per_second": 2000}
    latencies = dict.fromkeys(("sonnet", "haiku"), fast)
    await simulator.order(refuse=features, latencies=latencies)


async def bodies(simulator: Simulated, status: int) -> list[dict[str, Any]]:
    return [call["body"] for call in await simulator.calls() if call["status"] == status]


async def answer_from(simulator: Simulated) -> str:
    return answer_of(await simulator.ask(messages=[{"role": "user", "content": COMPARISON}]))


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
    fresh: Simulated, feature: str
) -> None:
    await refuse(fresh, feature)
    first = await answer_from(fresh)
    assert all(name in first for name in ("PostgreSQL", "MySQL", "SQLite"))
    assert await answer_from(fresh) == first  # the lead's own prompt goes to the cache only now
    refused = await bodies(fresh, 400)
    assert refused
    assert all(carries(body, feature) for body in refused)
    assert not any(carries(body, feature) for body in await bodies(fresh, 200))
    assert await answer_from(fresh) == first
    # Whatever had to be learned has been learned.
    assert len(await bodies(fresh, 400)) == len(refused)


async def test_a_server_that_refuses_all_of_them_is_served_too(fresh: Simulated) -> None:
    await refuse(fresh, *FEATURES)
    answer = await answer_from(fresh)
    assert all(name in answer for name in ("PostgreSQL", "MySQL", "SQLite"))
    switched = {
        (event["model"], event["feature"]) for event in fresh.service.events("feature_switched_off")
    }
    assert ("claude-sonnet-5-5", "eager_input_streaming") in switched
    assert ("claude-haiku-5-5", "thinking") in switched
    assert len(fresh.service.events("feature_switched_off")) == len(switched)
