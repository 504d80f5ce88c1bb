"""The teams in force while somebody works on their files."""

import os
from pathlib import Path

import pytest
import structlog

from orchestrator_worker.teams import catalog
from orchestrator_worker.teams.catalog import TeamCatalog
from running_service import settings_from


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(catalog, "LOOK_SECONDS", 0.0)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "team.toml").write_text("description = 'first'")
    return tmp_path


async def test_a_file_that_goes_while_it_is_looked_at_is_not_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teams = TeamCatalog(settings_from(PROMPTS_DIR=str(folder)))
    (folder / "mine" / "note.txt").write_text("about to go")
    own, looks = Path.stat, 0

    def vanishing(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        nonlocal looks
        if path.name == "note.txt":
            looks += 1
            if looks > 1:
                raise FileNotFoundError(path)
        return own(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", vanishing)
    for _ in range(2):
        assert [*await teams.current()] == ["mine"]
    assert looks >= 2


async def test_a_folder_that_cannot_be_looked_at_leaves_the_teams_as_they_were(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teams = TeamCatalog(settings_from(PROMPTS_DIR=str(folder)))

    def refused(path: Path, pattern: str) -> None:
        raise PermissionError(13, "refused", str(path))

    with monkeypatch.context() as broken, structlog.testing.capture_logs() as logged:
        broken.setattr(Path, "glob", refused)
        assert [*await teams.current()] == ["mine"]
    (told,) = logged
    assert told["event"] == "teams_not_reloaded"
    assert "refused" in told["problems"][0]
    (folder / "mine" / "team.toml").write_text("description = 'the second'")
    assert (await teams.current())["mine"].description == "the second"
