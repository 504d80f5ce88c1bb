"""Progress of a run for people (`delta.reasoning_content`) and for programs (`orchestration`)."""

from typing import Any

from orchestrator_worker.api.chat.usage import usd
from orchestrator_worker.orchestration.events import (
    Event,
    PlanClosed,
    PlanRepaired,
    ReductionStarted,
    ResultScored,
    RoundReviewed,
    RouteDecided,
    RunStarted,
    SubtaskPlanned,
    SynthesisStarted,
    WorkerEscalated,
    WorkerFinished,
    WorkerStarted,
)
from orchestrator_worker.orchestration.results import Result, Succeeded


def for_people(event: Event) -> str | None:
    """Return a line that a person likes to read, or None when there is nothing to tell."""
    match event:
        case PlanClosed(subtasks):
            titles = "; ".join(subtask.title for subtask in subtasks)
            return f"Planned {_count(len(subtasks), 'subtask')}: {titles}\n"
        case WorkerFinished(result=Succeeded(), planned=1):
            return None  # its text is the answer that was just read
        case WorkerFinished(result=result):
            return _ending(event, result)
        case WorkerEscalated(subtask, reason, model):
            return f"↻ {subtask.title}: {reason}; trying {model}\n"
        case ResultScored(subtask, score, reason, redone=True):
            return f"↻ {subtask.title}: {score}/10, {reason}\n"
        case RoundReviewed(added=added) if added:
            titles = "; ".join(subtask.title for subtask in added)
            return f"Added {_count(len(added), 'subtask')}: {titles}\n"
        case ReductionStarted(reducers=reducers):
            return f"Shortening the results in {_count(reducers, 'part')} …\n"
        case SynthesisStarted():
            return "Writing the answer …\n"
        case _:
            return None


def _ending(event: WorkerFinished, result: Result) -> str:
    of = "" if event.planned is None else f"/{event.planned}"
    done = f"{event.finished}{of} {result.subtask.title}"
    if isinstance(result, Succeeded):
        return f"✓ {done} ({result.seconds:.1f} s)\n"
    return f"✗ {done}: {result.reason}\n"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def for_programs(event: Event) -> dict[str, Any] | None:
    """Return the event as the `orchestration` extension shows it, or None when it does not."""
    match event:
        case RunStarted(run_id):
            return {"event": "run_started", "run_id": run_id}
        case RouteDecided(route):
            return {"event": "route_decided", "route": route}
        case SubtaskPlanned(index, subtask):
            return {
                "event": "subtask_planned",
                "index": index,
                "subtask_id": subtask.id,
                "type": subtask.type,
                "title": subtask.title,
                "depends_on": list(subtask.depends_on),
            }
        case PlanRepaired(repair):
            return {
                "event": "plan_repaired",
                "subtask_id": repair.subtask_id,
                "reason": repair.reason,
            }
        case PlanClosed(subtasks):
            return {"event": "plan_closed", "subtasks": len(subtasks)}
        case _:
            return _of_results(event)


def _of_results(event: Event) -> dict[str, Any] | None:
    match event:
        case WorkerStarted(subtask, model):
            return {"event": "worker_started", "subtask_id": subtask.id, "model": model}
        case WorkerEscalated(subtask, reason, model):
            return {
                "event": "worker_escalated",
                "subtask_id": subtask.id,
                "reason": reason,
                "model": model,
            }
        case WorkerFinished(result=result):
            return _finished(result)
        case ResultScored(subtask, score, reason, redone):
            return {
                "event": "result_scored",
                "subtask_id": subtask.id,
                "score": score,
                "reason": reason,
                "redone": redone,
            }
        case RoundReviewed(number, added, reason):
            return {
                "event": "round_reviewed",
                "round": number,
                "added": [subtask.id for subtask in added],
                "reason": reason,
            }
        case ReductionStarted(reducers, tokens):
            return {
                "event": "reduction_started",
                "reducers": reducers,
                "estimated_tokens": tokens,
            }
        case SynthesisStarted(model):
            return {"event": "synthesis_started", "model": model}
        case _:
            return None


def _finished(result: Result) -> dict[str, Any]:
    return {
        "event": "worker_finished",
        "subtask_id": result.subtask.id,
        "outcome": result.outcome,
        "reason": result.reason,
        "seconds": round(result.seconds, 3),
        "input_tokens": result.usage.total_input_tokens,
        "output_tokens": result.usage.output_tokens,
        "cost_usd": usd(result.cost_usd),
    }
