"""What the client says when the service, the way to it, or the person puts an end to the run."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from console.fake_service import (
    DONE,
    STREAM_HEAD,
    WAIT_SECONDS,
    Exchange,
    delta,
    frame,
    progress,
    response,
    script_of,
    streaming,
    summary,
    then_silent,
)
from console.running_client import (
    AGENTS,
    ANSWER,
    COMMAND,
    ENVIRONMENT,
    TITLES,
    ask,
    client,
    fake,
    is_asleep,
    planned,
    worker,
)


def error_body(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "t", "param": None, "code": code}}


@pytest.mark.parametrize(
    ("status", "code", "headers", "advice"),
    [
        ("400 Bad Request", "invalid_value", "", "Change what it names"),
        ("401 Unauthorized", "invalid_api_key", "", ".venv/bin/orchestrator-worker token"),
        ("403 Forbidden", None, "", "This token may not do that"),
        ("404 Not Found", None, "", "Check --base-url"),
        ("405 Method Not Allowed", None, "", "Check the command and --base-url"),
        ("407 Proxy Authentication Required", None, "", "HTTPS_PROXY"),
        ("408 Request Timeout", None, "", "send less"),
        ("413 Payload Too Large", "request_too_large", "", "Send less text or smaller files."),
        ("418 Teapot", None, "", "Check the command"),
        ("429 Too Many", "rate_limit_exceeded", "retry-after: 12\r\n", "Retry after 12 s."),
        ("429 Too Many", "slow_down", "", "Retry later."),
        ("429 Too Many", "insufficient_quota", "", "Raise the spend limit"),
        ("431 Headers", None, "", "too long for a header"),
        ("500 Internal", "internal_error", "", "Retry later."),
        ("502 Bad Gateway", "upstream_auth", "", "valid ANTHROPIC_API_KEY"),
        ("502 Bad Gateway", "upstream_error", "", "or the Claude API behind it failed"),
        ("503 Unavailable", "overloaded", "retry-after: 3\r\n", "Retry after 3 s."),
        ("504 Gateway Timeout", "timeout", "", "ask for less"),
        (
            "307 Temporary Redirect",
            None,
            "location: http://there/\r\n",
            "redirects to http://there",
        ),
    ],
)
def test_http_errors_say_what_and_what_to_do(
    status: str, code: str | None, headers: str, advice: str
) -> None:
    reply = response(error_body("Because\x1b of this.", code), status, headers=headers)
    done, _ = ask(script_of([reply]))
    title = f"error: HTTP {status[:3]} {code or ''}".rstrip()
    assert done.stderr.startswith(f"{title}: Because of this.\n")
    assert advice in done.stderr
    assert done.stderr.endswith("request id req-7\n")
    assert (done.returncode, done.stdout) == (1, "")


def test_model_that_is_not_served_is_a_mistake_in_the_words() -> None:
    refused = response(error_body("No such model.", "model_not_found"), "404 Not Found")
    done, _ = ask(script_of([refused]), "--model", "nonsense")
    assert done.returncode == 2
    assert "HTTP 404 model_not_found: No such model.\n" in done.stderr
    assert "Served models: team-default, team-small.\n" in done.stderr


def test_refused_field_is_named_once() -> None:
    error = {"error": {"message": "Too small.", "param": "max_tokens", "code": "invalid_value"}}
    done, _ = ask(script_of([response(error, "400 Bad Request")]))
    assert "HTTP 400 invalid_value (max_tokens): Too small.\n" in done.stderr
    error["error"]["message"] = "max_tokens is too small."
    done, _ = ask(script_of([response(error, "400 Bad Request")]))
    assert "HTTP 400 invalid_value: max_tokens is too small.\n" in done.stderr


def test_page_of_a_proxy_is_not_taken_for_the_service() -> None:
    page = response(b"<html><h1>502 Bad Gateway</h1></html>", "502 Bad Gateway", "text/html")
    done, _ = ask(script_of([page]))
    assert "HTTP 502: unexpected body" in done.stderr
    assert "Perhaps a proxy on the way has answered" in done.stderr


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "hung up without an answer"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "is no HTTP\nCheck --base-url (http or https?)"),
    ],
)
def test_what_is_no_http_is_named(reply: bytes, words: str) -> None:
    done, _ = ask(script_of([reply]), "--model", "m")
    assert done.returncode == 1
    assert words in done.stderr


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
def test_host_that_cannot_be_a_name_is_named(host: str) -> None:
    done = client("Hi", "--base-url", f"http://{host}", "--model", "m")
    assert done.returncode == 1
    assert "no such host" in done.stderr


@pytest.mark.parametrize("status", ["502 Bad Gateway", "200 OK"])
@pytest.mark.parametrize("body", [b"<html>Sorry\xff</html>", b"", b"[1]", b"{}", b"[" * 100_000])
def test_bodies_that_are_not_of_this_api_are_named(status: str, body: bytes) -> None:
    done, _ = ask(script_of([response(body, status, "text/html")]))
    assert "unexpected body, not JSON of this API (text/html)" in done.stderr
    assert done.returncode == 1


def test_refusal_of_a_large_body_is_read_before_the_body_is_sent(tmp_path: Path) -> None:
    large = tmp_path / "large.txt"
    large.write_bytes(b"x" * 20_000_000)
    refused = response(error_body("Too much.", "request_too_large"), "413 Payload Too Large")

    def refuse(exchange: Exchange) -> None:
        exchange.send(refused)
        exchange.connection.shutdown(socket.SHUT_WR)

    with fake(refuse, read_body=False) as service:
        done = client("Hi", "--base-url", service.url, "--file", str(large))
    assert done.returncode == 1
    assert "HTTP 413 request_too_large: Too much.\nSend less text" in done.stderr


def test_nothing_listening_names_the_way_to_start_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    done = client("Hi", "--base-url", f"http://127.0.0.1:{port}", "--model", "m")
    assert done.returncode == 1
    assert f"nothing answers at http://127.0.0.1:{port}" in done.stderr
    assert "orchestrator-worker serve" in done.stderr


def test_unknown_host_is_named() -> None:
    done = client("Hi", "--base-url", "http://nowhere.invalid", "--model", "m")
    assert done.returncode == 1
    assert "nowhere.invalid" in done.stderr


def test_https_to_a_plain_port_is_named() -> None:
    with fake(streaming()) as service:
        done = client("Hi", "--base-url", service.url.replace("http:", "https:"), "--model", "m")
    assert done.returncode == 1
    assert "no secure connection" in done.stderr


@pytest.mark.parametrize("first", [[], [STREAM_HEAD, delta("Half")]])
def test_silence_ends_after_the_timeout(first: list[bytes]) -> None:
    def fall_silent(exchange: Exchange) -> None:
        exchange.send(*first)
        exchange.wait_until_client_leaves()

    done, service = ask(fall_silent, "--timeout", "0.3")
    assert done.returncode == 1
    assert "no byte from http://127.0.0.1" in done.stderr
    assert "for 0.3 s" in done.stderr
    assert done.stdout == ("Half\n" if first else "")
    assert service.client_left.is_set()


@pytest.mark.parametrize("text", ["Half", ""])
def test_error_frame_ends_with_its_words(text: str) -> None:
    error = frame(**error_body("All workers failed.", "upstream_error"))
    done, _ = ask(streaming(progress("run_started", run_id="run_9"), delta(text), error, DONE))
    assert done.returncode == 1
    incomplete = "The answer may be incomplete. " * bool(text)
    words = f"error: upstream_error: All workers failed.\n{incomplete}The service or the Claude API"
    assert words in done.stderr
    assert done.stderr.endswith("request id req-7  run id run_9\n")
    assert done.stdout == (f"{text}\n" if text else "")


def test_failed_run_still_tells_what_it_cost() -> None:
    failed = error_body("All workers failed.", "upstream_error")
    error = frame(**failed, orchestration=summary(*AGENTS))
    done, _ = ask(streaming(error, DONE))
    assert done.returncode == 1
    assert "total" in done.stderr
    assert "0.00120" in done.stderr


@pytest.mark.parametrize("error", ["plain words", ["odd"], {"message": None}])
def test_error_frames_of_other_shapes_are_errors_too(error: Any) -> None:
    done, _ = ask(streaming(frame(error=error), DONE))
    assert done.returncode == 1
    assert "error: error: " in done.stderr


CHUNKED = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


@pytest.mark.parametrize(
    "pieces",
    [
        [STREAM_HEAD, *ANSWER],
        [STREAM_HEAD, *ANSWER, b"data: [DO"],
        [STREAM_HEAD, *ANSWER, b'data: {"cho'],
        [CHUNKED, b"%x\r\n" % len(b"".join(ANSWER)), *ANSWER],
        [CHUNKED, b"%x\r\n" % len(b"".join(ANSWER)), *ANSWER, b"\r\n50\r\ndata"],
    ],
)
def test_stream_without_done_may_be_incomplete(pieces: list[bytes]) -> None:
    done, _ = ask(script_of(pieces))
    assert (done.returncode, done.stdout) == (1, "Hello wörld.\n")
    assert "The answer may be incomplete." in done.stderr
    assert "IncompleteRead" not in done.stderr
    assert ("it ended in the middle of the answer" in done.stderr) is (pieces[0] == CHUNKED)


def test_done_without_a_blank_line_is_enough() -> None:
    done, _ = ask(streaming(*ANSWER, b"data: [DONE]"))
    assert done.returncode == 0


def test_frame_that_is_not_json_is_an_error() -> None:
    done, _ = ask(streaming(delta("Half"), b"data: {nonsense\n\n", DONE))
    assert done.returncode == 1
    assert "no JSON in the stream: {nonsense" in done.stderr


# Leaving early


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A child inherits an ignored SIGINT, as under `pytest &`; a handler becomes the default."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_closes_the_connection_and_tells_what_is_known() -> None:
    events = [progress("run_started", run_id="run_9"), delta("Half"), *planned(*TITLES)]

    def stall(exchange: Exchange) -> None:
        exchange.send(STREAM_HEAD, *events, *worker("s1"))
        exchange.wait_until_client_leaves()

    with (
        fake(stall) as service,
        subprocess.Popen(
            [*COMMAND, "Hi", "--base-url", service.url],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        assert process.stderr is not None
        while b"\xe2\x9c\x93 1/3" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        assert service.client_left.wait(1)
        out, err = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 130
    assert out == b"Half\n"
    text = err.decode()
    assert text.startswith("interrupted after ")
    assert "connection closed; 1 of 3 subtasks had finished\n" in text
    assert "spent: not known here; calls that are cut off do not tell what they cost\n" in text
    assert text.endswith("request id req-7  run id run_9\n")


@pytest.mark.usefixtures("interruptible")
def test_interrupt_before_the_first_byte_closes_the_connection() -> None:
    arrived = threading.Event()

    def stall(exchange: Exchange) -> None:
        arrived.set()
        exchange.wait_until_client_leaves()

    with (
        fake(stall) as service,
        subprocess.Popen(
            [*COMMAND, "Hi", "--base-url", service.url, "--model", "m"],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        assert arrived.wait(WAIT_SECONDS)
        process.send_signal(signal.SIGINT)
        assert service.client_left.wait(1)
        _, err = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 130
    assert b"Traceback" not in err


@pytest.mark.usefixtures("interruptible")
def test_second_interrupt_does_not_disturb_the_farewell() -> None:
    ours, theirs = os.pipe()
    room = fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
    with (
        fake(then_silent(*planned(*["x" * 80] * 100))) as service,
        subprocess.Popen(
            [*COMMAND, "Hi", "--base-url", service.url],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stderr=theirs,
        ) as process,
    ):
        os.close(theirs)
        wait_until(lambda: waiting_bytes(ours) > room - 100 and is_asleep(process.pid))
        process.send_signal(signal.SIGINT)
        assert service.client_left.wait(WAIT_SECONDS)
        wait_until(lambda: is_asleep(process.pid))  # nobody reads what it says
        process.send_signal(signal.SIGINT)
        with os.fdopen(ours, encoding="utf-8") as pipe:
            told = pipe.read()
        assert process.wait(WAIT_SECONDS) == 130
    assert "Traceback" not in told
    assert "interrupted after" in told
    assert told.endswith("request id req-7\n")


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not happened():
        assert time.monotonic() < deadline


def waiting_bytes(pipe: int) -> int:
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_reader_that_leaves_ends_it_quietly() -> None:
    gone = threading.Event()

    def go_on(exchange: Exchange) -> None:
        exchange.send(STREAM_HEAD, delta("One\n"))
        assert gone.wait(WAIT_SECONDS)
        exchange.send(delta("Two\n"))
        exchange.wait_until_client_leaves()

    with (
        fake(go_on) as service,
        subprocess.Popen(
            [*COMMAND, "Hi", "--base-url", service.url],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"One\n"
        process.stdout.close()
        gone.set()
        assert process.stderr.read() == b""
        assert process.wait(WAIT_SECONDS) == 141
        assert service.client_left.wait(WAIT_SECONDS)


def test_full_disk_is_not_mistaken_for_the_network() -> None:
    with fake(streaming(*ANSWER, DONE)) as service, Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "Hi", "--base-url", service.url],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=WAIT_SECONDS,
        )
    assert done.returncode == 1
    assert b"error: cannot write" in done.stderr
    assert b"Traceback" not in done.stderr
