"""`orchestrator-worker teams`: which there are, what is in force for one, what is wrong with the
files.
"""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator_worker.cli.output import print_json, print_table
from orchestrator_worker.config import Settings, load_settings
from orchestrator_worker.errors import ConfigurationError
from orchestrator_worker.teams.loader import load_teams, prompt_folders
from orchestrator_worker.teams.team import Member, Team


def list_teams(*, as_json: bool) -> int:
    """Print each team in a line.

    Raises:
        ConfigurationError: a setting or a team file is wrong.
    """
    teams = load_teams(load_settings()).values()
    if as_json:
        print_json([_described(team) for team in teams])
    else:
        rows = [("MODEL", "ROUTE", "SYNTHESIS", "DESCRIPTION")]
        rows += [(it.model_id, it.route, it.synthesis, it.description) for it in teams]
        print_table(rows)
    return 0


def show_team(model: str, *, as_json: bool) -> int:
    """Print what is in force for a team, wherever it comes from.

    Raises:
        ConfigurationError: there is no such team, or a file is wrong.
    """
    settings = load_settings()
    teams = load_teams(settings)
    if model not in teams:
        alike = difflib.get_close_matches(model, teams, n=1)
        guess = f"; did you mean {alike[0]}?" if alike else f"; there are {', '.join(teams)}"
        raise ConfigurationError(f"there is no team {model!r}{guess}")
    described = _described(teams[model])
    if as_json:
        print_json(described)
        return 0
    print_table(list(_lines(described)), indent="  ")
    print(f"Its files are in {prompt_folders(settings)[0]}.")
    return 0


def _lines(described: dict[str, Any]) -> Iterator[tuple[str, str] | str]:
    plain = {name: value for name, value in described.items() if not isinstance(value, dict)}
    yield "team:"
    yield from ((name, _words(value)) for name, value in plain.items())
    for section, value in described.items():
        if isinstance(value, dict) and value:
            yield f"{section}:"
            unit = " s" if section == "timeouts" else ""
            yield from ((name, _words(it) + unit) for name, it in value.items())  # pyright: ignore[reportUnknownVariableType]


def check_teams(folder: str | None, *, as_json: bool) -> int:
    """Read all team files and name every mistake; returns 2 when there is one."""
    settings = load_settings()
    if folder is not None:
        settings = _reading(settings, Path(folder))
    place = prompt_folders(settings)[0]
    mistakes: list[str] = []
    teams: dict[str, Team] = {}
    try:
        teams = load_teams(settings)
    except ConfigurationError as error:
        if not as_json:
            raise
        mistakes = str(error).splitlines()
    if as_json:
        print_json({"folder": str(place), "teams": sorted(teams), "mistakes": mistakes})
        return 2 if mistakes else 0
    count = f"{len(teams)} team{'s' * (len(teams) != 1)}"
    print(f"{place}: {count}, no mistakes: {', '.join(sorted(teams))}")
    return 0


def _reading(settings: Settings, folder: Path) -> Settings:
    paths = settings.paths.model_copy(update={"prompts": folder})
    return settings.model_copy(update={"paths": paths})


def _described(team: Team) -> dict[str, Any]:
    members = {
        "lead": team.lead,
        "worker": team.worker,
        "evaluator": team.evaluator,
        "synthesizer": team.synthesizer,
    }
    return {
        "model": team.model_id,
        "description": team.description,
        "route": team.route,
        "plan_form": team.plan_form,
        "prompt_level": team.level,
        "synthesis": team.synthesis,
        "missing_dependency": team.missing_dependency,
        "progress": team.progress,
        "prompt_cache": team.prompt_cache,
        "roles": {role: _role(it) for role, it in members.items() if it is not None},
        "tiers": {tier.name: tier.model for tier in team.tiers},
        "types": {name: kind.description for name, kind in team.types.items()},
        "subtasks": [str(it.get("title") or it.get("id")) for it in team.subtasks],
        "timeouts": {
            "coordination": team.deadlines.coordination_seconds,
            "synthesis": team.deadlines.synthesis_seconds,
            "direct_answer": team.deadlines.direct_answer_seconds,
            "idle": team.deadlines.idle_seconds,
        },
        "caps": {
            "max_subtasks": team.caps.max_subtasks,
            "max_workers": team.caps.max_workers,
            "max_concurrent_workers": team.caps.max_concurrent_workers,
            "max_rounds": team.caps.max_rounds,
        },
        "reduce_above_tokens": team.reduce_above_tokens,
    }


def _role(member: Member) -> dict[str, Any]:
    return {"model": member.model, "max_tokens": member.max_tokens, "effort": member.effort}


def _words(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case {"model": model, "max_tokens": most, "effort": effort}:
            return f"{model}, at most {most} tokens, effort {effort}"
        case list():
            return ", ".join(map(str, value)) or "-"  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return str(value)
