"""A plan in text is told from the prose around it, whatever it is cut into."""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_worker.clock import stopwatch
from orchestrator_worker.orchestration.plan import Unreadable
from orchestrator_worker.orchestration.text_plan import MAX_HELD_CHARS, OPENING_CHARS, TextPlan

ENTRIES: list[dict[str, Any]] = [
    {"id": "s1", "title": 'A "quoted" \\ title', "instructions": "[{ } ] é 🙂\nnext ``` line"},
    {"id": "s2", "title": "B", "instructions": "</task> <tasks>", "depends_on": ["s1"]},
]
ESCAPED = json.dumps({"subtasks": ENTRIES})
INDENTED = json.dumps({"tasks": ENTRIES}, indent=2, ensure_ascii=False)
DESCRIBED = '{"type": "formal", "description": "Say it."}'
XML = """<tasks>
  <task>
    <id>a</id><type>formal</type>
    <description>Compare &lt;b&gt; &amp; <title> tags</description>
  </task>
  <task>
    <title>T</title><instructions><![CDATA[if a < b && c: </task> &amp; ]]></instructions>
    <depends_on>a, b c</depends_on><tier>haiku</tier><output>json</output>
  </task>
  <subtask><description>Each</description><for_each><item>x &amp; y</item><item>z</item></for_each>
    <depends_on><id>a</id><id>b</id></depends_on><tools>search, fetch</tools></subtask>
</tasks>"""
XML_ENTRIES = [
    {"id": "a", "type": "formal", "instructions": "Compare <b> & <title> tags"},
    {
        "title": "T",
        "instructions": "if a < b && c: </task> &amp;",
        "depends_on": ["a", "b", "c"],
        "tier": "haiku",
        "output": "json",
    },
    {
        "instructions": "Each",
        "for_each": ["x & y", "z"],
        "depends_on": ["a", "b"],
        "tools": ["search", "fetch"],
    },
]
PLANS: dict[str, tuple[str, str, list[Any]]] = {
    "an object": (ESCAPED, "", ENTRIES),
    "an object in several lines": (f"Here it is:\n\n{INDENTED}\nDone.", "Here it is:\n\n", ENTRIES),
    "in a json fence": (f"Plan:\n```json\n{INDENTED}\n```\nDone.", "Plan:\n", ENTRIES),
    "in a bare fence": (f"```\n{ESCAPED}\n```", "", ENTRIES),
    "in a fence of tildes": (f"x\n~~~~ JSON\r\n\r\n{ESCAPED}\n~~~~", "x\n", ENTRIES),
    "an array": (f"Plan: {json.dumps(ENTRIES)} ok", "Plan: ", ENTRIES),
    "an array in a fence": (f"```json\n[\n {DESCRIBED}\n]\n```", "", [
        {"type": "formal", "instructions": "Say it."}
    ]),
    "elements": (f"I split this.\n{XML}\nThat is all.", "I split this.\n", XML_ENTRIES),
    "elements in a fence": (f"```xml\n{XML}\n```", "", XML_ENTRIES),
    "after a fence that holds something else": (
        f"```python\nprint({{}})\n```\n```json\n{ESCAPED}",
        "```python\nprint({})\n```\n",
        ENTRIES,
    ),
    "after braces, brackets and tags": (
        f'{{[<a>`` {{"a": [{{"b"{ESCAPED}', '{[<a>`` {"a": [{"b"', ENTRIES
    ),
    "after the opening of another": (f'[{{"x": <tasks>{ESCAPED}', '[{"x": <tasks>', ENTRIES),
    "with no entries": ('{"subtasks": []} and more', "", []),
    "with single quotes and a trailing comma": (
        '{"subtasks": [{\'id\': 1}, {"id": "b",}, {"id": "c"}]}',
        "",
        [Unreadable(), Unreadable(), {"id": "c"}],
    ),
    "broken off": (f"{ESCAPED[:-30]}", "", ENTRIES[:1]),
    "elements broken off": (
        "<tasks><task><title>A</title></task><task><title>B", "", [{"title": "A"}]
    ),
}  # fmt: skip
PROSE = {
    "plain": "Paris is the capital.\n\nIt lies on the Seine.",
    "a fence": 'Use this:\n```python\nx = {"tasks": 1}\ny = [{"a": [0]}]\n```\nor ~~~\nno\n~~~',
    "an unfinished fence": "And then ```json\n",
    "an unfinished object": 'It begins with { "subtasks" : ',
    "an unfinished element": "It begins with <tasks>\n<tas",
    "another object": '{"answer": {"subtasks": 3}, "tasks": null}',
    "another array": '[1, {"name": "x"}, [{"key": 2}]]',
    "an empty element": "<tasks></tasks> <task>x</task>",
    "too much space": "{" + " " * 40 + '"subtasks": [',
    "marks": "`` ``` ```` ~~ ~~~ {{ [[ << {[<`~",
}


