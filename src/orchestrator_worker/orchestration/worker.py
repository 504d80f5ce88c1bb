"""A worker: the calls for one subtask, and the boundary where failures become values.

A subtask gets one call (which the client below retries by itself); if what comes of it cannot be
used, one more on the next tier; then it has failed.
"""

import asyncio
from dataclasses import dataclass, replace
from decimal import Decimal

import structlog

from orchestrator_worker.claude.client import (
    Call,
    ClaudeClient,
    MessageStarted,
    MessageStopped,
    TextDelta,
)
from orchestrator_worker.claude.ledger import total_cost
from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.clock import loop_time, stopwatch
from orchestrator_worker.errors import UpstreamError, UpstreamFault
from orchestrator_worker.orchestration.brief import redo_turn, worker_turn
from orchestrator_worker.orchestration.deadlines import CoordinationClock
from orchestrator_worker.orchestration.events import (
    WorkerEscalated,
    WorkerFinished,
    WorkerStarted,
)
from orchestrator_worker.orchestration.json_results import NotTheJson, compact_json
from orchestrator_worker.orchestration.plan import Subtask
from orchestrator_worker.orchestration.prefix import SharedPrefix
from orchestrator_worker.orchestration.results import (
    ANSWER_FULL,
    UNREADABLE,
    Failed,
    Result,
    Skipped,
    Succeeded,
    TimedOut,
)
from orchestrator_worker.orchestration.run import Run
from orchestrator_worker.orchestration.voice import Voice

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
    UpstreamFault.BAD_INPUT: UNREADABLE,
    UpstreamFault.CONTEXT_LENGTH: "it is longer than the model can read",
}
CUT_SHORT = frozenset({"max_tokens", "model_context_window_exceeded", "pause_turn"})
"""Stop reasons of a text that would have gone on."""
_SAME_ON_EVERY_TIER = {
    UpstreamFault.AUTHENTICATION,
    UpstreamFault.BAD_INPUT,
    UpstreamFault.CONNECTION,
    UpstreamFault.SPEND_LIMIT,
}


@dataclass(frozen=True, slots=True)
class _Unusable(Exception):
    """What a worker's call came to cannot be a result."""

    reason: str
    another_model: bool
    """Whether the next tier may do better."""
    refused: bool = False


