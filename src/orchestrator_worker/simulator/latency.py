"""How fast a model answers, and how a script says so. `sending` keeps the pace."""

from dataclasses import dataclass, replace
from typing import Any

from orchestrator_worker.simulator.jsons import JsonObject
from orchestrator_worker.simulator.script_values import NUMBER, not_negative, read_fields

_FIELDS = {
    "first_token_seconds": NUMBER,
    "tokens_per_second": NUMBER,
    "input_tokens_per_second": NUMBER,
}


@dataclass(frozen=True, slots=True)
class Latency:
    """How fast a model answers."""

    first_token_seconds: float = 0.6
    tokens_per_second: float = 80.0
    """0: all tokens at once."""
    input_tokens_per_second: float = 0.0
    """How fast a prompt is read, as far as the cache does not hold it; comes on top of the first
    token's seconds. 0: at once."""

    def due_seconds(self, tick: int) -> float:
        """Seconds from arrival to the token of that number, counted from 0."""
        if not self.tokens_per_second:
            return self.first_token_seconds
        return self.first_token_seconds + tick / self.tokens_per_second

    def with_prompt(self, tokens: int) -> "Latency":
        """The latency of a call that first has to read so many tokens."""
        if not self.input_tokens_per_second:
            return self
        reading = tokens / self.input_tokens_per_second
        return replace(self, first_token_seconds=self.first_token_seconds + reading)


DEFAULT_LATENCIES: dict[str, Latency] = {
    "haiku": Latency(0.2, 180.0),
    "sonnet": Latency(0.4, 120.0),
    "default": Latency(),
}


def read_latencies(value: JsonObject) -> dict[str, Latency]:
    """The latency of each model that a script names."""
    return {key: read_latency(entry, f"latencies.{key}") for key, entry in value.items()}


def read_latency(value: Any, path: str) -> Latency:
    """A latency from its JSON. What it does not name is 0."""
    fields = read_fields(value, _FIELDS, path)
    not_negative(fields, tuple(_FIELDS), path)
    return Latency(
        fields.get("first_token_seconds", 0.0),
        float(fields.get("tokens_per_second", 0.0)),
        float(fields.get("input_tokens_per_second", 0.0)),
    )
