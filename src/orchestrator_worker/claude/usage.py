"""Token counts of one or many Claude calls; prices are in `pricing.py`. A leaf of this package."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


def _count(value: Any) -> int:
    # Servers that merely imitate the API send null, floats or nothing; a count is never negative.
    return max(0, int(value)) if isinstance(value, int | float) else 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the Messages API counts them: the three kinds of input exclude one another."""

    input_tokens: int = 0
    """Input that was neither read from nor written to the cache."""
    output_tokens: int = 0
    """Output, thinking included."""
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    thinking_tokens: int = 0
    """The part of `output_tokens` that was thinking; 0 where the server does not say."""

    @property
    def total_input_tokens(self) -> int:
        """All input, cached or not: what OpenAI calls prompt tokens."""
        return self.input_tokens + self.cache_read_input_tokens + self.cache_creation_input_tokens

    def __add__(self, other: Self) -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_input_tokens + other.cache_read_input_tokens,
            self.cache_creation_input_tokens + other.cache_creation_input_tokens,
            self.thinking_tokens + other.thinking_tokens,
        )

    def updated(self, reported: Mapping[str, Any]) -> "Usage":
        """Return these counts overlaid with what one stream event reports.

        `message_delta` repeats cumulative counts and may leave fields out or null, so the last
        value that is there wins and nothing is summed.
        """
        details: Any = reported.get("output_tokens_details") or {}

        def latest(name: str, known: int) -> int:
            value = reported.get(name)
            return known if value is None else _count(value)

        return Usage(
            latest("input_tokens", self.input_tokens),
            latest("output_tokens", self.output_tokens),
            latest("cache_read_input_tokens", self.cache_read_input_tokens),
            latest("cache_creation_input_tokens", self.cache_creation_input_tokens),
            _count(details.get("thinking_tokens")) or self.thinking_tokens,
        )
