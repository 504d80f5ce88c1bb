"""The console client as its users run it: a process, what it is asked with, what it prints."""

import os
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

from console.fake_service import (
    DONE,
    WAIT_SECONDS,
    FakeService,
    Script,
    agent,
    delta,
    progress,
    response,
    summary,
    usage,
)

SCRIPT = Path(__file__).parent.parent.parent / "console_client.py"
# Without site-packages: the client may need nothing that is installed.
COMMAND = [sys.executable, "-S", str(SCRIPT)]
ENVIRONMENT = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "API_BEARER_TOKEN": "secret-token"}
MODELS = response({"object": "list", "data": [{"id": "team-default"}, {"id": "team-small"}]})

ANSWER = [delta("", role="assistant"), delta("Hello "), delta("wörld."), delta(None, "stop")]
TITLES = ["Compare write throughput", "Compare operations", "Read the licences"]

Finished = subprocess.CompletedProcess[str]


def fake(script: Script, models: bytes = MODELS, read_body: bool = True) -> FakeService:
    return FakeService(script, models, read_body)


def client(
    *args: str, stdin: bytes = b"", env: dict[str, str] | None = None, **changes: Any
) -> Finished:
    done = subprocess.run(
        [*COMMAND, *args],
        input=stdin,
        env=ENVIRONMENT | (env or {}),
        capture_output=True,
        timeout=WAIT_SECONDS * 2,
        **changes,
    )
    result = Finished(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in result.stderr
    return result


def ask(script: Script, *args: str, **changes: Any) -> tuple[Finished, FakeService]:
    with fake(script) as service:
        return client("Hi?", "--base-url", service.url, *args, **changes), service


def is_asleep(pid: int) -> bool:
    """Whether a process waits for something.

    CPython hears a signal that comes just before it waits only after the wait.
    """
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "S"


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def planned(*titles: str) -> list[bytes]:
    return [
        progress("subtask_planned", index=at, subtask_id=f"s{at}", title=title)
        for at, title in enumerate(titles, 1)
    ]


def worker(subtask: str, outcome: str = "succeeded", **changes: Any) -> list[bytes]:
    ending = {"reason": None, "seconds": 1.23, "input_tokens": 300, "output_tokens": 40} | changes
    return [
        progress("worker_started", subtask_id=subtask, model="claude-haiku-5-5"),
        progress("worker_finished", subtask_id=subtask, outcome=outcome, cost_usd=None, **ending),
    ]


AGENTS = [agent("lead"), agent("worker", "s1"), agent("worker", "s2"), agent("synthesizer")]


def delegated(last: dict[str, Any] | None = None) -> list[bytes]:
    return [
        delta("", role="assistant"),
        progress("run_started", run_id="run_42"),
        b": heartbeat\n\n",
        progress("route_decided", route="delegated"),
        delta(None, reasoning_content="Splitting the work.\n"),
        *planned(*TITLES[:1]),
        *worker("s1"),
        *planned(*TITLES)[1:],
        progress("plan_closed", subtasks=3),
        *worker("s2"),
        *worker("s3", "timed_out", reason="no answer within 20 s", output_tokens=0),
        progress("synthesis_started", model="claude-haiku-5-5"),
        delta("Both "),
        delta("work."),
        delta(None, "stop"),
        usage(last or summary(*AGENTS)),
        DONE,
    ]
