"""The main job against the simulator in a process of its own, as the benchmarks run it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat import answer_of, frames_of
from served_teams import AS_BUNDLED
from simulated import INSTANT, Simulated

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served(AS_BUNDLED)]

ROOT = Path(__file__).parent.parent.parent
SECTIONS = "Summarise each section in one sentence, then say what is missing"


@pytest.fixture(scope="module")
def simulator_url() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator_worker", "simulate", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def document() -> list[dict[str, Any]]:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    block = f'<document name="ARCHITECTURE.md">\n{text}\n</document>'
    parts = [{"type": "text", "text": piece} for piece in (block, SECTIONS)]
    return [{"role": "user", "content": parts}]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_document_is_worked_on_by_section_in_parallel(
    simulated: Simulated, stream: bool
) -> None:
    # Slow workers and a quick plan, so that all that are ready are in flight together; not a plan
    # at once, for they come in its order.
    quick = {"first_token_seconds": 0.05, "tokens_per_second": 2000}
    slow = {"first_token_seconds": 1.0, "tokens_per_second": 2000}
    await simulated.order(latencies={"sonnet": quick, "haiku": slow})
    response = await simulated.ask(messages=document(), stream=stream)
    answer = answer_of(response)
    calls = await simulated.calls()
    roles = [call["headers"]["x-orchestrator-role"] for call in calls]
    assert (roles[0], roles[-1]) == ("lead", "synthesizer")
    # The last subtask needs the others; all others are ready at once.
    ready = len([role for role in roles if role == "worker"]) - 1
    assert ready >= 3
    peaks = (await simulated.record())["in_flight_peak_by_model"]
    assert peaks["claude-haiku-5-5"] == ready
    headings = re.findall(r"^## (.+)$", answer, re.MULTILINE)
    titles = re.findall(r'^Your subtask is "(.+)"', "\n".join(map(turn, calls)), re.MULTILINE)
    assert headings == titles
    assert answer.count("(simulated)") == len(titles)
    assert all(call["outcome"] == "completed" for call in calls)


def turn(call: dict[str, Any]) -> str:
    return call["body"]["messages"][-1]["content"][-1]["text"]


async def test_each_workers_text_is_in_the_answer_in_plan_order(simulated: Simulated) -> None:
    replies = [
        {
            "when": {"contains": f'Your subtask is "{name}"'},
            "reply": {"text": f"All about {name}."},
        }
        for name in ("PostgreSQL", "MySQL", "SQLite")
    ]
    await simulated.order(latencies=INSTANT, replies=replies)
    question = "Compare SQLite, PostgreSQL and MySQL."
    answer = answer_of(await simulated.ask(messages=[{"role": "user", "content": question}]))
    places = [answer.index(f"All about {name}.") for name in ("SQLite", "PostgreSQL", "MySQL")]
    assert places == sorted(places)


async def test_the_capital_of_france_costs_one_call(simulated: Simulated) -> None:
    await simulated.order()
    question = [{"role": "user", "content": "What is the capital of France?"}]
    response = await simulated.ask(messages=question, stream=True)
    assert "simulated" in answer_of(response)
    assert not any("reasoning_content" in str(frame) for frame in frames_of(response))
    assert len((await simulated.record())["calls"]) == 1
