"""What the client prints of an answer and of the run behind it, where it is piped."""

import runpy
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from console.fake_service import (
    DONE,
    STREAM_HEAD,
    WAIT_SECONDS,
    Exchange,
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
from console.running_client import (
    AGENTS,
    ANSWER,
    COMMAND,
    ENVIRONMENT,
    SCRIPT,
    ask,
    client,
    columns,
    delegated,
    fake,
    planned,
    worker,
)

if TYPE_CHECKING:
    from console_client import SseParser
else:
    # A script beside the tests, in no package that the path leads to.
    SseParser = runpy.run_path(str(SCRIPT))["SseParser"]


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
    factor = "8.4 \N{MULTIPLICATION SIGN} as much"
    assert f"The same tokens on claude-sonnet-5-5 alone: $0.01010 ({factor})." in lines
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


def test_row_without_a_subtask_tells_what_the_call_was_for() -> None:
    warm = agent("worker", purpose="warm-up")
    again = agent("worker", "s1", purpose="repair", attempt=2)
    done, _ = ask(streaming(*ANSWER, usage(summary(warm, again, agent("lead"))), DONE))
    rows = [line.split() for line in done.stderr.splitlines()[1:4]]
    assert [row[2:-5] for row in rows] == [["warm-up"], ["s1", "#2"], []]


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
    assert (
        "Partial answer: not every subtask has a result (s3 timed out: no answer within 20 s)."
        in done.stderr
    )
    assert "A time limit of the service ended the run early." in done.stderr
    assert done.returncode == 3


def test_plain_server_gets_an_answer_and_a_usage_line() -> None:
    done, _ = ask(streaming(*ANSWER, usage(), DONE))
    assert (done.returncode, done.stdout) == (0, "Hello wörld.\n")
    assert done.stderr == "tokens: 1100 in, 420 out\nrequest id req-7\n"


def test_progress_in_words_is_shown_when_there_is_no_other() -> None:
    done, _ = ask(streaming(delta(None, reasoning_content="Splitting…"), *ANSWER, DONE))
    assert done.stderr.startswith("Splitting…\n")
    assert done.stdout == "Hello wörld.\n"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("length", "The answer was cut"),
        ("content_filter", "The model declined"),
        ("tool_calls", "asked for tool calls"),
    ],
)
def test_incomplete_answer_says_so(reason: str, words: str) -> None:
    done, _ = ask(streaming(delta("Half"), delta(None, reason), DONE))
    assert (done.returncode, done.stdout) == (3, "Half\n")
    assert words in done.stderr


def test_lost_part_is_named_where_no_report_comes() -> None:
    events = [*planned("One"), *worker("s1", "timed_out"), *ANSWER, DONE]
    done, _ = ask(streaming(*events))
    assert done.returncode == 3
    assert "Partial answer: not every subtask has a result (s1 timed out)." in done.stderr


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
    # A worker without an outcome is none that has succeeded.
    assert (done.returncode, done.stdout) == (3, "Hello wörld.\n")


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
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Partial answer")]
    assert [line for line in lines if columns(line) > 80] == []
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
