"""Ten workers, one of them goes wrong: the answer comes with the other nine, names the gap and
counts every attempt.
"""

import asyncio
import json
from dataclasses import dataclass

import pytest

from chat import ask
from dumb_upstream import Answer, DumbCall, Hang, Reply, Status, Write
from plans import part
from stage import HAIKU, SONNET, Seen, Stage
from worker_teams import TEAMS, TEN, set_up
from worker_turns import turn

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS)]

BAD = "Part 7"
IDS = [part(title)["id"] for title in TEN]
OTHERS = [title for title in TEN if title != BAD]
INPUT, OUTPUT = 10, 5
"""Tokens of a call that the dumb upstream has answered to its end."""


@dataclass
class Noise:
    """Bytes that are no HTTP, and the end of the connection."""

    data: bytes

    async def __call__(self, call: DumbCall, write: Write) -> None:
        await write(self.data)
        raise ConnectionAbortedError


@dataclass
class Case:
    answer: Answer
    reason: str
    haiku: int = 1
    sonnet: int = 1
    tokens: tuple[int, int] = (0, 0)
    """Of one attempt: input, output."""


FAILED = "the model provider failed"
OVERLOADED = "the model provider is overloaded"
BROKE_OFF = "its answer broke off"
UNREACHABLE = "the model provider cannot be reached"
REFUSES = "the model provider refuses the request"
SPENT = "the spend limit at the model provider is reached"
ENOUGH = "enforced_spend_limit_reached"

CASES: dict[str, Case] = {
    "status 500": Case(Status(500), FAILED, 3, 3),
    "status 529": Case(Status(529, "overloaded_error"), OVERLOADED, 3, 3),
    "status 429": Case(
        Status(429, "rate_limit_error"), "the model provider's rate limit is reached", 3, 3
    ),
    "status 400": Case(Status(400, "invalid_request_error"), REFUSES),
    "status 401": Case(
        Status(401, "authentication_error"), "the model provider refuses this service's key", 1, 0
    ),
    "spend limit": Case(Status(429, "rate_limit_error", code=ENOUGH), SPENT, 1, 0),
    "billing": Case(Status(402, "billing_error"), SPENT, 1, 0),
    "empty text": Case(Reply(text=""), "empty answer", tokens=(10, 5)),
    "blank text": Case(Reply(text=" \n "), "empty answer", tokens=(10, 5)),
    "empty and truncated": Case(
        Reply(text="", stop_reason="max_tokens"), "empty answer", tokens=(10, 5)
    ),
    "refusal": Case(
        Reply(text="I would rather", stop_reason="refusal"), "the model declined it", 1, 0, (10, 5)
    ),
    "cut after some text": Case(
        Reply(text="some of the text", cut_after_pieces=2), BROKE_OFF, tokens=(10, 2)
    ),
    "cut before any text": Case(
        Reply(text="some of the text", cut_after_pieces=0), BROKE_OFF, 3, 3, (10, 1)
    ),
    "end without message_stop": Case(
        Reply(text="some of the text", truncate=True), BROKE_OFF, tokens=(10, 3)
    ),
    "end without text or message_stop": Case(
        Reply(text="", truncate=True), BROKE_OFF, 3, 3, (10, 1)
    ),
    "error event after some text": Case(
        Reply(text="some of the text", error_after_pieces=(2, "overloaded_error")),
        OVERLOADED, tokens=(10, 2),
    ),
    "error event before any text": Case(
        Reply(text="some of the text", error_after_pieces=(0, "api_error")), FAILED, 3, 3, (10, 1)
    ),
    "error event that no retry mends": Case(
        Reply(text="some of the text", error_after_pieces=(0, "invalid_request_error")),
        REFUSES, tokens=(10, 1),
    ),
    "spend limit in mid-stream": Case(
        Reply(text="some of the text", error_after_pieces=(1, "billing_error")),
        SPENT, 1, 0, (10, 1),
    ),
    "garbage in the stream": Case(
        Reply(text="text", line=b"data: \xff\xfe{[\n\n"), FAILED, 3, 3, (10, 1)
    ),
    "garbage for HTTP": Case(Noise(b"\x16\x03\x01\x00\xff\r\n\r\n"), UNREACHABLE, 3, 0),
    "a closed connection": Case(Noise(b""), UNREACHABLE, 3, 0),
    "a web page": Case(
        Noise(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\n"
              b"connection: close\r\n\r\n<html>no</html>"),
        BROKE_OFF, 3, 3,
    ),
}  # fmt: skip


def ten(stage: Stage, bad: Answer) -> None:
    set_up(stage, *map(part, TEN), **{"7": bad})
    for title in OTHERS:
        stage.upstream.answer_subtask(title, Reply(text=f"result of {title}"))


def assert_all_attempts_count(stage: Stage, seen: Seen, bad_tokens: tuple[int, int]) -> None:
    agents = seen.report["agents"]
    assert len(agents) == len(stage.upstream.calls)
    whole = len(OTHERS) + 2
    tokens = (whole * INPUT + bad_tokens[0], whole * OUTPUT + bad_tokens[1])
    totals = seen.report["totals"]
    assert (totals["input_tokens"], totals["output_tokens"]) == tokens
    assert (seen.usage["prompt_tokens"], seen.usage["completion_tokens"]) == tokens
    for kind in ("input_tokens", "output_tokens", "cost_usd"):
        assert sum(agent[kind] for agent in agents) == pytest.approx(totals[kind])


