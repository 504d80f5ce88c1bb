"""The service before a simulator, and the simulator's control."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from orchestrator_worker.claude.retry import RetryPolicy
from served_teams import ALWAYS_RETRIES, Team, served
from stage import Served

_AT_ONCE = {"first_token_seconds": 0, "tokens_per_second": 0}
INSTANT = dict.fromkeys(("haiku", "sonnet", "default"), _AT_ONCE)
"""Latencies of a simulator that never waits."""


def delegating(plan: Any) -> dict[str, Any]:
    """Return the reply that hands this input to `delegate`."""
    return {"tool": {"name": "delegate", "input": plan}}


@dataclass
class Simulated(Served):
    """A service before a simulator that the test gives orders."""

    control: httpx2.AsyncClient

    async def order(self, **script: Any) -> None:
        """Put these orders in force, and no others; earlier calls are forgotten."""
        response = await self.control.put("/_simulator/script", json=script)
        assert response.status_code == 200, response.text
        await self.control.delete("/_simulator/calls")

    async def record(self) -> dict[str, Any]:
        return (await self.control.get("/_simulator/calls")).json()

    async def calls(self, role: str | None = None) -> list[dict[str, Any]]:
        """Return the calls of the Messages API, or those of one role."""
        calls = (await self.record())["calls"]
        messages = [call for call in calls if call["path"] == "/v1/messages"]
        if role is None:
            return messages
        return [call for call in messages if call["headers"]["x-orchestrator-role"] == role]


@asynccontextmanager
async def simulated(
    folder: Path,
    simulator_url: str,
    teams: Mapping[str, Team],
    *,
    retry: RetryPolicy = ALWAYS_RETRIES,
    **variables: str,
) -> AsyncGenerator[Simulated]:
    """Run a service with these teams before the simulator that listens there."""
    async with (
        served(folder, simulator_url, teams, retry=retry, **variables) as (service, http),
        httpx2.AsyncClient(base_url=simulator_url, timeout=20, trust_env=False) as control,
    ):
        yield Simulated(service, http, control)
