"""What a call costs in tokens, in the form of the API's `usage`.

The prompt cache is a seam: `CacheAccounting` says how many input tokens were written to it and
read from it. `prompt_cache` implements it; `NoCache` never caches.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from orchestrator_worker.simulator.composing import Composed
from orchestrator_worker.simulator.jsons import JsonObject
from orchestrator_worker.simulator.models import Model
from orchestrator_worker.simulator.prompt import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class InputUsage:
    """Input tokens of a call. Their sum is the whole prompt."""

    uncached: int
    read: int = 0
    written_5m: int = 0
    written_1h: int = 0

    @property
    def processed(self) -> int:
        """Tokens that the model had to read because the cache did not hold them."""
        return self.uncached + self.written_5m + self.written_1h


def _nothing() -> None:
    """Nothing was written."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call pays for its prompt."""

    usage: InputUsage
    begun: Callable[[], None] = _nothing
    """To be called when the response begins: from then on others can read what it wrote."""


class CacheAccounting(Protocol):
    """Splits the input tokens of a call by what the prompt cache did."""

    def charge(self, prompt: Prompt, model: Model, account: str) -> Charge:
        """The split for this prompt."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


class NoCache:
    """A cache that never holds anything."""

    def charge(self, prompt: Prompt, model: Model, account: str) -> Charge:
        """All tokens are read afresh."""
        del model, account
        return Charge(InputUsage(uncached=prompt.tokens))

    def clear(self) -> None:
        """There is nothing to forget."""


def start_usage(spent: InputUsage) -> JsonObject:
    """`usage` in `message_start`, before any token but the first."""
    return {
        "input_tokens": spent.uncached,
        "cache_creation_input_tokens": spent.written_5m + spent.written_1h,
        "cache_read_input_tokens": spent.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": spent.written_5m,
            "ephemeral_1h_input_tokens": spent.written_1h,
        },
        "output_tokens": 1,
        "service_tier": "standard",
    }


def final_usage(spent: InputUsage, reply: Composed) -> JsonObject:
    """`usage` of a complete message."""
    return {**start_usage(spent), **_output(reply)}


def delta_usage(spent: InputUsage, reply: Composed) -> JsonObject:
    """`usage` in `message_delta`, cumulative."""
    return {
        "input_tokens": spent.uncached,
        "cache_creation_input_tokens": spent.written_5m + spent.written_1h,
        "cache_read_input_tokens": spent.read,
        **_output(reply),
    }


def _output(reply: Composed) -> JsonObject:
    usage: JsonObject = {"output_tokens": reply.output_tokens}
    if reply.thinking_tokens:
        usage["output_tokens_details"] = {"thinking_tokens": reply.thinking_tokens}
    return usage
