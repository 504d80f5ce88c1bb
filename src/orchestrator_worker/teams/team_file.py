"""The form of team.toml: which keys there are and what each may hold. What is left out comes from
the settings.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from orchestrator_worker.claude.client import Effort
from orchestrator_worker.errors import ConfigurationError
from orchestrator_worker.teams.prompts import Template
from orchestrator_worker.teams.result_schema import compiled
from orchestrator_worker.teams.roles import TYPE_PROMPT
from orchestrator_worker.teams.team import (
    MissingDependency,
    OutputForm,
    PlanForm,
    PromptLevel,
    Route,
    SynthesisMode,
)

MODEL_ID = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"

Text = Annotated[str, Field(min_length=1)]
PhaseSeconds = Annotated[float, Field(ge=1, le=270)]
Count = Annotated[int, Field(ge=1, le=10_000)]


def _prompt(text: str) -> str:
    if complaints := TYPE_PROMPT.complaints(Template(text)):
        raise ValueError(complaints[0])
    return text


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    compiled(schema)
    return schema


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class RoleTable(_Table):
    """`[lead]`, `[worker]`, `[synthesizer]`."""

    model: Text | None = None
    max_tokens: Annotated[int, Field(ge=1, le=128_000)] | None = None
    effort: Effort | None = None


class EvaluatorTable(RoleTable):
    """`[evaluator]`."""

    min_score: Annotated[int, Field(ge=0, le=10)] = 6


class SecondsTable(_Table):
    """`[timeouts]`."""

    coordination: PhaseSeconds | None = None
    synthesis: PhaseSeconds | None = None
    direct_answer: PhaseSeconds | None = None


class CapsTable(_Table):
    """`[caps]`."""

    max_subtasks: Annotated[int, Field(ge=1, le=200)] | None = None
    max_workers: Count | None = None
    max_concurrent_workers: Annotated[int, Field(ge=1, le=1000)] | None = None
    max_rounds: Annotated[int, Field(ge=1, le=10)] = 1


class TypeTable(_Table):
    """`[types.NAME]`."""

    description: str = ""
    prompt: Annotated[Text, AfterValidator(_prompt)] | None = None
    tier: Text | None = None
    output: OutputForm | None = None
    schema_: Annotated[dict[str, Any], AfterValidator(_schema)] | None = Field(
        default=None, alias="schema"
    )

    @model_validator(mode="after")
    def _schema_is_for_json(self) -> Self:
        if self.schema_ is not None and self.output == "text":
            raise ValueError("schema: needs output = 'json'")
        return self


class SubtaskTable(_Table):
    """`[[subtasks]]` of a team whose route is fixed."""

    id: Annotated[str, Field(pattern=_NAME)]
    title: Text
    instructions: str = ""
    depends_on: list[str] = []
    type: str | None = None
    for_each: Annotated[list[str], Field(min_length=1)] | None = None
    tier: str | None = None
    output: OutputForm | None = None


class TeamFile(_Table):
    """The whole of team.toml."""

    model_id: Annotated[str, Field(pattern=f"^{MODEL_ID}$")] | None = None
    description: str = ""
    route: Route = "auto"
    plan_form: PlanForm = "tool"
    prompt_level: PromptLevel = "guarded"
    synthesis: SynthesisMode = "write"
    missing_dependency: MissingDependency = "run"
    progress: bool = True
    evaluate: bool = False
    tiers: list[Text] | None = None
    reduce_above_tokens: Annotated[int, Field(ge=1000, le=1_000_000)] = 80_000
    lead: RoleTable = RoleTable()
    worker: RoleTable = RoleTable()
    evaluator: EvaluatorTable = EvaluatorTable()
    synthesizer: RoleTable = RoleTable()
    timeouts: SecondsTable = SecondsTable()
    caps: CapsTable = CapsTable()
    types: dict[Annotated[str, Field(pattern=_NAME)], TypeTable] = {}
    subtasks: list[SubtaskTable] = []

    @model_validator(mode="after")
    def _results_can_be_judged(self) -> Self:
        if self.evaluate and self.synthesis == "sections":
            raise ValueError("evaluate: passed-on sections are final, so they cannot be done again")
        return self

    @model_validator(mode="after")
    def _plan_stands(self) -> Self:
        if (self.route == "fixed") != bool(self.subtasks):
            raise ValueError("subtasks: are listed if and only if route = 'fixed'")
        known: set[str] = set()
        for number, subtask in enumerate(self.subtasks):
            place = f"subtasks.{number}"
            if subtask.id in known:
                raise ValueError(f"{place}.id: {subtask.id!r} is taken")
            if unknown := [name for name in subtask.depends_on if name not in known]:
                raise ValueError(f"{place}.depends_on: {unknown[0]!r} is no earlier subtask")
            if subtask.type is not None and subtask.type not in self.types:
                raise ValueError(f"{place}.type: {subtask.type!r} is none of the team's types")
            words = Template(f"{subtask.title} {subtask.instructions}")
            if subtask.for_each is None and "item" in words.placeholders:
                raise ValueError(f"{place}.for_each: is needed for {{{{item}}}}")
            known.add(subtask.id)
        return self


def read_team_file(file: Path) -> TeamFile:
    """Return the checked file; the defaults where there is none.

    Raises:
        ConfigurationError: one line per mistake, each naming file and key.
    """
    if not file.is_file():
        return TeamFile()
    try:
        return TeamFile.model_validate(tomllib.loads(file.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: is not TOML: {error}") from error
    except ValidationError as error:
        lines = [
            f"{file}: {_place(mistake['loc'])}{mistake['msg'].removeprefix('Value error, ')}"
            for mistake in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigurationError("\n".join(lines)) from error


def _place(loc: tuple[int | str, ...]) -> str:
    return f"{'.'.join(str(part) for part in loc)}: " if loc else ""
