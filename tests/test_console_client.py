"""The console client as its users run it: a process, a service on the wire, what is printed."""

import os
import pty
import runpy
import signal
import socket
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from console_fake_service import (
    DONE,
    STREAM_HEAD,
    WAIT_SECONDS,
    Exchange,
    FakeService,
    Script,
    agent,
    delta,
    frame,
    progress,
    response,
    script_of,
    streaming,
    summary,
    usage,
)

SCRIPT = Path(__file__).parent.parent / "console_client.py"
if TYPE_CHECKING:
    from console_client import SseParser
else:
    # A script beside the tests, in no package that the path leads to.
    SseParser = runpy.run_path(str(SCRIPT))["SseParser"]
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


# The answer and what is around it


def test_delegated_run_puts_the_answer_on_stdout_and_the_rest_on_stderr() -> None:
    done, service = ask(streaming(*delegated()))
    assert done.returncode == 0
    assert done.stdout == "Both work.\n"
    lines = done.stderr.splitlines()
    assert "planned  s1  Compare write throughput" in lines
    assert "started  s1  Compare write throughput  claude-haiku-5-5" in lines
    assert "✓ 1/1+   s1  Compare write throughput  1.2 s  340 tokens" in lines
    assert "plan     3 subtasks" in lines
    assert "✓ 2/3    s2  Compare operations  1.2 s  340 tokens" in lines
    assert "✗ 3/3    s3  Read the licences  timed out  1.2 s  300 tokens" in lines
    assert "         no answer within 20 s" in lines
    assert "merging  claude-haiku-5-5" in lines
    assert (
        "The same tokens on claude-sonnet-5-5 alone: $0.0101 (8.4 \N{MULTIPLICATION SIGN} as much)."
        in lines
    )
    assert lines[-1] == "request id req-7  run id run_42"
    assert "Splitting" not in done.stderr
    assert service.client_left.is_set() is False


