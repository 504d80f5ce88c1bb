"""Open WebUI and LibreChat as they call: their chats may be split up, and each prompt that they
send beside a chat is exactly one call of the cheap model.

`tests/teams/test_side_tasks.py` has what is taken for such a prompt and what is not.
"""

import json
from typing import Any

import pytest

from chat import QUESTION, answer_of, frames_of
from dumb_upstream import DumbCall, Reply
from front_ends import (
    A_TITLE,
    LIBRECHAT_CHECKPOINT,
    LIBRECHAT_REASONING,
    TITLE_SCHEMA,
    WEBUI_TOOLS,
    as_function,
    librechat_older_title,
    librechat_structured_title,
    librechat_task,
    librechat_title,
    structured,
    webui_autocompletion,
    webui_compaction,
    webui_emoji,
    webui_follow_ups,
    webui_image_prompt,
    webui_queries,
    webui_tags,
    webui_task,
    webui_title,
)
from plans import subtasks, working
from served_teams import AS_BUNDLED
from simulated import INSTANT, Simulated, delegating
from stage import HAIKU, SONNET, Stage

FIXED = 'route = "fixed"\n[[subtasks]]\nid = "a"\ntitle = "A"\n[[subtasks]]\nid = "b"\ntitle = "B"'
TEAMS = {
    "auto": "",
    "always": 'route = "always"',
    "fixed": FIXED,
    "in-text": 'plan_form = "text"',
    "lists": 'synthesis = "list"',
    "thorough": 'evaluate = true\n[caps]\nmax_rounds = 3\n[lead]\neffort = "max"',
}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served({**AS_BUNDLED, **TEAMS})]

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Erk"
    "Jggg=="
)
FORWARDED = {
    "X-OpenWebUI-User-Name": "Ada",
    "X-OpenWebUI-User-Id": "8f1c",
    "X-OpenWebUI-User-Email": "ada@example.org",
    "X-OpenWebUI-User-Role": "user",
    "X-OpenWebUI-Chat-Id": "c0ffee",
}
"""What Open WebUI adds where it forwards who asks."""
TO_CHOOSE = [
    {"role": "system", "content": WEBUI_TOOLS},
    {"role": "user", "content": "Query: Rain?"},
]
TO_LABEL = [
    {"role": "system", "content": LIBRECHAT_REASONING},
    {"role": "user", "content": "Step status: streaming\n\nOrientation title:"},
]
SIDE_TASKS: dict[str, dict[str, Any]] = {
    "Open WebUI's title": webui_task(webui_title(), max_completion_tokens=1000),
    "Open WebUI's tags": webui_task(webui_tags()),
    "Open WebUI's follow-up questions": webui_task(webui_follow_ups()),
    "Open WebUI's search queries": webui_task(webui_queries()),
    "Open WebUI's image prompt": webui_task(webui_image_prompt()),
    "Open WebUI's autocompletion": webui_task(webui_autocompletion()),
    "Open WebUI's emoji": webui_task(webui_emoji(), max_completion_tokens=4),
    "Open WebUI's choice of tools": {"messages": TO_CHOOSE, "stream": False},
    "Open WebUI's summary": webui_task(webui_compaction(), max_completion_tokens=1000),
    "LibreChat's title": librechat_task(librechat_title()),
    "LibreChat's label": {"messages": TO_LABEL},
}


def is_cheap(call: DumbCall, system: str = "") -> None:
    """One plain question to the worker's model, with nothing of the lead's."""
    assert (call.role, call.body["model"]) == ("lead", HAIKU)
    assert "tools" not in call.body
    assert call.system_text == system
    assert call.body["output_config"] == {"effort": "low"}
    assert call.body.get("thinking", {"type": "disabled"}) == {"type": "disabled"}


@pytest.mark.parametrize("team", TEAMS)
@pytest.mark.parametrize("kind", SIDE_TASKS)
async def test_a_side_task_is_one_cheap_call_whatever_the_team(
    stage: Stage, kind: str, team: str
) -> None:
    stage.upstream.answer("lead", Reply(text='{ "said": "as it is" }'))
    fields = SIDE_TASKS[kind]
    response = await stage.ask(team, **fields)
    assert answer_of(response) == '{ "said": "as it is" }'
    message = response.json()["choices"][0]["message"]
    assert "reasoning_content" not in message
    (call,) = stage.upstream.calls
    own = "".join(it["content"] for it in fields["messages"] if it["role"] == "system")
    is_cheap(call, own)
    assert call.last_text.strip() == fields["messages"][-1]["content"].strip()
    assert call.body["max_tokens"] == fields.get("max_completion_tokens", 4096)


