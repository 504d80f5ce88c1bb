"""Orders about the form of an answer that stand in words: call a tool now, reply with JSON.

They are looked for in the system prompt and in the last text of the user, by the words that such
orders usually have. Sits below `answers`.
"""

import json
import re

from orchestrator_worker.simulator.conditions import last_texts, system_texts
from orchestrator_worker.simulator.jsons import JsonObject, as_object, objects

_CALL = re.compile(
    r"^(?:now |you must )?call (?:one of the tools|the tool\s+[`\"“'](?P<name>[\w-]{1,64})[`\"”'])"
    r"[^.\n]*\bnow\b",
    re.IGNORECASE | re.MULTILINE,
)
_JSON = re.compile(
    r"\bJSON(?: object| value)? and nothing else"
    r"|\b(?:reply|respond|answer)\s+(?:only\s+)?(?:with|in|as)\s+(?:(?:one|an?|valid|only)\s+)*JSON\b",
    re.IGNORECASE,
)
_SCHEMA = re.compile(r"\bJSON Schema\b[^{]*(?=\{)", re.IGNORECASE)
_KEYS = re.compile(
    r"\b(?:keys?|fields?|properties)\b:?\s+((?:[`\"“']?\w+[`\"”']?(?:,\s*(?:and\s+)?|\s+and\s+)?)+)",
    re.IGNORECASE,
)


def ordered_choice(body: JsonObject) -> JsonObject | None:
    """The `tool_choice` that the words amount to, None when they order no call."""
    orders = [match for text in _orders(body) if (match := _CALL.search(text))]
    if not orders or not body.get("tools"):
        return None
    name = orders[-1]["name"]
    if name is None:
        return {"type": "any"}
    known = {tool.get("name") for tool in objects(body["tools"])}
    return {"type": "tool", "name": name} if name in known else None


def ordered_schema(body: JsonObject) -> JsonObject | None:
    """The schema of the JSON that is ordered, None when none is: the one that is written there, one
    for the keys that are named, or one for a plain answer.
    """
    for text in _orders(body):
        if order := _JSON.search(text):
            return _written_schema(text[order.start() :]) or _of_keys(text)
    return None


def _orders(body: JsonObject) -> list[str]:
    return [*system_texts(body), *last_texts(body)[-1:]]


def _written_schema(text: str) -> JsonObject | None:
    found = _SCHEMA.search(text)
    if found is None:
        return None
    try:
        return as_object(json.JSONDecoder().raw_decode(text, found.end())[0])
    except json.JSONDecodeError:
        return None


def _of_keys(text: str) -> JsonObject:
    named = _KEYS.search(text)
    words = re.findall(r"\w+", named[1]) if named else ["answer"]
    keys = [word for word in dict.fromkeys(words) if word.lower() != "and"]
    properties = {key: {"type": "string"} for key in keys}
    return {"type": "object", "properties": properties, "required": keys}
