"""When a subtask runs: once its dependencies have ended and there is a place for it.

Every subtask is a task of the run's TaskGroup from the moment it is admitted; waiting costs
nothing. Knows nothing of what a worker does.
"""

import asyncio
from collections.abc import Awaitable, Callable

from orchestrator_worker.orchestration.places import ProcessPlaces, RunPlaces
from orchestrator_worker.orchestration.plan import Subtask
from orchestrator_worker.orchestration.results import Result

Work = Callable[[Subtask, tuple[Result, ...]], Awaitable[Result]]
"""Runs one subtask, given the results it depends on. Must return failures, not raise them."""
Tell = Callable[[Result], Awaitable[None]]
"""Hears of each result; may take its time."""


class Scheduler:
    """The subtasks of one run and the tasks that carry them."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        work: Work,
        tell: Tell,
        max_concurrent: int,
        process: ProcessPlaces,
    ) -> None:
        self._group = tasks
        self._work = work
        self._tell = tell
        self._places = RunPlaces(max_concurrent)
        self._process = process
        self._tasks: dict[str, asyncio.Task[Result]] = {}
        self._subtasks: dict[str, Subtask] = {}
        self._done: dict[str, Result] = {}
        """The last result of each; there before anybody is told, so that being slow to hear of it
        cannot cost it.
        """

    @property
    def subtasks(self) -> tuple[Subtask, ...]:
        """All admitted, in plan order."""
        return tuple(self._subtasks.values())

    def add(self, subtask: Subtask) -> None:
        """Start `subtask` as soon as it can; its dependencies must have been added before."""
        self._subtasks[subtask.id] = subtask
        self._places.expect(subtask.id, subtask.depends_on)
        self._tasks[subtask.id] = self._start(subtask, self._work)

    def again(self, subtask: Subtask, work: Work) -> None:
        """Run a subtask that has ended once more; what `work` returns takes its result's place."""
        self._tasks[subtask.id] = self._start(subtask, work)

    def _start(self, subtask: Subtask, work: Work) -> asyncio.Task[Result]:
        needed = [self._tasks[name] for name in subtask.depends_on]
        return self._group.create_task(self._run(subtask, needed, work), name=subtask.id)

    async def _run(
        self, subtask: Subtask, needed: list[asyncio.Task[Result]], work: Work
    ) -> Result:
        if needed:
            # wait, not gather: this subtask's cancellation is not its dependencies'.
            await asyncio.wait(needed)
        async with self._places.one(subtask.id), self._process.one():
            result = await work(subtask, tuple(task.result() for task in needed))
            self._done[subtask.id] = result
            await self._tell(result)
            return result

    async def join(self) -> tuple[Result, ...]:
        """Wait until every subtask has ended and return the results in plan order; cancelling the
        wait cancels them all, and waits for that too.
        """
        return tuple(await asyncio.gather(*self._tasks.values()))

    async def stop(self) -> None:
        """Cancel what still runs and wait until it is gone."""
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    async def withdraw(self) -> None:
        """Stop everything and forget it, as if nothing had been planned."""
        await self.stop()
        self._tasks.clear()
        self._subtasks.clear()
        self._done.clear()

    def results(self, unfinished: Callable[[Subtask], Result]) -> tuple[Result, ...]:
        """Return the results in plan order; `unfinished` makes those that there are none of."""
        return tuple(self._done.get(it.id) or unfinished(it) for it in self._subtasks.values())
