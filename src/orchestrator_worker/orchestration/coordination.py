"""The first phase of a run: the lead answers or plans, the workers run, the results are reviewed,
all before one deadline.

Puts the phase's parts together and says what it has come to; what the answer is made of them is
decided in `answer.py`.
"""

import asyncio

from orchestrator_worker.claude.client import ClaudeClient
from orchestrator_worker.clock import stopwatch
from orchestrator_worker.errors import PhaseTimeout, UpstreamError, UpstreamFault
from orchestrator_worker.orchestration.deadlines import CoordinationClock
from orchestrator_worker.orchestration.lead import LeadAgent, LeadTurn
from orchestrator_worker.orchestration.places import ProcessPlaces
from orchestrator_worker.orchestration.planning import Planning
from orchestrator_worker.orchestration.prefix import RecentPrompts, SharedPrefix
from orchestrator_worker.orchestration.review import Review
from orchestrator_worker.orchestration.run import Run
from orchestrator_worker.orchestration.scheduler import Scheduler
from orchestrator_worker.orchestration.voice import Voice
from orchestrator_worker.orchestration.worker import Workers


class Coordination:
    """The lead and the workers of one run."""

    def __init__(
        self, claude: ClaudeClient, run: Run, places: ProcessPlaces, recent: RecentPrompts
    ) -> None:
        self._claude = claude
        self._run = run
        self._places = places
        self._recent = recent
        self._clock = CoordinationClock(run.request.team.deadlines, run.started)
        self.turn = LeadTurn()
        """The lead's first turn; untouched where the team has listed its plan itself."""
        self.voice = Voice(run, self._clock)

    @property
    def declined(self) -> bool:
        """True when the lead refused, in its text or in the middle of its plan."""
        return self.turn.stop_reason == "refusal"

    @property
    def planned(self) -> bool:
        """True when there is a plan, so that the answer is made of results."""
        return self.turn.delegated and not self.declined

    async def run(self) -> None:
        """Coordinate until everything has ended or the deadline has passed.

        Raises:
            UpstreamError, PhaseTimeout: the lead has left nothing to go on with.
        """
        began = stopwatch()
        run = self._run
        async with asyncio.TaskGroup() as tasks:
            prefix = SharedPrefix(self._claude, run, tasks)
            workers = Workers(self._claude, run, self._clock, prefix, self.voice)
            concurrent = run.request.team.caps.max_concurrent_workers
            scheduler = Scheduler(tasks, workers.work, workers.finished, concurrent, self._places)
            planning = Planning(run, scheduler, workers, self.voice, prefix)
            lead = LeadAgent(self._claude, run, self._clock, planning, self._recent)
            self.voice.when_full(lead.stop)
            try:
                async with self._clock:
                    await self._work(lead, planning, scheduler, workers)
            except TimeoutError:
                run.timed_out = True
                await lead.say_held(self.turn)
                if planning.reading:
                    run.omissions.append("the rest of the plan, which was not finished in time")
                planning.settle()
                await scheduler.stop()
            prefix.close()
        run.coordination_seconds = stopwatch() - began
        run.results = scheduler.results(workers.unfinished)
        for result in run.results:
            if not workers.reported(result):
                await workers.finished(result)
        self._raise_if_lost()

    async def _work(
        self, lead: LeadAgent, planning: Planning, scheduler: Scheduler, workers: Workers
    ) -> None:
        if lead.route == "fixed":
            self.turn.delegated = True
            await planning.take_fixed()
        else:
            await lead.consult(self.turn)
        if self.declined:
            await scheduler.withdraw()  # nobody works on what the lead declines
        elif self.planned and not self._run.request.plan_only:
            await scheduler.join()
            if not self.voice.is_alone and not self.voice.full:
                review = Review(
                    self._claude, self._run, self._clock, lead, planning, scheduler, workers
                )
                await review.improve()

    def _raise_if_lost(self) -> None:
        """Raise when the lead has left nothing to go on with."""
        run, turn = self._run, self.turn
        if run.results or run.plan:
            return  # a plan that was cut off still has its closed subtasks
        answered = turn.answering or turn.calling or run.stopped
        if run.timed_out and not answered:
            raise self.timeout()
        if turn.failure is not None:
            raise turn.failure
        if turn.stop_reason not in {None, "refusal"} and not answered:
            raise UpstreamError(UpstreamFault.MALFORMED)  # an empty answer is none

    def timeout(self) -> PhaseTimeout:
        """Return the error for a phase that has passed its deadline with nothing to show."""
        return PhaseTimeout("coordination", self._run.request.team.deadlines.coordination_seconds)