def test_request_asks_for_a_stream_with_usage_and_progress() -> None:
    _, service = ask(streaming(*ANSWER, DONE), "--max-tokens", "50", "--request-id", "mine-1")
    sent = service.chat
    assert sent.target == "/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer secret-token"
    assert sent.headers["x-orchestration"] == "progress, usage"
    assert sent.headers["x-request-id"] == "mine-1"
    assert sent.json() == {
        "model": "team-default",
        "messages": [{"role": "user", "content": "Hi?"}],
        "max_tokens": 50,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_table_has_a_row_per_agent_and_a_total() -> None:
    last = summary(agent("lead"), agent("worker", "s1", attempt=2, outcome="failed", cost_usd=None))
    done, _ = ask(streaming(*ANSWER, usage(last), DONE))
    rows = [line.split() for line in done.stderr.splitlines()[:4]]
    assert rows == [
        ["role", "model", "subtask", "in", "out", "cached", "seconds", "USD"],
        ["lead", "claude-sonnet-5-5", "300", "40", "256", "1.23", "0.00012"],
        ["worker", "✗", "claude-haiku-5-5", "s1", "#2", "300", "40", "256", "1.23", "unknown"],
        ["total", "1100", "420", "768", "3.21", "0.00120"],
    ]


def test_unknown_total_is_not_zero_and_not_compared() -> None:
    last = summary(*AGENTS, totals={"input_tokens": 5, "cost_usd": None})
    done, _ = ask(streaming(*ANSWER, usage(last), DONE))
    total = next(line for line in done.stderr.splitlines() if line.startswith("total"))
    assert total.split() == ["total", "5", "-", "-", "-", "unknown"]
    assert "The same tokens" not in done.stderr


def test_direct_answer_is_not_compared_with_itself() -> None:
    last = summary(agent("lead"), route="direct")
    events = [progress("route_decided", route="direct"), *ANSWER, usage(last), DONE]
    done, _ = ask(streaming(*events))
    assert (done.returncode, done.stdout) == (0, "Hello wörld.\n")
    assert done.stderr.startswith("route    direct\n")
    assert "The same tokens" not in done.stderr


def test_partial_and_late_answers_say_so() -> None:
    done, _ = ask(streaming(*delegated(summary(*AGENTS, partial=True, timed_out=True))))
    assert "Partial answer: not every subtask has a result (s3 timed out)." in done.stderr
    assert "A time limit of the service ended the run early." in done.stderr
    assert done.returncode == 0


def test_plain_server_gets_an_answer_and_a_usage_line() -> None:
    done, _ = ask(streaming(*ANSWER, usage(), DONE))
    assert (done.returncode, done.stdout) == (0, "Hello wörld.\n")
    assert done.stderr == "tokens: 1100 in, 420 out\nrequest id req-7\n"


def test_progress_in_words_is_shown_when_there_is_no_other() -> None:
    done, _ = ask(streaming(delta(None, reasoning_content="Splitting…"), *ANSWER, DONE))
    assert done.stderr.startswith("Splitting…\n")
    assert done.stdout == "Hello wörld.\n"


def test_cut_answer_says_so() -> None:
    done, _ = ask(streaming(delta("Half"), delta(None, "length"), DONE))
    assert "The answer was cut" in done.stderr
    assert done.returncode == 0


ODD = [
    frame(orchestration={"event": "from_the_future", "n": 1}, choices=[]),
    frame(orchestration={"event": ["list"]}),
    *(progress(name) for name in ("subtask_planned", "plan_closed", "plan_repaired")),
    *(progress(name) for name in ("worker_started", "worker_finished", "synthesis_started")),
    progress("worker_finished", subtask_id=5, seconds="1", input_tokens=True, outcome=None),
    progress("plan_closed", subtasks=10**400),
    frame(choices=None, usage=[], orchestration="x"),
    frame(choices=[None]),
    frame(choices=[{"delta": {"content": [1], "reasoning_content": 2}, "finish_reason": 3}]),
    usage({"agents": [None, {}, {"role": 1, "attempt": "x", "seconds": -1}], "totals": 3}),
]


def test_unknown_events_and_missing_fields_are_harmless() -> None:
    done, _ = ask(streaming(*ODD, *ANSWER, DONE))
    assert (done.returncode, done.stdout) == (0, "Hello wörld.\n")


def test_no_stream_shows_the_same_report() -> None:
    message = {"role": "assistant", "content": "Whole."}
    body = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {}}
    whole = response({**body, "orchestration": summary(*AGENTS)})
    done, service = ask(script_of([whole]), "--no-stream")
    assert (done.returncode, done.stdout) == (0, "Whole.\n")
    assert "(8.4 \N{MULTIPLICATION SIGN} as much)" in done.stderr
    assert "stream" not in service.chat.json()


def test_long_and_wide_titles_fit_80_columns() -> None:
    titles = ["長い題名" * 30, "x" * 500, "a👍🏽" * 50]
    reason = "because " * 50
    events = [*planned(*titles), progress("plan_repaired", subtask_id="s1", reason=reason)]
    for at in (1, 2, 3):
        events += worker(f"s{at}", "failed", reason=reason)
    wide = agent("synthesizer", "s" * 40, model="claude-" + "m" * 60, attempt=3, outcome="failed")
    big = {"input_tokens": 123_456_789, "seconds": 86_399.5, "cost_usd": 123_456.7}
    last = summary(wide | big, agent("worker", "s1"), agent("lead", model="長" * 60), partial=True)
    done, _ = ask(streaming(*events, *ANSWER, usage(last), DONE))
    assert [line for line in done.stderr.splitlines() if columns(line) > 80] == []
    assert "…" in done.stderr


