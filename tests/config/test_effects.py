"""A second value for every variable of `.env.example`, and its effect."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from chat import answer_of, ask
from config.effects import EFFECTS, SECRET, Look, Seen, prepare
from conftest import StartService
from dumb_upstream import DumbUpstream, Reply
from orchestrator_worker.auth.tokens import TokenSigner
from orchestrator_worker.config import variable_names, variables
from running_service import environment

ROOT = Path(__file__).parent.parent.parent
OF_THE_PROCESS = {
    "ENVIRONMENT": "production",
    "API_HOST": "127.0.0.2",
    "LOG_FORMAT": "standard",
    "LOG_LEVEL": "WARNING",
}
IN_FILES = {"ANTHROPIC_API_KEY_FILE": "key", "JWT_SECRET_KEY_FILE": "secret"}
PLACES = {"API_PORT", "DATA_DIR", "ANTHROPIC_BASE_URL"}
"""Set to what the test finds free or makes."""


def test_every_variable_has_a_second_value() -> None:
    defaults = {variable.name: variable.default for variable in variables()}
    over_http = [values for values, _ in EFFECTS]
    second = {
        name
        for values in (*over_http, OF_THE_PROCESS, IN_FILES)
        for name, value in values.items()
        if value != defaults[name]
    }
    assert sorted(second | PLACES) == sorted(variable_names())


@pytest.mark.parametrize(("values", "look"), EFFECTS, ids=lambda it: getattr(it, "__name__", ""))
async def test_it_has_its_effect(
    start_service: StartService,
    upstream: DumbUpstream,
    values: dict[str, str],
    look: Look,
    tmp_path: Path,
) -> None:
    prepare(tmp_path)
    service = await start_service(upstream, **values)
    async with service.client() as client:
        await look(Seen(service, client, upstream))


async def test_secrets_from_files_have_their_effect(
    start_service: StartService, upstream: DumbUpstream, tmp_path: Path
) -> None:
    prepare(tmp_path)
    upstream.answer("lead", Reply(text="ok"))
    service = await start_service(ANTHROPIC_BASE_URL=upstream.url, JWT_SECRET_KEY="", **IN_FILES)
    token = TokenSigner(SECRET, "HS256").issue("tester")
    async with httpx2.AsyncClient(base_url=service.url, trust_env=False) as client:
        answer = await ask(client, headers={"authorization": f"Bearer {token}"})
    assert answer_of(answer) == "ok"
    assert upstream.calls[0].headers["authorization"] == "Bearer key-from-a-file"


@contextmanager
def serving(**values: str) -> Generator[subprocess.Popen[str]]:
    with environment(**values):
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator_worker", "serve"],
            env=dict(os.environ),
            stdout=subprocess.PIPE,
            text=True,
        )
    assert process.stdout
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        process.stdout.close()


def process_values() -> dict[str, str]:
    with socket.create_server(("127.0.0.2", 0)) as free:
        port = str(free.getsockname()[1])
    nobody = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
    return {**OF_THE_PROCESS, **nobody, "API_PORT": port, "JWT_SECRET_KEY": SECRET}


def test_it_listens_where_it_is_told() -> None:
    values = {**process_values(), "LOG_FORMAT": "json", "LOG_LEVEL": "INFO"}
    with serving(**values) as process:
        assert process.stdout
        events = (json.loads(line) for line in process.stdout)
        listening = next(event for event in events if event["event"] == "listening")
    assert listening["url"] == f"http://127.0.0.2:{values['API_PORT']}"
    assert listening["environment"] == "production"


def test_it_logs_as_it_is_told() -> None:
    with serving(**process_values()) as process:
        assert process.stdout
        first = process.stdout.readline()  # nobody answers where the models are asked for
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert not first.startswith("{")
    assert re.search("warn", first, re.IGNORECASE)
    assert "127.0.0.2" not in first + rest


def test_the_data_directory_keeps_the_secret(tmp_path: Path) -> None:
    with environment(DATA_DIR=str(tmp_path / "data")):
        subprocess.run(
            [sys.executable, "-m", "orchestrator_worker", "token"],
            env=dict(os.environ),
            check=True,
            capture_output=True,
        )
    assert (tmp_path / "data" / "jwt-secret").exists()
