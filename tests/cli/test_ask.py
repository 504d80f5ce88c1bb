"""`ask`: a question from the command line to its answer, with and without a running service."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.commands import PLAIN, command, running
from dumb_upstream import DumbUpstream, Reply, Status

COMPARE = "Compare PostgreSQL, MySQL and SQLite: licence, operation and scaling."


def test_without_a_service_it_starts_one_of_its_own(tmp_path: Path) -> None:
    done = command("ask", COMPARE, DATA_DIR=str(tmp_path), LOG_LEVEL="DEBUG")
    assert done.returncode == 0
    assert done.stdout.count("## ") == 3
    assert "(simulated)" in done.stdout
    first, _, *progress = done.stderr.splitlines()
    assert "a simulator of the Claude API answers" in first
    for word in ("planned", "✓ 3/3", "lead", "worker", "synthesizer", "total"):
        assert any(word in line for line in progress)
    assert "{" not in done.stderr  # no log line
    assert "\x1b" not in done.stdout + done.stderr


def test_a_program_gets_json_and_nothing_else(tmp_path: Path) -> None:
    done = command("ask", "--json", "-", given=COMPARE, DATA_DIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    completion = json.loads(done.stdout)
    assert completion["object"] == "chat.completion"
    assert completion["orchestration"]["route"] == "delegated"
    assert len(completion["orchestration"]["results"]) == 3


def test_it_asks_a_service_that_runs_already(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    with running("serve", API_PORT="0", DATA_DIR=data, cwd=tmp_path) as (_, line):
        url = json.loads(line)["url"]
        own = command("ask", "--base-url", url, "What is the capital of France?", DATA_DIR=data)
        named = command("ask", "Why?", DATA_DIR=data, ORCHESTRATOR_BASE_URL=url)
        token = command("token", DATA_DIR=data).stdout.strip()
        elsewhere = {"DATA_DIR": str(tmp_path / "other"), "ORCHESTRATOR_BASE_URL": url}
        refused = command("ask", "Why?", **elsewhere)
        given = command("ask", "Why?", API_BEARER_TOKEN=token, **elsewhere)
    assert [done.returncode for done in (own, named, refused, given)] == [0, 0, 1, 0]
    assert own.stdout
    assert "401" in refused.stderr


@pytest.mark.parametrize(
    ("lead", "code", "said"),
    [
        (Reply(text="half", stop_reason="max_tokens"), 3, "limit"),
        (Reply(text="no", stop_reason="refusal"), 3, "declined"),
        (Status(400, "invalid_request_error"), 1, "502"),
    ],
)
async def test_the_exit_code_tells_how_it_went(
    upstream: DumbUpstream, tmp_path: Path, lead: Reply | Status, code: int, said: str
) -> None:
    upstream.answer("lead", lead)
    place = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": upstream.url}
    done = await asyncio.to_thread(command, "ask", "Why?", DATA_DIR=str(tmp_path), **place)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


async def test_an_interrupt_ends_the_calls_and_leaves_no_trace(
    upstream: DumbUpstream, tmp_path: Path
) -> None:
    upstream.answer("lead", Reply(text="some text", hold_after_pieces=(1, asyncio.Event())))
    asking = subprocess.Popen(  # noqa: ASYNC220 - only starts it
        [sys.executable, "-m", "orchestrator_worker", "ask", "Why?"],
        env={
            **PLAIN,
            "DATA_DIR": str(tmp_path),
            "ANTHROPIC_API_KEY": "k",
            "ANTHROPIC_BASE_URL": upstream.url,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asking.stdout
    await asyncio.to_thread(asking.stdout.read, 4)
    asking.send_signal(signal.SIGINT)
    async with asyncio.timeout(5):
        await upstream.calls_of("lead")[0].client_left.wait()
    _, said = await asyncio.to_thread(asking.communicate, timeout=20)
    assert asking.returncode == 130
    assert "interrupted after" in said
    assert "Traceback" not in said


def test_a_mistake_in_the_settings_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    done = command("ask", "Why?", DATA_DIR=str(tmp_path), LOG_LEVEL="LOUD")
    assert done.returncode == 2
    assert done.stderr.startswith("orchestrator-worker: LOG_LEVEL: ")
