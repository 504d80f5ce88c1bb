"""A worker: one call for one subtask, and the boundary where failures become values."""

import asyncio
from decimal import Decimal

import structlog

from orchestrator_worker.claude.client import Call, ClaudeClient, MessageStopped, TextDelta
from orchestrator_worker.claude.ledger import total_cost
from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.clock import stopwatch
from orchestrator_worker.errors import UpstreamError, UpstreamFault
from orchestrator_worker.orchestration.deadlines import CoordinationClock
from orchestrator_worker.orchestration.events import AnswerDelta, WorkerFinished, WorkerStarted
from orchestrator_worker.orchestration.plan import Subtask
from orchestrator_worker.orchestration.results import (
    Failed,
    Result,
    Skipped,
    Succeeded,
    TimedOut,
    as_data,
)
from orchestrator_worker.orchestration.run import Run

_log = structlog.stdlib.get_logger(__name__)

MAX_RESULT_CHARS = 400_000
"""About 100k tokens: one worker must not be able to fill the synthesizer's window."""


_REASONS = {
    UpstreamFault.OVERLOADED: "the model provider is overloaded",
    UpstreamFault.RATE_LIMITED: "the model provider's rate limit is reached",
    UpstreamFault.SPEND_LIMIT: "the spend limit at the model provider is reached",
    UpstreamFault.CONNECTION: "the model provider cannot be reached",
    UpstreamFault.TRUNCATED: "its answer broke off",
    UpstreamFault.SILENT: "the model provider stopped answering",
    UpstreamFault.AUTHENTICATION: "the model provider refuses this service's key",
    UpstreamFault.REJECTED: "the model provider refuses the request",
}


def _in_words(fault: UpstreamFault) -> str:
    return _REASONS.get(fault, "the model provider failed")


class Workers:
    """Runs a run's subtasks; `work` is what the scheduler calls."""

    def __init__(self, claude: ClaudeClient, run: Run, clock: CoordinationClock) -> None:
        self._claude = claude
        self._run = run
        self._clock = clock
        self._sent: dict[str, float] = {}
        self._finished = 0
        self._voice: str | None = None
        self._unsaid: dict[str, list[str]] = {}
        """What each worker has written and nobody has passed on, by subtask."""
        self._saying = asyncio.Lock()
        self.spoke = False
        """True once a worker's own text has gone to the caller."""
        self.planned: int | None = None
        """Subtasks in all, once the plan is closed."""

    async def work(self, subtask: Subtask, needed: tuple[Result, ...]) -> Result:
        """Run one subtask; only cancellation is raised."""
        self._sent[subtask.id] = stopwatch()
        await self._run.emit(WorkerStarted(subtask, self._run.request.team.worker.model))
        try:
            text, stop_reason = await self._ask(subtask, needed)
        except UpstreamError as error:
            result: Result = self._failed(subtask, _in_words(error.fault))
        except Exception:  # noqa: BLE001 - the worker boundary: a bug here must cost one part, not the answer
            _log.exception("worker_crashed", subtask_id=subtask.id)
            result = self._failed(subtask, "internal error")
        else:
            result = self._judged(subtask, text, stop_reason)
        await self.finished(result)
        return result

    async def finished(self, result: Result) -> None:
        """Tell the run that a subtask has ended."""
        self._finished += 1
        await self._run.emit(WorkerFinished(result, self._finished, self.planned))

    async def give_voice(self, subtask: Subtask) -> None:
        """Pass this worker's text on as the answer, what it has written so far and what follows.

        Passed-on text is final: whatever becomes of the worker, it is not taken back.
        """
        self._voice = subtask.id
        self._run.answered_by = "worker"
        await self._say(subtask)

    async def _say(self, subtask: Subtask) -> None:
        async with self._saying:  # two may want to, and the text must stay in order
            pieces = self._unsaid.get(subtask.id, [])
            text = "".join(pieces)
            pieces.clear()
            if not text:
                return
            if not self.spoke:
                self.spoke = True
                self._clock.answer_began()
            await self._run.emit(AnswerDelta(text))

    def unfinished(self, subtask: Subtask) -> Result:
        """Return the result of a subtask that the deadline stopped."""
        limit = self._run.request.team.deadlines.coordination_seconds
        if subtask.id in self._sent:
            return TimedOut(subtask, *self._spent(subtask), reason=f"not done after {limit:g} s")
        return Skipped(subtask, 0.0, Usage(), Decimal(0), reason=f"not begun after {limit:g} s")

    async def _ask(self, subtask: Subtask, needed: tuple[Result, ...]) -> tuple[str, str]:
        pieces: list[str] = []
        unsaid = self._unsaid.setdefault(subtask.id, [])
        stop_reason = ""
        async with self._claude.stream(self._call(subtask, needed)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    pieces.append(event.text)
                    unsaid.append(event.text)
                    if self._voice == subtask.id:
                        await self._say(subtask)
                elif isinstance(event, MessageStopped):
                    stop_reason = event.stop_reason
        return "".join(pieces).strip(), stop_reason

    def _call(self, subtask: Subtask, needed: tuple[Result, ...]) -> Call:
        run, worker = self._run, self._run.request.team.worker
        conversation = run.request.conversation
        turn = worker.turn.fill(
            {
                "id": subtask.id,
                "title": subtask.title,
                "instructions": subtask.instructions,
                "results": as_data(needed),
            }
        )
        return Call(
            model=worker.model,
            max_tokens=self._max_tokens(subtask),
            effort=worker.effort,
            system=(worker.system.text, *conversation.system),
            messages=conversation.with_turn(turn.strip()),
            origin=run.origin("worker", subtask),
            ledger=run.ledger,
            idle_seconds=run.request.team.deadlines.idle_seconds,
            deadline=self._clock.deadline,
        )

    def _max_tokens(self, subtask: Subtask) -> int:
        # The first subtask may turn out to be the only one, and its text the answer that the
        # caller has put a cap on.
        own, cap = self._run.request.team.worker.max_tokens, self._run.request.max_tokens
        may_answer = cap is not None and next(iter(self._sent)) == subtask.id
        return min(own, cap) if may_answer and cap is not None else own

    def _judged(self, subtask: Subtask, text: str, stop_reason: str) -> Result:
        if stop_reason == "refusal":
            return self._failed(subtask, "the model declined it")
        if not text:
            return self._failed(subtask, "empty answer")
        truncated = stop_reason == "max_tokens" or len(text) > MAX_RESULT_CHARS
        return Succeeded(
            subtask, *self._spent(subtask), text=text[:MAX_RESULT_CHARS], truncated=truncated
        )

    def _failed(self, subtask: Subtask, reason: str) -> Result:
        return Failed(subtask, *self._spent(subtask), reason=reason)

    def _spent(self, subtask: Subtask) -> tuple[float, Usage, Decimal | None]:
        own = [a for a in self._run.ledger.attempts if a.subtask_id == subtask.id]
        usage = sum((attempt.usage for attempt in own), Usage())
        seconds = stopwatch() - self._sent[subtask.id]
        return seconds, usage, total_cost(attempt.cost_usd for attempt in own)
