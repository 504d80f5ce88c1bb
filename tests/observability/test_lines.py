"""What becomes of an event on its way to a line: in both forms, whatever it holds."""

import asyncio
import json
import logging
import logging.config
import os
import re
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest
import structlog

from orchestrator_worker.errors import UpstreamFault
from orchestrator_worker.observability.logging import close_logging, configure_logging
from orchestrator_worker.observability.redaction import MAX_ITEMS, MAX_TEXT_CHARS
from orchestrator_worker.observability.writing import LineHandler
from tests.observability.page import check

Form = Literal["json", "standard"]
FORMS: list[Form] = ["json", "standard"]


@dataclass
class Log:
    """Where lines go, and what has come."""

    file: Path

    @property
    def ours(self) -> structlog.stdlib.BoundLogger:
        self._alone()
        return structlog.stdlib.get_logger("orchestrator_worker.tests")

    def library(self, name: str = "library") -> logging.Logger:
        self._alone()
        return logging.getLogger(name)

    def _alone(self) -> None:
        # pytest's own handler fails where ours must not.
        root = logging.getLogger()
        root.handlers[:] = [it for it in root.handlers if isinstance(it, LineHandler)]

    def written(self) -> str:
        """Return what was written; nothing is after that."""
        close_logging()
        return self.file.read_bytes().decode()

    def lines(self) -> list[str]:
        return self.written().splitlines()

    def events(self) -> list[dict[str, Any]]:
        # Python's idea of lines is wider than JSON's.
        return [orjson.loads(line) for line in self.lines()]


@contextmanager
def logging_to(file: Path, form: Form, level: str = "DEBUG") -> Generator[Log]:
    root = logging.getLogger()
    handlers, before = root.handlers[:], root.level
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    try:
        configure_logging(level, form, descriptor)
        yield Log(file)
    finally:
        close_logging()
        logging.captureWarnings(False)
        root.handlers[:] = handlers
        root.setLevel(before)
        structlog.reset_defaults()
        os.close(descriptor)


@pytest.fixture
def log(tmp_path: Path, request: pytest.FixtureRequest) -> Generator[Log]:
    """A log in JSON, or in the form that the test asks for."""
    with logging_to(tmp_path / "service.log", getattr(request, "param", "json")) as log:
        yield log


in_both_forms = pytest.mark.parametrize("log", FORMS, indirect=True)


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("canary")

    __repr__ = __str__


