"""The four routes of a team, and what a caller's effort and cap make of them."""

import asyncio

import pytest

from chat import answer_of, body
from dumb_upstream import Reply, Status
from plans import plan_json, subtasks, working
from served_teams import AS_BUNDLED
from stage import Stage

FIXED = """
route = "fixed"
[types.research]
prompt = "Dig into {{title}}. {{instructions}}"
tier = "sonnet"
[types.verdict]
prompt = "Weigh everything."
[[subtasks]]
id = "facts"
title = "Facts"
instructions = "Name three."
type = "research"
[[subtasks]]
id = "each"
title = "About {{item}}"
instructions = "Describe {{item}}."
for_each = ["tea", "coffee"]
[[subtasks]]
id = "verdict"
title = "Verdict"
type = "verdict"
depends_on = ["facts", "each"]
"""
TEAMS = {
    "auto": 'route = "auto"\n[caps]\nmax_subtasks = 2\nmax_workers = 4',
    "always": 'route = "always"',
    # The service remembers what a model's server refuses, so this one has a model of its own.
    "always-elsewhere": 'route = "always"\n[lead]\nmodel = "claude-opus-5-5"',
    "never": 'route = "never"',
    "fixed": FIXED,
    "fixed-alone": 'route = "fixed"\n[[subtasks]]\nid = "s1"\ntitle = "Everything"',
    "few": "[caps]\nmax_subtasks = 2\nmax_workers = 3",
    "deliberate": '[lead]\neffort = "max"\n[worker]\nmax_tokens = 100000\neffort = "xhigh"',
}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served({**AS_BUNDLED, **TEAMS})]


async def test_a_lead_that_may_choose_has_the_tool_and_answers_in_one_call(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text="direct"))
    assert answer_of(await stage.ask("auto")) == "direct"
    (call,) = stage.upstream.calls
    assert [tool["name"] for tool in call.body["tools"]] == ["delegate"]
    assert call.body["tool_choice"]["type"] == "auto"
    assert "format" not in call.body["output_config"]
    assert "choose one of two ways" in call.system_text


async def test_a_lead_that_must_delegate_plans_by_structured_output_and_starts_at_once(
    stage: Stage,
) -> None:
    working(stage.upstream)
    rest = asyncio.Event()
    text = plan_json(*subtasks(1, 2))
    first_closed = text.index("}") + 1
    stage.upstream.answer("lead", Reply(text=text, piece=1, hold_after_pieces=(first_closed, rest)))
    asking = asyncio.create_task(stage.ask("always"))
    await stage.upstream.arrived(1, "worker")
    assert stage.roles == ["lead", "worker"]
    rest.set()
    assert answer_of(await asking) == "the answer"
    assert stage.roles == ["lead", "worker", "worker", "synthesizer"]
    lead = stage.upstream.calls[0]
    assert lead.body["output_config"]["format"]["schema"]["required"] == ["subtasks"]
    assert "tools" not in lead.body


async def test_where_structured_output_is_refused_the_plan_is_read_from_the_text(
    stage: Stage,
) -> None:
    working(stage.upstream)
    message = "output_config.format: Extra inputs are not permitted"
    prose = f"Sure, here it is:\n```json\n{plan_json(*subtasks(1, 2))}\n```\nGood luck!"
    refused = Status(400, "invalid_request_error", message=message)
    stage.upstream.answer("lead", refused, Reply(text=prose))
    for _ in range(2):
        # Nothing of what the lead says around its plan is an answer.
        assert answer_of(await stage.ask("always-elsewhere")) == "the answer"
    leads = stage.upstream.calls_of("lead")
    assert ["format" in call.body["output_config"] for call in leads] == [True, False, False]
    assert all(call.body["output_config"]["effort"] == "medium" for call in leads)
    assert leads[1].body["messages"] == leads[0].body["messages"]
    assert len(stage.upstream.calls_of("worker")) == 4


async def test_a_lead_that_must_delegate_and_says_nothing_is_asked_again(stage: Stage) -> None:
    working(stage.upstream)
    again = Reply(text=plan_json(*subtasks(1, 2)))
    stage.upstream.answer("lead", Reply(text=""), again)
    assert answer_of(await stage.ask("always")) == "the answer"
    assert [call.purpose for call in stage.upstream.calls_of("lead")] == ["", "repair"]


