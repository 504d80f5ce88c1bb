"""The shared prefix against a server that keeps account of its prompt cache."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from listening import subtask
from orchestrator_worker.orchestration import prefix
from orchestrator_worker.simulator import EmbeddedSimulator
from stage import Seen, served, watch

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEAMS = {
    "caching": "",
    "listed": 'route = "fixed"\n'
    + "".join(f'[[subtasks]]\nid = "s{n}"\ntitle = "Part {n}"\n' for n in (1, 2, 3)),
}
PLAN = {"subtasks": [subtask(1), subtask(2), subtask(3)]}
TO_WARM_UP = {"header": {"x-orchestrator-purpose": "warm-up"}}
LATENCIES = {
    "sonnet": {"first_token_seconds": 0, "tokens_per_second": 2000},
    "haiku": {"first_token_seconds": 0.02, "tokens_per_second": 0},
}


@dataclass
class Scene:
    """The service and the control of its simulator."""

    http: httpx2.AsyncClient
    control: httpx2.AsyncClient

    async def watch(self, team: str, question: str, **script: Any) -> Seen:
        """Ask under a script in which the lead delegates."""
        reply = {"tool": {"name": "delegate", "input": PLAN}}
        replies = [{"when": {"role": "lead"}, "reply": reply}]
        ordered = {"latencies": LATENCIES, "replies": replies, **script}
        response = await self.control.put("/_simulator/script", json=ordered)
        assert response.status_code == 200, response.text
        messages = [{"role": "user", "content": question}]
        return await watch(self.http, model=team, messages=messages)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with (
        EmbeddedSimulator() as simulator,
        served(tmp_path_factory.mktemp("prefix"), simulator.url, TEAMS) as (_, http),
        httpx2.AsyncClient(base_url=simulator.url, trust_env=False) as control,
    ):
        yield Scene(http, control)


@pytest.fixture
def scene(shared: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(prefix, "MAX_WAIT_SECONDS", 5.0)  # on a busy machine, too
    return shared


def about(subject: str) -> str:
    """A question of its own, of about a thousand tokens: no test reads what another has written."""
    return f"Compare three kinds of {subject}. " + f"The shop sells {subject} to its town. " * 90


def cache_of(seen: Seen) -> list[tuple[str | None, int, int]]:
    """What each of the workers' calls has written and read: by purpose, in plan order."""
    return [
        (it["purpose"], it["cache_creation_input_tokens"], it["cache_read_input_tokens"])
        for it in seen.report["agents"]
        if it["role"] == "worker" and it["outcome"] == "succeeded"
    ]


async def test_the_warm_up_writes_and_every_worker_reads_all_of_it(scene: Scene) -> None:
    seen = await scene.watch("caching", about("tea"))
    (purpose, written, read), *workers = cache_of(seen)
    assert (purpose, read) == ("warm-up", 0)
    assert written > 512
    assert workers == [(None, 0, written)] * 3
    assert seen.usage["prompt_tokens_details"]["cached_tokens"] == 3 * written
    assert seen.outcomes == {f"Part {n}": ("succeeded", None) for n in (1, 2, 3)}


async def test_without_a_warm_up_the_first_worker_writes_and_the_others_read(
    scene: Scene,
) -> None:
    listed = await scene.watch("listed", about("coffee"))
    fault = {"when": TO_WARM_UP, "fault": {"kind": "status", "status": 529}}
    failing = await scene.watch("caching", about("cocoa"), faults=[fault])
    for seen in (listed, failing):
        (_, written, _), *others = cache_of(seen)
        assert written > 512
        assert others == [(None, 0, written)] * 2


async def test_a_short_conversation_writes_and_reads_nothing(scene: Scene) -> None:
    seen = await scene.watch("caching", "Compare three kinds of juice.")
    assert cache_of(seen) == [(None, 0, 0)] * 3


async def test_the_cache_makes_a_run_cheaper_and_changes_nothing_else(scene: Scene) -> None:
    question = about("milk")
    plain = await scene.watch("caching", question, cache={"enabled": False})
    cached = await scene.watch("caching", question)
    assert {cost for _, *costs in cache_of(plain) for cost in costs} == {0}
    assert cached.answer == plain.answer
    assert cached.report["totals"]["cost_usd"] < plain.report["totals"]["cost_usd"]


# The last one: the service remembers what its server refuses.
async def test_a_server_that_cannot_be_warmed_still_caches(scene: Scene) -> None:
    seen = await scene.watch("caching", about("water"), refuse=["pre_warm"])
    (_, written, _), *others = cache_of(seen)
    assert written > 512
    assert others == [(None, 0, written)] * 2
