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
_COUNT = re.compile(r"\{(\d+)(?:,(\d*))?\}")


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
    length = len(pattern)
    for least, most in _COUNT.findall(pattern):
        length *= max(1, int((most or least)[:6]))
        if length > MAX_PATTERN_CHARS:
            break
    return length
