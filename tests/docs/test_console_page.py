"""docs/console.md shows the console client as it stands on a terminal."""

import re
import threading
from pathlib import Path
from typing import Any

from console.fake_service import (
    DONE,
    Json,
    agent,
    delta,
    in_turn,
    progress,
    staged,
    summary,
    then_silent,
    usage,
)
from console.running_client import fake, planned, worker
from console.terminal import ClientInTerminal

PAGE = Path(__file__).parent.parent.parent / "docs" / "console.md"
QUESTION = "Compare PostgreSQL, MySQL and SQLite for a small online shop."
ANSWER = (
    "For a small online shop all three can carry the load, so licence and operation decide. "
    "PostgreSQL is free in every sense; MySQL is easy to host; SQLite needs no server at all."
)
TITLES = ("PostgreSQL: licence and operation", "MySQL: licence and operation", "SQLite: licence")
LEAD = agent(
    "lead", input_tokens=310, cache_read_input_tokens=1024, output_tokens=174, cost_usd=0.00111
)
WORKERS = [agent("worker", f"s{n}") for n in (1, 2, 3)]
WORKERS[1]["outcome"] = "timed_out"
AGENTS = [LEAD, *WORKERS, agent("synthesizer")]
INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def totals(*agents: Json) -> Json:
    """Return what the service tells of calls that have ended, as the last chunk has it."""
    names = (*INPUT, "output_tokens", "cost_usd")
    sums = {name: sum(one[name] for one in agents) for name in names}
    return {**sums, "seconds": 3.21, "cost_usd_on_lead_model": 0.0101}


def spent(*agents: Json) -> Json:
    """Return the same as the events of the run have it: all input is one number."""
    every = totals(*agents)
    told = {name: every[name] for name in ("output_tokens", "cost_usd")}
    return {**told, "input_tokens": sum(every[name] for name in INPUT)}


WORKING = [
    progress("run_started", run_id="run_5a6e"),
    progress("route_decided", route="delegated"),
    *planned(*TITLES),
    progress("plan_closed", subtasks=3, spent=spent(LEAD)),
    worker("s1")[0],
    worker("s2")[0],
    *worker("s3", spent=spent(LEAD, WORKERS[2])),
]
WRITING = [
    worker("s1", spent=spent(LEAD, *WORKERS[1:]))[1],
    worker("s2", "timed_out", reason="no answer within 20 s", spent=spent(LEAD, *WORKERS))[1],
    progress("synthesis_started", model="claude-haiku-5-5"),
    delta(ANSWER),
    delta(None, "stop"),
    usage(summary(*AGENTS, totals=totals(*AGENTS), partial=True)),
    DONE,
]


def shown(title: str) -> list[str]:
    """Return what the page shows under a title, as `same` has it."""
    (block,) = re.findall(
        rf'```text title="{title}"\n(.*?)\n```', PAGE.read_text("utf-8"), re.DOTALL
    )
    return same(block.splitlines())


def same(lines: list[str]) -> list[str]:
    """Return lines with alike digits and spinners, for these are never the same."""
    return [re.sub("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", "⠇", re.sub(r"\d", "0", line)).rstrip() for line in lines]


def asking(*words: str, **changes: Any) -> ClientInTerminal:
    return ClientInTerminal(*words, **changes)


def test_a_run_half_way_and_finished() -> None:
    go_on = threading.Event()
    with (
        fake(staged(*WORKING, go_on, *WRITING)) as service,
        asking(QUESTION, "--base-url", service.url) as asked,
    ):
        asked.wait_for(lambda: any("1/3" in line for line in asked.terminal.shown))
        asked.wait_for_frames(1)
        assert same(asked.terminal.shown) == shown("half way")
        go_on.set()
        assert asked.finish() == 3
        assert same(asked.terminal.everything) == shown("finished")


def test_an_interrupted_run() -> None:
    with (
        fake(then_silent(*WORKING)) as service,
        asking(QUESTION, "--base-url", service.url) as asked,
    ):
        asked.wait_for(lambda: any("1/3" in line for line in asked.terminal.shown))
        asked.interrupt()
        assert asked.finish() == 130
        assert same(asked.terminal.everything) == shown("interrupted")


def test_a_conversation() -> None:
    answers = ("Paris.", "About two million people live there.")
    scripts = [
        staged(delta(text), delta(None, "stop"), usage(summary(*AGENTS[:1])), DONE)
        for text in answers
    ]
    with (
        fake(in_turn(*scripts)) as service,
        asking("--interactive", "--base-url", service.url) as asked,
    ):
        for after, words in (
            ("/help tells", "What is the capital of France?"),
            ("Paris.", "And how many people live there?"),
            ("live there.", "/quit"),
        ):
            asked.wait_for_text(after)
            asked.wait_for(lambda: asked.terminal.shown[-1] == ">")
            asked.type(f"{words}\n")
        assert asked.finish() == 0
        assert same(asked.terminal.everything) == shown("a conversation")
