"""What a team is: a served model made of three roles, their prompts, a route and limits. Data, no
behaviour.
"""

from dataclasses import dataclass
from typing import Literal

from orchestrator_worker.claude.client import Effort
from orchestrator_worker.teams.prompts import Template

Route = Literal["auto", "always", "never"]
"""Whether the lead decides, must delegate, or answers alone."""


@dataclass(frozen=True, slots=True)
class Member:
    """One role of a team: its model, its limits and its system prompt."""

    model: str
    max_tokens: int
    effort: Effort
    system: Template


@dataclass(frozen=True, slots=True)
class Lead(Member):
    """Answers at once or writes the plan."""

    delegate: Template
    """Description of the tool by which the lead delegates."""
    plan: Template
    """Its system prompt when it must delegate (`route = "always"`)."""


@dataclass(frozen=True, slots=True)
class Worker(Member):
    """Runs one subtask."""

    turn: Template
    """The user turn that carries the subtask; all before it is the same for every worker of a run.
    """


@dataclass(frozen=True, slots=True)
class Synthesizer(Member):
    """Writes the answer from the results."""

    turn: Template
    """The user turn that carries the results and the gaps."""
    gap_note: Template
    """Added to an answer that does not name a missing part itself."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Durations in seconds; the orchestrator turns them into instants when a run starts."""

    coordination_seconds: float
    synthesis_seconds: float
    direct_answer_seconds: float
    idle_seconds: float


@dataclass(frozen=True, slots=True)
class Caps:
    """How far one run may fan out."""

    max_subtasks: int
    """Planned entries."""
    max_workers: int
    """Subtasks after expansion."""
    max_concurrent_workers: int


@dataclass(frozen=True, slots=True)
class Team:
    """One served model."""

    model_id: str
    """What callers name in `model`."""
    description: str
    route: Route
    progress: bool
    """Whether a stream carries readable progress as reasoning text."""
    lead: Lead
    worker: Worker
    synthesizer: Synthesizer
    deadlines: Deadlines
    caps: Caps
