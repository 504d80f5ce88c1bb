"""How a script wants the prompt cache. `prompt_cache` obeys."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator_worker.simulator.script_values import NUMBER, not_negative, read_fields

TTL_SECONDS = {"5m": 300.0, "1h": 3600.0}


@dataclass(frozen=True, slots=True)
class CacheOrders:
    """How a script wants the cache."""

    enabled: bool = True
    ttl_seconds: Mapping[str, float] = field(default_factory=lambda: TTL_SECONDS)


def read_cache_orders(value: Any, path: str) -> CacheOrders:
    """The orders from their JSON."""
    names = {"enabled": bool, "ttl_5m_seconds": NUMBER, "ttl_1h_seconds": NUMBER}
    fields = read_fields(value, names, path)
    not_negative(fields, ("ttl_5m_seconds", "ttl_1h_seconds"), path)
    ttls = {ttl: fields.get(f"ttl_{ttl}_seconds", TTL_SECONDS[ttl]) for ttl in TTL_SECONDS}
    return CacheOrders(fields.get("enabled", True), ttls)
