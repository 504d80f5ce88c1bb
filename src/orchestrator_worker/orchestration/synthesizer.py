"""The synthesizer: results in, the answer streamed out, and nothing missing without being named."""

from collections.abc import Iterable

from orchestrator_worker.claude.client import Call, ClaudeClient, MessageStopped, TextDelta
from orchestrator_worker.orchestration.events import AnswerDelta, SynthesisStarted
from orchestrator_worker.orchestration.reduction import Reduction
from orchestrator_worker.orchestration.results import (
    Result,
    as_data,
    found_and_missing,
    gaps,
    gaps_as_data,
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
        """Add a note that names every missing part, but for those that have been named already.

        Always, whatever the text says: a title in it does not say that the part is missing.

        `continuing`: somebody else's text stands before the note.
        """
        unnamed = [it for it in results if it.subtask.id not in self._run.noted]
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
        told = gaps_as_data(missing, run.omissions, member.missing)
        turn = member.turn.fill({"results": as_data(found), "gaps": told})
        return Call(
            model=member.model,
            max_tokens=min(run.request.max_tokens or member.max_tokens, member.max_tokens),
            effort=member.effort,
            system=conversation.system_after(member.system.text),
            messages=conversation.with_turn(turn.strip()),
            origin=run.origin("synthesizer"),
            ledger=run.ledger,
            idle_seconds=run.request.team.deadlines.idle_seconds,
            deadline=self._deadline,
        )
