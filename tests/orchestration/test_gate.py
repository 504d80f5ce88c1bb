"""Every rule of the gate, with the reason it records."""

from typing import Any

import pytest

from orchestrator_worker.orchestration.gate import MAX_INSTRUCTIONS_CHARS, Gate
from orchestrator_worker.orchestration.plan import Subtask, Unreadable


def admit(*raws: Any, cap: int = 20) -> tuple[list[Subtask | None], list[str]]:
    gate = Gate(cap)
    admitted = [gate.admit(raw) for raw in raws]
    return admitted, [repair.reason for repair in gate.take_repairs()]


def raw(**fields: Any) -> dict[str, Any]:
    return {"id": "a", "title": "T", "instructions": "Do it.", "depends_on": [], **fields}


def test_a_good_subtask_passes_unchanged() -> None:
    admitted, reasons = admit(raw(), raw(id="b", depends_on=["a"]))
    assert admitted == [Subtask("a", "T", "Do it."), Subtask("b", "T", "Do it.", ("a",))]
    assert reasons == []


@pytest.mark.parametrize(
    "bad", [None, 3, "text", [], {}, {"id": "x"}, {"instructions": "  "}, Unreadable()]
)
def test_what_asks_for_nothing_is_dropped(bad: Any) -> None:
    admitted, reasons = admit(bad)
    assert admitted == [None]
    assert len(reasons) == 1
    assert "dropped" in reasons[0]


def test_a_missing_title_comes_from_the_instructions_and_the_other_way_round() -> None:
    (first, second), reasons = admit(
        {"id": "a", "instructions": "Line one\nline two"}, {"id": "b", "title": "Only a title"}
    )
    assert first == Subtask("a", "Line one line two", "Line one\nline two")
    assert second == Subtask("b", "Only a title", "Only a title")
    assert reasons == []


@pytest.mark.parametrize("bad_id", [None, 7, "", "a b", "x" * 65, "../x", "a"])
def test_an_id_that_cannot_serve_is_replaced(bad_id: Any) -> None:
    (_, second), reasons = admit(raw(), raw(id=bad_id))
    assert second is not None
    assert second.id == "s2"
    assert any("renamed" in reason for reason in reasons)


def test_dependencies_follow_a_renamed_subtask() -> None:
    (first, second), _ = admit(raw(id="first one"), raw(id="b", depends_on=["first one"]))
    assert first is not None
    assert second is not None
    assert second.depends_on == (first.id,)


@pytest.mark.parametrize("wanted", [["later"], ["b"], [5], "a", {"a": 1}])
def test_a_dependency_on_nothing_earlier_is_ignored(wanted: Any) -> None:
    (_, second), reasons = admit(raw(), raw(id="b", depends_on=wanted))
    assert second is not None
    assert second.depends_on == ()
    assert any("ignored" in reason for reason in reasons)


def test_a_dependency_counts_once() -> None:
    (_, second), _ = admit(raw(), raw(id="b", depends_on=["a", "a"]))
    assert second is not None
    assert second.depends_on == ("a",)


def test_instructions_are_bounded() -> None:
    (only,), reasons = admit(raw(instructions="x" * (MAX_INSTRUCTIONS_CHARS + 1)))
    assert only is not None
    assert len(only.instructions) == MAX_INSTRUCTIONS_CHARS
    assert any("cut" in reason for reason in reasons)


def test_what_passes_the_cap_is_dropped() -> None:
    admitted, reasons = admit(raw(), raw(id="b"), raw(id="c"), cap=2)
    assert admitted[2] is None
    assert reasons == ["subtask 3 dropped: over the cap of 2 subtasks"]
