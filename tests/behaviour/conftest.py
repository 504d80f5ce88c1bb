"""One simulator, and one service before it, for all tests of a module with `pytest.mark.served`."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from orchestrator_worker.simulator import EmbeddedSimulator
from simulated import Simulated, simulated


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator_url() -> AsyncIterator[str]:
    """A simulator, in force until the module ends."""
    async with EmbeddedSimulator() as simulator:
        yield simulator.url


@pytest_asyncio.fixture(name="simulated", scope="module", loop_scope="module")
async def simulated_teams(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, simulator_url: str
) -> AsyncIterator[Simulated]:
    """The module's teams before the simulator, started once."""
    mark = request.node.get_closest_marker("served")
    folder = tmp_path_factory.mktemp("simulated")
    async with simulated(folder, simulator_url, *mark.args, **mark.kwargs) as running:
        yield running
