"""How the client is asked: its words, files and variables; and what programs get of it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from console.fake_service import (
    DONE,
    STREAM_HEAD,
    WAIT_SECONDS,
    Json,
    response,
    script_of,
    streaming,
    summary,
    then_silent,
)
from console.running_client import (
    AGENTS,
    ANSWER,
    COMMAND,
    ENVIRONMENT,
    SCRIPT,
    ask,
    client,
    fake,
)
from console.terminal import ClientInTerminal


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/", "/team/v1"])
def test_base_url_is_accepted_with_and_without_v1(suffix: str) -> None:
    with fake(streaming(*ANSWER, DONE)) as service:
        env = {"ORCHESTRATOR_BASE_URL": service.url + suffix, "ORCHESTRATOR_TEAM": "from-env"}
        done = client("Hi", env=env)
    assert done.returncode == 0
    prefix = "/team" if "team" in suffix else ""
    assert [one.target for one in service.requests] == [f"{prefix}/v1/chat/completions"]
    assert service.chat.json()["model"] == "from-env"


def test_model_option_wins() -> None:
    _, service = ask(streaming(*ANSWER, DONE), "--model", "m", env={"ORCHESTRATOR_TEAM": "e"})
    assert service.chat.json()["model"] == "m"


def test_service_without_models_asks_for_one() -> None:
    with fake(streaming(), models=response({"data": []})) as service:
        done = client("Hi", "--base-url", service.url)
    assert done.returncode == 1
    assert "Name one with --model." in done.stderr


PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def test_proxy_is_ignored_for_loopback_only() -> None:
    nowhere = dict.fromkeys(PROXIES, "http://127.0.0.1:1")
    done, _ = ask(streaming(*ANSWER, DONE), env=nowhere)
    assert done.returncode == 0
    with fake(streaming(*ANSWER, DONE)) as service:
        env = {"http_proxy": service.url}
        done = client("Hi", "--base-url", "http://far.invalid", "--model", "m", env=env)
    assert done.returncode == 0
    assert service.requests[0].target == "http://far.invalid/v1/chat/completions"


def test_missing_token_says_how_to_get_one() -> None:
    done = client("Hi", env={"API_BEARER_TOKEN": ""})
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "`.venv/bin/orchestrator-worker token`" in done.stderr


SECONDS = "--timeout: must be a number of seconds, above 0 and up to 86400"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["Hi", "--base-url", "localhost:8000"], "not a base URL"),
        (["Hi", "--base-url", "http://"], "not a base URL"),
        (["Hi", "--base-url", "http://h:99999"], "not a base URL"),
        (["Hi", "--base-url", "http://u:p@h"], "not a base URL"),
        (["Hi", "--request-id", "a\nb"], "--request-id"),
        (["Hi", "--timeout", "nan"], SECONDS),
        (["Hi", "--timeout", "0"], SECONDS),
        (["Hi", "--timeout", "86401"], SECONDS),
        (["Hi", "--timeout", "x"], f"{SECONDS}, not 'x'"),
        (["Hi", "--max-tokens", "0"], "--max-tokens: must be a whole number above 0"),
        (["Hi", "--max-tokens", "x"], "--max-tokens: must be a whole number above 0, not 'x'"),
        (["Hi", "--json", "--interactive"], "--json"),
        (["Hi", "--interactive"], "needs a terminal"),
        (["Hi", "--unknown"], "--unknown"),
        (["  "], "the prompt is empty"),
        ([], "the prompt is empty"),
    ],
)
def test_usage_mistakes_end_with_2(args: list[str], words: str) -> None:
    done = client(*args)
    assert done.returncode == 2
    assert words in done.stderr


def test_mistake_in_the_words_is_told_in_one_line() -> None:
    done = client("Hi", "--bogus")
    assert done.stderr == "error: unrecognized arguments: --bogus\nSee --help.\n"


def test_no_prompt_on_a_terminal_is_a_mistake_not_a_wait() -> None:
    with ClientInTerminal() as asked:
        assert asked.finish() == 2
    assert asked.terminal.shown[0] == "error: no prompt"


@pytest.mark.parametrize("args", [[], ["-"]])
def test_prompt_comes_from_stdin(args: list[str]) -> None:
    with fake(streaming(*ANSWER, DONE)) as service:
        done = client(*args, "--base-url", service.url, stdin="Grüße?\n".encode())
    assert done.returncode == 0
    assert service.chat.json()["messages"][0]["content"] == "Grüße?\n"


def test_stdin_that_is_not_utf8_is_refused() -> None:
    done = client("-", stdin=b"caf\xe9")
    assert done.returncode == 2
    assert "stdin is not UTF-8 text (byte 3)" in done.stderr


def test_files_go_before_the_prompt_as_documents(tmp_path: Path) -> None:
    paths = [tmp_path / "one.txt", tmp_path / 'tw"o.txt', tmp_path / "sub" / "one.txt"]
    paths[2].parent.mkdir()
    for path in paths:
        path.write_text(f"in {path.name}", encoding="utf-8")
    args = [word for path in paths for word in ("--file", str(path))]
    _, service = ask(streaming(*ANSWER, DONE), *args)
    assert service.chat.json()["messages"][0]["content"] == [
        {"type": "text", "text": f'<document name="{paths[0]}">\nin one.txt\n</document>'},
        {"type": "text", "text": '<document name="tw\'o.txt">\nin tw"o.txt\n</document>'},
        {"type": "text", "text": f'<document name="{paths[2]}">\nin one.txt\n</document>'},
        {"type": "text", "text": "Hi?"},
    ]


def test_bad_files_are_named_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with (tmp_path / "large.txt").open("wb") as large:
        large.truncate(25 * 1024 * 1024 + 1)
    reasons = {
        "latin.txt": "is not UTF-8 text",
        "large.txt": "is larger than 25 MB",
        "missing.txt": "No such file",
        ".": "Is a directory",
    }
    for name, reason in reasons.items():
        done, service = ask(streaming(), "--file", str(tmp_path / name))
        assert done.returncode == 2
        assert reason in done.stderr
        assert service.requests == []


def test_help_names_the_environment_and_the_exit_codes() -> None:
    done = client("--help")
    assert done.returncode == 0
    assert "API_BEARER_TOKEN" in done.stdout
    assert "130 interrupted" in done.stdout


def test_client_imports_the_standard_library_only() -> None:
    lines = [
        line.split()[1]
        for line in SCRIPT.read_text(encoding="utf-8").splitlines()
        if line.startswith(("import ", "from "))
    ]
    assert {name.split(".")[0] for name in lines} <= sys.stdlib_module_names


# For programs


def completion(content: str = "Grüße\x7f\x9b", reason: str = "stop", **fields: Any) -> Json:
    choice = {"index": 0, "message": {"content": content}, "finish_reason": reason}
    return {"id": "chatcmpl-1", "choices": [choice], "usage": {"total_tokens": 3}, **fields}


def test_json_is_the_completion_and_nothing_else() -> None:
    whole = completion(orchestration=summary(*AGENTS, results=[]))
    done, service = ask(script_of([response(whole)]), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == whole
    assert done.stdout.count("\n") == 1
    assert not {"\x7f", "\x9b"} & {*done.stdout}
    assert "stream" not in service.chat.json()
    assert service.chat.headers["x-orchestration"] == "usage, results"


@pytest.mark.parametrize(
    "fields", [{"reason": "length"}, {"orchestration": summary(*AGENTS, partial=True)}]
)
def test_json_of_an_incomplete_answer_ends_with_3(fields: Json) -> None:
    done, _ = ask(script_of([response(completion(**fields))]), "--json")
    assert (done.returncode, done.stderr) == (3, "")
    assert json.loads(done.stdout)["id"] == "chatcmpl-1"


@pytest.mark.parametrize(
    "reply",
    [
        response({"error": {"message": "No."}}, "503 Unavailable"),
        response({"error": {"message": "No."}}),
        response(b"<html>", content_type="text/html"),
        b"".join([STREAM_HEAD, *ANSWER, DONE]),
    ],
)
def test_json_of_a_failure_is_empty(reply: bytes) -> None:
    done, _ = ask(script_of([reply]), "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")


def test_json_draws_nothing_on_a_terminal() -> None:
    whole = completion("long words " * 50)
    with (
        fake(script_of([response(whole)])) as service,
        ClientInTerminal("Hi", "--base-url", service.url, "--json") as asked,
    ):
        assert asked.finish() == 0
    assert json.loads(asked.raw) == whole
    assert "\x1b" not in asked.raw


def test_json_draws_nothing_while_it_waits() -> None:
    with (
        fake(then_silent()) as service,
        ClientInTerminal("Hi", "--base-url", service.url, "--json", "--timeout", "0.4") as asked,
    ):
        assert asked.finish() == 1
    assert asked.terminal.frames == 0


# For another command

DRIVER = """
import argparse, runpy, sys
client = runpy.run_path(sys.argv[1])
parser = argparse.ArgumentParser("ask")
client["add_arguments"](parser)
sys.exit(client["run"](parser.parse_args(sys.argv[2:]), "given"))
"""


def drive(*args: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-S", "-c", DRIVER, str(SCRIPT), *args]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=WAIT_SECONDS)


def test_other_command_drives_it_with_its_own_token() -> None:
    with fake(streaming(*ANSWER, DONE)) as service:
        done = drive("Hi", "--base-url", service.url)
    assert (done.returncode, done.stdout.decode()) == (0, "Hello wörld.\n")
    assert service.chat.headers["authorization"] == "Bearer given"


def test_run_checks_what_argparse_cannot() -> None:
    done = drive("Hi", "--request-id", "a b")
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: --request-id")


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_other_command_may_have_closed_streams(closed: int) -> None:
    with fake(streaming(*ANSWER, DONE)) as service:
        command = [sys.executable, "-S", "-c", DRIVER, str(SCRIPT), "--base-url", service.url]
        done = without_stream(closed, *command, *(["Hi"] if closed else []))
    assert done.returncode == [2, 1, 0][closed]
    assert done.stdout.decode() == ["", "", "Hello wörld.\n"][closed]
    assert done.stderr.startswith(ERRORS_OF_CLOSED_STREAMS[closed])
    assert (service.requests == []) is (closed != 2)


def test_stdout_that_another_command_has_replaced_is_missing_all_the_same() -> None:
    code = f"import os, sys\nsys.stdout = sys.stdout or open(os.devnull, 'w')\n{DRIVER}"
    done = without_stream(1, sys.executable, "-S", "-c", code, str(SCRIPT), "Hi")
    assert (done.returncode, done.stderr) == (1, ERRORS_OF_CLOSED_STREAMS[1])


def test_other_command_names_its_own_default_in_the_help() -> None:
    code = DRIVER.replace("(parser)\n", '(parser, "one of its own")\n')
    command = [sys.executable, "-S", "-c", code, str(SCRIPT), "--help"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=WAIT_SECONDS)
    assert b"default: one of its own\n" in done.stdout
    assert "default: http://127.0.0.1:8000\n" in client("--help").stdout


# Streams that are closed or full


ERRORS_OF_CLOSED_STREAMS = [
    b"error: the prompt is empty\n",
    b"error: cannot write: stdout is closed\n",
    b"",
]


def without_stream(closed: int, *command: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command as a shell does with `<&-`, `>&-` or `2>&-`."""
    shell = ["sh", "-c", f'exec "$@" {closed}{"<" if closed == 0 else ">"}&-', "sh", *command]
    return subprocess.run(
        shell, env=ENVIRONMENT, capture_output=True, stdin=None, timeout=WAIT_SECONDS
    )


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_closed_stream_is_no_traceback(closed: int) -> None:
    with fake(streaming(*ANSWER, DONE)) as service:
        words = ["--base-url", service.url, *(["Hi"] if closed else [])]
        done = without_stream(closed, *COMMAND, *words)
    assert done.returncode == [2, 1, 0][closed]
    assert done.stdout.decode() == ["", "", "Hello wörld.\n"][closed]
    assert done.stderr == ERRORS_OF_CLOSED_STREAMS[closed]
    assert (service.requests == []) is (closed != 2)


@pytest.mark.parametrize(
    ("full", "code", "args"),
    [
        ("2", 1, []),
        ("2", 2, ["--bogus"]),
        ("2", 1, ["--base-url", "nonsense"]),
        ("1", 0, ["--help"]),
    ],
)
def test_full_stream_is_no_traceback(full: str, code: int, args: list[str]) -> None:
    with fake(streaming(*ANSWER, DONE)) as service:
        words = [*COMMAND, "Hi", "--base-url", service.url, *args]
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {full}>/dev/full', "sh", *words],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=WAIT_SECONDS,
        )
    assert done.returncode == code
    assert done.stderr == b""
