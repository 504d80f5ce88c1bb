"""A second try on the next tier, once, where a stronger model may do better; results that must be
JSON; and what becomes of those that wait for a result that never comes.
"""

import json
from typing import Any

import pytest

from dumb_upstream import Answer, Reply, Status
from plans import part
from stage import HAIKU, SONNET, Stage
from worker_teams import TEAMS, set_up
from worker_turns import turn

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS)]

REFUSES = "the model provider refuses the request"
NOT_JSON = "its result is not JSON"


def two(stage: Stage, *answers: Answer, **fields: Any) -> None:
    """Plan a part A with these fields, answered like this, and a part B that does well."""
    set_up(stage, part("Part A", **fields), part("Part B"))
    stage.upstream.answer_subtask("Part A", *answers)


def tiers_asked(stage: Stage, title: str) -> list[str]:
    return [it.body["model"] for it in stage.upstream.calls_of("worker") if turn(it).title == title]


@pytest.mark.parametrize(
    ("first", "reason", "tokens"),
    [
        (Status(400), REFUSES, (10, 5)),
        (Reply(text=""), "empty answer", (20, 10)),
        (Reply(text="some text", truncate=True), "its answer broke off", (20, 7)),
    ],
)
async def test_a_worker_that_does_better_on_the_next_tier_gives_its_result(
    stage: Stage, first: Answer, reason: str, tokens: tuple[int, int]
) -> None:
    two(stage, first, Reply(text="a better one"))
    seen = await stage.watch()
    assert (seen.answer, seen.report["partial"]) == ("The answer.", False)
    assert seen.attempts("Part A") == [(HAIKU, 1), (SONNET, 1)]
    agents = [it for it in seen.report["agents"] if it["title"] == "Part A"]
    assert [it["purpose"] for it in agents] == [None, "second try on sonnet"]
    told = [
        (it["event"], it.get("model"), it.get("reason"))
        for it in seen.events
        if it.get("subtask_id") == "a" and it["event"].startswith("worker_")
    ]
    assert told == [
        ("worker_started", HAIKU, None),
        ("worker_escalated", SONNET, reason),
        ("worker_finished", None, None),
    ]  # fmt: skip
    (finished,) = [it for it in seen.events_of("worker_finished") if it["subtask_id"] == "a"]
    assert (finished["input_tokens"], finished["output_tokens"]) == tokens
    told_to_writer = stage.upstream.calls_of("synthesizer")[0].last_text
    assert ">\na better one\n<" in told_to_writer
    assert "some text" not in told_to_writer


async def test_both_tries_are_told_the_same(stage: Stage) -> None:
    two(stage, Status(400), Reply(text="a better one"))
    await stage.watch()
    first, second = [it for it in stage.upstream.calls_of("worker") if turn(it).title == "Part A"]
    assert first.body["messages"] == second.body["messages"]
    assert first.body["system"] == second.body["system"]


@pytest.mark.parametrize(
    ("team", "fields", "tried"),
    [
        ("orchestrator-worker", {}, [HAIKU, SONNET]),
        ("orchestrator-worker", {"tier": "haiku"}, [HAIKU, SONNET]),
        ("orchestrator-worker", {"tier": "sonnet"}, [SONNET]),
        ("typed", {"type": "hard"}, [SONNET]),
        ("flat", {}, [HAIKU]),
        ("flat", {"tier": "sonnet"}, [HAIKU]),
    ],
)
async def test_a_worker_is_tried_on_its_own_tier_and_once_on_the_next(
    stage: Stage, team: str, fields: dict[str, str], tried: list[str]
) -> None:
    two(stage, Status(400), **fields)
    seen = await stage.watch(team)
    assert tiers_asked(stage, "Part A") == tried
    assert seen.outcomes["Part A"] == ("failed", REFUSES)
    assert len(seen.events_of("worker_escalated")) == len(tried) - 1


async def test_the_reason_of_the_last_try_is_told(stage: Stage) -> None:
    two(stage, Status(400), Reply(text="No.", stop_reason="refusal"))
    seen = await stage.watch()
    assert seen.outcomes["Part A"] == ("failed", "the model declined it")


async def test_an_only_worker_is_tried_on_the_next_tier_before_it_was_heard(stage: Stage) -> None:
    set_up(stage, part("Part A"))
    stage.upstream.answer_subtask("Part A", Status(400), Reply(text="a better one"))
    seen = await stage.watch()
    assert (seen.answer, seen.report["partial"]) == ("a better one", False)
    assert tiers_asked(stage, "Part A") == [HAIKU, SONNET]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('```json\n{ "a": [1,  2] }\n```', {"a": [1, 2]}),
        ('~~~\n[1,\n "x"]\n~~~\n', [1, "x"]),
        ('  "just a text" ', "just a text"),
        ("null", None),
        ("0", 0),
    ],
)
async def test_a_json_result_is_taken_out_of_its_fence_and_compacted(
    stage: Stage, text: str, value: Any
) -> None:
    two(stage, Reply(text=text), output="json")
    seen = await stage.watch()
    assert seen.report["partial"] is False
    assert tiers_asked(stage, "Part A") == [HAIKU]
    (result, _) = seen.report["results"]
    assert (result["outcome"], result["text"]) == ("succeeded", value)
    compact = json.dumps(value, separators=(",", ":"))
    assert f">\n{compact}\n</" in stage.upstream.calls_of("synthesizer")[0].last_text


