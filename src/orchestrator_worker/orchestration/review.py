"""What happens between the last result and the answer: weak results are done once more, and the
lead may add to its plan.

Both are a team's choice (`evaluate`, `max_rounds`), both happen within the coordination phase, and
neither can cost the run its answer: an evaluator or a review that fails leaves things as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import structlog

from orchestrator_worker.claude.client import Call, ClaudeClient, whole_answer
from orchestrator_worker.errors import UpstreamError
from orchestrator_worker.orchestration.deadlines import CoordinationClock
from orchestrator_worker.orchestration.events import ResultScored, RoundReviewed
from orchestrator_worker.orchestration.json_results import NotTheJson, read_json
from orchestrator_worker.orchestration.lead import LeadAgent
from orchestrator_worker.orchestration.plan import Subtask
from orchestrator_worker.orchestration.planning import Planning
from orchestrator_worker.orchestration.reduction import batches
from orchestrator_worker.orchestration.results import Result, Succeeded, as_data
from orchestrator_worker.orchestration.run import Run
from orchestrator_worker.orchestration.scheduler import Scheduler
from orchestrator_worker.orchestration.worker import Workers
from orchestrator_worker.teams.team import Evaluator

_log = structlog.stdlib.get_logger(__name__)
MOST = 10
REASON_CHARS = 500

SCORES_SCHEMA = {
    "type": "object",
    "properties": {
        "scores": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "description": "The result's id."},
                    "reason": {"type": "string", "description": "One sentence."},
                    "score": {"type": "integer", "description": "From 0 to 10."},
                },
                "required": ["id", "reason", "score"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["scores"],
    "additionalProperties": False,
}
"""The reason stands before the score, so that the score follows from it."""


class Review:
    """Evaluation and further rounds of one run."""

    def __init__(
        self,
        claude: ClaudeClient,
        run: Run,
        clock: CoordinationClock,
        lead: LeadAgent,
        planning: Planning,
        scheduler: Scheduler,
        workers: Workers,
    ) -> None:
        self._claude = claude
        self._run = run
        self._clock = clock
        self._lead = lead
        self._planning = planning
        self._scheduler = scheduler
        self._workers = workers

    async def improve(self) -> None:
        """Evaluate and review until the lead is content or the rounds are used up."""
        team = self._run.request.team
        results = await self._evaluated(await self._scheduler.join())
        for number in range(2, team.caps.max_rounds + 1):
            if self._planning.full:
                return  # nothing more can be added
            if not await self._lead_adds(number, results):
                return
            results = await self._evaluated(await self._scheduler.join())

    async def _lead_adds(self, number: int, results: tuple[Result, ...]) -> bool:
        before = len(self._planning.subtasks)
        turn = await self._lead.review(results)
        added = tuple(self._planning.subtasks[before:])
        reason = turn.remark.strip() or None
        if isinstance(turn.failure, UpstreamError):
            reason = f"the review failed: {turn.failure.fault.value}"
        reviewed = RoundReviewed(number, added, reason)
        self._run.rounds.append(reviewed)
        await self._run.emit(reviewed)
        self._planning.settle()
        return bool(added)

    async def _evaluated(self, results: tuple[Result, ...]) -> tuple[Result, ...]:
        """Score what has not been scored, and wait for what is done once more."""
        evaluator = self._run.request.team.evaluator
        judged = {score.subtask.id for score in self._run.scores}
        fresh = [it for it in results if isinstance(it, Succeeded) and it.subtask.id not in judged]
        if evaluator is None or not fresh:
            return results
        weak = False
        for score, result in await self._scores(evaluator, fresh):
            self._run.scores.append(score)
            await self._run.emit(score)
            if score.redone:
                weak = True
                self._redo(result, score.reason)
        return await self._scheduler.join() if weak else results

    def _redo(self, weak: Succeeded, feedback: str) -> None:
        async def work(subtask: Subtask, needed: tuple[Result, ...]) -> Result:
            return await self._workers.redo(subtask, needed, weak, feedback)

        self._scheduler.again(weak.subtask, work)

    async def _scores(
        self, evaluator: Evaluator, results: list[Succeeded]
    ) -> list[tuple[ResultScored, Succeeded]]:
        """Return the scores in plan order; what cannot be had is left as it is."""
        limit = self._run.request.team.reduce_above_tokens
        found: list[tuple[ResultScored, Succeeded]] = []
        for batch in batches(results, limit):
            try:
                text, _ = await whole_answer(self._claude, self._call(evaluator, batch))
                found += _read_scores(text, evaluator.min_score, batch)
            except (UpstreamError, NotTheJson) as error:
                _log.warning("results_not_scored", reason=str(error))
        return found

    def _call(self, evaluator: Evaluator, results: list[Succeeded]) -> Call:
        run, conversation = self._run, self._run.conversation
        names = {"min_score": str(evaluator.min_score)}
        turn = evaluator.turn.fill({**names, "results": as_data(results)})
        return Call(
            model=evaluator.model,
            max_tokens=evaluator.max_tokens,
            effort=evaluator.effort,
            system=conversation.system_after(evaluator.system.fill(names)),
            messages=conversation.with_turn(turn),
            output_schema=SCORES_SCHEMA,
            origin=run.origin("evaluator"),
            ledger=run.ledger,
            idle_seconds=run.request.team.deadlines.idle_seconds,
            deadline=self._clock.deadline,
        )


@dataclass(frozen=True, slots=True)
class _Entry:
    id: str
    score: int
    reason: str


def _read_scores(
    text: str, min_score: int, results: list[Succeeded]
) -> list[tuple[ResultScored, Succeeded]]:
    """Return the scores of results there are, in their order; what else the evaluator wrote is
    passed over.
    """
    entries = {entry.id: entry for entry in _entries(read_json(text, None))}
    return [
        (ResultScored(it.subtask, entry.score, entry.reason, entry.score < min_score), it)
        for it in results
        if (entry := entries.get(it.subtask.id)) is not None
    ]


def _entries(value: Any) -> Iterator[_Entry]:
    raw = cast("dict[str, Any]", value).get("scores") if isinstance(value, dict) else None
    for entry in cast("list[Any]", raw) if isinstance(raw, list) else []:
        match entry:
            case {"id": str(name), "score": int() | float() as score, **others}:
                reason = others.get("reason")
                yield _Entry(
                    name,
                    round(min(max(score, 0), MOST)),
                    reason[:REASON_CHARS] if isinstance(reason, str) else "",
                )
            case _:
                pass
