"""docs/logs.md holds every event and every field that the service logs, and no other."""

import ast
import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from cached_runs import LONG
from chat import answer_of, ask, body
from dumb_upstream import DumbUpstream, Hang, Reply, Status, dumb_upstream
from plans import subtask
from served_teams import write_teams
from tests.docs.snippets import blocks_of
from tests.observability.page import COMMON, EVENTS, PAGE, check
from tests.observability.process import PLAIN, ServingProcess, events_of, serving_beside

ROOT = Path(__file__).parent.parent.parent
CRASH = "says that the service has a bug, and none is known"
NOT_PROVOKED = {
    "worker_crashed": CRASH,
    "run_crashed": CRASH,
    "request_crashed": CRASH,
    "simulated": "there is an upstream here; test_blocked_output.py runs the service without",
    "models_not_checked": "the upstream answers here; see test_an_upstream_that_is_not_there",
    "log_lines_dropped": "the log is read here; see test_lines.py and test_blocked_output.py",
    "log_line_not_rendered": "nothing logs such a line; see test_lines.py",
}


@dataclass
class Told:
    """A service that has been through all it can be through, and what it wrote."""

    log: Path
    events: list[dict[str, Any]]

    def of(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    folder = tmp_path_factory.mktemp("told")
    teams = {"default": "", "evaluated": "evaluate = true"}
    write_teams(folder / "prompts", teams)
    log = folder / "service.log"
    async with dumb_upstream() as upstream:
        haiku = "claude-haiku-5-5"
        retiring = {"lifecycle": "deprecated", "retires_at": "2030-01-01"}
        upstream.models = {haiku: {"id": haiku, "type": "model", **retiring}}
        variables = {
            "ANTHROPIC_API_KEY": "sk-ant-canary",
            "ANTHROPIC_BASE_URL": upstream.url,
            "PROMPTS_DIR": str(folder / "prompts"),
            "LOG_LEVEL": "DEBUG",
            "LOKI_URL": "http://127.0.0.1:9",
            "RATE_LIMIT_ENABLED": "true",
            "RATE_LIMIT_CHAT_COMPLETIONS": "20/minute",
            "RATE_LIMIT_MODELS": "10000/second",
            "RETRY_MAX_ATTEMPTS": "1",
        }
        with log.open("wb") as stdout:
            async with serving_beside(folder, stdout=stdout, **variables) as running:
                await _go_through_it_all(running, upstream, folder / "prompts", log)
                await asyncio.to_thread(running.end)
        yield Told(log, events_of(log.read_bytes()))


async def _go_through_it_all(
    running: ServingProcess, upstream: DumbUpstream, prompts: Path, log: Path
) -> None:
    async with httpx2.AsyncClient(
        base_url=running.url, headers=running.headers, timeout=20, trust_env=False
    ) as http:
        await _answered(http, upstream)
        await _failed(http, upstream)
        await _left(running, upstream, log)
        await _slow(http, upstream)
        await _edited(http, prompts, log)
        while (await ask(http)).status_code != 429:
            pass


async def _answered(http: httpx2.AsyncClient, upstream: DumbUpstream) -> None:
    upstream.answer("lead", Reply(text="canary-answer"))
    answer_of(await ask(http))
    plan = [subtask(1), subtask(1), subtask(2)]
    upstream.answer("lead", Reply(plan=plan))
    upstream.answer("worker", Reply(text="canary-result"))
    upstream.answer("synthesizer", Reply(text="canary-answer"))
    upstream.answer("evaluator", Reply(text="no JSON"))
    upstream.answer("warm-up", Status(529, "overloaded_error"))
    asked = [{"role": "user", "content": f"canary-question {LONG}"}]
    answer_of(await ask(http, messages=asked, stream=True))
    answer_of(await ask(http, model="evaluated"))


async def _failed(http: httpx2.AsyncClient, upstream: DumbUpstream) -> None:
    upstream.answer_subtask("Part 2", Status(400, "invalid_request_error"))
    answer_of(await ask(http))
    upstream.answer("lead", Status(529, "overloaded_error"))
    assert (await ask(http)).status_code == 503
    upstream.answer("lead", Status(401, "authentication_error"))
    assert (await ask(http)).status_code == 502
    refused = "tools.0.custom.eager_input_streaming: canary-of-the-prompt"
    upstream.answer(
        "lead", Status(400, "invalid_request_error", message=refused), Reply(text="right")
    )
    answer_of(await ask(http))
    assert (await ask(http, n=2)).status_code == 400
    forged = {"authorization": "Bearer canary-token"}
    assert (await http.get("/v1/models", headers=forged)).status_code == 401
    assert (await http.get("/health/ready")).status_code == 200


async def _left(running: ServingProcess, upstream: DumbUpstream, log: Path) -> None:
    upstream.answer("lead", Hang())
    before = len(upstream.calls_of("lead"))
    async with httpx2.AsyncClient(
        base_url=running.url, headers=running.headers, timeout=20, trust_env=False
    ) as http:
        asking = asyncio.create_task(http.post("/v1/chat/completions", json=body()))
        await upstream.arrived(before + 1, "lead")
        asking.cancel()
        await asyncio.wait([asking])
    await asyncio.to_thread(_wait_for, log, b'"client_disconnected"')


async def _slow(http: httpx2.AsyncClient, upstream: DumbUpstream) -> None:
    begin = asyncio.Event()
    upstream.answer("lead", Reply(text="at last", hold_before=begin))
    async with http.stream(
        "POST", "/v1/chat/completions", json=body(stream=True), timeout=20
    ) as response:
        begin.set()
        assert b"at last" in await response.aread()


async def _edited(http: httpx2.AsyncClient, prompts: Path, log: Path) -> None:
    for text, event in (("nonsense = 1", b"teams_not_reloaded"), ("", b"teams_reloaded")):
        (prompts / "default" / "team.toml").write_text(text)
        async with asyncio.timeout(10):
            while event not in await asyncio.to_thread(log.read_bytes):
                await http.get("/v1/models")


def _wait_for(log: Path, text: bytes) -> None:
    pause = Event()
    for _ in range(500):
        if text in log.read_bytes():
            return
        pause.wait(0.02)
    raise AssertionError(f"never logged: {text!r}")


@pytest.mark.asyncio(loop_scope="module")
async def test_what_comes_is_documented(told: Told) -> None:
    check(told.events)


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_documented_comes(told: Told) -> None:
    seen = {event["event"]: set[str]() for event in told.events}
    for event in told.events:
        seen[event["event"]] |= event.keys()
    assert sorted(EVENTS.keys() - seen.keys()) == sorted(NOT_PROVOKED)
    missing = {
        (name, key)
        for name, known in EVENTS.items()
        if name not in NOT_PROVOKED
        for key in known.fields.keys() - seen[name]
    }
    assert missing == set()
    assert COMMON.keys() - set[str]().union(*seen.values()) == {"exception"}


@pytest.mark.asyncio(loop_scope="module")
async def test_the_paths_are_all_there(told: Told) -> None:
    """Or the two tests above would hold for a service that does nothing."""
    finished = told.of("request_finished")
    ends = {(it["status"], it["outcome"]) for it in finished}
    assert {(200, "ok"), (503, "overloaded"), (502, "upstream_auth")} <= ends
    assert {(400, "refused"), (401, "refused"), (429, "refused")} <= ends
    assert "client_disconnected" in {it["outcome"] for it in finished}
    assert {"direct", "delegated", None} <= {it.get("route") for it in finished}
    assert {True, False} <= {it.get("partial") for it in finished}
    attempts = told.of("upstream_attempt")
    assert {it["outcome"] for it in attempts} == {"succeeded", "failed", "cancelled"}
    assert {it["level"] for it in attempts} == {"info", "error"}


@pytest.mark.asyncio(loop_scope="module")
async def test_neither_words_nor_secrets_are_in_it(told: Told) -> None:
    assert b"canary" not in told.log.read_bytes()


@pytest.mark.asyncio(loop_scope="module")
async def test_the_commands_of_the_page_run_on_it(told: Told) -> None:
    blocks = [block.text for block in blocks_of("docs/logs.md") if block.language == "bash"]
    queries = [text for text in blocks if "service.log" in text and "serve" not in text.split()]
    follow, costs, slowest = queries
    last = told.of("request_finished")[-1]["request_id"]
    assert last in run(follow, told.log)
    assert re.search(r"claude-haiku-5-5 \d\.\d{4} USD", run(costs, told.log))
    warning = next(event for event in told.events if event["level"] == "warning")
    assert json.dumps(warning["event"]) in run(slowest, told.log)


def run(script: str, log: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=log.parent,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


async def test_an_upstream_that_is_not_there(tmp_path: Path) -> None:
    nobody = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
    log = tmp_path / "service.log"
    with log.open("wb") as stdout:
        async with serving_beside(tmp_path, stdout=stdout, **nobody) as running:
            await asyncio.to_thread(running.end)
    events = events_of(log.read_bytes())
    check(events)
    assert "models_not_checked" in {event["event"] for event in events}


async def test_a_start_that_fails_has_told_what_it_found_until_then(tmp_path: Path) -> None:
    async with dumb_upstream() as upstream:
        for model, lifecycle in (("haiku", "deprecated"), ("sonnet", "retired")):
            name = f"claude-{model}-5-5"
            upstream.models[name] = {"id": name, "type": "model", "lifecycle": lifecycle}
        there = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": upstream.url}
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "orchestrator_worker", "serve"],
            env={**PLAIN, **there, "API_PORT": "0", "DATA_DIR": str(tmp_path)},
            capture_output=True,
            timeout=30,
            check=False,
        )
    events = events_of(done.stdout)
    check(events)
    assert [event["event"] for event in events] == ["model_deprecated"]
    assert done.returncode == 2
    assert b"is retired" in done.stderr


