"""The fields of OpenAI's request that the service does not read, as its description shows them.

What is read is described where it is read, in `chat/schemas.py`.
"""

from typing import Any

_NOTHING: dict[str, Any] = {"type": "null"}


def _ignored(why: str) -> dict[str, Any]:
    return {"description": f"Accepted without effect, whatever it holds: {why}."}


def _refused(why: str, **empty: Any) -> dict[str, Any]:
    return {"anyOf": [empty, _NOTHING], "description": f"Refused unless empty or null: {why}."}


UNREAD_FIELDS: dict[str, dict[str, Any]] = {
    "audio": _refused("answers are text", type="object", maxProperties=0),
    "web_search_options": {
        "type": "null",
        "description": "Refused unless null: there is no web search.",
    },
    "logit_bias": _refused("Claude takes none", type="object", maxProperties=0),
    "top_logprobs": _refused("Claude gives none", type="integer", const=0),
    "prediction": _ignored("it would only make the same answer faster"),
    "seed": _ignored("Claude takes none"),
    "verbosity": _ignored("say in the messages how long the answer should be"),
    "moderation": _ignored("nothing is moderated beside the model itself"),
    "service_tier": _ignored("there is one"),
    "store": _ignored("nothing is stored"),
    "metadata": _ignored("nothing is stored"),
    "user": _ignored("the bearer token says who calls"),
    "safety_identifier": _ignored("the bearer token says who calls"),
    "prompt_cache_key": _ignored("the service sees to Claude's prompt cache by itself"),
    "prompt_cache_options": _ignored("the service sees to Claude's prompt cache by itself"),
    "prompt_cache_retention": _ignored("the service sees to Claude's prompt cache by itself"),
}
