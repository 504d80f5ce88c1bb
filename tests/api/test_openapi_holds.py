"""The API's description against what the service really answers: no key, header or status comes
that it does not name.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from chat import MODEL, ask, body, frames_of
from conftest import StartService
from dumb_upstream import Answer, Hang, Reply, Status
from orchestrator_worker.api import middleware
from orchestrator_worker.orchestration.orchestrator import Orchestrator
from orchestrator_worker.teams.catalog import TeamCatalog
from plans import subtask
from served_teams import AS_BUNDLED
from stage import Stage
from tests.api.described import Description

TEAMS = {
    "evaluated": "evaluate = true\n[caps]\nmax_rounds = 2",
    "reading": "reduce_above_tokens = 1000",
    "flat": "tiers = []",
    "hasty": "tiers = []\n[timeouts]\ncoordination = 1",
    "unpriced": '[worker]\nmodel = "somebody-elses"',
}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served({**AS_BUNDLED, **TEAMS})]

CHAT, MODELS, ONE_MODEL = "/v1/chat/completions", "/v1/models", "/v1/models/{model_id}"
HEALTH, READY = "/health", "/health/ready"
EVERY_PATH = {
    CHAT: CHAT,
    MODELS: MODELS,
    ONE_MODEL: f"/v1/models/{MODEL}",
    HEALTH: HEALTH,
    READY: READY,
}
PLAN: list[dict[str, Any]] = [
    subtask(1, type="search"),
    {"id": "s2", "title": "{{item}}", "instructions": "Do {{item}}.", "for_each": ["tea", "milk"]},
    subtask(3, depends_on=["s1", "s2"], tier="sonnet", output="json"),
    subtask(3, depends_on=["nowhere"]),
]
WISHES = ["", "usage", "results", "plan", "usage, results", "plan, usage, results, progress"]


@pytest_asyncio.fixture(loop_scope="module")
async def description(stage: Stage) -> Description:
    return Description((await stage.http.get("/openapi.json")).json())


def delegating(stage: Stage) -> None:
    """Have subtasks of every kind, one of which fails, and two of which are shown again."""
    upstream = stage.upstream
    upstream.answer("lead", Reply(plan=PLAN))
    upstream.answer("worker", Reply(text="done"))
    upstream.answer_subtask("Part 3", Reply(text='{"best": [1, "é"]}'))
    upstream.answer_subtask("tea", Status(400, "invalid_request_error"))
    upstream.answer_subtask("milk", Reply(text="cut off", stop_reason="max_tokens"))
    upstream.answer("synthesizer", Reply(text="the whole without tea"))


def direct(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text="short"))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wishes", WISHES)
@pytest.mark.parametrize("kind", [direct, delegating])
async def test_an_answer_is_as_described(
    stage: Stage, description: Description, kind: Any, wishes: str, stream: bool
) -> None:
    for model in (MODEL, "unpriced"):
        kind(stage)
        response = await stage.ask(
            model,
            headers={"x-orchestration": wishes},
            stream=stream,
            stream_options={"include_usage": True},
        )
        assert response.status_code == 200, response.text
        description.check(CHAT, response)
        assert ("orchestration" in response.text) is bool(wishes)


def scored(stage: Stage) -> str:
    given = [{"id": "s1", "reason": "Fine.", "score": 9}, {"id": "s2", "reason": "No.", "score": 2}]
    stage.upstream.answer("lead", Reply(plan=[subtask(1), subtask(2)]), Reply(text="Enough."))
    stage.upstream.answer("worker", Reply(text="done"))
    stage.upstream.answer("evaluator", Reply(text=json.dumps({"scores": given})))
    return "evaluated"


def reduced(stage: Stage) -> str:
    stage.upstream.answer("lead", Reply(plan=[subtask(1), subtask(2)]))
    stage.upstream.answer("worker", Reply(text="~~~~ " * 360, piece=4000))
    stage.upstream.answer("reducer", Reply(text="shortened"))
    return "reading"


def mixed(stage: Stage) -> str:
    delegating(stage)
    return MODEL


async def test_every_event_is_described_and_every_described_event_comes(
    stage: Stage, description: Description
) -> None:
    came: set[str] = set()
    for prepare in (mixed, scored, reduced):
        stage.upstream.forget()
        stage.upstream.answer("synthesizer", Reply(text="the answer"))
        model = prepare(stage)
        response = await stage.ask(
            model, stream=True, headers={"x-orchestration": "progress, usage, results"}
        )
        description.check(CHAT, response)
        told = [it["orchestration"] for it in frames_of(response) if "orchestration" in it]
        came |= {it["event"] for it in told if "event" in it}
        for report in ("scores", "rounds") if prepare is scored else ():
            assert told[-1][report]
    named = {
        schema["properties"]["event"]["const"]
        for schema in description.schemas.values()
        if "event" in schema.get("properties", {})
    }
    assert came == named


FAILURES: dict[str, tuple[Answer, str, int]] = {
    "rate limited": (Status(429, "rate_limit_error", retry_after="7"), "rate_limit_exceeded", 429),
    "spend limit": (
        Status(429, "rate_limit_error", code="enforced_spend_limit_reached"),
        "insufficient_quota",
        429,
    ),
    "refused key": (Status(401, "authentication_error"), "upstream_auth", 502),
    "refused call": (Status(400, "invalid_request_error"), "upstream_error", 502),
    "failed": (Status(500, retry_after="3"), "upstream_error", 502),
    "broken off": (Reply(text="half", truncate=True), "upstream_error", 502),
    "overloaded": (Status(529, "overloaded_error"), "overloaded", 503),
    "late": (Hang(), "timeout", 504),
}


@pytest.mark.parametrize(("answer", "code", "status"), list(FAILURES.values()), ids=list(FAILURES))
async def test_a_failure_is_as_described(
    stage: Stage, description: Description, answer: Answer, code: str, status: int
) -> None:
    stage.upstream.answer("lead", answer)
    response = await stage.ask("hasty", headers={"x-orchestration": "usage, results, plan"})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    description.check(CHAT, response)


@pytest.mark.parametrize("wishes", WISHES)
async def test_a_stream_that_fails_is_as_described(
    stage: Stage, description: Description, wishes: str
) -> None:
    stage.upstream.answer("lead", Reply(text="half an answer", truncate=True))
    headers = {"x-orchestration": wishes}
    response = await stage.ask("flat", stream=True, headers=headers)
    assert '"error"' in response.text
    description.check(CHAT, response)
    stage.upstream.answer("lead", Reply(plan=[subtask(1), subtask(2)]))
    stage.upstream.answer("worker", Status(400, "invalid_request_error"))
    response = await stage.ask("flat", stream=True, headers=headers)
    assert '"error"' in response.text or "plan" in wishes
    description.check(CHAT, response)


async def test_a_plan_without_a_single_result_is_as_described(
    stage: Stage, description: Description
) -> None:
    stage.upstream.answer("lead", Reply(plan=[subtask(1), subtask(2)]))
    stage.upstream.answer("worker", Status(400, "invalid_request_error"))
    response = await stage.ask("flat")
    assert response.status_code == 502
    assert "subtasks failed" in response.json()["error"]["message"]
    description.check(CHAT, response)


REFUSALS: dict[str, tuple[dict[str, Any], int]] = {
    "a wrong value": ({"json": body(max_tokens=0)}, 400),
    "an unsupported field": ({"json": body(audio={"voice": "alloy"})}, 400),
    "not JSON": ({"content": b"{"}, 400),
    "nothing to answer": ({"json": body(messages=[{"role": "user", "content": " "}])}, 400),
    "an unknown wish": ({"json": body(), "headers": {"x-orchestration": "x"}}, 400),
    "an unknown model": ({"json": body(model="gpt-9")}, 404),
}


@pytest.mark.parametrize(("sent", "status"), list(REFUSALS.values()), ids=list(REFUSALS))
async def test_a_refused_request_is_as_described(
    stage: Stage, description: Description, sent: dict[str, Any], status: int
) -> None:
    response = await stage.http.post(CHAT, **sent)
    assert response.status_code == status
    description.check(CHAT, response)


async def test_the_models_are_as_described(stage: Stage, description: Description) -> None:
    description.check(MODELS, await stage.http.get(MODELS))
    description.check(ONE_MODEL, await stage.http.get(EVERY_PATH[ONE_MODEL]))
    missing = await stage.http.get("/v1/models/gpt-9")
    assert missing.status_code == 404
    description.check(ONE_MODEL, missing)


@pytest.mark.parametrize(("upstream_status", "status"), [(200, 200), (401, 503), (500, 503)])
async def test_health_is_as_described(
    start_service: StartService,
    stage: Stage,
    description: Description,
    upstream_status: int,
    status: int,
) -> None:
    description.check(HEALTH, await stage.http.get(HEALTH))
    stage.upstream.models_status = upstream_status
    service = await start_service(stage.upstream)  # which has not asked yet
    async with service.client() as client:
        response = await client.get(READY)
    assert response.status_code == status
    description.check(READY, response)


def refused_anywhere(path: str) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Yield method, what else to send, and the status."""
    method = "POST" if path == CHAT else "GET"
    yield "DELETE", {}, 405
    yield method, {"content": b"x" * 11_000_000}, 413
    yield method, {"headers": {"content-encoding": "gzip"}}, 415
    yield method, {"headers": {"x-long": "y" * 33_000}}, 431
    if path.startswith("/v1"):
        yield method, {"headers": {"authorization": "Bearer no"}}, 401


