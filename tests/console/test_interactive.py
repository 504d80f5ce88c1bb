"""A conversation at a terminal: prompt, answer, prompt …"""

import threading
from pathlib import Path
from typing import Any

import pytest

from console.fake_service import (
    DONE,
    FakeService,
    Json,
    Script,
    delta,
    in_turn,
    progress,
    response,
    script_of,
    staged,
    streaming,
    summary,
    then_silent,
    usage,
)
from console.running_client import AGENTS, client, delegated, fake, planned
from console.terminal import ClientInTerminal

SPENT = {"input_tokens": 1000, "output_tokens": 20, "cost_usd": 0.5}


def says(text: str) -> Script:
    return streaming(delta(text), delta(None, "stop"), usage(summary(*AGENTS)), DONE)


def talking(service: FakeService, *args: str, **changes: Any) -> ClientInTerminal:
    asked = ClientInTerminal("--interactive", "--base-url", service.url, *args, **changes)
    asked.wait_for_text("/help tells what there is")
    return asked


def wait_for_prompt(asked: ClientInTerminal) -> None:
    asked.wait_for(lambda: asked.terminal.shown and asked.terminal.shown[-1] == ">")


def say(asked: ClientInTerminal, text: str) -> None:
    wait_for_prompt(asked)
    asked.type(f"{text}\n")


def interrupt_typing(asked: ClientInTerminal) -> None:
    """Type something and Ctrl-C; readline hears it once it waits for the next key."""
    wait_for_prompt(asked)
    asked.type("never mind")
    asked.wait_for(lambda: asked.terminal.shown[-1] == "> never mind")
    asked.interrupt()


def sent(service: FakeService) -> list[list[tuple[str, str]]]:
    """What each request held of the conversation."""
    chats = [one.json() for one in service.requests if one.target.endswith("/chat/completions")]
    return [[(it["role"], it["content"]) for it in chat["messages"]] for chat in chats]


def test_history_goes_along_until_it_is_forgotten() -> None:
    script = in_turn(*map(says, ("Paris.", "Two million.", "Ile-de-France.", "Hello.")))
    with fake(script) as service, talking(service) as asked:
        say(asked, "The capital of France?")
        asked.wait_for_text("Paris.")
        say(asked, "Its people?")
        asked.wait_for_text("Two million.")
        say(asked, "Its region?")
        asked.wait_for_text("Ile-de-France.")
        say(asked, "/new")
        asked.wait_for_text("Forgotten")
        say(asked, "Hi")
        asked.wait_for_text("Hello.")
        say(asked, "/quit")
        assert asked.finish() == 0
    first = ("user", "The capital of France?")
    second = [first, ("assistant", "Paris."), ("user", "Its people?")]
    third = [*second, ("assistant", "Two million."), ("user", "Its region?")]
    assert sent(service) == [[first], second, third, [("user", "Hi")]]
    shown = asked.terminal.everything
    at = shown.index("> The capital of France?")
    assert shown[at + 1 : at + 4] == ["", "Paris.", ""]
    assert shown[at + 4].startswith("1,520 tokens  0.")
    assert shown[at + 4].endswith(" s  $0.00120")
    assert shown[-1] == "4 answers  6,080 tokens  $0.00480"
    assert not any(line.startswith("role") for line in shown)


def test_first_question_may_come_with_the_command() -> None:
    with fake(says("Sure.")) as service, talking(service, "Is it?") as asked:
        asked.wait_for_text("Sure.")
        wait_for_prompt(asked)
        asked.type("\x04")
        assert asked.finish() == 0
    assert sent(service) == [[("user", "Is it?")]]
    assert asked.terminal.shown[-1] == "1 answer  1,520 tokens  $0.00120"


