"""`scripts/dev.sh`, as somebody runs it who is about to change the code."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

LAST_LINE = "Ctrl-C stops everything.\n"
CURL = re.compile(r"^curl .+?(?=\n\n)", re.MULTILINE | re.DOTALL)
SECONDS = 50
NEVER_READY = """
import http.server, os
class Refusal(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print("asked", flush=True)
        self.send_error(503)
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["API_PORT"])), Refusal).serve_forever()
"""


@contextmanager
def _started(checkout: Path, *words: str, **variables: str) -> Generator[subprocess.Popen[str]]:
    elsewhere = checkout.parent
    with subprocess.Popen(
        [checkout / "scripts" / "dev.sh", *words],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(elsewhere),
            "DATA_DIR": str(elsewhere / "data"),
            **variables,
        },
        cwd=elsewhere,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _running(group: int) -> list[str]:
    """Return the processes of that group; what has ended and is only not collected yet is none."""
    found: list[str] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # gone in between
            name, _, rest = stat.read_text().rpartition(")")
            state, _parent, its_group = rest.split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(name)
    return found


def _left(group: int) -> list[str]:
    """Return what is left of that group when all had a moment to end."""
    pause = threading.Event()
    for _ in range(500):
        if not _running(group):
            return []
        pause.wait(0.01)
    return _running(group)


def _said_until_ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    said = ""
    for line in process.stdout:
        said += line
        if line == LAST_LINE:
            return said
    raise AssertionError(said)


@pytest.mark.timeout(120)
def test_the_printed_command_asks_the_service_and_control_c_leaves_nothing_running(
    checkout: Path,
) -> None:
    with _started(checkout, "--port", "0") as process:
        said = _said_until_ready(process)
        assert _running(process.pid)
        url = re.search(r"described at (\S+)/docs\.$", said, re.MULTILINE)
        command = CURL.search(said)
        assert url, said
        assert command, said
        assert not said.startswith("{"), "logs are for people"

        asked = subprocess.run(
            ["bash", "-c", command[0]], capture_output=True, text=True, timeout=SECONDS, check=True
        )
        assert '"object":"chat.completion.chunk"' in asked.stdout
        assert asked.stdout.rstrip().endswith("data: [DONE]")
        docs = subprocess.run(
            ["curl", "--fail", "--silent", f"{url[1]}/docs"], capture_output=True, check=False
        )
        assert docs.returncode == 0

        os.killpg(process.pid, signal.SIGINT)
        # Only ends when nobody holds the output any more.
        process.communicate(timeout=SECONDS)
        assert not _left(process.pid)
        host, port = url[1].removeprefix("http://").split(":")
        with socket.socket() as caller:
            assert caller.connect_ex((host, int(port))) != 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("end", "number"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)], ids=["^C", "kill"]
)
def test_an_end_before_it_is_ready_leaves_nothing_running(
    checkout: Path, end: Callable[[int, int], None], number: int
) -> None:
    service = checkout / ".venv" / "bin" / "orchestrator-worker"
    service.write_text(f"#!{sys.executable}\n{NEVER_READY}")
    with _started(checkout, "--port=0") as process:
        assert process.stdout
        assert process.stdout.readline() == "asked\n"
        end(process.pid, number)
        process.wait(SECONDS)
        rest, _ = process.communicate(timeout=SECONDS)
        assert "Ready" not in rest
        assert not _left(process.pid)


@pytest.mark.timeout(120)
def test_the_port_comes_from_env_and_the_description_may_be_closed(checkout: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (checkout / ".env").write_text(
        f"API_PORT={port}\nENABLE_DOCS=false\nSERVICE_MODEL_NAME=team\nAPI_HOST=0.0.0.0\n"
    )
    with _started(checkout) as process:
        said = _said_until_ready(process)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=SECONDS)
    assert f"curl -N http://127.0.0.1:{port}/v1/chat/completions" in said
    assert '"model": "team"' in said
    assert "/docs" not in said


def test_a_port_in_use_is_said_and_nothing_is_started(checkout: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with _started(checkout, "--port", str(port)) as process:
            said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert said.startswith(f"dev.sh: cannot listen on 127.0.0.1:{port} (Address already in use)")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "soon"], "dev.sh: API_PORT: "),
        (["--port"], "dev.sh: --port needs a number"),
        (["now"], "dev.sh: unknown option now (see --help)"),
    ],
)
def test_mistakes_are_said_in_one_line(checkout: Path, words: list[str], said: str) -> None:
    with _started(checkout, *words) as process:
        output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode in {1, 2}
    assert output.startswith(said)
    assert output.count("\n") == 1
