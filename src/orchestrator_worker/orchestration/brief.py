"""What a worker is told: the turn that carries its subtask. Everything before that turn is the same
for all workers of a run.
"""

from typing import Any

import orjson

from orchestrator_worker.orchestration.plan import Subtask
from orchestrator_worker.orchestration.results import Result, Succeeded, as_data
from orchestrator_worker.teams.team import SubtaskType, Team


def worker_turn(team: Team, subtask: Subtask, needed: tuple[Result, ...]) -> str:
    """Return the user turn for `subtask`, with the results it depends on as data."""
    kind = team.types.get(subtask.type or "")
    results = as_data(needed)
    turn = team.worker.turn.fill(
        {
            **_names(subtask),
            "id": subtask.id,
            "type": subtask.type or "",
            "instructions": _instructions(team, subtask, kind),
            "results": results,
        }
    ).strip()
    if results and "results" not in team.worker.turn.placeholders:
        turn = f"{results}\n\n{turn}"
    if subtask.output == "text":
        return turn
    parts = [turn, team.worker.json_output.text]
    if kind is not None and kind.schema is not None:
        parts.append(team.worker.json_schema.fill({"schema": _in_words(kind.schema)}))
    return "\n\n".join(parts)


def redo_turn(
    team: Team, subtask: Subtask, needed: tuple[Result, ...], weak: Succeeded, feedback: str
) -> str:
    """Return the user turn for doing `subtask` once more, after `feedback` on a `weak` result."""
    redo = team.worker.redo.fill({"previous": as_data([weak]), "feedback": feedback})
    return f"{worker_turn(team, subtask, needed)}\n\n{redo}"


def _names(subtask: Subtask) -> dict[str, str]:
    return {"title": subtask.title, "item": subtask.item or subtask.title}


def _instructions(team: Team, subtask: Subtask, kind: SubtaskType | None) -> str:
    if kind is None or kind.prompt is None:
        return subtask.instructions
    prompt = kind.prompt.fill({**_names(subtask), "instructions": subtask.instructions})
    if team.level == "fixed" or "instructions" in kind.prompt.placeholders:
        return prompt
    return f"{prompt}\n\n{subtask.instructions}"


def _in_words(schema: Any) -> str:
    return orjson.dumps(schema).decode()