async def test_a_lead_that_must_delegate_and_refuses_is_a_refusal_and_starts_nothing(
    stage: Stage,
) -> None:
    stage.upstream.answer("lead", Reply(text="I will not.", stop_reason="refusal"))
    response = await stage.ask("always")
    assert response.json()["choices"][0]["finish_reason"] == "content_filter"
    assert stage.roles == ["lead"]


async def test_a_team_that_never_delegates_makes_one_plain_call(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text="plain"))
    messages = [{"role": "system", "content": "Be brief."}, *body()["messages"]]
    assert answer_of(await stage.ask("never", messages=messages)) == "plain"
    (call,) = stage.upstream.calls
    assert "tools" not in call.body
    assert call.system_text == "Be brief."


async def test_a_fixed_plan_runs_without_a_lead(stage: Stage) -> None:
    upstream = stage.upstream
    stage.upstream.answer("synthesizer", Reply(text="the answer"))
    ready = asyncio.Event()
    for title, text in (("Facts", "facts"), ("About tea", "leaves"), ("About coffee", "beans")):
        upstream.answer_subtask(title, Reply(text=f"{text} found", hold_before=ready))
    upstream.answer_subtask("Verdict", Reply(text="tea it is"))
    asking = asyncio.create_task(stage.ask("fixed", headers={"x-orchestration": "results"}))
    await upstream.arrived(3, "worker")
    assert upstream.in_flight == 3
    ready.set()
    response = await asking
    assert answer_of(response) == "the answer"
    assert stage.roles == ["worker"] * 4 + ["synthesizer"]
    turns = [call.last_text for call in upstream.calls]
    told = {
        title: next(turn for turn in turns if f'subtask is "{title}"' in turn)
        for title in ("Facts", "About tea", "About coffee", "Verdict")
    }
    assert told["Facts"].endswith("Dig into Facts. Name three.")
    assert told["About tea"].endswith("Describe tea.")
    assert told["About coffee"].endswith("Describe coffee.")
    for found in ("facts found", "leaves found", "beans found"):
        assert found in told["Verdict"]
        assert found in turns[-1]
    models = {call.last_text: call.body["model"] for call in upstream.calls}
    assert models[told["Facts"]] == "claude-sonnet-5-5"
    assert models[told["About tea"]] == "claude-haiku-5-5"
    results = response.json()["orchestration"]["results"]
    assert [(it["id"], it["type"]) for it in results] == [
        ("facts", "research"),
        ("each.1", None),
        ("each.2", None),
        ("verdict", "verdict"),
    ]


async def test_the_stream_of_a_fixed_plan_opens_before_anybody_has_answered(stage: Stage) -> None:
    ready = asyncio.Event()
    stage.upstream.answer("worker", Reply(text="done", hold_before=ready))
    stage.upstream.answer("synthesizer", Reply(text="the answer"))
    request = stage.http.build_request(
        "POST", "/v1/chat/completions", json=body(model="fixed", stream=True)
    )
    async with asyncio.timeout(5):
        response = await stage.http.send(request, stream=True)
        lines = response.aiter_lines()
        opening = await anext(lines)
        while "Planned 4 subtasks" not in (line := await anext(lines)):
            assert '"finish_reason":null' in line or not line
        await stage.upstream.arrived(3, "worker")
        assert not any(call.done for call in stage.upstream.calls)
        ready.set()
        rest = [line async for line in lines]
        await response.aclose()
    assert '"role":"assistant"' in opening
    assert rest[-2:] == ["data: [DONE]", ""]


async def test_the_only_subtask_of_a_fixed_plan_is_the_answer(stage: Stage) -> None:
    stage.upstream.answer("worker", Reply(text="all of it"))
    assert answer_of(await stage.ask("fixed-alone", max_tokens=700)) == "all of it"
    (call,) = stage.upstream.calls
    assert (call.role, call.body["max_tokens"]) == ("worker", 700)


@pytest.mark.parametrize("team", ["auto", "always", "never", "fixed"])
@pytest.mark.parametrize("effort", ["none", "minimal"])
async def test_no_effort_is_one_call_without_a_plan(stage: Stage, team: str, effort: str) -> None:
    stage.upstream.answer("lead", Reply(text="short"))
    assert answer_of(await stage.ask(team, reasoning_effort=effort)) == "short"
    (call,) = stage.upstream.calls
    assert {"tools", "system"}.isdisjoint(call.body)
    assert call.body["output_config"] == {"effort": "low"}


EFFORTS: dict[str, tuple[str, str, int, int]] = {
    # The lead's, the others', subtasks admitted, workers' max_tokens (half of the other roles').
    "low": ("low", "low", 2, 4096),
    "medium": ("medium", "low", 2, 4096),
    "high": ("high", "medium", 3, 6144),
    "xhigh": ("xhigh", "high", 4, 8192),
    "max": ("max", "high", 4, 8192),
}


