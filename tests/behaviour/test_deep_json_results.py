"""Results nested as deeply as JSON can be written, and deeper."""

import json
from typing import Any

import pytest

from dumb_upstream import Reply
from plans import part
from stage import Stage
from worker_teams import TEAMS, set_up

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS)]

LEVELS = 254
"""What orjson writes at most."""


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


async def test_a_result_nested_too_deeply_is_tried_on_the_next_tier(stage: Stage) -> None:
    set_up(stage, part("Part A", output="json"), part("Part B"))
    stage.upstream.answer_subtask("Part A", Reply(text=nested(LEVELS + 1)), Reply(text="[1]"))
    seen = await stage.watch("listing")
    assert json.loads(seen.answer)[0]["text"] == seen.report["results"][0]["text"] == [1]
    (escalated,) = seen.events_of("worker_escalated")
    assert escalated["reason"] == "its result is nested too deeply"


async def test_a_result_nested_too_deeply_twice_is_missing(stage: Stage) -> None:
    set_up(stage, part("Part A", output="json"), part("Part B"))
    stage.upstream.answer_subtask("Part A", Reply(text=nested(1000)))
    seen = await stage.watch()
    assert seen.outcomes["Part A"] == ("failed", "its result is nested too deeply")


@pytest.mark.parametrize("stream", [True, False])
async def test_the_deepest_result_that_can_be_written_stands_in_list_and_report(
    stage: Stage, stream: bool
) -> None:
    set_up(stage, part("Part A", output="json"), part("Part B"))
    stage.upstream.answer_subtask("Part A", Reply(text=nested(LEVELS)))
    expected: Any = json.loads(nested(LEVELS))
    if stream:
        seen = await stage.watch("listing")
        answer, report = seen.answer, seen.report
    else:
        response = await stage.ask("listing", headers={"x-orchestration": "results"})
        body = json.loads(response.text)
        answer, report = body["choices"][0]["message"]["content"], body["orchestration"]
    assert json.loads(answer)[0]["text"] == expected
    assert report["results"][0]["text"] == expected
