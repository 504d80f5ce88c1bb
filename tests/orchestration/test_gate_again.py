"""The gate when it is asked again, when it is full, and when an entry lacks its items."""

from dataclasses import replace
from typing import Any

import pytest

from orchestrator_worker.orchestration.gate import Gate, GateRules
from tests.orchestration.gated import RULES, admit, raw

LACKING = "subtask 1 dropped: for_each without an item"


@pytest.mark.parametrize(
    "fields",
    [
        {"for_each": [], "title": "On {{item}}"},
        {"for_each": [" ", None], "instructions": "Describe {{ item }}."},
        {"for_each": "x, y", "title": "{{item}}"},
    ],
)
def test_an_entry_with_a_place_for_an_item_and_no_item_is_not_run(fields: dict[str, Any]) -> None:
    gate = Gate(RULES)
    assert gate.admit(raw(**fields)) == ()
    assert [repair.reason for repair in gate.take_repairs()] == [LACKING]
    assert gate.dropped == 1


@pytest.mark.parametrize("fields", [{}, {"for_each": None}])
def test_an_item_is_a_word_like_any_other_where_nothing_is_done_for_each(
    fields: dict[str, Any],
) -> None:
    ((admitted,),), reasons = admit(raw(title="Explain {{item}}", **fields))
    assert (admitted.title, reasons) == ("Explain {{item}}", [])


LONG_TITLE = "word " * 60
REPEATED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "word for word": (raw(), raw()),
    "with other instructions": (raw(), raw(instructions="Do it well.")),
    "with another spacing": (raw(title="The  title"), raw(title=" The title ")),
    "under the id it was given here": (raw(id="no id!", title="T"), raw(id="s1")),
    "without an id": (raw(id=None), raw(id=None)),
    "with a shortened title": (raw(title=LONG_TITLE), raw(title=LONG_TITLE)),
    "for each item": (raw(for_each=["x", "y"]), raw(for_each=["x", "y"])),
    "as one of its items": (
        raw(title="On {{item}}", for_each=["x", "y"]),
        raw(id="a.2", title="On y"),
    ),
}


@pytest.mark.parametrize("name", REPEATED)
def test_what_is_repeated_when_asked_again_is_not_planned_twice(name: str) -> None:
    first, second = REPEATED[name]
    gate = Gate(RULES)
    assert gate.admit(first)
    gate.take_repairs()
    gate.asked_again()
    assert gate.admit(second) == ()
    assert [it.reason for it in gate.take_repairs()] == ["subtask 2 dropped: already planned"]
    assert gate.dropped == 0


@pytest.mark.parametrize("second", [raw(title="Another"), raw(id="b")])
def test_what_only_resembles_an_earlier_subtask_is_planned(second: dict[str, Any]) -> None:
    gate = Gate(RULES)
    gate.admit(raw())
    gate.asked_again()
    assert gate.admit(second)
    assert gate.dropped == 0


def test_one_plan_may_name_alike_what_it_wants_twice() -> None:
    (first, second), _ = admit(raw(), raw())
    assert (first[0].id, second[0].id) == ("a", "s2")


def test_a_repeated_plan_takes_none_of_the_room_and_what_follows_it_may_depend_on_it() -> None:
    rules = replace(RULES, max_subtasks=3)
    gate = Gate(rules)
    plan = [raw(), raw(id="b")]
    assert all(gate.admit(entry) for entry in plan)
    gate.asked_again()
    assert [gate.admit(entry) for entry in plan] == [(), ()]
    ((new),) = gate.admit(raw(id="c", depends_on=["a", "b"]))
    assert new.depends_on == ("a", "b")
    assert [gate.admit(entry) for entry in plan] == [(), ()]
    assert (gate.dropped, gate.full, gate.overrun) == (0, True, False)


@pytest.mark.parametrize(
    ("rules", "entries"),
    [
        (replace(RULES, max_subtasks=2), [raw(), raw(id="b")]),
        (replace(RULES, max_workers=4), [raw(), raw(id="b", for_each=["x", "y", "z", "u"])]),
    ],
)
def test_the_gate_is_full_when_either_cap_is_reached(rules: GateRules, entries: list[Any]) -> None:
    gate = Gate(rules)
    seen = [gate.full]
    for entry in entries:
        gate.admit(entry)
        seen.append(gate.full)
    assert seen == [False, False, True]
