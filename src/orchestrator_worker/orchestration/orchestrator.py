"""The way of one request, from the caller's conversation to the last word of the answer.

    run ─ coordinate ─ lead ── text ──────────────────────────────▶ the answer (direct)
            │            └──── plan ─▶ gate ─▶ scheduler ─▶ workers ─▶ review
            └ deadline                                        │ results
          answer ◀── synthesizer, or the workers' own text ◀──┘

`Orchestrator.run` is an async context manager: one owner task does the work and writes events to a
bounded queue, the block reads them, and leaving the block ends every task and closes every upstream
connection. Above it stand the surfaces (`api/`, later durable runs); below it the agents of this
package, and Claude behind a Protocol. It knows no HTTP and no Anthropic type.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from orchestrator_worker.claude.client import ClaudeClient
from orchestrator_worker.errors import OrchestratorError
from orchestrator_worker.orchestration.answer import Answer
from orchestrator_worker.orchestration.coordination import Coordination
from orchestrator_worker.orchestration.events import RefusalDelta, RunFinished, RunStarted
from orchestrator_worker.orchestration.places import ProcessPlaces
from orchestrator_worker.orchestration.prefix import RecentPrompts
from orchestrator_worker.orchestration.run import Run, RunRequest


class Orchestrator:
    """Runs teams; one object serves all requests of a process, and holds what their
    runs share: the places of workers, and which prompts were used lately.
    """

    def __init__(self, claude: ClaudeClient, max_workers: int) -> None:
        self._claude = claude
        self._places = ProcessPlaces(max_workers)
        self._recent = RecentPrompts()

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
            if isinstance(error, OrchestratorError) and run.has_results:
                error.retryable = False  # a client's own retry would pay for the workers again
            await run.fall_silent()
        run.end(failure)

    async def _execute(self, run: Run) -> None:
        await run.emit(RunStarted(run.id))
        coordination = Coordination(self._claude, run, self._places, self._recent)
        await coordination.run()
        run.stop_reason = await Answer(self._claude, run).give(coordination)
        await run.fall_silent()
        if run.stop_reason == "refusal" and run.request.form is not None:
            await run.emit(RefusalDelta(run.refusal or ""))
        await run.emit(RunFinished(run.stop_reason))
