"""The simulator seen from a benchmark: its orders, its record, and whether its clock kept time.

Also holds the check that the ideal is what the simulator really plays: the record of one request is
compared with the script's arithmetic.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from workload import Workload, script

MAX_LAG_SECONDS = 0.03
"""The simulator's own loop lag from which on a measurement does not count."""
EARLY_SECONDS = 0.002
LATE_SECONDS = 0.02
"""How far the record may stand from the script before the ideal is not believed."""

Record = dict[str, Any]
Call = dict[str, Any]


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

    async def order(self, workloads: Iterable[Workload], *, record_bodies: bool) -> None:
        """Put the script of these workloads in force, and no other."""
        await self.put(script(workloads, record_bodies=record_bodies))

    async def put(self, orders: dict[str, Any]) -> None:
        """Put a script in force."""
        headers = {"content-type": "application/json"}
        data = orjson.dumps(orders)
        async with self._session.put(f"{self._url}/script", data=data, headers=headers) as answer:
            if answer.status != 200:
                raise ValueError(f"the simulator refuses the script: {await answer.text()}")

    async def forget(self) -> None:
        """Begin the record and the measurement of the loop lag anew."""
        async with self._session.delete(f"{self._url}/calls") as answer:
            answer.raise_for_status()

    async def record(self) -> Record:
        """Return all calls since `forget`, and the largest loop lag."""
        async with self._session.get(f"{self._url}/calls") as answer:
            answer.raise_for_status()
            return orjson.loads(await answer.read())


def lag_seconds(record: Record) -> float:
    """Return the simulator's largest loop lag, in seconds."""
    return record["max_loop_lag_seconds"]


def message_calls(record: Record) -> list[Call]:
    """Return the calls for a message in the order of their arrival, without warm-ups.

    Raises:
        ValueError: one did not succeed.
    """
    return [call for call in _message_calls(record) if not _warms_up(call)]


def warm_ups(record: Record) -> list[Call]:
    """Return the calls that only fill the prompt cache."""
    return [call for call in _message_calls(record) if _warms_up(call)]


def _message_calls(record: Record) -> list[Call]:
    calls = [call for call in record["calls"] if call["path"] == "/v1/messages"]
    ends = {(call["status"], call["outcome"]) for call in calls}
    if ends - {(200, "completed")}:
        raise ValueError(f"calls ended with {ends}")
    return sorted(calls, key=lambda call: call["arrived_at"])


def _warms_up(call: Call) -> bool:
    return call["usage"]["output_tokens"] == 0


def calls_by_role(record: Record, workload: Workload, asker: str = "") -> dict[str, list[Call]]:
    """Return the calls of lead, worker and synthesizer for a question, in order of arrival.

    Needs a record with bodies.
    """
    found: dict[str, list[Call]] = {"lead": [], "worker": [], "synthesizer": []}
    question = workload.question(asker)
    for call in message_calls(record):
        last = orjson.dumps(call["body"]["messages"][-1]).decode()
        if question in last:
            found[_role(call, last, workload)].append(call)
    return found


def _role(call: Call, last_message: str, workload: Workload) -> str:
    if call["body"].get("tools"):
        return "lead"
    # As in the script: only the synthesizer reads the last finding.
    return "synthesizer" if workload.last_finding_mark in last_message else "worker"


def bodies(record: Record, workload: Workload) -> dict[str, dict[str, Any]]:
    """Return one recorded request body of each role.

    Raises:
        ValueError: the record does not hold the calls of one delegated request.
    """
    found = calls_by_role(record, workload)
    missing = [role for role, calls in found.items() if not calls]
    if missing:
        raise ValueError(f"the service made no call of {missing}")
    return {role: calls[0]["body"] for role, calls in found.items()}


def deviations(record: Record, workload: Workload) -> list[Deviation]:
    """Compare the record of one request with the script; each subtask's closing is seen as the
    arrival of its worker's call, so no subtask may depend on another.
    """
    lead, *workers, synthesizer = message_calls(record)
    closings = workload.ideal().closings
    arrivals = [worker["arrived_at"] - lead["arrived_at"] for worker in workers]
    if len(arrivals) != len(closings):
        raise ValueError(f"{len(arrivals)} workers for {len(closings)} subtasks")
    works = zip(workers, workload.entries, strict=True)
    return [
        _duration("lead", lead, workload.plan.seconds),
        *(_duration(f"worker {e.number}", call, e.work.seconds) for call, e in works),
        _duration("synthesizer", synthesizer, workload.synthesis.seconds),
        *(
            Deviation(f"closing {number}", arrival - closing)
            for number, (arrival, closing) in enumerate(zip(arrivals, closings, strict=True), 1)
        ),
    ]


def _duration(what: str, call: Call, scripted: float) -> Deviation:
    return Deviation(what, call["ended_at"] - call["arrived_at"] - scripted)


def as_scripted(found: list[Deviation]) -> bool:
    """Return whether the record agrees with the script."""
    return all(-EARLY_SECONDS <= each.seconds <= LATE_SECONDS for each in found)
