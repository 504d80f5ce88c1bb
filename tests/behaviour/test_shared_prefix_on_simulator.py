"""The shared prefix against a server that keeps account of its prompt cache."""

from typing import Any

import pytest

from orchestrator_worker.orchestration import prefix
from plans import subtasks
from simulated import Simulated, delegating
from stage import Seen

TEAMS = {
    "caching": "",
    "listed": 'route = "fixed"\n'
    + "".join(f'[[subtasks]]\nid = "s{n}"\ntitle = "Part {n}"\n' for n in (1, 2, 3)),
}
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(TEAMS)]
TO_WARM_UP = {"header": {"x-orchestrator-purpose": "warm-up"}}
LATENCIES = {
    "sonnet": {"first_token_seconds": 0, "tokens_per_second": 2000},
    "haiku": {"first_token_seconds": 0.02, "tokens_per_second": 0},
}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix, "MAX_WAIT_SECONDS", 5.0)  # on a busy machine, too


async def watch(simulated: Simulated, team: str, question: str, **script: Any) -> Seen:
    """Ask under a script in which the lead delegates."""
    replies = [{"when": {"role": "lead"}, "reply": delegating({"subtasks": subtasks(1, 2, 3)})}]
    await simulated.order(**{"latencies": LATENCIES, "replies": replies, **script})
    return await simulated.watch(team, messages=[{"role": "user", "content": question}])


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


async def test_the_warm_up_writes_and_every_worker_reads_all_of_it(simulated: Simulated) -> None:
    seen = await watch(simulated, "caching", about("tea"))
    (purpose, written, read), *workers = cache_of(seen)
    assert (purpose, read) == ("warm-up", 0)
    assert written > 512
    assert workers == [(None, 0, written)] * 3
    assert seen.usage["prompt_tokens_details"]["cached_tokens"] == 3 * written
    assert seen.outcomes == {f"Part {n}": ("succeeded", None) for n in (1, 2, 3)}


async def test_without_a_warm_up_the_first_worker_writes_and_the_others_read(
    simulated: Simulated,
) -> None:
    listed = await watch(simulated, "listed", about("coffee"))
    fault = {"when": TO_WARM_UP, "fault": {"kind": "status", "status": 529}}
    failing = await watch(simulated, "caching", about("cocoa"), faults=[fault])
    for seen in (listed, failing):
        (_, written, _), *others = cache_of(seen)
        assert written > 512
        assert others == [(None, 0, written)] * 2


async def test_a_short_conversation_writes_and_reads_nothing(simulated: Simulated) -> None:
    seen = await watch(simulated, "caching", "Compare three kinds of juice.")
    assert cache_of(seen) == [(None, 0, 0)] * 3


async def test_the_cache_makes_a_run_cheaper_and_changes_nothing_else(simulated: Simulated) -> None:
    question = about("milk")
    plain = await watch(simulated, "caching", question, cache={"enabled": False})
    cached = await watch(simulated, "caching", question)
    assert {cost for _, *costs in cache_of(plain) for cost in costs} == {0}
    assert cached.answer == plain.answer
    assert cached.report["totals"]["cost_usd"] < plain.report["totals"]["cost_usd"]


# The last one: the service remembers what its server refuses.
async def test_a_server_that_cannot_be_warmed_still_caches(simulated: Simulated) -> None:
    seen = await watch(simulated, "caching", about("water"), refuse=["pre_warm"])
    (_, written, _), *others = cache_of(seen)
    assert written > 512
    assert others == [(None, 0, written)] * 2
