"""What a plan will cost, before it has cost anything.

An estimate in two figures: what to expect, and what it comes to when every worker and the
synthesizer write as much as they may. Tokens are estimated from the texts, prices are today's; the
prompt cache, second tries, reviews, scores and reductions are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from orchestrator_worker.claude.ledger import total_cost
from orchestrator_worker.claude.pricing import cost_usd
from orchestrator_worker.claude.tokens import estimate_tokens
from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.orchestration.brief import worker_turn
from orchestrator_worker.orchestration.conversation import Conversation
from orchestrator_worker.orchestration.plan import Subtask
from orchestrator_worker.teams.team import Team

RESULT_TOKENS = 600
"""What a worker is expected to write: a page."""
ANSWER_TOKENS = 1200


@dataclass(frozen=True, slots=True)
class PlanEstimate:
    """USD for running a plan; what the lead has cost by now is not in it."""

    workers: int
    input_tokens: int
    output_tokens: int
    """Expected."""
    expected_usd: Decimal | None
    """None: a model's price is unknown."""
    full_length_usd: Decimal | None
    """If every call wrote as much as it may."""


def estimate(team: Team, conversation: Conversation, subtasks: Sequence[Subtask]) -> PlanEstimate:
    """Return what running `subtasks` and writing the answer will cost."""
    shared = conversation.estimated_tokens
    expected = _calls(team, shared, subtasks, RESULT_TOKENS, ANSWER_TOKENS)
    full_length = _calls(
        team, shared, subtasks, team.worker.max_tokens, team.synthesizer.max_tokens
    )
    total = sum((usage for _, usage in expected), Usage())
    return PlanEstimate(
        len(subtasks), total.input_tokens, total.output_tokens, _usd(expected), _usd(full_length)
    )


_ModelUsage = tuple[str, Usage]


def _calls(
    team: Team, shared: int, subtasks: Sequence[Subtask], result: int, answer: int
) -> list[_ModelUsage]:
    """Return the calls of a plan whose results have `result` tokens and whose answer `answer`."""
    result = min(result, team.worker.max_tokens)
    prefix = estimate_tokens(team.worker.system.text) + shared
    calls: list[_ModelUsage] = []
    for subtask in subtasks:
        turn = estimate_tokens(worker_turn(team, subtask, ()))
        needed = len(subtask.depends_on) * result
        calls.append((team.model_of(subtask.tier), Usage(prefix + turn + needed, result)))
    if len(subtasks) > 1 and team.synthesis == "write":
        member = team.synthesizer
        asked = estimate_tokens(member.system.text) + shared + len(subtasks) * result
        calls.append((member.model, Usage(asked, min(answer, member.max_tokens))))
    return calls


def _usd(calls: list[_ModelUsage]) -> Decimal | None:
    return total_cost(cost_usd(model, usage) for model, usage in calls)
