"""What a caller's JSON Schema may cost: it is compiled on the event loop, kept, and held against
answers of any length.

Three things make a short schema dear: references, which the library writes out (definitions that
refer twice to the next one double with each level), counted repetitions in patterns, and sheer
length.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import unquote

from orchestrator_worker.api.chat.wire import written
from orchestrator_worker.teams.result_schema import compiled

MAX_SCHEMA_BYTES = 100_000
MAX_REFERENCES = 100
MAX_REFERENCE_CHARS = 300
MAX_WRITTEN_OUT = 10_000
"""Schemas in a schema once its references are written out; a recursive one counts once."""
MAX_PATTERN_CHARS = 10_000
"""Of all patterns together, each as long as its counted repetitions make it."""
_OTHER_REFERENCES = frozenset({"$dynamicRef", "$recursiveRef"})
_ATOM = re.compile(
    r"(?P<open>\()|(?P<close>\))|(?P<count>\{(\d+)(?:,(\d*))?\})|\\.|\[(?:\\.|[^\]\\])*\]|.",
    re.DOTALL,
)


def check_schema(schema: Mapping[str, Any]) -> None:
    """Compile a schema.

    Raises:
        ValueError: it is none, refers to what is not in it, or would cost too much.
    """
    if len(written(schema)) > MAX_SCHEMA_BYTES:
        raise ValueError(f"is longer than {MAX_SCHEMA_BYTES} bytes")
    references = patterns = 0
    for name, value in _members(schema):
        if name in _OTHER_REFERENCES:
            raise ValueError(f"has a {name}, which is not supported")
        references += name == "$ref"
        if name == "pattern" and isinstance(value, str):
            patterns += _length(value)
        elif name == "patternProperties" and isinstance(value, Mapping):
            patterns += sum(map(_length, cast("Mapping[str, Any]", value)))
    if references > MAX_REFERENCES:
        raise ValueError(f"has more than {MAX_REFERENCES} references")
    if patterns > MAX_PATTERN_CHARS:
        raise ValueError("has patterns that are too long")
    try:
        _WrittenOut(schema).size(schema)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    compiled(schema)


class _WrittenOut:
    """The size of a schema whose references are written out."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._sizes: dict[str, int] = {}
        """By reference; 0 while it is being found: a recursive one is not written out again."""

    def size(self, value: Any) -> int:
        """Return how many values there are in this one.

        Raises:
            ValueError: too many, or a reference leads nowhere but to itself.
        """
        size = 1
        if isinstance(value, Mapping):
            members = cast("Mapping[str, Any]", value)
            if isinstance(members.get("$ref"), str):
                size += self._referred(members["$ref"])
            size += sum(self.size(member) for member in members.values())
        elif isinstance(value, list):
            size += sum(map(self.size, cast("list[Any]", value)))
        if size > MAX_WRITTEN_OUT:
            raise ValueError(
                f"is larger than {MAX_WRITTEN_OUT} once its references are written out"
            )
        return size

    def _referred(self, reference: str) -> int:
        if reference not in self._sizes:
            self._sizes[reference] = 0
            self._sizes[reference] = self.size(self._end_of(reference))
        return self._sizes[reference]

    def _end_of(self, reference: str) -> Any:
        """Return what a reference leads to that is not itself nothing but a reference."""
        seen: set[str] = set()
        target: Any = self._target(reference)
        while isinstance(target, Mapping):
            following: Any = cast("Mapping[str, Any]", target).get("$ref")
            if not isinstance(following, str):
                break
            if following in seen:
                raise ValueError("has a reference that leads to itself")
            seen.add(following)
            target = self._target(following)
        return cast("Any", target)

    def _target(self, reference: str) -> Any:
        if len(reference) > MAX_REFERENCE_CHARS or not reference.startswith("#"):
            raise ValueError("has a reference that does not begin with '#', or is too long")
        target: Any = self._root
        for step in filter(None, unquote(reference[1:]).split("/")):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(target, list) and name.isdecimal() and len(name) < len("1000000"):
                target = next(iter(cast("list[Any]", target)[int(name) :]), None)
            else:
                found = isinstance(target, Mapping)
                target = cast("Mapping[str, Any]", target).get(name) if found else None
        return target


def _members(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every name in a schema with its value, however deep."""
    pending: list[Any] = [schema]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            members = cast("Mapping[str, Any]", value)
            yield from members.items()
            pending.extend(members.values())
        elif isinstance(value, list):
            pending.extend(cast("list[Any]", value))


def _length(pattern: str) -> int:
    """Return how long a pattern is with its counted repetitions written out."""
    groups = [0]
    last = 0
    """Of what a count that follows repeats."""
    for part in _ATOM.finditer(pattern):
        if part["open"]:
            groups.append(0)
            last = 0
        elif part["close"] and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif part["count"]:
            times = int((part[5] or part[4])[:6])
            groups[-1] += last * max(0, times - 1)
            last = min(last * times, MAX_PATTERN_CHARS)
        else:
            last = 1
            groups[-1] += 1
    return sum(groups)
