"""The reports in `orchestration`, as the API's description shows them: what `chat/report.py`
writes.

Several that are asked for are one object with the keys of each.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator_worker.api.openapi.events import Outcome
from orchestrator_worker.claude.ledger import AttemptOutcome, Role
from orchestrator_worker.orchestration.events import ChosenRoute


class _Described(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class _Tokens(_Described):
    input_tokens: int
    """Input that was neither read from nor written to the prompt cache, as the Claude API counts
    it; in the events of a run the field of this name is all input.
    """
    cache_read_input_tokens: int
    """Input read from the prompt cache; not in `input_tokens`."""
    cache_creation_input_tokens: int
    """Input written to the prompt cache; not in `input_tokens`."""
    total_input_tokens: int
    """All input, the sum of these three: what `usage` calls `prompt_tokens`, and the events of a
    run `input_tokens`.
    """
    output_tokens: int
    """Output, thinking included."""


class AgentReport(_Tokens):
    """One attempt of one call to Claude."""

    role: Role
    """Which agent called."""
    purpose: str | None
    """What the call was for beside the role's usual work; null: that work."""
    model: str
    """The Claude model."""
    subtask_id: str | None
    """The subtask it worked on; null: none."""
    title: str | None
    """That subtask's title; null: none."""
    attempt: int = Field(ge=1)
    """Which try of this call it was, from 1."""
    outcome: AttemptOutcome
    """How it ended."""
    reason: str | None
    """What went wrong with a failed attempt; null otherwise."""
    stop_reason: str | None
    """Why Claude stopped, in its own words; null: it did not come to that."""
    starts_seconds: float
    """When it was sent, in seconds since the run began."""
    seconds: float
    """How long it took."""
    cost_usd: float | None
    """USD; null: the model's price is unknown."""


class SubtaskReport(_Tokens):
    """What became of a subtask, and what it used: all its attempts, second tries included."""

    id: str
    """Its id; attempts and steps name it as `subtask_id`."""
    type: str | None
    """Its kind, one of the team's; null: none."""
    title: str
    """Its title."""
    depends_on: list[str]
    """Ids of the subtasks whose results it needs."""
    outcome: Outcome
    """How it ended; `skipped`: it was never begun."""
    reason: str | None
    """Why it did not succeed; null: it did."""
    seconds: float
    """From being sent to the end of its result; 0 when it never was."""
    cost_usd: float | None
    """USD of all its attempts; null: a model's price is unknown."""


class CriticalStep(_Described):
    """A part of the chain of waiting that decided how long the run took: one call with its retries,
    or all tries of a subtask until its result is scored.
    """

    role: Role
    """Which agent worked."""
    purpose: str | None
    """What its first call was for beside the role's usual work; null: that work."""
    subtask_id: str | None
    """The subtask it worked on; null: none."""
    title: str | None
    """That subtask's title; null: none."""
    starts_seconds: float
    """When it began, in seconds since the run began."""
    seconds: float
    """How long the next step, or the end, had to wait for it; it may itself have gone on, as a lead
    does that writes the rest of its plan.
    """


class Totals(_Tokens):
    """All attempts together."""

    seconds: float
    """Since the run began."""
    cost_usd: float | None
    """USD; null: a model's price is unknown."""
    cost_usd_on_lead_model: float | None
    """USD that the same tokens would have cost on the lead's model; null: its price is unknown."""


class PhaseSeconds(_Described):
    """How long the phases took, in seconds; null: it did not happen."""

    coordination_seconds: float | None
    """Lead and workers."""
    synthesis_seconds: float | None
    """The synthesizer."""
    time_to_first_token_seconds: float | None
    """Until the first piece of the answer."""


class UsageReport(_Described):
    """`X-Orchestration: usage`: who did what, when and for how much."""

    run_id: str
    """The run's id, as the service's logs have it."""
    route: ChosenRoute | None
    """`direct`: the lead answered by itself; `delegated`: workers did; null: it had not come to
    that.
    """
    partial: bool
    """Whether something is missing from the answer."""
    timed_out: bool
    """Whether a deadline cut the answer or the workers."""
    agents: list[AgentReport]
    """Every attempt: the lead's, the workers' in plan order, the synthesizer's."""
    subtasks: list[SubtaskReport]
    """Every subtask, in plan order; empty: nothing was delegated."""
    critical_path: list[CriticalStep]
    """The steps that would have to be shorter for the answer to come sooner, in order: from the
    last call to end back to what each had waited for. They do not overlap; between them are the
    service's own time and waits that no call explains. Derived from when calls began and ended.
    """
    totals: Totals
    """All attempts together."""
    phases: PhaseSeconds
    """How long each phase took."""


