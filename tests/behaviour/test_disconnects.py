"""The caller leaves: within a tenth of a second nothing upstream is still paid for."""

import asyncio
import json
from typing import Any

import pytest

from chat import body
from dumb_upstream import DumbUpstream, Hang, Reply
from listening import hung_up
from orchestrator_worker.api.chat import response
from plans import subtasks
from running_service import RunningService

PLAN = subtasks(*range(5))
NEVER = asyncio.Event


def stuck_before_the_lead_answers(upstream: DumbUpstream) -> int:
    upstream.answer("lead", Hang())
    return 1


def stuck_in_the_leads_text(upstream: DumbUpstream) -> int:
    upstream.answer("lead", Reply(text="some text", hold_after_pieces=(1, NEVER())))
    return 1


def stuck_in_the_workers(upstream: DumbUpstream) -> int:
    upstream.answer("lead", Reply(plan=PLAN))
    upstream.answer("worker", Reply(text="some text", hold_after_pieces=(1, NEVER())))
    return 6


def stuck_in_the_synthesis(upstream: DumbUpstream) -> int:
    upstream.answer("lead", Reply(plan=PLAN))
    upstream.answer("worker", Reply(text="done"))
    upstream.answer("synthesizer", Reply(text="some text", hold_after_pieces=(1, NEVER())))
    return 7


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "stuck",
    [
        stuck_before_the_lead_answers,
        stuck_in_the_leads_text,
        stuck_in_the_workers,
        stuck_in_the_synthesis,
    ],
)
async def test_leaving_closes_every_upstream_connection_at_once(
    service: RunningService,
    upstream: DumbUpstream,
    stuck: Any,
    stream: bool,
) -> None:
    calls = stuck(upstream)
    async with service.client() as client:
        asking = asyncio.create_task(
            client.post("/v1/chat/completions", json=body(stream=stream), timeout=None)
        )
        await upstream.arrived(calls)
        open_calls = [call for call in upstream.calls if not call.done]
        assert open_calls
        asking.cancel()
    left = asyncio.get_running_loop().time()
    await asyncio.gather(*(hung_up(call) for call in open_calls))
    assert asyncio.get_running_loop().time() - left <= 0.1
    (line,) = await service.logged("request_finished")
    assert line["outcome"] == "client_disconnected"
    # Nothing is called afterwards, and what was used is in the ledger.
    assert len(upstream.calls) == calls
    assert len(service.events("upstream_attempt")) == calls


async def test_a_caller_that_stops_reading_does_not_hold_its_run_for_ever(
    service: RunningService, upstream: DumbUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response, "STALLED_SECONDS", 0.3)
    upstream.answer("lead", Reply(text="x" * 40_000_000, piece=50_000))
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    content = json.dumps(body(stream=True)).encode()
    writer.write(
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {service.token}"
        f"\r\ncontent-length: {len(content)}\r\n\r\n".encode()
        + content
    )
    try:
        await reader.readuntil(b"\r\n\r\n")
        (line,) = await service.logged("request_finished")
        assert line["outcome"] == "client_stalled"
        await hung_up(upstream.calls[0])
    finally:
        writer.transport.abort()
