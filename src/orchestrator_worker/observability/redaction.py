"""What a log line may hold: plain JSON values of bounded size, without anything that looks like a
secret.

Values come from anywhere, libraries included, so nothing is taken for granted: not that they can
be encoded, nor that they are short, nor that showing them works.
"""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any, cast

MAX_TEXT_CHARS = 16_384
"""Of one value; more loses its middle. Both ends of a traceback matter."""
MAX_ITEMS = 200
MAX_DEPTH = 8
REDACTED = "[redacted]"
_OVERLAP_CHARS = 4096
"""No secret is longer, so that none escapes by lying across a cut."""
# Bounded and possessive where a hostile text could make a search take quadratic time.
_SECRETS = re.compile(
    r"sk-ant-[\w-]+"
    r"|eyJ[\w-]{3,512}+\.[\w-]+\.[\w-]*"
    r"|(?i:bearer)\s+[\w.~+/=-]+"
    r"|(?P<name>(?i:api.?key|authorization|password)['\"]?\s?[:=]\s?['\"]?(?i:basic\s)?)"
    r"[^\s'\",}]+"
)
_SECRET_NAMES = frozenset(
    (
        *("authorization", "proxy-authorization", "cookie", "set-cookie", "password", "secret"),
        *("x-api-key", "api_key", "api-key", "apikey", "anthropic_api_key", "jwt_secret_key"),
    )
)
_AS_THEY_ARE = frozenset((type(None), bool, float))
_INTEGERS = range(-(2**63), 2**64)


def redact(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Make an event's values plain, and replace whatever looks like a key or a token; a last line
    of defence, not a licence.
    """
    members: MutableMapping[str, object] = event
    for name, value in members.items():
        if name.lower() in _SECRET_NAMES:
            event[name] = REDACTED
        elif type(value) not in _AS_THEY_ARE:
            event[name] = plain(value)
    return event


def plain(value: object, depth: int = 0) -> object:
    """Return what JSON can hold of a value, redacted and bounded."""
    if isinstance(value, str):
        return _text(str.__str__(value))
    kind = type(value)
    if kind in _AS_THEY_ARE or (kind is int and value in _INTEGERS):
        return value
    if isinstance(value, bytes | bytearray):
        return _text(bytes(value).decode("utf-8", "backslashreplace"))
    if depth < MAX_DEPTH:
        if isinstance(value, Mapping):
            return _object(cast("Mapping[object, object]", value), depth)
        if isinstance(value, list | tuple | set | frozenset):
            return _array(list(cast("list[object]", value)), depth)
    return _text(_shown(value))


def _object(value: Mapping[object, object], depth: int) -> dict[str, object]:
    members = list(value.items())
    shown: dict[str, object] = {}
    for key, member in members[:MAX_ITEMS]:
        name = _text(key if isinstance(key, str) else _shown(key))
        secret = name.lower() in _SECRET_NAMES
        shown[name] = REDACTED if secret else plain(member, depth + 1)
    if len(members) > MAX_ITEMS:
        shown["…"] = f"{len(members) - MAX_ITEMS} more"
    return shown


def _array(value: list[object], depth: int) -> list[object]:
    shown = [plain(item, depth + 1) for item in value[:MAX_ITEMS]]
    if len(value) > MAX_ITEMS:
        shown.append(f"… {len(value) - MAX_ITEMS} more")
    return shown


def _text(text: str) -> str:
    if not text.isascii():
        # A lone surrogate has no encoding.
        text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= MAX_TEXT_CHARS:
        return _without_secrets(text)
    half = MAX_TEXT_CHARS // 2
    head = _without_secrets(text[: half + _OVERLAP_CHARS])[:half]
    tail = _without_secrets(text[-half - _OVERLAP_CHARS :])[-half:]
    return f"{head} … ({len(text)} characters) … {tail}"


def _without_secrets(text: str) -> str:
    low = text.lower()
    # Most texts hold none of these words, and looking for words is cheaper than the search.
    if not (
        "sk-ant-" in low
        or "eyj" in low
        or "bearer" in low
        or "auth" in low
        or "api" in low
        or "passw" in low
    ):
        return text
    return _SECRETS.sub(rf"\g<name>{REDACTED}", text)


def _shown(value: object) -> str:
    try:
        return repr(value) if isinstance(value, BaseException) else str(value)
    except Exception:  # noqa: BLE001 - any class may fail to show itself, and logging never fails
        return f"<{type(value).__name__}>"