class SubtaskResult(_Described):
    """What became of a subtask."""

    id: str
    """The subtask's id."""
    type: str | None
    """Its kind, one of the team's; null: none."""
    title: str
    """Its title."""
    outcome: Outcome
    """How it ended; `skipped`: it was never begun."""
    reason: str | None
    """Why it did not succeed; null: it did."""
    text: Any
    """What its worker wrote: text, or a JSON value where the subtask's output is JSON; null:
    nothing.
    """


class Score(_Described):
    """The evaluator's judgement of a result."""

    subtask_id: str
    """The subtask."""
    score: int = Field(ge=0, le=10)
    """From 0 to 10."""
    reason: str
    """The evaluator's reason."""
    redone: bool
    """Whether the subtask was done once more."""


class Round(_Described):
    """A look of the lead at the results."""

    round: int = Field(ge=2)
    """Which round it began, from 2: the first is the plan itself."""
    added: list[str]
    """Ids of the subtasks it added."""
    reason: str | None
    """What the lead said of it; null: nothing."""


class ResultsReport(_Described):
    """`X-Orchestration: results`: what became of every subtask."""

    run_id: str
    """The run's id, as the service's logs have it."""
    partial: bool
    """Whether something is missing from the answer."""
    omissions: list[str]
    """What the answer cannot cover because the plan itself is incomplete, in words."""
    results: list[SubtaskResult]
    """Every subtask, in plan order; empty: nothing was delegated."""
    scores: list[Score]
    """Scores, where the team has results scored."""
    rounds: list[Round]
    """Reviews, where the team lets its lead add to the plan."""


class PlannedSubtask(_Described):
    """A subtask as it would be run; what is not said of it is left out."""

    id: str
    """Its id."""
    title: str
    """Its title."""
    instructions: str
    """What its worker would be told to do."""
    type: str = ""
    """Its kind, one of the team's."""
    item: str = ""
    """What it is for, when it is one of a list."""
    depends_on: list[str] = []
    """Ids of the subtasks whose results it needs."""
    tier: str = ""
    """The tier of models it asked for."""
    output: Literal["json"] = "json"
    """Only where its result is JSON."""


class PlanEstimate(_Described):
    """What running the plan would cost: estimated from the texts, at today's prices."""

    workers: int
    """Subtasks."""
    input_tokens: int
    """Expected input."""
    output_tokens: int
    """Expected output."""
    expected_cost_usd: float | None
    """USD to expect; null: a model's price is unknown."""
    full_length_cost_usd: float | None
    """USD if every call wrote as much as it may; null: a model's price is unknown."""
    spent_on_plan_usd: float | None
    """USD that the plan itself has cost; null: the lead's price is unknown."""


class PlanReport(_Described):
    """`X-Orchestration: plan`: the plan and its estimated cost; no worker was started."""

    run_id: str
    """The run's id, as the service's logs have it."""
    route: Literal["delegated"]
    """There is a plan."""
    plan: list[PlannedSubtask]
    """The subtasks, in plan order."""
    omissions: list[str]
    """What the plan leaves out although it was asked for, in words."""
    estimate: PlanEstimate
    """What it would cost."""


class NoPlanReport(_Described):
    """`X-Orchestration: plan` where there is no plan: the lead answered by itself, or failed."""

    run_id: str
    """The run's id, as the service's logs have it."""
    route: ChosenRoute | None
    """`direct` as a rule; null: the run failed before it came to that."""
    plan: None
    """There is none."""
    omissions: list[str]
    """What a plan that came to nothing has left out, in words; empty as a rule."""
    estimate: None
    """There is none."""


class PartialReport(_Described):
    """What is told without being asked for: a note cannot be added to an answer in JSON."""

    run_id: str
    """The run's id, as the service's logs have it."""
    partial: Literal[True]
    """Something is missing from the answer."""


REPORT_MODELS: tuple[type[BaseModel], ...] = (
    UsageReport,
    ResultsReport,
    PlanReport,
    NoPlanReport,
    PartialReport,
)
REPORTS = tuple(f"#/components/schemas/{report.__name__}" for report in REPORT_MODELS)