def read(pieces: Iterable[str]) -> tuple[str, list[object], bool, bool]:
    plan = TextPlan()
    prose, entries = "", []
    for piece in pieces:
        more, found = plan.feed(piece)
        assert not (more and entries), "no prose comes after an entry"
        prose += more
        entries += found
    return prose + plan.end(), entries, plan.begun, plan.closed


def pieces_of(text: str, cuts: Iterable[int]) -> list[str]:
    edges = [0, *sorted(cuts), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("name", PLANS)
def test_every_form_of_a_plan_is_read_at_every_split_point(name: str) -> None:
    text, prose, entries = PLANS[name]
    closed = "broken off" not in name
    for at in range(len(text) + 1):
        assert read([text[:at], text[at:]]) == (prose, entries, True, closed), at


@pytest.mark.parametrize("name", PROSE)
def test_what_is_no_plan_is_passed_on_unchanged_at_every_split_point(name: str) -> None:
    text = PROSE[name]
    for at in range(len(text) + 1):
        assert read([text[:at], text[at:]]) == (text, [], False, False), at


@given(st.sampled_from([*PLANS]), st.data())
def test_any_pieces_of_a_plan_give_the_same(name: str, data: st.DataObject) -> None:
    text, prose, entries = PLANS[name]
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=30))
    assert read(pieces_of(text, cuts))[:2] == (prose, entries)


@pytest.mark.parametrize("name", [*PLANS, *PROSE])
def test_single_characters_give_the_same(name: str) -> None:
    text = PLANS[name][0] if name in PLANS else PROSE[name]
    assert read(text) == read([text])


MARKS = [
    *("```", "`", "~~~", "json", "{", "[", '"tasks"', '"id"', ":", "]", "}", "\\", "\n", " ", "or"),
    *("<tasks>", "<task>", "</task>", "</tasks>", "<title>", "</title>", "<id>", "<depends_on>"),
    *("<description>", "</description>", "<![CDATA[", "]]>", "&#55", '{"id":"é\\ud83d\\ude42"},'),
    '{"subtasks": [',
]
marks = st.lists(st.sampled_from(MARKS), max_size=30).map("".join)


@given(marks, st.data())
def test_whatever_is_written_is_read_the_same_in_any_pieces(text: str, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=10))
    assert read(pieces_of(text, cuts)) == read([text])


@given(st.text(max_size=80), st.lists(st.integers(0, 80), max_size=5))
def test_no_text_whatever_raises(text: str, cuts: list[int]) -> None:
    prose, entries, begun, _ = read(pieces_of(text, [min(cut, len(text)) for cut in cuts]))
    assert begun or (prose, entries) == (text, [])


@given(
    st.lists(
        st.fixed_dictionaries(
            {"id": st.text(min_size=1), "instructions": st.text()},
            optional={"depends_on": st.lists(st.text(), max_size=2)},
        ),
        min_size=1,
        max_size=4,
    ),
    st.text(alphabet="ab \n.,!?é🙂", max_size=40),
    st.sampled_from(["{}", "```json\n{}\n```", "~~~\n{}\n~~~\n"]),
    st.booleans(),
    st.integers(1, 9),
)
def test_any_plan_behind_any_prose(
    plan: list[Any], prose: str, around: str, ascii_only: bool, size: int
) -> None:
    written = json.dumps({"subtasks": plan}, ensure_ascii=ascii_only)
    text = prose + around.replace("{}", written)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert read(pieces) == (prose, plan, True, True)


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("Text ", "Text "),
        ("A {x} [1] <b> `c`.", "A {x} [1] <b> `c`."),
        ("See:\n```python\nx", "See:\n```python\nx"),
        ("See:\n```python\n", "See:\n"),
        ("See:\n\n``", "See:\n\n"),
        ('A { "task', "A "),
        ('A { "taskforce', 'A { "taskforce'),
        ("A <tasks>\n<", "A "),
        ("A <tasks>\n<b", "A <tasks>\n<b"),
        ("A {" + " " * OPENING_CHARS, "A {" + " " * OPENING_CHARS),
        ("`" * 1000, "`" * 992),
    ],
)
def test_only_what_may_become_a_plan_is_held_back(text: str, passed: str) -> None:
    assert TextPlan().feed(text) == (passed, [])


