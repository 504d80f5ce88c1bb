"""Runs the clients against a real service before a simulator, and tells what came out.

Called by scripts/test_clients.sh. Writes every outcome to .clients/outcomes.jsonl and, when all
clients have run, docs/compatibility.md.
"""

# ruff: noqa: T201 what it prints is what it is for

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from environments import CLIENTS, CLIENTS_BY_NAME, ROOT, Client, SetUpError, make
from orders import CASES
from outcomes import Outcome, read_outcome, table
from page import PAGE, page
from servers import NotStartedError, Servers, running

CLIENT_SECONDS = 240
AT_ONCE = 2


def main() -> int:
    """Run what the words say; return the exit code."""
    words = _words()
    signal.signal(signal.SIGTERM, _interrupted)
    chosen = [CLIENTS_BY_NAME[name] for name in dict.fromkeys(words.clients or CLIENTS_BY_NAME)]
    began = time.monotonic()
    try:
        make({client.environment for client in chosen})
        set_up = time.monotonic() - began
        with tempfile.TemporaryDirectory() as scratch, running(Path(scratch), CLIENTS) as servers:
            outcomes = _run_all(chosen, servers, Path(scratch))
    except (SetUpError, NotStartedError) as error:
        print(f"test_clients.sh: {error}", file=sys.stderr)
        return 1
    ran = time.monotonic() - began - set_up
    written = "".join(json.dumps(vars(outcome)) + "\n" for outcome in outcomes)
    (CLIENTS / "outcomes.jsonl").write_text(written, "utf-8")
    print(table(outcomes))
    stale = not words.clients and _is_stale(outcomes, check=words.check)
    return _concluded(outcomes, stale=stale, set_up=set_up, ran=ran)


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="test_clients.sh",
        description="Run real OpenAI clients against the service, before a simulator of the "
        "Claude API. What they need is installed under .clients. When all have run, the outcome "
        "is written to docs/compatibility.md.",
    )
    names = ", ".join(CLIENTS_BY_NAME)
    parser.add_argument(
        "clients", metavar="CLIENT", nargs="*", help=f"only these, of {names}; default: all"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="leave docs/compatibility.md as it is, and fail when it tells something else",
    )
    words = parser.parse_args()
    if unknown := [name for name in words.clients if name not in CLIENTS_BY_NAME]:
        parser.error(f"no such client: {', '.join(unknown)} (there are {names})")
    if words.check and words.clients:
        parser.error("--check needs all clients")
    return words


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signal.SIGTERM)


def _run_all(chosen: list[Client], servers: Servers, scratch: Path) -> list[Outcome]:
    """Run these clients, some at once, and end those that still run when this is left."""
    waiting, runs = [*chosen], list[Run]()
    try:
        while (at_work := sum(run.goes_on() for run in runs)) or waiting:
            if waiting and at_work < AT_ONCE:
                client = waiting.pop(0)
                print(f"Running {client.name} …", file=sys.stderr)
                runs.append(Run(client, _variables(servers, scratch / client.name)))
            else:
                time.sleep(0.05)
    finally:
        for run in runs:
            run.end()
    return [outcome for run in runs for outcome in _outcomes(run)]


class Run:
    """One client's program while it runs, in a folder of its own."""

    def __init__(self, client: Client, variables: dict[str, str]):
        self.client = client
        self._home = Path(variables["HOME"])
        self._home.mkdir()
        self._deadline = time.monotonic() + CLIENT_SECONDS
        with (self._home / "stdout").open("wb") as out, (self._home / "stderr").open("wb") as err:
            self._process = subprocess.Popen(
                client.command,
                cwd=self._home,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,  # so that what it starts can be ended with it
            )

    def goes_on(self) -> bool:
        """Whether it still runs; it is ended when it has taken too long."""
        if self._process.poll() is None and time.monotonic() > self._deadline:
            self.end()
        return self._process.poll() is None

    def end(self) -> None:
        """End it, if it still runs, and all that it has started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def output(self) -> str:
        """What it has printed."""
        return (self._home / "stdout").read_text("utf-8", "replace")

    @property
    def complaint(self) -> str:
        """How it ended, for what it has not reported on."""
        told = (self._home / "stderr").read_text("utf-8", "replace")
        return f"ended with {self._process.returncode}: {told[-600:]}"


def _outcomes(run: Run) -> list[Outcome]:
    """Return what a client reported; what it did not report on has failed."""
    told = [found for line in run.output.splitlines() if (found := read_outcome(line))]
    version = told[0].version if told else "?"
    missing = [
        Outcome(run.client.name, version, case, "failed", f"no outcome; {run.complaint}")
        for case in _cases_of(run.client)
        if case not in {outcome.case for outcome in told}
    ]
    return [*told, *missing]


def _cases_of(client: Client) -> list[str]:
    more = CASES["openai_cases"] if client.name in CASES["openai_clients"] else {}
    return [*CASES["cases"], *more]


def _variables(servers: Servers, home: Path) -> dict[str, str]:
    """Return the whole environment of a client: nobody's keys, settings or proxies."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "NO_PROXY": "127.0.0.1",
        "CLIENTS_BASE_URL": servers.base_url,
        "CLIENTS_API_KEY": servers.api_key,
        "CLIENTS_MODEL": "orchestrator-worker",
        "CLIENTS_SIMULATOR_URL": servers.simulator_url,
        # Both would ask hosts of their own: for a table of prices, and with what was asked.
        "LITELLM_LOCAL_MODEL_COST_MAP": "true",
        "OPENAI_AGENTS_DISABLE_TRACING": "true",
    }


def _is_stale(outcomes: list[Outcome], *, check: bool) -> bool:
    text = page(outcomes)
    if check:
        return not PAGE.is_file() or PAGE.read_text("utf-8") != text
    PAGE.write_text(text, "utf-8")
    return False


def _concluded(outcomes: list[Outcome], *, stale: bool, set_up: float, ran: float) -> int:
    for outcome in outcomes:
        if outcome.outcome == "failed":
            print(f"FAILED {outcome.client} {outcome.case}: {outcome.detail}", file=sys.stderr)
    if stale:
        name = PAGE.relative_to(ROOT)
        print(f"{name} is out of date: run scripts/test_clients.sh", file=sys.stderr)
    counts = Counter(outcome.outcome for outcome in outcomes)
    if counts["failed"]:
        log = (CLIENTS / "serve.log").relative_to(ROOT)
        print(f"What the service logged is in {log}.", file=sys.stderr)
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("ok", "failed", "not offered"))
    print(f"Result: {told} (set up in {set_up:.0f} s, run in {ran:.0f} s)")
    return 1 if counts["failed"] or stale else 0


if __name__ == "__main__":
    sys.exit(main())
