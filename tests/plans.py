"""What a lead may plan, and an upstream that carries it out without ado.

The entries are what the lead writes, field by field; what becomes of them is each test's matter.
"""

import json
from typing import Any

from dumb_upstream import DumbUpstream, Reply


def subtask(number: int, **fields: Any) -> dict[str, Any]:
    """Return an entry known by its number."""
    return {"id": f"s{number}", "title": f"Part {number}", "instructions": "Do it.", **fields}


def subtasks(*numbers: int) -> list[dict[str, Any]]:
    return [subtask(number) for number in numbers]


def entry(id: Any = "a", **fields: Any) -> dict[str, Any]:
    """Return an entry known by its id."""
    return {"id": id, "title": f"T {id}", "instructions": f"Do {id}.", **fields}


def part(title: str, **fields: Any) -> dict[str, Any]:
    """Return an entry known by its title, whose last word in lower case is its id."""
    named = {"title": title, "instructions": f"Do {title}."}
    return {"id": title.split()[-1].lower(), **named, **fields}


def plan_json(*entries: Any) -> str:
    """Return the plan as the lead writes it, in text or as a tool's input."""
    return json.dumps({"subtasks": entries})


def working(upstream: DumbUpstream, *plan: dict[str, Any]) -> None:
    """Have this planned, if anything, and then done and written up."""
    if plan:
        upstream.answer("lead", Reply(plan=plan))
    upstream.answer("worker", Reply(text="done"))
    upstream.answer("synthesizer", Reply(text="the answer"))