@pytest.mark.parametrize("effort", EFFORTS)
async def test_effort_shows_in_every_call_and_in_the_caps(stage: Stage, effort: str) -> None:
    of_lead, of_others, admitted, max_tokens = EFFORTS[effort]
    working(stage.upstream)
    stage.upstream.answer("lead", Reply(plan=subtasks(*range(admitted + 1))))
    answer = answer_of(await stage.ask("auto", reasoning_effort=effort))
    lead, *workers, synthesizer = stage.upstream.calls
    assert f"at most {admitted}." in lead.system_text
    assert len(workers) == admitted
    assert "1 planned part that was dropped" in answer
    assert lead.body["output_config"]["effort"] == of_lead
    thinks = lead.body["thinking"]["type"] == "adaptive"
    assert thinks == (of_lead in {"high", "xhigh", "max"})
    for call in (*workers, synthesizer):
        assert call.body["output_config"] == {"effort": of_others}
    assert {call.body["max_tokens"] for call in workers} == {max_tokens}
    assert synthesizer.body["max_tokens"] == lead.body["max_tokens"] == 2 * max_tokens


async def test_effort_raises_no_cap_above_the_workers_a_team_may_have(stage: Stage) -> None:
    working(stage.upstream)
    stage.upstream.answer("lead", Reply(plan=subtasks(1, 2, 3, 4)))
    await stage.ask("few", reasoning_effort="max")
    assert "at most 3." in stage.upstream.calls[0].system_text
    assert len(stage.upstream.calls_of("worker")) == 3


async def test_effort_never_takes_from_a_team_what_it_has_anyway(stage: Stage) -> None:
    working(stage.upstream)
    stage.upstream.answer("lead", Reply(plan=subtasks(1, 2)))
    await stage.ask("deliberate", reasoning_effort="xhigh")
    lead, worker, *_ = stage.upstream.calls
    assert lead.body["output_config"]["effort"] == "max"
    assert worker.body["output_config"]["effort"] == "xhigh"
    assert worker.body["max_tokens"] == 128_000  # as much as there is


async def test_an_unknown_effort_is_refused_by_name(stage: Stage) -> None:
    response = await stage.ask("auto", reasoning_effort="extreme")
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["type"]) == ("reasoning_effort", "invalid_request_error")
    assert "reasoning_effort" in error["message"]
    assert stage.upstream.calls == []


@pytest.mark.parametrize("team", ["auto", "always"])
@pytest.mark.parametrize("cap", [1, 1023])
async def test_a_small_cap_is_kept_exactly_and_leaves_no_room_for_a_plan(
    stage: Stage, team: str, cap: int
) -> None:
    stage.upstream.answer("lead", Reply(text="small"))
    assert answer_of(await stage.ask(team, max_tokens=cap)) == "small"
    (call,) = stage.upstream.calls
    assert {"tools", "system"}.isdisjoint(call.body)
    assert call.body["max_tokens"] == cap
    assert call.body["output_config"] == {"effort": "low"}
    assert call.body["thinking"]["type"] != "adaptive"


async def test_from_1024_tokens_on_there_is_room_for_a_plan(stage: Stage) -> None:
    working(stage.upstream)
    stage.upstream.answer("lead", Reply(plan=subtasks(1, 2)))
    assert answer_of(await stage.ask("auto", max_completion_tokens=1024)) == "the answer"
    lead, *_, synthesizer = stage.upstream.calls
    assert lead.body["max_tokens"] == synthesizer.body["max_tokens"] == 1024


async def test_a_lead_that_only_plans_is_not_held_to_the_answers_cap(stage: Stage) -> None:
    working(stage.upstream)
    stage.upstream.answer("lead", Reply(text=plan_json(*subtasks(1, 2))))
    await stage.ask("always", max_tokens=1024)
    lead, *_, synthesizer = stage.upstream.calls
    assert (lead.body["max_tokens"], synthesizer.body["max_tokens"]) == (8192, 1024)


async def test_a_small_cap_leaves_a_fixed_plan_alone(stage: Stage) -> None:
    working(stage.upstream)
    assert answer_of(await stage.ask("fixed", max_tokens=500)) == "the answer"
    assert stage.roles == ["worker"] * 4 + ["synthesizer"]
    assert stage.upstream.calls[-1].body["max_tokens"] == 500
