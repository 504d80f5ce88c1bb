"""The simulator seen from the benchmark: its orders, its record, and whether its clock kept time.

Also holds the check that the ideal is what the simulator really plays: the record of one request is
compared with the script's arithmetic.
"""

from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from workload import (
    ASSIGNMENT_MARK,
    CALLS_PER_REQUEST,
    FINDING_MARK,
    PLAN_TOKENS,
    SYNTHESIS_TOKENS,
    WORKER_TOKENS,
    call_seconds,
    ideal,
    script,
)

EARLY_SECONDS = 0.002
LATE_SECONDS = 0.02
"""How far the record may stand from the script before the ideal is not believed."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """How much later than scripted the simulator's record shows something, in seconds."""

    what: str
    seconds: float


class Upstream:
    """The control interface of a running simulator."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url}/_simulator"

    async def order(self, *, record_bodies: bool) -> None:
        """Put the workload's script in force."""
        body = orjson.dumps(script(record_bodies=record_bodies))
        headers = {"content-type": "application/json"}
        async with self._session.put(f"{self._url}/script", data=body, headers=headers) as answer:
            answer.raise_for_status()

    async def forget(self) -> None:
        """Begin the record and the measurement of the loop lag anew."""
        async with self._session.delete(f"{self._url}/calls") as answer:
            answer.raise_for_status()

    async def record(self) -> dict[str, Any]:
        """Return all calls since `forget`, and the largest loop lag."""
        async with self._session.get(f"{self._url}/calls") as answer:
            answer.raise_for_status()
            return orjson.loads(await answer.read())

    async def lag_seconds(self, requests: int) -> float:
        """Return the simulator's largest loop lag, in seconds.

        Raises:
            ValueError: the calls are not those of that many requests.
        """
        record = await self.record()
        calls = _message_calls(record)
        statuses = {call["status"] for call in calls}
        if len(calls) != requests * CALLS_PER_REQUEST or statuses != {200}:
            raise ValueError(f"{len(calls)} calls with status {statuses} for {requests} requests")
        return record["max_loop_lag_seconds"]


def _message_calls(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [call for call in record["calls"] if call["path"] == "/v1/messages"]


def bodies(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return one recorded request body of each role.

    Raises:
        ValueError: the record does not hold the calls of one delegated request.
    """
    found: dict[str, dict[str, Any]] = {}
    for call in _message_calls(record):
        found.setdefault(_role(call["body"]), call["body"])
    if set(found) != {"lead", "worker", "synthesizer"}:
        raise ValueError(f"the service made calls of {sorted(found)} only")
    return found


def _role(body: dict[str, Any]) -> str:
    if body.get("tools"):
        return "lead"
    last = orjson.dumps(body["messages"][-1]).decode()
    if FINDING_MARK in last:
        return "synthesizer"
    return "worker" if ASSIGNMENT_MARK in last else "unknown"


def deviations(record: dict[str, Any]) -> list[Deviation]:
    """Compare the record of one request with the script; each subtask's closing is seen as the
    arrival of its worker's call.
    """
    lead, *workers, synthesizer = sorted(_message_calls(record), key=lambda c: c["arrived_at"])
    closings = ideal().closings
    arrivals = [worker["arrived_at"] - lead["arrived_at"] for worker in workers]
    if len(arrivals) != len(closings):
        raise ValueError(f"{len(arrivals)} workers for {len(closings)} subtasks")
    return [
        _duration("lead", lead, PLAN_TOKENS),
        *(_duration(f"worker {n}", call, WORKER_TOKENS) for n, call in enumerate(workers, 1)),
        _duration("synthesizer", synthesizer, SYNTHESIS_TOKENS),
        *(
            Deviation(f"closing {number}", arrival - closing)
            for number, (arrival, closing) in enumerate(zip(arrivals, closings, strict=True), 1)
        ),
    ]


def _duration(what: str, call: dict[str, Any], tokens: int) -> Deviation:
    return Deviation(what, call["ended_at"] - call["arrived_at"] - call_seconds(tokens))


def as_scripted(found: list[Deviation]) -> bool:
    """Return whether the record agrees with the script."""
    return all(-EARLY_SECONDS <= each.seconds <= LATE_SECONDS for each in found)