@pytest.mark.parametrize("name", CASES)
async def test_a_failed_worker_costs_its_part_and_nothing_else(stage: Stage, name: str) -> None:
    case = CASES[name]
    ten(stage, case.answer)
    seen = await stage.watch()
    assert seen.answer == f"The answer.\n\nMissing from this answer: “{BAD}” ({case.reason})."
    assert seen.report["partial"] is True
    expected = dict.fromkeys(TEN, ("succeeded", None)) | {BAD: ("failed", case.reason)}
    assert seen.outcomes == expected
    (synthesizer,) = stage.upstream.calls_of("synthesizer")
    assert all(f"result of {title}\n" in synthesizer.last_text for title in OTHERS)
    assert f'title="{BAD}" outcome="failed" reason="' in synthesizer.last_text

    haiku = [(HAIKU, number + 1) for number in range(case.haiku)]
    sonnet = [(SONNET, number + 1) for number in range(case.sonnet)]
    assert seen.attempts(BAD) == haiku + sonnet
    escalated = [
        {"event": "worker_escalated", "subtask_id": "7", "reason": case.reason, "model": SONNET}
    ]
    assert seen.events_of("worker_escalated") == (escalated if sonnet else [])
    tried = case.haiku + case.sonnet
    spent = (tried * case.tokens[0], tried * case.tokens[1])
    assert_all_attempts_count(stage, seen, spent)
    (finished,) = [it for it in seen.events_of("worker_finished") if it["subtask_id"] == "7"]
    assert (finished["input_tokens"], finished["output_tokens"]) == spent


async def test_a_result_cut_at_its_token_limit_is_kept_and_flagged(stage: Stage) -> None:
    ten(stage, Reply(text="half of it", stop_reason="max_tokens"))
    seen = await stage.watch()
    assert seen.answer == "The answer."
    assert seen.report["partial"] is True
    assert seen.outcomes == dict.fromkeys(TEN, ("succeeded", None))
    (synthesizer,) = stage.upstream.calls_of("synthesizer")
    assert (
        f'title="{BAD}" outcome="succeeded" truncated="true" content="untrusted data">\n'
        "half of it\n" in synthesizer.last_text
    )
    assert synthesizer.last_text.count("truncated=") == 1
    assert_all_attempts_count(stage, seen, (INPUT, OUTPUT))


async def test_a_hanging_worker_ends_with_the_phase(stage: Stage) -> None:
    ten(stage, Hang())
    seen = await stage.watch("hasty")
    assert seen.answer == f"The answer.\n\nMissing from this answer: “{BAD}” (not done after 1 s)."
    assert seen.report["phases"]["coordination_seconds"] == pytest.approx(1, abs=0.25)
    assert (seen.report["partial"], seen.report["timed_out"]) == (True, True)
    assert seen.outcomes[BAD] == ("timed_out", "not done after 1 s")
    assert seen.attempts(BAD) == [(HAIKU, 1)]
    assert [a["outcome"] for a in seen.report["agents"] if a["title"] == BAD] == ["cancelled"]
    assert_all_attempts_count(stage, seen, (0, 0))
    (hanging,) = [it for it in stage.upstream.calls_of("worker") if turn(it).title == BAD]
    async with asyncio.timeout(5):
        await hanging.client_left.wait()


async def test_what_a_worker_had_used_when_time_was_up_counts(stage: Stage) -> None:
    ten(stage, Reply(text="x" * 70, hold_after_pieces=(4, asyncio.Event())))
    seen = await stage.watch("hasty")
    assert seen.outcomes[BAD] == ("timed_out", "not done after 1 s")
    assert_all_attempts_count(stage, seen, (INPUT, 4))


@pytest.mark.parametrize("name", CASES)
async def test_when_all_ten_fail_there_is_an_error_and_nobody_writes_an_answer(
    stage: Stage, name: str
) -> None:
    case = CASES[name]
    set_up(stage, *map(part, TEN), **dict.fromkeys(IDS, case.answer))
    response = await ask(stage.http)
    assert response.status_code == 502
    error = response.json()["error"]
    assert error["code"] == "upstream_error"
    assert error["message"] == (
        f"All 10 subtasks failed ({case.reason}); no answer was made up in their place."
    )
    seen = await stage.watch()
    assert seen.error == error
    assert seen.answer == ""
    assert seen.report["partial"] is True
    assert stage.upstream.calls_of("synthesizer") == []
    each = [(HAIKU, n + 1) for n in range(case.haiku)] + [
        (SONNET, n + 1) for n in range(case.sonnet)
    ]
    assert all(seen.attempts(title) == each for title in TEN)


async def test_when_all_ten_hang_there_is_a_timeout_and_nobody_writes_an_answer(
    stage: Stage,
) -> None:
    set_up(stage, *map(part, TEN), **dict.fromkeys(IDS, Hang()))
    response, seen = await asyncio.gather(ask(stage.http, model="hasty"), stage.watch("hasty"))
    assert response.status_code == 504
    assert response.json()["error"]["code"] == "timeout"
    assert response.json()["error"] == seen.error
    assert seen.report["phases"]["coordination_seconds"] == pytest.approx(1, abs=0.25)
    assert stage.upstream.calls_of("synthesizer") == []


async def test_a_failing_worker_of_a_list_is_an_entry_with_its_reason(stage: Stage) -> None:
    ten(stage, Status(500))
    seen = await stage.watch("listing")
    entries = {
        it["title"]: (it["outcome"], it["reason"], it["text"]) for it in json.loads(seen.answer)
    }
    assert entries.pop(BAD) == ("failed", FAILED, None)
    assert entries == {title: ("succeeded", None, f"result of {title}") for title in OTHERS}
    assert seen.report["partial"] is True
