"""The commands where something usual is missing: a home, a stream, an encoding, a free port."""

import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from cli.commands import PLAIN, SECRET, command, running

COMMAND = f"{sys.executable} -m orchestrator_worker"


def in_shell(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line],
        env={**PLAIN, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("version >&-", 0),
        ("config --json >/dev/full", 1),
        ("version >/dev/full", 1),
        ("teams list <&- 2>&-", 0),
        ("token --subject x >&- 2>&-", 0),
        ("completion bash | head -n 1", 0),
    ],
)
def test_streams_that_are_closed_or_full_give_no_traceback(
    line: str, code: int, tmp_path: Path
) -> None:
    done = in_shell(f"{COMMAND} {line}", DATA_DIR=str(tmp_path))
    assert done.returncode == code
    assert "Traceback" not in done.stderr + done.stdout
    assert "Exception" not in done.stderr
    if "full" in line:
        assert done.stderr == "orchestrator-worker: No space left on device\n"


def test_a_terminal_that_knows_only_ascii_is_written_to(tmp_path: Path) -> None:
    variables = {"PYTHONIOENCODING": "ascii", "API_TITLE": "Größe", "DATA_DIR": str(tmp_path)}
    assert "Gr??e" in command("config", "--changed", **variables).stdout
    assert r"Gr\u00f6\u00dfe" in command("config", "--json", **variables).stdout
    assert command("doctor", API_PORT="0", **variables).returncode == 0


NO_ENTRY = """
import pwd, sys
def unknown(uid): raise KeyError(uid)
pwd.getpwuid = unknown  # what the system says of a user id that it does not know
from orchestrator_worker.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_user_without_an_entry_has_no_home() -> None:
    def as_nobody(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        plain = {name: value for name, value in PLAIN.items() if name != "HOME"}
        return subprocess.run(
            [sys.executable, "-c", NO_ENTRY, *words],
            env={**plain, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    without = as_nobody("token")
    assert without.returncode == 2
    assert without.stderr.startswith("orchestrator-worker: DATA_DIR: must be set")
    assert as_nobody("token", JWT_SECRET_KEY=SECRET).returncode == 0
    assert as_nobody("config", "check").returncode == 0


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = command("simulate", "--port", port)
    assert done.returncode == 2
    assert done.stderr.startswith(f"orchestrator-worker: cannot listen on 127.0.0.1:{port}")
    assert command("simulate", "--host", "a..b").returncode == 2


def test_an_address_of_the_new_kind_is_told_as_a_url(tmp_path: Path) -> None:
    with running("serve", API_HOST="::1", API_PORT="0", DATA_DIR=str(tmp_path)) as (_, line):
        url = line.partition('"url":"')[2].partition('"')[0]
        assert url.startswith("http://[::1]:")
        connection = HTTPConnection("::1", int(url.rpartition(":")[2]), timeout=10)
        connection.request("GET", "/health/")
        assert connection.getresponse().status == 200
        connection.close()


def test_a_token_is_signed_for_nobody_else(tmp_path: Path) -> None:
    done = command("ask", "Why?", "--base-url", "http://nowhere.invalid", DATA_DIR=str(tmp_path))
    assert done.returncode == 2
    assert "API_BEARER_TOKEN is not set" in done.stderr


def test_settings_of_the_service_are_not_the_clients(tmp_path: Path) -> None:
    from dotenv import dotenv_values

    example = dotenv_values(Path(__file__).parent.parent.parent / ".env.example")
    variables = {name: value for name, value in example.items() if value}
    done = command(
        "ask", "What is the capital of France?", **{**variables, "DATA_DIR": str(tmp_path)}
    )
    assert done.returncode == 0
