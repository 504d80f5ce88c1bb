"""The plan of one run while it is being written: each entry goes through the gate to the scheduler
the moment it closes.

Owns what has been planned and what the plan lacks; who writes it, and when it is asked for again,
is the lead's turn (`lead.py`).
"""

from dataclasses import replace

import structlog

from orchestrator_worker.orchestration.conversation import WORDLESS
from orchestrator_worker.orchestration.events import (
    PlanClosed,
    PlanRepaired,
    RouteDecided,
    SubtaskPlanned,
)
from orchestrator_worker.orchestration.gate import Gate, GateRules, Repair
from orchestrator_worker.orchestration.plan import PlanReader, Subtask
from orchestrator_worker.orchestration.prefix import SharedPrefix
from orchestrator_worker.orchestration.run import Run
from orchestrator_worker.orchestration.scheduler import Scheduler
from orchestrator_worker.orchestration.text_plan import TextPlan
from orchestrator_worker.orchestration.voice import Voice
from orchestrator_worker.orchestration.worker import Workers

_log = structlog.stdlib.get_logger(__name__)

SHORT_TITLE_CHARS = 60
REASONS_TOLD = 10
"""How many of the gate's reasons the lead hears when it is asked for another plan."""


class Planning:
    """The subtasks of one run, over all its rounds."""

    def __init__(
        self,
        run: Run,
        scheduler: Scheduler,
        workers: Workers,
        voice: Voice,
        prefix: SharedPrefix,
    ) -> None:
        self._run = run
        self._scheduler = scheduler
        self._workers = workers
        self._voice = voice
        self._prefix = prefix
        self._team = run.request.team
        self._gate = Gate(
            GateRules(
                self._team.caps.max_subtasks,
                self._team.caps.max_workers,
                types=frozenset(self._team.types) or None,
                tiers=self._tiers(),
            )
        )
        self._reader = PlanReader()
        self._text = self._new_text_plan()
        self.subtasks: list[Subtask] = []
        self.reasons: list[str] = []
        """Why entries were changed or dropped, the first few."""
        self.reading = False
        """True from the opening of a list until somebody has taken stock of it."""
        self._closed = False
        self._dropped_told = 0

    def _tiers(self) -> frozenset[str]:
        offered = self._team.tiers
        if self._team.route == "fixed":  # what the team has written itself it may ask for
            offered += self._team.chosen_tiers
        return frozenset(tier.name for tier in offered)

    def _new_text_plan(self) -> TextPlan:
        return TextPlan(beside_answers=self._team.route == "auto")

    @property
    def begun(self) -> bool:
        """True once a subtask has been admitted."""
        return bool(self.subtasks)

    @property
    def whole(self) -> bool:
        """True once the list that is being read has come to its end."""
        return self._reader.closed or self._text.closed

    @property
    def overrun(self) -> bool:
        """True when so much is planned over the cap that nobody needs to read on."""
        return self._gate.overrun

    @property
    def full(self) -> bool:
        """True when nothing more can be planned."""
        return self._gate.full

    def read_anew(self) -> None:
        """Expect another list, whatever became of the last one."""
        self._reader = PlanReader()
        self._text = self._new_text_plan()
        self._gate.asked_again()
        if not self.begun:
            self._gate.dropped = 0  # what a plan of no use asked for is planned once more

    async def opened(self) -> None:
        """The lead has begun its first plan."""
        if not self._run.request.plan_only:
            self._prefix.plan_opened()

    async def feed(self, text: str) -> None:
        """Take a piece of the plan's JSON and start what it completes."""
        for raw in self._reader.feed(text):
            await self.take(raw)

    def sift(self, text: str) -> tuple[str, list[object], bool]:
        """Read a piece of text that may hold a plan; returns what is certainly no plan, the entries
        that closed, and whether a plan has begun.
        """
        prose, entries = self._text.feed(text)
        return prose, entries, self._text.begun

    def rest_of_text(self) -> str:
        """Return what was held back of a text that has ended, and is no plan after all."""
        return self._text.end()

    async def take(self, raw: object) -> None:
        """Admit one entry as it was planned, and start what it becomes."""
        admitted = self._gate.admit(raw)
        for repair in self._gate.take_repairs():
            await self._repaired(repair)
        for subtask in admitted:
            await self._start(self._completed(subtask))

    async def take_fixed(self) -> None:
        """Plan what the team has listed itself."""
        listed = self._team.subtasks
        workers = sum(len(entry.get("for_each", [""])) for entry in listed)
        self._prefix.plan_known(workers)
        self._workers.expect(workers)
        await self._run.emit(RouteDecided("delegated"))
        for entry in listed:
            await self.take(entry)
        await self.close(cut=False)

    async def close(self, *, cut: bool) -> None:
        """No further subtask will come; a plan without a usable one becomes the caller's own
        request.

        `cut`: the lead could not finish it.
        """
        if self.begun:
            await self.take_stock(cut=cut)
        else:
            await self._repaired(Repair(None, "no usable subtask; the request itself is one"))
            self._prefix.plan_known(1)
            await self.take(self._whole_request())
        self._closed, self.reading = True, False
        self.settle()
        await self._run.emit(PlanClosed(self._run.plan))
        if self._one_will_do:
            await self._voice.alone(self.subtasks[0])
        else:
            self._voice.silence()

    async def take_stock(self, *, cut: bool) -> None:
        """Note what of the list just read will be missing.

        `cut`: it did not come to its end.
        """
        self.reading = False
        if cut:
            await self._repaired(Repair(None, "the plan broke off; what was read of it stands"))
            self._run.omissions.append("the rest of the plan, which broke off")
        dropped = self._gate.dropped - self._dropped_told
        self._dropped_told = self._gate.dropped
        if dropped and self.overrun:
            most = self._team.caps.max_subtasks
            self._run.omissions.append(f"what was planned beyond the first {most} parts")
        elif dropped:
            self._run.omissions.append(_dropped_in_words(dropped))

    def settle(self) -> None:
        """Take what is planned by now for the whole plan."""
        self._run.plan = tuple(self.subtasks)
        self._workers.planned = len(self.subtasks)

    @property
    def _one_will_do(self) -> bool:
        """Whether a single worker's stream can be the answer: nobody wants to judge it first."""
        request = self._run.request
        alone = len(self.subtasks) == 1 and not request.plan_only and request.form is None
        return alone and self._team.one_worker_answers

    def _whole_request(self) -> dict[str, str]:
        text = self._run.request.conversation.last_request or WORDLESS
        title = " ".join(text[:SHORT_TITLE_CHARS].split())
        return {"id": "s1", "title": title, "instructions": text}

    def _completed(self, subtask: Subtask) -> Subtask:
        """Return the subtask with what its type decides."""
        kind = self._team.types.get(subtask.type or "")
        if kind is None:
            return subtask
        return replace(
            subtask, tier=subtask.tier or kind.tier, output=kind.output or subtask.output
        )

    async def _start(self, subtask: Subtask) -> None:
        self.subtasks.append(subtask)
        self._workers.expect(len(self.subtasks))
        if self._closed:
            self.settle()
        await self._run.emit(SubtaskPlanned(len(self.subtasks), subtask))
        if not self._run.request.plan_only:
            self._scheduler.add(subtask)
            await self._voice.planned(subtask)

    async def _repaired(self, repair: Repair) -> None:
        # The reason may quote the lead, and the log holds no text of prompts and answers.
        _log.info("plan_repaired", subtask_id=repair.subtask_id)
        if len(self.reasons) < REASONS_TOLD:
            self.reasons.append(repair.reason)
        await self._run.emit(PlanRepaired(repair))


def _dropped_in_words(count: int) -> str:
    parts, were = ("part", "was") if count == 1 else ("parts", "were")
    return f"{count} planned {parts} that {were} dropped"
