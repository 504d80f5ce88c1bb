"""`teams`: which there are, what is in force for one, and every mistake in their files."""

import json
from pathlib import Path

from cli.commands import command

TEAM = """
description = "Two opinions and a verdict."
route = "fixed"
synthesis = "sections"
[worker]
model = "opus"
[timeouts]
coordination = 12
[[subtasks]]
id = "for"
title = "What speaks for it"
instructions = "Make the case."
"""


def folder(place: Path, **files: str) -> str:
    for name, text in files.items():
        (place / name).mkdir()
        (place / name / "team.toml").write_text(text)
    return str(place)


def test_the_teams_are_listed(tmp_path: Path) -> None:
    teams = folder(tmp_path, default="", opinions=TEAM)
    head, *lines = command("teams", "list", PROMPTS_DIR=teams).stdout.splitlines()
    assert head.split() == ["MODEL", "ROUTE", "SYNTHESIS", "DESCRIPTION"]
    assert any(line.split()[:3] == ["opinions", "fixed", "sections"] for line in lines)
    told = json.loads(command("teams", "list", "--json", PROMPTS_DIR=teams).stdout)
    named = {it["model"]: (it["route"], it["synthesis"], it["description"]) for it in told}
    assert named["opinions"] == ("fixed", "sections", "Two opinions and a verdict.")
    assert next(iter(named)) == "orchestrator-worker"  # the default team


def test_a_team_is_shown_as_it_is_in_force(tmp_path: Path) -> None:
    teams = folder(tmp_path, opinions=TEAM)

    def show(*words: str) -> str:
        done = command(
            *("teams", "show", "opinions", *words),
            PROMPTS_DIR=teams,
            MODEL_OPUS="an-opus",
            SYNTHESIS_TIMEOUT="7",
        )
        return done.stdout

    told = json.loads(show("--json"))
    assert told["roles"]["worker"] == {"model": "an-opus", "max_tokens": 4096, "effort": "low"}
    assert (told["timeouts"]["coordination"], told["timeouts"]["synthesis"]) == (12, 7)
    assert told["subtasks"] == ["What speaks for it"]
    shown = show()
    assert "an-opus, at most 4096 tokens, effort low" in shown
    assert teams in shown
    assert max(map(len, shown.splitlines()[:-1])) <= 80


def test_a_check_names_every_mistake(tmp_path: Path) -> None:
    sound = command("teams", "check", folder(tmp_path, opinions=TEAM))
    assert (sound.returncode, sound.stderr) == (0, "")
    assert "1 team, no mistakes: opinions" in sound.stdout
    folder(tmp_path, one='rout = "never"', two='route = "sometimes"')
    (tmp_path / "one" / "laed.md").write_text("x")
    done = command("teams", "check", str(tmp_path))
    assert done.returncode == 2
    assert "rout" in done.stderr or "laed.md" in done.stderr
    assert str(tmp_path / "two" / "team.toml") in done.stderr
    told = json.loads(command("teams", "check", "--json", str(tmp_path)).stdout)
    assert len(told["mistakes"]) == len(done.stderr.splitlines()) >= 2
    missing = command("teams", "check", str(tmp_path / "nowhere"))
    assert missing.returncode == 2
    assert "nowhere" in missing.stderr
