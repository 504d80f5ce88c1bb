"""The prompt cache: which beginning of a prompt is read from it, and what a call writes to it.

An entry holds everything up to a breakpoint, for one account, one model and one configuration of
thinking, effort and output format. It exists once the first response that wrote it has begun;
calls sent before that pay for writing it too. Source: the prompt-caching page of the API
documentation.
"""

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator_worker.simulator.cache_orders import CacheOrders
from orchestrator_worker.simulator.clock import Clock
from orchestrator_worker.simulator.models import Model
from orchestrator_worker.simulator.prompt import Prompt
from orchestrator_worker.simulator.usage import Charge, InputUsage, NoCache

LOOK_BACK = 20
"""Blocks a breakpoint looks at for an entry, itself included."""
MAX_ENTRIES = 50_000

Key = tuple[str, str, bytes, bytes]


@dataclass(slots=True)
class _Entry:
    expires_at: float
    lifetime: float
    """Seconds that each use gives it anew."""


class PromptCache:
    """All entries. An implementation of `CacheAccounting`."""

    def __init__(self, clock: Clock, orders: Callable[[], CacheOrders]) -> None:
        self._clock = clock
        self._orders = orders
        self._entries: dict[Key, _Entry] = {}

    def clear(self) -> None:
        """Forget all entries. What is in flight still writes its own."""
        self._entries.clear()

    def charge(self, prompt: Prompt, model: Model, account: str) -> Charge:
        """The split of the prompt's tokens; what it writes exists once the response has begun."""
        if not self._orders().enabled:
            return NoCache().charge(prompt, model, account)
        now = self._clock.now()
        keys = [(account, model.id, prompt.rendered, block.digest) for block in prompt.blocks]
        marks = [number for number, block in enumerate(prompt.blocks) if block.ttl]
        read = max((self._read(prompt, keys, mark, now) for mark in marks), default=0)
        written = {"5m": 0, "1h": 0}
        new: dict[Key, _Entry] = {}
        end = read
        for mark in marks:
            block = prompt.blocks[mark]
            if block.ttl and block.tokens > read and block.tokens >= model.min_cacheable_tokens:
                written[block.ttl] += block.tokens - end
                end = block.tokens
                lifetime = self._orders().ttl_seconds[block.ttl]
                new[keys[mark]] = _Entry(now + lifetime, lifetime)
        usage = InputUsage(
            uncached=prompt.tokens - end,
            read=read,
            written_5m=written["5m"],
            written_1h=written["1h"],
        )
        return Charge(usage, lambda: self._keep(new))

    def _read(self, prompt: Prompt, keys: list[Key], mark: int, now: float) -> int:
        """Tokens of the longest entry that a breakpoint finds. Using it prolongs it."""
        for number in range(mark, max(-1, mark - LOOK_BACK), -1):
            entry = self._entries.get(keys[number])
            if entry is not None and entry.expires_at > now:
                entry.expires_at = now + entry.lifetime
                return prompt.blocks[number].tokens
        return 0

    def _keep(self, new: dict[Key, _Entry]) -> None:
        self._entries |= new
        if len(self._entries) > MAX_ENTRIES:
            now = self._clock.now()
            self._entries = {k: e for k, e in self._entries.items() if e.expires_at > now}
