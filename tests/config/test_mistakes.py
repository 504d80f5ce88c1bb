"""Every variable: in .env.example, with an effect, and with one clear line when it is wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from orchestrator_worker.config import REPLACED, load, load_settings, variable_names
from orchestrator_worker.errors import ConfigurationError
from running_service import environment, settings_from

ROOT = Path(__file__).parent.parent.parent
LONG_SECRET = "x" * 32


def documented() -> dict[str, str]:
    found = dotenv_values(ROOT / ".env.example", interpolate=False)
    return {name: value or "" for name, value in found.items()}


def test_the_example_names_every_variable_and_no_other() -> None:
    assert sorted(documented()) == sorted(variable_names())


def test_the_example_holds_the_defaults() -> None:
    assert settings_from(**documented()) == settings_from()


BAD_VALUES = {
    "ENVIRONMENT": "staging",
    "ANTHROPIC_API_KEY": "a\x07bell",
    "ANTHROPIC_API_KEY_FILE": "/nowhere",
    "ANTHROPIC_BASE_URL": "claude",
    "PROMPT_CACHE": "perhaps",
    "API_HOST": "no such host!",
    "API_PORT": "http",
    "API_TITLE": "a\x07bell",
    "API_VERSION": "a\x07bell",
    "SERVICE_MODEL_NAME": "our team",
    "ENABLE_DOCS": "sometimes",
    "MAX_REQUEST_BODY_SIZE": "1023",
    "ENABLE_SECURITY_HEADERS": "perhaps",
    "CORS_ORIGINS": "https://chat.example.com/path",
    "CORS_ALLOW_CREDENTIALS": "with care",
    "CORS_ALLOW_METHODS": "GET POST",
    "CORS_ALLOW_HEADERS": "[1]",
    "JWT_SECRET_KEY": "short-secret",
    "JWT_SECRET_KEY_FILE": "/",
    "JWT_ALGORITHM": "none",
    "RATE_LIMIT_ENABLED": "2",
    "RATE_LIMIT_DEFAULT": "often",
    "RATE_LIMIT_CHAT_COMPLETIONS": "10",
    "RATE_LIMIT_MODELS": "10/fortnight",
    "ORCHESTRATOR_MODEL": "claude sonnet",
    "ORCHESTRATOR_MAX_TOKENS": "0",
    "ORCHESTRATOR_EFFORT": "heroic",
    "WORKER_MODEL": "claude haiku",
    "WORKER_MAX_TOKENS": "many",
    "WORKER_EFFORT": "none",
    "SYNTHESIZER_MODEL": "x" * 201,
    "SYNTHESIZER_MAX_TOKENS": "-1",
    "SYNTHESIZER_EFFORT": "x",
    "MODEL_HAIKU": "a b",
    "MODEL_SONNET": "a b",
    "MODEL_OPUS": "a b",
    "WORKER_COORDINATION_TIMEOUT": "271",
    "SYNTHESIS_TIMEOUT": "0.5",
    "DIRECT_ANSWER_TIMEOUT": "nan",
    "STREAM_IDLE_TIMEOUT": "0",
    "MAX_SUBTASKS": "0",
    "MAX_WORKERS_PER_RUN": "0",
    "MAX_CONCURRENT_WORKERS": "1001",
    "MAX_WORKERS_PER_PROCESS": "0",
    "RETRY_MAX_ATTEMPTS": "11",
    "RETRY_EXPONENTIAL_MULTIPLIER": "0.4",
    "RETRY_EXPONENTIAL_MAX": "301",
    "LOG_LEVEL": "LOUD",
    "LOG_FORMAT": "xml",
    "DATA_DIR": "/dev/null/data",
    "PROMPTS_DIR": "/nowhere",
}
FOUND_AT_START = {"API_HOST", "DATA_DIR", "PROMPTS_DIR"}
"""What only shows when it is used."""
OF_OTHERS = {
    "ORCHESTRATOR_TEAM",
    *("API_BEARER_TOKEN", "ORCHESTRATOR_BASE_URL", "NO_COLOR"),  # the console client
    *("PYTHON_IMAGE", "PIP_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY"),
    "JSON_SCHEMA",  # a mode of a client library
    *(f"ENABLE_{task}_GENERATION" for task in ("TITLE", "TAGS", "FOLLOW_UP", "SEARCH_QUERY")),
    *("ENABLE_RETRIEVAL_QUERY_GENERATION", "ENABLE_AUTOCOMPLETE_GENERATION"),  # Open WebUI's
}


def test_every_variable_has_a_bad_value() -> None:
    assert sorted(BAD_VALUES) == sorted(variable_names())


@pytest.mark.parametrize("name", [name for name in BAD_VALUES if name not in FOUND_AT_START])
def test_a_bad_value_is_one_line_that_names_the_variable_and_not_the_value(name: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        settings_from(**{name: BAD_VALUES[name]})
    assert str(error.value).count("\n") == 0
    assert str(error.value).startswith(f"{name}: ")
    if name in {"JWT_SECRET_KEY", "ANTHROPIC_API_KEY"}:
        assert BAD_VALUES[name] not in str(error.value)


@pytest.mark.parametrize("name", sorted(FOUND_AT_START))
def test_what_cannot_be_used_is_one_line_at_the_start(name: str) -> None:
    with environment(**{name: BAD_VALUES[name]}):
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator_worker", "serve"],
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"orchestrator-worker: {name}: ")


def test_several_mistakes_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as error:
        settings_from(API_PORT="x", LOG_LEVEL="y")
    assert {line.split(":")[0] for line in str(error.value).splitlines()} == {
        "API_PORT",
        "LOG_LEVEL",
    }


def test_contradictions_are_named_beside_other_mistakes() -> None:
    with environment(
        ENVIRONMENT="production",
        API_PORT="x",
        JWT_SECRET_KEY_FILE="/nowhere",
        CORS_ORIGINS="*",
        CORS_ALLOW_CREDENTIALS="true",
    ):
        mistakes = load().mistakes
    assert [line.split(":")[0] for line in mistakes] == [
        "JWT_SECRET_KEY_FILE",
        "API_PORT",
        "CORS_ALLOW_CREDENTIALS",
        "ANTHROPIC_API_KEY",
    ]


@pytest.mark.parametrize("name", REPLACED)
def test_a_setting_of_similar_services_is_told_once_with_what_replaces_it(name: str) -> None:
    with environment(**{name: "0.7"}):
        loaded = load()
    assert loaded.mistakes == ()
    assert loaded.sources.notices == {name: f"has no effect: {REPLACED[name]}"}
    for word in re.findall(r"[A-Z]+(?:_[A-Z]+)+", REPLACED[name]):
        assert word in variable_names()


def test_a_slip_of_the_pen_in_the_file_is_told(tmp_path: Path) -> None:
    Path(".env").write_text("API_PROT=1\nCOMPOSE_PROJECT_NAME=x\nLOG_LEVEL=LOUD\n")
    with environment():
        loaded = load()
    assert loaded.sources.notices == {"API_PROT": "has no effect; did you mean API_PORT?"}
    assert loaded.mistakes[0].endswith("(in .env)")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANTHROPIC_BASE_URL", "http://[::1"),
        ("ANTHROPIC_BASE_URL", "https://user:canary@gateway.example.com"),
        ("ANTHROPIC_BASE_URL", "https://gateway.example.com:99999"),
        ("API_HOST", "a..b"),
        ("API_HOST", "x" * 64 + ".example"),
        ("CORS_ORIGINS", "[" * 100_000),
        ("CORS_ORIGINS", "https://*.example.com"),
        ("CORS_ORIGINS", "https://a.example.com:abc"),
        ("CORS_ORIGINS", "https://me@a.example.com"),
        ("JWT_SECRET_KEY", "\udcff" + "x" * 40),
        ("API_TITLE", "\udcff"),
    ],
)
def test_what_looks_sound_and_is_not_is_told_as_well(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        settings_from(**{name: value})
    assert str(error.value).count("\n") == 0
    assert str(error.value).startswith(f"{name}: ")
    assert "canary" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "same"),
    [
        ("LOG_LEVEL", "info", "INFO"),
        ("LOG_FORMAT", "Standard", "standard"),
        ("ENABLE_DOCS", " true ", "true"),
        ("API_TITLE", " ", ""),
        ("CORS_ORIGINS", '["https://A.example.com"]', "https://a.example.com"),
    ],
)
def test_what_means_the_same_is_taken_alike(name: str, value: str, same: str) -> None:
    assert settings_from(**{name: value}) == settings_from(**{name: same})


def test_the_file_is_taken_as_it_stands() -> None:
    Path(".env").write_text(
        "\ufeffexport API_TITLE='Our Team'\r\nJWT_SECRET_KEY=" + "0123456789" * 4 + "${HOME}\n"
    )
    settings = settings_from()
    assert settings.api.title == "Our Team"
    assert settings.auth.secret
    assert settings.auth.secret.get_secret_value().endswith("${HOME}")


def test_lines_that_are_no_settings_are_named() -> None:
    Path(".env").write_text('API_PORT 9000\nLOG_LEVEL=DEBUG\nAPI_TITLE="unclosed\n')
    with environment():
        mistakes = load().mistakes
    assert mistakes == (
        ".env, line 1: is not NAME=value",
        ".env, line 3: is not NAME=value",
    )


@pytest.mark.parametrize("kind", ["directory", "dangling", "pipe"])
def test_what_is_no_file_is_not_taken_for_one(kind: str) -> None:
    match kind:
        case "directory":
            Path(".env").mkdir()
        case "dangling":
            Path(".env").symlink_to("nowhere")
        case _:
            os.mkfifo(".env")
    with pytest.raises(ConfigurationError, match=r"^\.env: is not a file$"):
        settings_from()


def test_a_pipe_for_a_secret_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="is not a file"):
        settings_from(JWT_SECRET_KEY_FILE=str(tmp_path / "pipe"))


def test_a_slip_of_the_pen_in_the_environment_is_told() -> None:
    with environment(API_PRT="1", PORT="1", LOG_FORMATS="x"):
        assert set(load().sources.notices) == {"API_PRT", "LOG_FORMATS"}


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b" \n", "is empty"), (b"\xff", "not UTF-8"), (b"x" * 70_000, "too large")],
)
def test_a_file_of_a_secret_must_hold_one(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"^JWT_SECRET_KEY_FILE: .*{said}"):
        settings_from(JWT_SECRET_KEY_FILE=str(file))


def test_a_secret_is_given_once(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("k\n")
    with pytest.raises(ConfigurationError, match="set beside ANTHROPIC_API_KEY"):
        settings_from(ANTHROPIC_API_KEY="other", ANTHROPIC_API_KEY_FILE=str(file))
    settings = settings_from(ANTHROPIC_API_KEY_FILE=str(file))
    assert settings.claude.api_key
    assert settings.claude.api_key.get_secret_value() == "k"


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


def test_the_settings_in_the_documentation_exist() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    named = {
        word
        for page in pages
        for word in re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", page.read_text("utf-8"))
    }
    assert named <= {*variable_names(), *REPLACED, *OF_OTHERS}
