"""Progress of a run for programs, as the API's description shows it: what `chat/progress.py` writes
into `orchestration`, one model per event.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator_worker.orchestration.events import ChosenRoute

Outcome = Literal["succeeded", "failed", "timed_out", "skipped"]


class Spent(BaseModel):
    """What the calls that have ended so far have used."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    input_tokens: int
    """Input, cached input included."""
    output_tokens: int
    """Output."""
    cost_usd: float | None
    """USD; null: a model's price is unknown."""


class _Event(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    spent: Spent
    """What the run has used so far."""


class RunStartedEvent(_Event):
    """Always the first event."""

    event: Literal["run_started"]
    """What happened: the run began."""
    run_id: str
    """The run's id, as the service's logs have it."""


class RouteDecidedEvent(_Event):
    """The lead has begun to answer or to plan; comes twice if it wrote text before its plan."""

    event: Literal["route_decided"]
    """What happened: the way is chosen."""
    route: ChosenRoute
    """`direct`: the lead answers by itself; `delegated`: workers do."""


class SubtaskPlannedEvent(_Event):
    """A subtask has passed the check of the plan."""

    event: Literal["subtask_planned"]
    """What happened: a subtask is accepted."""
    index: int = Field(ge=1)
    """Its place in the plan, from 1."""
    subtask_id: str
    """Its id, as the other events name it."""
    type: str | None
    """Its kind, one of the team's; null: none."""
    title: str
    """Its title."""
    depends_on: list[str]
    """Ids of the subtasks whose results it needs."""


class PlanRepairedEvent(_Event):
    """The check of the plan changed or dropped something."""

    event: Literal["plan_repaired"]
    """What happened: the plan was mended."""
    subtask_id: str | None
    """The subtask it concerns; null: the plan as a whole."""
    reason: str
    """What was changed, and why."""


class PlanClosedEvent(_Event):
    """No further subtask will come."""

    event: Literal["plan_closed"]
    """What happened: the plan is complete."""
    subtasks: int
    """How many there are."""


class WorkerStartedEvent(_Event):
    """A worker has been sent."""

    event: Literal["worker_started"]
    """What happened: a subtask is begun."""
    subtask_id: str
    """The subtask."""
    model: str
    """The Claude model that does it."""


class WorkerEscalatedEvent(_Event):
    """A subtask is tried once more, on a stronger model."""

    event: Literal["worker_escalated"]
    """What happened: a second try."""
    subtask_id: str
    """The subtask."""
    reason: str
    """Why the first try is of no use."""
    model: str
    """The stronger Claude model."""


class WorkerFinishedEvent(_Event):
    """A subtask has come to its end, good or bad."""

    event: Literal["worker_finished"]
    """What happened: a subtask has ended."""
    subtask_id: str
    """The subtask."""
    outcome: Outcome
    """How it ended; `skipped`: it was never begun."""
    reason: str | None
    """Why it did not succeed; null: it did."""
    seconds: float
    """From being sent to its end; 0 when it never was."""
    input_tokens: int
    """Input of all its attempts, cached input included."""
    output_tokens: int
    """Output of all its attempts."""
    cost_usd: float | None
    """USD of all its attempts; null: a model's price is unknown."""


class ResultScoredEvent(_Event):
    """The evaluator has judged a result."""

    event: Literal["result_scored"]
    """What happened: a result has its score."""
    subtask_id: str
    """The subtask."""
    score: int = Field(ge=0, le=10)
    """From 0 to 10."""
    reason: str
    """The evaluator's reason."""
    redone: bool
    """Whether the subtask is done once more."""


class RoundReviewedEvent(_Event):
    """The lead has looked at the results."""

    event: Literal["round_reviewed"]
    """What happened: the results were reviewed."""
    round: int = Field(ge=2)
    """Which round this begins, from 2: the first is the plan itself."""
    added: list[str]
    """Ids of the subtasks it added; empty: none were missing."""
    reason: str | None
    """What the lead said of it; null: nothing."""


class ReductionStartedEvent(_Event):
    """The results are too long to be read at once and are shortened first."""

    event: Literal["reduction_started"]
    """What happened: shortening began."""
    reducers: int
    """How many parts are shortened side by side."""
    estimated_tokens: int
    """The results' estimated length, in tokens."""


class SynthesisStartedEvent(_Event):
    """The answer is being written from the results."""

    event: Literal["synthesis_started"]
    """What happened: the synthesizer began."""
    model: str
    """The Claude model that writes."""


EVENTS: tuple[type[BaseModel], ...] = (
    RunStartedEvent,
    RouteDecidedEvent,
    SubtaskPlannedEvent,
    PlanRepairedEvent,
    PlanClosedEvent,
    WorkerStartedEvent,
    WorkerEscalatedEvent,
    WorkerFinishedEvent,
    ResultScoredEvent,
    RoundReviewedEvent,
    ReductionStartedEvent,
    SynthesisStartedEvent,
)
PROGRESS_EVENTS = tuple(f"#/components/schemas/{event.__name__}" for event in EVENTS)
