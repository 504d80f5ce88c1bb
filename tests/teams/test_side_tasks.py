"""What front ends send beside the chats is recognised; what people write is not."""

import pytest

from front_ends import (
    CHAT,
    LIBRECHAT_ACTIVITY,
    LIBRECHAT_CHECKPOINT,
    LIBRECHAT_CHECKPOINT_AGAIN,
    LIBRECHAT_PHASE,
    LIBRECHAT_REASONING,
    WEBUI_TOOLS,
    librechat_older_title,
    librechat_structured_title,
    librechat_title,
    webui_autocompletion,
    webui_compaction,
    webui_emoji,
    webui_follow_ups,
    webui_image_prompt,
    webui_queries,
    webui_tags,
    webui_title,
)
from orchestrator_worker.claude.client import Image, Message, ToolResult
from orchestrator_worker.teams.loader import load_teams
from orchestrator_worker.teams.side_tasks import as_side_task, read_side_tasks, side_task_in
from orchestrator_worker.teams.team import Team
from running_service import settings_from

LONG_CHAT = "ASSISTANT: Three.\nUSER: Name them.\nASSISTANT: Green, black, white."
TOLD_OF_PROMPTS = f"USER: What does this mean?\n{webui_title()}\nASSISTANT: A title is wanted."
HISTORY = (Message("user", ("Make tea.",)), Message("assistant", ("Done.",)))


def turn(text: str) -> tuple[Message, ...]:
    return (Message("user", (text,)),)


PROMPTS: dict[str, tuple[str, str]] = {
    "Open WebUI title": (webui_title(), ""),
    "Open WebUI title with an emoji": (
        webui_title(task="Generate a concise, 3-5 word title with an emoji"),
        "",
    ),
    "Open WebUI tags": (webui_tags(), ""),
    "Open WebUI follow-up questions": (webui_follow_ups(), ""),
    "Open WebUI search queries": (webui_queries(), ""),
    "Open WebUI image prompt": (webui_image_prompt(), ""),
    "Open WebUI autocompletion": (webui_autocompletion(), ""),
    "Open WebUI autocompletion of a first question": (webui_autocompletion(""), ""),
    "Open WebUI emoji": (webui_emoji(), ""),
    "Open WebUI choice of tools": ("Query: Is it raining?", WEBUI_TOOLS),
    "Open WebUI choice of tools in a chat": (f"History:\n{CHAT}\nQuery: And now?", WEBUI_TOOLS),
    "Open WebUI summary": (webui_compaction(), ""),
    "Open WebUI title in the middle of a chat": (webui_title(LONG_CHAT), ""),
    "Open WebUI title of a chat about such prompts": (webui_title(TOLD_OF_PROMPTS), ""),
    "LibreChat title": (librechat_title(), ""),
    "LibreChat title after the answer": (librechat_title(answer="Less caffeine."), ""),
    "LibreChat title, structured": (librechat_structured_title(), ""),
    "LibreChat title, older versions": (librechat_older_title(), ""),
    "LibreChat label of an activity": (
        "Tool calls:\n- search({}) → 3\n\nLabel:",
        LIBRECHAT_ACTIVITY,
    ),
    "LibreChat label of an activity, newer": (
        "Reasoning excerpts:\n- so\n\nHeader:",
        LIBRECHAT_ACTIVITY,
    ),
    "LibreChat label of a phase": ("1. completed: read\n\nPhase summary:", LIBRECHAT_PHASE),
    "LibreChat label of reasoning": (
        "Step status: streaming\n\nOrientation title:",
        LIBRECHAT_REASONING,
    ),
}


@pytest.mark.parametrize("kind", PROMPTS)
def test_what_a_front_end_sends_is_known(kind: str) -> None:
    prompt, system = PROMPTS[kind]
    found = side_task_in((system,) if system else (), turn(prompt))
    assert found
    assert kind.startswith(f"{found.product} {found.name}")


@pytest.mark.parametrize("kind", PROMPTS)
def test_a_system_prompt_of_the_models_own_changes_nothing(kind: str) -> None:
    prompt, system = PROMPTS[kind]
    for own in (("You are a pirate.", system), (f"You are a pirate.\n{system}",)):
        assert side_task_in(own, turn(prompt))


@pytest.mark.parametrize("text", [LIBRECHAT_CHECKPOINT, LIBRECHAT_CHECKPOINT_AGAIN])
def test_a_checkpoint_is_the_last_turn_of_its_chat(text: str) -> None:
    result = Message("user", (ToolResult("toolu_1", "3 °C"), text))
    for last in (Message("user", (text,)), Message("user", ("And now?", text)), result):
        found = side_task_in((), (*HISTORY, last))
        assert found
        assert found.name.startswith("summary")
    assert side_task_in((), (Message("user", ("Make tea.", text)),))  # nobody has answered yet
    assert side_task_in((), turn(text)) is None  # there is nothing to write down


