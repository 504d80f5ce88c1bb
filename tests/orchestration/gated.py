"""A gate with all there is to know, and what it makes of entries."""

from typing import Any

from orchestrator_worker.orchestration.gate import Gate, GateRules
from orchestrator_worker.orchestration.plan import Subtask

RULES = GateRules(
    max_subtasks=20,
    max_workers=30,
    types=frozenset({"research", "Legal"}),
    tiers=frozenset({"haiku", "sonnet"}),
    tools=frozenset({"search", "fetch"}),
    attachments=frozenset({"1", "Contract.pdf"}),
)


def admit(*raws: Any, rules: GateRules = RULES) -> tuple[list[tuple[Subtask, ...]], list[str]]:
    gate = Gate(rules)
    admitted = [gate.admit(raw) for raw in raws]
    return admitted, [repair.reason for repair in gate.take_repairs()]


def raw(**fields: Any) -> dict[str, Any]:
    return {"id": "a", "title": "T", "instructions": "Do it.", **fields}
