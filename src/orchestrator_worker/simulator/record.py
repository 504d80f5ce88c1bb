"""The record of every call: when it came, how it ended, what it asked. Read by tests and
benchmarks.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from time import monotonic
from typing import Literal

from orchestrator_worker.simulator.jsons import JsonObject

Outcome = Literal["completed", "client_left", "fault", "refused", "in_flight"]
MAX_CALLS = 10_000
MASKED = ("authorization", "x-api-key")
_STARTED = monotonic()


def now() -> float:
    """Seconds on the monotonic clock since this process started."""
    return monotonic() - _STARTED


@dataclass(slots=True, kw_only=True)
class Call:
    """One call of the API. Instants are seconds on the clock of `now`."""

    index: int
    method: str
    path: str
    request_id: str
    model: str | None = None
    stream: bool = False
    arrived_at: float = field(default_factory=now)
    first_byte_at: float | None = None
    ended_at: float | None = None
    outcome: Outcome = "in_flight"
    fault: str | None = None
    """Kind of the fault the call met, whatever its outcome."""
    status: int | None = None
    stop_reason: str | None = None
    usage: JsonObject | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: JsonObject | None = None
    counted: bool = False
    """Whether it counts as in flight until it ends."""

    def touched(self) -> None:
        """Note the first byte of the response."""
        if self.first_byte_at is None:
            self.first_byte_at = now()


SHOWN = tuple(name.name for name in fields(Call) if name.name != "counted")


class Record:
    """The last calls, and how many were in flight at once. Only calls for messages count as in
    flight.
    """

    def __init__(self, max_calls: int = MAX_CALLS) -> None:
        self._calls: deque[Call] = deque(maxlen=max_calls)
        self._index = 0
        self._in_flight: Counter[str] = Counter()
        self._peak = 0
        self._peak_by_model: dict[str, int] = {}

    def open(self, method: str, path: str, request_id: str, headers: Mapping[str, str]) -> Call:
        """Begin the entry of a call."""
        shown = {name: "***" if name in MASKED else value for name, value in headers.items()}
        call = Call(
            index=self._index, method=method, path=path, request_id=request_id, headers=shown
        )
        self._index += 1
        self._calls.append(call)
        return call

    @property
    def in_flight(self) -> int:
        """Calls for messages that have not ended."""
        return self._in_flight.total()

    def enter(self, call: Call) -> None:
        """Count a call for a message as in flight."""
        model = call.model or ""
        call.counted = True
        self._in_flight[model] += 1
        self._peak = max(self._peak, self.in_flight)
        self._peak_by_model[model] = max(self._peak_by_model.get(model, 0), self._in_flight[model])

    def close(self, call: Call, outcome: Outcome) -> None:
        """End the entry and count it as in flight no longer. The first outcome stands."""
        if call.outcome != "in_flight":
            return
        call.outcome = outcome
        call.ended_at = now()
        if call.counted:
            self._in_flight[call.model or ""] -= 1

    def clear(self) -> None:
        """Forget all calls and begin the peaks anew with what is in flight."""
        self._calls.clear()
        self._index = 0
        self._in_flight += Counter()
        self._peak = self.in_flight
        self._peak_by_model = dict(self._in_flight)

    def to_json(self) -> JsonObject:
        """The whole record, oldest call first."""
        return {
            "calls": [_shown(call) for call in self._calls],
            "in_flight": self.in_flight,
            "in_flight_peak": self._peak,
            "in_flight_peak_by_model": self._peak_by_model,
        }


def _shown(call: Call) -> JsonObject:
    return {name: getattr(call, name) for name in SHOWN}
