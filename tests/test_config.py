"""Every variable: in .env.example, with an effect, and with one clear line when it is wrong."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from chat import answer_of, ask
from conftest import StartService
from dumb_upstream import DumbUpstream, Reply
from orchestrator_worker.config import load_settings, variable_names
from orchestrator_worker.errors import ConfigurationError
from orchestrator_worker.teams.loader import load_teams
from running_service import settings_from

ROOT = Path(__file__).parent.parent
LONG_SECRET = "x" * 32


def documented() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return dict(pairs)


def test_the_example_names_every_variable_and_no_other() -> None:
    assert sorted(documented()) == sorted(variable_names())


def test_the_example_holds_the_defaults() -> None:
    assert settings_from(**documented()) == settings_from()


BAD_VALUES = {
    "ENVIRONMENT": "staging",
    "ANTHROPIC_BASE_URL": "claude",
    "API_PORT": "http",
    "API_TITLE": None,
    "MAX_REQUEST_BODY_SIZE": "1023",
    "ENABLE_SECURITY_HEADERS": "perhaps",
    "ORCHESTRATOR_MAX_TOKENS": "0",
    "ORCHESTRATOR_EFFORT": "heroic",
    "WORKER_MAX_TOKENS": "many",
    "WORKER_EFFORT": "none",
    "SYNTHESIZER_MAX_TOKENS": "-1",
    "SYNTHESIZER_EFFORT": "x",
    "WORKER_COORDINATION_TIMEOUT": "271",
    "SYNTHESIS_TIMEOUT": "0.5",
    "DIRECT_ANSWER_TIMEOUT": "nan",
    "STREAM_IDLE_TIMEOUT": "0",
    "MAX_SUBTASKS": "0",
    "MAX_WORKERS_PER_RUN": "0",
    "MAX_CONCURRENT_WORKERS": "0",
    "JWT_SECRET_KEY": "short-secret",
    "JWT_ALGORITHM": "none",
    "RATE_LIMIT_ENABLED": "2",
    "RATE_LIMIT_DEFAULT": "often",
    "RATE_LIMIT_CHAT_COMPLETIONS": "10",
    "RATE_LIMIT_MODELS": "10/fortnight",
    "LOG_LEVEL": "LOUD",
    "LOG_FORMAT": "xml",
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, v in BAD_VALUES.items() if v])
def test_a_bad_value_is_one_line_that_names_the_variable_and_not_the_value(
    name: str, value: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        settings_from(**{name: value})
    assert str(error.value).count("\n") == 0
    assert str(error.value).startswith(f"{name}: ")
    if name == "JWT_SECRET_KEY":
        assert value not in str(error.value)


def test_several_mistakes_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as error:
        settings_from(API_PORT="x", LOG_LEVEL="y")
    assert {line.split(":")[0] for line in str(error.value).splitlines()} == {
        "API_PORT",
        "LOG_LEVEL",
    }


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"JWT_SECRET_KEY": LONG_SECRET}, "ANTHROPIC_API_KEY"),
        ({"ANTHROPIC_API_KEY": "k"}, "JWT_SECRET_KEY"),
        ({"ANTHROPIC_API_KEY": "k", "JWT_SECRET_KEY": "x" * 31}, "JWT_SECRET_KEY"),
        (
            {"ANTHROPIC_API_KEY": "k", "JWT_SECRET_KEY": "x" * 63, "JWT_ALGORITHM": "HS512"},
            "JWT_SECRET_KEY",
        ),
    ],
)
def test_production_needs_a_key_and_a_secret_of_its_own(
    variables: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named) as error:
        settings_from(ENVIRONMENT="production", **variables)
    assert not any(value in str(error.value) for value in variables.values() if len(value) > 10)
    settings_from(ENVIRONMENT="production", ANTHROPIC_API_KEY="k", JWT_SECRET_KEY=LONG_SECRET)


def test_the_environment_wins_over_the_file_and_empty_means_unset(tmp_path: Path) -> None:
    Path(".env").write_text("API_PORT=1234\nAPI_HOST=0.0.0.0\nLOG_LEVEL=\nUNRELATED=1\n")
    settings = settings_from(API_PORT="4321", API_HOST="")
    assert settings.api.port == 4321
    assert settings.api.host == "0.0.0.0"
    assert settings.log.level == "INFO"


def test_an_env_file_in_another_encoding_is_named() -> None:
    Path(".env").write_bytes("API_PORT=1\n".encode("utf-16"))
    with pytest.raises(ConfigurationError, match=r"\.env: is not UTF-8"):
        settings_from()


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    settings = settings_from(ANTHROPIC_API_KEY="canary-key", JWT_SECRET_KEY="canary" * 8)
    assert "canary" not in repr(settings)
    assert "canary" not in str(settings)


def test_the_data_directory_follows_the_variable_and_then_the_desktop_rules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert settings_from(DATA_DIR="/srv/data").data_dir == Path("/srv/data")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert settings_from().data_dir == Path("/state/orchestrator-worker")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/x")
    assert load_settings().data_dir == Path("/home/x/.local/state/orchestrator-worker")


async def test_the_titles_and_the_served_model_have_their_effect(
    start_service: StartService, upstream: DumbUpstream
) -> None:
    service = await start_service(
        upstream,
        API_TITLE="Our Team",
        API_VERSION="9.9",
        SERVICE_MODEL_NAME="our-team",
        ENABLE_SECURITY_HEADERS="false",
    )
    async with service.client() as client:
        described = (await client.get("/openapi.json")).json()["info"]
        assert (described["title"], described["version"]) == ("Our Team", "9.9")
        models = await client.get("/v1/models")
    assert [model["id"] for model in models.json()["data"]] == ["our-team"]
    assert "x-frame-options" not in models.headers


async def test_the_roles_settings_reach_the_upstream(
    start_service: StartService, upstream: DumbUpstream
) -> None:
    service = await start_service(
        ANTHROPIC_API_KEY="the-key",
        ANTHROPIC_BASE_URL=upstream.url,
        ORCHESTRATOR_MODEL="claude-opus-5-5",
        ORCHESTRATOR_MAX_TOKENS="1111",
        ORCHESTRATOR_EFFORT="high",
        WORKER_MODEL="claude-sonnet-5-5",
        WORKER_MAX_TOKENS="2222",
        WORKER_EFFORT="medium",
        SYNTHESIZER_MODEL="claude-haiku-4-5",
        SYNTHESIZER_MAX_TOKENS="3333",
        SYNTHESIZER_EFFORT="max",
        MAX_WORKERS_PER_RUN="2",
    )
    plan: list[dict[str, Any]] = [{"id": f"s{n}", "instructions": "x"} for n in range(3)]
    upstream.answer("lead", Reply(plan=plan))
    upstream.answer("worker", Reply(text="done"))
    upstream.answer("synthesizer", Reply(text="answer"))
    async with service.client() as client:
        answer = answer_of(await ask(client))
        assert answer == "answer\n\nMissing from this answer: 1 planned part that was dropped."
    lead = upstream.calls_of("lead")[0]
    assert lead.headers["authorization"] == "Bearer the-key"
    sent = {
        role: next(call.body for call in upstream.calls_of(role))
        for role in ("lead", "worker", "synthesizer")
    }
    assert len(upstream.calls_of("worker")) == 2
    chosen = {
        role: (
            body["model"],
            body["max_tokens"],
            body.get("output_config"),
            body.get("thinking"),
        )
        for role, body in sent.items()
    }
    assert chosen == {
        "lead": ("claude-opus-5-5", 1111, {"effort": "high"}, {"type": "adaptive"}),
        "worker": ("claude-sonnet-5-5", 2222, {"effort": "medium"}, {"type": "between_tools"}),
        # Haiku 4.5 knows neither effort nor adaptive thinking.
        "synthesizer": ("claude-haiku-4-5", 3333, None, None),
    }


def test_the_deadlines_and_caps_become_the_teams() -> None:
    team = load_teams(
        settings_from(
            WORKER_COORDINATION_TIMEOUT="11",
            SYNTHESIS_TIMEOUT="12",
            DIRECT_ANSWER_TIMEOUT="13",
            STREAM_IDLE_TIMEOUT="14",
            MAX_SUBTASKS="15",
            MAX_WORKERS_PER_RUN="16",
            MAX_CONCURRENT_WORKERS="17",
        )
    )["orchestrator-worker"]
    deadlines = team.deadlines
    assert (deadlines.coordination_seconds, deadlines.synthesis_seconds) == (11, 12)
    assert (deadlines.direct_answer_seconds, deadlines.idle_seconds) == (13, 14)
    caps = team.caps
    assert (caps.max_subtasks, caps.max_workers, caps.max_concurrent_workers) == (15, 16, 17)


async def test_the_synthesis_deadline_cuts_flowing_text_and_fails_silence(
    start_service: StartService, upstream: DumbUpstream
) -> None:
    import asyncio

    service = await start_service(upstream, SYNTHESIS_TIMEOUT="1")
    plan: list[dict[str, Any]] = [{"id": f"s{n}", "instructions": "x"} for n in range(2)]
    upstream.answer("lead", Reply(plan=plan))
    upstream.answer("worker", Reply(text="done"))
    async with service.client() as client:
        upstream.answer(
            "synthesizer", Reply(text="some text", hold_after_pieces=(1, asyncio.Event()))
        )
        cut = await ask(client, headers={"x-orchestration": "usage"})
        upstream.answer("synthesizer", Reply(hold_before=asyncio.Event()))
        silent = await ask(client)
    assert cut.json()["choices"][0]["finish_reason"] == "length"
    assert cut.json()["orchestration"]["timed_out"] is True
    assert answer_of(cut) == "some te"
    assert silent.status_code == 504
    assert "synthesis" in json.loads(silent.text)["error"]["message"]


def test_the_settings_in_the_documentation_exist() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    named = set(re.findall(r"`([A-Z][A-Z_]{4,})`", readme))
    assert named <= {*variable_names(), "API_BEARER_TOKEN", "NO_COLOR", "PYTHON"}
