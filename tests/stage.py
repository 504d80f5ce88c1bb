"""One service for all tests of a module, with teams of their own and prompts that are quick to
read back.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chat import answer_of, ask, frames_of
from dumb_upstream import DumbCall, DumbUpstream, dumb_upstream
from orchestrator_worker.claude.retry import RetryPolicy
from running_service import RunningService, running_service

HAIKU, SONNET = "claude-haiku-5-5", "claude-sonnet-5-5"
ALWAYS_RETRIES = RetryPolicy(backoff_seconds=0, budget_floor=10_000)
"""Retries without pauses, and never too many of them for one process."""
WORKER_PROMPT = """You are one member of a team.

<!-- turn -->
[{{id}}] "{{title}}"
{{instructions}}
===
{{results}}
"""
_TURN = re.compile(r'\[(.*?)\] "(.*?)"\n(.*?)\n===(.*)', re.DOTALL)


@dataclass
class Turn:
    """What a worker was told."""

    id: str
    title: str
    instructions: str
    results: str


def turn_of(text: str) -> Turn:
    match = _TURN.search(text)
    assert match, text
    return Turn(*match.groups())


def turn(call: DumbCall) -> Turn:
    return turn_of(call.last_text)


@dataclass
class Seen:
    """What a caller who asks for everything gets to see of a run."""

    answer: str
    events: list[dict[str, Any]]
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


async def watch(http: httpx2.AsyncClient, **fields: Any) -> Seen:
    """Ask for a streamed answer and everything about it."""
    response = await ask(
        http,
        stream=True,
        stream_options={"include_usage": True},
        headers={"x-orchestration": "progress, usage, results"},
        **fields,
    )
    answer, frames = answer_of(response), frames_of(response)
    told = [frame["orchestration"] for frame in frames if "orchestration" in frame]
    last = frames[-1]
    return Seen(
        answer,
        [it for it in told if "event" in it],
        last.get("orchestration", {}),
        last.get("usage") or {},
        last.get("error"),
    )


def write_teams(folder: Path, teams: Mapping[str, str]) -> None:
    """Write each team's team.toml; `default` is what `model` names when a test names no team."""
    for name, text in {"default": "", **teams}.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "team.toml").write_text(text)
    (folder / "default" / "worker.md").write_text(WORKER_PROMPT)


@asynccontextmanager
async def served(
    folder: Path, upstream_url: str, teams: Mapping[str, str], **variables: str
) -> AsyncGenerator[tuple[RunningService, httpx2.AsyncClient]]:
    """Run a service with these teams; yields it and a client with a valid token."""
    write_teams(folder / "prompts", teams)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # no developer's .env
        starting = running_service(
            folder / "data",
            retry=ALWAYS_RETRIES,
            ANTHROPIC_API_KEY="k",
            ANTHROPIC_BASE_URL=upstream_url,
            PROMPTS_DIR=str(folder / "prompts"),
            **variables,
        )
        # In a thread, for the upstream of this loop must answer while the service starts.
        service = await asyncio.to_thread(stack.enter_context, starting)
        async with httpx2.AsyncClient(
            base_url=service.url, headers=service.headers, timeout=20, trust_env=False
        ) as client:
            yield service, client


@dataclass
class Stage:
    """The service, its upstream, and a client."""

    service: RunningService
    upstream: DumbUpstream
    http: httpx2.AsyncClient

    async def watch(self, model: str = "orchestrator-worker", **fields: Any) -> Seen:
        return await watch(self.http, model=model, **fields)


@asynccontextmanager
async def staged(folder: Path, teams: Mapping[str, str], **variables: str) -> AsyncGenerator[Stage]:
    """Run a service with these teams before the dumb upstream."""
    async with (
        dumb_upstream() as upstream,
        served(folder, upstream.url, teams, **variables) as (service, client),
    ):
        yield Stage(service, upstream, client)
