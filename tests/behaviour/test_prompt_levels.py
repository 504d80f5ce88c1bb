"""Who writes the workers' prompts, at each level and for each type; and what the lead is told."""

from typing import Any

import pytest

import plans
from chat import QUESTION, answer_of, body
from dumb_upstream import Reply
from served_teams import AS_BUNDLED
from stage import Stage

TYPES = """
tiers = ["haiku", "opus"]
[types.formal]
description = "For letters."
prompt = "Write formally of {{title}}, for {{item}}: {{instructions}} Be {polite}, 100%."
[types.short]
description = "For posts."
prompt = "Write two lines."
tier = "opus"
[types.bare]
"""
ROLE = "You write copy.\n<!-- turn -->\n"
TEAMS: dict[str, str | dict[str, str]] = {
    "guarded": {"worker.md": ROLE + "Task {{title}}: {{instructions}}"},
    "planned": 'prompt_level = "planned"',
    "fixed": {
        "team.toml": 'prompt_level = "fixed"',
        "worker.md": ROLE + "Write about {{title}} for {{item}} ({{id}}, {{type}}).",
    },
    "fixed-inherited": 'prompt_level = "fixed"',
    "types": TYPES,
    "types-planned": f'prompt_level = "planned"\n{TYPES}',
    "types-fixed": f'prompt_level = "fixed"\n{TYPES}',
    "one-tier": 'tiers = ["opus"]',
    "own-tier": 'tiers = ["haiku"]',
    "no-tiers": "tiers = []",
    "always": f'route = "always"\n{TYPES}',
    "text": f'plan_form = "text"\n{TYPES}',
}
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.served({**AS_BUNDLED, **TEAMS}, MAX_CONCURRENT_WORKERS="1"),
]


def subtask(number: int, **fields: Any) -> dict[str, Any]:
    told = f"Do part {number} for {{{{title}}}}, {{x}} 5%."
    return plans.subtask(number, **{"instructions": told, **fields})


DONE = "Do part 1 for {{title}}, {x} 5%."
"""The first one's instructions as a worker gets them: what they hold is not filled in again."""


async def turns(stage: Stage, team: str, *plan: dict[str, Any], **fields: Any) -> list[str]:
    """Return the workers' last blocks, after holding all before them against the conversation."""
    upstream = stage.upstream
    plans.working(upstream, *plan)
    assert answer_of(await stage.ask(team, **fields)) == "the answer"
    found: list[str] = []
    for call in upstream.calls_of("worker"):
        *conversation, last = call.body["messages"][-1]["content"]
        assert [block["text"] for block in conversation] == [QUESTION]
        found.append(last["text"])
    return found


async def test_a_guarded_worker_has_the_teams_role_and_the_leads_instructions(stage: Stage) -> None:
    messages = [{"role": "system", "content": "Be brief."}, *body()["messages"]]
    first, second = await turns(stage, "guarded", subtask(1), subtask(2), messages=messages)
    assert first == f"Task Part 1: {DONE}"
    assert second.startswith("Task Part 2: Do part 2")
    for call in stage.upstream.calls_of("worker"):
        assert call.system_text == "You write copy.\nBe brief."


async def test_a_planned_worker_knows_nothing_but_what_the_lead_wrote(stage: Stage) -> None:
    first, _ = await turns(stage, "planned", subtask(1), subtask(2))
    assert first.endswith(DONE)
    assert not any("system" in call.body for call in stage.upstream.calls_of("worker"))


async def test_the_callers_own_instructions_reach_a_planned_worker(stage: Stage) -> None:
    messages = [{"role": "system", "content": "Be brief."}, *body()["messages"]]
    await turns(stage, "planned", subtask(1), subtask(2), messages=messages)
    assert {call.system_text for call in stage.upstream.calls_of("worker")} == {"Be brief."}


async def test_a_fixed_worker_has_the_teams_prompt_with_the_subtask_filled_in(stage: Stage) -> None:
    each = subtask(2, title="{{item}}", for_each=["tea", "{{title}}"], type="post")
    assert await turns(stage, "fixed", subtask(1), each) == [
        "Write about Part 1 for Part 1 (s1, ).",
        "Write about tea for tea (s2.1, post).",
        "Write about {{title}} for {{title}} (s2.2, post).",
    ]
    for call in stage.upstream.calls_of("worker"):
        assert call.system_text == "You write copy."


async def test_an_inherited_turn_serves_at_the_fixed_level_too(stage: Stage) -> None:
    first, _ = await turns(stage, "fixed-inherited", subtask(1), subtask(2))
    assert 'Your subtask is "Part 1".' in first
    assert first.endswith(DONE)