def test_each_entry_comes_with_its_end() -> None:
    plan = TextPlan()
    assert plan.feed("Text <tasks><task><title>A</title></task") == ("Text ", [])
    assert plan.feed("><task>") == ("", [{"title": "A"}])
    assert plan.feed("<title>B</title></task>") == ("", [{"title": "B"}])
    assert not plan.closed
    assert plan.feed("</tasks> and more") == ("", [])
    assert plan.closed
    assert plan.feed("and more") == ("", [])


@pytest.mark.parametrize(
    ("inside", "fields"),
    [
        ("<id>a<title>T<instructions>D", {"id": "a", "title": "T", "instructions": "D"}),
        ("<description>D<tier>x</tier>", {"instructions": "D", "tier": "x"}),
        ("<type>formal<description>D", {"type": "formal", "instructions": "D"}),
        ("<id>a<title>T</title><depends_on><id>b</id></depends_on>", {
            "id": "a", "title": "T", "depends_on": ["b"]
        }),
        ("<depends_on><id>a<id>b<title>T", {"depends_on": ["a", "b"], "title": "T"}),
        ("<for_each><item>a<item>b, c</item></for_each>", {"for_each": ["a", "b, c"]}),
        ("<for_each>a\nb</for_each>", {"for_each": ["a", "b"]}),
        ("<depends_on></depends_on>", {"depends_on": []}),
        ("<title>A &quot;B&quot; &#233; &nope; &#x1F642;</title>", {"title": 'A "B" é &nope; 🙂'}),
        (f"<title>&#{'9' * 5000};</title>", {"title": f"&#{'9' * 5000};"}),
        ("<title><![CDATA[<b>]]> &amp; <![CDATA[]] &amp;]]></title>", {"title": "<b> & ]] &amp;"}),
        ("Just do it.", {"instructions": "Just do it."}),
        ("", {"instructions": ""}),
        ("<other>x</other><title>T</title>", {"title": "T"}),
    ],
)  # fmt: skip
def test_a_child_that_is_not_closed_leaves_its_siblings_whole(
    inside: str, fields: dict[str, Any]
) -> None:
    text = f"<tasks><task>{inside}</task><task><title>next</title></task></tasks>"
    assert read([text]) == read(text) == ("", [fields, {"title": "next"}], True, True)


def test_an_entry_ends_where_the_next_begins() -> None:
    text = "<subtasks><subtask><title>A<subtask><title>B</subtasks> after"
    assert read(text) == ("", [{"title": "A"}, {"title": "B"}], True, True)


LONG = {
    "braces": ("{", 1),
    "brackets and braces": ("[{", 1),
    "marks": ('{"<`', 1),
    "backticks": ("`", 1),
    "fences": ("```python\n", 1),
    "openings that come to nothing": ('{ "subtasks" : ', 1),
    "space": ("{" + " " * 100, 1),
    "words": ("some words ", 1),
    "a plan's text": ("[[{", 0),
    "children": ("<id>", 2),
    "lists": ("<depends_on><id>", 2),
    "unclosed texts": ("<description><title>", 2),
    "characters by number": ("&#", 2),
    "CDATA": ("<![CDATA[ ]]>", 2),
    "angles": ("<", 2),
}
BEFORE = ['{"subtasks": [', "", "<tasks><task>"]


