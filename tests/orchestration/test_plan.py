"""The plan is read as it is written, whatever it is cut into."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_worker.clock import stopwatch
from orchestrator_worker.orchestration.plan import PLAN_SCHEMA, PlanReader, Unreadable

PLAN: list[dict[str, Any]] = [
    {"id": "s1", "title": 'Quotes " and \\ and / and \u2028', "instructions": "🙂 é \n {[}]"},
    {"id": "s2", "title": "", "depends_on": ["s1"], "nested": {"subtasks": [{"no": [1, 2.5]}]}},
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("ascii_only", [True, False])
def test_every_split_point_gives_the_same_subtasks(ascii_only: bool) -> None:
    text = json.dumps({"note": "x", "subtasks": PLAN, "after": 1}, ensure_ascii=ascii_only)
    for at in range(len(text) + 1):
        reader = PlanReader()
        assert reader.feed(text[:at]) + reader.feed(text[at:]) == PLAN
        assert reader.closed


def test_each_subtask_comes_with_its_closing_brace() -> None:
    reader = PlanReader()
    came = [len(reader.feed(character)) for character in json.dumps({"subtasks": PLAN})]
    text = json.dumps({"subtasks": PLAN})
    first_end = text.index("}, {")
    assert [at for at, count in enumerate(came) if count] == [first_end, len(text) - 3]


@given(st.lists(json_values, max_size=4), st.integers(1, 7), st.booleans())
def test_any_plan_in_any_pieces(plan: list[Any], size: int, ascii_only: bool) -> None:
    text = json.dumps({"subtasks": plan}, ensure_ascii=ascii_only)
    reader = PlanReader()
    found = [item for at in range(0, len(text), size) for item in reader.feed(text[at : at + size])]
    assert found == plan


@given(st.text(max_size=60), st.integers(1, 5))
def test_no_text_whatever_raises(text: str, size: int) -> None:
    reader = PlanReader()
    for at in range(0, len(text), size):
        reader.feed(text[at : at + size])


@pytest.mark.parametrize(
    ("text", "found", "closed"),
    [
        ('{"subtasks": [{"a": 1,}, {"b": 2}]}', [Unreadable(), {"b": 2}], True),
        ('{"subtasks": [{"a": 1} {"b": 2}]}', [{"a": 1}, {"b": 2}], True),
        ('{"subtasks": [{"a": 1}, oops, {"b": 2}]}', [{"a": 1}, Unreadable(), {"b": 2}], True),
        ('{"subtasks": [{"a": [1}]}]}', [Unreadable()], True),
        ('{"subtasks": [{"a": "\\ud800"}]}', [Unreadable()], True),
        ('{"subtasks": [null, 3, "x", true, [1]]}', [None, 3, "x", True, [1]], True),
        ('{"subtasks": []}', [], True),
        ('{"tasks" : [{"a": 1}]}', [{"a": 1}], True),
        ('{"mytasks": [{"a": 1}], "tasks": [2]}', [2], True),
        ('{"tasks"' + " " * 80 + ': [1], "subtasks": [2]}', [2], True),
        ('{"subtasks": [{"a": 1}], "more": [{"b": 2}]}', [{"a": 1}], True),
        ('{"other": {"subtasks": [1]}, "subtasks": [2]}', [2], True),
        ('{"note": "\\"subtasks\\": [1]", "x": [1], "subtasks": [2]}', [2], True),
        ('{"subtasks": [{"a": 1}, {"b"', [{"a": 1}], False),
        ('{"subtasks": null}', [], False),
        ("null", [], False),
    ],
)
def test_a_mistake_costs_the_entry_it_is_in(text: str, found: list[Any], closed: bool) -> None:
    for size in (1, 3, 1000):
        reader = PlanReader()
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert [entry for piece in pieces for entry in reader.feed(piece)] == found
        assert reader.closed is closed


@pytest.mark.parametrize("end", ["]}", "]", ""])
def test_reading_may_begin_inside_the_list(end: str) -> None:
    text = json.dumps(PLAN)[1:-1] + end
    for at in range(len(text) + 1):
        reader = PlanReader(inside=True)
        assert reader.feed(text[:at]) + reader.feed(text[at:]) == PLAN
        assert reader.closed is bool(end)


def test_the_schema_keeps_within_what_structured_output_allows() -> None:
    entry = PLAN_SCHEMA["properties"]["subtasks"]["items"]
    assert entry["required"] == ["id", "title", "instructions"]
    assert len(entry["properties"]) - len(entry["required"]) <= 24
    assert PLAN_SCHEMA["additionalProperties"] is entry["additionalProperties"] is False
    keys = {key for field in entry["properties"].values() for key in field}
    assert keys == {"type", "description", "items", "enum"}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"subtasks": [{"id": "x" * 1_000_000}]}),
        '{"subtasks": [' + "[" * 500_000 + "]" * 500_000 + "]}",
        '{"subtasks": [' + '{"a":' * 300_000,
        json.dumps({"subtasks": [{"id": n} for n in range(30_000)]}),
        '{"' + "\\\\" * 500_000,
        "{" + '"a": [],' * 125_000,
    ],
    ids=["a long string", "deep lists", "deep objects", "many", "many escapes", "other lists"],
)
def test_a_megabyte_of_anything_is_read_in_linear_time(text: str) -> None:
    began = stopwatch()
    for size in (5, len(text)):
        reader = PlanReader()
        for at in range(0, len(text), size):
            reader.feed(text[at : at + size])
    # Quadratic reading would take minutes.
    assert stopwatch() - began < 20
