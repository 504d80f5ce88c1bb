"""The second phase of a run: what the caller reads is made of what the first has come to.

The lead's own text is an answer already, and so is that of workers who were heard directly; else
the synthesizer writes, or the results themselves are the answer. What is missing is always named.
"""

import asyncio

from orchestrator_worker.claude.client import ClaudeClient
from orchestrator_worker.clock import loop_time, stopwatch
from orchestrator_worker.errors import AllWorkersFailed, PhaseTimeout, UpstreamError, UpstreamFault
from orchestrator_worker.orchestration.answer_form import WHOLE
from orchestrator_worker.orchestration.coordination import Coordination
from orchestrator_worker.orchestration.estimate import estimate
from orchestrator_worker.orchestration.lead import FINISHED, LeadTurn
from orchestrator_worker.orchestration.results import (
    UNREADABLE,
    Failed,
    Succeeded,
    as_answer,
    as_list,
    plan_in_words,
)
from orchestrator_worker.orchestration.run import Run
from orchestrator_worker.orchestration.synthesizer import SynthesizerAgent

CUT = "max_tokens"
"""The stop reason of an answer that a deadline ended: to the caller it was cut at a length."""
REFUSED = "refusal"
STOPPED = "stop_sequence"


class Answer:
    """The answer of one run."""

    def __init__(self, claude: ClaudeClient, run: Run) -> None:
        self._run = run
        self._seconds = run.request.team.deadlines.synthesis_seconds
        self._deadline = loop_time() + self._seconds
        self._writer = SynthesizerAgent(claude, run, self._deadline)

    async def give(self, coordination: Coordination) -> str:
        """Say what is still to be said, and return why the answer stops.

        Raises:
            UpstreamError, PhaseTimeout, AllWorkersFailed: there is no answer, or it broke off.
        """
        run = self._run
        if not coordination.planned:
            return _reason_of_text(coordination.turn)
        if run.request.plan_only:
            return await self._show_plan()
        succeeded = any(isinstance(result, Succeeded) for result in run.results)
        voice = coordination.voice
        if voice.spoke and (succeeded or run.timed_out or voice.full):
            return await self._close_spoken(coordination)
        if succeeded:
            return await (self._list() if run.request.team.synthesis == "list" else self._write())
        if run.timed_out:
            raise coordination.timeout()
        if voice.is_alone or (run.request.form is not None and len(run.results) == 1):
            only = run.results[0]
            if isinstance(only, Failed) and only.refused:
                return REFUSED  # as if the lead itself had declined
        if all(result.reason == UNREADABLE for result in run.results):
            raise UpstreamError(UpstreamFault.BAD_INPUT, param="messages")
        raise AllWorkersFailed([result.reason or "" for result in run.results])

    async def _show_plan(self) -> str:
        """Answer with the plan itself."""
        run = self._run
        run.estimate = estimate(run.request.team, run.conversation, run.plan)
        await self._writer.add(plan_in_words(run.plan))
        return "end_turn"

    async def _close_spoken(self, coordination: Coordination) -> str:
        """End an answer that workers have given themselves."""
        run, voice = self._run, coordination.voice
        if not voice.full:  # beyond the caller's cap nothing more is said
            await self._writer.name_gaps(() if voice.is_alone else run.results, continuing=True)
        only = run.results[0] if voice.is_alone else None
        broken = isinstance(only, Succeeded) and only.truncated
        if run.stopped:
            return STOPPED
        return CUT if run.timed_out or voice.full or broken else "end_turn"

    async def _list(self) -> str:
        """Answer with the results as they are; what is missing is an entry like the others."""
        self._run.answered_by = "worker"
        await self._writer.say(as_list(self._run.results, self._run.omissions))
        return "end_turn"  # a list is whole, whatever its entries say

    async def _write(self) -> str:
        """Turn the results into the answer."""
        began = stopwatch()
        self._run.answered_by = "synthesizer"
        try:
            return await self._written()
        finally:
            self._run.synthesis_seconds = stopwatch() - began

    async def _written(self) -> str:
        run, writer = self._run, self._writer
        try:
            async with asyncio.timeout_at(self._deadline):
                stop_reason = await writer.write(run.results)
            if stop_reason == REFUSED:
                return REFUSED
            if run.stopped:
                return STOPPED
            if not writer.wrote and (run.request.form is None or stop_reason in WHOLE):
                raise UpstreamError(UpstreamFault.MALFORMED)  # an empty answer is none
        except TimeoutError:
            run.timed_out = True
            await writer.say_held()
            if run.first_delta_seconds is None and not writer.wrote:
                raise PhaseTimeout("synthesis", self._seconds) from None
            if not writer.wrote:  # the lead's words stand there already
                await self._say_results()
            stop_reason = CUT
        except UpstreamError:
            if writer.wrote or run.request.form is not None:
                raise
            await self._say_results()
            stop_reason = "end_turn"
        await writer.name_gaps(run.results)
        return stop_reason

    async def _say_results(self) -> None:
        """Let the results stand for the answer that nobody could write."""
        run = self._run
        run.unwritten = True
        run.answered_by = "worker"
        await self._writer.say(as_answer(run.results, run.request.team.synthesizer.heading))


def _reason_of_text(turn: LeadTurn) -> str:
    """Return why the lead's own turn ended; a call of a tool that does not exist is no reason."""
    if turn.stop_reason in FINISHED and turn.calling:
        return "tool_use"
    return "end_turn" if turn.stop_reason == "tool_use" else turn.stop_reason or CUT
