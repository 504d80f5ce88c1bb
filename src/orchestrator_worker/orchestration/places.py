"""Who may work next, when more are ready than may run at once.

The run's own places go by the longest path: first the subtask that the longest chain of others
waits for, then the one that was ready first. Above them stand the places of the process, first
come, first served.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class ProcessPlaces:
    """Workers in flight over all runs of a process."""

    def __init__(self, count: int) -> None:
        self._places = asyncio.Semaphore(count)

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[None]:
        """Hold a place."""
        async with self._places:
            yield


class RunPlaces:
    """Workers in flight of one run, and the line of those that wait for a place."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._early: dict[str, asyncio.Future[None]] = {}
        """Turns of those who were put in line and have not come yet."""
        self._height: dict[str, int] = {}
        """Links in the longest chain of subtasks that wait for each, in plan order."""
        self._needs: dict[str, tuple[str, ...]] = {}
        self._needed_by: dict[str, list[str]] = {}
        self._lacks: dict[str, int] = {}
        """How many of its needs are not done."""
        self._done: set[str] = set()

    def expect(self, name: str, needs: tuple[str, ...]) -> None:
        """Note that `name` will want a place, once those it `needs` are done."""
        self._height[name] = 0
        self._needs[name] = needs
        lacking = {need for need in needs if need not in self._done}
        self._lacks[name] = len(lacking)
        for need in lacking:
            self._needed_by.setdefault(need, []).append(name)
        rising = [name]
        while rising:
            below = rising.pop()
            for above in self._needs[below]:
                if self._height[above] <= self._height[below]:
                    self._height[above] = self._height[below] + 1
                    rising.append(above)

    @asynccontextmanager
    async def one(self, name: str) -> AsyncGenerator[None]:
        """Hold a place."""
        await self._take(name)
        try:
            yield
        finally:
            self._line_up_dependents(name)
            self._give_back()

    async def _take(self, name: str) -> None:
        turn = self._early.pop(name, None)
        if turn is None:
            turn = self._line_up(name)
            self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if self._waiting.pop(name, None) is None:  # the place was already ours
                self._give_back()
            raise

    def _line_up(self, name: str) -> asyncio.Future[None]:
        turn = self._waiting[name] = asyncio.get_running_loop().create_future()
        return turn

    def _line_up_dependents(self, done: str) -> None:
        """Put those in line who have waited for `done` alone: they hear of its end only after its
        place has gone to somebody else.
        """
        self._done.add(done)
        for name in self._needed_by.pop(done, ()):
            self._lacks[name] -= 1
            if not self._lacks[name]:
                self._early[name] = self._line_up(name)

    def _give_back(self) -> None:
        self._free += 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._free and self._waiting:
            first = max(self._waiting, key=self._height.__getitem__)  # of equals, who came first
            self._free -= 1
            self._waiting.pop(first).set_result(None)
