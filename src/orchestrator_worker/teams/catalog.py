"""The teams in force: those on disk, looked at again when somebody asks and a second has passed.

A changed file is picked up without a restart. A change that cannot be read is logged and leaves the
teams as they were, so that a half-saved file never takes a served model away.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

import structlog

from orchestrator_worker.clock import loop_time
from orchestrator_worker.config import Settings
from orchestrator_worker.errors import ConfigurationError
from orchestrator_worker.teams.loader import load_teams, prompt_folders
from orchestrator_worker.teams.team import Team

LOOK_SECONDS = 1.0
_log = structlog.stdlib.get_logger(__name__)

_Fingerprint = frozenset[tuple[Path, int, int]]


class TeamCatalog:
    """The teams by served model id."""

    def __init__(self, settings: Settings) -> None:
        """Read the teams.

        Raises:
            ConfigurationError: see `load_teams`.
        """
        self._settings = settings
        self._folders = prompt_folders(settings)
        self._seen = _fingerprint(self._folders)
        self._teams = load_teams(settings)
        self._look_again_at = 0.0

    @property
    def teams(self) -> Mapping[str, Team]:
        """What was read last."""
        return self._teams

    async def current(self) -> Mapping[str, Team]:
        """Return the teams, read again when a file has changed."""
        if loop_time() >= self._look_again_at:
            self._look_again_at = loop_time() + LOOK_SECONDS
            await asyncio.to_thread(self._refresh)
        return self._teams

    def _refresh(self) -> None:
        try:
            found = _fingerprint(self._folders)
            if found == self._seen:
                return
            self._seen = found
            self._teams = load_teams(self._settings)
        except OSError as error:
            _log.error("teams_not_reloaded", problems=[str(error)])
        except ConfigurationError as error:
            _log.error("teams_not_reloaded", problems=str(error).splitlines())
        else:
            _log.info("teams_reloaded", teams=sorted(self._teams))


def _fingerprint(folders: tuple[Path, ...]) -> _Fingerprint:
    found: set[tuple[Path, int, int]] = set()
    for file in (file for folder in folders for file in folder.glob("*/*")):
        with suppress(OSError):  # it may go while we look
            status = file.stat()
            if S_ISREG(status.st_mode):
                found.add((file, status.st_mtime_ns, status.st_size))
    return frozenset(found)