def test_commands_tell_what_they_do() -> None:
    with fake(says("Sure.")) as service, talking(service) as asked:
        say(asked, "/help")
        asked.wait_for_text("forget the conversation")
        asked.wait_for_text("Several lines that are pasted are one question")
        say(asked, "/table")
        asked.wait_for_text("No answer yet.")
        say(asked, "/tabel")
        asked.wait_for_text("There is no /tabel; see /help.")
        say(asked, "/etc/passwd holds what?")
        asked.wait_for_text("Sure.")
        say(asked, "/table")
        asked.wait_for_text("role ")
        asked.wait_for_text("total ")
        say(asked, "   ")
        say(asked, "/quit")
        assert asked.finish() == 0
    assert sent(service) == [[("user", "/etc/passwd holds what?")]]


def test_live_view_stands_between_question_and_answer() -> None:
    script = in_turn(streaming(*delegated()), streaming(*delegated()))
    with fake(script) as service, talking(service) as asked:
        say(asked, "One?")
        asked.wait_for_text("1,520 tokens")
        say(asked, "Two?")
        asked.wait_for(lambda: asked.terminal.everything.count("Both work.") == 2)
        wait_for_prompt(asked)
        shown = asked.terminal.everything
        for question in ("One?", "Two?"):
            at = shown.index(f"> {question}")
            assert [line[:4] for line in shown[at + 1 : at + 4]] == ["✓ s1", "✓ s2", "✗ s3"]
            assert shown[at + 5 : at + 8] == ["", "Both work.", ""]
        asked.type("\x04")
        assert asked.finish() == 0


def test_interrupted_answer_is_cancelled_and_not_kept() -> None:
    spent = progress("plan_closed", subtasks=1, spent=SPENT)
    broken = then_silent(*planned("One"), spent, delta("Half an ans"))
    with fake(in_turn(broken, says("Fine."))) as service, talking(service) as asked:
        say(asked, "Long?")
        asked.wait_for_text("Half an")
        asked.interrupt()
        asked.wait_for_text("interrupted after")
        assert service.client_left.wait(10)
        say(asked, "/table")
        asked.wait_for_text("The last answer was interrupted.")
        say(asked, "Short?")
        asked.wait_for_text("Fine.")
        wait_for_prompt(asked)
        asked.type("\x04")
        assert asked.finish() == 0
    assert sent(service) == [[("user", "Long?")], [("user", "Short?")]]
    words = " ".join(asked.terminal.everything)
    assert "spent: $0.50000 (1,020 tokens) by calls that ended; those cut off" in words
    assert "Half an ans" in asked.terminal.everything  # and no ^C behind it
    assert words.endswith("1 answer  at least 2,540 tokens  at least $0.50120")


def test_interrupt_at_the_prompt_clears_the_line_and_twice_leaves() -> None:
    with fake(says("Sure.")) as service, talking(service) as asked:
        interrupt_typing(asked)
        asked.wait_for_text("Ctrl-C again leaves.")
        say(asked, "Yes?")
        asked.wait_for_text("Sure.")
        interrupt_typing(asked)
        asked.wait_for(lambda: asked.terminal.everything.count("Ctrl-C again leaves.") == 2)
        interrupt_typing(asked)
        assert asked.finish() == 130
    assert sent(service) == [[("user", "Yes?")]]
    assert asked.terminal.shown[-1].startswith("1 answer")


def test_error_in_one_turn_does_not_end_the_conversation() -> None:
    refusal: Json = {"error": {"message": "Busy.", "code": "overloaded"}}
    busy = script_of([response(refusal, "503 Unavailable", headers="retry-after: 3\r\n")])
    with fake(in_turn(busy, says("Now."))) as service, talking(service) as asked:
        say(asked, "Well?")
        asked.wait_for_text("error: HTTP 503 overloaded: Busy.")
        asked.wait_for_text("Retry after 3 s.")
        say(asked, "/table")
        asked.wait_for_text("The last answer has no table.")
        say(asked, "And now?")
        asked.wait_for_text("Now.")
        wait_for_prompt(asked)
        asked.type("\x04")
        assert asked.finish() == 0
    assert sent(service) == [[("user", "Well?")], [("user", "And now?")]]


def test_service_that_is_not_there_does_not_end_the_conversation() -> None:
    with fake(says("x")) as service:
        url = service.url
    with ClientInTerminal("--interactive", "--base-url", url) as asked:
        say(asked, "Hello?")
        asked.wait_for_text("error: nothing answers")
        wait_for_prompt(asked)
        asked.type("\x04")
        assert asked.finish() == 0


