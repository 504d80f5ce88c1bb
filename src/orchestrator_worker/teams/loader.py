"""Reads `prompts/<team>/` into `Team`s: team.toml over the settings, prompt files over those of
`default`.

Puts together what `team_file.py` and `roles.py` have read and checked; knows nothing of runs. Every
mistake is a start-up error that names file and key.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from orchestrator_worker.claude.client import Effort
from orchestrator_worker.config import RoleSettings, Settings
from orchestrator_worker.errors import ConfigurationError
from orchestrator_worker.teams.prompts import SYSTEM, Template
from orchestrator_worker.teams.roles import PROMPT_FILES, Sections, read_prompts
from orchestrator_worker.teams.team import (
    Caps,
    Deadlines,
    Evaluator,
    Lead,
    PromptLevel,
    SubtaskType,
    Synthesizer,
    Team,
    Tier,
    Worker,
)
from orchestrator_worker.teams.team_file import (
    MODEL_ID,
    RoleTable,
    TeamFile,
    TypeTable,
    read_team_file,
)

DEFAULT_TEAM = "default"
DEFAULT_TIERS = ("haiku", "sonnet")
"""What a plan may ask for unless the team says otherwise: the dearest model only by decision."""

_TEAM_FILE = "team.toml"


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
    for path in sorted(filter(_may_be_team, folder.iterdir()), key=_place):
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


def _place(path: Path) -> tuple[bool, Path]:
    """The default team stands first: clients that are not told take the first that is listed."""
    return path.name != DEFAULT_TEAM, path


def _may_be_team(entry: Path) -> bool:
    return entry.is_dir() and not entry.name.startswith((".", "__"))


def _check_names(path: Path) -> None:
    """Refuse what would otherwise be passed over in silence: a misspelt file, an unusable name."""
    known = {_TEAM_FILE, *PROMPT_FILES}
    found = {file.name for file in path.iterdir()}
    problems = [
        f"{path / name}: is not one of {', '.join(sorted(known))}"
        for name in sorted(found - known)
        if name.endswith((".md", ".toml"))
    ]
    if not found & known:
        problems.append(f"{path}: holds none of {', '.join(sorted(known))}")
    if not re.fullmatch(MODEL_ID, path.name):
        problems.append(f"{path}: a team's name may hold letters, digits and . _ : -")
    if problems:
        raise ConfigurationError("\n".join(problems))


def _load_team(path: Path, inherited: tuple[Path, ...], settings: Settings) -> Team:
    file = path / _TEAM_FILE
    table = read_team_file(file)
    prompts = read_prompts((path, *inherited), table.prompt_level)
    is_default = path.name == DEFAULT_TEAM
    worker = _worker(table, settings, prompts["worker.md"])
    caps = _caps(table, settings)
    offered, chosen = _tiers(file, table, settings, worker.model)
    _check_together(file, table, worker, caps)
    return Team(
        model_id=table.model_id or (settings.api.service_model_name if is_default else path.name),
        description=table.description,
        route=table.route,
        plan_form=table.plan_form,
        level=table.prompt_level,
        synthesis=table.synthesis,
        missing_dependency=table.missing_dependency,
        progress=table.progress,
        prompt_cache=settings.claude.prompt_cache,
        lead=_lead(table, settings, prompts["lead.md"]),
        worker=worker,
        evaluator=_evaluator(table, settings, prompts["evaluator.md"]),
        synthesizer=_synthesizer(table, settings, prompts["synthesizer.md"]),
        types={name: _type(kind) for name, kind in table.types.items()},
        tiers=offered,
        chosen_tiers=chosen,
        subtasks=tuple(
            subtask.model_dump(exclude_none=True, exclude_unset=True) for subtask in table.subtasks
        ),
        reduce_above_tokens=table.reduce_above_tokens,
        deadlines=_deadlines(table, settings),
        caps=caps,
    )


def _check_together(file: Path, table: TeamFile, worker: Worker, caps: Caps) -> None:
    """Refuse what each file may say, and the team cannot do."""
    planned = len(table.subtasks)
    workers = sum(len(subtask.for_each or ("",)) for subtask in table.subtasks)
    problems: list[str] = []
    if planned > caps.max_subtasks:
        problems.append(f"subtasks: are {planned}, over caps.max_subtasks ({caps.max_subtasks})")
    if workers > caps.max_workers:
        problems.append(
            f"subtasks: make {workers} workers, over caps.max_workers ({caps.max_workers})"
        )
    if "instructions" not in worker.turn.placeholders:
        problems += [
            f"types.{name}.prompt: the turn in worker.md has no place for it, {{{{instructions}}}}"
            for name, kind in table.types.items()
            if kind.prompt is not None
        ]
    if problems:
        raise ConfigurationError("\n".join(f"{file}: {problem}" for problem in problems))


def _lead(table: TeamFile, settings: Settings, prompts: Sections) -> Lead:
    return Lead(
        **_member(table.lead, settings.lead, settings, prompts[SYSTEM]),
        delegate=prompts["delegate"],
        plan=prompts["plan"],
        level=prompts[_level_section(table.prompt_level)],
        types=prompts["types"],
        tiers=prompts["tiers"],
        text_plan=prompts["text-plan"],
        callers_tools=prompts["callers-tools"],
        own_answer=prompts["own-answer"],
        tool_required=prompts["tool-required"],
        tool_named=prompts["tool-named"],
        go_on=prompts["go-on"],
        rest=prompts["rest"],
        repair=prompts["repair"],
        missing=prompts["missing"],
        review=prompts["review"],
    )


def _level_section(level: PromptLevel) -> str:
    return f"level-{level}"


def _worker(table: TeamFile, settings: Settings, prompts: Sections) -> Worker:
    # The lead that writes a whole prompt wants no role of ours around it.
    system = Template("") if table.prompt_level == "planned" else prompts[SYSTEM]
    return Worker(
        **_member(table.worker, settings.worker, settings, system),
        turn=prompts["turn"],
        json_output=prompts["json-output"],
        json_schema=prompts["json-schema"],
        redo=prompts["redo"],
    )


def _evaluator(table: TeamFile, settings: Settings, prompts: Sections) -> Evaluator | None:
    if not table.evaluate:
        return None
    return Evaluator(
        **_member(table.evaluator, settings.synthesizer, settings, prompts[SYSTEM]),
        turn=prompts["turn"],
        min_score=table.evaluator.min_score,
    )


def _synthesizer(table: TeamFile, settings: Settings, prompts: Sections) -> Synthesizer:
    return Synthesizer(
        **_member(table.synthesizer, settings.synthesizer, settings, prompts[SYSTEM]),
        turn=prompts["turn"],
        missing=prompts["missing"],
        heading=prompts["heading"],
        gap_note=prompts["gap-note"],
        json_object=prompts["json-object"],
        json_schema=prompts["json-schema"],
        json_missing=prompts["json-missing"],
        json_repair=prompts["json-repair"],
        reduce=prompts["reduce"],
        reduce_turn=prompts["reduce-turn"],
    )


def _type(table: TypeTable) -> SubtaskType:
    return SubtaskType(
        description=table.description,
        prompt=None if table.prompt is None else Template(table.prompt.strip()),
        tier=table.tier,
        output="json" if table.schema_ is not None else table.output,
        schema=table.schema_,
    )


def _deadlines(table: TeamFile, settings: Settings) -> Deadlines:
    seconds, run = table.timeouts, settings.run
    return Deadlines(
        seconds.coordination or run.coordination_timeout_seconds,
        seconds.synthesis or run.synthesis_timeout_seconds,
        seconds.direct_answer or run.direct_answer_timeout_seconds,
        run.idle_timeout_seconds,
    )


def _caps(table: TeamFile, settings: Settings) -> Caps:
    caps, run = table.caps, settings.run
    return Caps(
        caps.max_subtasks or run.max_subtasks,
        caps.max_workers or run.max_workers,
        caps.max_concurrent_workers or run.max_concurrent_workers,
        caps.max_rounds,
    )


def _tiers(
    file: Path, table: TeamFile, settings: Settings, worker_model: str
) -> tuple[tuple[Tier, ...], tuple[Tier, ...]]:
    """Return what the lead may ask for, and what the team asks for itself; nothing of the former,
    unless told, beside workers of another make.
    """
    known = settings.tiers.model_dump()
    offered = table.tiers
    if offered is None:
        offered = list(DEFAULT_TIERS) if worker_model in known.values() else []
    chosen = [(f"types.{kind}.tier", spec.tier) for kind, spec in table.types.items() if spec.tier]
    chosen += [(f"subtasks.{at}.tier", it.tier) for at, it in enumerate(table.subtasks) if it.tier]
    problems = [
        f"{file}: {key}: {name!r} is not one of {', '.join(known)}"
        for key, name in [*(("tiers", name) for name in offered), *chosen]
        if name not in known
    ]
    if problems:
        raise ConfigurationError("\n".join(problems))

    def named(names: Iterable[str]) -> tuple[Tier, ...]:
        return tuple(Tier(name, known[name]) for name in known if name in set(names))

    return named(offered), named([name for _, name in chosen])


def _member(
    table: RoleTable, role: RoleSettings, settings: Settings, system: Template
) -> _MemberFields:
    model = table.model or role.model
    return {
        "model": settings.tiers.model_dump().get(model, model),
        "max_tokens": table.max_tokens or role.max_tokens,
        "effort": table.effort or role.effort,
        "system": system,
    }