@pytest.mark.parametrize("path", EVERY_PATH)
async def test_what_is_refused_everywhere_is_described_everywhere(
    stage: Stage, description: Description, path: str
) -> None:
    for method, sent, status in refused_anywhere(path):
        response = await stage.http.request(method, EVERY_PATH[path], **sent)
        assert response.status_code == status
        description.check(path, response)


async def test_a_body_that_does_not_arrive_is_described(
    stage: Stage, description: Description, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.2)
    host, port = stage.service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n"
        f"authorization: Bearer {stage.service.token}\r\n\r\n{{".encode()
    )
    async with asyncio.timeout(5):
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        content = await reader.readexactly(int(headers["content-length"]))
    writer.close()
    response = httpx2.Response(int(status.split()[1]), headers=headers, content=content)
    assert response.status_code == 408
    description.check(CHAT, response)


async def test_a_reached_rate_limit_is_described(
    start_service: StartService, stage: Stage, description: Description
) -> None:
    limits = {
        f"RATE_LIMIT_{name}": "1/minute" for name in ("CHAT_COMPLETIONS", "MODELS", "DEFAULT")
    }
    service = await start_service(stage.upstream, RATE_LIMIT_ENABLED="true", **limits)
    stage.upstream.answer("lead", Reply(text="ok"))
    async with service.client() as client:
        await ask(client)
        await client.get(MODELS)
        described = {
            CHAT: await ask(client),
            MODELS: await client.get(MODELS),
            ONE_MODEL: await client.get(EVERY_PATH[ONE_MODEL]),
        }
    for path, response in described.items():
        assert response.status_code == 429
        description.check(path, response)


