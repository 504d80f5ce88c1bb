"""Teams whose lead has no tools: its plan is found in its text, and its answers are left alone."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from chat import answer_of, body, frames_of
from dumb_upstream import Reply
from plans import working
from served_teams import AS_BUNDLED
from stage import Stage

TYPES = """
[caps]
max_concurrent_workers = 1  # so that workers are sent in plan order
[types.formal]
description = "For letters."
[types.friendly]
prompt = "Write as to a friend."
"""
TEAMS = {
    "auto": 'plan_form = "text"',
    "always": 'plan_form = "text"\nroute = "always"',
    "typed": f'plan_form = "text"\n{TYPES}',
}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served({**AS_BUNDLED, **TEAMS})]
ENTRIES: list[dict[str, Any]] = [
    {"id": "s1", "title": "One {x}", "instructions": 'Do "one": [1, {2}] ``` é 🙂\nand more'},
    {"id": "s2", "title": "Two", "instructions": "Do two </task>.", "depends_on": ["s1"]},
]
COMPACT = json.dumps({"subtasks": ENTRIES})
LINES = json.dumps({"subtasks": ENTRIES}, indent=2, ensure_ascii=False)
ELEMENTS = """<tasks>
  <task>
    <id>s1</id><title>One {x}</title>
    <description>Do "one": [1, {2}] ``` é 🙂
and more</description>
  </task>
  <task>
    <id>s2</id><title>Two</title>
    <description><![CDATA[Do two </task>.]]></description><depends_on>s1</depends_on>
  </task>
</tasks>"""
PLANS: dict[str, tuple[str, str]] = {
    # What the lead writes, and the prose of it that comes before the plan.
    "alone": (COMPACT, ""),
    "in prose": (f"I split this.\n\n{COMPACT}\n\nThat is all.", "I split this.\n\n"),
    "in a fence": (f"```json\n{COMPACT}\n```", ""),
    "in prose and a fence": (f"So:\n~~~\n{LINES}\n~~~\nGood luck!", "So:\n"),
    "in several lines": (LINES, ""),
    "after blank lines": (f"\n \n{COMPACT}", ""),
    "as a bare array": (json.dumps(ENTRIES, indent=1), ""),
    "as elements": (ELEMENTS, ""),
    "as elements in prose": (f"Thus <b>split</b>:\n{ELEMENTS}\nEnd.", "Thus <b>split</b>:\n"),
    "as elements in a fence": (f"```xml\n{ELEMENTS}\n```", ""),
}
PIECES = (1, 3, 7, 10_000)
"""Characters per piece: one by one, at odd places, all at once."""


@pytest.mark.parametrize("team", ["auto", "always"])
@pytest.mark.parametrize("name", PLANS)
async def test_a_plan_is_read_in_whatever_form_it_comes(stage: Stage, team: str, name: str) -> None:
    text, prose = PLANS[name]
    # A lead that must delegate has no answer to begin; what another has said stays said.
    before = f"{prose}\n\n" if prose and team == "auto" else ""
    for piece in PIECES:
        stage.upstream.forget()
        working(stage.upstream)
        stage.upstream.answer("lead", Reply(text=text, piece=piece))
        assert answer_of(await stage.ask(team)) == f"{before}the answer", piece
        lead, first, second, _ = stage.upstream.calls
        assert {"tools", "tool_choice"}.isdisjoint(lead.body)
        assert "format" not in lead.body["output_config"]
        for turn, entry in zip((first.last_text, second.last_text), ENTRIES, strict=True):
            assert f'Your subtask is "{entry["title"]}"' in turn, piece
            assert turn.endswith(entry["instructions"]), piece
        assert 'title="One {x}"' in second.last_text


DIRECT = {
    "plain": "Paris is the capital.\n\nIt lies on the Seine.\n",
    "code": 'Use this:\n```python\nx = {"tasks": 1}\nif a < b: y = [{"a": [0]}]\n```\n',
    "fences of tildes": "~~~\nno plan\n~~~\n\n~~~~ json\n{}\n~~~~",
    "JSON": '```json\n{"answer": {"subtasks": 3}, "tasks": null, "list": [{"name": "x"}]}\n```',
    "JSON like a plan's": 'So:\n```json\n[{"id": 1, "title": "x"}]\n```\nor {"tasks": [{"id": 2}]}',
    "markup": "<div><task>not one</task></div> a < b > c <tas <tasks> <ul><li>x</li></ul>",
    "marks": "`` ``` ```` ~~ ~~~ {{ [[ << {[<`~ } ] > é 🙂 \u2028 \\u0041 \\n",
    "a fence at the end": "And then\n```json\n",
    "half an object at the end": 'It begins with { "subtasks" : ',
    "half an element at the end": "It begins with <tasks>\n<tas",
    "a single brace": "{",
    "space alone": " \n",
    "space at both ends": "  \n text \n\n ",
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", DIRECT)
async def test_a_direct_answer_passes_byte_for_byte(stage: Stage, name: str, stream: bool) -> None:
    for piece in PIECES:
        stage.upstream.forget()
        stage.upstream.answer("lead", Reply(text=DIRECT[name], piece=piece))
        assert answer_of(await stage.ask("auto", stream=stream)) == DIRECT[name], piece
        assert len(stage.upstream.calls) == 1


async def test_a_direct_answer_flows_while_it_is_written(stage: Stage) -> None:
    go_on = asyncio.Event()
    text = "See:\n```python\nprint(1)\n```\nand more."
    so_far = text.index("print") + len("print(1)")
    held = Reply(text=text, piece=1, hold_after_pieces=(so_far, go_on))
    stage.upstream.answer("lead", held)
    request = stage.http.build_request(
        "POST", "/v1/chat/completions", json=body(model="auto", stream=True)
    )
    async with asyncio.timeout(5):
        response = await stage.http.send(request, stream=True)
        lines = response.aiter_lines()
        read = ""
        while read != text[:so_far]:
            line = await anext(lines)
            read += content_of(line)
            assert text.startswith(read)
        go_on.set()
        read += "".join([content_of(line) async for line in lines])
        await response.aclose()
    assert read == text


def content_of(line: str) -> str:
    if not line.startswith("data: {"):
        return ""
    return json.loads(line[6:])["choices"][0]["delta"].get("content") or ""


@pytest.mark.parametrize("end", ["truncate", "cut", "error"])
async def test_what_was_held_back_is_said_when_an_answer_breaks_off(stage: Stage, end: str) -> None:
    text = 'It begins with {"subtasks": '
    broken = {
        "truncate": Reply(text=text, truncate=True),
        "cut": Reply(text=text, piece=len(text), cut_after_pieces=1),
        "error": Reply(text=text, piece=len(text), error_after_pieces=(1, "overloaded_error")),
    }
    stage.upstream.answer("lead", broken[end])
    *chunks, error = frames_of(await stage.ask("auto", stream=True))
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks) == text
    assert "error" in error


async def test_a_worker_starts_while_the_text_is_still_being_written(stage: Stage) -> None:
    working(stage.upstream)
    rest = asyncio.Event()
    end_of_first = ELEMENTS.index("</task>") + len("</task>")
    reply = Reply(text=ELEMENTS, piece=1, hold_after_pieces=(end_of_first, rest))
    stage.upstream.answer("lead", reply)
    asking = asyncio.create_task(stage.ask("auto"))
    await stage.upstream.arrived(1, "worker")
    assert [call.role for call in stage.upstream.calls] == ["lead", "worker"]
    rest.set()
    assert answer_of(await asking) == "the answer"


async def test_types_written_as_elements_decide_the_workers_prompts(stage: Stage) -> None:
    working(stage.upstream)
    tasks = "".join(
        f"<task><type>{kind}</type><description>Thank Ms {name} &amp; co.</description></task>"
        for kind, name in (("formal", "A"), ("Friendly", "B"), ("rude", "C"))
    )
    stage.upstream.answer("lead", Reply(text=f"<tasks>{tasks}</tasks>"))
    response = await stage.ask("typed", headers={"x-orchestration": "results"})
    assert answer_of(response) == "the answer"
    formal, friendly, rude = (call.last_text for call in stage.upstream.calls_of("worker"))
    assert formal.endswith("Thank Ms A & co.")
    assert friendly.endswith("Write as to a friend.\n\nThank Ms B & co.")
    assert rude.endswith("Thank Ms C & co.")
    results = response.json()["orchestration"]["results"]
    assert [it["type"] for it in results] == ["formal", "friendly", None]


async def test_the_lead_is_told_the_form_of_its_plan(stage: Stage) -> None:
    working(stage.upstream)
    for team in ("auto", "always"):
        stage.upstream.answer("lead", Reply(text=COMPACT))
        await stage.ask(team)
    auto, always = (call.system_text for call in stage.upstream.calls_of("lead"))
    assert "You cannot call tools here." in auto
    assert "choose one of two ways" in auto
    assert '{"subtasks": [{"id": "s1"' in always
    assert "choose one of two ways" not in always


async def test_progress_tells_a_plan_in_text_like_any_other(stage: Stage) -> None:
    working(stage.upstream)
    stage.upstream.answer("lead", Reply(text=f"Well.\n{COMPACT}"))
    wishes = {"x-orchestration": "progress"}
    response: httpx2.Response = await stage.ask("auto", stream=True, headers=wishes)
    told = [f["orchestration"] for f in frames_of(response) if "orchestration" in f]
    routes = [event["route"] for event in told if event["event"] == "route_decided"]
    assert routes == ["direct", "delegated"]
    planned = [event["subtask_id"] for event in told if event["event"] == "subtask_planned"]
    assert planned == ["s1", "s2"]
