"""`doctor`: what it finds, and what it says to do."""

import asyncio
import json
import re
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from cli.commands import command, running
from dumb_upstream import DumbUpstream

LEAD, WORKER = "claude-sonnet-5-5", "claude-haiku-5-5"


async def examined(**variables: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Return the exit code and the findings, by what was checked."""
    done = await asyncio.to_thread(command, "doctor", "--json", **variables)
    told = json.loads(done.stdout)
    findings: dict[str, list[dict[str, Any]]] = {}
    for it in told["findings"]:
        findings.setdefault(it["check"], []).append(it)
        assert it["state"] == "ok" or it["advice"] or it["check"] == "settings"
    assert told["problems"] == sum(it["state"] == "problem" for it in told["findings"])
    return done.returncode, findings


def before(upstream: DumbUpstream, **variables: str) -> dict[str, str]:
    return {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": upstream.url, **variables}


def described(model: str, lifecycle: str, retires_at: str | None = None) -> dict[str, Any]:
    return {"id": model, "type": "model", "lifecycle": lifecycle, "retires_at": retires_at}


async def test_it_says_of_each_model_when_it_retires(
    upstream: DumbUpstream, tmp_path: Path
) -> None:
    in_ten_days = (datetime.now(UTC) + timedelta(days=10)).date().isoformat()
    upstream.models = {
        LEAD: described(LEAD, "deprecated", in_ten_days),
        WORKER: described(WORKER, "active", "2099-01-01"),
    }
    upstream.date = format_datetime(datetime.now(UTC) - timedelta(minutes=5), usegmt=True)
    code, found = await examined(**before(upstream, DATA_DIR=str(tmp_path), API_PORT="0"))
    assert code == 0
    states = {it["found"].split()[0]: it["state"] for it in found["model"]}
    assert states == {LEAD: "warning", WORKER: "ok"}
    assert any(f"{in_ten_days}, in 10 days" in it["found"] for it in found["model"])
    assert found["clock"][0]["state"] == "warning"
    assert re.match(r"30\d s ahead of", found["clock"][0]["found"])
    assert "takes the key" in found["claude"][0]["found"]
    upstream.models = {LEAD: described(LEAD, "retired")}
    upstream.date = format_datetime(datetime.now(UTC), usegmt=True)
    code, found = await examined(**before(upstream, DATA_DIR=str(tmp_path), API_PORT="0"))
    assert code == 1
    states = {it["found"].split()[0]: it["state"] for it in found["model"]}
    assert states == {LEAD: "problem", WORKER: "warning"}  # the other one is not known there
    assert found["clock"][0]["state"] == "ok"


async def test_a_refused_key_is_told(upstream: DumbUpstream, tmp_path: Path) -> None:
    upstream.models_status = 401
    code, found = await examined(**before(upstream, DATA_DIR=str(tmp_path)))
    assert code == 1
    (claude,) = found["claude"]
    assert "ANTHROPIC_API_KEY" in claude["advice"]


async def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "teams" / "one").mkdir(parents=True)
    (tmp_path / "teams" / "one" / "team.toml").write_text("rout = 1")
    (tmp_path / "file").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, found = await examined(
            LOG_LEVEL="LOUD",
            ENVIRONMENT="production",
            JWT_SECRET_KEY="x" * 32,
            ANTHROPIC_API_KEY="k",
            WORKER_TEMPERATURE="1",
            PROMPTS_DIR=str(tmp_path / "teams"),
            DATA_DIR=str(tmp_path / "file"),
            API_PORT=str(taken.getsockname()[1]),
            ANTHROPIC_BASE_URL="http://127.0.0.1:9",
        )
    assert code == 1
    assert [it["state"] for it in found["settings"]] == ["problem", "warning"]
    for check in ("teams", "data", "port", "claude"):
        assert found[check][0]["state"] == "problem"


def test_on_a_fresh_machine_it_reads_well(tmp_path: Path) -> None:
    with running("serve", API_PORT="0", DATA_DIR=str(tmp_path)) as (_, line):
        port = json.loads(line)["url"].rpartition(":")[2]
        done = command("doctor", DATA_DIR=str(tmp_path), API_PORT=port)
    assert (done.returncode, done.stderr) == (0, "")
    assert "served, by this service it seems" in done.stdout
    assert "no key: an embedded simulator answers" in done.stdout
    assert done.stdout.splitlines()[-1] == "No problems, 1 warning."
    assert f"{LEAD}, active" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80 + len(str(tmp_path))


async def test_nothing_is_looked_at_with_settings_that_are_wrong(
    upstream: DumbUpstream, tmp_path: Path
) -> None:
    """Or the key would be offered to another server, and another directory written."""
    code, found = await examined(
        ANTHROPIC_API_KEY="gateway-key",
        ANTHROPIC_BASE_URL="gateway.example.com:8080",
        HTTPS_PROXY=upstream.url,
        API_PORT="80000",
        JWT_SECRET_KEY="short",
        DATA_DIR=str(tmp_path),
    )
    assert code == 1
    for check, name in (
        ("claude", "ANTHROPIC_BASE_URL"),
        ("port", "API_PORT"),
        ("tokens", "JWT_SECRET_KEY"),
    ):
        assert found[check][0]["found"] == f"not looked at, for {name}"
    assert upstream.connections == 0
