"""Teams of a test module's own, on one service before one upstream that all its tests share."""

from asyncio import to_thread
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chat import ask
from dumb_upstream import DumbUpstream, dumb_upstream
from running_service import NO_PAUSES, running_service

Team = str | Mapping[str, str]
"""The text of its team.toml, or of all its files by name."""


@dataclass
class ServedTeams:
    """Where to ask, and who answers."""

    http: httpx2.AsyncClient
    upstream: DumbUpstream

    async def ask(
        self, team: str, *, headers: dict[str, str] | None = None, **fields: Any
    ) -> httpx2.Response:
        """Post a completion to `team` and read it to its end."""
        return await ask(self.http, headers=headers, **{"model": team, **fields})


def write_team(folder: Path, team: Team) -> None:
    """Write a team's folder."""
    folder.mkdir(parents=True)
    files = {"team.toml": team} if isinstance(team, str) else team
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")


@asynccontextmanager
async def served_teams(
    folder: Path, teams: Mapping[str, Team], **variables: str
) -> AsyncGenerator[ServedTeams]:
    """Serve `teams` by their names."""
    for name, team in teams.items():
        write_team(folder / "prompts" / name, team)
    async with dumb_upstream() as upstream:
        settings = {
            "ANTHROPIC_API_KEY": "k",
            "ANTHROPIC_BASE_URL": upstream.url,
            "PROMPTS_DIR": str(folder / "prompts"),
            **variables,
        }
        with ExitStack() as stack:
            # A developer's .env must not decide.
            stack.enter_context(pytest.MonkeyPatch.context()).chdir(folder)
            starting = running_service(folder / "data", retry=NO_PAUSES, **settings)
            service = await to_thread(stack.enter_context, starting)
            async with httpx2.AsyncClient(
                base_url=service.url, headers=service.headers, timeout=20, trust_env=False
            ) as client:
                yield ServedTeams(client, upstream)
            await to_thread(stack.close)