@pytest.mark.parametrize("team", TEAMS)
async def test_a_streamed_side_task_carries_its_answer_and_nothing_else(
    stage: Stage, team: str
) -> None:
    stage.upstream.answer("lead", Reply(text="Tea and Coffee"))
    response = await stage.ask(team, **librechat_task(librechat_title(), stream=True))
    assert answer_of(response) == "Tea and Coffee"
    deltas = [choice["delta"] for frame in frames_of(response) for choice in frame["choices"]]
    assert not any("reasoning_content" in delta for delta in deltas)
    (call,) = stage.upstream.calls
    is_cheap(call)


async def test_the_models_own_system_prompt_and_effort_do_not_make_a_title_dear(
    stage: Stage,
) -> None:
    stage.upstream.answer("lead", Reply(text='{"title": "Arr"}'))
    messages = [
        {"role": "system", "content": "You are a pirate."},
        *webui_task(webui_title())["messages"],
    ]
    await stage.ask("always", messages=messages, reasoning_effort="high", temperature=0.3)
    (call,) = stage.upstream.calls
    is_cheap(call, "You are a pirate.")


async def test_open_webui_from_the_list_of_models_to_the_tags(stage: Stage) -> None:
    models = await stage.http.get("/v1/models")
    assert {model["id"] for model in models.json()["data"]} >= TEAMS.keys()
    working(stage.upstream, *subtasks(1, 2))
    chat = await stage.ask(
        "auto",
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
        temperature=0.7,
        top_p=0.9,
        frequency_penalty=0.0,
        seed=7,
        stop=None,
        logit_bias={},
        keep_alive="5m",
        headers=FORWARDED,
    )
    assert answer_of(chat) == "the answer"
    told = [choice["delta"] for frame in frames_of(chat) for choice in frame["choices"]]
    assert any("Planned 2 subtasks" in (it.get("reasoning_content") or "") for it in told)
    assert stage.roles == ["lead", "worker", "worker", "synthesizer"]
    assert stage.upstream.calls[0].body["model"] == SONNET
    quoted = f"USER: {QUESTION}\nASSISTANT: {answer_of(chat)}"
    for prompt, answer in (
        (webui_follow_ups(quoted), '{ "follow_ups": ["Why?"] }'),
        (webui_title(quoted), '{ "title": "Making Tea" }'),
        (webui_tags(quoted), '{ "tags": ["Tea"] }'),
    ):
        stage.upstream.forget()
        stage.upstream.answer("lead", Reply(text=answer))
        response = await stage.ask("auto", **webui_task(prompt), headers=FORWARDED)
        assert json.loads(answer_of(response)) == json.loads(answer)
        (call,) = stage.upstream.calls
        is_cheap(call)


NEAR_MISSES = [
    "Generate a title for my blog post about tea.",
    f"Improve this prompt:\n\n{webui_title()}",
    f"{webui_title()}\n\nWhy does this prompt give bad titles?",
]


@pytest.mark.parametrize("question", NEAR_MISSES)
async def test_an_ordinary_question_may_still_be_split_up(stage: Stage, question: str) -> None:
    working(stage.upstream, *subtasks(1, 2))
    response = await stage.ask("auto", **webui_task(question))
    assert answer_of(response) == "the answer"
    lead = stage.upstream.calls[0]
    assert lead.body["model"] == SONNET
    assert [tool["name"] for tool in lead.body["tools"]] == ["delegate"]
    assert len(stage.upstream.calls_of("worker")) == 2