class Workers:
    """Runs a run's subtasks; `work` is what the scheduler calls."""

    def __init__(
        self,
        claude: ClaudeClient,
        run: Run,
        clock: CoordinationClock,
        prefix: SharedPrefix,
        voice: Voice,
    ) -> None:
        self._claude = claude
        self._run = run
        self._clock = clock
        self._prefix = prefix
        self._voice = voice
        self._team = run.request.team
        self._sent: dict[str, float] = {}
        self._finished: set[str] = set()
        self._needed: dict[str, asyncio.Timeout] = {}
        """What ends the work on a subtask when its result is not needed any more."""
        voice.when_full(self._stop)
        self.planned: int | None = None
        """Subtasks in all, once the plan is closed."""
        self._expected = 0

    def expect(self, subtasks: int) -> None:
        """Note how many subtasks there are at least."""
        self._expected = max(self._expected, subtasks)

    async def work(self, subtask: Subtask, needed: tuple[Result, ...]) -> Result:
        """Run one subtask; only cancellation is raised."""
        if reason := self._in_vain(needed):
            result: Result = Skipped(subtask, 0.0, Usage(), Decimal(0), reason=reason)
        else:
            result = await self._guarded(subtask, worker_turn(self._team, subtask, needed))
        return result

    async def redo(
        self, subtask: Subtask, needed: tuple[Result, ...], weak: Succeeded, feedback: str
    ) -> Result:
        """Run a subtask once more after feedback; the weak result stays if no better one comes."""
        turn = redo_turn(self._team, subtask, needed, weak, feedback)
        result = await self._guarded(subtask, turn, "second try after evaluation")
        if not isinstance(result, Succeeded):
            seconds, usage, cost_usd = self._spent(subtask)
            result = replace(weak, seconds=seconds, usage=usage, cost_usd=cost_usd)
        return result

    async def finished(self, result: Result) -> None:
        """Tell the run that a subtask has ended."""
        await self._voice.ended(result)
        self._finished.add(result.subtask.id)
        await self._run.emit(WorkerFinished(result, len(self._finished), self.planned))

    def reported(self, result: Result) -> bool:
        """Whether the run has been told of this subtask's end."""
        return result.subtask.id in self._finished

    def unfinished(self, subtask: Subtask) -> Result:
        """Return the result of a subtask that the deadline stopped."""
        seconds = self._team.deadlines
        heard = self._voice.is_alone and self._voice.has_spoken(subtask)
        limit = seconds.direct_answer_seconds if heard else seconds.coordination_seconds
        if subtask.id in self._sent:
            return TimedOut(subtask, *self._spent(subtask), reason=f"not done after {limit:g} s")
        return Skipped(subtask, 0.0, Usage(), Decimal(0), reason=f"not begun after {limit:g} s")

    def _in_vain(self, needed: tuple[Result, ...]) -> str | None:
        """Return why a subtask is not worth sending, if so."""
        if self._voice.full:
            return ANSWER_FULL
        missing = [result for result in needed if not isinstance(result, Succeeded)]
        if missing and self._team.missing_dependency == "skip":
            return f"it needs “{missing[0].subtask.title}”, which is missing"
        return None

    async def _guarded(self, subtask: Subtask, turn: str, purpose: str | None = None) -> Result:
        self._sent.setdefault(subtask.id, stopwatch())
        model = self._team.model_of(subtask.tier)
        refused = False
        await self._run.emit(WorkerStarted(subtask, model))
        try:
            async with asyncio.timeout(None) as self._needed[subtask.id]:
                return await self._try_tiers(subtask, turn, model, purpose)
        except _Unusable as failure:
            reason, refused = failure.reason, failure.refused
        except TimeoutError:
            reason = ANSWER_FULL
        except Exception:  # noqa: BLE001 - the worker boundary: a bug here must cost one part, not the answer
            _log.exception("worker_crashed", subtask_id=subtask.id)
            reason = "internal error"
        finally:
            del self._needed[subtask.id]
        return Failed(subtask, *self._spent(subtask), reason=reason, refused=refused)

    def _stop(self) -> None:
        for needed in self._needed.values():
            needed.reschedule(loop_time())

    async def _try_tiers(
        self, subtask: Subtask, turn: str, model: str, purpose: str | None
    ) -> Result:
        try:
            return await self._attempt(subtask, turn, model, purpose)
        except _Unusable as failure:
            above = self._team.tier_above(model)
            if above is None or not failure.another_model or self._voice.has_spoken(subtask):
                raise
            self._voice.forget(subtask)
            await self._run.emit(WorkerEscalated(subtask, failure.reason, above.model))
        return await self._attempt(subtask, turn, above.model, f"second try on {above.name}")

    async def _attempt(
        self, subtask: Subtask, turn: str, model: str, purpose: str | None
    ) -> Result:
        call = self._call(subtask, turn, model, purpose)
        try:
            async with self._prefix.admitted(call) as shared:
                text, stop_reason = await self._ask(subtask, shared)
        except UpstreamError as error:
            reason = _REASONS.get(error.fault, "the model provider failed")
            raise _Unusable(reason, error.fault not in _SAME_ON_EVERY_TIER) from error
        return self._judged(subtask, text, stop_reason)

    async def _ask(self, subtask: Subtask, call: Call) -> tuple[str, str]:
        pieces: list[str] = []
        stop_reason = ""
        async with self._claude.stream(call) as events:
            async for event in events:
                match event:
                    case TextDelta(text):
                        pieces.append(text)
                        await self._voice.wrote(subtask, text)
                    case MessageStarted():
                        self._prefix.begun(call)
                    case MessageStopped():
                        stop_reason = event.stop_reason
                    case _:
                        pass
        return "".join(pieces).strip(), stop_reason

    def _call(self, subtask: Subtask, turn: str, model: str, purpose: str | None) -> Call:
        run, worker = self._run, self._team.worker
        conversation = run.conversation
        return Call(
            model=model,
            max_tokens=self._max_tokens(),
            effort=worker.effort,
            system=conversation.system_after(worker.system.text),
            messages=conversation.with_turn(turn),
            origin=run.origin("worker", subtask, purpose),
            ledger=run.ledger,
            idle_seconds=self._team.deadlines.idle_seconds,
            deadline=self._clock.deadline,
        )

    def _max_tokens(self) -> int:
        # A subtask that is still the only one may be the answer that the caller has put a cap on;
        # of sections, none can be longer than all together.
        own, cap = self._team.worker.max_tokens, self._run.request.max_tokens
        unformed = self._run.request.form is None
        only = self._expected == 1 and self._team.one_worker_answers and unformed
        may_answer = only or self._team.synthesis == "sections"
        return min(own, cap) if may_answer and cap is not None else own

    def _judged(self, subtask: Subtask, text: str, stop_reason: str) -> Result:
        if stop_reason == "refusal":
            raise _Unusable("the model declined it", another_model=False, refused=True)
        if not text:
            raise _Unusable("empty answer", another_model=True)
        truncated = stop_reason in CUT_SHORT or len(text) > MAX_RESULT_CHARS
        text = text[:MAX_RESULT_CHARS]
        if subtask.output == "json":
            text = self._as_json(subtask, text)
        return Succeeded(subtask, *self._spent(subtask), text=text, truncated=truncated)

    def _as_json(self, subtask: Subtask, text: str) -> str:
        kind = self._team.types.get(subtask.type or "")
        try:
            return compact_json(text, kind.schema if kind else None)
        except NotTheJson as error:
            raise _Unusable(str(error), another_model=True) from error

    def _spent(self, subtask: Subtask) -> tuple[float, Usage, Decimal | None]:
        own = [a for a in self._run.ledger.attempts if a.subtask_id == subtask.id]
        usage = sum((attempt.usage for attempt in own), Usage())
        seconds = stopwatch() - self._sent[subtask.id]
        return seconds, usage, total_cost(attempt.cost_usd for attempt in own)
