"""The small errands that chat front ends send beside a conversation: a title for it, tags, what to
ask next. They show the JSON they want and the conversation they are about.

Recognised by their form; what is written comes from the words of the conversation.
"""

import re
from typing import Any

import orjson

from orchestrator_worker.simulator.jsons import JsonObject, as_list, as_object
from orchestrator_worker.simulator.wording import (
    IMPERATIVES,
    content_words,
    sentences,
    stem,
    title_of,
    without_courtesy,
    words,
)

MAX_TITLE_WORDS = 5
MAX_TAGS = 3
_FORM = re.compile(r"\bJSON format:\s*(\{.*?\})\s*(?:\n|$)", re.IGNORECASE | re.DOTALL)
_ONLY_TITLE = re.compile(
    r"^(?:please )?\w+ a concise.*\btitle\b.*\bonly return the title.*?\bconversation:(.*)",
    re.IGNORECASE | re.DOTALL,
)
_HISTORY = re.compile(r"<chat_history>\s*(.*?)\s*</chat_history>", re.DOTALL | re.IGNORECASE)
_TURN = re.compile(r"^(user|assistant|ai)\s*:\s*", re.IGNORECASE | re.MULTILINE)
_FOLLOW_UPS = (
    "What should I know first about {}?",
    "What are common mistakes with {}?",
    "Can you give an example of {}?",
)


def errand(request: str) -> str:
    """What an errand asks for, as JSON or as a bare title; empty when the request is none."""
    if bare := _ONLY_TITLE.search(request):
        return _title(_asked(bare[1].strip()))
    form, history = _FORM.search(request), _HISTORY.search(request)
    if not request.lstrip().startswith("### Task") or form is None or history is None:
        return ""
    wanted = _parsed(form[1])
    if wanted is None:
        return ""
    asked = _asked(history[1])
    return orjson.dumps({key: _value(key, shown, asked) for key, shown in wanted.items()}).decode()


def _parsed(text: str) -> JsonObject | None:
    try:
        return as_object(orjson.loads(text))
    except orjson.JSONDecodeError:
        return None


def _asked(history: str) -> str:
    """What the user asked first."""
    turns = _TURN.split(history)[1:]
    said = [text for role, text in zip(turns[::2], turns[1::2], strict=True) if role[:1] in "uU"]
    return next(iter(sentences(said[0] if said else history)), history)


def _value(key: str, shown: Any, asked: str) -> Any:
    examples = as_list(shown)
    if examples is None:
        return _title(asked) if isinstance(shown, str) else shown
    if any(str(example).endswith("?") for example in examples) or "follow" in key:
        first, _, rest = _title(asked).partition(" ")
        thing = rest if rest and first.lower() in IMPERATIVES else f"{first} {rest}".strip()
        return [question.format(f"“{thing}”") for question in _FOLLOW_UPS]
    return _tags(asked) if "tag" in key else [without_courtesy(asked)]


def _title(asked: str) -> str:
    return " ".join(title_of(asked).rstrip("…?.!").split()[:MAX_TITLE_WORDS])


def _tags(asked: str) -> list[str]:
    """The words that carry the meaning, the longest first."""
    known = content_words(asked) - {stem(word) for word in IMPERATIVES}
    said = [w for w in dict.fromkeys(words(asked)) if content_words(w) & known]
    best = sorted(said, key=len, reverse=True)[:MAX_TAGS]
    return [word.capitalize() for word in best] or ["General"]