@pytest.mark.parametrize("name", LONG)
def test_reading_takes_linear_time(name: str) -> None:
    unit, kind = LONG[name]

    def seconds(chars: int, size: int) -> float:
        text = BEFORE[kind] + unit * (chars // len(unit)) + "</task></tasks>"
        began = stopwatch()
        read(text[at : at + size] for at in range(0, len(text), size))
        return stopwatch() - began

    for size in (50, 1_000_000):
        small = min(seconds(50_000, size) for _ in range(3))
        # Ten times as much; quadratic would be a hundred times as long.
        assert any(seconds(500_000, size) < 40 * small + 0.05 for _ in range(3))


BESIDE_ANSWERS = {
    "an array": ('Like [{"id": 1}, {"title": "x"}] here.', 0),
    "a list of tasks": ('Like {"tasks": [{"id": 1}]} here.', 0),
    "a fenced array": ('Like\n```json\n[{"title": "x"}]\n```\n', 0),
    "an array at once": ('\n```json\n[{"title": "x"}]\n```\n', 1),
    "tasks at once": ('{"tasks": [{"title": "x"}]}', 1),
    "subtasks after words": (f"So: {ESCAPED}", 2),
    "subtasks that are described": ('So: {"subtasks": [{"title": "x", "description": "y"}]}', 1),
    "subtasks that tell nobody what to do": ('Like {"subtasks": [{"title": "x"}]} here.', 0),
    "another program's subtasks": (
        'It may answer:\n```json\n{"subtasks": [{"id": 1, "title": "Buy milk"}]}\n```\nSo easy.', 0
    ),
    "subtasks in words": ('Like {"subtasks": ["a, b", ["c"]]} here.', 0),
    "no subtasks": ('Like {"subtasks": []} here.', 0),
    "subtasks that are no JSON": ('Like {"subtasks": [{"title": ...}]} here.', 0),
    "subtasks that break off": (f"So: {ESCAPED[:60]}", 0),
    "subtasks in subtasks": (f'Like {{"subtasks": [{ESCAPED}]}} here.', 0),
    "examples before the plan": (
        f'Not {{"subtasks": [{{"id": 1}}, {{"id": 2}}]}} nor {{"subtasks": [1]}}: {INDENTED}'
        f' but {ESCAPED}',
        2,
    ),
    "elements after words": ("So: <tasks><task>x</task></tasks>", 1),
    "subtasks after an example": (f'Not [{{"id": 1}}], but {ESCAPED}', 2),
}  # fmt: skip


@pytest.mark.parametrize("name", BESIDE_ANSWERS)
def test_beside_an_answer_only_what_cannot_be_its_own_json_is_a_plan(name: str) -> None:
    text, count = BESIDE_ANSWERS[name]
    seen: set[str] = set()
    for at in range(len(text) + 1):
        plan = TextPlan(beside_answers=True)
        pieces = [plan.feed(text[:at]), plan.feed(text[at:])]
        prose = "".join(prose for prose, _ in pieces) + plan.end()
        assert sum(len(entries) for _, entries in pieces) == count, at
        assert plan.begun == bool(count)
        seen.add(prose)
    (prose,) = seen
    assert text.startswith(prose)
    assert bool(count) or prose == text


def beside_answer(pieces: Iterable[str]) -> tuple[str, list[object], bool]:
    plan = TextPlan(beside_answers=True)
    read = [plan.feed(piece) for piece in pieces]
    entries = [entry for _, found in read for entry in found]
    return "".join(prose for prose, _ in read) + plan.end(), entries, plan.begun


@given(
    st.lists(st.sampled_from([*MARKS, '"title": "x", "instructions": "y"']), max_size=30),
    st.data(),
)
def test_beside_an_answer_any_pieces_give_the_same(marks: list[str], data: st.DataObject) -> None:
    text = "So: " + "".join(marks)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=10))
    whole = beside_answer([text])
    assert beside_answer(pieces_of(text, cuts)) == beside_answer(text) == whole
    assert whole[2] or whole[0] == text


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_an_entry_that_does_not_end_is_held_only_so_long(size: int) -> None:
    open_ended = '{"subtasks": [{"title": "'
    text = f"Like {open_ended}{'x' * MAX_HELD_CHARS} and more. {ESCAPED}"
    plan, passed, at = TextPlan(beside_answers=True), "", 0
    for at in range(0, len(text), size):
        prose, entries = plan.feed(text[at : at + size])
        passed += prose
        held = min(at + size, len(text)) - len(passed)
        assert entries or plan.begun or held <= MAX_HELD_CHARS + OPENING_CHARS
    assert passed == text.removesuffix(ESCAPED)
    assert plan.closed


@pytest.mark.parametrize(
    "unit", ['{"subtasks": [', '{"subtasks": [1]} ', '[{"id": ', '{"tasks": [', "[,]", "}"]
)
def test_reading_beside_an_answer_takes_linear_time(unit: str) -> None:
    def seconds(chars: int, size: int) -> float:
        text = "So: " + unit * (chars // len(unit))
        began = stopwatch()
        beside_answer(text[at : at + size] for at in range(0, len(text), size))
        return stopwatch() - began

    for size in (50, 1_000_000):
        small = min(seconds(50_000, size) for _ in range(3))
        assert any(seconds(500_000, size) < 40 * small + 0.05 for _ in range(3))
