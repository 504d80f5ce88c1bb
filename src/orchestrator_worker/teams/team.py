"""What a team is: a served model made of roles, their prompts, a route and limits. Data, no
behaviour.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator_worker.claude.client import Effort
from orchestrator_worker.teams.prompts import Template

Route = Literal["auto", "always", "never", "fixed"]
"""Whether the lead decides, must delegate, answers alone, or the team lists its subtasks itself."""
PlanForm = Literal["tool", "text"]
"""Whether the lead writes its plan as a tool call (or structured output), or as text."""
PromptLevel = Literal["fixed", "planned", "guarded"]
"""Who writes the workers' prompts: the team, the lead, or the lead within the team's role."""
SynthesisMode = Literal["write", "sections", "list"]
"""The synthesizer's own text, the results in plan order, or the results as a JSON array."""
MissingDependency = Literal["run", "skip"]
"""What a subtask does when one it depends on has no result: run with the gap named, or not run."""
OutputForm = Literal["text", "json"]


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
    level: Template
    """Added to either: how to write instructions at the team's prompt level."""
    types: Template
    """Added when the team has types of subtasks: which there are."""
    tiers: Template
    """Added when a subtask may ask for another model: which there are."""
    text_plan: Template
    """Added when the plan is text: its form."""
    callers_tools: Template
    """Added when the caller has tools: how they stand beside the delegation."""
    own_answer: Template
    """Added when the answer must be JSON: that this is no reason not to delegate."""
    tool_required: Template
    """Says that a tool must be called, for one request."""
    tool_named: Template
    """Says that a certain tool must be."""
    go_on: Template
    """User turn after a conversation that ends with an answer."""
    rest: Template
    """User turn that asks for what a cut plan still lacks."""
    repair: Template
    """User turn that asks for another plan after one that could not be used."""
    missing: Template
    """Presents what is missing, in a review."""
    review: Template
    """User turn that shows the results and asks whether something is missing."""


@dataclass(frozen=True, slots=True)
class Worker(Member):
    """Runs one subtask."""

    turn: Template
    """The user turn that carries the subtask; all before it is the same for every worker of a run.
    """
    json_output: Template
    """Added to the turn of a subtask whose result must be JSON."""
    json_schema: Template
    """Added to that where its type has a schema."""
    redo: Template
    """Added to the turn of a subtask whose first result was found weak."""


@dataclass(frozen=True, slots=True)
class Evaluator(Member):
    """Scores results against the question; those below `min_score` are done once more."""

    turn: Template
    min_score: int
    """From 0 to 10."""


@dataclass(frozen=True, slots=True)
class Synthesizer(Member):
    """Writes the answer from the results."""

    turn: Template
    """The user turn that carries the results and the gaps."""
    missing: Template
    """Presents what is missing, in the turn."""
    heading: Template
    """Stands over each result where results are the answer."""
    gap_note: Template
    """Added to an answer that does not name a missing part itself."""
    json_object: Template
    """Says that the answer must be a JSON object, to whoever writes it: the lead too."""
    json_schema: Template
    """The same, with the schema it must fulfil."""
    json_missing: Template
    """Presents what is missing, in the turn, where no note can be added to the answer."""
    json_repair: Template
    """User turn after an answer that was not."""
    reduce: Template
    """System prompt of those who shorten results that are too long to be read at once."""
    reduce_turn: Template


@dataclass(frozen=True, slots=True)
class SubtaskType:
    """A kind of subtask that the lead may name."""

    description: str
    """For the lead."""
    prompt: Template | None
    """For the worker; may place the subtask's own instructions with a placeholder."""
    tier: str | None
    """None: the team's worker model."""
    output: OutputForm | None
    """None: as the plan says."""
    schema: Mapping[str, Any] | None
    """JSON Schema that a result must fulfil."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A model under the short name that plans use."""

    name: str
    model: str


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
    max_rounds: int
    """Plans of one run, the first included; above 1 the lead reviews the results."""


@dataclass(frozen=True, slots=True)
class Team:
    """One served model."""

    model_id: str
    """What callers name in `model`."""
    description: str
    route: Route
    plan_form: PlanForm
    level: PromptLevel
    synthesis: SynthesisMode
    missing_dependency: MissingDependency
    progress: bool
    """Whether a stream carries readable progress as reasoning text."""
    prompt_cache: bool
    """Whether prompts that calls have in common go through the prompt cache where it pays."""
    lead: Lead
    worker: Worker
    evaluator: Evaluator | None
    """None: results are not scored."""
    synthesizer: Synthesizer
    types: Mapping[str, SubtaskType]
    tiers: tuple[Tier, ...]
    """What the lead may ask for, from the cheapest up; a worker that fails is tried once on the one
    above its own.
    """
    chosen_tiers: tuple[Tier, ...]
    """What the team's own types and subtasks ask for."""
    subtasks: tuple[Mapping[str, Any], ...]
    """The plan of a team whose route is `fixed`."""
    reduce_above_tokens: int
    """Results longer than this, by estimate, are shortened before they are written up."""
    deadlines: Deadlines
    caps: Caps

    @property
    def one_worker_answers(self) -> bool:
        """Whether the text of a plan's only worker may be the answer: nobody wants to judge it."""
        judged = self.evaluator is not None or self.caps.max_rounds > 1
        return not judged and self.synthesis != "list"

    @property
    def takes_tools(self) -> bool:
        """Whether the lead may answer by itself, and can call tools of the caller's."""
        return self.route == "never" or (self.route == "auto" and self.plan_form == "tool")

    @property
    def models(self) -> frozenset[str]:
        """Every model this team may call."""
        members = (self.lead, self.worker, self.synthesizer, self.evaluator)
        own = (member.model for member in members if member is not None)
        return frozenset((*own, *(tier.model for tier in (*self.tiers, *self.chosen_tiers))))

    def model_of(self, tier: str | None) -> str:
        """Return the model behind a tier's name; None: the workers' own."""
        known = {it.name: it.model for it in (*self.tiers, *self.chosen_tiers)}
        return known.get(tier or "", self.worker.model)

    def tier_above(self, model: str) -> Tier | None:
        """Return the tier on which a worker that failed on `model` is tried once more."""
        models = [tier.model for tier in self.tiers]
        above = self.tiers[models.index(model) + 1 :] if model in models else ()
        return above[0] if above else None
