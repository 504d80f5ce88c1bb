"""Results that are too long to be read at once are shortened first, side by side."""

import asyncio
import re
from typing import Any

import pytest

from dumb_upstream import DumbCall, Hang, Reply, Status
from listening import hung_up, listening
from plans import subtask
from stage import Stage

LIMIT = "reduce_above_tokens = 1000\n"
TEAMS = {
    "reading": LIMIT,
    "hurried": f"{LIMIT}[timeouts]\nsynthesis = 1",
    "narrow": f"{LIMIT}[caps]\nmax_concurrent_workers = 1",
}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS)]
LONG = "~~~~ " * 360
"""600 tokens at three bytes each: two such results pass the limit, one does not."""


@pytest.fixture
def stage(stage: Stage) -> Stage:
    upstream = stage.upstream
    upstream.answer("lead", Reply(plan=[subtask(1), subtask(2)]))
    upstream.answer_subtask("Part 1", Reply(text=f"{LONG}end of one", piece=4000))
    upstream.answer_subtask("Part 2", Reply(text=f"{LONG}end of two", piece=4000))
    upstream.answer("synthesizer", Reply(text="the answer"))
    return stage


def titles(call: DumbCall) -> list[str]:
    """Titles of the results in a turn, in order."""
    return re.findall(r'<result-\S+ id="[^"]*" title="([^"]*)"', call.last_text)


async def test_long_results_are_shortened_side_by_side_before_they_are_written_up(
    stage: Stage,
) -> None:
    upstream, release = stage.upstream, asyncio.Event()
    upstream.answer("reducer", Reply(text="shortened", hold_before=release))
    async with listening(stage.http, model="reading") as heard:
        await upstream.arrived(2, "reducer")
        assert upstream.in_flight >= 2
        assert upstream.calls_of("synthesizer") == []
        release.set()
        await heard.to_the_end()
    reducers = upstream.calls_of("reducer")
    assert heard.text == "the answer"
    # Together they have read every result whole, each result in its order.
    assert sum(call.last_text.count("~") for call in reducers) == 2 * 4 * 360
    assert {title for call in reducers for title in titles(call)} == {"Part 1", "Part 2"}
    (told,) = (call.last_text for call in upstream.calls_of("synthesizer"))
    assert told.count("shortened") == len(reducers)
    assert "~" not in told
    (started,) = [it for it in heard.events if it["event"] == "reduction_started"]
    assert started["reducers"] == len(reducers)
    assert started["estimated_tokens"] > 1000
    agents = [it for it in heard.report["agents"] if it["role"] == "reducer"]
    assert len(agents) == len(reducers)
    assert all(it["cost_usd"] > 0 for it in agents)
    assert heard.report["partial"] is False


async def test_reducers_keep_to_the_runs_cap_on_concurrency(stage: Stage) -> None:
    upstream = stage.upstream
    upstream.answer("reducer", Reply(text="shortened"))
    upstream.in_flight_peak = 0
    assert (await stage.watch("narrow")).answer == "the answer"
    assert len(upstream.calls_of("reducer")) >= 2
    assert upstream.in_flight_peak <= 2  # a worker beside the lead's own stream


async def test_results_within_the_limit_are_written_up_as_they_are(stage: Stage) -> None:
    upstream = stage.upstream
    upstream.answer_subtask("Part 2", Reply(text="short"))
    seen = await stage.watch("reading")
    assert upstream.calls_of("reducer") == []
    assert "end of one" in upstream.calls_of("synthesizer")[0].last_text
    assert seen.events_of("reduction_started") == []


async def test_a_long_conversation_leaves_less_room_for_results(stage: Stage) -> None:
    upstream = stage.upstream
    upstream.answer_subtask("Part 2", Reply(text="short"))
    upstream.answer("reducer", Reply(text="shortened"))
    asked = [{"role": "user", "content": "Compare. " * 150}]
    await stage.watch("reading", messages=asked)
    assert upstream.calls_of("reducer")
    assert "~" not in upstream.calls_of("synthesizer")[0].last_text


async def test_what_a_failing_reducer_had_is_cut_and_the_answer_names_it(stage: Stage) -> None:
    upstream = stage.upstream

    async def only_the_first_part_fails(call: DumbCall, write: Any) -> None:
        failing = titles(call) == ["Part 1"]
        answer = Status(400, "invalid_request_error") if failing else Reply(text="shortened")
        await answer(call, write)

    upstream.answer("reducer", only_the_first_part_fails)
    seen = await stage.watch("reading")
    note = "Missing from this answer: parts of “Part 1”, which could not be shortened."
    assert seen.answer == f"the answer\n\n{note}"
    assert seen.report["partial"] is True
    told = upstream.calls_of("synthesizer")[0].last_text
    assert told.count("shortened") > 1  # the other part, and the gap
    assert 'truncated="true"' in told
    assert 0 < told.count("~") < 4 * 360


async def test_when_every_reducer_fails_each_part_is_named_once_and_the_rest_is_cut(
    stage: Stage,
) -> None:
    upstream = stage.upstream
    upstream.answer("reducer", Status(400, "invalid_request_error"))
    seen = await stage.watch("reading")
    for title in ("Part 1", "Part 2"):
        assert seen.answer.count(title) == 1
    (told,) = (call.last_text for call in upstream.calls_of("synthesizer"))
    assert 'truncated="true"' in told
    assert 0 < told.count("~") <= 3000 * 4 // 5  # a thousand tokens of both


async def test_what_is_still_too_long_is_shortened_once_more(stage: Stage) -> None:
    upstream = stage.upstream
    plan = [subtask(n) for n in range(1, 5)]
    upstream.answer("lead", Reply(plan=plan))
    for number in range(1, 5):
        upstream.answer_subtask(f"Part {number}", Reply(text=LONG, piece=4000))

    async def shorter(call: DumbCall, write: Any) -> None:
        again = "level" in call.last_text
        await Reply(text="at last" if again else "level " * 110)(call, write)

    upstream.answer("reducer", shorter)
    seen = await stage.watch("reading")
    first, second = seen.events_of("reduction_started")
    assert first["estimated_tokens"] > second["estimated_tokens"] > 1000
    assert first["reducers"] > second["reducers"] > 1
    told = upstream.calls_of("synthesizer")[0].last_text
    assert told.count("at last") == second["reducers"]
    assert "level" not in told
    # The parts keep the names of what went into them.
    named = " ".join(titles(upstream.calls_of("synthesizer")[0]))
    assert all(f"Part {number}" in named for number in range(1, 5))


@pytest.mark.parametrize("stream", [False, True])
async def test_reducers_that_hang_end_at_the_synthesis_deadline(stage: Stage, stream: bool) -> None:
    upstream = stage.upstream
    upstream.answer("reducer", Hang())
    if stream:
        error = (await stage.watch("hurried")).error
    else:
        question = {"model": "hurried", "messages": [{"role": "user", "content": "Compare."}]}
        response = await stage.http.post("/v1/chat/completions", json=question)
        assert response.status_code == 504
        error = response.json()["error"]
    assert error
    assert error["code"] == "timeout"
    assert error["message"] == "The synthesis phase did not finish within 1 seconds."
    assert upstream.calls_of("synthesizer") == []
    for call in upstream.calls_of("reducer"):
        await hung_up(call)
