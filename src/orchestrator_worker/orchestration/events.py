"""What happens inside a run, in the order it happens: the one language of everything that shows
runs.
"""

from dataclasses import dataclass
from typing import Literal

from orchestrator_worker.orchestration.gate import Repair
from orchestrator_worker.orchestration.plan import Subtask
from orchestrator_worker.orchestration.results import Result

ChosenRoute = Literal["direct", "delegated"]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """Always the first event."""

    run_id: str


@dataclass(frozen=True, slots=True)
class LeadStarted:
    """Claude has taken the lead's call: an early upstream failure is ruled out."""


@dataclass(frozen=True, slots=True)
class RouteDecided:
    """The lead has begun to answer or to plan; comes twice if it wrote text before its plan."""

    route: ChosenRoute


@dataclass(frozen=True, slots=True)
class AnswerDelta:
    """A piece of the answer; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    """The model has declined to answer in the form that was asked for; comes once."""

    text: str
    """What it said instead, if anything."""


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """The lead calls one of the caller's tools; its input follows."""

    index: int
    """From 0, in the order of the calls."""
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of the last call's JSON input, cut anywhere; never empty."""

    index: int
    partial_json: str


@dataclass(frozen=True, slots=True)
class SubtaskPlanned:
    """A subtask has passed the gate."""

    index: int
    """From 1, in plan order."""
    subtask: Subtask


@dataclass(frozen=True, slots=True)
class PlanRepaired:
    """The gate changed or dropped something."""

    repair: Repair


@dataclass(frozen=True, slots=True)
class PlanClosed:
    """No further subtask will come."""

    subtasks: tuple[Subtask, ...]


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """A worker has been sent."""

    subtask: Subtask
    model: str


@dataclass(frozen=True, slots=True)
class WorkerEscalated:
    """A subtask is tried once more, on a stronger model."""

    subtask: Subtask
    reason: str
    """Why the first try is of no use."""
    model: str


@dataclass(frozen=True, slots=True)
class WorkerFinished:
    """A subtask has come to its end, good or bad."""

    result: Result
    finished: int
    """Subtasks that have ended so far, this one included."""
    planned: int | None
    """Subtasks in all; None while the plan is still being written."""


@dataclass(frozen=True, slots=True)
class ResultScored:
    """The evaluator has judged a result."""

    subtask: Subtask
    score: int
    """From 0 to 10."""
    reason: str
    redone: bool
    """Whether the subtask is done once more."""


@dataclass(frozen=True, slots=True)
class RoundReviewed:
    """The lead has looked at the results."""

    round: int
    """From 2: the first round is the plan itself."""
    added: tuple[Subtask, ...]
    reason: str | None
    """What the lead said of it; None: nothing."""


@dataclass(frozen=True, slots=True)
class ReductionStarted:
    """The results are too long to be read at once and are shortened first."""

    reducers: int
    estimated_tokens: int


@dataclass(frozen=True, slots=True)
class SynthesisStarted:
    """The answer is being written from the results."""

    model: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The answer is complete; always the last event of a run that did not fail."""

    stop_reason: str
    """As in the Messages API; `max_tokens` also when a deadline cut the text."""


Event = (
    RunStarted
    | LeadStarted
    | RouteDecided
    | AnswerDelta
    | RefusalDelta
    | ToolCallStarted
    | ToolCallDelta
    | SubtaskPlanned
    | PlanRepaired
    | PlanClosed
    | WorkerStarted
    | WorkerEscalated
    | WorkerFinished
    | ResultScored
    | RoundReviewed
    | ReductionStarted
    | SynthesisStarted
    | RunFinished
)
