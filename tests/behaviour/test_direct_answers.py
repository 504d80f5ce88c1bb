"""One mind is enough: the lead's own stream is the answer, and nothing else is called."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx2
import pytest

from chat import answer_of, ask, body, frames_of
from conftest import StartService
from dumb_upstream import Hang, Reply, Status
from orchestrator_worker.api.chat import response as response_module
from served_teams import AS_BUNDLED
from stage import Stage

KEY = "sk-ant-canary-key"
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.served(AS_BUNDLED, ANTHROPIC_API_KEY=KEY),
]

PARIS = "Paris is the capital of France — « naturellement » 🙂."


async def test_a_simple_question_costs_exactly_one_call(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text=PARIS, usage={"input_tokens": 12}, output_tokens=9))
    response = await stage.ask()
    assert answer_of(response) == PARIS
    assert [call.role for call in stage.upstream.calls] == ["lead"]
    assert response.json()["usage"] == {
        "prompt_tokens": 12,
        "completion_tokens": 9,
        "total_tokens": 21,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


async def test_a_stream_keeps_the_grammar_that_clients_depend_on(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text=PARIS))
    response = await stage.ask(stream=True, stream_options={"include_usage": True})
    assert response.headers["x-accel-buffering"] == "no"
    assert "no-transform" in response.headers["cache-control"]
    frames = frames_of(response)
    assert len({(f["id"], f["created"], f["model"], f["object"]) for f in frames}) == 1
    first, *deltas, last, usage = frames
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all(set(f["choices"][0]["delta"]) == {"content"} for f in deltas)
    assert all(f["choices"][0]["finish_reason"] is None for f in [first, *deltas])
    assert last["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 15
    assert not any("usage" in f for f in frames[:-1])
    assert not any("orchestration" in f for f in frames)


async def test_no_usage_chunk_comes_unless_asked_for(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text=PARIS))
    frames = frames_of(await stage.ask(stream=True))
    assert all(f["choices"] for f in frames)
    assert frames[-1]["choices"][0]["finish_reason"] == "stop"


async def lines_of(response: httpx2.Response) -> AsyncIterator[str]:
    async for line in response.aiter_lines():
        if line.startswith("data: {"):
            yield json.loads(line[6:])["choices"][0]["delta"].get("content", "")


async def test_every_delta_is_passed_on_while_the_next_is_still_to_come(stage: Stage) -> None:
    go_on = asyncio.Event()
    stage.upstream.answer("lead", Reply(text="abcdefghij", piece=2, hold_after_pieces=(3, go_on)))
    async with stage.http.stream(
        "POST", "/v1/chat/completions", json=body(stream=True)
    ) as response:
        lines = lines_of(response)
        async with asyncio.timeout(5):
            got = [await anext(lines) for _ in range(4)]
        assert got == ["", "ab", "cd", "ef"]
        go_on.set()
        assert "".join([line async for line in lines]) == "ghij"


async def test_the_status_waits_for_the_lead_but_not_for_its_text(stage: Stage) -> None:
    started, text = asyncio.Event(), asyncio.Event()
    stage.upstream.answer("lead", Reply(text="x", hold_before=started, hold_before_text=text))
    request = stage.http.build_request("POST", "/v1/chat/completions", json=body(stream=True))
    opening = asyncio.create_task(stage.http.send(request, stream=True))
    await stage.upstream.arrived(1)
    assert not opening.done()
    started.set()
    async with asyncio.timeout(3):
        response = await opening
    assert response.status_code == 200
    text.set()
    await response.aread()
    await response.aclose()


@pytest.mark.parametrize(
    ("answer", "status", "code", "calls", "headers"),
    [
        (Status(500), 502, "upstream_error", 3, {}),
        (Status(503), 502, "upstream_error", 3, {}),
        (Status(529, "overloaded_error"), 503, "overloaded", 3, {"retry-after": "2"}),
        (
            Status(429, "rate_limit_error", retry_after="600"),
            429,
            "rate_limit_exceeded",
            1,
            {"retry-after": "120"},
        ),
        (Status(429, "rate_limit_error"), 429, "rate_limit_exceeded", 3, {}),
        (
            Status(401, "authentication_error"),
            502,
            "upstream_auth",
            1,
            {"x-should-retry": "false"},
        ),
        (Status(403, "permission_error"), 502, "upstream_auth", 1, {}),
        (Status(400, "invalid_request_error"), 502, "upstream_error", 1, {}),
        (Reply(cut_after_pieces=0), 502, "upstream_error", 3, {}),
        (Reply(error_after_pieces=(0, "overloaded_error")), 503, "overloaded", 3, {}),
        (Reply(truncate=True), 502, "upstream_error", 3, {}),
        (Reply(text=""), 502, "upstream_error", 1, {}),
        (
            Status(429, "rate_limit_error", code="enforced_spend_limit_reached"),
            429,
            "insufficient_quota",
            1,
            {"x-should-retry": "false"},
        ),
        (Reply(line=b"data: {not json\n\n"), 502, "upstream_error", 3, {}),
    ],
)
async def test_a_failing_lead_is_an_http_status_and_is_retried_only_where_it_helps(
    stage: Stage,
    answer: Status | Reply,
    status: int,
    code: str,
    calls: int,
    headers: dict[str, str],
) -> None:
    stage.upstream.answer("lead", answer)
    response = await stage.ask()
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert "leak" not in response.text
    assert len(stage.upstream.calls) == calls
    assert headers.items() <= dict(response.headers).items()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_retry_that_succeeds_is_not_seen(stage: Stage, stream: bool) -> None:
    stage.upstream.answer("lead", Status(529), Reply(text=PARIS))
    assert answer_of(await stage.ask(stream=stream)) == PARIS
    assert [call.headers["x-orchestrator-attempt"] for call in stage.upstream.calls] == ["1", "2"]


async def test_an_early_failure_is_a_status_in_a_stream_too(stage: Stage) -> None:
    stage.upstream.answer("lead", Status(529))
    response = await stage.ask(stream=True)
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "overloaded"


@pytest.mark.parametrize(
    "ending",
    [{"cut_after_pieces": 3}, {"truncate": True}, {"error_after_pieces": (3, "api_error")}],
)
async def test_an_answer_that_breaks_off_ends_in_an_error_frame_and_is_not_restarted(
    stage: Stage, ending: dict[str, object]
) -> None:
    stage.upstream.answer("lead", Reply(text=PARIS, **ending))  # type: ignore[arg-type]
    *chunks, error = frames_of(await stage.ask(stream=True))
    assert error["error"]["code"] == "upstream_error"
    text = "".join(f["choices"][0]["delta"].get("content", "") for f in chunks)
    assert text
    assert PARIS.startswith(text)
    assert all(f["choices"][0]["finish_reason"] is None for f in chunks)
    assert len(stage.upstream.calls) == 1


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("refusal", "content_filter"),
        ("stop_sequence", "stop"),
        ("something_new", "stop"),
    ],
)
async def test_stop_reasons_are_translated(
    stage: Stage, stop_reason: str, finish_reason: str
) -> None:
    stage.upstream.answer("lead", Reply(text="text", stop_reason=stop_reason))
    response = await stage.ask()
    assert response.json()["choices"][0]["finish_reason"] == finish_reason


async def test_a_short_cap_means_no_delegation_no_thinking_and_exactly_that_cap(
    stage: Stage,
) -> None:
    stage.upstream.answer("lead", Reply(text="short"))
    await stage.ask(max_tokens=100, max_completion_tokens=17)
    sent = stage.upstream.calls[0].body
    assert sent["output_config"] == {"effort": "low"}
    assert sent["max_tokens"] == 17
    assert "tools" not in sent
    assert sent["thinking"] == {"type": "between_tools"}
    assert "system" not in sent


async def test_the_lead_gets_the_history_the_instructions_and_the_delegate_tool(
    stage: Stage,
) -> None:
    stage.upstream.answer("lead", Reply(text="ok"))
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "assistant", "content": "Welcome!"},
        {"role": "user", "content": "One"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Two"}, {"type": "text", "text": " "}],
        },
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": "Three", "reasoning_content": "dropped"},
        {"role": "system", "content": "And polite."},
        {"role": "user", "content": "Four"},
    ]
    await stage.ask(messages=messages)
    sent = stage.upstream.calls[0].body
    assert [block["text"] for block in sent["system"]][1:] == ["Be brief.", "And polite."]
    turns = [(m["role"], [b["text"] for b in m["content"]]) for m in sent["messages"]]
    assert turns == [
        ("user", ["…"]),
        ("assistant", ["Welcome!"]),
        ("user", ["One", "Two"]),
        ("assistant", ["Three"]),
        ("user", ["Four"]),
    ]
    assert [tool["name"] for tool in sent["tools"]] == ["delegate"]
    assert sent["tools"][0]["eager_input_streaming"] is True
    assert "strict" not in sent["tools"][0]
    assert sent["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert stage.upstream.calls[0].headers["authorization"] == f"Bearer {KEY}"


async def test_a_direct_answer_that_passes_its_deadline_ends_as_cut(
    start_service: StartService, stage: Stage
) -> None:
    service = await start_service(stage.upstream, DIRECT_ANSWER_TIMEOUT="1")
    stage.upstream.answer("lead", Reply(text=PARIS, hold_after_pieces=(2, asyncio.Event())))
    async with service.client() as client:
        response = await ask(client, headers={"x-orchestration": "usage"})
    assert response.json()["choices"][0]["finish_reason"] == "length"
    assert response.json()["orchestration"]["timed_out"] is True
    assert PARIS.startswith(answer_of(response))


async def test_a_lead_that_says_nothing_is_a_timeout_that_names_the_phase(
    start_service: StartService, stage: Stage
) -> None:
    service = await start_service(stage.upstream, WORKER_COORDINATION_TIMEOUT="1")
    stage.upstream.answer("lead", Hang())
    async with service.client() as client:
        response = await ask(client)
    assert response.status_code == 504
    assert "coordination" in response.json()["error"]["message"]
    (line,) = await service.logged("request_finished")
    assert 0.9 < line["milliseconds"] / 1000 < 1.5


async def test_a_stream_that_falls_silent_ends_at_the_idle_limit(
    start_service: StartService, stage: Stage
) -> None:
    service = await start_service(stage.upstream, STREAM_IDLE_TIMEOUT="1")
    stage.upstream.answer("lead", Reply(text=PARIS, hold_after_pieces=(2, asyncio.Event())))
    async with service.client() as client:
        *_, error = frames_of(await ask(client, stream=True))
    assert error["error"]["code"] == "timeout"


async def test_a_quiet_stream_is_kept_open_by_comments(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert response_module.HEARTBEAT_SECONDS <= 10
    monkeypatch.setattr(response_module, "HEARTBEAT_SECONDS", 0.05)
    go_on = asyncio.Event()
    stage.upstream.answer("lead", Reply(text=PARIS, hold_before_text=go_on))
    async with stage.http.stream(
        "POST", "/v1/chat/completions", json=body(stream=True)
    ) as response:
        lines = response.aiter_lines()
        async with asyncio.timeout(5):
            while await anext(lines) != ": working":
                pass
        go_on.set()
        assert [line async for line in lines][-2] == "data: [DONE]"


async def test_a_slow_lead_opens_the_stream_and_fails_in_a_frame(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response_module, "HOLD_SECONDS", 0.05)
    start = asyncio.Event()
    stage.upstream.answer("lead", Reply(hold_before=start, cut_after_pieces=0))
    async with stage.http.stream(
        "POST", "/v1/chat/completions", json=body(stream=True)
    ) as response:
        assert response.status_code == 200
        start.set()
        lines = [line async for line in response.aiter_lines() if line]
    assert json.loads(lines[-2][6:])["error"]["code"] == "upstream_error"
    assert lines[-1] == "data: [DONE]"
