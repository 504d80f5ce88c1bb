"""What the scripts say of themselves, and of words they do not know."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SCRIPTS = ("check-container.sh", "demo.sh", "dev.sh", "format.sh", "test_clients.sh")


def _run(script: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [ROOT / "scripts" / script, *words]
    return subprocess.run(
        [sys.executable, *command] if script.endswith(".py") else command,
        env={"PATH": os.environ["PATH"], "HOME": str(Path.cwd()), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("script", [*SCRIPTS, "generate_jwt.py"])
def test_help_says_how_to_call_it_and_does_nothing_else(script: str) -> None:
    done = _run(script, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert script in done.stdout
    assert "#" not in done.stdout
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize("script", [*SCRIPTS, "generate_jwt.py"])
def test_unknown_options_are_a_mistake(script: str) -> None:
    done = _run(script, "--nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


@pytest.mark.parametrize(("words", "code"), [([], 0), (["--require-all"], 1)])
def test_the_container_check_names_what_it_skips_for_want_of_tools(
    tmp_path: Path, words: list[str], code: int
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "grep", "ls", "mktemp", "rm", "sed"):
        found = shutil.which(name)
        assert found, name
        (tools / name).symlink_to(found)
    done = _run("check-container.sh", *words, PATH=str(tools), HOME=str(tmp_path))
    assert "SKIPPED: lint" in done.stderr
    assert "apt-get install buildah bubblewrap mmdebstrap" in done.stderr
    assert "Result: 0 failed, 2 skipped" in done.stdout
    assert done.returncode == code
    assert not list(tmp_path.glob("check-container.*"))
