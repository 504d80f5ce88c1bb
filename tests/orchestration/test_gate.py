"""Every rule of the gate, with the reason it records."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_worker.clock import stopwatch
from orchestrator_worker.orchestration.expansion import MAX_INSTRUCTIONS_CHARS, MAX_TITLE_CHARS
from orchestrator_worker.orchestration.gate import Gate, GateRules
from orchestrator_worker.orchestration.plan import Subtask, Unreadable
from tests.orchestration.gated import RULES, admit, raw


def subtask(**fields: Any) -> Subtask:
    return replace(Subtask("a", "T", "Do it."), **fields)


DEEP = orjson.loads("[" * 1020 + "]" * 1020)
"""As deep as JSON may be, and deeper than it could be written out again."""

FIELDS: dict[str, tuple[dict[str, Any], Subtask, list[str]]] = {
    "nothing optional": ({}, subtask(), []),
    "everything": (
        {
            "type": "research",
            "tier": "haiku",
            "tools": ["fetch", "search"],
            "attachments": ["1"],
            "output": "json",
            "depends_on": [],
        },
        subtask(
            type="research",
            tier="haiku",
            tools=("fetch", "search"),
            attachments=("1",),
            output="json",
        ),
        [],
    ),
    "null": (
        dict.fromkeys(["type", "tier", "tools", "attachments", "output", "depends_on", "for_each"]),
        subtask(),
        [],
    ),
    "names in another case": (
        {"type": "LEGAL", "tier": "Haiku", "output": "JSON", "attachments": ["contract.PDF"]},
        subtask(type="Legal", tier="haiku", output="json", attachments=("Contract.pdf",)),
        [],
    ),
    "an unknown type": ({"type": "x"}, subtask(), ["type ignored: 'x' is not known"]),
    "an unknown tier": ({"tier": "opus"}, subtask(), ["tier ignored: 'opus' is not known"]),
    "an unknown output": ({"output": "xml"}, subtask(), ["output ignored: 'xml' is not known"]),
    "an unknown tool": (
        {"tools": ["search", "shell", "search", ["x"]]},
        subtask(tools=("search",)),
        ["tools: 'shell' removed, it is not known", "tools: a list removed, it is not known"],
    ),
    "a number for an attachment": ({"attachments": [1]}, subtask(attachments=("1",)), []),
    "an unknown attachment": (
        {"attachments": [2, None, False]},
        subtask(),
        [
            "attachments: 2 removed, it is not known",
            "attachments: null removed, it is not known",
            "attachments: true or false removed, it is not known",
        ],
    ),
    "tools that are no list": ({"tools": "search"}, subtask(), ["tools ignored: not a list"]),
    "attachments that are no list": (
        {"attachments": {"1": 1}},
        subtask(),
        ["attachments ignored: not a list"],
    ),
    "many unknown tools": (
        {"tools": ["x"] * 10_000},
        subtask(),
        ["tools: 'x' removed, it is not known"] * 3 + ["tools: 9997 more changes like these"],
    ),
    "a number as a title": (
        {"title": 2025},
        subtask(title="2025"),
        ["title: the number 2025 taken as text"],
    ),
    "a number as an id": ({"id": 7}, subtask(id="7"), ["id: the number 7 taken as text"]),
    "a list as a title": (
        {"title": ["x"]},
        subtask(title="Do it."),
        ["title ignored: a list, not text"],
    ),
    "an object as instructions": (
        {"instructions": {"a": 1}},
        subtask(instructions="T"),
        ["instructions ignored: an object, not text"],
    ),
    "true as a type": ({"type": True}, subtask(), ["type ignored: true or false, not text"]),
    "deep lists as a tier": ({"tier": DEEP}, subtask(), ["tier ignored: a list, not text"]),
    "no title": (
        {"title": None, "instructions": " Line one\nline two "},
        subtask(title="Line one line two", instructions="Line one\nline two"),
        [],
    ),
    "no instructions": ({"instructions": " "}, subtask(instructions="T"), []),
    "a long title": (
        {"title": "x" * 500_000},
        subtask(title="x" * (MAX_TITLE_CHARS - 1) + "…"),
        [f"title shortened to {MAX_TITLE_CHARS} characters"],
    ),
    "long instructions": (
        {"instructions": "x" * 500_000},
        subtask(instructions="x" * MAX_INSTRUCTIONS_CHARS),
        [f"instructions cut at {MAX_INSTRUCTIONS_CHARS} characters"],
    ),
    "no id": ({"id": None}, subtask(id="s1"), ["renamed: it had no id"]),
    "a list as an id": (
        {"id": ["a"]},
        subtask(id="s1"),
        ["id ignored: a list, not text", "renamed: it had no id"],
    ),
    "an unusable id": (
        {"id": "../x"},
        subtask(id="s1"),
        ["renamed: the id '../x' is not usable"],
    ),
    "a long id": (
        {"id": "x" * 65},
        subtask(id="s1"),
        [f"renamed: the id {'x' * 64!r} is not usable"],
    ),
    "dependencies that are no list": (
        {"depends_on": "a"},
        subtask(),
        ["depends_on ignored: not a list"],
    ),
    "a dependency on itself": (
        {"depends_on": ["a"]},
        subtask(),
        ["dependency 'a' ignored: it is this one"],
    ),
    "a dependency on what is not written yet": (
        {"depends_on": ["later", 5, DEEP, ""]},
        subtask(),
        [
            "dependency 'later' ignored: no earlier subtask",
            "dependency 5 ignored: no earlier subtask",
            "dependency a list ignored: no earlier subtask",
            "depends_on: 1 more changes like these",
        ],
    ),
    "a placeholder without items": (
        {"instructions": "Do {{item}}."},
        subtask(instructions="Do {{item}}."),
        [],
    ),
    "no items": ({"for_each": []}, subtask(), ["for_each ignored: no item"]),
    "items that are no list": ({"for_each": "a, b"}, subtask(), ["for_each ignored: not a list"]),
    "items that are no text": (
        {"for_each": [None, ""]},
        subtask(),
        [
            "item 1 removed: null, not text",
            "item 2 removed: '', not text",
            "for_each ignored: no usable item",
        ],
    ),
    "one item": (
        {"for_each": ["x"]},
        subtask(title="T: x", instructions="Do it.\nx", item="x"),
        [],
    ),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_is_taken_repaired_or_ignored(name: str) -> None:
    fields, expected, reasons = FIELDS[name]
    assert admit(raw(**fields)) == ([(expected,)], reasons)


@pytest.mark.parametrize(
    ("bad", "reason", "dropped"),
    [
        (None, "not an object", 0),
        (3, "not an object", 0),
        ("text", "not an object", 0),
        ([], "not an object", 0),
        ({}, "neither instructions nor a title", 0),
        ({"id": "x", "for_each": ["a"]}, "neither instructions nor a title", 0),
        ({"instructions": "  ", "title": ["x"]}, "neither instructions nor a title", 0),
        (Unreadable(), "not valid JSON", 1),
    ],
)
def test_what_asks_for_nothing_is_dropped(bad: Any, reason: str, dropped: int) -> None:
    gate = Gate(RULES)
    assert gate.admit(bad) == ()
    assert [repair.reason for repair in gate.take_repairs()] == [f"subtask 1 dropped: {reason}"]
    assert gate.take_repairs() == []
    assert gate.dropped == dropped


EACH: dict[str, tuple[dict[str, Any], list[tuple[str, str, str, str]], list[str]]] = {
    "in title and instructions": (
        {"title": "On {{item}}", "instructions": "Do {{ item }}, {{item}}.", "for_each": ["x", 7]},
        [("a.1", "On x", "Do x, x.", "x"), ("a.2", "On 7", "Do 7, 7.", "7")],
        [],
    ),
    "in neither": (
        {"for_each": ["x", "y"]},
        [("a.1", "T: x", "Do it.\nx", "x"), ("a.2", "T: y", "Do it.\ny", "y")],
        [],
    ),
    "items that hold placeholders": (
        {
            "instructions": "<{{item}}>",
            "title": "{{item}}",
            "for_each": ["{{item}}!", "{{ item }}"],
        },
        [
            ("a.1", "{{item}}!", "<{{item}}!>", "{{item}}!"),
            ("a.2", "{{ item }}", "<{{ item }}>", "{{ item }}"),
        ],
        [],
    ),
    "the same items": (
        {"for_each": ["x", " x", "y"]},
        [("a.1", "T: x", "Do it.\nx", "x"), ("a.2", "T: y", "Do it.\ny", "y")],
        ["item 2 removed: there is one like it"],
    ),
    "other things among the items": (
        {"for_each": ["x", None, {"a": 1}, "y"]},
        [("a.1", "T: x", "Do it.\nx", "x"), ("a.2", "T: y", "Do it.\ny", "y")],
        ["item 2 removed: null, not text", "item 3 removed: an object, not text"],
    ),
    "a long item": (
        {"title": "{{item}}", "for_each": ["x" * 2_001]},
        [("a", "x" * 119 + "…", "Do it.\n" + "x" * 2_000, "x" * 2_000)],
        ["item 1 cut at 2000 characters"],
    ),
    "a long title": (
        {"title": "t" * 120, "for_each": ["x"]},
        [("a", "t" * 116 + "…: x", "Do it.\nx", "x")],
        [],
    ),
    "long instructions": (
        {"instructions": "i" * 20_000, "for_each": ["x"]},
        [("a", "T: x", "i" * 19_998 + "\nx", "x")],
        ["instructions cut at 20000 characters"],
    ),
    "many placeholders": (
        {"instructions": "{{item}}" * 2_000, "for_each": ["x" * 2_000, "y"]},
        [
            ("a.1", "T: " + "x" * 116 + "…", "x" * 20_000, "x" * 2_000),
            ("a.2", "T: y", "y" * 2_000, "y"),
        ],
        ["instructions cut at 20000 characters"],
    ),
    "an id too long to be numbered": (
        {"id": "x" * 64, "for_each": ["x", "y"]},
        [("s1.1", "T: x", "Do it.\nx", "x"), ("s1.2", "T: y", "Do it.\ny", "y")],
        [f"renamed: the id {'x' * 64!r} is not usable"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EACH)
def test_an_entry_with_items_becomes_one_subtask_for_each(name: str) -> None:
    fields, expected, reasons = EACH[name]
    admitted, recorded = admit(raw(**fields))
    assert [(sub.id, sub.title, sub.instructions, sub.item) for sub in admitted[0]] == expected
    assert recorded == reasons


def test_all_subtasks_of_an_entry_share_what_is_not_about_the_item() -> None:
    (_, both), _ = admit(raw(), raw(id="b", for_each=["x", "y"], tier="haiku", depends_on=["a"]))
    assert [(sub.tier, sub.depends_on) for sub in both] == [("haiku", ("a",))] * 2


PLANS: dict[str, tuple[list[Any], list[tuple[str, tuple[str, ...]]], list[str]]] = {
    "an earlier one": ([raw(), raw(id="b", depends_on=["a"])], [("a", ()), ("b", ("a",))], []),
    "an id that is taken": (
        [raw(), raw(), raw(id="c", depends_on=["a"])],
        [("a", ()), ("s2", ()), ("c", ("a",))],
        ["renamed: the id 'a' was already taken"],
    ),
    "a name that is taken by a new one": (
        [raw(id="s2"), raw(id=None), raw(id="s3"), raw(id="d", depends_on=["s3", "s2"])],
        [("s2", ()), ("s3", ()), ("s4", ()), ("d", ("s4", "s2"))],
        ["renamed: it had no id", "renamed: the id 's3' was already taken"],
    ),
    "one that was renamed": (
        [raw(id="first one"), raw(id="b", depends_on=["first one"])],
        [("s1", ()), ("b", ("s1",))],
        ["renamed: the id 'first one' is not usable"],
    ),
    "one whose id is a number": (
        [raw(id="1"), raw(id="2", depends_on=[1])],
        [("1", ()), ("2", ("1",))],
        [],
    ),
    "one named twice": (
        [raw(), raw(id="b", depends_on=["a", "a"])],
        [("a", ()), ("b", ("a",))],
        ["dependency 'a' ignored: named twice"],
    ),
    "a cycle": (
        [raw(depends_on=["b"]), raw(id="b", depends_on=["a"])],
        [("a", ()), ("b", ("a",))],
        ["dependency 'b' ignored: no earlier subtask"],
    ),
    "one that was dropped": (
        [{"id": "x"}, raw(id="b", depends_on=["x"])],
        [("b", ())],
        [
            "subtask 1 dropped: neither instructions nor a title",
            "dependency 'x' ignored: no earlier subtask",
        ],
    ),
    "one that became several": (
        [raw(for_each=["x", "y"]), raw(id="b", depends_on=["a"]), raw(id="c", depends_on=["a.2"])],
        [("a.1", ()), ("a.2", ()), ("b", ("a.1", "a.2")), ("c", ("a.2",))],
        [],
    ),
    "several and one of them": (
        [raw(for_each=["x", "y"]), raw(id="b", depends_on=["a.2", "a"])],
        [("a.1", ()), ("a.2", ()), ("b", ("a.2", "a.1"))],
        [],
    ),
    "the name of several": (
        [raw(for_each=["x", "y"]), raw()],
        [("a.1", ()), ("a.2", ()), ("s2", ())],
        ["renamed: the id 'a' was already taken"],
    ),
    "a number that is taken": (
        [raw(id="a.1"), raw(for_each=["x", "y"]), raw(id="b", depends_on=["a"])],
        [("a.1", ()), ("a.2", ()), ("a.3", ()), ("b", ("a.2", "a.3"))],
        [],
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_ids_are_unique_and_dependencies_find_them(name: str) -> None:
    raws, expected, reasons = PLANS[name]
    admitted, recorded = admit(*raws)
    assert [(sub.id, sub.depends_on) for subs in admitted for sub in subs] == expected
    assert recorded == reasons


def test_what_passes_the_cap_is_dropped_with_one_reason_and_counted() -> None:
    gate = Gate(GateRules(max_subtasks=2, max_workers=50))
    raws = [
        raw(),
        raw(id="b"),
        raw(id="c"),
        raw(id="d", for_each=["x", "y", "x"]),
        {},
        Unreadable(),
    ]
    assert [len(gate.admit(one)) for one in raws] == [1, 1, 0, 0, 0, 0]
    assert gate.dropped == 4
    assert gate.take_repairs()[0].reason == (
        "subtask 3 dropped: over the cap of 2 subtasks, as is all that follows"
    )
    assert not gate.overrun
    gate.admit(raw())
    assert gate.overrun


def test_items_and_plain_subtasks_count_alike_towards_the_cap_of_workers() -> None:
    gate = Gate(GateRules(max_subtasks=20, max_workers=4))
    items = [str(number) for number in range(10)]
    admitted = [gate.admit(one) for one in (raw(), raw(id="b", for_each=items), raw(id="c"))]
    assert [len(subtasks) for subtasks in admitted] == [1, 3, 0]
    assert gate.dropped == 8
    assert [(repair.subtask_id, repair.reason) for repair in gate.take_repairs()] == [
        ("b", "7 of 10 items dropped: over the cap of 4 workers"),
        (None, "subtask 3 dropped: over the cap of 4 workers, as is all that follows"),
    ]


def test_a_later_plan_goes_on_where_the_earlier_one_ended() -> None:
    gate = Gate(RULES)
    gate.admit(raw(for_each=["x", "y"]))
    gate.admit(raw(id="no id"))
    gate.take_repairs()
    (again,) = gate.admit(raw(depends_on=["a", "s2"]))
    assert again == subtask(id="s3", depends_on=("a.1", "a.2", "s2"))
    assert [repair.reason for repair in gate.take_repairs()] == [
        "renamed: the id 'a' was already taken"
    ]


@pytest.mark.parametrize("entry", [None, Unreadable(), {}, raw()], ids=repr)
def test_ten_thousand_entries_make_few_repairs(entry: Any) -> None:
    gate = Gate(RULES)
    repairs = 0
    for _ in range(10_000):
        gate.admit(entry)
        repairs += len(gate.take_repairs())
    assert repairs <= RULES.max_subtasks


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ids = st.sampled_from(["a", "a.1", "a.2", "b", "s2", "s3", "s2.1", "", "x y", 3, None])
entries = st.fixed_dictionaries(
    {"title": st.just("T") | json_values},
    optional={
        "id": ids,
        "depends_on": st.lists(ids, max_size=4) | json_values,
        "for_each": st.lists(st.sampled_from("xyz"), max_size=4) | json_values,
        "tools": json_values,
        "type": json_values,
    },
)


@given(st.lists(entries | json_values, max_size=12))
def test_whatever_is_planned_is_a_graph_without_cycles_within_the_caps(plan: list[Any]) -> None:
    rules = replace(RULES, max_subtasks=6, max_workers=9)
    admitted, _ = admit(*plan, rules=rules)
    known: set[str] = set()
    for subtasks in admitted:
        assert all(known.issuperset(sub.depends_on) for sub in subtasks)
        for sub in subtasks:
            assert sub.id not in known
            assert sub.title
            assert sub.instructions
            known.add(sub.id)
    assert len(known) <= rules.max_workers
    assert sum(map(bool, admitted)) <= rules.max_subtasks


HUGE: dict[str, Callable[[int], list[dict[str, Any]]]] = {
    "many entries": lambda n: [
        raw(id=f"s{n - number}", depends_on=["s1", "x"]) for number in range(n)
    ],
    "many with the same id": lambda n: [raw()] * n,
    "many whose new names are taken": lambda n: (
        [raw(id=f"s{number + n}") for number in range(n)] + [raw()] * n
    ),
    "many items": lambda n: [raw(for_each=[f"item {number}" for number in range(n)])],
    "many items for every entry": lambda n: [
        raw(id=f"s{number}", for_each=[str(item) for item in range(100)])
        for number in range(n // 100)
    ],
    "many of the same item": lambda n: [raw(for_each=["x"] * n)],
    "many dependencies": lambda n: [raw(), raw(id="b", depends_on=["a", "b"] * n)],
    "many tools": lambda n: [raw(tools=[f"tool {number}" for number in range(n)])],
    "long texts": lambda n: [
        dict.fromkeys(["id", "title", "instructions", "type", "tier"], "a b " * 25 * n)
    ],
    "many placeholders": lambda n: [
        raw(instructions="{{item}}" * 10 * n, title="{{ " * n, for_each=["x" * 2000, "y"])
    ],
}


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("cap", [20, 100_000])
def test_a_huge_plan_takes_linear_time(name: str, cap: int) -> None:
    def seconds(count: int) -> float:
        plan = HUGE[name](count)
        began = stopwatch()
        admit(*plan, rules=replace(RULES, max_subtasks=cap, max_workers=cap))
        return stopwatch() - began

    small = min(seconds(1_000) for _ in range(3))
    # Ten times as much; quadratic would be a hundred times as long.
    assert any(seconds(10_000) < 40 * small + 0.05 for _ in range(3))