async def test_needed_results_reach_a_worker_whose_turn_has_no_place_for_them(stage: Stage) -> None:
    plan = (subtask(1), subtask(2, depends_on=["s1"]))
    stage.upstream.answer_subtask("Part 1", Reply(text="found by the first"))
    first, second = await turns(stage, "guarded", *plan)
    assert first == f"Task Part 1: {DONE}"
    results, _, rest = second.rpartition("\n\n")
    assert "<result-" in results
    assert rest.startswith("Task Part 2: ")


PROMPTS = {
    # The type's prompt at each level; where it places the instructions, they stand there.
    "types": {
        "formal": f"Write formally of Part 1, for Part 1: {DONE} Be {{polite}}, 100%.",
        "short": f"Write two lines.\n\n{DONE}",
        "bare": DONE,
    },
    "types-fixed": {
        "formal": f"Write formally of Part 1, for Part 1: {DONE} Be {{polite}}, 100%.",
        "short": "Write two lines.",
        "bare": DONE,
    },
}
PROMPTS["types-planned"] = PROMPTS["types"]


@pytest.mark.parametrize("team", PROMPTS)
async def test_a_type_puts_its_prompt_where_the_instructions_go(stage: Stage, team: str) -> None:
    prompts = PROMPTS[team]
    plan = [subtask(1, id=name, type=name) for name in prompts]
    told = await turns(stage, team, *plan)
    before = 'Your subtask is "Part 1".\n\n'
    assert told == [before + prompt for prompt in prompts.values()]
    models = [call.body["model"] for call in stage.upstream.calls_of("worker")]
    assert models == ["claude-haiku-5-5", "claude-opus-5-5", "claude-haiku-5-5"]


async def test_an_item_stands_in_its_types_prompt(stage: Stage) -> None:
    each = subtask(1, title="Letter", instructions="To {{item}}.", type="formal")
    told = await turns(stage, "types", {**each, "for_each": ["Ann", "Bo"]})
    assert [turn.splitlines()[-1] for turn in told] == [
        f"Write formally of Letter: {name}, for {name}: To {name}. Be {{polite}}, 100%."
        for name in ("Ann", "Bo")
    ]


async def test_a_subtasks_own_tier_is_before_its_types(stage: Stage) -> None:
    plan = (subtask(1, type="short", tier="haiku"), subtask(2, tier="opus"))
    await turns(stage, "types", *plan)
    models = [call.body["model"] for call in stage.upstream.calls_of("worker")]
    assert models == ["claude-haiku-5-5", "claude-opus-5-5"]


async def lead_prompt(stage: Stage, team: str) -> str:
    stage.upstream.answer("lead", Reply(text='{"subtasks": [{"id": "s1", "title": "A"}]}'))
    stage.upstream.answer("worker", Reply(text="done"))
    await stage.ask(team)
    return stage.upstream.calls[0].system_text


LEVELS = {
    "guarded": "Each worker already knows its role and its limits",
    "planned": "Besides the conversation, your instructions are all that a worker is told",
    "fixed": "the workers' prompts are already written",
}


@pytest.mark.parametrize("team", LEVELS)
async def test_the_lead_is_told_its_teams_level_and_no_other(stage: Stage, team: str) -> None:
    prompt = await lead_prompt(stage, team)
    assert [name for name, words in LEVELS.items() if words in prompt] == [team]


@pytest.mark.parametrize("team", ["types", "always", "text"])
async def test_the_lead_is_told_the_types_and_the_tiers(stage: Stage, team: str) -> None:
    prompt = await lead_prompt(stage, team)
    assert "- formal: For letters.\n- short: For posts.\n- bare" in prompt
    assert "one of: haiku, opus." in prompt
    assert "{{item}}" in prompt
    assert "{{types}}" not in prompt
    assert "Write formally" not in prompt  # what a worker is told is no matter of the lead's


@pytest.mark.parametrize(
    ("team", "told"),
    [
        ("guarded", "one of: haiku, sonnet."),
        ("one-tier", "one of: opus."),
        ("own-tier", None),
        ("no-tiers", None),
    ],
)
async def test_the_lead_is_told_of_tiers_where_there_is_a_choice(
    stage: Stage, team: str, told: str | None
) -> None:
    prompt = await lead_prompt(stage, team)
    assert ("`tier`" in prompt) == (told is not None)
    assert (told or "") in prompt
    assert "`type`" not in prompt
