from collections.abc import AsyncIterator

import pytest
from anthropic import AsyncAnthropic

from orchestrator_worker.simulator import EmbeddedSimulator, Script
from tests.simulator.wire import Wire


@pytest.fixture
async def simulator() -> AsyncIterator[EmbeddedSimulator]:
    """A simulator that answers without delay."""
    instant = {"first_token_seconds": 0, "tokens_per_second": 0}
    script = Script.from_json({"latencies": dict.fromkeys(("haiku", "sonnet", "default"), instant)})
    async with EmbeddedSimulator(script) as running:
        yield running


@pytest.fixture
async def wire(simulator: EmbeddedSimulator) -> AsyncIterator[Wire]:
    async with Wire(simulator.url) as wire:
        yield wire


@pytest.fixture
async def client(simulator: EmbeddedSimulator) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=simulator.url, api_key="k", max_retries=0) as client:
        yield client