class Unaskable(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("canary")


def endless() -> list[Any]:
    itself: list[Any] = []
    itself.append(itself)
    return itself


LINE_ENDS = "two\nlines\r\x0b\x0c\x1c\x85\u2028\u2029end"
VALUES: list[tuple[Any, Any]] = [
    (LINE_ENDS, LINE_ENDS),
    ("lone \ud800 surrogate", "lone \\ud800 surrogate"),
    (b"bytes \xff\n", "bytes \\xff\n"),
    (float("nan"), None),
    (float("-inf"), None),
    (2**64, "18446744073709551616"),
    (-(2**63), -(2**63)),
    (10**5000, "<int>"),
    (Decimal("0.10"), "0.10"),
    (UpstreamFault.OVERLOADED, "overloaded"),
    (Path("/a"), "/a"),
    (ValueError("x"), "ValueError('x')"),
    (Unshowable(), "<Unshowable>"),
    ([Unshowable(), endless() and 1], ["<Unshowable>", 1]),
    ({1: {"a"}, "b\ud800": (None, True)}, {"1": ["a"], "b\\ud800": [None, True]}),
]


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_every_value_is_plain_json_on_one_line(log: Log, number: int) -> None:
    value, told = VALUES[number]
    log.ours.info("it_happened", value=value)
    log.library().info("it happened", extra={"value": value})
    ours, theirs = log.events()
    assert ours["value"] == theirs["value"] == told


@pytest.mark.parametrize("number", range(len(VALUES)))
@pytest.mark.parametrize("log", ["standard"], indirect=True)
def test_every_value_is_one_line_for_people(log: Log, number: int) -> None:
    log.ours.info("it_happened", value=VALUES[number][0])
    log.ours.info("request_finished", path=VALUES[number][0], status="x", method=None)
    first, *_ = lines = log.lines()
    assert len(lines) == 2
    assert "it_happened value=" in first
    assert first.isprintable()


@in_both_forms
def test_what_is_endless_or_huge_is_bounded(log: Log) -> None:
    huge = "a" * (MAX_TEXT_CHARS // 2) + "x" * 10**6 + "z" * (MAX_TEXT_CHARS // 2)
    log.ours.info("it_happened", text=huge, itself=endless(), many=[*range(10**5)])
    log.ours.info("next")
    first, _ = log.lines()
    assert len(first) < MAX_TEXT_CHARS + 10_000
    if first.startswith("{"):
        event = json.loads(first)
        assert event["text"].startswith("a" * (MAX_TEXT_CHARS // 2) + " … (")
        assert event["text"].endswith(") … " + "z" * (MAX_TEXT_CHARS // 2))
        assert len(event["many"]) == MAX_ITEMS + 1


@in_both_forms
def test_what_cannot_be_rendered_costs_its_line_alone(
    log: Log, capfd: pytest.CaptureFixture[str]
) -> None:
    log.library().warning("%d of %s", "canary")
    log.ours.info("it_happened", value=Unaskable(a=1))
    log.ours.info("next")
    lines = log.lines()
    assert len(lines) == 3
    assert "next" in lines[2]
    assert "canary" not in "".join(lines)
    assert capfd.readouterr().err == ""
    if lines[0].startswith("{"):
        events = log.events()
        check(events[:2])
        assert events[0]["of_logger"] == "library"
        assert [it["reason"] for it in events[:2]] == ["TypeError", "RuntimeError"]


def crash() -> None:
    hidden = "canary-local"
    raise RuntimeError(f"broke {len(hidden)}\nin two")


@in_both_forms
def test_a_traceback_has_its_place(log: Log) -> None:
    try:
        crash()
    except RuntimeError:
        log.ours.exception("request_crashed", request_id="req_123456789")
    lines = log.lines()
    assert "canary" not in "".join(lines[:1]) + "".join(lines[-2:])
    if lines[0].startswith("{"):
        (event,) = log.events()
        assert event["exception"].startswith("Traceback (most recent call last):\n")
        assert event["exception"].endswith("RuntimeError: broke 12\nin two")
    else:
        assert lines[0].endswith("ERROR A bug ended a request (123456)")
        assert lines[1] == "Traceback (most recent call last):"
        assert lines[-2:] == ["RuntimeError: broke 12", "in two"]


@in_both_forms
def test_lines_of_libraries_come_in_the_same_form(log: Log) -> None:
    log.library("uvicorn.error").error("Invalid HTTP\nrequest received.")
    log.library("uvicorn.error").info("Started server")
    log.library("uvicorn.access").info("GET /")
    log.library("httpx2").debug("headers")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("mind\nthis", stacklevel=1)
    loop = asyncio.new_event_loop()
    loop.call_exception_handler({"message": "Task was\nforgotten", "exception": ValueError("x")})
    loop.close()
    lines = [line for line in log.lines() if re.match(r"\{|\d\d:", line)]
    assert len(lines) == 3
    if lines[0].startswith("{"):
        uvicorn, python, asyncios = log.events()
        assert uvicorn["event"] == "Invalid HTTP\nrequest received."
        assert (python["logger"], python["level"]) == ("py.warnings", "warning")
        assert "UserWarning: mind\nthis" in python["event"]
        assert asyncios["logger"] == "asyncio"
        assert asyncios["exception"] == "ValueError: x"


SECRETS = [
    "sk-ant-api03-canaryDEF_123",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.canary",
    "Bearer canary.def",
    "bearer   canary",
    "x-api-key: canary",
    "{'api_key': 'canary', 'a': 1}",
    "Authorization: Basic canary==",
    "password=canary",
    "x" * MAX_TEXT_CHARS + " sk-ant-canary" + "y" * 3000 + "z" * (MAX_TEXT_CHARS // 2),
    "x" * (MAX_TEXT_CHARS // 2 - 4) + "sk-ant-canary" + " x" * MAX_TEXT_CHARS,
]


@pytest.mark.parametrize("number", range(len(SECRETS)))
@in_both_forms
def test_what_looks_like_a_secret_is_redacted_wherever_it_stands(log: Log, number: int) -> None:
    secret = SECRETS[number]
    log.ours.info(f"it happened {secret}", value=secret)
    log.ours.info("nested", value={"a": [{"b": (secret, {secret: 1})}]}, raw=secret.encode())
    log.ours.info("teams_not_reloaded", problems=[secret])
    log.library().warning("failed with %s and %r", secret, [secret])
    log.library().warning("failed", extra={"value": {"deep": secret}})
    try:
        raise ValueError(secret)
    except ValueError as error:
        log.ours.exception("request_crashed", error=error)
    written = log.written()
    told, redacted = "canary" in written, "[red" in written  # pytest would show all of it
    assert (told, redacted) == (False, True)


@in_both_forms
def test_what_is_named_as_a_secret_is_redacted(log: Log) -> None:
    headers = {
        "X-Api-Key": "canary",
        "Authorization": b"canary",
        "accept": "all",
        "Cookie": ["canary"],
    }
    log.ours.info("it_happened", headers=headers, password="canary")
    (line,) = log.lines()
    assert "canary" not in line
    assert line.count("[redacted]") >= 3


@pytest.mark.parametrize("number", range(3))
def test_no_text_makes_looking_for_secrets_slow(log: Log, number: int) -> None:
    """As long as a line may be, and made of what a search may stumble over."""
    hostile = ("eyJ" * 8000, "bearer " * 4000, "eyJaaaa." * 3000)[number]
    took = min(_seconds_of(lambda: log.ours.info("it_happened", value=hostile)) for _ in range(3))
    assert took < 0.1
    assert len(log.lines()) == 3


def _seconds_of(act: Callable[[], None]) -> float:
    began = time.thread_time()
    act()
    return time.thread_time() - began


REQUEST = {
    "method": "POST",
    "path": "/v1/chat/completions",
    "status": 200,
    "outcome": "ok",
    "milliseconds": 2310.4,
    "principal": "local",
    "route": "delegated",
    "subtasks": 3,
    "subtasks_succeeded": 2,
    "input_tokens": 5200,
    "output_tokens": 1100,
    "cache_read_input_tokens": 12_000,
    "cache_creation_input_tokens": None,
    "cost_usd": 0.01234,
    "request_id": "req_1f0c2d3e4f5a6b7c8d9e0f1a",
}
ATTEMPT = {
    "role": "worker",
    "subtask_id": "s1",
    "model": "claude-haiku-5-5",
    "attempt": 1,
    "outcome": "succeeded",
    "milliseconds": 812.0,
    "output_tokens": 80,
    "cost_usd": 0.0,
    "request_id": "mine",
}
SAID: list[tuple[str, dict[str, Any], str]] = [
    (
        "request_finished",
        REQUEST,
        "POST /v1/chat/completions 200 2.3s, delegated 2/3, 18.3k tokens, $0.012, local 1f0c2d",
    ),
    (
        "request_finished",
        {"method": "GET", "path": "/" + "a" * 300, "status": 404, "outcome": "refused"},
        "GET /" + "a" * 68 + "… 404 0.000s",
    ),
    (
        "request_finished",
        {"method": "GET", "path": "/a\x1b[31m\n", "status": None, "outcome": "client_disconnected"},
        "GET /a\\x1b[31m\\n no status 0.000s, client_disconnected",
    ),
    (
        "upstream_attempt",
        ATTEMPT,
        "  worker s1 claude-haiku-5-5 succeeded, 0.8s, 80 tokens, $0, mine",
    ),
    (
        "upstream_attempt",
        {**ATTEMPT, "attempt": 2, "outcome": "failed", "reason": "overloaded", "cost_usd": None},
        "  worker s1 claude-haiku-5-5 (attempt 2) failed, overloaded, 0.8s, 80 tokens, "
        "$ unknown, mine",
    ),
    (
        "model_deprecated",
        {"model": "claude-1", "retires_at": "2030-01-01"},
        "The model claude-1 retires on 2030-01-01: configure another before.",
    ),
    ("plan_repaired", {"subtask_id": "s1"}, "  The plan was repaired (s1)"),
    ("never_heard_of", {"b": 1, "a": "x y", "run_id": "r"}, "never_heard_of b=1 a=x y"),
]


@pytest.mark.parametrize("number", range(len(SAID)))
@pytest.mark.parametrize("log", ["standard"], indirect=True)
def test_events_are_said_in_words(log: Log, number: int) -> None:
    event, fields, said = SAID[number]
    log.ours.info(event, **fields)
    (line,) = log.lines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d info  ", line[:15])
    assert line[15:] == said


@pytest.mark.parametrize("log", ["standard"], indirect=True)
def test_problems_stand_below_their_line(log: Log) -> None:
    log.ours.error("teams_not_reloaded", problems=["a/team.toml: x", "b/team.toml: y"])
    first, *below = log.lines()
    assert first.endswith(
        "ERROR Teams not read again, the teams read before stay in force. Mend this:"
    )
    assert [line.strip() for line in below] == ["- a/team.toml: x", "- b/team.toml: y"]


def on_terminal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    """Log one line to a terminal with these variables; return what it shows."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ours, theirs = os.openpty()
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    try:
        configure_logging("INFO", "standard", theirs)
        logging.getLogger("library").warning("it happened")
        close_logging()
        return os.read(ours, 1000).decode()
    finally:
        logging.captureWarnings(False)
        root.handlers[:] = before
        root.setLevel(logging.WARNING)
        structlog.reset_defaults()
        os.close(theirs)
        os.close(ours)


def test_levels_are_coloured_on_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[33mwarn \x1b[0m it happened" in on_terminal(monkeypatch, TERM="xterm")
    assert "\x1b" not in on_terminal(monkeypatch, NO_COLOR="1", TERM="xterm")
    assert "\x1b" not in on_terminal(monkeypatch, TERM="dumb")


def test_the_last_configuration_holds_and_the_first_loses_nothing(tmp_path: Path) -> None:
    with logging_to(tmp_path / "first", "json") as first:
        logger = first.ours
        logger.info("one")
        with logging_to(tmp_path / "second", "standard", "WARNING") as second:
            logger.info("two")
            logger.warning("three")
            assert [line[9:] for line in second.lines()] == ["warn  three"]
        assert [event["event"] for event in first.events()] == ["one"]


def test_a_library_that_closes_all_handlers_does_not_end_the_log(log: Log) -> None:
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    log.ours.info("after")
    assert [event["event"] for event in log.events()] == ["after"]


def test_levels_below_the_configured_one_are_not_written(tmp_path: Path) -> None:
    with logging_to(tmp_path / "log", "json", "WARNING") as log:
        log.ours.info("not_shown")
        log.ours.warning("shown")
        assert [event["event"] for event in log.events()] == ["shown"]
