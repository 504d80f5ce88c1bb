"""Where lines of the answer end on a terminal."""

import runpy
import threading
from typing import TYPE_CHECKING

import pytest

from console.fake_service import DONE, delta, response, script_of, staged, streaming
from console.running_client import SCRIPT, ask, fake
from console.terminal import ClientInTerminal

if TYPE_CHECKING:
    from console_client import Wrapper
else:
    Wrapper = runpy.run_path(str(SCRIPT))["Wrapper"]

PROSE = "The quick brown fox jumps over the lazy dog, again and again."
CASES = {
    PROSE: "The quick brown fox\njumps over the lazy\ndog, again and\nagain.",
    "exactly twenty chars and": "exactly twenty chars\nand",
    "- item one is here now": "- item one is here\nnow",
    "one two\n\n  three": "one two\n\n  three",
    f"```sh\n{PROSE}\n```\n{PROSE[:30]}": f"```sh\n{PROSE}\n```\nThe quick brown fox\njumps over",
    f"~~~\n{PROSE}\n~~~": f"~~~\n{PROSE}\n~~~",
    f"| {PROSE} |\nafter the table it wraps": f"| {PROSE} |\nafter the table it\nwraps",
    "長" * 12: "長" * 10 + "\n" + "長" * 2,
    # 36 columns: the terminal breaks it, and 16 of its second line are taken.
    "see https://example.org/a/very/long/path end it": (
        "see\nhttps://example.org/a/very/long/path end\nit"
    ),
}


@pytest.mark.parametrize(("text", "wrapped"), CASES.items())
def test_lines_break_between_words_wherever_the_text_is_cut(text: str, wrapped: str) -> None:
    for size in (1, 2, 3, 7, len(text)):
        wrapper = Wrapper(lambda: 20)
        pieces = [wrapper.feed(text[at : at + size]) for at in range(0, len(text), size)]
        shown = "".join(pieces) + wrapper.end_line()
        assert [line.rstrip() for line in shown.split("\n")] == wrapped.split("\n")


@pytest.mark.parametrize("width", [80, 60])
def test_streamed_answer_breaks_between_words_at_the_width(width: int) -> None:
    pieces = [delta(PROSE[at : at + 3]) for at in range(0, len(PROSE), 3)]
    events = [*pieces, delta(" "), *pieces, DONE]
    with (
        fake(streaming(*events)) as service,
        ClientInTerminal("Hi", "--base-url", service.url, columns=width) as asked,
    ):
        assert asked.finish() == 0
    answer = asked.terminal.everything[: 123 // width + 1]
    assert " ".join(answer) == f"{PROSE} {PROSE}"
    assert asked.terminal.broken_lines == 0
    assert len(answer[0]) > width - 12


def test_words_are_shown_as_they_come() -> None:
    go_on, end = threading.Event(), threading.Event()
    with (
        fake(staged(delta("One tw"), go_on, delta("o three"), end, DONE)) as service,
        ClientInTerminal("Hi", "--base-url", service.url) as asked,
    ):
        asked.wait_for(lambda: asked.terminal.shown == ["One"])
        go_on.set()
        asked.wait_for(lambda: asked.terminal.shown == ["One two"])
        end.set()
        assert asked.finish() == 0
    assert asked.terminal.everything[0] == "One two three"


def test_piped_answer_keeps_its_lines() -> None:
    done, _ = ask(streaming(delta(f"{PROSE} " * 5), DONE))
    assert done.stdout == f"{PROSE} " * 5 + "\n"


def test_long_errors_break_between_words() -> None:
    error = {"error": {"message": f"{PROSE} {PROSE}"}}
    with (
        fake(script_of([response(error, "400 Bad Request")])) as service,
        ClientInTerminal("Hi", "--base-url", service.url, columns=60) as asked,
    ):
        assert asked.finish() == 1
    assert asked.terminal.broken_lines == 0
    assert asked.terminal.shown[0] == "error: HTTP 400: The quick brown fox jumps over the lazy"