def test_incomplete_answer_is_kept_and_said_to_be_incomplete() -> None:
    cut = streaming(delta("Half"), delta(None, "length"), DONE)
    with fake(in_turn(cut, says("Rest."))) as service, talking(service) as asked:
        say(asked, "All?")
        asked.wait_for_text("The answer was cut")
        say(asked, "Go on")
        asked.wait_for_text("Rest.")
        wait_for_prompt(asked)
        asked.type("\x04")
        assert asked.finish() == 0
    assert sent(service)[1][1] == ("assistant", "Half")


def test_files_go_with_the_first_question(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    script = in_turn(says("One."), says("Two."))
    with fake(script) as service, talking(service, "--file", str(tmp_path / "a.txt")) as asked:
        say(asked, "First?")
        asked.wait_for_text("One.")
        say(asked, "Second?")
        asked.wait_for_text("Two.")
        wait_for_prompt(asked)
        asked.type("\x04")
        assert asked.finish() == 0
    first = sent(service)[0][0][1]
    assert [part["text"] for part in first] == [  # type: ignore[index]
        '<document name="a.txt">\ntext\n</document>',
        "First?",
    ]
    assert sent(service)[1][2] == ("user", "Second?")


def test_line_can_be_edited_and_called_back() -> None:
    script = in_turn(says("One."), says("Two."))
    with fake(script) as service, talking(service) as asked:
        say(asked, "Helo\x08lo")
        asked.wait_for_text("One.")
        wait_for_prompt(asked)
        asked.type("\x10\x05!\n")  # the line before, its end
        asked.wait_for_text("Two.")
        wait_for_prompt(asked)
        asked.type("\x04")
        assert asked.finish() == 0
    assert [turn[-1] for turn in sent(service)] == [("user", "Hello"), ("user", "Hello!")]


def test_pasted_lines_are_one_question() -> None:
    with fake(says("Sure.")) as service, talking(service) as asked:
        wait_for_prompt(asked)
        asked.type("\x1b[200~one\ntwo\x1b[201~")
        asked.wait_for_text("two")
        asked.type("\n")
        asked.wait_for_text("Sure.")
        wait_for_prompt(asked)
        asked.type("\x04")
        assert asked.finish() == 0
    assert sent(service) == [[("user", "one\ntwo")]]
    assert "\x1b[?2004h" in asked.raw  # else no terminal would mark what is pasted


def test_it_is_refused_where_the_answers_would_go_to_a_file(tmp_path: Path) -> None:
    with (
        (tmp_path / "answer.md").open("wb") as file,
        ClientInTerminal("--interactive", stdout=file.fileno()) as asked,
    ):
        assert asked.finish() == 2
    assert asked.terminal.shown == ["error: --interactive needs a terminal for stdin and stdout"]


def test_without_colour_no_turn_is_drawn() -> None:
    finish = threading.Event()
    script = staged(*planned("One"), finish, delta("Sure."), DONE)
    with fake(script) as service, talking(service, env={"TERM": "dumb"}) as asked:
        say(asked, "Yes?")
        asked.wait_for_text("planned  s1  One")
        finish.set()
        asked.wait_for_text("Sure.")
        wait_for_prompt(asked)
        asked.type("\x04")
        assert asked.finish() == 0
    assert "\x1b" not in asked.raw


@pytest.mark.parametrize("args", [[], ["Hi"], ["-"]])
def test_it_is_refused_where_nobody_types(args: list[str]) -> None:
    done = client("--interactive", *args)
    assert done.returncode == 2
    assert "--interactive needs a terminal for stdin and stdout" in done.stderr


def test_mistakes_are_told_before_the_first_prompt() -> None:
    with ClientInTerminal("--interactive", env={"API_BEARER_TOKEN": ""}) as asked:
        assert asked.finish() == 2
    assert asked.terminal.shown[0].startswith("error: API_BEARER_TOKEN is not set.")
