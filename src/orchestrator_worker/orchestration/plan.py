"""The plan's form, and its reading while it is still being written.

`PLAN_SCHEMA` is constant, so that the upstream compiles it once and caches stay warm; every limit
is the gate's. `PlanReader` hands out each subtask the moment its closing brace arrives.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ijson

PLAN_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "subtasks": {
            "type": "array",
            "description": "The subtasks in the order they should start.",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "description": "Short and unique: s1, s2, …"},
                    "title": {"type": "string", "description": "A few words; names its result."},
                    "instructions": {
                        "type": "string",
                        "description": "What its worker must do; stands alone.",
                    },
                    "depends_on": {
                        "type": "array",
                        "items": {"type": "string"},
                        "description": "Ids of earlier subtasks whose results it needs.",
                    },
                },
                "required": ["id", "title", "instructions", "depends_on"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["subtasks"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Subtask:
    """One node of the plan, as the gate let it through."""

    id: str
    title: str
    instructions: str
    depends_on: tuple[str, ...] = ()
    """Ids of subtasks that stand before this one, so a plan cannot hold a cycle."""


class PlanReader:
    """Reads a plan's JSON in pieces cut anywhere; one pass, one subtask in memory."""

    def __init__(self) -> None:
        self._found: Any = ijson.sendable_list()
        self._parser: Any = ijson.items_coro(self._found, "subtasks.item", use_float=True)
        self.broken = False
        """True once the text has stopped being JSON; what was read before stands."""

    def feed(self, text: str) -> list[object]:
        """Return the subtasks, unchecked, that `text` completes."""
        if self.broken:
            return []
        try:
            self._parser.send(text.encode("utf-8", "surrogatepass"))
        except StopIteration:
            pass  # the document has ended; what follows it is not plan
        except ijson.JSONError:
            self.broken = True
        found = list(self._found)
        self._found.clear()
        return found
