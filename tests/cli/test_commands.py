"""The command line as a person meets it: real processes, exit codes, one line for a mistake."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import jwt
import pytest

ROOT = Path(__file__).parent.parent.parent
SECRET = "cli-secret-0123456789-0123456789-0123456789-0123456789"
PLAIN = {
    name: value
    for name, value in os.environ.items()
    if name in {"PATH", "HOME"} or name.startswith("COVERAGE")
}


def command(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator_worker", *words],
        env={**PLAIN, **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@contextmanager
def running(*words: str, **variables: str) -> Generator[tuple[subprocess.Popen[str], str]]:
    """Run a server command; yields it and the first line it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator_worker", *words],
        env={**PLAIN, **variables},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def test_the_token_command_prints_a_token_and_nothing_else(tmp_path: Path) -> None:
    done = command("token", "--subject", "alice", "--expires-in", "2h", JWT_SECRET_KEY=SECRET)
    claims = jwt.decode(done.stdout.strip(), SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("alice", 7200)
    assert done.returncode == 0
    own = command("token", DATA_DIR=str(tmp_path / "data"))
    secret = (tmp_path / "data" / "jwt-secret").read_text()
    assert jwt.decode(own.stdout.strip(), secret, algorithms=["HS256"])["sub"] == "local"


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        (["token", "--expires-in", "soon"], {}, "not a duration"),
        (["token", "--subject", " "], {}, "must not be empty"),
        (["serve"], {"API_PORT": "x"}, "API_PORT"),
        (["serve"], {"ENVIRONMENT": "production", "JWT_SECRET_KEY": SECRET}, "ANTHROPIC_API_KEY"),
        (["serve"], {"JWT_SECRET_KEY": "canary-short"}, "JWT_SECRET_KEY"),
        (["serve"], {"API_HOST": "no such host!", "JWT_SECRET_KEY": SECRET}, "API_HOST"),
        (["serve"], {"PROMPTS_DIR": "/nowhere", "JWT_SECRET_KEY": SECRET}, "PROMPTS_DIR"),
        (["fly"], {}, "invalid choice"),
        ([], {}, "required"),
    ],
)
def test_a_mistake_is_said_in_words_and_ends_with_two(
    words: list[str], variables: dict[str, str], said: str
) -> None:
    done = command(*words, **variables)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "canary" not in done.stderr + done.stdout
    if words == ["serve"]:
        assert done.stderr.count("\n") == 1


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = command("serve", API_PORT=port, JWT_SECRET_KEY=SECRET)
    assert done.returncode == 2
    assert f"API_PORT: cannot listen on 127.0.0.1:{port}" in done.stderr


def test_version_and_help() -> None:
    assert command("--version").stdout.startswith("orchestrator-worker ")
    assert "simulate" in command("--help").stdout


def get(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as response:
        return response.read()


def test_serve_listens_where_it_says_and_ends_on_a_signal(tmp_path: Path) -> None:
    with running("serve", API_PORT="0", DATA_DIR=str(tmp_path)) as (process, line):
        event = json.loads(line)
        assert event["event"] == "listening"
        assert json.loads(get(event["url"] + "/health/")) == {"status": "ok"}
        assert json.loads(get(event["url"] + "/health/ready"))["status"] == "ready"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) in (0, -signal.SIGTERM)


def test_simulate_serves_the_messages_api_alone() -> None:
    with running("simulate", "--port", "0") as (process, line):
        url = line.split()[-1]
        assert b'"calls"' in get(url + "/_simulator/calls")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) in (0, -signal.SIGTERM)


def generate(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "generate_jwt.py"), *words],
        env={**PLAIN, **variables},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_generate_jwt_reads_the_env_file_and_its_own_words_win(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"JWT_SECRET_KEY={SECRET}\nJWT_ALGORITHM=HS384\n")
    done = generate("--subject", "alice", cwd=tmp_path)
    claims = jwt.decode(done.stdout.strip(), SECRET, algorithms=["HS384"])
    assert claims["exp"] - claims["iat"] == 7 * 86400
    other = "x" * 64
    words = ["--subject", "a", "--secret", other, "--algorithm", "HS512", "--expires-in", "30m"]
    claims = jwt.decode(generate(*words, cwd=tmp_path).stdout.strip(), other, ["HS512"])
    assert claims["exp"] - claims["iat"] == 1800


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["--subject", " "], 2),
        (["--subject", "a", "--expires-in", "0d"], 2),
        (["--subject", "a", "--algorithm", "none"], 2),
        (["--subject", "a", "--secret", "short"], 1),
    ],
)
def test_generate_jwt_tells_mistakes_from_failures(
    tmp_path: Path, words: list[str], code: int
) -> None:
    done = generate(*words, cwd=tmp_path)
    assert done.returncode == code
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
