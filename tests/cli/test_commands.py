"""The command line as a person meets it: real processes, exit codes, one line for a mistake."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import jwt
import pytest

from cli.commands import PLAIN, SECRET, command, running

ROOT = Path(__file__).parent.parent.parent


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
        (["fly"], {}, "there is no 'fly'"),
        (["sreve"], {}, "did you mean serve?"),
        (["teams", "chekc"], {}, "did you mean check?"),
        (["teams"], {}, "VERB"),
        (["teams", "show", "orchestrator-wroker"], {}, "did you mean orchestrator-worker?"),
        (["simulate", "--port", "99999"], {}, "0 to 65535"),
        (["simulate", "--port", "x"], {}, "0 to 65535"),
        (["ask", "--max-tokens", "0", "x"], {}, "above 0"),
        (["serve", "--port", "9000"], {}, "such as API_PORT"),
        (["config", "--jsn"], {}, "unrecognized arguments: --jsn"),
        ([], {}, "commands:"),
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
    plain, other = command("version").stdout, command("--version").stdout
    assert plain == other
    told = json.loads(command("version", "--json").stdout)
    assert f"orchestrator-worker {told['version']}\n" in plain
    assert set(told["packages"]) >= {"anthropic", "fastapi"}
    help_text = command("--help").stdout
    assert "simulate" in help_text
    assert max(map(len, help_text.splitlines())) <= 80


def test_a_reader_that_leaves_is_no_mistake() -> None:
    writing = subprocess.Popen(
        [sys.executable, "-m", "orchestrator_worker", "config"],
        env=PLAIN,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert writing.stdout
    assert writing.stderr
    writing.stdout.close()
    assert writing.wait(20) == 141
    assert writing.stderr.read() == b""
    writing.stderr.close()


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_gets_the_script_that_completes_the_commands(shell: str, tmp_path: Path) -> None:
    script = command("completion", shell).stdout
    assert all(word in script for word in ("serve", "doctor", "--expires-in", "--interactive"))
    if shell == "bash":
        (tmp_path / "completion").write_text(script)
        completed = subprocess.run(
            [
                "bash",
                "-c",
                "source completion; COMP_WORDS=(orchestrator-worker do) COMP_CWORD=1; "
                "_shtab_orchestrator_worker; echo ${COMPREPLY[@]}",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert completed.stdout.strip() == "doctor"


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
