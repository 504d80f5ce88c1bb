"""The service with teams of a test's own, before whatever upstream there is."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from orchestrator_worker.claude.retry import RetryPolicy
from running_service import RunningService, running_beside
from worker_turns import WORKER_PROMPT

Team = str | Mapping[str, str]
"""The text of its team.toml, or of all its files by name."""
ALWAYS_RETRIES = RetryPolicy(backoff_seconds=0, budget_floor=10_000)
"""Retries without pauses, and never too many of them for one process."""
READ_BACK: Mapping[str, Team] = {"default": {"worker.md": WORKER_PROMPT}}
"""`default` is the team that a request names which names none; all others inherit its prompts."""
AS_BUNDLED: Mapping[str, Team] = {"default": ""}


def write_teams(prompts: Path, teams: Mapping[str, Team]) -> None:
    """Write each team's folder."""
    for name, team in teams.items():
        (prompts / name).mkdir(parents=True)
        files = {"team.toml": team} if isinstance(team, str) else team
        for file, text in files.items():
            (prompts / name / file).write_text(text, "utf-8")


@asynccontextmanager
async def served(
    folder: Path,
    upstream_url: str,
    teams: Mapping[str, Team],
    *,
    retry: RetryPolicy = ALWAYS_RETRIES,
    **variables: str,
) -> AsyncGenerator[tuple[RunningService, httpx2.AsyncClient]]:
    """Run a service with these teams; yields it and a client with a valid token.

    Workers' prompts are `WORKER_PROMPT`, unless `teams` have a default of their own.
    """
    write_teams(folder / "prompts", {**READ_BACK, **teams})
    settings = {
        "ANTHROPIC_API_KEY": "k",
        "ANTHROPIC_BASE_URL": upstream_url,
        "PROMPTS_DIR": str(folder / "prompts"),
        **variables,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # no developer's .env
        async with (
            running_beside(folder / "data", retry=retry, **settings) as service,
            service.client() as client,
        ):
            yield service, client
