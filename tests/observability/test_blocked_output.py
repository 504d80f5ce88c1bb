"""A log that nobody reads, or that cannot be written, is the log's loss and never the service's."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import pytest

from chat import body
from orchestrator_worker.observability.writing import CLOSE_SECONDS, MAX_QUEUED_BYTES
from tests.observability.page import check
from tests.observability.process import (
    PLAIN,
    ServingProcess,
    events_of,
    serving,
    status_of,
)

LONG = "/" + "a" * 16_000
ENOUGH = MAX_QUEUED_BYTES // len(LONG) + 200
"""Requests whose lines fill a pipe and the queue behind it."""
NOBODY: dict[str, Any] = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
"""No upstream, and no simulator either, whose own server looks at sys.stdout."""
SLOW_SECONDS = 3
"""A log in the way holds a request for as long as nobody reads."""
ENDED = (0, -signal.SIGTERM)


def ask_often(running: ServingProcess, path: str, times: int) -> float:
    """Get a path so often; returns the longest that one answer took, in seconds."""
    connection, longest = running.connect(), 0.0
    for _ in range(times):
        began = time.perf_counter()
        status_of(connection, path)
        longest = max(longest, time.perf_counter() - began)
    connection.close()
    return longest


def chat(running: ServingProcess) -> int:
    connection = running.connect()
    headers = {**running.headers, "content-type": "application/json"}
    status = status_of(connection, "/v1/chat/completions", body=json.dumps(body()), headers=headers)
    connection.close()
    return status


def read_all(descriptor: int) -> tuple[threading.Thread, bytearray]:
    read = bytearray()

    def go_on() -> None:
        while some := os.read(descriptor, 1 << 20):
            read.extend(some)

    reader = threading.Thread(target=go_on)
    reader.start()
    return reader, read


def test_nobody_reads_and_every_request_is_answered_as_ever(tmp_path: Path) -> None:
    never_read, stdout = os.pipe()
    with serving(tmp_path, stdout=stdout, stderr=PIPE, LOG_LEVEL="DEBUG") as running:
        os.close(stdout)
        before = running.resident_bytes
        longest = [ask_often(running, "/health/", 2000), ask_often(running, LONG, ENOUGH)]
        assert chat(running) == 200
        full = running.resident_bytes
        longest.append(ask_often(running, LONG, ENOUGH))
        assert max(longest) < SLOW_SECONDS
        assert full - before < 6 * MAX_QUEUED_BYTES
        assert running.resident_bytes - full < MAX_QUEUED_BYTES / 2
        assert running.end(CLOSE_SECONDS + 2) in ENDED
        assert running.process.stderr
        assert running.process.stderr.read() == b""
    os.close(never_read)


def test_lines_without_room_are_counted_and_told_once_it_flows_again(tmp_path: Path) -> None:
    read, stdout = os.pipe()
    with serving(tmp_path, stdout=stdout, LOG_LEVEL="INFO") as running:
        os.close(stdout)
        ask_often(running, LONG, ENOUGH)
        reader, written = read_all(read)
        # Only the writer tells, so that this comes without a further line being logged.
        wait_for(written, b"log_lines_dropped")
        ask_often(running, "/last", 1)
        assert running.end() in ENDED
        reader.join(10)
    os.close(read)
    events = events_of(bytes(written))
    check(events)
    dropped = [event for event in events if event["event"] == "log_lines_dropped"]
    assert sum(event["lines"] for event in dropped) > 0
    around = ["listening", "simulated", "stopping", "stopped"]
    assert sorted(e["event"] for e in (*events[:2], *events[-2:])) == sorted(around)
    told = sum(event["lines"] for event in dropped) + len(events) - len(dropped)
    assert told == len(around) + ENOUGH + 1
    assert events[-3]["path"] == "/last"


def test_at_the_end_a_late_reader_still_gets_what_was_queued(tmp_path: Path) -> None:
    read, stdout = os.pipe()
    with serving(tmp_path, stdout=stdout, **NOBODY) as running:
        os.close(stdout)
        ask_often(running, LONG, 50)
        running.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(CLOSE_SECONDS * 0.4)
        reader, written = read_all(read)
        assert running.process.wait(CLOSE_SECONDS + 2) in ENDED
        reader.join(10)
    os.close(read)
    paths = [event["path"] for event in events_of(bytes(written)) if "path" in event]
    assert paths == [LONG] * 50


def wait_for(written: bytearray, text: bytes) -> None:
    pause = threading.Event()
    for _ in range(500):
        if text in written:
            return
        pause.wait(0.02)
    raise AssertionError(f"never written: {text!r}")


def test_a_reader_that_leaves_ends_the_log_and_nothing_else(tmp_path: Path) -> None:
    read, stdout = os.pipe()
    with serving(tmp_path, stdout=stdout, stderr=PIPE) as running:
        os.close(stdout)
        ask_often(running, "/before", 5)
        os.close(read)
        assert ask_often(running, "/after", 200) < SLOW_SECONDS
        assert chat(running) == 200
        assert running.end(CLOSE_SECONDS + 2) in ENDED
        assert running.process.stderr
        assert running.process.stderr.read() == b""


@pytest.mark.parametrize(
    ("shell", "form"),
    [
        (">/dev/full", "standard"),
        (">/dev/full 2>/dev/full", "json"),
        (">&-", "json"),
        ("2>&-", "json"),
        ("<&- >&- 2>&-", "json"),
    ],
)
def test_it_serves_whatever_its_output_is(tmp_path: Path, shell: str, form: str) -> None:
    with serving(
        tmp_path, stdout=DEVNULL, stderr=PIPE, shell=shell, LOG_FORMAT=form, **NOBODY
    ) as running:
        assert ask_often(running, "/nothing", 50) < SLOW_SECONDS
        assert chat(running) == 502
        assert running.end(CLOSE_SECONDS + 2) in ENDED
        assert running.process.stderr
        assert running.process.stderr.read() == b""


TAKEN = """
import structlog
from orchestrator_worker.observability.logging import close_logging, configure_logging
with open("another's", "wb") as file:
    assert file.fileno() == 1
    configure_logging("INFO", "json")
    structlog.stdlib.get_logger("one").info("line")
    close_logging()
