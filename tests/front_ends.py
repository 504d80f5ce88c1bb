"""What Open WebUI and LibreChat send beside the chats, for tests to send.

The prompts are shortened: headings, marks, the form of the answer and the chat stand as the
products write them, their guidelines do not. Bodies have the keys that the products send.
"""

import json
from typing import Any

CHAT = "USER: Compare tea and coffee.\nASSISTANT: Tea has less caffeine."


def _open_webui(task: str, output: str, chat: str = CHAT) -> str:
    return (
        f"### Task:\n{task}\n\n### Guidelines:\n- Be concise.\n\n### Output:\n{output}\n\n"
        f"### Chat History:\n<chat_history>\n{chat}\n</chat_history>"
    )


def webui_title(chat: str = CHAT, task: str = "Generate a concise title") -> str:
    form = 'JSON format: { "title": "your concise title here" }'
    return _open_webui(f"{task} summarizing the chat history.", form, chat)


def webui_tags(chat: str = CHAT) -> str:
    task = (
        "Generate 1-3 broad tags categorizing the main themes of the chat history, along with 1-3 "
        "more specific subtopic tags."
    )
    return _open_webui(task, 'JSON format: { "tags": ["tag1", "tag2", "tag3"] }', chat)


def webui_follow_ups(chat: str = CHAT) -> str:
    task = "Suggest 3-5 relevant follow-up questions or prompts that the user might ask next."
    return _open_webui(task, 'JSON format: { "follow_ups": ["Question 1?", "Question 2?"] }', chat)


def webui_queries(chat: str = CHAT) -> str:
    task = (
        "Analyze the chat history to determine the necessity of generating search queries, in the "
        "given language."
    )
    form = 'Strictly return in JSON format: \n{\n  "queries": ["query1", "query2"]\n}'
    return _open_webui(task, form, chat) + "\n"


def webui_image_prompt(chat: str = CHAT) -> str:
    task = (
        "Generate a detailed prompt for am image generation task based on the given language and "
        "context."
    )
    form = 'Strictly return in JSON format:\n{\n    "prompt": "Your detailed description here."\n}'
    return _open_webui(task, form, chat)


def webui_autocompletion(chat: str = CHAT) -> str:
    return (
        "### Task:\nYou are an autocompletion system. Continue the text in `<text>` based on the "
        "**completion type** in `<type>` and the given language.  \n\n### **Output Rules**:\n"
        '- Respond only in JSON format: `{ "text": "<your_completion>" }`.\n\n---\n### Context:\n'
        f"<chat_history>\n{chat}\n</chat_history>\n<type>general</type>  \n"
        "<text>And what about ma</text>  \n#### Output:\n"
    )


def webui_emoji(message: str = "I passed!") -> str:
    return (
        "Your task is to reflect the speaker's likely facial expression through a fitting emoji. "
        f"Interpret emotions from the message.\n\nMessage: ```{message}```"
    )


def webui_compaction() -> str:
    return (
        "### Task:\nSummarize the conversation history that will be compacted out of the active "
        "chat context.\n\n### Instructions:\n- Be factual.\n\n### Previous Summary:\n\n\n"
        f"### Messages Being Compacted:\n{CHAT}\n\n### Recent Messages Kept In Context:\nUSER: Hm."
    )


WEBUI_TOOLS = (
    'Available Tools: [{"name": "get_weather", "parameters": {"type": "object"}}]\n\nYour task is '
    "to choose and return the correct tool(s) from the list of available tools based on the query."
)


def librechat_title(user: str = "Compare tea and coffee.", answer: str = "") -> str:
    """What titleMethod `completion` sends; without an answer while there is none yet."""
    return (
        "Provide a concise, 5-word-or-less title for the conversation, using title case "
        "conventions. Only return the title itself.\n\nConversation:\n"
        f"User: {user}\nAI: {answer}"
    )


def librechat_structured_title(user: str = "Compare tea and coffee.", answer: str = "") -> str:
    return (
        "Analyze this conversation and provide:\n1. The detected language of the conversation\n"
        "2. A concise title in the detected language (5 words or less, no punctuation or quotation)"
        f"\n\nUser: {user}\nAI: {answer}"
    )


def librechat_older_title(user: str = "Compare tea and coffee.") -> str:
    return (
        "Please generate a concise, 5-word-or-less title for the conversation, using its same "
        f'language, with no punctuation.\n\n||>User:\n"{user}"\n||>Response:\n""Less caffeine.""'
        "\n\n||>Title:"
    )


LIBRECHAT_CHECKPOINT = (
    "Hold on, before you continue I need you to write me a checkpoint of everything so far. Your "
    "context window is filling up and this checkpoint replaces the messages above, so capture "
    "everything you need to pick right back up.\n\n## Checkpoint\n\n## Goal\nWhat I asked for."
)
LIBRECHAT_CHECKPOINT_AGAIN = (
    "Hold on again, update your checkpoint. Merge the new messages into your existing checkpoint "
    "and give me a single consolidated replacement.\n\n"
    "<previous-summary>\nTea.\n</previous-summary>"
)
LIBRECHAT_ACTIVITY = (
    "Write a short label describing what this block of agent activity accomplished. It appears as "
    "the header of a collapsed activity group in a chat UI."
)
LIBRECHAT_PHASE = (
    "Summarize what this phase of an agent run accomplished. The result appears as the header of "
    "one collapsed parent group containing several activities."
)
LIBRECHAT_REASONING = (
    "Write a short orientation title for a user-visible reasoning step in a chat UI. The title may "
    "be replaced as the same reasoning step develops."
)

TITLE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "language": {"type": "string", "description": "The detected language"},
        "title": {"type": "string", "description": "A concise title"},
    },
    "required": ["language", "title"],
    "additionalProperties": False,
}


def webui_task(prompt: str, **fields: Any) -> dict[str, Any]:
    """Return the body of a side task as Open WebUI sends it; `metadata` stays behind there."""
    return {"messages": [{"role": "user", "content": prompt}], "stream": False, **fields}


def librechat_task(prompt: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}], "user": "66f1", **fields}


def structured(name: str = "extract") -> dict[str, Any]:
    """Return the `response_format` of titleMethod `structured`."""
    schema = {"name": name, "strict": True, "schema": TITLE_SCHEMA}
    return {"type": "json_schema", "json_schema": schema}


def as_function(name: str = "extract") -> dict[str, Any]:
    """Return how the same title is asked for as the call of a function."""
    function = {"name": name, "parameters": TITLE_SCHEMA}
    return {
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": name}},
    }


A_TITLE = json.dumps({"language": "English", "title": "Tea and Coffee"})
