"""The workload: what the simulated models say and how fast, and the time that follows from it.

Owns the simulator's script and the arithmetic of the ideal. Knows nothing of the programs that are
measured; `overhead.py` runs them and `floor.py` is one of them.

The ideal of one request is what its longest chain of scripted tokens takes when everything else
takes no time at all:

    max over the workers of (instant its subtask closes + the worker's time) + the synthesis

A scripted call of n tokens sends token i (from 0) at `first token + i / rate` after it arrives and
ends at `first token + n / rate`. The lead's plan is one JSON text of L characters, cut into n
tokens of nearly equal length: token i holds the characters from `i * L // n` up to
`(i + 1) * L // n`. So a subtask closes when the token leaves that holds its closing brace.
"""

import json
from dataclasses import dataclass
from typing import Any

FIRST_TOKEN_SECONDS = 0.2
TOKENS_PER_SECOND = 400.0
SUBTASKS = 5
PLAN_TOKENS = 160
WORKER_TOKENS = 40
SYNTHESIS_TOKENS = 60
CALLS_PER_REQUEST = SUBTASKS + 2
MIN_SUBTASK_TOKENS = 25
RAMP_SECONDS = 1.2
MAX_LAG_SECONDS = 0.03
"""The simulator's own loop lag from which on a batch does not count."""

QUESTION = "Compare five regions for a new warehouse and say which one to choose."
ASSIGNMENT_MARK = "Bench-assignment"
"""Stands in each subtask's instructions, so that the script knows the workers' calls."""
FINDING_MARK = "Bench-finding"
"""Stands in each worker's text, so that the script knows the synthesizer's call."""

_FILLER = "rent, wages, roads, rail, ports, customs, flood risk, power, water, permits and staff. "


def _text(start: str, tokens: int) -> str:
    """Return a text of about four characters per token."""
    return (start + _FILLER * tokens)[: tokens * 4]


WORKER_TEXT = _text(f"{FINDING_MARK}: ", WORKER_TOKENS)
ANSWER_TEXT = _text("The answer weighs ", SYNTHESIS_TOKENS)


def _subtask(number: int) -> dict[str, Any]:
    instructions = f"{ASSIGNMENT_MARK}: judge the region {number} by rent, wages, roads and ports."
    return {
        "id": f"s{number}",
        "title": f"Region {number}",
        "instructions": instructions,
        "depends_on": [],
    }


def _plan_pieces() -> list[str]:
    """Return the plan's text in parts, each but the last ending with a subtask's closing brace."""
    subtasks = [json.dumps(_subtask(number)) for number in range(1, SUBTASKS + 1)]
    first, *later = subtasks
    return ['{"subtasks": [' + first, *(f", {subtask}" for subtask in later), "]}"]


PLAN_TEXT = "".join(_plan_pieces())


def closing_tokens() -> list[int]:
    """Return for each subtask the number, from 0, of the token that holds its closing brace."""
    found: list[int] = []
    end = 0
    for piece in _plan_pieces()[:-1]:
        end += len(piece)
        found.append(_token_of(end - 1))
    return found


def _token_of(position: int) -> int:
    starts = (token * len(PLAN_TEXT) // PLAN_TOKENS for token in range(PLAN_TOKENS))
    return sum(start <= position for start in starts) - 1


def call_seconds(tokens: int) -> float:
    """Return what a scripted call of that many tokens takes, in seconds."""
    return FIRST_TOKEN_SECONDS + tokens / TOKENS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Ideal:
    """What the script alone takes; seconds from the arrival of the request."""

    closings: tuple[float, ...]
    """When each subtask closes in the lead's stream."""
    first_token: float
    """When the synthesizer's first token leaves."""
    total: float
    """When the synthesizer's stream ends."""


def ideal() -> Ideal:
    """Return the ideal of one request.

    Raises:
        ValueError: a subtask of the plan is shorter than the workload demands.
    """
    tokens = closing_tokens()
    lengths = [after - before for before, after in zip([0, *tokens], tokens, strict=False)]
    if min(lengths) < MIN_SUBTASK_TOKENS:
        raise ValueError(f"a subtask has {min(lengths)} tokens, not {MIN_SUBTASK_TOKENS}")
    closings = tuple(call_seconds(token) for token in tokens)
    worked = max(closing + call_seconds(WORKER_TOKENS) for closing in closings)
    return Ideal(closings, worked + FIRST_TOKEN_SECONDS, worked + call_seconds(SYNTHESIS_TOKENS))


def script(*, record_bodies: bool) -> dict[str, Any]:
    """Return the orders for the simulator (`PUT /_simulator/script`)."""
    latency = {
        "first_token_seconds": FIRST_TOKEN_SECONDS,
        "tokens_per_second": TOKENS_PER_SECOND,
    }
    plan = {"tool": {"name": "delegate", "input": PLAN_TEXT}, "tokens": PLAN_TOKENS}
    finding = {"text": WORKER_TEXT, "tokens": WORKER_TOKENS}
    answer = {"text": ANSWER_TEXT, "tokens": SYNTHESIS_TOKENS}
    return {
        "latencies": dict.fromkeys(("haiku", "sonnet", "default"), latency),
        "replies": [
            _rule({"has_tool": "delegate"}, plan),
            # Before the workers' rule: a synthesizer may be shown the assignments too.
            _rule({"contains": FINDING_MARK}, answer),
            _rule({"contains": ASSIGNMENT_MARK}, finding),
        ],
        "record_bodies": record_bodies,
    }


def _rule(when: dict[str, Any], reply: dict[str, Any]) -> dict[str, Any]:
    return {"when": when, "reply": {**reply, "thinking_tokens": 0}}
