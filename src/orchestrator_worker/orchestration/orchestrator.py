"""The way of one request, from the caller's conversation to the last word of the answer.

    run ─ coordinate ─ lead ── text ──────────────────────────────▶ the answer (direct)
            │            └──── plan ─▶ gate ─▶ scheduler ─▶ workers
            └ deadline                                        │ results
          answer ◀───────────── synthesizer ◀─────────────────┘

`Orchestrator.run` is an async context manager: one owner task does the work and writes events to a
bounded queue, the block reads them, and leaving the block ends every task and closes every upstream
connection. Above it stand the surfaces (`api/`, later durable runs); below it the agents of this
package, and Claude behind a Protocol. It knows no HTTP and no Anthropic type.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from orchestrator_worker.claude.client import ClaudeClient
from orchestrator_worker.clock import stopwatch
from orchestrator_worker.errors import AllWorkersFailed, PhaseTimeout, UpstreamError, UpstreamFault
from orchestrator_worker.orchestration.deadlines import CoordinationClock
from orchestrator_worker.orchestration.events import RunFinished, RunStarted
from orchestrator_worker.orchestration.lead import LeadAgent, LeadTurn, Planning
from orchestrator_worker.orchestration.results import Succeeded, TimedOut, as_answer
from orchestrator_worker.orchestration.run import Run, RunRequest
from orchestrator_worker.orchestration.scheduler import Scheduler
from orchestrator_worker.orchestration.synthesizer import SynthesizerAgent
from orchestrator_worker.orchestration.worker import Workers

CUT = "max_tokens"
"""The stop reason of an answer that a deadline ended: to the caller it was cut at a length."""


class Orchestrator:
    """Runs teams. Holds no state of its own, so one object serves all requests of a process."""

    def __init__(self, claude: ClaudeClient) -> None:
        self._claude = claude

    @asynccontextmanager
    async def run(self, request: RunRequest) -> AsyncGenerator[Run]:
        """Start a run; iterate what this yields for its events.

        Raises (while iterating):
            UpstreamError, PhaseTimeout, AllWorkersFailed: there is no answer, or it broke off.
        """
        run = Run(request)
        # The one task that no TaskGroup owns: a yield inside a TaskGroup would cancel its consumer
        # (PEP 789).
        owner = asyncio.get_running_loop().create_task(self._own(run), name=run.id)
        try:
            yield run
        finally:
            owner.cancel()
            await asyncio.wait([owner])

    async def _own(self, run: Run) -> None:
        failure: Exception | None = None
        try:
            await self._execute(run)
        except Exception as error:  # noqa: BLE001 - the run's edge: whatever it is, the reader must learn of it
            failure = error
        await run.end(failure)

    async def _execute(self, run: Run) -> None:
        await run.emit(RunStarted(run.id))
        turn = LeadTurn()
        spoken = await self._coordinate(run, turn)
        if not turn.delegated or turn.stop_reason == "refusal":
            run.stop_reason = _reason_of_text(turn)
        elif spoken and (run.timed_out or isinstance(run.results[0], Succeeded)):
            run.stop_reason = await self._close_spoken(run)
        elif any(isinstance(result, Succeeded) for result in run.results):
            run.stop_reason = await self._synthesize(run)
        elif run.timed_out:
            raise _coordination_timeout(run)
        else:
            raise AllWorkersFailed([result.reason or "" for result in run.results])
        await run.emit(RunFinished(run.stop_reason))

    async def _coordinate(self, run: Run, turn: LeadTurn) -> bool:
        """Let the lead answer or plan, and run the plan, until the phase's deadline.

        Returns True when a plan's only worker has already given the answer.
        """
        began = stopwatch()
        team = run.request.team
        clock = CoordinationClock(team.deadlines, run.started)
        workers = Workers(self._claude, run, clock)
        async with asyncio.TaskGroup() as tasks:
            scheduler = Scheduler(tasks, workers.work, team.caps.max_concurrent_workers)
            planning = Planning(run, scheduler, workers)
            try:
                async with clock:
                    await LeadAgent(self._claude, run, clock).consult(turn, planning)
                    if turn.stop_reason == "refusal":
                        await scheduler.withdraw()  # nobody works on what the lead declines
                    await scheduler.join()
            except TimeoutError:
                run.timed_out = True
                if turn.delegated and workers.planned is None:
                    run.omissions.append("the rest of the plan, which was not finished in time")
                await scheduler.stop()
        run.coordination_seconds = stopwatch() - began
        run.results = scheduler.results(workers.unfinished)
        await self._report_unfinished(run, workers)
        _raise_if_lost(run, turn)
        return workers.spoke

    async def _report_unfinished(self, run: Run, workers: Workers) -> None:
        for result in run.results:
            if result.outcome in {TimedOut.outcome, "skipped"}:
                await workers.finished(result)

    async def _close_spoken(self, run: Run) -> str:
        """End an answer that a plan's only worker has given; returns why it stopped."""
        await SynthesizerAgent(self._claude, run).name_gaps((), continuing=True)
        (result,) = run.results
        whole = isinstance(result, Succeeded) and not result.truncated
        return "end_turn" if whole and not run.timed_out else CUT

    async def _synthesize(self, run: Run) -> str:
        """Turn the results into the answer; returns why it stopped."""
        began = stopwatch()
        run.answered_by = "synthesizer"
        writer = SynthesizerAgent(self._claude, run)
        try:
            return await self._write_answer(run, writer)
        finally:
            run.synthesis_seconds = stopwatch() - began

    async def _write_answer(self, run: Run, writer: SynthesizerAgent) -> str:
        timeout_seconds = run.request.team.deadlines.synthesis_seconds
        try:
            async with asyncio.timeout(timeout_seconds):
                stop_reason = await writer.write(run.results)
            if not writer.wrote:
                raise UpstreamError(UpstreamFault.MALFORMED)  # an empty answer is none
        except TimeoutError:
            if not writer.wrote:
                raise PhaseTimeout("synthesis", timeout_seconds) from None
            run.timed_out = True
            stop_reason = CUT
        except UpstreamError:
            if writer.wrote:
                raise
            run.unwritten = True
            run.answered_by = "worker"
            await writer.say_results(as_answer(run.results))
            stop_reason = "end_turn"
        await writer.name_gaps(run.results)
        return stop_reason


def _reason_of_text(turn: LeadTurn) -> str:
    """Return why the lead's own text ended; a call of a tool that does not exist is no reason."""
    return "end_turn" if turn.stop_reason == "tool_use" else turn.stop_reason or CUT


def _raise_if_lost(run: Run, turn: LeadTurn) -> None:
    """Raise when the lead has left nothing to go on with."""
    if run.results:
        return  # a plan that was cut off still has its closed subtasks
    if turn.failure is not None:
        raise turn.failure
    if turn.stop_reason not in {None, "refusal"} and not turn.answering:
        raise UpstreamError(UpstreamFault.MALFORMED)  # an empty answer is none
    if run.timed_out and not turn.answering:
        raise _coordination_timeout(run)


def _coordination_timeout(run: Run) -> PhaseTimeout:
    return PhaseTimeout("coordination", run.request.team.deadlines.coordination_seconds)