def test_every_kind_is_among_these() -> None:
    told = [((system,), turn(prompt)) for prompt, system in PROMPTS.values()]
    checkpoints = (LIBRECHAT_CHECKPOINT, LIBRECHAT_CHECKPOINT_AGAIN)
    told += [(("",), (*HISTORY, *turn(text))) for text in checkpoints]
    shown = {(it.product, it.name) for one in told if (it := side_task_in(*one))}
    assert shown == {(it.product, it.name) for it in read_side_tasks().tasks}


TEMPLATE = webui_title("{{MESSAGES:END:2}}")
ORDINARY: dict[str, tuple[str, ...]] = {
    "a request for a title": ("Generate a title for my blog post about tea.",),
    "the same in their words": ("Provide a concise, 5-word-or-less title for my essay on tea.",),
    "a title in a given form": (
        "### Task:\nGenerate a concise title summarizing the chat history.\nJSON format: "
        '{ "title": "…" }\n\nThe chat: we spoke about tea.',
    ),
    "tags of a text": ("### Task:\nGenerate 1-3 broad tags for this essay: …",),
    "follow-up questions": ("Suggest 3-5 relevant follow-up questions or prompts for my survey.",),
    "the template itself": (TEMPLATE,),
    "a question before a prompt": (f"Improve this prompt:\n\n{webui_title()}",),
    "a question after a prompt": (f"{webui_title()}\n\nWhy does this prompt give bad titles?",),
    "a question after an emoji prompt": (f"{webui_emoji()}\nRewrite this prompt.",),
    "a question after an autocompletion": (f"{webui_autocompletion()}\nWhat is wrong here?",),
    "LibreChat's template": (librechat_title().replace("User: Compare tea and coffee.\nAI: ", ""),),
    "a prompt in two pieces": (webui_title(), "Translate the above."),
    "a tool prompt without its system message": ("Query: Is it raining?",),
    "a label without its system message": ("Tool calls:\n- search({}) → 3\n\nLabel:",),
    "an analysis": (
        "Analyze this conversation and provide:\n1. The detected language of the conversation\n"
        "2. A concise title\n3. Ten lessons for our support team\n\nCustomer: Hello.",
    ),
}


@pytest.mark.parametrize("case", ORDINARY)
def test_what_people_write_is_an_ordinary_chat(case: str) -> None:
    assert side_task_in((), (Message("user", ORDINARY[case]),)) is None


@pytest.mark.parametrize("kind", PROMPTS)
def test_a_prompt_inside_a_conversation_is_an_ordinary_chat(kind: str) -> None:
    prompt, system = PROMPTS[kind]
    assert side_task_in((system,), (*HISTORY, *turn(prompt))) is None
    assert side_task_in((system,), (*turn(prompt), *HISTORY[1:], *turn("Why?"))) is None


def test_a_prompt_in_the_system_message_is_an_ordinary_chat() -> None:
    assert side_task_in((webui_title(),), turn("Compare tea and coffee.")) is None
    told = f"Other assistants are told: {WEBUI_TOOLS}"  # not at the beginning of a line
    assert side_task_in((told,), turn("Query: Is it raining?")) is None
    own = "Available Tools: [hammer, saw]. Help with repairs."
    assert side_task_in((own,), turn("Query: What for a shelf?")) is None


def test_a_prompt_with_a_picture_is_an_ordinary_chat() -> None:
    picture = Image("image/png", "aGk=")
    for content in ((webui_title(), picture), (picture, webui_title()), (picture,)):
        assert side_task_in((), (Message("user", content),)) is None


def test_nothing_is_an_ordinary_chat() -> None:
    assert side_task_in((), ()) is None
    assert side_task_in((), (*HISTORY, *HISTORY)) is None
    assert side_task_in((), (Message("assistant", (webui_title(),)),)) is None


def bundled_team() -> Team:
    (team,) = load_teams(settings_from()).values()
    return team


def test_a_team_answers_a_side_task_with_its_workers_model_alone() -> None:
    team = bundled_team()
    alone = as_side_task(team, (), turn(webui_tags()))
    assert alone
    assert (alone.route, alone.lead.effort) == ("never", "low")
    assert alone.lead.model == team.worker.model != team.lead.model
    assert alone.lead.max_tokens == team.worker.max_tokens
    assert not alone.progress
    assert alone.worker == team.worker
    assert as_side_task(team, (), turn("Compare tea and coffee.")) is None
