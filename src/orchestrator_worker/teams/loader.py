"""Reads `prompts/<team>/` into `Team`s: team.toml over the settings, prompt files over those of
`default`.

Owns the file format and its checks; knows nothing of runs. Every mistake is a start-up error that
names file and key.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator_worker.claude.client import Effort
from orchestrator_worker.config import RoleSettings, Settings
from orchestrator_worker.errors import ConfigurationError
from orchestrator_worker.teams.prompts import SYSTEM, SectionRule, Template, parse_prompt
from orchestrator_worker.teams.team import (
    Caps,
    Deadlines,
    Lead,
    Synthesizer,
    Team,
    Worker,
)

DEFAULT_TEAM = "default"

_TEAM_FILE = "team.toml"
_MODEL_ID = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"
_LEAD_NAMES = frozenset({"max_subtasks", "delegate"})
_RULES: dict[str, dict[str, SectionRule]] = {
    "lead.md": {
        SYSTEM: SectionRule(optional=_LEAD_NAMES),
        "delegate": SectionRule(optional=_LEAD_NAMES),
        "plan": SectionRule(optional=_LEAD_NAMES),
    },
    # No placeholder in the system part: it is the prefix that all workers of a run share.
    "worker.md": {
        SYSTEM: SectionRule(),
        "turn": SectionRule(
            required=frozenset({"instructions"}), optional=frozenset({"id", "title", "results"})
        ),
    },
    "synthesizer.md": {
        SYSTEM: SectionRule(),
        "turn": SectionRule(required=frozenset({"results"}), optional=frozenset({"gaps"})),
        "gap-note": SectionRule(required=frozenset({"gaps"})),
    },
}


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _RoleTable(_Table):
    model: Annotated[str, Field(min_length=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=128_000)] | None = None
    effort: Effort | None = None


class _Seconds(_Table):
    coordination: Annotated[float, Field(ge=1, le=270)] | None = None
    synthesis: Annotated[float, Field(ge=1, le=270)] | None = None
    direct_answer: Annotated[float, Field(ge=1, le=270)] | None = None


class _CapsTable(_Table):
    max_subtasks: Annotated[int, Field(ge=1, le=200)] | None = None
    max_workers: Annotated[int, Field(ge=1, le=10_000)] | None = None
    max_concurrent_workers: Annotated[int, Field(ge=1, le=1000)] | None = None


class _TeamFile(_Table):
    """team.toml; what it leaves out comes from the settings."""

    model_id: Annotated[str, Field(pattern=f"^{_MODEL_ID}$")] | None = None
    description: str = ""
    route: Literal["auto", "always", "never"] = "auto"
    progress: bool = True
    lead: _RoleTable = _RoleTable()
    worker: _RoleTable = _RoleTable()
    synthesizer: _RoleTable = _RoleTable()
    timeouts: _Seconds = _Seconds()
    caps: _CapsTable = _CapsTable()


class _MemberFields(TypedDict):
    model: str
    max_tokens: int
    effort: Effort
    system: Template


def bundled_prompts() -> Path:
    """Return the teams that come with the package: inside an installed one, beside `src` in a
    checkout.
    """
    package = Path(__file__).parent.parent
    installed = package / "prompts"
    return installed if installed.is_dir() else package.parent.parent / "prompts"


def prompt_folders(settings: Settings) -> tuple[Path, Path]:
    """Return the folder that teams are read from, and the bundled one they may inherit from."""
    bundled = bundled_prompts()
    return settings.paths.prompts or bundled, bundled


def load_teams(settings: Settings) -> dict[str, Team]:
    """Read every team folder, keyed by served model id.

    Raises:
        ConfigurationError: one line per mistake, each naming its file and key.
    """
    folder, bundled = prompt_folders(settings)
    try:
        return _load_folder(folder, bundled, settings)
    except OSError as error:
        raise ConfigurationError(
            f"PROMPTS_DIR: cannot read {error.filename!r} ({error.strerror})"
        ) from error


def _load_folder(folder: Path, bundled: Path, settings: Settings) -> dict[str, Team]:
    inherited = (folder / DEFAULT_TEAM, bundled / DEFAULT_TEAM)
    teams: dict[str, Team] = {}
    problems: list[str] = []
    for path in sorted(entry for entry in folder.iterdir() if _may_be_team(entry)):
        try:
            _check_names(path)
            team = _load_team(path, inherited, settings)
        except ConfigurationError as error:
            problems.append(str(error))
            continue
        if team.model_id in teams:
            problems.append(f"{path}/team.toml: model_id: {team.model_id!r} is taken")
        teams[team.model_id] = team
    if not teams and not problems:
        problems.append(f"{folder}: holds no team (a folder with a {_TEAM_FILE} or a prompt)")
    if problems:
        raise ConfigurationError("\n".join(problems))
    return teams


def _may_be_team(entry: Path) -> bool:
    return entry.is_dir() and not entry.name.startswith((".", "__"))


def _check_names(path: Path) -> None:
    """Refuse what would otherwise be passed over in silence: a misspelt file, an unusable name."""
    known = {_TEAM_FILE, *_RULES}
    found = {file.name for file in path.iterdir()}
    problems = [
        f"{path / name}: is not one of {', '.join(sorted(known))}"
        for name in sorted(found - known)
        if name.endswith((".md", ".toml"))
    ]
    if not found & known:
        problems.append(f"{path}: holds none of {', '.join(sorted(known))}")
    if not re.fullmatch(_MODEL_ID, path.name):
        problems.append(f"{path}: a team's name may hold letters, digits and . _ : -")
    if problems:
        raise ConfigurationError("\n".join(problems))


def _load_team(path: Path, inherited: tuple[Path, ...], settings: Settings) -> Team:
    file = path / _TEAM_FILE
    table = _read_table(file) if file.is_file() else _TeamFile()
    lead, worker, synthesizer = (
        _read_prompt(name, _RULES[name], (path, *inherited))
        for name in ("lead.md", "worker.md", "synthesizer.md")
    )
    is_default = path.name == DEFAULT_TEAM
    run = settings.run
    return Team(
        model_id=table.model_id or (run.service_model_name if is_default else path.name),
        description=table.description,
        route=table.route,
        progress=table.progress,
        lead=Lead(
            **_member(table.lead, settings.lead, lead),
            delegate=lead["delegate"],
            plan=lead["plan"],
        ),
        worker=Worker(**_member(table.worker, settings.worker, worker), turn=worker["turn"]),
        synthesizer=Synthesizer(
            **_member(table.synthesizer, settings.synthesizer, synthesizer),
            turn=synthesizer["turn"],
            gap_note=synthesizer["gap-note"],
        ),
        deadlines=Deadlines(
            table.timeouts.coordination or run.coordination_timeout_seconds,
            table.timeouts.synthesis or run.synthesis_timeout_seconds,
            table.timeouts.direct_answer or run.direct_answer_timeout_seconds,
            run.idle_timeout_seconds,
        ),
        caps=Caps(
            table.caps.max_subtasks or run.max_subtasks,
            table.caps.max_workers or run.max_workers,
            table.caps.max_concurrent_workers or run.max_concurrent_workers,
        ),
    )


def _read_table(file: Path) -> _TeamFile:
    try:
        return _TeamFile.model_validate(tomllib.loads(file.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: is not TOML: {error}") from error
    except ValidationError as error:
        lines = [
            f"{file}: {'.'.join(str(part) for part in mistake['loc'])}: {mistake['msg']}"
            for mistake in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigurationError("\n".join(lines)) from error


def _read_prompt(
    name: str, rules: dict[str, SectionRule], folders: tuple[Path, ...]
) -> dict[str, Template]:
    for folder in folders:
        file = folder / name
        if file.is_file():
            try:
                return parse_prompt(file.read_text("utf-8"), rules, str(file))
            except UnicodeDecodeError as error:
                raise ConfigurationError(f"{file}: is not UTF-8") from error
    raise ConfigurationError(f"{folders[0] / name}: is missing, and so is the one to inherit")


def _member(table: _RoleTable, role: RoleSettings, prompts: dict[str, Template]) -> _MemberFields:
    return {
        "model": table.model or role.model,
        "max_tokens": table.max_tokens or role.max_tokens,
        "effort": table.effort or role.effort,
        "system": prompts[SYSTEM],
    }