NO_JSON = [
    "Here it is: {}",
    '{"a": 1',
    "{'a': 1}",
    '```json\n{"a": 1}\n```\nThat is all.',
    '{"a": 1} {"a": 2}',
    '{"a": NaN}',
    "[" * 5000 + "]" * 5000,
]


@pytest.mark.parametrize("text", NO_JSON, ids=range(len(NO_JSON)))
async def test_what_is_no_json_is_tried_once_on_the_next_tier_and_then_missing(
    stage: Stage, text: str
) -> None:
    two(stage, Reply(text=text, piece=1000), output="json")
    seen = await stage.watch()
    assert tiers_asked(stage, "Part A") == [HAIKU, SONNET]
    assert seen.outcomes["Part A"] == ("failed", NOT_JSON)
    assert seen.answer == f"The answer.\n\nMissing from this answer: “Part A” ({NOT_JSON})."


async def test_what_is_no_json_at_first_may_be_on_the_next_tier(stage: Stage) -> None:
    two(stage, Reply(text="I think so"), Reply(text='{"a": 1}'), output="json")
    seen = await stage.watch("listing")
    assert json.loads(seen.answer)[0]["text"] == {"a": 1}
    assert seen.report["partial"] is False


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "b": "x"}', None),
        ('{"a": "1"}', "its result breaks the schema at $.a"),
        ("{}", "its result breaks the schema at $"),
        ("[1]", "its result breaks the schema at $"),
        ("a: 1", NOT_JSON),
    ],
)
async def test_a_result_is_held_against_the_schema_of_its_type(
    stage: Stage, text: str, reason: str | None
) -> None:
    two(stage, Reply(text=text), type="fact")
    seen = await stage.watch("typed")
    assert tiers_asked(stage, "Part A") == ([HAIKU, SONNET] if reason else [HAIKU])
    assert seen.outcomes["Part A"] == ("failed" if reason else "succeeded", reason)
    assert seen.report["partial"] == (reason is not None)
    told = [it.last_text for it in stage.upstream.calls_of("worker") if turn(it).title == "Part A"]
    assert all('"required":["a"]' in text for text in told)


CHAIN = [part("Part A"), part("Part B", depends_on=["a"]), part("Part C", depends_on=["b"]),
         part("Part D")]  # fmt: skip


async def test_a_part_runs_without_what_it_depends_on_and_is_told_what_is_missing(
    stage: Stage,
) -> None:
    set_up(stage, *CHAIN, a=Status(400), b=Reply(text="done without"))
    seen = await stage.watch()
    assert seen.answer == f"The answer.\n\nMissing from this answer: “Part A” ({REFUSES})."
    turns = {turn(call).title: turn(call).results for call in stage.upstream.calls_of("worker")}
    assert f'title="Part A" outcome="failed" reason="{REFUSES}"' in turns["Part B"]
    assert "done without" in turns["Part C"]
    assert "Part A" not in turns["Part C"]


async def test_a_team_may_skip_all_that_depends_on_what_is_missing(stage: Stage) -> None:
    set_up(stage, *CHAIN, a=Status(400))
    seen = await stage.watch("skipping")
    expected = {
        "Part A": ("failed", REFUSES),
        "Part B": ("skipped", "it needs “Part A”, which is missing"),
        "Part C": ("skipped", "it needs “Part B”, which is missing"),
        "Part D": ("succeeded", None),
    }
    assert seen.outcomes == expected
    gaps = [f"“{title}” ({reason})" for title, (_, reason) in expected.items() if reason]
    assert seen.answer == f"The answer.\n\nMissing from this answer: {'; '.join(gaps)}."
    titles = {turn(call).title for call in stage.upstream.calls_of("worker")}
    assert titles == {"Part A", "Part D"}
    started = [event["subtask_id"] for event in seen.events_of("worker_started")]
    assert sorted(started) == ["a", "d"]
    assert len(seen.events_of("worker_finished")) == 4


async def test_if_all_is_skipped_but_what_failed_there_is_an_error(stage: Stage) -> None:
    set_up(stage, *CHAIN[:3], a=Status(400))
    seen = await stage.watch("skipping")
    assert seen.error is not None
    assert stage.upstream.calls_of("synthesizer") == []
