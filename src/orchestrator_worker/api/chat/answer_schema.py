"""What a caller's JSON Schema may cost: it is compiled on the event loop, and kept.

References and counted repetitions are what makes a short schema dear: compiling takes time with the
cube of the former, and memory with the product of the latter.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from orchestrator_worker.api.chat.wire import written
from orchestrator_worker.teams.result_schema import compiled

MAX_SCHEMA_BYTES = 100_000
MAX_REFERENCES = 100
MAX_PATTERN_CHARS = 10_000
"""Of all patterns together, each as long as its counted repetitions make it."""
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
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
        references += name in _REFERENCES
        if name == "pattern" and isinstance(value, str):
            patterns += _length(value)
        elif name == "patternProperties" and isinstance(value, Mapping):
            patterns += sum(map(_length, cast("Mapping[str, Any]", value)))
    if references > MAX_REFERENCES:
        raise ValueError(f"has more than {MAX_REFERENCES} references")
    if patterns > MAX_PATTERN_CHARS:
        raise ValueError("has patterns that are too long")
    compiled(schema)


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
