"""`serve --reload`: a change of the code starts the service again; nothing is left behind."""

import json
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cli.commands import running

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("src", "prompts"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "console_client.py", tmp_path)
    return tmp_path


def heard(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the next event that says where it listens."""
    assert process.stdout
    events = (json.loads(line) for line in process.stdout if line.startswith("{"))
    return next(event for event in events if event["event"] == "listening")


def listens(url: str) -> bool:
    host, _, port = url.removeprefix("http://").rpartition(":")
    with suppress(ConnectionRefusedError), socket.create_connection((host, int(port)), timeout=5):
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_change_starts_the_service_again_and_a_signal_ends_all(
    checkout: Path, number: signal.Signals
) -> None:
    place = {"PYTHONPATH": str(checkout / "src"), "DATA_DIR": str(checkout / "data")}
    with running("serve", "--reload", cwd=checkout, API_PORT="0", **place) as (process, line):
        url = json.loads(line)["url"]
        if number is signal.SIGTERM:
            with (checkout / "src" / "orchestrator_worker" / "ids.py").open("a") as file:
                file.write("\n# changed\n")
            url = heard(process)["url"]
        if number is signal.SIGINT:
            for title in ("one", "two"):  # as editors do it: a new file in the old one's place
                (checkout / "new").write_text(f"API_TITLE={title}\n")
                (checkout / "new").rename(checkout / ".env")
                url = heard(process)["url"]
        assert listens(url)
        process.send_signal(number)
        assert process.wait(10) == 0
        assert not listens(url)
