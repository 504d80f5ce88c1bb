"""Runs for which there is no prompt cache: unwanted by the operator, or refused by the server."""

import asyncio
import json
from pathlib import Path

import pytest

from cached_runs import MESSAGES, marked, prepared
from dumb_upstream import DumbCall, Reply, Status, Write
from listening import listening, of_subtask
from orchestrator_worker.orchestration import prefix
from stage import staged


async def test_nothing_is_warmed_or_marked_when_the_operator_wants_no_cache(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, {"caching": ""}, PROMPT_CACHE="false") as own:
        prepared(own)
        assert (await own.watch("caching", messages=MESSAGES)).answer == "the answer"
        assert own.upstream.calls_of("warm-up") == []
        assert not any("cache_control" in json.dumps(call.body) for call in own.upstream.calls)


async def test_on_a_server_that_refuses_cache_control_everything_works_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefix, "MAX_WAIT_SECONDS", 5.0)
    async with staged(tmp_path, {"caching": ""}) as own:
        upstream, ready = prepared(own).upstream, asyncio.Event()

        async def refuse(call: DumbCall, write: Write) -> None:
            message = "messages.0.content.0.cache_control: Extra inputs are not permitted"
            carries = "cache_control" in json.dumps(call.body)
            refusal = Status(400, "invalid_request_error", message=message)
            await (refusal if carries else Reply(text="done"))(call, write)

        upstream.answer("warm-up", refuse)
        upstream.answer("worker", refuse)
        first = await own.watch("caching", messages=MESSAGES)
        assert first.answer == "the answer"
        assert first.report["partial"] is False
        (warm,) = [it for it in first.report["agents"] if it["purpose"] == "warm-up"]
        assert (warm["outcome"], warm["reason"]) == ("failed", "rejected")
        prepared(own)
        # Known by now: nothing is asked for in vain, and nobody waits for what will not be there.
        upstream.answer_subtask("Part 1", Reply(text="done", hold_before=ready))
        async with listening(own.http, model="caching", messages=MESSAGES) as heard:
            await heard.until_event("worker_finished", subtask_id="s3")
            assert not of_subtask(upstream, "Part 1")[0].done
            ready.set()
            await heard.to_the_end()
        assert heard.text == "the answer"
        assert upstream.calls_of("warm-up") == []
        assert len(upstream.calls_of("worker")) == 3
        assert [marked(call) for call in upstream.calls_of("worker") if marked(call)] == []
