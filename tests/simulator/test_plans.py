"""Plans as the lead of a team is asked for them: how few entries say it, and a look at results."""

from typing import Any

import pytest

from tests.simulator.wire import Json, Wire, ask, text_of


def strings(description: str = "") -> Json:
    return {"type": "array", "items": {"type": "string"}, "description": description}


SUBTASK: Json = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "title": {"type": "string"},
        "instructions": {"type": "string"},
        "type": {"type": "string"},
        "depends_on": strings(),
        "attachments": strings(),
        "repeat_for": strings("One entry per thing; write {{thing}} for it in title and the rest."),
        "tier": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "tools": strings("Names of tools."),
        "output": {"enum": ["text", "json"]},
    },
    "required": ["id", "title", "instructions"],
    "additionalProperties": False,
}
PLAN: Json = {
    "name": "split",
    "input_schema": {
        "type": "object",
        "properties": {"entries": {"type": "array", "items": SUBTASK}},
        "required": ["entries"],
    },
}
LANGUAGES = ["French", "German", "Spanish", "Japanese", "Italian"]


async def entries(wire: Wire, body: Json) -> list[Json]:
    block = (await wire.message(body | {"tools": [PLAN], "max_tokens": 9000})).content[0]
    found: Any = block.input["entries"] if block.type == "tool_use" else []
    return found


@pytest.mark.parametrize(
    ("request_text", "items", "instructions"),
    [
        (
            "Translate “good morning” into French, German, Spanish, Japanese and Italian.",
            LANGUAGES,
            "Translate “good morning” into {{thing}}.",
        ),
        (
            "Compare PostgreSQL, MySQL and SQLite for a web shop",
            ["PostgreSQL", "MySQL", "SQLite"],
            "Describe {{thing}} for a web shop, for a comparison of PostgreSQL, MySQL and SQLite.",
        ),
        (
            "Write an ad for Instagram, Facebook and TikTok about it.",
            ["Instagram", "Facebook", "TikTok"],
            "Write an ad for {{thing}} about it.",
        ),
        (
            "Summarise these:\n- Solar\n- Wind\n- Water",
            ["Solar", "Wind", "Water"],
            "Summarise these, only this one: {{thing}}.",
        ),
    ],
)
async def test_the_same_work_on_many_things_is_one_entry(
    wire: Wire, request_text: str, items: list[str], instructions: str
) -> None:
    assert await entries(wire, ask(request_text)) == [
        {"id": "s1", "title": "{{thing}}", "instructions": instructions, "repeat_for": items}
    ]


@pytest.mark.parametrize(
    "request_text",
    [
        "Translate “good morning” into French and German.",
        "Explain TCP. Describe UDP. List three uses of both.",
        "Translate “{{thing}}” into French, German and Spanish.",
        "Translate “hello” into French, French and German.",
        f"Summarise these:\n- {'a ' * 40}\n- {'b ' * 40}\n- {'c ' * 40}",
        "Review each file: a.py b.py c.py",
        "Write a tweet, a post and an email about it.",
    ],
)
async def test_what_is_not_the_same_or_not_many_is_written_out(
    wire: Wire, request_text: str
) -> None:
    found = await entries(wire, ask(request_text))
    assert len(found) >= 2
    assert not any("repeat_for" in entry for entry in found)


async def test_optional_fields_are_there_only_when_they_say_something(wire: Wire) -> None:
    text = "Translate “hello” into French, German and Spanish, then compare their lengths."
    many, last = await entries(wire, ask(text))
    assert set(many) == {"id", "title", "instructions", "repeat_for"}
    assert set(last) == {"id", "title", "instructions", "depends_on"}
    assert last["depends_on"] == ["s1"]
    files = '<file id="1" name="a.txt">x</file>\n<file id="2" name="b.txt">y</file>'
    for entry in await entries(wire, ask(f"Summarise each file.\n\n{files}")):
        assert set(entry) == {"id", "title", "instructions", "attachments"}


async def test_one_of_the_things_is_answered_like_any_other_task(wire: Wire) -> None:
    def body(task: str) -> Json:
        blocks = [{"type": "text", "text": t} for t in ("Translate “hi” into many.", task)]
        return ask(messages=[{"role": "user", "content": blocks}])

    said = text_of(
        await wire.message(body("Your part is “French”.\n\nTranslate “hi” into French."))
    )
    assert "In French, a real model would put: “hi”" in said
    assert "{{" not in said


QUESTION = "Compare PostgreSQL, MySQL and SQLite for a web shop."
THERE = '<result-7f id="s1" title="PostgreSQL" outcome="succeeded">\nRobust.\n</result-7f>'
GONE = '<result-7f id="s2" title="MySQL" outcome="timed_out" reason="slow">\n</result-7f>'
ALONE = '<result-7f title="Licences" status="failed">\nrefused\n</result-7f>'


def in_one_message(results: str) -> Json:
    turn = f"These are the results:\n\n{results}\n\nSay whether more is needed."
    blocks = [{"type": "text", "text": text} for text in (QUESTION, turn)]
    return ask(messages=[{"role": "user", "content": blocks}])


def from_the_tool(results: str) -> Json:
    call = {"type": "tool_use", "id": "toolu_1", "name": "split", "input": {"entries": []}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": results}
    return ask(
        messages=[
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ]
    )


FORMS = pytest.mark.parametrize("form", [in_one_message, from_the_tool])


@FORMS
async def test_results_that_are_all_there_are_not_planned_again(wire: Wire, form: Any) -> None:
    body = form(THERE + THERE.replace("PostgreSQL", "SQLite")) | {"tools": [PLAN]}
    said = text_of(await wire.message(body))
    assert said == "Nothing is missing: the results cover PostgreSQL and SQLite. (simulated)"


@FORMS
async def test_only_what_is_missing_is_planned_again(wire: Wire, form: Any) -> None:
    same, unknown = await entries(wire, form(f"{THERE}\n{GONE}\n{ALONE}"))
    assert (same["id"], same["title"]) == ("s2-again", "MySQL")
    assert same["instructions"].startswith("Describe MySQL for a web shop")
    assert (unknown["id"], unknown["title"]) == ("r2", "Licences")
    assert QUESTION.rstrip(".") in unknown["instructions"]


@FORMS
async def test_without_a_tool_for_plans_results_are_written_up(wire: Wire, form: Any) -> None:
    other = {"name": "look", "input_schema": {"type": "object"}}
    said = text_of(await wire.message(form(THERE) | {"tools": [other]}))
    assert "Robust." in said
    assert "Nothing is missing" not in said
