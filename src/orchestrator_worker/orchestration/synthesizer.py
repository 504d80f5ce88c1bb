"""The synthesizer: results in, the answer streamed out, and nothing missing without being named."""

import re
from collections.abc import Iterable

from orchestrator_worker.claude.client import Call, ClaudeClient, MessageStopped, TextDelta
from orchestrator_worker.orchestration.events import AnswerDelta, SynthesisStarted
from orchestrator_worker.orchestration.reduction import Reduction
from orchestrator_worker.orchestration.results import (
    Result,
    Succeeded,
    as_data,
    found_and_missing,
    gaps,
)
from orchestrator_worker.orchestration.run import Run


class SynthesizerAgent:
    """Writes the answer of one run; what it has written can be read when a deadline interrupts."""

    def __init__(self, claude: ClaudeClient, run: Run, deadline: float) -> None:
        self._claude = claude
        self._run = run
        self._deadline = deadline
        self._pieces: list[str] = []

    @property
    def wrote(self) -> bool:
        """True once text has gone to the caller."""
        return bool(self._pieces)

    async def write(self, results: tuple[Result, ...]) -> str:
        """Stream the answer and return why it stopped.

        Raises:
            UpstreamError: the call failed; `wrote` says whether anything had been sent.
        """
        stop_reason = ""
        call = await self._call(results)
        await self._run.emit(SynthesisStarted(call.model))
        async with self._claude.stream(call) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    await self.say(event.text)
                elif isinstance(event, MessageStopped):
                    stop_reason = event.stop_reason
        return stop_reason

    async def name_gaps(self, results: Iterable[Result], *, continuing: bool = False) -> None:
        """Add a note for each missing part that the text does not name by its title.

        `continuing`: somebody else's text stands before the note.
        """
        answer = "".join(self._pieces)
        unnamed = [
            result
            for result in results
            if not isinstance(result, Succeeded)
            and result.subtask.id not in self._run.noted
            and not _names(answer, result.subtask.title)
        ]
        missing = [*gaps(unnamed), *self._run.omissions]
        if missing:
            note = self._run.request.team.synthesizer.gap_note.fill({"gaps": "; ".join(missing)})
            await self.say(f"\n\n{note}" if self._pieces or continuing else note)

    async def say(self, text: str) -> None:
        """Pass text on to the caller."""
        self._pieces.append(text)
        await self._run.emit(AnswerDelta(text))

    async def _call(self, results: tuple[Result, ...]) -> Call:
        run, member = self._run, self._run.request.team.synthesizer
        conversation = run.request.conversation
        found, missing = found_and_missing(results)
        found = await Reduction(self._claude, run, self._deadline).fit(found)
        gaps_told = "\n\n".join([as_data(missing), *run.omissions]).strip()
        turn = member.turn.fill({"results": as_data(found), "gaps": gaps_told})
        return Call(
            model=member.model,
            max_tokens=run.request.max_tokens or member.max_tokens,
            effort=member.effort,
            system=conversation.system_after(member.system.text),
            messages=conversation.with_turn(turn.strip()),
            origin=run.origin("synthesizer"),
            ledger=run.ledger,
            idle_seconds=run.request.team.deadlines.idle_seconds,
            deadline=self._deadline,
        )


def _names(answer: str, title: str) -> bool:
    """Whether the title stands in the answer as it is, not as a part of other words."""
    return re.search(rf"(?<!\w){re.escape(title)}(?!\w)", answer) is not None
