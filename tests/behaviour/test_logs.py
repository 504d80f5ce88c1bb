"""The log tells what a run cost and how it went; never what was said, and never a secret."""

import json
from typing import Any

import httpx2
import pytest

from chat import ask
from conftest import StartService
from dumb_upstream import DumbUpstream, Reply, Status
from running_service import SECRET, RunningService

PLAN: list[dict[str, Any]] = [
    {"id": "s1", "title": "Part 1", "instructions": "canary-instructions"},
    {"id": "s2", "title": "Part 2", "instructions": "x"},
]


async def test_one_event_per_attempt_and_one_line_per_request(
    http: httpx2.AsyncClient, service: RunningService, upstream: DumbUpstream
) -> None:
    upstream.answer("lead", Status(529), Reply(plan=PLAN))
    usage = {"input_tokens": 10, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 3}
    upstream.answer("worker", Reply(text="canary-result", usage=usage))
    upstream.answer("synthesizer", Reply(text="canary-answer"))
    await ask(http, headers={"x-request-id": "my-request"})
    attempts = service.events("upstream_attempt")
    told = sorted((a["role"], a["subtask_id"] or "", a["attempt"], a["outcome"]) for a in attempts)
    assert told == [
        ("lead", "", 1, "failed"),
        ("lead", "", 2, "succeeded"),
        ("synthesizer", "", 1, "succeeded"),
        ("worker", "s1", 1, "succeeded"),
        ("worker", "s2", 1, "succeeded"),
    ]
    failed = next(a for a in attempts if a["outcome"] == "failed")
    assert failed["reason"] == "overloaded"
    worker = next(a for a in attempts if a["role"] == "worker")
    assert (worker["input_tokens"], worker["cache_read_input_tokens"]) == (10, 4)
    assert worker["cache_creation_input_tokens"] == 3
    assert worker["stop_reason"] == "end_turn"
    assert worker["milliseconds"] > 0
    (line,) = await service.logged("request_finished")
    assert line["cost_usd"] == pytest.approx(sum(a["cost_usd"] for a in attempts))
    assert line["output_tokens"] == sum(a["output_tokens"] for a in attempts)
    assert (line["status"], line["outcome"], line["route"]) == (200, "ok", "delegated")
    assert (line["subtasks"], line["subtasks_succeeded"], line["attempts"]) == (2, 2, 5)
    assert line["coordination_seconds"] > 0
    assert line["synthesis_seconds"] > 0
    assert line["time_to_first_token_seconds"] > 0
    for event in [*attempts, line]:
        assert event["request_id"] == "my-request"
        assert event["run_id"] == line["run_id"]
        assert event["principal"] == "tester"


async def test_no_text_and_no_secret_is_ever_logged(
    http: httpx2.AsyncClient, service: RunningService, upstream: DumbUpstream
) -> None:
    upstream.answer("lead", Reply(plan=PLAN), Status(401, "authentication_error"))
    upstream.answer("worker", Reply(text="canary-result"))
    upstream.answer("synthesizer", Reply(text="canary-answer"))
    await ask(http, messages=[{"role": "user", "content": "canary-question"}])
    await ask(http)
    await http.post("/v1/chat/completions", content=b"{canary-body")
    await http.get("/v1/models", headers={"authorization": "Bearer canary-token"})
    await service.logged("request_finished", 4)
    everything = json.dumps(service.logs)
    assert "canary" not in everything
    assert SECRET not in everything
    assert service.token not in everything


@pytest.mark.parametrize("lead", [Reply(text="direct"), Reply(plan=PLAN)])
async def test_a_stream_that_ends_well_is_logged_as_such(
    http: httpx2.AsyncClient, service: RunningService, upstream: DumbUpstream, lead: Reply
) -> None:
    upstream.answer("lead", lead)
    upstream.answer("worker", Reply(text="done"))
    upstream.answer("synthesizer", Reply(text="answer"))
    await ask(http, stream=True)
    (line,) = await service.logged("request_finished")
    assert (line["status"], line["outcome"], line["stream"]) == (200, "ok", True)


async def test_a_stream_that_breaks_off_is_logged_by_its_error(
    http: httpx2.AsyncClient, service: RunningService, upstream: DumbUpstream
) -> None:
    upstream.answer("lead", Reply(text="some text", cut_after_pieces=1))
    await ask(http, stream=True)
    (line,) = await service.logged("request_finished")
    assert (line["status"], line["outcome"]) == (200, "upstream_error")


async def test_an_error_is_told_by_its_code(
    http: httpx2.AsyncClient, service: RunningService, upstream: DumbUpstream
) -> None:
    upstream.answer("lead", Status(529))
    await ask(http)
    (line,) = await service.logged("request_finished")
    assert (line["status"], line["outcome"], line["level"]) == (503, "overloaded", "info")


async def test_a_refusal_names_the_field_and_not_what_was_in_it(
    http: httpx2.AsyncClient, service: RunningService
) -> None:
    await ask(http, model="canary-team")
    await ask(http, n=2)
    unknown, field = await service.logged("request_finished", 2)
    assert (unknown["status"], unknown["error_code"], unknown["error_param"]) == (
        404,
        "model_not_found",
        "model",
    )
    assert (field["status"], field["outcome"], field["error_param"]) == (400, "refused", "n")
    assert "canary" not in json.dumps(service.logs)


async def test_an_upstream_model_without_a_price_costs_an_unknown_amount(
    start_service: StartService, upstream: DumbUpstream
) -> None:
    service = await start_service(upstream, ORCHESTRATOR_MODEL="llama-9")
    upstream.answer("lead", Reply(text="ok"))
    async with service.client() as client:
        response = await ask(client, headers={"x-orchestration": "usage"})
    assert response.json()["orchestration"]["totals"]["cost_usd"] is None
    (line,) = await service.logged("request_finished")
    assert line["cost_usd"] is None
