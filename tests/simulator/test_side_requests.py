"""What is asked for in words about the form of an answer: the side prompts of chat front ends, and
JSON.
"""

import json
from typing import Any

import pytest

from tests.simulator.test_messages import DELEGATE
from tests.simulator.wire import Json, Wire, ask, text_of

CHAT = "USER: Compare tea and coffee for breakfast.\nASSISTANT: Tea is milder."
GUIDELINES = "- Be brief.\n- Write in the chat's language.\n- Prefer clear words."


def errand(task: str, output: str, chat: str = CHAT) -> str:
    return (
        f"### Task:\n{task}\n\n### Guidelines:\n{GUIDELINES}\n\n### Output:\n{output}\n\n"
        f"### Chat History:\n<chat_history>\n{chat}\n</chat_history>"
    )


TITLE = errand("Generate a concise, 3-5 word title.", 'JSON format: { "title": "your title here" }')
TAGS = errand("Generate 1-3 broad tags.", 'JSON format: { "tags": ["tag1", "tag2", "tag3"] }')
NEXT = errand("Suggest questions.", 'JSON format: { "follow_ups": ["Question 1?", "Question 2?"] }')
QUERIES = errand(
    "Generate search queries.", 'Return in JSON format: \n{\n  "queries": ["q1", "q2"]\n}'
)
BARE = (
    "Provide a concise, 5-word-or-less title for the conversation. Only return the title itself."
    "\n\nConversation:\nUser: Compare tea and coffee for breakfast.\nAI: Tea is milder."
)


@pytest.mark.parametrize(
    ("request_text", "said"),
    [
        (TITLE, {"title": "Compare tea and coffee for"}),
        (TAGS, {"tags": ["Breakfast", "Coffee", "Tea"]}),
        (QUERIES, {"queries": ["Compare tea and coffee for breakfast."]}),
    ],
)
async def test_a_front_end_gets_the_json_it_shows(
    wire: Wire, request_text: str, said: Json
) -> None:
    message = await wire.message(ask(request_text, tools=[DELEGATE]))
    assert json.loads(text_of(message)) == said


async def test_follow_up_questions_are_about_the_chat(wire: Wire) -> None:
    found = json.loads(text_of(await wire.message(ask(NEXT))))["follow_ups"]
    assert len(found) == 3
    assert all(question.endswith("?") and "tea and coffee" in question for question in found)


async def test_a_bare_title_is_a_title(wire: Wire) -> None:
    assert text_of(await wire.message(ask(BARE))) == "Compare tea and coffee for"


@pytest.mark.parametrize(
    "request_text",
    [
        TITLE.removeprefix("### Task:\n"),
        TITLE.replace("chat_history", "talk"),
        TITLE.replace('"title":', "title:"),
        f"What does this do?\n\n{TITLE}",
    ],
)
async def test_what_only_looks_like_it_is_answered_as_ever(wire: Wire, request_text: str) -> None:
    assert text_of(await wire.message(ask(request_text))).endswith("(simulated)")


SCHEMA: Json = {
    "type": "object",
    "properties": {"mood": {"enum": ["calm"]}, "title": {"type": "string"}},
    "required": ["mood", "title"],
}


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        (ask("Describe tea. Reply with a JSON object."), {"answer"}),
        (ask("Describe tea.", system="Reply with one JSON object and nothing else."), {"answer"}),
        (
            ask("Describe tea. Answer in JSON with the keys name, colour and price."),
            {"name", "colour", "price"},
        ),
        (ask('Describe tea as JSON and nothing else: the fields "a" and "b".'), {"a", "b"}),
        (
            ask(
                "Describe tea.",
                system="Reply with JSON and nothing else. It must match this JSON Schema, which is"
                f" not itself the answer:\n\n{json.dumps(SCHEMA, indent=1)}\n\nBe kind.",
            ),
            {"mood", "title"},
        ),
        (
            ask(
                "Describe tea.",
                system="Reply with JSON and nothing else, as this JSON Schema has it: {broken",
            ),
            {"answer"},
        ),
    ],
)
async def test_json_that_is_ordered_in_words_is_written(
    wire: Wire, body: Json, keys: set[str]
) -> None:
    found: Any = json.loads(text_of(await wire.message(body)))
    assert set(found) == keys
    assert "(simulated)" in found.get("answer", "(simulated)")


@pytest.mark.parametrize(
    "text",
    [
        "What is JSON?",
        "Reply with the plan as JSON in the required form and nothing else, or answer yourself.",
        "Write one JSON object and nothing before or after it, if you plan.",
    ],
)
async def test_talk_about_json_is_no_order(wire: Wire, text: str) -> None:
    assert text_of(await wire.message(ask(text))).endswith("(simulated)")
    assert text_of(await wire.message(ask(system=text))).endswith("(simulated)")
