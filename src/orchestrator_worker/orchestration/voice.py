"""Workers' own text as the answer: passed on in plan order, the first one live, later ones held
back until their turn.

Used for a plan of one subtask and, from the first subtask on, for teams whose synthesis is
`sections`. What has been passed on is final: whoever has spoken is not tried again.
"""

import asyncio
from collections.abc import Callable

from orchestrator_worker.claude.tokens import BYTES_PER_TOKEN
from orchestrator_worker.orchestration.deadlines import CoordinationClock
from orchestrator_worker.orchestration.plan import Subtask
from orchestrator_worker.orchestration.results import Result, Succeeded, gaps
from orchestrator_worker.orchestration.run import Run


class Voice:
    """What the caller hears of a run's workers."""

    def __init__(self, run: Run, clock: CoordinationClock) -> None:
        self._run = run
        self._clock = clock
        self._sections = run.request.team.synthesis == "sections"
        self.is_alone = False
        """True when the plan's only worker is the answer."""
        self._silent = False
        self._turns: list[Subtask] = []
        self._next = 0
        self._held: dict[str, list[str]] = {}
        """What each worker has written and nobody has heard, by subtask."""
        self._ended: dict[str, Result] = {}
        self._heard: set[str] = set()
        self._untold: list[str] = []
        """Notes on missing parts that wait until there is something to add them to."""
        self._speaking = asyncio.Lock()
        cap = run.request.max_tokens
        self._bytes_left = None if cap is None else cap * BYTES_PER_TOKEN
        self.full = False
        """True once nothing more may be said: the caller's cap or a stop sequence is reached."""
        self._when_full: list[Callable[[], None]] = []

    @property
    def spoke(self) -> bool:
        """True once a worker's own text has gone to the caller."""
        return bool(self._heard)

    def when_full(self, stop: Callable[[], None]) -> None:
        """Have `stop` called once nothing more may be said."""
        self._when_full.append(stop)

    def has_spoken(self, subtask: Subtask) -> bool:
        """Whether the caller has heard anything of this subtask, so that it cannot be redone."""
        return subtask.id in self._heard

    async def planned(self, subtask: Subtask) -> None:
        """Note one more subtask; with sections it gets the next turn."""
        if self._sections:
            self._turns.append(subtask)
            await self._speak()

    async def alone(self, subtask: Subtask) -> None:
        """Pass this worker's text on: the plan has no other."""
        self.is_alone = True
        if not self._sections:
            self._turns.append(subtask)
        if self._heard:
            self._clock.answer_began()
        await self._speak()

    def silence(self) -> None:
        """Hold nothing any more, unless the answer is in sections: somebody else will write it."""
        self._silent = not self._sections
        if self._silent:
            self._held.clear()

    async def wrote(self, subtask: Subtask, text: str) -> None:
        """Take a piece of a worker's text."""
        if self._silent:
            return
        self._held.setdefault(subtask.id, []).append(text)
        if self._is_next(subtask):
            await self._speak()

    def forget(self, subtask: Subtask) -> None:
        """Drop what a failed attempt has written and nobody has heard."""
        self._held.pop(subtask.id, None)

    async def ended(self, result: Result) -> None:
        """Take a worker's end: what is held of it is heard when its turn comes."""
        self._ended[result.subtask.id] = result
        if self._is_next(result.subtask):
            await self._speak()

    def _is_next(self, subtask: Subtask) -> bool:
        return self._next < len(self._turns) and self._turns[self._next].id == subtask.id

    async def _speak(self) -> None:
        async with self._speaking:  # several may want to, and the text must stay in order
            while self._next < len(self._turns) and not self.full:
                subtask = self._turns[self._next]
                result = self._ended.get(subtask.id)
                if result is None:
                    await self._pass_on(subtask)
                    return
                await self._conclude(subtask, result)
                self._next += 1

    async def _pass_on(self, subtask: Subtask) -> None:
        """Say what the worker whose turn it is has written so far, if its text may be heard live.

        A result that others' work goes into, or that must be checked first, is heard whole.
        """
        if subtask.depends_on or subtask.tools or subtask.output == "json":
            return
        if text := "".join(self._held.pop(subtask.id, [])):
            await self._say(subtask, text)

    async def _conclude(self, subtask: Subtask, result: Result) -> None:
        held = "".join(self._held.pop(subtask.id, []))
        if isinstance(result, Succeeded):
            text = held if subtask.id in self._heard else result.text
            if text:
                await self._say(subtask, text)
        elif self._sections and not self.is_alone and subtask.id not in self._run.noted:
            await self._note(subtask, result)

    async def _note(self, subtask: Subtask, result: Result) -> None:
        note = self._run.request.team.synthesizer.gap_note.fill({"gaps": gaps([result])[0]})
        self._run.noted.add(subtask.id)
        if self._heard:
            await self._run.lay_out(f"\n\n{note}")
        else:
            self._untold.append(note)

    async def _say(self, subtask: Subtask, text: str) -> None:
        text = self._within_cap(text)
        if text:
            await self._begin_or_go_on(subtask, text)
        self.full = self.full or self._run.stopped
        if self.full:
            for stop in self._when_full:
                stop()

    async def _begin_or_go_on(self, subtask: Subtask, text: str) -> None:
        before = ""
        if subtask.id not in self._heard:
            before = self._opening(subtask)
            if self.is_alone and not self._heard:
                self._clock.answer_began()
            self._heard.add(subtask.id)
            self._run.answered_by = "worker"
        if before:
            await self._run.lay_out(before)
        await self._run.say(text)

    def _opening(self, subtask: Subtask) -> str:
        """Return what stands before a section: what separates it, notes that waited, its title."""
        if self.is_alone and not self._heard:
            return ""
        heading = self._run.request.team.synthesizer.heading.fill({"title": subtask.title})
        opening = [*self._untold, f"{heading}\n\n"]
        self._untold.clear()
        return ("\n\n" if self._heard else "") + "\n\n".join(opening)

    def _within_cap(self, text: str) -> str:
        """Return what of `text` the caller's cap still allows.

        The only worker of a plan has the cap in its own call; over several sections the tokens
        are counted by estimate.
        """
        if self._bytes_left is None or self.is_alone:
            return text
        written = text.encode(errors="surrogatepass")
        self.full = len(written) > self._bytes_left
        heard = written[: self._bytes_left]
        self._bytes_left -= len(heard)
        return heard.decode(errors="ignore") if self.full else text
