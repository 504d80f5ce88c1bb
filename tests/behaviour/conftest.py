"""Fixtures of the modules whose tests share one service: such a module has `TEAMS`, and may have
`VARIABLES`; it runs in one loop.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from served_teams import ServedTeams, served_teams


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_teams(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServedTeams]:
    """The module's teams, started once."""
    module: Any = request.module
    variables: dict[str, str] = getattr(module, "VARIABLES", {})
    folder = tmp_path_factory.mktemp("served")
    async with served_teams(folder, module.TEAMS, **variables) as served:
        yield served


@pytest.fixture
def teams(shared_teams: ServedTeams) -> ServedTeams:
    """The module's teams, before an upstream that has forgotten the tests before this one."""
    shared_teams.upstream.forget()
    return shared_teams
