"""The chain of waiting that decided how long a run took: what would have to be shorter for the
answer to come sooner.

Read from the account of a run that has ended, backwards: from the last call to end, to what that
call had waited for, and so on. What the account does not hold this cannot see:

* the service's own time, the wait for places that other runs hold, and the short one for a prompt
  cache entry: they are the gaps between steps, and warm-ups are never a step;
* when the lead closed a subtask, and who got whose place. A worker that began while all places but
  the one just left were taken is held to have waited for that place. While the lead still wrote,
  this and a dependency count only if the worker began right after; else it waited for the lead.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from orchestrator_worker.claude.ledger import AttemptRecord, Role
from orchestrator_worker.orchestration.run import Run

HANDOVER_SECONDS = 0.05
"""Whoever waited for an end begins this soon after it, even on a busy machine."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call with its retries; of a subtask all its tries, until its result is scored."""

    role: Role
    purpose: str | None
    """See `CallOrigin.purpose`; of several tries the first's."""
    subtask_id: str | None
    title: str | None
    began: float
    """Seconds since the run began, like `ended`."""
    ended: float
    """On the path: at the latest when the next step began."""


def critical_path(run: Run) -> list[Step]:
    """Return the steps in order; none: no call was made.

    They do not overlap, and where nothing is known to have been done there is a gap.
    """
    causes = _Causes(run)
    path: list[Step] = []
    step = causes.timeline.last
    while step is not None:
        path.append(step)
        cause = causes.of(step)
        step = cause and replace(cause, ended=min(cause.ended, step.began))
    return path[::-1]


class _Timeline:
    """Steps by their instants, found by halving: a run may have ten thousand."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = sorted(steps, key=lambda step: step.ended)
        self._begins = sorted(step.began for step in self._steps)
        self._ends = [step.ended for step in self._steps]

    @property
    def last(self) -> Step | None:
        """The last to end."""
        return self._steps[-1] if self._steps else None

    def before(self, step: Step) -> Iterator[Step]:
        """Yield those that had ended when `step` began, the last first."""
        for at in range(bisect_right(self._ends, step.began) - 1, -1, -1):
            if self._steps[at].began < step.began:  # not one without a duration, nor itself
                yield self._steps[at]

    def in_flight(self, instant: float) -> int:
        """Return how many were under way just before an instant."""
        return bisect_left(self._begins, instant) - bisect_left(self._ends, instant)


class _Causes:
    """All that was done in a run, and which of it let which begin."""

    def __init__(self, run: Run) -> None:
        steps = list(_steps(run))
        self.timeline = _Timeline(steps)
        self._workers = _Timeline(step for step in steps if step.role == "worker")
        self._leads = [step for step in steps if step.role == "lead"]
        self._of_subtask: dict[str | None, list[Step]] = {}
        for step in steps:
            if step.role == "worker":
                self._of_subtask.setdefault(step.subtask_id, []).append(step)
        self._places = run.request.team.caps.max_concurrent_workers
        self._needs = {it.subtask.id: it.subtask.depends_on for it in run.results}

    def of(self, step: Step) -> Step | None:
        """Return what ended, or was far enough, for `step` to begin; None: nothing is known."""
        if step.role == "worker":
            first = min(it.began for it in self._of_subtask[step.subtask_id])
            if step.began == first:
                return self._of_first_tries(step)
        return next(self.timeline.before(step), None)

    def _of_first_tries(self, step: Step) -> Step | None:
        leads = (it for it in self._leads if it.began < step.began)
        lead = max(leads, key=lambda it: it.began, default=None)
        waited_for = _last_to_end(self._dependencies_and_place(step))
        if lead is None or waited_for is None:
            return lead or waited_for
        if lead.began < waited_for.ended <= lead.ended:
            at_once = step.began - waited_for.ended <= HANDOVER_SECONDS
            return waited_for if at_once else lead
        return _last_to_end([lead, waited_for])

    def _dependencies_and_place(self, step: Step) -> Iterator[Step]:
        for need in self._needs[step.subtask_id or ""]:
            yield from (it for it in self._of_subtask.get(need, ()) if it.ended <= step.began)
        yield from self._left_a_place(step)

    def _left_a_place(self, step: Step) -> Iterator[Step]:
        """Yield the last worker to end while all places were taken; of several that ended as good
        as together, the first may be it.
        """
        for number, worker in enumerate(self._workers.before(step)):
            if number and step.began - worker.ended > HANDOVER_SECONDS:
                return
            if self._workers.in_flight(worker.ended) >= self._places:
                yield worker
                return


def _last_to_end(steps: Iterable[Step]) -> Step | None:
    return max(steps, key=lambda step: step.ended, default=None)


def _steps(run: Run) -> Iterator[Step]:
    """Yield what was done, each call with its retries; withdrawn subtasks and warm-ups, which
    nobody waits for, are left out.
    """
    subtasks = {result.subtask.id for result in run.results}
    attempts = [
        it for it in run.ledger.attempts if it.role != "worker" or it.subtask_id in subtasks
    ]
    judged = [it.ended for it in attempts if it.role == "evaluator"]
    tries: dict[tuple[Role, str | None], list[AttemptRecord]] = {}
    for attempt in sorted(attempts, key=lambda it: it.started):
        own = tries.setdefault((attempt.role, attempt.subtask_id), [])
        if own and not _continues(own[-1], attempt, judged):
            yield _step(own, run.ledger.began)
            own.clear()
        own.append(attempt)
    for own in tries.values():
        yield _step(own, run.ledger.began)


def _continues(last: AttemptRecord, attempt: AttemptRecord, judged: list[float]) -> bool:
    """Whether an attempt goes on with the same work as the one before it."""
    if attempt.role != "worker":
        return attempt.attempt > 1
    return not any(last.ended <= instant <= attempt.started for instant in judged)


def _step(tries: list[AttemptRecord], began: float) -> Step:
    first = tries[0]
    return Step(
        role=first.role,
        purpose=first.purpose,
        subtask_id=first.subtask_id,
        title=first.subtask_title,
        began=first.started - began,
        ended=max(it.ended for it in tries) - began,
    )
