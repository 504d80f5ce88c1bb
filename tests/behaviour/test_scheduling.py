"""Who runs when: dependencies, caps of a run and of the process, the order of those that wait."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from dumb_upstream import DumbCall, Reply, Write
from plans import entry
from stage import Stage
from worker_turns import turn

PROCESS_CAP = 3
TEAMS = {
    "one": "[caps]\nmax_concurrent_workers = 1\n",
    "two": "[caps]\nmax_concurrent_workers = 2\n",
}
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.served(TEAMS, MAX_WORKERS_PER_PROCESS=str(PROCESS_CAP)),
]


@dataclass
class Watched:
    """Workers that wait until they are let go, and who of them was there when."""

    begun: list[str] = field(default_factory=list[str])
    ended: list[str] = field(default_factory=list[str])
    results: dict[str, str] = field(default_factory=dict[str, str])
    most: int = 0
    """In flight at once."""
    gates: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __call__(self, call: DumbCall, write: Write) -> None:
        told = turn(call)
        async with self.news:
            self.begun.append(told.id)
            self.results[told.id] = told.results
            self.most = max(self.most, len(self.begun) - len(self.ended))
            self.news.notify_all()
        await self.gate(told.id).wait()
        self.ended.append(told.id)  # before the service can know
        await Reply(text=f"result of {told.id}")(call, write)

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    def release(self, *names: str) -> None:
        for name in names:
            self.gate(name).set()

    async def there(self, count: int) -> list[str]:
        """Wait until so many have begun; returns who, in that order."""
        async with asyncio.timeout(5), self.news:
            await self.news.wait_for(lambda: len(self.begun) >= count)
        return list(self.begun)


def node(id: str, *needs: str, **fields: Any) -> dict[str, Any]:
    return entry(id, depends_on=needs, **fields)


def plan(stage: Stage, *nodes: dict[str, Any]) -> Watched:
    """Let the lead plan these, all in one piece."""
    stage.upstream.forget()
    watched = Watched()
    stage.upstream.answer("lead", Reply(plan=nodes, piece=100_000))
    stage.upstream.answer("worker", watched)
    stage.upstream.answer("synthesizer", Reply(text="The answer."))
    return watched


async def still(stage: Stage) -> None:
    """Let the service do whatever it could do by now."""
    for _ in range(3):
        assert (await stage.http.get("/health/")).status_code == 200


async def test_a_diamond_runs_in_its_order_and_passes_results_on(stage: Stage) -> None:
    nodes = [node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c")]
    watched = plan(stage, *nodes)
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(stage.watch())
        assert await watched.there(1) == ["a"]
        await still(stage)
        assert watched.begun == ["a"]
        watched.release("a")
        assert set((await watched.there(3))[1:]) == {"b", "c"}
        watched.release("b")
        await still(stage)
        assert len(watched.begun) == 3
        watched.release("c")
        assert (await watched.there(4))[3] == "d"
        watched.release("d")
    seen = asking.result()
    assert (seen.answer, seen.report["partial"]) == ("The answer.", False)
    assert watched.results["a"] == ""
    for name, needs in {"b": "a", "c": "a", "d": "bc"}.items():
        told = watched.results[name]
        assert [f"result of {other}" in told for other in "abcd"] == [o in needs for o in "abcd"]
        assert told.count("<result-") == len(needs)


async def test_dependents_of_a_list_wait_for_every_item_of_it(stage: Stage) -> None:
    nodes = [node("a", for_each=["x", "y", "z"]), node("b", "a"), node("c", "a.2")]
    watched = plan(stage, *nodes)
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(stage.watch())
        assert sorted(await watched.there(3)) == ["a.1", "a.2", "a.3"]
        watched.release("a.2")
        assert (await watched.there(4))[3] == "c"
        watched.release("a.1", "c")
        await still(stage)
        assert len(watched.begun) == 4
        watched.release("a.3")
        assert (await watched.there(5))[4] == "b"
        watched.release("b")
    assert asking.result().report["partial"] is False
    places = [watched.results["b"].index(f"result of a.{number}") for number in (1, 2, 3)]
    assert places == sorted(places)
    assert "result of a.2" in watched.results["c"]
    assert "a.1" not in watched.results["c"]


async def test_never_more_of_a_runs_workers_are_in_flight_than_its_cap(stage: Stage) -> None:
    names = [f"s{number}" for number in range(8)]
    watched = plan(stage, *map(node, names))
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(stage.watch("two"))
        for number in range(len(names)):
            begun = await watched.there(min(number + 2, len(names)))
            await still(stage)
            assert len(watched.begun) == len(begun)
            watched.release(names[number])
    assert watched.begun == names
    assert watched.most == 2
    assert len(asking.result().outcomes) == 8


async def test_never_more_workers_of_all_runs_are_in_flight_than_the_process_allows(
    stage: Stage,
) -> None:
    watched = plan(stage, *map(node, ["a", "b", "c"]))
    # The same ids in both runs: one gate lets both through.
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(stage.watch()) for _ in range(2)]
        await stage.upstream.arrived(2, "lead")
        await watched.there(PROCESS_CAP)
        await still(stage)
        assert len(watched.begun) == PROCESS_CAP
        watched.release("a", "b", "c")
    assert watched.most == PROCESS_CAP
    assert len(watched.ended) == 6
    assert [task.result().report["partial"] for task in asking] == [False, False]


async def test_two_runs_share_the_places_of_the_process_in_turn(stage: Stage) -> None:
    watched = plan(stage, *map(node, ["a", "b", "c", "d", "e", "f"]))
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(stage.watch("two"))
        await watched.there(2)
        second = tasks.create_task(stage.watch("two"))
        # Its own cap leaves a place of the process free, so a second run is not kept out by it.
        await watched.there(3)
        await still(stage)
        assert sorted(watched.begun) == ["a", "a", "b"]
        watched.release(*"abcdef")
    assert watched.most == PROCESS_CAP
    assert len(first.result().outcomes) == len(second.result().outcomes) == 6


async def test_a_run_that_is_left_gives_its_places_back(stage: Stage) -> None:
    watched = plan(stage, *map(node, ["a", "b", "c", "d"]))
    async with asyncio.TaskGroup() as tasks:
        leaving = tasks.create_task(stage.watch())
        await watched.there(PROCESS_CAP)
        staying = tasks.create_task(stage.watch())
        await stage.upstream.arrived(2, "lead")
        await still(stage)
        assert len(watched.begun) == PROCESS_CAP
        leaving.cancel()
        await watched.there(2 * PROCESS_CAP)
        watched.release(*"abcd")
    assert staying.result().report["partial"] is False


LONGEST_FIRST: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "equals in plan order": ([node("a"), node("b"), node("c")], ["a", "b", "c"]),
    "one that others wait for": (
        [node("a"), node("b"), node("c"), node("d", "c")],
        ["a", "c", "b", "d"],
    ),
    "the head of the longer chain": (
        [node("a"), node("b"), node("b2", "b"), node("c"), node("c2", "c"), node("c3", "c2")],
        ["a", "c", "b", "c2", "b2", "c3"],
    ),
    "what has just become ready": (
        [node("a"), node("b", "a"), node("c", "b"), node("d")],
        ["a", "b", "d", "c"],
    ),
    "a long chain beside many short ones": (
        [node("a"), node("b", "a"), node("c", "b"), node("d", "c"), *map(node, ["x", "y", "z"])],
        ["a", "b", "c", "x", "y", "z", "d"],
    ),
    "a chain through a list": (
        [node("a"), node("b", for_each=["x", "y"]), node("c", "b"), node("d")],
        ["a", "b.1", "b.2", "d", "c"],
    ),
    "the deeper of two ways": (
        [node("a"), node("b"), node("c"), node("d", "b"), node("e", "d", "c")],
        ["a", "b", "c", "d", "e"],
    ),
}


@pytest.mark.parametrize("name", LONGEST_FIRST)
async def test_with_one_place_the_longest_chain_goes_first(stage: Stage, name: str) -> None:
    nodes, order = LONGEST_FIRST[name]
    watched = plan(stage, *nodes)
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(stage.watch("one"))
        await watched.there(1)
        await stage.upstream.arrived(1, "lead")
        await still(stage)  # the whole plan has been read
        watched.release(*order)
    assert watched.begun == order
    assert watched.most == 1
    assert asking.result().report["partial"] is False


def heights(nodes: list[dict[str, Any]]) -> dict[str, int]:
    """Return how long a chain waits for each."""
    found = {it["id"]: 0 for it in nodes}
    for it in reversed(nodes):  # dependants stand behind what they need
        for need in it["depends_on"]:
            found[need] = max(found[need], found[it["id"]] + 1)
    return found


@pytest.mark.parametrize("seed", range(8))
async def test_of_all_that_are_ready_none_has_a_longer_chain_than_the_one_that_starts(
    stage: Stage, seed: int
) -> None:
    chance = random.Random(seed)
    names = [f"s{number}" for number in range(20)]
    nodes = [
        node(name, *chance.sample(names[:at], min(at, chance.choice([0, 0, 1, 1, 2, 3]))))
        for at, name in enumerate(names)
    ]
    watched = plan(stage, *nodes)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stage.watch("one"))
        await watched.there(1)
        await still(stage)  # the whole plan has been read
        watched.release(*names)
    assert sorted(watched.begun) == sorted(names)
    needs, height = {it["id"]: set(it["depends_on"]) for it in nodes}, heights(nodes)
    for at, name in enumerate(watched.begun[1:], start=1):
        before = set(watched.begun[:at])
        ready = [it for it in names if it not in before and needs[it] <= before]
        assert name in ready
        assert height[name] == max(height[it] for it in ready)
