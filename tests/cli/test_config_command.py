"""`config`: what is in force, where it comes from, and what is wrong with it."""

import json
from pathlib import Path

from cli.commands import SECRET, command
from orchestrator_worker.config import variable_names


def test_every_setting_is_shown_with_its_value_and_source(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"LOG_LEVEL=WARNING\nJWT_SECRET_KEY={SECRET}\nAPI_PORT=1\n")
    (tmp_path / "key").write_text("canary-key")
    variables = {"API_PORT": "4321", "ANTHROPIC_API_KEY_FILE": str(tmp_path / "key")}
    done = command("config", "--json", cwd=tmp_path, **variables)
    told = json.loads(done.stdout)
    assert list(told) == list(variable_names())
    assert told["API_PORT"] == {"value": "4321", "source": "environment"}
    assert told["LOG_LEVEL"] == {"value": "WARNING", "source": ".env"}
    assert told["API_HOST"] == {"value": "127.0.0.1", "source": "default"}
    assert told["ANTHROPIC_API_KEY"] == {"value": "********", "source": str(tmp_path / "key")}
    assert told["JWT_SECRET_KEY"] == {"value": "********", "source": ".env"}
    shown = command("config", cwd=tmp_path, **variables)
    assert shown.returncode == 0
    for name in variable_names():
        assert f"  {name} " in shown.stdout
    assert "canary" not in done.stdout + shown.stdout
    assert SECRET not in done.stdout + shown.stdout


def test_what_is_the_default_can_be_left_out(tmp_path: Path) -> None:
    same = {"API_PORT": "8000", "API_TITLE": "Orchestrator Worker"}
    done = command("config", "--changed", cwd=tmp_path, LOG_LEVEL="DEBUG", **same)
    assert done.stdout.splitlines() == ["Logs:", "  LOG_LEVEL  environment  DEBUG"]
    assert command("config", "--changed", cwd=tmp_path).stdout == "Every setting has its default.\n"


def test_a_check_names_every_mistake_and_every_notice(tmp_path: Path) -> None:
    variables = {"API_PORT": "x", "LOG_LEVEL": "LOUD", "LOKI_URL": "http://loki"}
    done = command("config", "check", cwd=tmp_path, **variables)
    assert done.returncode == 2
    note, *mistakes = done.stderr.splitlines()
    assert note.startswith("note: LOKI_URL has no effect")
    assert [line.split(": ")[1] for line in mistakes] == ["API_PORT", "LOG_LEVEL"]
    told = json.loads(command("config", "check", "--json", cwd=tmp_path, **variables).stdout)
    assert [line.split(":")[0] for line in told["mistakes"]] == ["API_PORT", "LOG_LEVEL"]
    assert list(told["notices"]) == ["LOKI_URL"]
    sound = command("config", "check", cwd=tmp_path, LOKI_URL="http://loki")
    assert sound.returncode == 0
    assert sound.stdout.splitlines() == [
        "The settings are sound: 0 set, 0 of them changed from the default.",
        f"There is no .env in {tmp_path}.",
    ]
    assert sound.stderr.startswith("note: LOKI_URL has no effect")
