"""A terminal small enough to trust, and the console client running in one.

`Terminal` understands exactly what the client (and readline beneath it) may send, and fails on
everything else. When it becomes narrower it breaks its lines as most terminals do.
"""

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from console.fake_service import WAIT_SECONDS
from console.running_client import COMMAND, ENVIRONMENT, is_asleep

SEQUENCE = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])")
COLOURS = {"0", "1", "2", "31", "32", "33", "36"}
READLINE_COLOURS = {"7", "27"}  # a pasted text
Cells = list[str]


@dataclass
class Row:
    """One line of cells; the second cell of a wide character is empty."""

    cells: Cells = field(default_factory=Cells)
    goes_on: bool = False
    """Its text goes on in the next row, for it was too long."""

    @property
    def text(self) -> str:
        return "".join(self.cells).rstrip()


class Terminal:
    """Rows of cells, a cursor, and what has scrolled out above."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.height = columns, rows
        self.scrolled: list[Row] = []
        self.rows = [Row() for _ in range(rows)]
        self.row = self.column = 0
        self.cursor_visible = True
        self.frames = 0
        """Drawings of a live view."""
        self.broken_lines = 0
        """How often text ran over the right edge."""
        self.colours: set[str] = set()
        self._rest = ""

    @property
    def shown(self) -> list[str]:
        """The lines on the screen, without the empty ones at the end."""
        lines = [row.text for row in self.rows]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def everything(self) -> list[str]:
        """Scrolled out and shown."""
        return [row.text for row in self.scrolled] + self.shown

    def feed(self, text: str) -> None:
        text, self._rest = self._rest + text, ""
        at = 0
        while at < len(text):
            if text[at] != "\x1b":
                self._put(text[at])
                at += 1
            elif found := SEQUENCE.match(text, at):
                self._obey(found[1], found[2])
                at = found.end()
            else:
                assert re.fullmatch(r"\x1b(\[\??[\d;]*)?", text[at:]), repr(text[at : at + 20])
                self._rest = text[at:]
                return

    def resize(self, columns: int, rows: int) -> None:
        """Break what no longer fits; the cursor stays in its row."""
        old, self.rows, cursor = self.rows, [], 0
        for number, row in enumerate(old):
            if number == self.row:
                cursor = len(self.rows)
            cells = list("".join(row.cells).rstrip())
            assert all(map(width_of, cells)), "not needed so far"
            pieces = [cells[at : at + columns] for at in range(0, len(cells), columns)] or [[]]
            self.rows += [Row(piece, goes_on=piece is not pieces[-1]) for piece in pieces]
        self.row, self.columns, self.height = cursor, columns, rows
        while len(self.rows) > rows and self.row < len(self.rows) - 1 and not self.rows[-1].cells:
            self.rows.pop()
        while len(self.rows) > rows:
            self.scrolled.append(self.rows.pop(0))
            self.row -= 1
        self.rows += [Row() for _ in range(rows - len(self.rows))]

    def _put(self, char: str) -> None:
        match char:
            case "\n":
                self._down()
            case "\r":
                self.column = 0
            case "\b":
                self.column -= 1
            case "\x07":
                pass
            case _:
                assert char.isprintable(), repr(char)
                self._print(char)

    def _print(self, char: str) -> None:
        width = width_of(char)
        if self.column + width > self.columns:
            self.broken_lines += 1
            self.rows[self.row].goes_on = True
            self.column = 0
            self._down()
        cells = self.rows[self.row].cells
        cells += [" "] * (self.column + width - len(cells))
        if width == 0:
            cells[self.column - 1] += char
            return
        cells[self.column : self.column + width] = [char, ""][:width]
        self.column += width

    def _down(self) -> None:
        if self.row == self.height - 1:
            self.scrolled.append(self.rows.pop(0))
            self.rows.append(Row())
        else:
            self.row += 1

    def _obey(self, numbers: str, kind: str) -> None:
        cells = self.rows[self.row].cells
        match kind, numbers:
            case "A", _:
                self.row = max(0, self.row - int(numbers or 1))
            case "C", _:
                self.column = min(self.columns - 1, self.column + int(numbers or 1))
            case "K", "":
                del cells[self.column :]
            case "J", "":
                del cells[self.column :]
                self.rows[self.row + 1 :] = [Row() for _ in self.rows[self.row + 1 :]]
            case "m", _ if numbers in COLOURS | READLINE_COLOURS:
                self.colours.add(numbers)
            case (("h" | "l"), "?25"):
                self.cursor_visible = kind == "h"
                self.frames += self.cursor_visible
            case (("h" | "l"), "?2004"):
                pass  # readline: a pasted text comes as one piece
            case _:
                raise AssertionError(f"not understood: ESC [ {numbers} {kind}")


def width_of(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


# Takes the terminal as its own, so that Ctrl-C and a resize reach the client as in a shell.
TAKE_TERMINAL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


class ClientInTerminal:
    """The client as a process of its own whose terminal is ours."""

    def __init__(
        self,
        *args: str,
        columns: int = 80,
        rows: int = 24,
        env: dict[str, str] | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self.terminal = Terminal(columns, rows)
        self.raw = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._ours, theirs = pty.openpty()
        self._set_size(columns, rows)
        taking = [sys.executable, "-S", "-c", TAKE_TERMINAL, *COMMAND, *args]
        self.process = subprocess.Popen(
            taking,
            env=ENVIRONMENT | {"TERM": "xterm"} | (env or {}),
            stdin=theirs,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs if stderr is None else stderr,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)
        if error is not None:
            error.add_note("\n".join(self.terminal.everything))

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        self.terminal.resize(columns, rows)
        self._set_size(columns, rows)

    def wait_for(self, happened: Callable[[], object]) -> None:
        """Read until it has happened."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not happened():
            assert time.monotonic() < deadline, self.terminal.everything
            assert self._read(0.1), ("the client has ended", self.terminal.everything)

    def is_silent(self) -> bool:
        """Whether nothing has been written that was not read yet."""
        return not select.select([self._ours], [], [], 0)[0]

    def wait_for_text(self, text: str) -> None:
        self.wait_for(lambda: any(text in line for line in self.terminal.everything))

    def wait_for_frames(self, count: int) -> None:
        """Until the view was drawn so many times more."""
        wanted = self.terminal.frames + count
        self.wait_for(lambda: self.terminal.frames >= wanted)

    def finish(self) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self._read(0.1):
            assert time.monotonic() < deadline, self.terminal.everything
        code = self.process.wait(WAIT_SECONDS)
        assert self.terminal.cursor_visible
        assert "Traceback" not in self.raw, self.raw
        return code

    def interrupt(self, presses: int = 1) -> None:
        """Press Ctrl-C once the client waits for something."""
        self.wait_for(lambda: is_asleep(self.process.pid))
        self.type("\x03" * presses)

    def _read(self, seconds: float) -> bool:
        """Take what has come; False at the end."""
        if not select.select([self._ours], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self._ours, 65_536)
        except OSError:  # Linux ends a terminal whose other side is closed with EIO.
            return False
        text = self._decoder.decode(piece)
        self.raw += text
        self.terminal.feed(text)
        return bool(piece)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
