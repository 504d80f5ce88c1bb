"""The simulator of the Claude API and a real service before it, for as long as the clients run."""

import json
import os
import re
import secrets
import subprocess
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from environments import ROOT
from orders import script

_COMMAND = str(ROOT / ".venv" / "bin" / "orchestrator-worker")
START_SECONDS = 60
STOP_SECONDS = 10


class NotStartedError(Exception):
    """A server ended, did not say in time where it listens, or refused its orders; says why."""


@dataclass(frozen=True)
class Servers:
    """Where both listen, and the token for the service."""

    simulator_url: str
    base_url: str
    api_key: str


@contextmanager
def running(scratch: Path, logs: Path) -> Generator[Servers]:
    """Start both on free ports, with the orders in force; end both in any case."""
    variables = _variables(scratch)
    with ExitStack() as stack:
        words = ("simulate", "--port", "0")
        simulator_url = stack.enter_context(_process(*words, logs=logs, variables=variables))
        _order(simulator_url, script())
        variables["ANTHROPIC_BASE_URL"] = simulator_url
        url = stack.enter_context(_process("serve", logs=logs, variables=variables))
        yield Servers(simulator_url, f"{url}/v1", _token(variables))


def _variables(scratch: Path) -> dict[str, str]:
    """Return the whole environment, so that nobody's settings or key get in."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(scratch),
        "DATA_DIR": str(scratch),
        "JWT_SECRET_KEY": secrets.token_hex(32),
        "API_PORT": "0",
        "RATE_LIMIT_ENABLED": "false",
        "ANTHROPIC_API_KEY": "simulated",
        "LOG_FORMAT": "json",
        "NO_PROXY": "127.0.0.1",
    }


@contextmanager
def _process(*words: str, logs: Path, variables: dict[str, str]) -> Generator[str]:
    """Run a command that listens, and give its URL."""
    log = logs / f"{words[0]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_COMMAND, *words],
            cwd=variables["HOME"],  # where there is no .env
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield _url(process, words[0], log)
        finally:
            _end(process)


def _url(process: subprocess.Popen[bytes], name: str, log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r".*listen.*\n", _read(log)):  # a whole line, not a part of a port
            return re.findall(r"http://[\d.]+:\d+", found[0])[0]
        time.sleep(0.05)
    raise NotStartedError(f"orchestrator-worker {name} did not start:\n{_read(log)[-2000:]}")


def _read(log: Path) -> str:
    return log.read_text("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _order(simulator_url: str, orders: dict[str, Any]) -> None:
    request = Request(
        f"{simulator_url}/_simulator/script",
        data=json.dumps(orders).encode(),
        headers={"content-type": "application/json"},
        method="PUT",
    )
    try:
        build_opener(ProxyHandler({})).open(request, timeout=20).close()
    except HTTPError as error:
        told = error.read().decode("utf-8", "replace")
        raise NotStartedError(f"the simulator refuses its orders: {told}") from error


def _token(variables: dict[str, str]) -> str:
    done = subprocess.run(
        [_COMMAND, "token"],
        cwd=variables["HOME"],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NotStartedError(f"orchestrator-worker token: {done.stderr}")
    return done.stdout.strip()
