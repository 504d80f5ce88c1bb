"""Rate limits per account and class of models: what is left, what the headers show, when a call is
one too many.

Token buckets that are full after a minute. What is read from the prompt cache is free, and
`max_tokens` reserves nothing. Source: the rate-limits page of the API documentation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from orchestrator_worker.simulator.clock import Clock
from orchestrator_worker.simulator.errors import ApiError
from orchestrator_worker.simulator.models import Model
from orchestrator_worker.simulator.script_values import not_negative, read_fields

MINUTE = 60.0
Header = tuple[str, str]
ORGANIZATION: Header = ("anthropic-organization-id", "org_simulated")


@dataclass(frozen=True, slots=True)
class Limits:
    """What an account may use per minute. The defaults are never reached."""

    requests_per_minute: int = 1_000_000
    input_tokens_per_minute: int = 1_000_000_000
    output_tokens_per_minute: int = 200_000_000


def read_limits(value: Any, path: str) -> Limits:
    """Limits from their JSON."""
    names = tuple(Limits.__dataclass_fields__)
    fields = read_fields(value, dict.fromkeys(names, int), path)
    not_negative(fields, names, path)
    return Limits(**fields)


class _Bucket:
    def __init__(self, capacity: int, now: float) -> None:
        self.capacity = capacity
        self._level = float(capacity)
        self._at = now

    def level(self, now: float) -> float:
        filled = self._level + (now - self._at) * self.capacity / MINUTE
        self._level, self._at = min(float(self.capacity), filled), now
        return self._level

    def take(self, amount: float) -> None:
        self._level -= amount

    def seconds_until(self, amount: float, now: float) -> float:
        """Until that amount is there; a minute when it never will be."""
        if amount > self.capacity:
            return MINUTE
        missing = amount - self.level(now)
        return missing / self.capacity * MINUTE if missing > 0 else 0.0


class _Buckets:
    def __init__(self, limits: Limits, now: float) -> None:
        self.requests = _Bucket(limits.requests_per_minute, now)
        self.input = _Bucket(limits.input_tokens_per_minute, now)
        self.output = _Bucket(limits.output_tokens_per_minute, now)


class RateLimits:
    """The buckets of all accounts."""

    def __init__(self, clock: Clock, limits: Callable[[], Limits]) -> None:
        self._clock = clock
        self._limits = limits
        self._buckets: dict[tuple[str, str], _Buckets] = {}

    def clear(self) -> None:
        """Begin with full buckets."""
        self._buckets.clear()

    def admit(self, account: str, model: Model, input_tokens: int) -> None:
        """Count a request and its input.

        Raises:
            ApiError: 429, some limit has not enough left. Nothing is counted then.
        """
        found, now = self._of(account, model), self._clock.now()
        needs = ((found.requests, 1, "requests"), (found.input, input_tokens, "input tokens"))
        for bucket, amount, what in (*needs, (found.output, 1, "output tokens")):
            if bucket.level(now) < amount:
                raise self._refusal(bucket, amount, what, self.headers(account, model))
        for bucket, amount, _ in needs:
            bucket.take(amount)

    def spend_output(self, account: str, model: Model, tokens: int) -> None:
        """Count what is written."""
        self._of(account, model).output.take(tokens)

    def headers(self, account: str, model: Model) -> list[Header]:
        """What every response says about the limits."""
        found, now = self._of(account, model), self._clock.now()
        both = (found.input, found.output)
        return [
            ORGANIZATION,
            *self._shown("requests", (found.requests,), now, unit=1),
            *self._shown("tokens", both, now),
            *self._shown("input-tokens", both[:1], now),
            *self._shown("output-tokens", both[1:], now),
        ]

    def _of(self, account: str, model: Model) -> _Buckets:
        key = (account, model.rate_class)
        found = self._buckets.get(key)
        if found is None:
            found = self._buckets[key] = _Buckets(self._limits(), self._clock.now())
        return found

    def _refusal(self, bucket: _Bucket, amount: int, what: str, headers: list[Header]) -> ApiError:
        seconds = max(1, math.ceil(bucket.seconds_until(amount, self._clock.now())))
        message = (
            f"This request would exceed your organization's rate limit of {bucket.capacity}"
            f" {what} per minute"
        )
        return ApiError(429, message, headers=(*headers, ("retry-after", str(seconds))))

    def _shown(
        self, name: str, buckets: tuple[_Bucket, ...], now: float, *, unit: int = 1_000
    ) -> list[Header]:
        """The three headers of one limit; tokens are rounded to thousands."""
        left = sum(max(0.0, bucket.level(now)) for bucket in buckets)
        full = max(bucket.seconds_until(bucket.capacity, now) for bucket in buckets)
        reset = self._clock.time_of_day() + timedelta(seconds=full)
        prefix = f"anthropic-ratelimit-{name}"
        remaining = math.floor(left) if unit == 1 else round(left / unit) * unit
        return [
            (f"{prefix}-limit", str(sum(bucket.capacity for bucket in buckets))),
            (f"{prefix}-remaining", str(remaining)),
            (f"{prefix}-reset", reset.strftime("%Y-%m-%dT%H:%M:%SZ")),
        ]
