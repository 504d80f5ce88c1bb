"""The processes of a benchmark: the simulator, the service and the floor, each alone in its own.

Owns their start, the wait until they answer, their CPU clocks and their end. Every process that was
started is ended by its own id when the block is left, also by an exception or Ctrl-C.
"""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import jwt

BENCH = Path(__file__).resolve().parent
COMMAND = (sys.executable, "-m", "orchestrator_worker")
READY_SECONDS = 30.0
POLL_SECONDS = 0.05
END_SECONDS = 5.0
LOOPBACK = "127.0.0.1"
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "PYTHONPATH")
"""PYTHONPATH: so that another checkout than the installed one can be measured."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process that serves HTTP."""

    name: str
    process: subprocess.Popen[bytes]
    url: str

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads so far, in seconds.

        Reads the process's CPU clock (Linux, see clock_getcpuclockid(3)): nanoseconds where
        /proc/PID/stat has hundredths of a second.
        """
        return time.clock_gettime((~self.process.pid << 3) | 2)

    async def ready(self, session: aiohttp.ClientSession, path: str) -> None:
        """Wait until it answers.

        Raises:
            RuntimeError: it has ended, or is silent for too long.
        """
        for _ in range(int(READY_SECONDS / POLL_SECONDS)):
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}")
            try:
                async with session.get(self.url + path) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass  # it does not listen yet
            await asyncio.sleep(POLL_SECONDS)
        raise RuntimeError(f"{self.name} was not ready within {READY_SECONDS:g} s")


@contextmanager
def simulator(directory: Path) -> Generator[Program]:
    """Run the simulator of the Claude API."""
    port = _free_port()
    words = [*COMMAND, "simulate", "--port", str(port)]
    with _running("simulator", words, port, {}, directory) as program:
        yield program


@contextmanager
def service(
    directory: Path,
    upstream: str,
    secret: str,
    name: str = "product",
    settings: Mapping[str, str] | None = None,
) -> Generator[Program]:
    """Run the service in front of `upstream`; `settings` are variables of its environment."""
    port = _free_port()
    environment = {
        "ANTHROPIC_BASE_URL": upstream,
        "ANTHROPIC_API_KEY": "bench",
        "JWT_SECRET_KEY": secret,
        "RATE_LIMIT_ENABLED": "false",
        "LOG_LEVEL": "WARNING",
        "API_HOST": LOOPBACK,
        "API_PORT": str(port),
        "DATA_DIR": str(directory),
        **(settings or {}),
    }
    with _running(name, [*COMMAND, "serve"], port, environment, directory) as program:
        yield program


@contextmanager
def floor(
    directory: Path,
    upstream: str,
    bodies: Path,
    name: str = "floor",
    options: Sequence[str] = (),
) -> Generator[Program]:
    """Run the floor in front of `upstream`, sending the calls of the file `bodies`."""
    port = _free_port()
    words = [sys.executable, str(BENCH / "floor.py"), str(port), upstream, str(bodies), *options]
    with _running(name, words, port, {}, directory) as program:
        yield program


def new_secret() -> str:
    """Return a secret for signing tokens."""
    return secrets.token_urlsafe(48)


def bearer_token(secret: str) -> str:
    """Return a token that the service takes for a day."""
    now = datetime.now(UTC)
    claims = {"sub": "bench", "iat": now, "exp": now + timedelta(days=1)}
    return jwt.encode(  # pyright: ignore[reportUnknownMemberType] - an optional extra's types
        claims, secret, algorithm="HS256"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


@contextmanager
def _running(
    name: str, words: list[str], port: int, environment: dict[str, str], directory: Path
) -> Generator[Program]:
    # The caller's own environment stays out: a proxy or a setting of theirs would be measured too.
    kept = {key: os.environ[key] for key in KEPT_VARIABLES if key in os.environ}
    # A session of its own: Ctrl-C must reach the benchmark alone, which then ends them in order.
    process = subprocess.Popen(
        words,
        env={**kept, **environment},
        cwd=directory,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield Program(name, process, f"http://{LOOPBACK}:{port}")
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
