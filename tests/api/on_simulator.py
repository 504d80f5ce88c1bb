"""The service before a simulator that never waits, for tests that have no event loop of their
own.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator_worker.simulator import EmbeddedSimulator
from orchestrator_worker.simulator.script import Script
from running_service import RunningService, running_service
from simulated import INSTANT


@contextmanager
def service_on_simulator(folder: Path) -> Generator[RunningService]:
    """Serve the bundled team."""
    simulator = EmbeddedSimulator(Script.from_json({"latencies": INSTANT}))
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # no developer's .env
        runner.run(simulator.__aenter__())
        try:
            with running_service(
                folder / "data", ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=simulator.url
            ) as service:
                yield service
        finally:
            runner.run(simulator.__aexit__(None, None, None))
