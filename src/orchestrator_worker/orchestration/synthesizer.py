"""The synthesizer: results in, the answer streamed out, and nothing missing without being named."""

from collections.abc import Iterable
from functools import partial

from orchestrator_worker.claude.client import (
    Call,
    ClaudeClient,
    MessageStarted,
    MessageStopped,
    TextDelta,
)
from orchestrator_worker.orchestration.answer_form import FormedAnswer, asked_again
from orchestrator_worker.orchestration.events import SynthesisStarted
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
        self._formed: FormedAnswer | None = None

    @property
    def wrote(self) -> bool:
        """True once text has gone to the caller."""
        return bool(self._pieces)

    async def write(self, results: tuple[Result, ...]) -> str:
        """Stream the answer and return why it stopped.

        Raises:
            UpstreamError: the call failed; `wrote` says whether anything had been sent.
            AnswerUnusable: see `FormedAnswer.end`.
        """
        call = await self._call(results)
        await self._run.emit(SynthesisStarted(call.model))
        if self._run.request.form is None:
            return await self._read(call, None)
        formed = self._formed = FormedAnswer(self._run.request.form, self.say)
        stop_reason = await self._read(call, formed)
        if self._run.stopped:
            return stop_reason  # cut where the caller wanted it: no whole form will come
        words = self._run.request.team.synthesizer
        again = partial(asked_again, self._claude, call, formed.form, words)
        stop_reason = await formed.end(stop_reason, again)
        if stop_reason == "refusal":
            self._run.refusal = formed.unsaid
        return stop_reason

    async def _read(self, call: Call, formed: FormedAnswer | None) -> str:
        stop_reason = ""
        async with self._claude.stream(call) as events:
            async for event in events:
                match event:
                    case TextDelta(text):
                        await (self.say(text) if formed is None else formed.take(text))
                    case MessageStarted() if formed is not None:
                        formed.begun(event, call.model)
                    case MessageStopped(stop_reason="stop_sequence"):
                        await self.say_held()
                        await self._run.stop()
                    case MessageStopped():
                        stop_reason = event.stop_reason
                    case _:
                        pass
                if self._run.stopped:
                    return "stop_sequence"
        return stop_reason

    async def say_held(self) -> None:
        """Pass on what was held of an answer that a deadline has cut."""
        if self._formed is not None:
            await self._formed.say_held()

    async def name_gaps(self, results: Iterable[Result], *, continuing: bool = False) -> None:
        """Add a note that names every missing part, but for those that have been named already.

        Always, whatever the text says: a title in it does not say that the part is missing.

        `continuing`: somebody else's text stands before the note.
        """
        if self._run.request.form is not None or self._run.stopped:
            return  # a note would break the form, or follow what ends the answer
        unnamed = [it for it in results if it.subtask.id not in self._run.noted]
        missing = [*gaps(unnamed), *self._run.omissions]
        if missing:
            note = self._run.request.team.synthesizer.gap_note.fill({"gaps": "; ".join(missing)})
            await self.add(f"\n\n{note}" if self._pieces or continuing else note)

    async def add(self, text: str) -> None:
        """Put words of the service's own into the answer."""
        self._pieces.append(text)
        await self._run.lay_out(text)

    async def say(self, text: str) -> None:
        """Pass text on to the caller."""
        self._pieces.append(text)
        await self._run.say(text)

    async def _call(self, results: tuple[Result, ...]) -> Call:
        run, member, form = self._run, self._run.request.team.synthesizer, self._run.request.form
        conversation = run.conversation
        found, missing = found_and_missing(results)
        found = await Reduction(self._claude, run, self._deadline).fit(found)
        words = member.missing if form is None else member.json_missing
        told = gaps_as_data(missing, run.omissions, words)
        turn = member.turn.fill({"results": as_data(found), "gaps": told})
        return Call(
            model=member.model,
            max_tokens=min(run.request.max_tokens or member.max_tokens, member.max_tokens),
            effort=member.effort,
            system=conversation.system_after(member.system.text),
            messages=conversation.with_turn(turn.strip()),
            output_schema=form and form.enforced,
            schema_in_words="" if form is None else form.in_words(member),
            stop_sequences=run.stop_upstream,
            origin=run.origin("synthesizer"),
            ledger=run.ledger,
            idle_seconds=run.request.team.deadlines.idle_seconds,
            deadline=self._deadline,
        )