def test_the_lines_on_the_page_are_as_it_says() -> None:
    (shown,) = [block.text for block in blocks_of("docs/logs.md") if block.language == "jsonl"]
    events = events_of(shown.encode())
    check(events)
    assert [event["event"] for event in events] == ["upstream_attempt", "request_finished"]
    lines = re.findall(r"^    (\d\d:\d\d:\d\d .*)$", PAGE, re.MULTILINE)
    assert len(lines) > 9
    assert [line for line in lines if len(line) > 100] == []


def test_the_code_logs_these_events_and_no_other() -> None:
    logged = {"log_lines_dropped", "log_line_not_rendered"}
    for file in (ROOT / "src").rglob("*.py"):
        if file.parent.name != "observability":
            logged |= set(_events_in(ast.parse(file.read_text("utf-8"))))
    assert logged == set(EVENTS)


def _events_in(tree: ast.AST) -> list[str]:
    levels = {"debug", "info", "warning", "error", "exception", "critical", "write"}
    found: list[str] = []
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant):
            name = ast.unparse(call.func)
            logs = re.search(r"(^|_|\.)log(\.|$)|get_logger\(|^write$|^getattr\(_log", name)
            told = call.args[0].value
            if (
                logs
                and isinstance(told, str)
                and (name.rpartition(".")[2] in levels or "(" in name)
            ):
                found.append(told)
    return found
