"""The service before an upstream that the test directs, and all that a caller gets to see."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from chat import MODEL, answer_of, ask, frames_of
from dumb_upstream import DumbUpstream, dumb_upstream
from orchestrator_worker.claude.retry import RetryPolicy
from running_service import RunningService
from served_teams import ALWAYS_RETRIES, Team, served

HAIKU, SONNET = "claude-haiku-5-5", "claude-sonnet-5-5"


@dataclass
class Seen:
    """What a caller who asks for everything gets to see of a run."""

    answer: str
    events: list[dict[str, Any]]
    spent: list[dict[str, Any]]
    """What the run had cost by each of the events."""
    report: dict[str, Any]
    """Empty when the run failed."""
    usage: dict[str, Any]
    error: dict[str, Any] | None

    def events_of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    @property
    def repairs(self) -> list[str]:
        return [event["reason"] for event in self.events_of("plan_repaired")]

    @property
    def outcomes(self) -> dict[str, tuple[str, str | None]]:
        """Outcome and reason of every subtask, by title."""
        return {it["title"]: (it["outcome"], it["reason"]) for it in self.report["results"]}

    def attempts(self, title: str) -> list[tuple[str, int]]:
        """Model and number of a subtask's attempts, in the order they ended."""
        agents = self.report["agents"]
        return [(it["model"], it["attempt"]) for it in agents if it["title"] == title]


@dataclass
class Served:
    """A service and a client with a valid token."""

    service: RunningService
    http: httpx2.AsyncClient

    async def ask(
        self, model: str = MODEL, *, headers: dict[str, str] | None = None, **fields: Any
    ) -> httpx2.Response:
        """Post a completion and read it to its end."""
        return await ask(self.http, headers=headers, **{"model": model, **fields})

    async def watch(self, model: str = MODEL, **fields: Any) -> Seen:
        """Ask for a streamed answer and everything about it."""
        response = await self.ask(
            model,
            stream=True,
            stream_options={"include_usage": True},
            headers={"x-orchestration": "progress, usage, results"},
            **fields,
        )
        answer, frames = answer_of(response), frames_of(response)
        told = [frame["orchestration"] for frame in frames if "orchestration" in frame]
        events = [it for it in told if "event" in it]
        last = frames[-1]
        return Seen(
            answer,
            events,
            [event.pop("spent") for event in events],
            last.get("orchestration", {}),
            last.get("usage") or {},
            last.get("error"),
        )


@dataclass
class Stage(Served):
    """A service before an upstream that the test directs."""

    upstream: DumbUpstream

    @property
    def roles(self) -> list[str]:
        """Of all calls that have come, in their order."""
        return [call.role for call in self.upstream.calls]


@asynccontextmanager
async def staged(
    folder: Path,
    teams: Mapping[str, Team],
    *,
    retry: RetryPolicy = ALWAYS_RETRIES,
    **variables: str,
) -> AsyncGenerator[Stage]:
    """Run a service with these teams before the dumb upstream."""
    async with (
        dumb_upstream() as upstream,
        served(folder, upstream.url, teams, retry=retry, **variables) as (service, client),
    ):
        yield Stage(service, client, upstream)