"""


def test_a_file_that_has_taken_the_place_of_standard_output_is_left_alone(tmp_path: Path) -> None:
    words = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", TAKEN]
    done = subprocess.run(words, env=PLAIN, cwd=tmp_path, stderr=PIPE, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "another's").read_bytes() == b""


MANY = """
import sys, threading
import structlog
from orchestrator_worker.observability.logging import configure_logging
configure_logging("INFO", sys.argv[1])
log = structlog.stdlib.get_logger("many")
def write(thread):
    for number in range(5000):
        log.info("line", thread=thread, number=number)
threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
log.error("last")
sys.exit(1)
"""


@pytest.mark.parametrize("form", ["json", "standard"])
def test_no_line_is_lost_and_their_order_is_kept(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MANY, form], env=PLAIN, capture_output=True, timeout=50, check=False
    )
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr, len(lines)) == (1, b"", 20_001)
    assert b"last" in lines[-1]
    if form == "json":
        events = events_of(done.stdout)[:-1]
        for thread in range(4):
            assert [e["number"] for e in events if e["thread"] == thread] == [*range(5000)]


SHARED = """
import os, sys
import structlog
from orchestrator_worker.observability.logging import configure_logging
os.set_blocking(1, False)
configure_logging("INFO", "json")
log = structlog.stdlib.get_logger("many")
for number in range(2000):
    log.info("line", number=number, text="x" * 500)
"""


def test_a_pipe_that_somebody_made_non_blocking_loses_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHARED], env=PLAIN, capture_output=True, timeout=50, check=False
    )
    assert done.stderr == b""
    assert [event["number"] for event in events_of(done.stdout)] == [*range(2000)]
