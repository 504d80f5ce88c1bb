"""Fixtures of the whole suite."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
import pytest_asyncio
import respx

from dumb_upstream import DumbUpstream, dumb_upstream
from network_guard import only_loopback
from running_service import RunningService, running_service
from stage import Stage, staged


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "served(teams, **variables): what the one service of a module's tests is started with",
    )


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty directory: no test may depend on, or change, a developer's .env."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def quick_stops() -> Iterator[None]:
    """Have servers look every hundredth of a second, not every tenth, whether they are to stop."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / 10)

    paced = SimpleNamespace(**{**vars(asyncio), "sleep": sleep})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("uvicorn.server.asyncio", paced)
        yield


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
    """Start a service, before an upstream or with its own simulator; stopped after the test."""
    with ExitStack() as stack:

        async def start(before: DumbUpstream | None = None, **variables: str) -> RunningService:
            if before:
                place = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": before.url}
                variables = {**place, **variables}
            starting = running_service(tmp_path / "data", retry=None, **variables)
            # In a thread, for the upstream of this loop must answer while the service starts.
            return await asyncio.to_thread(stack.enter_context, starting)

        yield start


@pytest.fixture
async def service(start_service: StartService, upstream: DumbUpstream) -> RunningService:
    """The service before the dumb upstream, with default settings."""
    return await start_service(upstream, ANTHROPIC_API_KEY="sk-ant-canary-key")


@pytest.fixture
async def http(service: RunningService) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client with a valid token for `service`."""
    async with service.client() as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """The teams of a module that has `pytest.mark.served`, started once."""
    mark = request.node.get_closest_marker("served")
    async with staged(tmp_path_factory.mktemp("stage"), *mark.args, **mark.kwargs) as stage:
        yield stage


@pytest.fixture
def stage(shared_stage: Stage) -> Stage:
    """The module's teams, before an upstream that has forgotten the tests before this one."""
    shared_stage.upstream.forget()
    return shared_stage
