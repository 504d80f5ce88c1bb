"""The main job against the simulator, each in a process of its own, as the demo and the benchmarks
run it.
"""

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chat import answer_of, ask, frames_of
from conftest import StartService

ROOT = Path(__file__).parent.parent.parent
SECTIONS = "Summarise each section in one sentence, then say what is missing"


@pytest.fixture
def simulator() -> Iterator[str]:
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


@pytest.fixture
async def client(start_service: StartService, simulator: str) -> AsyncIterator[httpx2.AsyncClient]:
    service = await start_service(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=simulator)
    async with httpx2.AsyncClient(
        base_url=service.url, headers=service.headers, timeout=30
    ) as made:
        yield made


async def record(simulator: str) -> dict[str, Any]:
    async with httpx2.AsyncClient(base_url=simulator) as client:
        return (await client.get("/_simulator/calls")).json()


def document() -> list[dict[str, Any]]:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    block = f'<document name="ARCHITECTURE.md">\n{text}\n</document>'
    parts = [{"type": "text", "text": piece} for piece in (block, SECTIONS)]
    return [{"role": "user", "content": parts}]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_document_is_worked_on_by_section_in_parallel(
    client: httpx2.AsyncClient, simulator: str, stream: bool
) -> None:
    async with httpx2.AsyncClient(base_url=simulator) as control:
        # Slow workers and a quick plan, so that all that are ready are in flight together.
        latency = {"first_token_seconds": 0.05, "tokens_per_second": 2000}
        slow = {"first_token_seconds": 1.0, "tokens_per_second": 2000}
        script = {"latencies": {"sonnet": latency, "haiku": slow}}
        assert (await control.put("/_simulator/script", json=script)).status_code == 200
    response = await ask(client, messages=document(), stream=stream)
    answer = answer_of(response)
    seen = await record(simulator)
    calls = [call for call in seen["calls"] if call["path"] == "/v1/messages"]
    roles = [call["headers"]["x-orchestrator-role"] for call in calls]
    assert (roles[0], roles[-1]) == ("lead", "synthesizer")
    # The last subtask needs the others; all others are ready at once.
    ready = len([role for role in roles if role == "worker"]) - 1
    assert ready >= 3
    assert seen["in_flight_peak_by_model"]["claude-haiku-5-5"] == ready
    headings = re.findall(r"^## (.+)$", answer, re.MULTILINE)
    titles = re.findall(r'^Your subtask is "(.+)"', "\n".join(map(turn, calls)), re.MULTILINE)
    assert headings == titles
    assert answer.count("(simulated)") == len(titles)
    assert all(call["outcome"] == "completed" for call in calls)


def turn(call: dict[str, Any]) -> str:
    return call["body"]["messages"][-1]["content"][-1]["text"]


async def test_each_workers_text_is_in_the_answer_in_plan_order(
    client: httpx2.AsyncClient, simulator: str
) -> None:
    script = {
        "replies": [
            {
                "when": {"contains": f'Your subtask is "{name}"'},
                "reply": {"text": f"All about {name}."},
            }
            for name in ("PostgreSQL", "MySQL", "SQLite")
        ]
    }
    async with httpx2.AsyncClient(base_url=simulator) as control:
        assert (await control.put("/_simulator/script", json=script)).status_code == 200
    question = "Compare SQLite, PostgreSQL and MySQL."
    answer = answer_of(await ask(client, messages=[{"role": "user", "content": question}]))
    places = [answer.index(f"All about {name}.") for name in ("SQLite", "PostgreSQL", "MySQL")]
    assert places == sorted(places)


async def test_the_capital_of_france_costs_one_call(
    client: httpx2.AsyncClient, simulator: str
) -> None:
    question = [{"role": "user", "content": "What is the capital of France?"}]
    response = await ask(client, messages=question, stream=True)
    assert "simulated" in answer_of(response)
    assert not any("reasoning_content" in str(frame) for frame in frames_of(response))
    assert len((await record(simulator))["calls"]) == 1


@pytest.mark.parametrize(
    "words",
    [[], ["--file", str(ROOT / "ARCHITECTURE.md"), SECTIONS]],
    ids=["default question", "a file"],
)
@pytest.mark.timeout(300)
def test_the_demo_runs_from_any_directory(tmp_path: Path, words: list[str]) -> None:
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [ROOT / "scripts" / "demo.sh", *words],
        env={**plain, "DATA_DIR": str(tmp_path / "data")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "(simulated)" in done.stdout
    assert done.stdout.count("## ") >= 3
    for word in ("No ANTHROPIC_API_KEY", "planned", "✓", "lead", "worker", "synthesizer", "total"):
        assert word in done.stderr
    assert "The same tokens on claude-sonnet-5-5 alone: $" in done.stderr
    assert max(map(len, done.stderr.splitlines()[2:])) <= 100