async def test_a_crash_is_described(
    stage: Stage, description: Description, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        raise RuntimeError("canary")

    def crash_at_once(*_: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(TeamCatalog, "current", crash)
    for path in (CHAT, MODELS, ONE_MODEL):
        method = "POST" if path == CHAT else "GET"
        sent: dict[str, Any] = {"json": body()} if path == CHAT else {}
        response = await stage.http.request(method, EVERY_PATH[path], **sent)
        assert response.status_code == 500
        assert "canary" not in response.text
        description.check(path, response)
    monkeypatch.undo()
    monkeypatch.setattr(Orchestrator, "run", crash_at_once)
    response = await stage.ask()
    assert response.status_code == 500
    description.check(CHAT, response)


async def test_a_key_that_is_not_described_is_found(description: Description) -> None:
    """Tests the judge itself: without this it might let everything pass."""
    error = {"message": "m", "type": "server_error", "param": None, "code": None}
    description.validate_named("ErrorEnvelope", {"error": error})
    answers = description.operation(CHAT)["responses"]["200"]["content"]["application/json"]
    answer = answers["examples"]["delegated"]["value"]
    description.validate(answers["schema"], answer)
    told = answer["orchestration"]
    agent = told["agents"][0]
    wrong: list[tuple[str, Any]] = [
        ("ErrorEnvelope", {"error": {**error, "detail": "x"}}),
        ("ErrorEnvelope", {"error": {**error, "code": "made_up"}}),
        ("ErrorEnvelope", {"error": error, "detail": "x"}),
        ("ChatCompletion", {**answer, "extra": 1}),
        ("ChatCompletion", {**answer, "orchestration": {**told, "extra": 1}}),
        ("ChatCompletion", {**answer, "orchestration": {**told, "agents": [{**agent, "x": 1}]}}),
        (
            "ChatCompletion",
            {**answer, "orchestration": {n: it for n, it in told.items() if n != "totals"}},
        ),
    ]
    for name, value in wrong:
        with pytest.raises(AssertionError):
            description.validate_named(name, value)
