"""What `X-Orchestration` shows of a run besides its answer: the plan and its price, the results."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from chat import QUESTION, answer_of, body, frames_of
from dumb_upstream import Reply, Status
from plans import plan_json
from served_teams import AS_BUNDLED
from stage import Stage

TEAMS = {
    "auto": "",
    "careful": 'missing_dependency = "skip"',
    "hasty": "[timeouts]\ncoordination = 1",
    "unpriced": '[worker]\nmodel = "somebody-elses"',
    "fixed": """
        route = "fixed"
        [[subtasks]]
        id = "a"
        title = "First"
        [[subtasks]]
        id = "b"
        title = "Second"
        instructions = "Go on."
        depends_on = ["a"]
    """,
}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served({**AS_BUNDLED, **TEAMS})]
PLAN: list[dict[str, Any]] = [
    {"id": "s1", "title": "Facts", "instructions": "Find them.", "type": "search"},
    {"id": "s2", "title": "{{item}}", "instructions": "Do {{item}}.", "for_each": ["tea", "milk"]},
    {
        "id": "s3",
        "title": "Verdict",
        "instructions": "Weigh.",
        "depends_on": ["s1", "s2"],
        "tier": "sonnet",
        "output": "json",
    },
]
PLANNED = [
    {"id": "s1", "type": "search", "title": "Facts", "instructions": "Find them."},
    {"id": "s2.1", "title": "tea", "instructions": "Do tea.", "item": "tea"},
    {"id": "s2.2", "title": "milk", "instructions": "Do milk.", "item": "milk"},
    {
        "id": "s3",
        "title": "Verdict",
        "instructions": "Weigh.",
        "depends_on": ["s1", "s2.1", "s2.2"],
        "tier": "sonnet",
        "output": "json",
    },
]
IN_WORDS = (
    "1. **Facts**: Find them.\n2. **tea**: Do tea.\n3. **milk**: Do milk.\n"
    "4. **Verdict** (after s1, s2.1, s2.2): Weigh."
)
LONG = [{"role": "user", "content": f"{'Some words of context. ' * 400}{QUESTION}"}]
"""More than a prompt cache asks for."""


async def wished(stage: Stage, wishes: str, team: str = "auto", **fields: Any) -> httpx2.Response:
    return await stage.ask(team, headers={"x-orchestration": wishes}, **fields)


def report_of(response: httpx2.Response) -> dict[str, Any]:
    """Return the report; in a stream it stands in the last chunk alone."""
    if response.headers["content-type"].startswith("application/json"):
        return response.json()["orchestration"]
    *others, last = frames_of(response)
    assert all("orchestration" not in frame for frame in others)
    assert last["object"] == "chat.completion.chunk"
    assert set(last) <= {"id", "object", "created", "model", "choices", "orchestration", "usage"}
    return last["orchestration"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_plan_is_shown_with_its_price_and_nobody_works_on_it(
    stage: Stage, stream: bool
) -> None:
    stage.upstream.answer("lead", Reply(plan=PLAN))
    response = await wished(stage, "plan", stream=stream, messages=LONG)
    assert answer_of(response) == IN_WORDS
    report = report_of(response)
    assert set(report) == {"run_id", "route", "plan", "omissions", "estimate"}
    assert (report["route"], report["plan"], report["omissions"]) == ("delegated", PLANNED, [])
    estimate = report["estimate"]
    assert estimate["workers"] == 4
    # Each worker reads the whole conversation, and so does the synthesizer.
    assert estimate["input_tokens"] > 5 * len(LONG[0]["content"].split())
    assert estimate["output_tokens"] > 0
    assert 0 < estimate["expected_cost_usd"] < estimate["full_length_cost_usd"]
    assert estimate["spent_on_plan_usd"] > 0
    assert stage.roles == ["lead"]  # not even a cache is warmed


async def test_a_plan_of_one_subtask_is_only_shown_too(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(plan=PLAN[:1]))
    response = await wished(stage, "plan")
    assert answer_of(response) == "1. **Facts**: Find them."
    assert report_of(response)["estimate"]["workers"] == 1
    assert stage.roles == ["lead"]


async def test_a_plan_that_the_team_has_listed_costs_nothing_to_show(stage: Stage) -> None:
    response = await wished(stage, "plan", "fixed")
    assert answer_of(response) == "1. **First**: First\n2. **Second** (after a): Go on."
    report = report_of(response)
    assert [it["id"] for it in report["plan"]] == ["a", "b"]
    assert report["estimate"]["spent_on_plan_usd"] == 0
    assert stage.roles == []


@pytest.mark.parametrize("stream", [False, True])
async def test_a_direct_answer_has_no_plan(stage: Stage, stream: bool) -> None:
    stage.upstream.answer("lead", Reply(text="It is Paris."))
    response = await wished(stage, "plan", stream=stream)
    assert answer_of(response) == "It is Paris."
    report = report_of(response)
    assert (report["route"], report["plan"], report["estimate"]) == ("direct", None, None)


async def test_a_shown_plan_is_asked_for_again_like_any_other(stage: Stage) -> None:
    cut = Reply(plan_json=plan_json(*PLAN[:2])[:-2], stop_reason="max_tokens")
    stage.upstream.answer("lead", cut, Status(400, "invalid_request_error"))
    report = report_of(await wished(stage, "plan"))
    assert report["plan"] == PLANNED[:3]
    assert report["omissions"] == ["the rest of the plan, which broke off"]
    assert stage.roles == ["lead", "lead"]


async def test_a_plan_that_is_not_finished_in_time_is_shown_as_far_as_it_came(stage: Stage) -> None:
    text = plan_json(*PLAN)
    closed = (text.index('"s3"'), asyncio.Event())
    stage.upstream.answer("lead", Reply(plan_json=text, piece=1, hold_after_pieces=closed))
    report = report_of(await wished(stage, "plan, usage", "hasty"))
    assert report["plan"] == PLANNED[:3]
    assert report["omissions"] == ["the rest of the plan, which was not finished in time"]
    assert report["estimate"]["workers"] == 3
    assert report["timed_out"] is True


async def test_what_an_unknown_model_will_cost_is_unknown(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(plan=PLAN))
    estimate = report_of(await wished(stage, "plan", "unpriced"))["estimate"]
    assert (estimate["expected_cost_usd"], estimate["full_length_cost_usd"]) == (None, None)
    assert estimate["workers"] == 4


@pytest.mark.parametrize("wishes", ["plans", "usage, everything", "plan;usage", "plan usage"])
async def test_unknown_wishes_are_refused_before_anything_is_spent(
    stage: Stage, wishes: str
) -> None:
    response = await wished(stage, wishes)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == ("X-Orchestration", "invalid_value")
    assert repr(wishes.rpartition(", ")[2]) in error["message"]
    assert stage.roles == []


@pytest.mark.parametrize("wishes", ["", ", ,"])
async def test_no_wish_is_no_report(stage: Stage, wishes: str) -> None:
    stage.upstream.answer("lead", Reply(text="short"))
    assert "orchestration" not in (await wished(stage, wishes)).json()


def mixed_results(stage: Stage) -> None:
    upstream = stage.upstream
    upstream.answer("lead", Reply(plan=PLAN))
    upstream.answer_subtask("Verdict", Reply(text='```json\n{"best": [1, "é"]}\n```'))
    upstream.answer_subtask("tea", Status(400, "invalid_request_error"))
    upstream.answer_subtask("milk", Reply(text="cut off", stop_reason="max_tokens"))
    upstream.answer_subtask("Facts", Reply(text="  three facts\n"))
    upstream.answer("synthesizer", Reply(text="the whole without tea"))


RESULTS = [
    {
        "id": "s1",
        "type": "search",
        "title": "Facts",
        "outcome": "succeeded",
        "reason": None,
        "text": "three facts",
    },
    {
        "id": "s2.1",
        "type": None,
        "title": "tea",
        "outcome": "failed",
        "reason": "the model provider refuses the request",
        "text": None,
    },
    {
        "id": "s2.2",
        "type": None,
        "title": "milk",
        "outcome": "succeeded",
        "reason": None,
        "text": "cut off",
    },
    {
        "id": "s3",
        "type": None,
        "title": "Verdict",
        "outcome": "succeeded",
        "reason": None,
        "text": {"best": [1, "é"]},
    },
]


@pytest.mark.parametrize("stream", [False, True])
async def test_every_subtask_is_listed_with_what_became_of_it(stage: Stage, stream: bool) -> None:
    mixed_results(stage)
    response = await wished(stage, "results", stream=stream)
    assert answer_of(response).startswith("the whole without tea")
    report = report_of(response)
    assert set(report) == {"run_id", "partial", "omissions", "results", "scores", "rounds"}
    assert report["results"] == RESULTS
    assert (report["partial"], report["scores"], report["rounds"]) == (True, [], [])


@pytest.mark.parametrize("options", [None, {"include_usage": True}])
async def test_results_and_usage_share_the_last_chunk(
    stage: Stage, options: dict[str, bool] | None
) -> None:
    mixed_results(stage)
    response = await wished(stage, "Usage,RESULTS", stream=True, stream_options=options)
    report = report_of(response)
    assert report["results"] == RESULTS
    assert {"agents", "totals", "phases"} <= set(report)
    titles = [agent["title"] for agent in report["agents"] if agent["outcome"] == "succeeded"]
    assert titles == [None, "Facts", "milk", "Verdict", None]
    *_, last = frames_of(response)
    assert ("usage" in last) == (options is not None)
    finish = [c["finish_reason"] for f in frames_of(response) for c in f["choices"]]
    assert finish[-1] == "stop"
    assert set(finish[:-1]) == {None}


async def test_all_wishes_at_once_stay_apart(stage: Stage) -> None:
    mixed_results(stage)
    frames = frames_of(await wished(stage, "progress, usage, results", stream=True))
    told = [frame["orchestration"] for frame in frames if "orchestration" in frame]
    *events, report = told
    assert all("event" in event for event in events)
    assert "event" not in report
    assert report["results"] == RESULTS


async def test_a_plan_alone_has_no_results_and_an_answer_alone_none(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(plan=PLAN), Reply(text="short"))
    report = report_of(await wished(stage, "plan, results, usage"))
    assert (report["plan"], report["results"]) == (PLANNED, [])
    assert [agent["role"] for agent in report["agents"]] == ["lead"]
    report = report_of(await wished(stage, "results"))
    assert (report["results"], report["partial"]) == ([], False)


async def test_what_is_not_begun_is_listed_as_skipped(stage: Stage) -> None:
    mixed_results(stage)
    report = report_of(await wished(stage, "results", "careful"))
    assert [it["outcome"] for it in report["results"]] == [
        "succeeded",
        "failed",
        "succeeded",
        "skipped",
    ]
    assert report["results"][3]["reason"] == "it needs “tea”, which is missing"


async def test_an_error_in_the_stream_carries_the_results_too(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(plan=PLAN[:2]))
    stage.upstream.answer("worker", Status(400, "invalid_request_error"))
    *_, error = frames_of(await wished(stage, "results", stream=True))
    assert "error" in error
    assert {it["outcome"] for it in error["orchestration"]["results"]} == {"failed"}
    assert len(error["orchestration"]["results"]) == 3


@pytest_asyncio.fixture(loop_scope="module")
async def client(stage: Stage) -> AsyncIterator[openai.AsyncOpenAI]:
    token = stage.http.headers["authorization"].removeprefix("Bearer ")
    async with openai.AsyncOpenAI(
        base_url=f"{stage.http.base_url}/v1", api_key=token, max_retries=0
    ) as made:
        yield made


def strictly(model: ChatCompletion | ChatCompletionChunk) -> dict[str, Any]:
    """Return our extension of an object that is OpenAI's in everything else."""
    type(model).model_validate(model.model_dump(), strict=True)
    extra: dict[str, Any] = model.model_extra or {}
    assert set(extra) <= {"orchestration"}
    return extra.get("orchestration") or {}


@pytest.mark.parametrize("wishes", ["plan", "results", "results, usage, progress"])
async def test_openais_client_reads_every_report(
    stage: Stage, client: openai.AsyncOpenAI, wishes: str
) -> None:
    mixed_results(stage)
    messages: Any = body()["messages"]
    headers = {"x-orchestration": wishes}
    whole = await client.chat.completions.create(
        model="auto", messages=messages, extra_headers=headers
    )
    report = strictly(whole)
    stream = await client.chat.completions.create(
        model="auto", messages=messages, extra_headers=headers, stream=True
    )
    chunks = [chunk async for chunk in stream]
    *_, last = map(strictly, chunks)
    for name in ("plan", "results"):
        assert last.get(name) == report.get(name)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