async def test_a_picture_in_a_chat_reaches_the_lead_and_its_title_is_cheap(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text="A single pixel."))
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    chat = await stage.ask("auto", messages=[{"role": "user", "content": parts}])
    assert answer_of(chat) == "A single pixel."
    text, image = stage.upstream.calls[0].body["messages"][0]["content"]
    assert text["text"] == "What is this?"
    assert image["type"] == "image"
    assert image["source"] == {"type": "base64", "media_type": "image/png", "data": PIXEL}
    stage.upstream.forget()
    stage.upstream.answer("lead", Reply(text='{"title": "A Pixel"}'))
    quoted = "USER: What is this?\nASSISTANT: A single pixel."  # without the picture
    assert answer_of(await stage.ask("auto", **webui_task(webui_title(quoted))))
    is_cheap(stage.upstream.calls[0])


async def test_librechats_structured_title_is_one_cheap_call_held_to_its_schema(
    stage: Stage,
) -> None:
    for team in TEAMS:
        stage.upstream.forget()
        stage.upstream.answer("lead", Reply(text=A_TITLE))
        body = librechat_task(librechat_structured_title(), response_format=structured())
        response = await stage.ask(team, **body)
        assert json.loads(answer_of(response)) == json.loads(A_TITLE)
        (call,) = stage.upstream.calls
        assert call.body["model"] == HAIKU
        assert "tools" not in call.body
        held = call.body["output_config"]["format"]["schema"]
        assert held["required"] == TITLE_SCHEMA["required"]


@pytest.mark.parametrize("role", ["system", "user"])
async def test_the_title_of_an_older_librechat_has_no_other_message(
    stage: Stage, role: str
) -> None:
    stage.upstream.answer("lead", Reply(text="Tea and Coffee"))
    messages = [{"role": role, "content": librechat_older_title()}]
    response = await stage.ask("always", messages=messages, temperature=0.2, max_tokens=16)
    assert answer_of(response) == "Tea and Coffee"
    (call,) = stage.upstream.calls
    is_cheap(call)
    assert call.body["max_tokens"] == 16


CHAT = [
    {"role": "user", "content": "Compare tea and coffee."},
    {"role": "assistant", "content": "Tea has less caffeine."},
]


async def test_librechats_summary_of_a_chat_is_one_cheap_call_that_sees_the_chat(
    stage: Stage,
) -> None:
    for team in TEAMS:
        stage.upstream.forget()
        stage.upstream.answer("lead", Reply(text="## Goal\nA comparison."))
        messages = [*CHAT, {"role": "user", "content": LIBRECHAT_CHECKPOINT}]
        response = await stage.ask(team, messages=messages, stream=True)
        assert answer_of(response) == "## Goal\nA comparison."
        (call,) = stage.upstream.calls
        is_cheap(call)
        assert [it["role"] for it in call.body["messages"]] == ["user", "assistant", "user"]


async def test_on_the_simulator_side_tasks_never_become_plans(simulated: Simulated) -> None:
    # This lead would always delegate, if only it could.
    plan = {"subtasks": subtasks(1, 2, 3)}
    able = {"role": "lead", "has_tool": "delegate"}
    await simulated.order(latencies=INSTANT, replies=[{"when": able, "reply": delegating(plan)}])
    for fields in SIDE_TASKS.values():
        for team in TEAMS:
            assert answer_of(await simulated.ask(team, **fields))
    calls = await simulated.calls()
    assert len(calls) == len(SIDE_TASKS) * len(TEAMS)
    assert {call["body"]["model"] for call in calls} == {HAIKU}
    assert {call["headers"]["x-orchestrator-role"] for call in calls} == {"lead"}
    await simulated.ask("auto", messages=CHAT[:1])
    assert len(await simulated.calls("worker")) == 3


async def test_on_the_simulator_librechats_title_as_a_function_is_one_cheap_call(
    simulated: Simulated,
) -> None:
    title = {"tool": {"name": "extract", "input": json.loads(A_TITLE)}}
    replies = [{"when": {"role": "lead"}, "reply": title}]
    for team in TEAMS:
        await simulated.order(latencies=INSTANT, replies=replies)
        response = await simulated.ask(
            team, **librechat_task(librechat_structured_title()), **as_function()
        )
        assert response.status_code == 200, response.text
        (used,) = response.json()["choices"][0]["message"]["tool_calls"]
        assert used["function"]["name"] == "extract"
        assert json.loads(used["function"]["arguments"]) == json.loads(A_TITLE)
        (call,) = await simulated.calls()
        assert call["body"]["model"] == HAIKU
        assert [tool["name"] for tool in call["body"]["tools"]] == ["extract"]
