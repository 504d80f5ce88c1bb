"""What an error answer's body says: its kind, and which optional parts of the call it refuses.

The one place that reads the upstream's words. None of them leave: a message may quote the prompt,
so it is reduced to names of our own. `anthropic_client.py` asks, `negotiation.py` acts on it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from orchestrator_worker.errors import Feature

_NAME = r"[\"'`]?([a-z_][\w.\[\]]*)[\"'`]?"

# The API begins a message with the path of the field it is about. Whatever follows may be the
# caller's own text, so the path alone counts.
_PATH_FIRST = re.compile(rf"{_NAME}:\s", re.IGNORECASE)

# Some refusals are sentences instead. They are matched from their first word on, for the same
# reason, and up to the first field: the next one is advice ('Use "output_config.effort"').
_KIND = "(?:(?:adaptive|extended) )?"
_SENTENCES = tuple(
    re.compile(sentence, re.IGNORECASE)
    for sentence in (
        rf"{_KIND}{_NAME} (?:is|are) not (?:supported|permitted|allowed)",
        rf"(?:(?:this|the) model|\S*claude-\S+) does not support (?:the )?{_KIND}{_NAME}",
        rf"{_NAME} must be (?:at least|greater than|positive)",
        rf"(?:unknown|unexpected|unsupported) (?:field|parameter|argument)s?:? {_NAME}",
    )
)

_NOTHING: frozenset[Feature] = frozenset()
_ANYWHERE: dict[str, frozenset[Feature]] = {
    "eager_input_streaming": frozenset(("eager_input_streaming",)),
    "strict": frozenset(("strict",)),
    "cache_control": frozenset(("cache_control",)),
}
_FIRST: dict[str, frozenset[Feature]] = {
    "thinking": frozenset(("thinking",)),
    "effort": frozenset(("effort",)),
    "output_format": frozenset(("output_format",)),
    "stop_sequences": frozenset(("stop_sequences",)),
    "max_tokens": frozenset(("pre_warm",)),
}
_IN_OUTPUT_CONFIG: dict[tuple[str, ...], frozenset[Feature]] = {
    (): frozenset(("effort", "output_format")),
    ("effort",): frozenset(("effort",)),
    ("format",): frozenset(("output_format",)),
    ("format", "type"): frozenset(("output_format",)),
}
_FORCED = re.compile(r"tool_choice: type .{3,20} (?:is|are) not supported", re.IGNORECASE)
_TOO_LONG = re.compile(r"prompt is too long\b|input is too long\b", re.IGNORECASE)
_MEDIA = re.compile(
    r"messages\.\d+\.content\.\d+\.(?:image|document|pdf)\b"
    r"|could not process (?:image|pdf|document)|the pdf specified\b|too much media\b"
    r"|unable to download\b",
    re.IGNORECASE,
)
_TOOLS = re.compile(r"tools\.(\d{1,4})\.", re.IGNORECASE)
_SCHEMA = re.compile(r"output_config\.format\.schema\b|schema is too complex\b", re.IGNORECASE)


Part = Literal["media", "tools", "schema"]
_PARTS: tuple[tuple[Part, re.Pattern[str]], ...] = (
    ("media", _MEDIA),
    ("tools", _TOOLS),
    ("schema", _SCHEMA),
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer, in our words; all empty where its body is not understood."""

    error_type: str | None = None
    error_code: str | None = None
    features: frozenset[Feature] = _NOTHING
    """What it refuses, whether or not the call carried it."""
    too_long: bool = False
    """True when the prompt does not fit the model."""
    part: Part | None = None
    """Which part of the request it is about, where that may be the caller's own."""
    tool: int | None = None
    """Which tool it is about, from 0."""


def read_refusal(status: int, body: bytes) -> Refusal:
    """Return what an error answer says; a proxy's HTML page says nothing."""
    try:
        answer: Any = orjson.loads(body)
        error: Any = answer.get("error") or {}
        details: Any = error.get("details") or {}
        kind = _word(error.get("type"))
        code = _word(details.get("error_code"))
        if status == 400 and kind == "invalid_request_error":
            return _read_message(kind, code, error.get("message") or "")
        paths = _located_by(answer.get("detail") or ()) if status == 422 else []
        if status == 422:
            paths = _named_by(error.get("message") or "") + paths
        return Refusal(kind, code, _features_at(paths))
    except (orjson.JSONDecodeError, AttributeError, TypeError, KeyError):
        return Refusal()


def _read_message(kind: str, code: str | None, message: str) -> Refusal:
    if _FORCED.match(message):
        return Refusal(kind, code, frozenset(("forced_tools",)))
    features = _features_at(_named_by(message))
    parts: list[Part] = [part for part, words in _PARTS if words.match(message)]
    too_long = _TOO_LONG.match(message) is not None
    tool = _TOOLS.match(message)
    part = parts[0] if parts else None
    return Refusal(kind, code, features, too_long, part, int(tool[1]) if tool else None)


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _named_by(message: str) -> list[str]:
    first = _PATH_FIRST.match(message)
    if first is not None:
        return [first[1]]
    return [found[1] for sentence in _SENTENCES if (found := sentence.match(message))][:1]


def _located_by(detail: Any) -> list[str]:
    # Servers built with FastAPI answer 422 with pydantic's list of locations.
    if isinstance(detail, str):
        return _named_by(detail)
    return [".".join(map(str, entry["loc"])).removeprefix("body.") for entry in detail]


def _features_at(paths: Sequence[str]) -> frozenset[Feature]:
    return _NOTHING.union(*map(_features_of, paths))


def _features_of(path: str) -> frozenset[Feature]:
    names = re.findall(r"[a-z_]\w*", path.lower())
    # Inside a schema every name is somebody's own, and a bad schema is not a missing feature.
    if not names or not {"schema", "input_schema"}.isdisjoint(names):
        return _NOTHING
    for name in names:
        if name in _ANYWHERE:
            return _ANYWHERE[name]
    if names[0] == "output_config":
        return _IN_OUTPUT_CONFIG.get(tuple(names[1:]), _NOTHING)
    return _FIRST.get(names[0], _NOTHING)
