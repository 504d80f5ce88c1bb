"""When a subtask runs: once its dependencies have ended and a place under the run's cap is free.

Every subtask is a task of the run's TaskGroup from the moment it is admitted; waiting costs
nothing. Knows nothing of what a worker does.
"""

import asyncio
from collections.abc import Awaitable, Callable

from orchestrator_worker.orchestration.plan import Subtask
from orchestrator_worker.orchestration.results import Result

Work = Callable[[Subtask, tuple[Result, ...]], Awaitable[Result]]
"""Runs one subtask, given the results it depends on. Must return failures, not raise them."""


class Scheduler:
    """The subtasks of one run and the tasks that carry them."""

    def __init__(self, tasks: asyncio.TaskGroup, work: Work, max_concurrent: int) -> None:
        self._group = tasks
        self._work = work
        self._places = asyncio.Semaphore(max_concurrent)
        self._tasks: dict[str, asyncio.Task[Result]] = {}
        self._subtasks: dict[str, Subtask] = {}

    @property
    def subtasks(self) -> tuple[Subtask, ...]:
        """All admitted, in plan order."""
        return tuple(self._subtasks.values())

    def add(self, subtask: Subtask) -> None:
        """Start `subtask` as soon as it can; its dependencies must have been added before."""
        self._subtasks[subtask.id] = subtask
        self._tasks[subtask.id] = self._group.create_task(self._run(subtask), name=subtask.id)

    async def _run(self, subtask: Subtask) -> Result:
        needed = [self._tasks[name] for name in subtask.depends_on]
        if needed:
            # wait, not gather: this subtask's cancellation is not its dependencies'.
            await asyncio.wait(needed)
        async with self._places:
            return await self._work(subtask, tuple(task.result() for task in needed))

    async def join(self) -> None:
        """Wait until every subtask has ended; cancelling the wait cancels them all, and waits for
        that too.
        """
        await asyncio.gather(*self._tasks.values())

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

    def results(self, unfinished: Callable[[Subtask], Result]) -> tuple[Result, ...]:
        """Return the results in plan order; `unfinished` makes those of cancelled subtasks."""
        return tuple(
            unfinished(subtask) if task.cancelled() else task.result()
            for subtask, task in zip(self._subtasks.values(), self._tasks.values(), strict=True)
        )