def test_control_characters_do_not_reach_the_terminal() -> None:
    evil = "a\x1b]0;title\x07b\x1b[2Jc\x9bd\x08e\u202ef\r\ng"
    events = [
        *planned(evil),
        *worker("s1", "failed", reason=evil),
        delta(f"{evil}\ttab"),
        usage(summary(agent("lead", model=evil), run_id=evil)),
        DONE,
    ]
    done, _ = ask(streaming(*events))
    assert not {*"\x1b\x07\x9b\x08\r"} & {*done.stdout, *done.stderr}
    assert "\u202e" not in done.stderr
    assert done.stdout.endswith("f\ng\ttab\n")
    assert "planned  s1  a]0;titleb[2Jcdef g\n" in done.stderr


@pytest.mark.parametrize("extra", [{}, {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_output_is_utf8_under_the_c_locale(extra: dict[str, str]) -> None:
    env = {"LANG": "C", "LC_ALL": "C", **extra}
    half_pair = delta("→ wörld 長 HALF").replace(b"HALF", rb"\ud83d")
    with fake(streaming(half_pair, *delegated())) as service:
        done = client("Grüße?", "--base-url", service.url, env=env)
    assert (done.returncode, done.stdout) == (0, "→ wörld 長 ?Both work.\n")
    assert "✓ 2/3" in done.stderr
    assert service.chat.json()["messages"][0]["content"] == "Grüße?"


def terminal(*args: str, env: dict[str, str]) -> str:
    """What a terminal shows of both streams."""
    ours, theirs = pty.openpty()
    with (
        os.fdopen(ours, "rb", buffering=0) as screen,
        subprocess.Popen(
            [*COMMAND, *args], env=ENVIRONMENT | env, stdin=theirs, stdout=theirs, stderr=theirs
        ) as process,
    ):
        os.close(theirs)
        shown = b"".join(read_pieces(screen.fileno()))
        process.wait(WAIT_SECONDS)
    return shown.decode().replace("\r\n", "\n")


def read_pieces(number: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(number, 65_536)
        except OSError:  # Linux ends a terminal whose other side is closed with EIO.
            return
        if not piece:
            return
        yield piece


def test_terminal_shows_everything_in_order_and_in_colour() -> None:
    events = [*planned("One"), delta("Text"), *worker("s1"), *ANSWER, usage(summary(*AGENTS)), DONE]
    with fake(streaming(*events)) as service:
        shown = terminal("Hi", "--base-url", service.url, env={"TERM": "xterm"})
        plain = terminal("Hi", "--base-url", service.url, env={"TERM": "xterm", "NO_COLOR": "1"})
        dumb = terminal("Hi", "--base-url", service.url, env={"TERM": "dumb"})
        asked = terminal("Hi", "--base-url", service.url, "--no-color", env={"TERM": "xterm"})
    assert "\x1b[32m✓ 1/1+" in shown
    assert "\x1b" not in plain + dumb + asked
    start = "planned  s1  One\n\nText\n\nstarted  s1  One  claude-haiku-5-5\n"
    assert plain.startswith(start)
    assert "340 tokens\n\nHello wörld.\n\nrole " in plain


def test_joint_pipe_keeps_the_order_without_colour() -> None:
    with fake(streaming(*delegated())) as service:
        done = subprocess.run(
            [*COMMAND, "Hi", "--base-url", service.url],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=WAIT_SECONDS,
        )
    text = done.stdout.decode()
    assert "merging  claude-haiku-5-5\n\nBoth work.\n\nrole " in text
    assert "\x1b" not in text


# What goes wrong on the wire


def error_body(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "t", "param": None, "code": code}}


@pytest.mark.parametrize(
    ("status", "code", "headers", "advice"),
    [
        ("400 Bad Request", "invalid_value", "", ""),
        ("401 Unauthorized", "invalid_api_key", "", "orchestrator-worker token"),
        ("404 Not Found", "model_not_found", "", "Served models: team-default, team-small."),
        ("404 Not Found", None, "", "Check --base-url"),
        ("413 Payload Too Large", "request_too_large", "", "fewer or smaller files"),
        ("429 Too Many", "rate_limit_exceeded", "retry-after: 12\r\n", "Retry after 12 s."),
        ("429 Too Many", "insufficient_quota", "", "Retry later."),
        ("500 Internal", "internal_error", "", "Retry later."),
        ("503 Unavailable", "overloaded", "retry-after: 3\r\n", "Retry after 3 s."),
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
    assert "HTTP 413 request_too_large: Too much.\nSend fewer" in done.stderr


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
    assert "error: upstream_error: All workers failed.\nThe answer may be inc" in done.stderr
    assert done.stderr.endswith("request id req-7  run id run_9\n")
    assert done.stdout == (f"{text}\n" if text else "")


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


def test_done_without_a_blank_line_is_enough() -> None:
    done, _ = ask(streaming(*ANSWER, b"data: [DONE]"))
    assert done.returncode == 0


def test_frame_that_is_not_json_is_an_error() -> None:
    done, _ = ask(streaming(delta("Half"), b"data: {nonsense\n\n", DONE))
    assert done.returncode == 1
    assert "not JSON in the stream: {nonsense" in done.stderr


# Bytes


TEXT = b': ping\n\ndata: {"a": "\xe9\x95\xb7"}\n\nevent: x\ndata:one\ndata: two\n\n: end\n\n'
EVENTS = ['{"a": "長"}', "one\ntwo"]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_parser_gives_the_same_events_at_every_split(ending: bytes) -> None:
    text = TEXT.replace(b"\n", ending)
    for first in range(len(text) + 1):
        for second in range(first, len(text) + 1):
            parser = SseParser()
            pieces = (text[:first], text[first:second], text[second:])
            assert [event for piece in pieces for event in parser.feed(piece)] == EVENTS


def test_stream_sent_byte_by_byte_is_whole() -> None:
    stream = b"".join([delta("Grüße 長"), usage(), DONE]).replace(b"\n", b"\r\n")

    def trickle(exchange: Exchange) -> None:
        exchange.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        exchange.send(STREAM_HEAD, *(stream[at : at + 1] for at in range(len(stream))))

    done, _ = ask(trickle)
    assert (done.returncode, done.stdout) == (0, "Grüße 長\n")


def test_parser_looks_at_a_long_line_once() -> None:
    parser = SseParser()
    for _ in range(200_000):
        assert parser.feed(b"data: xxxxxxxxxx") == []
    (event,) = parser.feed(b"\n\n")
    assert len(event) == 200_000 * 16 - 6


# Before the wire


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/", "/team/v1"])
def test_base_url_is_accepted_with_and_without_v1(suffix: str) -> None:
    with fake(streaming(*ANSWER, DONE)) as service:
        env = {"ORCHESTRATOR_BASE_URL": service.url + suffix, "ORCHESTRATOR_MODEL": "from-env"}
        done = client("Hi", env=env)
    assert done.returncode == 0
    prefix = "/team" if "team" in suffix else ""
    assert [one.target for one in service.requests] == [f"{prefix}/v1/chat/completions"]
    assert service.chat.json()["model"] == "from-env"


def test_model_option_wins() -> None:
    _, service = ask(streaming(*ANSWER, DONE), "--model", "m", env={"ORCHESTRATOR_MODEL": "e"})
    assert service.chat.json()["model"] == "m"


def test_service_without_models_asks_for_one() -> None:
    with fake(streaming(), models=response({"data": []})) as service:
        done = client("Hi", "--base-url", service.url)
    assert done.returncode == 1
    assert "Name one with --model." in done.stderr


PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def test_proxy_is_ignored_for_loopback_only() -> None:
    nowhere = dict.fromkeys(PROXIES, "http://127.0.0.1:1")
    done, _ = ask(streaming(*ANSWER, DONE), env=nowhere)
    assert done.returncode == 0
    with fake(streaming(*ANSWER, DONE)) as service:
        env = {"http_proxy": service.url}
        done = client("Hi", "--base-url", "http://far.invalid", "--model", "m", env=env)
    assert done.returncode == 0
    assert service.requests[0].target == "http://far.invalid/v1/chat/completions"


def test_missing_token_says_how_to_get_one() -> None:
    done = client("Hi", env={"API_BEARER_TOKEN": ""})
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "orchestrator-worker token" in done.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["Hi", "--base-url", "localhost:8000"], "not a base URL"),
        (["Hi", "--base-url", "http://"], "not a base URL"),
        (["Hi", "--base-url", "http://h:99999"], "not a base URL"),
        (["Hi", "--base-url", "http://u:p@h"], "not a base URL"),
        (["Hi", "--request-id", "a\nb"], "--request-id"),
        (["Hi", "--timeout", "nan"], "--timeout"),
        (["Hi", "--max-tokens", "0"], "--max-tokens"),
        (["Hi", "--unknown"], "--unknown"),
        (["  "], "the prompt is empty"),
        ([], "the prompt is empty"),
    ],
)
def test_usage_mistakes_end_with_2(args: list[str], words: str) -> None:
    done = client(*args)
    assert done.returncode == 2
    assert words in done.stderr


def test_no_prompt_on_a_terminal_is_a_mistake_not_a_wait() -> None:
    assert "error: no prompt" in terminal(env={})


@pytest.mark.parametrize("args", [[], ["-"]])
def test_prompt_comes_from_stdin(args: list[str]) -> None:
    with fake(streaming(*ANSWER, DONE)) as service:
        done = client(*args, "--base-url", service.url, stdin="Grüße?\n".encode())
    assert done.returncode == 0
    assert service.chat.json()["messages"][0]["content"] == "Grüße?\n"


def test_stdin_that_is_not_utf8_is_refused() -> None:
    done = client("-", stdin=b"caf\xe9")
    assert done.returncode == 2
    assert "stdin is not UTF-8 text (byte 3)" in done.stderr


def test_files_go_before_the_prompt_as_documents(tmp_path: Path) -> None:
    paths = [tmp_path / "one.txt", tmp_path / 'tw"o.txt', tmp_path / "sub" / "one.txt"]
    paths[2].parent.mkdir()
    for path in paths:
        path.write_text(f"in {path.name}", encoding="utf-8")
    args = [word for path in paths for word in ("--file", str(path))]
    _, service = ask(streaming(*ANSWER, DONE), *args)
    assert service.chat.json()["messages"][0]["content"] == [
        {"type": "text", "text": f'<document name="{paths[0]}">\nin one.txt\n</document>'},
        {"type": "text", "text": '<document name="tw\'o.txt">\nin tw"o.txt\n</document>'},
        {"type": "text", "text": f'<document name="{paths[2]}">\nin one.txt\n</document>'},
        {"type": "text", "text": "Hi?"},
    ]


def test_bad_files_are_named_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with (tmp_path / "large.txt").open("wb") as large:
        large.truncate(25 * 1024 * 1024 + 1)
    reasons = {
        "latin.txt": "is not UTF-8 text",
        "large.txt": "is larger than 25 MB",
        "missing.txt": "No such file",
        ".": "Is a directory",
    }
    for name, reason in reasons.items():
        done, service = ask(streaming(), "--file", str(tmp_path / name))
        assert done.returncode == 2
        assert reason in done.stderr
        assert service.requests == []


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


def test_help_names_the_environment_and_the_exit_codes() -> None:
    done = client("--help")
    assert done.returncode == 0
    assert "API_BEARER_TOKEN" in done.stdout
    assert "130 interrupted" in done.stdout


def test_client_imports_the_standard_library_only() -> None:
    lines = [
        line.split()[1]
        for line in SCRIPT.read_text(encoding="utf-8").splitlines()
        if line.startswith(("import ", "from "))
    ]
    assert {name.split(".")[0] for name in lines} <= sys.stdlib_module_names
