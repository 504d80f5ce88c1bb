"""The service as a process of its own, whose standard output and error are the test's to spoil."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from running_service import SECRET, settings_from

START_SECONDS = 20.0
PLAIN = {
    name: value
    for name, value in os.environ.items()
    if name in {"PATH", "HOME"} or name.startswith("COVERAGE")
}
Output = int | IO[Any] | None


@dataclass
class ServingProcess:
    """A service that listens, and a connection to it."""

    process: subprocess.Popen[bytes]
    port: int
    token: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    @property
    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def end(self, seconds: float = 10) -> int:
        """End it by SIGTERM; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


def status_of(connection: http.client.HTTPConnection, path: str, **fields: Any) -> int:
    """Get a path, or post `body` to it, and read the answer to its end."""
    connection.request("POST" if fields else "GET", path, **fields)
    response = connection.getresponse()
    response.read()
    return response.status


@contextmanager
def serving(
    folder: Path, *, stdout: Output = None, stderr: Output = None, shell: str = "", **variables: Any
) -> Generator[ServingProcess]:
    """Run `serve`; `shell` is what a shell does with its descriptors first, such as `>&-`."""
    port = _free_port()
    defaults = {
        "API_PORT": str(port),
        "DATA_DIR": str(folder / "data"),
        "JWT_SECRET_KEY": SECRET,
        "RATE_LIMIT_ENABLED": "false",
    }
    command = [sys.executable, "-m", "orchestrator_worker", "serve"]
    if shell:
        command = ["sh", "-c", f'exec "$@" {shell}', "sh", *command]
    environment = {**PLAIN, **defaults, **variables}
    process = subprocess.Popen(command, env=environment, cwd=folder, stdout=stdout, stderr=stderr)
    try:
        _wait_until_listening(process, port)
        yield ServingProcess(process, port, _token())
    finally:
        process.kill()
        process.wait(10)
        if process.stderr:
            process.stderr.close()


@asynccontextmanager
async def serving_beside(folder: Path, **fields: Any) -> AsyncGenerator[ServingProcess]:
    """Do the same without holding up this loop, whose upstream must answer meanwhile."""
    import asyncio

    entered = serving(folder, **fields)
    running = await asyncio.to_thread(entered.__enter__)
    try:
        yield running
    finally:
        await asyncio.to_thread(entered.__exit__, None, None, None)


def _token() -> str:
    from orchestrator_worker.auth.signing import token_signer

    return token_signer(settings_from(JWT_SECRET_KEY=SECRET)).issue("tester")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    pause = threading.Event()
    for _ in range(int(START_SECONDS / 0.02)):
        assert process.poll() is None, f"ended with {process.returncode} instead of listening"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
        try:
            assert status_of(connection, "/health/") == 200
        except ConnectionError:
            pause.wait(0.02)
        else:
            return
        finally:
            connection.close()
    raise AssertionError("the service did not listen in time")


def events_of(written: bytes) -> list[dict[str, Any]]:
    """Return what a JSON log holds; every line must be one object."""
    assert written.endswith(b"\n")
    return [orjson.loads(line) for line in written.split(b"\n")[:-1]]
