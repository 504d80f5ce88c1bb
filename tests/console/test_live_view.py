"""The live view, as it stands on a terminal while the run goes on and when it is over."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from console.fake_service import (
    DONE,
    FakeService,
    delta,
    frame,
    progress,
    staged,
    streaming,
    summary,
    then_silent,
    usage,
)
from console.running_client import AGENTS, ANSWER, TITLES, columns, delegated, fake, planned, worker
from console.terminal import ClientInTerminal, Terminal

SPENT = {"input_tokens": 2000, "output_tokens": 134, "cost_usd": 0.00123}
WORKING = [
    progress("run_started", run_id="run_42"),
    progress("route_decided", route="delegated"),
    *planned(*TITLES),
    progress("plan_closed", subtasks=3, spent=SPENT),
]
ENDING = [*ANSWER, usage(summary(*AGENTS)), DONE]


def started(subtask: str) -> bytes:
    return worker(subtask)[0]


def ended(subtask: str, outcome: str = "succeeded", reason: str | None = None) -> bytes:
    return worker(subtask, outcome, reason=reason)[1]


def watching(service: FakeService, *args: str, **changes: Any) -> ClientInTerminal:
    return ClientInTerminal("Hi", "--base-url", service.url, *args, **changes)


def line_with(terminal: Terminal, text: str) -> str:
    (found,) = [line for line in terminal.everything if text in line]
    return found


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 12)])
def test_view_follows_the_run_and_stays_above_the_answer(width: int, height: int) -> None:
    go_on, finish = threading.Event(), threading.Event()
    parts = [*WORKING, started("s1"), started("s2"), ended("s1"), ended("s2", "timed_out", "slow")]
    script = staged(*parts, go_on, started("s3"), finish, ended("s3"), *ENDING)
    with fake(script) as service, watching(service, columns=width, rows=height) as asked:
        terminal = asked.terminal
        asked.wait_for_text("✗ s2")
        lines = terminal.shown
        assert lines[0].startswith("✓ s1  Compare write throughput")
        assert lines[0].endswith("  1.2 s     340 tokens")
        assert ("Compare operations: slow" if width == 80 else "Compare operation…") in lines[1]
        assert lines[1].startswith("✗ s2")
        assert "timed out    1.2 s     340 tokens" in lines[1]
        assert lines[2].startswith("· s3  Read the licences")
        assert "waiting" in lines[2]
        assert lines[3].startswith("━━━━━")
        assert ("2/3, 1 failed  working" if width == 80 else "2/3, 1 failed  ") in lines[3]
        assert "2,134 tokens  $0.00123" in lines[3]
        assert len(lines) == 4
        go_on.set()
        asked.wait_for(lambda: len(terminal.shown) > 2 and terminal.shown[2][0] in "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
        before = terminal.shown[2]
        asked.wait_for_frames(2)
        assert terminal.shown[2] != before  # it spins, and the seconds go on
        finish.set()
        assert asked.finish() == 0
    assert terminal.broken_lines == 0
    shown = terminal.everything
    assert shown[2].startswith("✓ s3  Read the licences")
    assert "3/3, 1 failed" in shown[3]
    assert "answering" not in shown[3]
    assert shown[4:7] == ["", "Hello wörld.", ""]
    assert shown[7].startswith("role")
    assert shown[-1] == "request id req-7  run id run_42"
    assert max(map(columns, shown)) <= width


def test_bar_grows_and_marks_are_coloured() -> None:
    second = threading.Event()
    again = progress("worker_escalated", subtask_id="s2", reason="empty", model="m")
    parts = [*WORKING, started("s1"), ended("s1"), started("s2"), again, started("s3")]
    script = staged(*parts, second, ended("s2"), ended("s3", "failed"), *ENDING)
    with fake(script) as service, watching(service) as asked:
        asked.wait_for_text("↻ s2  Compare operations: empty")
        asked.wait_for_text("⠹ s3")
        assert "again" in line_with(asked.terminal, "↻ s2")
        assert asked.terminal.shown[3].startswith("━" * 10 + "─" * 20 + "  1/3  working")
        second.set()
        assert asked.finish() == 0
    assert asked.terminal.everything[3].startswith("━" * 30 + "  3/3, 1 failed")
    for coloured in ("\x1b[32m✓", "\x1b[31m✗", "\x1b[33m↻", "\x1b[32m━", "\x1b[2m─"):
        assert coloured in asked.raw
    assert asked.terminal.colours >= {"2", "31", "32", "33", "36"}


def test_only_what_has_changed_is_drawn() -> None:
    with fake(then_silent(*WORKING, started("s1"))) as service, watching(service) as asked:
        asked.wait_for_text("Read the licences")
        asked.wait_for_frames(1)
        before = len(asked.raw)
        asked.wait_for_frames(3)
        drawn = asked.raw[before:]
        asked.interrupt()
        assert asked.finish() == 130
    assert "Compare write throughput" in drawn
    assert "licences" not in drawn


def test_drawing_is_at_most_ten_times_a_second() -> None:
    with fake(then_silent(*WORKING, started("s1"))) as service, watching(service) as asked:
        asked.wait_for_frames(12)
        asked.interrupt()
        assert asked.finish() == 130
    seconds = float(asked.raw.rpartition("interrupted after ")[2].split()[0])
    assert asked.terminal.frames <= seconds * 10 + 2


@pytest.mark.parametrize("after", [(60, 24), (40, 12), (100, 30), (40, 4)])
def test_view_follows_the_size_of_the_terminal(after: tuple[int, int]) -> None:
    finish = threading.Event()
    script = staged(*WORKING, started("s1"), started("s2"), finish, ended("s1"), *ENDING)
    with fake(script) as service, watching(service) as asked:
        asked.wait_for_text("⠹ s2")
        asked.resize(*after)
        asked.wait_for_frames(3)
        view = asked.terminal.shown
        assert max(map(columns, view)) < after[0]
        assert sum("/3" in line for line in view) == 1
        assert len(view) <= after[1] - 1
        if after[1] > 4:
            assert [line[2:4] for line in view[:3]] == ["s1", "s2", "s3"]
            assert len(view) == 4
        finish.set()
        assert asked.finish() == 0
    assert "Hello wörld." in asked.terminal.everything


def test_many_subtasks_never_fill_more_than_the_terminal() -> None:
    steps = [threading.Event() for _ in range(3)]
    names = [f"s{at}" for at in range(1, 31)]
    script = staged(
        *planned(*(f"Part {name}" for name in names)),
        *map(started, names[:5]),
        steps[0],
        ended("s1", "failed"),
        *(part for name in names[1:20] for part in (started(name), ended(name))),
        steps[1],
        *map(started, names[20:]),
        steps[2],
        *map(ended, names[20:]),
        *ENDING,
    )
    with fake(script) as service, watching(service, columns=60, rows=12) as asked:
        terminal = asked.terminal
        asked.wait_for_text("0/30+")
        asked.wait_for(lambda: terminal.shown[4:5] and "Part s5" in terminal.shown[4])
        assert len(terminal.shown) == 11
        assert terminal.shown[-2] == "… 21 waiting"
        steps[0].set()
        asked.wait_for_text("20/30+, 1 failed")
        assert terminal.shown[0] == "… 20 finished"
        assert terminal.shown[1].startswith("· s21")
        assert terminal.shown[-2] == "… 2 waiting"
        steps[1].set()
        asked.wait_for_text("… 2 running")
        assert len(terminal.shown) == 11
        assert terminal.scrolled == []
        steps[2].set()
        assert asked.finish() == 0
    assert "… 21 finished" in terminal.everything
    assert line_with(terminal, "✗ s1   Part s1")  # who has failed is folded last
    assert terminal.broken_lines == 0


def test_wide_and_hostile_titles_keep_their_columns() -> None:
    titles = ["長い題名" * 20, "e\u0301" * 80, "a\x1b[2Jb\x9bc\u202ed\r\n"]
    with (
        fake(then_silent(*planned(*titles), started("s1"))) as service,
        watching(service, columns=60) as asked,
    ):
        asked.wait_for_frames(2)
        view = asked.terminal.shown
        asked.interrupt()
        asked.finish()
    assert "長い題名" in view[0]
    assert view[2].startswith("· s3  a[2Jbcd")
    assert max(map(columns, view)) < 60
    assert asked.terminal.broken_lines == 0


def test_notes_of_the_run_stand_above_the_bar() -> None:
    repaired = progress("plan_repaired", subtask_id="s2", reason="no such dependency")
    with fake(then_silent(*WORKING, repaired)) as service, watching(service) as asked:
        asked.wait_for_text("repaired s2: no such dependency")
        assert "0/3" in asked.terminal.shown[4]
        asked.interrupt()
        asked.finish()


def test_direct_answer_leaves_no_view_behind() -> None:
    go_on = threading.Event()
    script = staged(progress("route_decided", route="direct"), go_on, *ENDING)
    with fake(script) as service, watching(service) as asked:
        asked.wait_for_text("⠹ answering")
        go_on.set()
        assert asked.finish() == 0
    assert asked.terminal.everything[:2] == ["Hello wörld.", ""]


def test_events_during_the_answer_are_not_printed_between_its_words() -> None:
    events = [*WORKING, started("s1"), delta("One "), ended("s1"), started("s2")]
    events += [ended("s2", "timed_out"), delta("two."), usage(summary(*AGENTS, partial=True)), DONE]
    with fake(streaming(*events)) as service, watching(service) as asked:
        assert asked.finish() == 3
    shown = asked.terminal.everything
    assert shown[0].startswith("▸ s1")
    assert shown[4:7] == ["", "One two.", ""]
    assert "Partial answer: not every subtask has a result (s2 timed out)." in shown


def test_words_before_the_plan_do_not_hide_the_work() -> None:
    finish = threading.Event()
    script = staged(delta("Let me split this."), *WORKING, started("s1"), finish, *ENDING)
    with fake(script) as service, watching(service) as asked:
        asked.wait_for_text("⠹ s1")
        finish.set()
        assert asked.finish() == 0
    shown = asked.terminal.everything
    assert shown[0:2] == ["Let me split this.", ""]
    assert shown[2].startswith("▸ s1")
    assert shown[6:8] == ["", "Hello wörld."]


def test_view_goes_on_while_the_answer_goes_to_a_file(tmp_path: Path) -> None:
    go_on, finish = threading.Event(), threading.Event()
    script = staged(*WORKING, delta("Text "), go_on, *worker("s1"), finish, *ENDING)
    with fake(script) as service, (tmp_path / "answer.md").open("wb") as file:
        with watching(service, stdout=file.fileno()) as asked:
            asked.wait_for_text("answering")
            go_on.set()
            asked.wait_for_text("✓ s1")
            finish.set()
            assert asked.finish() == 0
        shown = asked.terminal.everything
    assert (tmp_path / "answer.md").read_text("utf-8") == "Text Hello wörld.\n"
    assert shown[4] == ""
    assert shown[5].startswith("role")


@pytest.mark.parametrize("plain", [False, True])
def test_nothing_is_written_between_the_words_of_an_answer_that_is_piped(plain: bool) -> None:
    """What `| tee answer.md` gets comes out on the same terminal, where a drawing would land."""
    go_on, finish = threading.Event(), threading.Event()
    script = staged(
        *(WORKING[:2] if plain else [*WORKING, started("s1")]),
        *([] if plain else [progress("worker_started", subtask_id="s2")]),
        delta("One "),
        go_on,
        *(WORKING[2:] if plain else []),
        *worker("s1"),
        delta("two."),
        finish,
        *ENDING[-2:],
    )
    ours, theirs = os.pipe()
    args = ["--no-color"] if plain else []
    with fake(script) as service, watching(service, *args, stdout=theirs) as asked:
        os.close(theirs)
        with os.fdopen(ours, "rb", buffering=0) as piped:
            assert piped.read(100) == b"One "
            asked.wait_for_text("route" if plain else "▸ s2")
            asked.wait_for(lambda: asked.raw.endswith("\r\n" if plain else "\x1b[?25h\r\n"))
            before = len(asked.raw)
            go_on.set()
            assert piped.read(100) == b"two."
            assert asked.is_silent()
            finish.set()
            assert piped.read(100) == b"\n"
        assert asked.finish() == 0
    rest = asked.raw[before:]
    assert rest.startswith("planned  s1" if plain else "\x1b[1mrole")
    assert ("✓ 1/3" in rest) is plain  # held back until the answer had ended
    assert "\x1b[?25l" not in rest


def test_interrupt_that_ends_the_reader_of_the_answer_too_tells_what_was_spent() -> None:
    ours, theirs = os.pipe()
    script = then_silent(*WORKING, started("s1"), delta("Half"))
    with fake(script) as service, watching(service, stdout=theirs) as asked:
        os.close(theirs)
        assert os.read(ours, 100) == b"Half"
        os.close(ours)
        asked.interrupt()
        assert asked.finish() == 130
    words = " ".join(asked.terminal.everything)
    assert "spent: $0.00123 (2,134 tokens) by calls that ended" in words


def test_whole_answer_is_waited_for_in_sight() -> None:
    go_on = threading.Event()

    with fake(staged(go_on, *ENDING)) as service, watching(service, "--no-stream") as asked:
        asked.wait_for_text("⠹ waiting")
        go_on.set()
        assert asked.finish() == 0
    assert asked.terminal.everything[0] == "Hello wörld."


def test_error_leaves_the_view_and_the_terminal_in_order() -> None:
    error = frame(error={"message": "All workers failed.", "code": "upstream_error"})
    events = [*WORKING, *worker("s1", "failed"), error, DONE]
    with fake(streaming(*events)) as service, watching(service) as asked:
        assert asked.finish() == 1
    shown = asked.terminal.everything
    assert shown[0].startswith("✗ s1")
    assert shown[4] == "error: upstream_error: All workers failed."


def test_terminal_that_hangs_up_ends_the_run() -> None:
    with fake(then_silent(*WORKING)) as service, watching(service) as asked:
        asked.wait_for_frames(1)
        asked.process.send_signal(signal.SIGHUP)
        assert asked.process.wait(10) == -signal.SIGHUP
        assert service.client_left.wait(10)
    assert asked.terminal.cursor_visible


@pytest.mark.parametrize(
    ("env", "args"),
    [({"NO_COLOR": "1"}, []), ({"TERM": "dumb"}, []), ({}, ["--no-color"])],
)
def test_without_colour_there_are_plain_lines(env: dict[str, str], args: list[str]) -> None:
    events = [*planned("One"), delta("Text"), *worker("s1"), *ENDING]
    with fake(streaming(*events)) as service, watching(service, *args, env=env) as asked:
        assert asked.finish() == 0
    assert "\x1b" not in asked.raw
    shown = asked.terminal.everything
    assert shown[:6] == ["planned  s1  One", "", "Text", "", SHOWN_START, SHOWN_END]
    assert shown[6:9] == ["", "Hello wörld.", ""]


SHOWN_START = "started  s1  One  claude-haiku-5-5"
SHOWN_END = "✓ 1/1+   s1  One  1.2 s  340 tokens"


def test_piped_stderr_gets_plain_lines_even_when_stdout_is_a_terminal() -> None:
    ours, theirs = os.pipe()
    with fake(streaming(*delegated())) as service, watching(service, stderr=theirs) as asked:
        os.close(theirs)
        assert asked.finish() == 0
    with os.fdopen(ours, encoding="utf-8") as piped:
        told = piped.read()
    assert asked.raw == "Both work.\r\n"
    assert "\x1b" not in told
    assert "plan     3 subtasks\n" in told


# Leaving


@pytest.mark.parametrize("presses", [1, 2, 5])
def test_interrupt_tells_what_was_spent_and_why_it_may_be_more(presses: int) -> None:
    script = then_silent(*WORKING, *worker("s1"), *worker("s2"), started("s3"))
    with fake(script) as service, watching(service) as asked:
        asked.wait_for_text("✓ s2")
        asked.interrupt(presses)
        assert asked.finish() == 130
        assert service.client_left.wait(10)
    shown = asked.terminal.everything
    assert shown[2].startswith("- s3  Read the licences")
    assert "  stopped  " in shown[2]
    assert shown[3].startswith("━" * 20 + "─" * 10 + "  2/3  ")
    words = " ".join(line for line in shown[4:] if not line.startswith("^C"))
    assert words.startswith("interrupted after ")
    told = "had finished spent: $0.00123 (2,134 tokens) by calls that ended; those cut off"
    assert f"connection closed; 2 of 3 subtasks {told} come on top" in words
    assert shown[-1] == "request id req-7  run id run_42"


def test_interrupt_names_tokens_where_the_price_is_unknown() -> None:
    unknown = progress("plan_closed", subtasks=1, spent={**SPENT, "cost_usd": None})
    with fake(then_silent(*planned("One"), unknown)) as service, watching(service) as asked:
        asked.wait_for_text("USD unknown")
        asked.interrupt()
        assert asked.finish() == 130
    words = " ".join(asked.terminal.everything)
    assert "0 of 1 subtask had finished spent: 2,134 tokens (USD unknown) by calls" in words


def test_stopped_workers_are_folded_as_such() -> None:
    names = [f"s{at}" for at in range(1, 21)]
    events = [*planned(*(f"Part {name}" for name in names)), *map(started, names)]
    with fake(then_silent(*events)) as service, watching(service, rows=8) as asked:
        asked.wait_for_text("running")
        asked.interrupt()
        assert asked.finish() == 130
    shown = asked.terminal.everything
    assert "… 15 stopped" in shown
    assert not any("running" in line for line in shown)


def test_interrupt_leaves_no_echo_in_the_answer() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 3
    with fake(then_silent(delta(f"{text}長い題 wor"))) as service, watching(service) as asked:
        asked.wait_for_text("長い題")
        asked.interrupt()
        assert asked.finish() == 130
    assert "^C" in asked.raw
    words = " ".join(asked.terminal.everything)
    assert words.startswith(f"{text}長い題 wor  interrupted after")


def test_interrupts_in_quick_succession_never_show_a_traceback() -> None:
    with fake(then_silent(*WORKING)) as service, watching(service) as asked:
        asked.wait_for_frames(1)
        for _ in range(20):
            if asked.process.poll() is None:
                asked.process.send_signal(signal.SIGINT)
        assert asked.finish() in {130, -signal.SIGINT}
    assert "ignored" not in asked.raw


def test_interrupt_before_an_answer_leaves_no_waiting_line() -> None:
    with fake(then_silent()) as service, watching(service) as asked:
        asked.wait_for_text("⠹ waiting")
        asked.interrupt()
        assert asked.finish() == 130
    assert not any("waiting" in line for line in asked.terminal.everything)
