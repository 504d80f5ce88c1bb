"""The checks of single fields that all rules share, with the wording of the API's own validator.

Owns types and keys. What a field means is checked by `validation`, `message_rules`, `tool_rules`,
`schema_rules`.
"""

from collections.abc import Collection
from typing import Any

from orchestrator_worker.simulator.errors import InvalidRequestError
from orchestrator_worker.simulator.jsons import JsonObject, as_list, as_object

MAX_BREAKPOINTS = 4
EXTRA = "Extra inputs are not permitted"


def no_extra_keys(value: JsonObject, allowed: Collection[str], path: str = "") -> None:
    """Refuse the first key that is not allowed here."""
    for key in value:
        if key not in allowed:
            raise InvalidRequestError(EXTRA, join(path, key))


def join(path: str, key: str | int) -> str:
    """The path of a member, as in `messages.0.content`."""
    return f"{path}.{key}" if path else str(key)


def required(value: JsonObject, key: str, path: str = "") -> Any:
    """The member, which must be there."""
    if key not in value:
        raise InvalidRequestError("Field required", join(path, key))
    return value[key]


def object_at(value: Any, path: str) -> JsonObject:
    """The value as an object."""
    found = as_object(value)
    if found is None:
        raise InvalidRequestError("Input should be an object", path)
    return found


def list_at(value: Any, path: str) -> list[Any]:
    """The value as an array."""
    found = as_list(value)
    if found is None:
        raise InvalidRequestError("Input should be a valid array", path)
    return found


def string_at(value: Any, path: str) -> str:
    """The value as a string."""
    if not isinstance(value, str):
        raise InvalidRequestError("Input should be a valid string", path)
    return value


def integer_at(value: Any, path: str) -> int:
    """The value as an integer. `true` is no integer."""
    if type(value) is not int:
        raise InvalidRequestError("Input should be a valid integer", path)
    return value


def boolean_at(value: Any, path: str) -> bool:
    """The value as a boolean."""
    if not isinstance(value, bool):
        raise InvalidRequestError("Input should be a valid boolean", path)
    return value


def one_of(value: Any, allowed: Collection[str], path: str) -> str:
    """The value, which must be one of the allowed strings."""
    if not isinstance(value, str) or value not in allowed:
        *first, last = [f"'{option}'" for option in allowed]
        expected = f"{', '.join(first)} or {last}" if first else last
        raise InvalidRequestError(f"Input should be {expected}", path)
    return value


class CacheControls:
    """The cache breakpoints of one request, in the order tools, system, messages, automatic."""

    def __init__(self) -> None:
        self._ttls: list[str] = []
        self._last_is_marked = False

    def check(self, holder: JsonObject, path: str) -> None:
        """Count the breakpoint that a block or a tool carries."""
        value = holder.get("cache_control")
        self._last_is_marked = value is not None
        if value is not None:
            path = join(path, "cache_control")
            self._add(_ttl(value, path), path)

    def check_automatic(self, body: JsonObject) -> None:
        """Count the request's own breakpoint, unless the last block has one already."""
        value = body.get("cache_control")
        if value is None:
            return
        ttl = _ttl(value, "cache_control")
        if not self._last_is_marked:
            self._add(ttl, "cache_control")
        elif ttl != self._ttls[-1]:
            raise InvalidRequestError(
                "the last block carries a cache_control with another ttl", "cache_control.ttl"
            )

    def _add(self, ttl: str, path: str) -> None:
        if ttl == "1h" and "5m" in self._ttls:
            raise InvalidRequestError(
                "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block."
                " Note that blocks are processed in the following order: `tools`,"
                " `system`, `messages`.",
                f"{path}.ttl",
            )
        self._ttls.append(ttl)
        if len(self._ttls) > MAX_BREAKPOINTS:
            raise InvalidRequestError(
                f"A maximum of {MAX_BREAKPOINTS} blocks with cache_control may be provided."
                f" Found {len(self._ttls)}."
            )


def _ttl(value: Any, path: str) -> str:
    control = object_at(value, path)
    no_extra_keys(control, ("type", "ttl"), path)
    one_of(required(control, "type", path), ("ephemeral",), join(path, "type"))
    return one_of(control.get("ttl", "5m"), ("5m", "1h"), join(path, "ttl"))
