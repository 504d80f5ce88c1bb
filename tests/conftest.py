"""Fixtures of the whole suite."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
import respx

from dumb_upstream import DumbUpstream, dumb_upstream
from network_guard import only_loopback
from running_service import NO_PAUSES, RunningService, running_service


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty directory: no test may depend on, or change, a developer's .env."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def upstream() -> AsyncIterator[DumbUpstream]:
    """An upstream for which the test gives every answer."""
    async with dumb_upstream() as server:
        yield server


@pytest.fixture(autouse=True)
def network() -> Iterator[respx.MockRouter]:
    """Only the loopback can be reached."""
    with only_loopback() as router:
        yield router


StartService = Callable[..., Awaitable[RunningService]]


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """Start a service with the given variables; stopped after the test."""
    with ExitStack() as stack:

        async def start(**variables: str) -> RunningService:
            # In a thread, for the upstream of this loop must answer while the service starts.
            starting = running_service(tmp_path / "data", retry=NO_PAUSES, **variables)
            return await asyncio.to_thread(stack.enter_context, starting)

        yield start


@pytest.fixture
async def service(start_service: StartService, upstream: DumbUpstream) -> RunningService:
    """The service before the dumb upstream, with default settings."""
    return await start_service(
        ANTHROPIC_API_KEY="sk-ant-canary-key", ANTHROPIC_BASE_URL=upstream.url
    )


@pytest.fixture
async def http(service: RunningService) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client with a valid token for `service`."""
    async with httpx2.AsyncClient(
        base_url=service.url, headers=service.headers, timeout=20, trust_env=False
    ) as client:
        yield client
