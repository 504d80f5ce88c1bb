#!/usr/bin/env python3
"""Ask a team of Claude agents from the terminal, and watch it work.

    export API_BEARER_TOKEN=$(.venv/bin/orchestrator-worker token)
    python console_client.py "Compare PostgreSQL and SQLite" > answer.md
    python console_client.py "What do these contracts have in common?" --file a.txt --file b.txt
    git diff | python console_client.py - --no-stream
    python console_client.py --json "Compare tea and coffee" | jq .orchestration.totals

The answer goes to stdout; progress and the table of agents, tokens, time and USD go to stderr: a
live view on a terminal, else (or with NO_COLOR, --no-color, TERM=dumb) plain lines.
One file, standard library only, Python 3.11 or later; it speaks to any OpenAI-compatible service.
Another command may load it, for `add_arguments` and `run`.

Environment: API_BEARER_TOKEN (required), ORCHESTRATOR_BASE_URL, ORCHESTRATOR_TEAM, NO_COLOR; the
usual proxy variables count, except for a service on this machine.
Exit codes: 0 answer complete, 1 the service or its upstream failed, 2 usage or configuration,
3 the answer came but is incomplete (a part is missing, it was cut at a limit, or declined),
130 interrupted (the connection is closed at once, which cancels the run), 141 nobody reads stdout.
An interactive conversation ends with 0, or with 130 by Ctrl-C; its turns do not count.
"""

import argparse
import errno
import http.client
import io
import itertools
import json
import os
import re
import signal
import socket
import ssl
import sys
import threading
import time
import unicodedata
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast
from urllib.error import URLError
from urllib.parse import urlsplit

__all__ = ["add_arguments", "main", "run"]
Json = dict[str, Any]
Response = http.client.HTTPResponse

WIDTH = 80
LIVE_WIDTH = 100  # Further apart, a title and its figures are hard to read as one line.
FILE_LIMIT = 25 * 1024 * 1024
DEFAULT_URL = "http://127.0.0.1:8000"
COMMAND = ".venv/bin/orchestrator-worker"
TOKEN_ADVICE = f"Make a token with `{COMMAND} token` and export it as API_BEARER_TOKEN."
START_ADVICE = f"Is the service running? Start it: {COMMAND} serve"
SCHEME_ADVICE = "Check --base-url (http or https?), certificates and proxies."
INCOMPLETE = "The answer may be incomplete."
HELP = """/new    forget the conversation so far
/table  who did what for how much in the last answer
/quit   leave (so does Ctrl-D)
Ctrl-C during an answer cancels it; at the prompt it clears the line, twice it leaves."""
PASTED = "\nSeveral lines that are pasted are one question, which Enter sends."
HEADINGS = ("role", "model", "subtask", "in", "out", "cached", "seconds", "USD")
STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
PHASES = {"plan_closed": "working", "reduction_started": "shortening"}
PHASES["synthesis_started"] = "merging"
ACTIVE = ("waiting", "running", "again", "stopped")
MARKS = {"waiting": ("·", "dim"), "again": ("↻", "yellow"), "succeeded": ("✓", "green")}
MARKS["stopped"] = ("-", "yellow")
SPINNER, TICK_SECONDS = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", 0.1
ENDINGS = {
    "length": "The answer was cut: it reached its token or time limit.",
    "content_filter": "The model declined to answer all of it.",
    "tool_calls": "The model asked for tool calls; this client offers no tools.",
}
ADVICE = {  # by the code of the service's error, then by the status
    "upstream_auth": "Whoever runs the service has to set a valid ANTHROPIC_API_KEY for it.",
    "insufficient_quota": "Raise the spend limit at the model provider, or wait for its renewal.",
    "400": "Change what it names; if it names nothing, check --base-url (http or https?).",
    "401": TOKEN_ADVICE,
    "403": "This token may not do that, or a proxy refuses. " + TOKEN_ADVICE,
    "404": "Check --base-url and --model.",
    "407": "A proxy wants a name and password: set them in HTTP_PROXY or HTTPS_PROXY.",
    "408": "The request took too long to arrive: send less, or over a faster connection.",
    "413": "Send less text or smaller files.",
    "431": "The token or --request-id is too long for a header: make a new one.",
    "429": "{again}",
    "504": "It took too long. {again} Or ask for less.",
    "4xx": "Check the command and --base-url.",
    "5xx": "The service or the Claude API behind it failed. {again}",
    "no service": "Perhaps a proxy on the way has answered: does the service run? {again}",
}
NETWORK_ERRORS = (OSError, http.client.HTTPException)
FAILURES: tuple[tuple[Any, str, str], ...] = (
    (ConnectionRefusedError, "nothing answers at {url}", START_ADVICE),
    (TimeoutError, "no byte from {url} for {seconds:g} s", "Wait longer with --timeout SECONDS."),
    (socket.gaierror | UnicodeError, "no such host: {url}", "Check --base-url."),
    (ssl.SSLError, "no secure connection to {url}: {reason}", SCHEME_ADVICE),
    (http.client.RemoteDisconnected, "{url} hung up without an answer", SCHEME_ADVICE),
    (http.client.BadStatusLine, "what answers at {url} is no HTTP", SCHEME_ADVICE),
    (http.client.IncompleteRead, "{url} broke: it ended in the middle of the answer", START_ADVICE),
    (Exception, "the connection to {url} broke: {reason}", START_ADVICE),
)
# What a terminal obeys (C0 but newline and tab, DEL, C1), and what reorders the rest of a line.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")
LOOPBACK = re.compile(r"(.+\.)?localhost|127\.[\d.]+|::1")
COLOUR = re.compile(r"\x1b\[\d*m")
# Where a line may end: spaces, and any letter of a script that is written without them.
BREAKS = re.compile("(\n|[ \t]+|[\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff01-\uff60])")


class ClientError(Exception):
    """What ends it with words for a person: the service or the way to it failed, or UsageError."""

    exit_code = 1

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message, self.advice = message, advice


class UsageError(ClientError):
    """The caller has to change the command or the environment."""

    exit_code = 2


class OutputError(Exception):
    """Stdout or stderr takes no more text. No OSError, so it never passes for the network's."""


def label(value: object) -> str:
    """A short text from the wire as one harmless line; empty for anything but a string."""
    line = " ".join(value[:2000].split()) if isinstance(value, str) else ""
    return BIDI_CONTROLS.sub("", CONTROLS.sub("", line))


def columns(text: str) -> int:
    """Terminal columns of a text; a tab counts as eight."""
    shown = [char for char in text if unicodedata.category(char) not in {"Mn", "Me", "Cf"}]
    wide = sum(unicodedata.east_asian_width(char) in {"W", "F"} for char in shown)
    return len(shown) + wide + 7 * text.count("\t")


def fit(text: str, room: int) -> str:
    """The text, cut with an ellipsis if it needs more columns than there are."""
    if columns(text) <= room:
        return text
    end = used = 0
    while (used := used + columns(text[end])) < room:
        end += 1
    return text[:end].rstrip() + "…" * (room > 0)


def count_of(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def as_map(value: object) -> Json:
    return cast(Json, value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []


def as_number(value: object) -> float | None:
    """A number that can be printed, or None: unknown."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e12 else None


def parse_object(text: str | bytes) -> Json | None:
    with suppress(ValueError, RecursionError):
        if isinstance(value := json.loads(text), dict):
            return cast(Json, value)
    return None


class SseParser:
    """Server-sent events out of bytes that may be cut anywhere. Lines end in LF or CRLF."""

    def __init__(self) -> None:
        self._line, self._data = list[bytes](), list[str]()

    def feed(self, piece: bytes) -> list[str]:
        """Take the next bytes; the data of each event they complete. Heartbeats are dropped."""
        events: list[str] = []
        first, *others = piece.split(b"\n")
        self._line.append(first)
        for start_of_next in others:
            line = b"".join(self._line).removesuffix(b"\r")
            self._line = [start_of_next]
            if line.startswith(b"data:"):
                self._data.append(line[5:].decode("utf-8", "replace").removeprefix(" "))
            elif not line and self._data:
                events.append("\n".join(self._data))
                self._data = []
        return events


class EarlyAnswers(http.client.HTTPConnection):
    """Who refuses a large body has often answered, and closed, before reading all of it."""

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        with suppress(BrokenPipeError, ConnectionResetError):
            super().send(data)


class EarlyAnswersTls(EarlyAnswers, http.client.HTTPSConnection):
    """The same over TLS."""


class Connections(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Opens http and https URLs by the connections above."""

    def http_open(self, req: urllib.request.Request) -> Response:
        return cast(Any, self).do_open(EarlyAnswers, req)

    def https_open(self, req: urllib.request.Request) -> Response:
        return cast(Any, self).do_open(EarlyAnswersTls, req, context=ssl.create_default_context())


def host_of(text: str) -> str:
    """The host of a base URL. Raises UsageError for what is none."""
    with suppress(ValueError):
        url = urlsplit(text)
        sound = url.scheme in {"http", "https"} and url.hostname and url.port != 0
        if sound and text.isascii() and text.isprintable() and not set(text) & set(" @?#"):
            return url.hostname or ""
    raise UsageError(f"not a base URL: {label(text)!r}", "Like http://127.0.0.1:8000")


class Service:
    """The service over HTTP, and words for everything that can fail on the way."""

    def __init__(self, args: argparse.Namespace, token: str | None) -> None:
        if not (token := (token or os.environ.get("API_BEARER_TOKEN", "")).strip()):
            raise UsageError(f"API_BEARER_TOKEN is not set. {TOKEN_ADVICE}")
        url = args.base_url or os.environ.get("ORCHESTRATOR_BASE_URL") or DEFAULT_URL
        self._token, self._timeout_seconds = header_value(token, "the token"), args.timeout
        self._url = url.rstrip("/").removesuffix("/v1").rstrip("/")
        self._opener = urllib.request.OpenerDirector()  # No redirects: they may take the token.
        proxies = Json() if LOOPBACK.fullmatch(host_of(url)) else None  # Its loopback is not ours.
        self._opener.add_handler(urllib.request.ProxyHandler(proxies))
        self._opener.add_handler(Connections())
        self.for_programs = args.json
        self._headers = {"X-Orchestration": "usage, results" if args.json else "progress, usage"}
        if args.request_id:
            self._headers["X-Request-ID"] = header_value(args.request_id, "--request-id")
        self._model = args.model or os.environ.get("ORCHESTRATOR_TEAM") or ""
        self._options: Json = {"max_tokens": args.max_tokens} if args.max_tokens else {}
        if not (args.json or args.no_stream):
            self._options |= {"stream": True, "stream_options": {"include_usage": True}}

    def ask(self, messages: list[Json], run: "Run") -> None:
        self._model = self._model or next(iter(self._models()), "")
        if not self._model:
            raise ClientError("the service lists no model", "Name one with --model.")
        body = {"model": self._model, "messages": messages, **self._options}
        with self._call("/v1/chat/completions", body, self._headers) as response:
            run.request_id = label(response.headers.get("x-request-id"))
            self._refuse_failure(response)
            streamed = response.headers.get_content_type() == "text/event-stream"
            if streamed and not self.for_programs:
                self._follow(response, run)
                return
            found = parse_object(content := self._read(response)) or {}
            if not ("choices" in found or "error" in found):
                raise ClientError(unexpected(response, content), "Check --base-url.")
            if self.for_programs:
                run.take(found)
                run.screen.answer(json.dumps(found))  # ASCII, so there is nothing to clean
            else:
                run.chunk(found)

    def _follow(self, response: Response, run: "Run") -> None:
        parser, piece = SseParser(), b"\n"
        while piece:
            try:
                piece = response.read1(65_536)
            except NETWORK_ERRORS as error:
                raise ClientError(self._explain(error).message, INCOMPLETE) from error
            for data in parser.feed(piece or b"\n\n"):  # Some servers end without a blank line.
                if data.startswith("[DONE]"):
                    return
                if (chunk := parse_object(data)) is None:
                    raise ClientError(f"no JSON in the stream: {fit(label(data), 50)}", INCOMPLETE)
                run.chunk(chunk)
        raise ClientError("the stream ended without [DONE]", INCOMPLETE)

    def _call(self, path: str, body: Json | None = None, headers: Json | None = None) -> Response:
        content = None if body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        sent |= {"User-Agent": "console-client", **(headers or {})}
        request = urllib.request.Request(self._url + path, content, sent)
        try:
            return self._opener.open(request, timeout=self._timeout_seconds)
        except (UnicodeError, *NETWORK_ERRORS) as error:
            failure = self._explain(error)
            if len(content or b"") > 1_000_000 and isinstance(error, ConnectionError):
                failure.advice = "The request may be too large: send less text or smaller files."
            raise failure from error

    def _read(self, response: Response) -> bytes:
        try:
            return response.read()
        except NETWORK_ERRORS as error:
            raise self._explain(error) from error

    def _models(self) -> list[str]:
        with self._call("/v1/models") as response:
            self._refuse_failure(response)
            found = parse_object(self._read(response)) or {}
        ids = [label(as_map(model).get("id")) for model in as_list(found.get("data"))]
        return [name for name in ids if name]

    def _refuse_failure(self, response: Response) -> None:
        """Raise for every status but 200, with the service's words and what to do about them."""
        if response.status == 200:
            return
        body = self._read(response)
        found = as_map((parse_object(body) or {}).get("error"))
        code, message = label(found.get("code")), label(found.get("message"))
        title = f"HTTP {response.status} {code}".rstrip()
        if (parameter := label(found.get("param"))) and parameter not in message:
            title += f" ({fit(parameter, 60)})"
        advice = self._advice(response, code, bool(message))
        kind = UsageError if code == "model_not_found" else ClientError
        raise kind(f"{title}: {message or unexpected(response, body)}", advice)

    def _explain(self, error: Exception) -> ClientError:
        cause = error.reason if isinstance(error, URLError) else error
        told = (getattr(cause, name, "") for name in ("verify_message", "strerror"))
        reason = label(next(filter(None, told), str(cause))) or type(cause).__name__
        words, advice = next(rest for kind, *rest in FAILURES if isinstance(cause, kind))
        fields = {"url": self._url, "seconds": self._timeout_seconds, "reason": reason}
        return ClientError(words.format(**fields), advice)

    def _advice(self, response: Response, code: str, ours: bool) -> str:
        """What to do; `ours`: the service itself has answered, as far as one can see."""
        status, wait = response.status, label(response.headers.get("retry-after"))
        again = f"Retry after {wait}{' s' if wait.isdecimal() else ''}." if wait else "Retry later."
        if 300 <= status < 400:
            return f"It redirects to {label(response.headers.get('location'))}: check --base-url."
        if code == "model_not_found":
            with suppress(ClientError):
                return f"Served models: {', '.join(self._models())}."
        kind = "no service" if status >= 500 and not ours else str(status)
        advice = ADVICE.get(code) or ADVICE.get(kind) or ADVICE["5xx" if status >= 500 else "4xx"]
        return advice.format(again=again)


def unexpected(response: Response, body: bytes) -> str:
    start = fit(label(body[:400].decode("utf-8", "replace")), 120) or "empty"
    return f"unexpected body, not JSON of this API ({response.headers.get_content_type()}): {start}"


class Wrapper:
    """Breaks streamed text between words, which may come in pieces; code and tables stay."""

    def __init__(self, width: Callable[[], int]) -> None:
        self._width, self.column, self._held = width, 0, ""
        self._at_start, self._in_fence, self._as_is = True, False, False

    def feed(self, text: str) -> str:
        """Take the next piece; what can be shown now. A word is held until it ends."""
        *parts, self._held = BREAKS.split(self._held + text)
        return "".join(map(self._place, filter(None, parts)))

    def end_line(self) -> str:
        return self.feed("\n")[:-1]

    def _place(self, part: str) -> str:
        if part == "\n":
            self.column, self._at_start, self._as_is = 0, True, self._in_fence
            return part
        room, needed = self._width(), columns(part)
        full = self.column + needed > room and not self._as_is
        if part.isspace():
            self.column = min(room, self.column + needed)
            return part * (not full)
        # The first word tells whether the line is a fence or a table's.
        if self._at_start and part.startswith(("```", "~~~")):
            self._in_fence, self._as_is = not self._in_fence, True
        self._as_is |= self._at_start and part.startswith("|")
        self._at_start = False
        if broken := full and self.column > 0 and not self._as_is:
            self.column = 0
        self.column += needed
        if self.column > room:  # The terminal breaks a word that fits no line.
            self.column %= room
        return "\n" * broken + part


def terminal_size(stream: TextIO) -> tuple[int, int]:
    """Columns and lines of the terminal; 80 and 24 where they are not told."""
    with suppress(OSError):
        size = os.get_terminal_size(stream.fileno())
        return size.columns or WIDTH, size.lines or 24
    return WIDTH, 24


class Screen:
    """The answer on stdout, all else on stderr, set apart where both end in one place."""

    def __init__(self, colour: bool, for_programs: bool = False) -> None:
        self._out, self.err = sys.stdout, sys.stderr
        self._on_terminal = self.err.isatty()
        self._colour = colour and self._on_terminal and os.environ.get("TERM") != "dumb"
        self.live = self._colour and not for_programs
        place, seen = self._out.fileno(), self._out.isatty()
        same_place = os.path.sameopenfile(place, self.err.fileno())
        self._one_view = same_place or (self._on_terminal and seen)
        self._words = self._wrapper(self._out)
        self._wraps_answer = seen and not for_programs
        self._last: TextIO | None = None
        self._open = {self._out: False, self.err: False}
        self._view: LiveView | None = None
        # What is piped (`| tee answer.md`) may come out on this very terminal, at any time.
        kept = os.path.isfile(place) or os.path.samefile(place, os.devnull)
        self._may_collide = self._on_terminal and not seen and not kept
        self._held: io.StringIO | None = None  # for stderr, until the answer has ended

    @property
    def width(self) -> int:
        return min(WIDTH, terminal_size(self.err)[0]) if self._on_terminal else WIDTH

    def line(self, text: str, style: str = "") -> None:
        self._turn_to(self.err)
        self._end_line(self.err)
        if self._on_terminal:
            words = self._wrapper(self.err)
            text = words.feed(text) + words.end_line()
        self.write(self.err, self.paint(text, style) + "\n")

    def error(self, error: ClientError) -> None:
        self.line(f"error: {error.message}", "red")
        if error.advice:
            self.line(error.advice)

    def aside(self, text: str) -> None:
        self._turn_to(self.err)
        self.write(self.err, self.paint(CONTROLS.sub("", text), "dim"))
        self._open[self.err] = not text.endswith("\n")

    def answer(self, text: str) -> None:
        self._turn_to(self._out)
        if self._may_collide:
            self._held = self._held or io.StringIO()
        text = CONTROLS.sub("", text)
        self.write(self._out, self._words.feed(text) if self._wraps_answer else text)

    def end_answer(self, cut_off: bool = False) -> None:
        if cut_off and self.live and self._wraps_answer and self._open[self._out]:
            self.write(self._out, f"\r\x1b[{self._words.column}C\x1b[K")  # without the ^C
        with suppress(*[OutputError] * cut_off):  # Ctrl-C has ended who reads the pipe, too.
            self._end_line(self._out)
        self._words = self._wrapper(self._out)
        if self._held:
            time.sleep(TICK_SECONDS)  # Whoever passes the answer on has to print its last words.
            held, self._held = self._held, None
            self.write(self.err, held.getvalue())

    def prompt(self) -> str:
        self._turn_to(self.err)
        self._end_line(self.err)
        try:
            return input("> ")
        except (EOFError, KeyboardInterrupt):
            self.write(self.err, "\n")
            raise

    def watch(self, run: "Run") -> None:
        """Draw the run as it goes, unless it is being drawn or was."""
        if self.live and not self._view and not run.shown and self._held is None:
            if self._one_view and self._last is self._out:
                self._turn_to(self.err)
            self._view = LiveView(self, run)

    def close_view(self) -> None:
        if self._view and self._view.close():
            self._last, self._open[self.err] = self.err, False
            if not self._one_view:
                self.write(self.err, "\n")
        self._view = None

    def paint(self, text: str, style: str) -> str:
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if text and style and self._colour else text

    def write(self, stream: TextIO, text: str) -> None:
        if not text:
            return
        self._open[stream] = not text.endswith("\n")
        to = self._held if self._held and stream is self.err else stream
        try:
            to.write(text)
            to.flush()
        except OSError as error:
            raise OutputError from error

    def _wrapper(self, stream: TextIO) -> Wrapper:
        return Wrapper(lambda: terminal_size(stream)[0])

    def _turn_to(self, stream: TextIO) -> None:
        if self._one_view or self._may_collide or stream is self.err:
            self.close_view()
        if self._one_view and self._last not in {None, stream}:
            self._end_line(cast(TextIO, self._last))
            self.write(self.err, "\n")
        self._last = stream

    def _end_line(self, stream: TextIO) -> None:
        if stream is self._out:
            self.write(stream, self._words.end_line())
        if self._open[stream]:
            self.write(stream, "\n")


@dataclass(eq=False)
class Subtask:
    """One subtask as far as it is known; its state is one of ACTIVE or its outcome."""

    name: str
    title: str = ""
    state: str = "waiting"
    reason: str = ""
    started: float = 0.0
    seconds: float | None = None
    tokens: float = 0

    @property
    def ended(self) -> bool:
        return self.state not in ACTIVE

    @property
    def failed(self) -> bool:
        return self.ended and self.state != "succeeded"

    def start(self, state: str, reason: str = "") -> None:
        """Begin, or begin once more, which it stays until it ends."""
        if self.state not in {"running", "again"}:
            self.started = time.monotonic()
        if self.state != "again":
            self.state, self.reason = state, reason

    def finish(self, event: Json) -> None:
        self.state = fit(label(event.get("outcome")).replace("_", " "), 20) or "failed"
        self.reason, self.tokens = label(event.get("reason")), tokens_of(event)
        self.seconds = as_number(event.get("seconds"))


class Run:
    """What is known about the run so far; every chunk of the stream goes through `chunk`."""

    def __init__(self, screen: Screen) -> None:
        self.screen, self.started, self.code = screen, time.monotonic(), 1
        self.request_id = self.run_id = self.finish_reason = ""
        self.phase, self.note = "waiting", ""
        self.planned: int | None = None  # while the plan is being written
        self.subtasks: dict[str, Subtask] = {}
        self.lock = threading.Lock()  # for the subtasks, which the view reads in its own thread
        self.answer: list[str] = []
        self.usage, self.summary = Json(), Json()
        self.spent = Json()  # by the calls that have ended
        self.tells_events = self.shown = False  # Shown: its view stands in the scrollback.

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def finished(self) -> int:
        return sum(subtask.ended for subtask in self.subtasks.values())

    @property
    def total(self) -> int:
        return max(self.planned or 0, len(self.subtasks))

    @property
    def progress(self) -> str:
        return f"{self.finished}/{self.total}{'+' * (self.planned is None)}"

    def stop(self) -> None:
        """Nothing more will come; what only waited never began."""
        with self.lock:
            for one in self.subtasks.values():
                if one.state in {"running", "again"}:
                    one.state, one.seconds = "stopped", time.monotonic() - one.started

    def chunk(self, chunk: Json) -> None:
        """Take one chunk, or a whole completion, and show it."""
        text = self.take(chunk)
        thought, answer = text.get("reasoning_content"), text.get("content") or text.get("refusal")
        # With machine-readable progress the same in words would be shown twice.
        if isinstance(thought, str) and thought and not self.tells_events:
            self.screen.aside(thought)
        if isinstance(answer, str) and answer:
            self.phase = "answering"
            self.answer.append(answer)
            self.screen.answer(answer)

    def take(self, chunk: Json) -> Json:
        """Take what a chunk tells; its text is returned."""
        extra = as_map(chunk.get("orchestration"))
        self.run_id = label(extra.get("run_id")) or self.run_id
        self.spent = self.spent | as_map(extra.get("spent"))
        if "event" in extra:
            self.tells_events = True
            self._event(extra)
        else:
            self.summary = extra or self.summary
        if usage := as_map(chunk.get("usage")):
            self.usage = usage
            self.spent |= {"input_tokens": usage.get("prompt_tokens")}
            self.spent |= {"output_tokens": usage.get("completion_tokens")}
        if totals := as_map(self.summary.get("totals")):
            self.spent |= {"cost_usd": totals.get("cost_usd")}
        if error := chunk.get("error"):
            found = as_map(error)
            code = label(found.get("code")) or label(found.get("type")) or "error"
            words = f"{code}: {label(found.get('message')) or label(error)}"
            advice = ADVICE.get(code, ADVICE["5xx"]).format(again="Retry later.")
            raise ClientError(words, f"{INCOMPLETE} {advice}" if self.answer else advice)
        choice = as_map(next(iter(as_list(chunk.get("choices"))), None))
        self.finish_reason = label(choice.get("finish_reason")) or self.finish_reason
        return as_map(choice.get("delta")) or as_map(choice.get("message"))

    def _event(self, event: Json) -> None:
        kind, name = label(event["event"]), label(event.get("subtask_id"))
        with self.lock:
            known = self.subtasks.get(name) or Subtask(name)
            if kind.startswith(("subtask_", "worker_")):
                self.subtasks[name] = known
            lines = list(self._learn(kind, known, event))
        if kind == "subtask_planned":
            self.screen.watch(self)
        for text, style in () if self.screen.live else lines:
            self.screen.line(text, style)

    def _learn(self, kind: str, subtask: Subtask, event: Json) -> Iterator[tuple[str, str]]:
        """Take an event; yields the lines that tell it where no view is drawn."""
        reason, model = label(event.get("reason")), fit(label(event.get("model")), 30)
        self.phase = PHASES.get(kind, self.phase)
        match kind:
            case "route_decided":
                route = fit(label(event.get("route")), 60)
                self.phase = "planning" if route == "delegated" else "answering"
                yield f"route    {route}", "dim"
            case "subtask_planned":
                subtask.title = label(event.get("title"))
                yield self._line("planned", subtask, subtask.title), "dim"
            case "plan_closed":
                self.planned = int(as_number(event.get("subtasks")) or len(self.subtasks))
                yield f"plan     {count_of(self.planned, 'subtask')}", "dim"
            case "plan_repaired":
                self.note = f"repaired {subtask.name}: {reason}"
                yield self._line("repair", subtask, reason), "yellow"
            case "worker_started":
                subtask.start("running")
                yield self._line("started", subtask, subtask.title, f"  {model}"), ""
            case "worker_finished":
                subtask.finish(event)
                yield from self._ending(subtask)
            case "worker_escalated" | "result_scored" if event.get("redone", True):
                subtask.start("again", reason)
                yield self._line("again", subtask, reason), "yellow"
            case "round_reviewed":
                self.note = f"review: {reason or 'adds to the plan'}"
                yield f"review   {fit(reason or 'adds to the plan', self.screen.width - 9)}", ""
            case "synthesis_started":
                yield f"merging  {model}", "dim"
            case _:
                pass  # A later version of the service may tell more.

    def _ending(self, subtask: Subtask) -> Iterator[tuple[str, str]]:
        mark, style = ("✗", "red") if subtask.failed else ("✓", "green")
        tail = f"  {subtask.state}" if subtask.failed else ""
        tail += f"  {subtask.seconds:.1f} s" if subtask.seconds is not None else ""
        tail += f"  {token_words(subtask.tokens)}" if subtask.tokens else ""
        yield self._line(f"{mark} {self.progress}", subtask, subtask.title, tail), style
        if subtask.failed and subtask.reason:
            yield f"         {fit(subtask.reason, self.screen.width - 9)}", style

    def _line(self, state: str, subtask: Subtask, text: str, tail: str = "") -> str:
        """One subtask in one line; what is too long is cut from its text."""
        head = f"{state:<7}  {fit(subtask.name, 16):<2}  "
        return (head + fit(text, self.screen.width - columns(head + tail))).rstrip() + tail


class LiveView:
    """A run drawn in place, by a thread of its own, so that an interrupt never splits a drawing."""

    def __init__(self, screen: Screen, run: Run) -> None:
        self._screen, self._run = screen, run
        self._shown: list[str] = []
        self._size = terminal_size(screen.err)
        self._spinner = itertools.cycle(SPINNER)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_drawing, daemon=True)
        self._thread.start()

    def close(self) -> bool:
        """Draw for the last time; whether anything stays."""
        self._closing.set()
        self._thread.join()
        return bool(self._shown)

    def _keep_drawing(self) -> None:
        with suppress(OutputError):  # Who writes next meets it too, and tells.
            while not self._closing.wait(TICK_SECONDS):
                self._draw(next(self._spinner))
            self._draw()

    def _draw(self, spinner: str = "") -> None:
        """Draw what has changed; without a spinner for the last time."""
        # In between the cursor is visible and below the view: the terminal is always in order.
        size, before = terminal_size(self._screen.err), self._shown
        up, text = len(before), ""
        if size != self._size:
            # Terminals break lines that no longer fit, so the view may have become taller.
            up = sum(max(1, -(-columns(COLOUR.sub("", line)) // size[0])) for line in before)
            before, text, self._size = [], "\x1b[J", size
        with self._run.lock:
            lines = self._lines(min(size[0] - 1, LIVE_WIDTH), size[1] - 1, spinner)
        if before or lines or text:
            for at, line in enumerate(lines):
                text += "\n" if before[at : at + 1] == [line] else f"{line}\x1b[K\n"
            text += "\x1b[J" * (len(lines) < len(before) or not spinner)
            up_words = f"\x1b[{up}A" * bool(up)
            self._screen.write(self._screen.err, f"\x1b[?25l\r{up_words}{text}\x1b[?25h")
        self._shown = lines
        self._run.shown |= bool(lines and not spinner)

    def _lines(self, width: int, height: int, spinner: str) -> list[str]:
        run = self._run
        if not run.subtasks:
            return [self._dim(f"{spinner} {run.phase}  {run.seconds:.1f} s", width)] * bool(spinner)
        note = [self._screen.paint(fit(run.note, width), "yellow")] * bool(run.note and height > 3)
        above, shown, below = fold(list(run.subtasks.values()), height - 1 - len(note))
        names = min(16, max(columns(subtask.name) for subtask in shown or [Subtask("")]))
        lines = [self._dim(line, width) for line in above]
        lines += [self._line(subtask, names, width, spinner or "▸") for subtask in shown]
        lines += [self._dim(line, width) for line in below]
        return [*lines, *note, self._bar(width, spinner)][-max(1, height) :]

    def _dim(self, text: str, width: int) -> str:
        return self._screen.paint(fit(text, width), "dim")

    def _line(self, subtask: Subtask, names: int, width: int, spinner: str) -> str:
        state, seconds = subtask.state, subtask.seconds
        if state in {"running", "again"}:
            seconds = time.monotonic() - subtask.started
        tokens = token_words(subtask.tokens) if subtask.ended and subtask.tokens else ""
        tail = "" if state in {"running", "succeeded"} else f"  {state}"
        tail += f"  {'' if seconds is None else f'{seconds:.1f} s':>7}"
        tail += f"  {tokens:>13}" * (width >= 50)
        name = fit(subtask.name, names)
        text = name + " " * (names - columns(name) + 2) + subtask.title
        text += f": {subtask.reason}" if subtask.reason and state != "succeeded" else ""
        room = max(0, width - 2 - columns(tail))
        text = fit(text, room)
        rest = fit(f" {text}{' ' * (room - columns(text))}{tail}", width - 1)
        mark, style = {"running": (spinner, "cyan"), **MARKS}.get(state, ("✗", "red"))
        paint = self._screen.paint
        return paint(mark + rest, style) if style == "dim" else paint(mark, style) + rest

    def _bar(self, width: int, spinner: str) -> str:
        run, paint = self._run, self._screen.paint
        failed = sum(subtask.failed for subtask in run.subtasks.values())
        counts = run.progress + f", {failed} failed" * bool(failed)
        rest = [f"{run.seconds:.1f} s", *spent_parts(run.spent)]
        text = "  ".join([counts, *[run.phase] * bool(spinner), *rest])
        if columns(text) > width - 12:
            text = fit("  ".join([counts, *rest]), width)
        if (length := min(30, width - columns(text) - 2)) < 5:
            return text
        filled = length * run.finished // run.total
        return f"{paint('━' * filled, 'green')}{paint('─' * (length - filled), 'dim')}  {text}"


def fold(subtasks: list[Subtask], room: int) -> tuple[list[str], list[Subtask], list[str]]:
    """What fits in so many lines: a line for the finished, the subtasks, lines for the rest."""
    ended = sorted((one for one in subtasks if one.ended), key=lambda one: one.failed)
    waiting = [one for one in reversed(subtasks) if one.state == "waiting"]
    begun = [one for one in reversed(subtasks) if not one.ended and one.state != "waiting"]
    doing = "stopped" if any(one.state == "stopped" for one in begun) else "running"
    folded: dict[str, list[str]] = {"finished": [], "waiting": [], doing: []}
    for word, candidates in (("finished", ended), ("waiting", waiting), (doing, begun)):
        excess = len(subtasks) + sum(map(len, folded.values())) - room
        if excess > 0 and candidates:
            gone = candidates[: excess + 1]
            subtasks = [one for one in subtasks if one not in gone]
            folded[word] = [f"… {len(gone)} {word}"]
    return folded["finished"], subtasks, folded["waiting"] + folded[doing]


def tokens_of(spent: Json) -> float:
    return sum(as_number(spent.get(name)) or 0 for name in ("input_tokens", "output_tokens"))


def token_words(tokens: float) -> str:
    return f"{tokens:,.0f} tokens"


def spent_parts(spent: Json) -> list[str]:
    """Tokens and USD, as far as they are known; nothing where no call has ended."""
    if not (tokens := tokens_of(spent)):
        return []
    cost = as_number(spent.get("cost_usd"))
    return [token_words(tokens), "USD unknown" if cost is None else f"${usd_cell(cost)}"]


def count_cell(value: object) -> str:
    if (number := as_number(value)) is None:
        return "-"
    return f"{number:.0f}" if number < 1e6 else f"{number / 1e6:.1f}M"


def usd_cell(value: object) -> str:
    """A cost in USD; `unknown` where none was told, for that is not zero."""
    if (cost := as_number(value)) is None:
        return "unknown"
    return "<0.00001" if 0 < cost < 0.00001 else f"{cost:.5f}" if cost < 10 else f"{cost:.2f}"


def table(agents: Sequence[Json], totals: Json, room: int) -> Iterator[str]:
    """Lines that fit the room; ✗ marks an agent that did not succeed, #2 a second attempt."""
    rows: list[tuple[str, ...]] = [HEADINGS]
    for agent in (*agents, {**totals, "role": "total"}):
        attempt, seconds = as_number(agent.get("attempt")) or 1, as_number(agent.get("seconds"))
        mark = "" if label(agent.get("outcome")) in {"", "succeeded"} else " ✗"
        subtask = label(agent.get("subtask_id")) or label(agent.get("purpose"))
        subtask += f" #{attempt:.0f}" * (attempt > 1)
        cells = label(agent.get("role")) + mark, label(agent.get("model")), subtask
        names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        fresh, read, written = (as_number(agent.get(name)) for name in names)
        every = None if fresh is None else fresh + (read or 0) + (written or 0)
        cells += tuple(map(count_cell, (every, agent.get("output_tokens"), read)))
        cells += "-" if seconds is None else f"{seconds:.2f}"[:7], usd_cell(agent.get("cost_usd"))
        rows.append(cells)
    if room < 70:  # The cached tokens are what one can do without.
        rows = [(*cells[:5], *cells[6:]) for cells in rows]
    widths = [max(map(columns, cells)) for cells in zip(*rows, strict=True)]
    for at, least in ((1, 8), (2, 7), (0, 6)):
        excess = max(0, sum(widths) + 2 * (len(widths) - 1) - room)
        widths[at] = max(min(least, widths[at]), widths[at] - excess)
    for cells in rows:
        cut = [fit(cell, width) for cell, width in zip(cells, widths, strict=True)]
        gaps = [" " * (width - columns(cell)) for cell, width in zip(cut, widths, strict=True)]
        pairs = enumerate(zip(cut, gaps, strict=True))
        yield "  ".join(cell + gap if at < 3 else gap + cell for at, (cell, gap) in pairs)


def comparison(agents: Sequence[Json], totals: Json) -> str:
    """What the team's tokens would cost on the lead's model; empty if unknown or all the same."""
    lead = next((label(agent.get("model")) for agent in agents if agent.get("role") == "lead"), "")
    cost, alone = (as_number(totals.get(n)) for n in ("cost_usd", "cost_usd_on_lead_model"))
    models = {label(agent.get("model")) for agent in agents}
    if not (cost and alone and lead) or models == {lead}:
        return ""
    factor = f"{alone / cost:.1f} \N{MULTIPLICATION SIGN} as much"
    return f"The same tokens on {fit(lead, 28)} alone: ${usd_cell(alone)} ({factor})."


def remarks(run: Run) -> Iterator[str]:
    """What the reader of the answer has to know about it; nothing if it is complete."""
    failed = [one for one in run.subtasks.values() if one.failed]
    if run.summary.get("partial", bool(failed)) is True:
        lost = [f"{one.name} {one.state}" + f": {one.reason}" * bool(one.reason) for one in failed]
        names = f" ({fit('; '.join(lost), 600)})" if lost else ""
        yield f"Partial answer: not every subtask has a result{names}."
    if run.summary.get("timed_out") is True:
        yield "A time limit of the service ended the run early."
    if words := ENDINGS.get(run.finish_reason):
        yield words


def report(run: Run) -> None:
    agents = [as_map(agent) for agent in as_list(run.summary.get("agents"))]
    totals = as_map(run.summary.get("totals"))
    if agents or totals:
        lines = list(table(agents, totals, run.screen.width))
        for at, line in enumerate(lines):
            run.screen.line(line, "bold" if at in {0, len(lines) - 1} else "")
    elif run.usage:
        told, got = (count_cell(run.usage.get(n)) for n in ("prompt_tokens", "completion_tokens"))
        run.screen.line(f"tokens: {told} in, {got} out", "dim")
    if sentence := comparison(agents, totals):
        run.screen.line(sentence)


def report_interrupt(run: Run) -> None:
    known = f"; {run.finished} of {count_of(run.total, 'subtask')} had finished" * bool(run.total)
    run.screen.line(f"interrupted after {run.seconds:.1f} s, connection closed{known}", "yellow")
    words = "not known here; calls that are cut off do not tell what they cost"
    if spent := spent_parts(run.spent):
        words = "{} ({})".format(*sorted(spent))  # USD first, where it is known
        words += (not run.summary) * " by calls that ended; those cut off come on top"
    run.screen.line(f"spent: {words}", "dim")


def number(kind: Callable[[str], float], most: float, words: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        with suppress(ValueError):
            if 0 < kind(text) <= most:
                return kind(text)
        raise argparse.ArgumentTypeError(f"must be {words}, not {text!r}")

    return parse


def add_arguments(parser: argparse.ArgumentParser, default_url: str = DEFAULT_URL) -> None:
    """Add the words; `run` checks what argparse cannot. `default_url`: what the help calls it."""
    add = parser.add_argument
    add("prompt", nargs="?", help="what to ask; - or nothing: read it from stdin")
    add("--base-url", metavar="URL", help=f"default: {default_url}")
    add("--model", metavar="ID", help="default: the first that the service lists")
    add(
        "--file", metavar="PATH", action="append", default=[], help="text to send along; repeatable"
    )
    seconds = number(float, 86_400, "a number of seconds, above 0 and up to 86400")
    whole = number(int, 1e9, "a whole number above 0")
    add("--max-tokens", metavar="N", type=whole, help="cap of the answer")
    add("--request-id", metavar="ID", help="sent as X-Request-ID")
    add("--timeout", metavar="SECONDS", type=seconds, default=300.0, help="longest silence (300)")
    add("--interactive", action="store_true", help="a conversation: prompt, answer, prompt …")
    add("--json", action="store_true", help="for programs: the completion object on stdout")
    add("--no-stream", action="store_true", help="wait for the whole answer")
    add("--no-color", action="store_true", help="plain text")


def header_value(text: str, name: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(f"{name} holds a space or a character that a header cannot carry")
    return text


def decoded(content: bytes, name: str) -> str:
    if len(content) > FILE_LIMIT:
        raise UsageError(f"{label(name)} is larger than {FILE_LIMIT // 1024**2} MB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{label(name)} is not UTF-8 text (byte {error.start})") from error


def documents(paths: Sequence[str]) -> Iterator[str]:
    names = [Path(path).name for path in paths]
    for path, name in zip(paths, names, strict=True):
        try:
            with Path(path).open("rb") as source:  # A pipe has no size to ask for.
                text = decoded(source.read(FILE_LIMIT + 1), path)
        except OSError as error:
            raise UsageError(f"cannot read {label(path)}: {error.strerror}") from error
        shown = label(path if names.count(name) > 1 else name).replace('"', "'")
        yield f'<document name="{shown}">\n{text}\n</document>'


def prompt_of(argument: str | None) -> str:
    if argument is not None and argument != "-":
        # The locale may have decoded it as something else than the UTF-8 it is.
        prompt = decoded(os.fsencode(argument), "the prompt")
    elif argument is None and sys.stdin.isatty():
        raise UsageError("no prompt", "Give it in quotes, pipe it in, or talk with --interactive.")
    else:
        prompt = decoded(sys.stdin.buffer.read(FILE_LIMIT + 1), "stdin")
    if not prompt.strip():
        raise UsageError("the prompt is empty")
    return prompt


def message(texts: Sequence[str], prompt: str) -> Json:
    parts = [{"type": "text", "text": text} for text in (*texts, prompt)]
    return {"role": "user", "content": parts if texts else prompt}


def arm_interrupt() -> None:
    """Let the next Ctrl-C interrupt, and those that follow it not disturb the cleaning up."""

    def interrupt(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, lambda _signal, _frame: None)
        raise KeyboardInterrupt

    # Started with & by a shell, the program is not meant to hear it.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, interrupt)


def attempt(service: Service, messages: list[Json], run: Run) -> bool:
    """One question to the end of its answer; what went wrong is told. Whether there is one."""
    screen = run.screen
    try:
        screen.watch(run)
        service.ask(messages, run)
        screen.end_answer()
        run.code = 3 if any(remarks(run)) else 0
        for text in () if service.for_programs else remarks(run):
            screen.line(text, "yellow")
    except (ClientError, KeyboardInterrupt) as end:
        run.stop()
        screen.end_answer(cut_off=True)
        run.code = end.exit_code if isinstance(end, ClientError) else 130
        if isinstance(end, ClientError):
            screen.error(end)
        else:
            report_interrupt(run)
    finally:
        screen.close_view()
    return run.code in {0, 3}


def ask_once(service: Service, args: argparse.Namespace, screen: Screen) -> int:
    run = Run(screen)
    said = message(list(documents(args.file)), prompt_of(args.prompt))
    if not attempt(service, [said], run) or not args.json:
        report(run)
        named = {"request id": run.request_id, "run id": run.run_id}
        if ids := "  ".join(f"{name} {known}" for name, known in named.items() if known):
            screen.line(ids, "dim")
    return run.code


class Conversation:
    """Prompt, answer, prompt …, with what was said before sent along."""

    def __init__(self, service: Service, args: argparse.Namespace, screen: Screen) -> None:
        if args.json:
            raise UsageError("--json is for one answer: leave out --interactive")
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError("--interactive needs a terminal for stdin and stdout")
        self._service, self._screen, self._help = service, screen, HELP
        self._documents = list(documents(args.file))
        self._history, self._runs = list[Json](), list[Run]()

    def hold(self, prompt: str | None) -> int:
        cast(io.TextIOWrapper, sys.stdin).reconfigure(encoding="utf-8", errors="replace")
        with suppress(ImportError):
            readline = __import__("readline")
            if os.environ.get("TERM") != "dumb":  # Else each pasted line would be a question.
                readline.parse_and_bind("set enable-bracketed-paste on")
                self._help += PASTED
        self._screen.line("/help tells what there is; Ctrl-D leaves.", "dim")
        code = 0
        try:
            question = self._read() if prompt is None else prompt_of(prompt)
            while question.strip() != "/quit":
                self._obey(question)
                question = self._read()
        except (EOFError, KeyboardInterrupt) as end:
            code = 130 if isinstance(end, KeyboardInterrupt) else 0
        if self._runs:
            self._screen.line(self._total())
        return code

    def _read(self) -> str:
        """The next question. Raises EOFError and, at the second time, KeyboardInterrupt."""
        interrupted = False
        while True:
            arm_interrupt()
            try:
                if (text := CONTROLS.sub("", self._screen.prompt())).strip():
                    return text
                interrupted = False
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted = True
                self._screen.line("Ctrl-C again leaves.", "dim")

    def _obey(self, text: str) -> None:
        match text.split():
            case ["/help", *_]:
                self._screen.line(self._help)
            case ["/new", *_]:
                self._history = []
                self._screen.line("Forgotten; the next question starts anew.", "dim")
            case ["/table", *_]:
                last = self._runs[-1] if self._runs else Run(self._screen)
                how = "was interrupted" if last.code == 130 else "has no table"
                if last.summary or last.usage:
                    report(last)
                else:
                    words = f"The last answer {how}." if self._runs else "No answer yet."
                    self._screen.line(words, "yellow")
            case [command] if command.startswith("/"):
                self._screen.line(f"There is no {fit(label(command), 40)}; see /help.", "yellow")
            case _:
                self._turn(text)

    def _turn(self, question: str) -> None:
        arm_interrupt()
        run = Run(self._screen)
        self._runs.append(run)
        said = message([] if self._history else self._documents, question)
        answered = attempt(self._service, [*self._history, said], run)
        if answered and (answer := "".join(run.answer)).strip():
            self._history += [said, {"role": "assistant", "content": answer}]
        if run.code != 130 and (spent := spent_parts(run.spent)):
            self._screen.line("  ".join([spent[0], f"{run.seconds:.1f} s", *spent[1:]]), "dim")

    def _total(self) -> str:
        tokens = sum(tokens_of(run.spent) for run in self._runs)
        costs = [as_number(run.spent.get("cost_usd")) for run in self._runs]
        known = [cost for cost in costs if cost is not None]
        answers = sum(run.code in {0, 3} for run in self._runs)
        cut_off = any(run.code not in {0, 3} and not run.summary for run in self._runs)
        least = "at least " * (cut_off or len(known) < len(costs))
        cost = f"{least}${usd_cell(sum(known))}" if known else "USD unknown"
        return f"{count_of(answers, 'answer')}  {least}{token_words(tokens)}  {cost}"


def discard_unwritten() -> None:
    """What is still buffered must not fail again while the interpreter ends."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def run(args: argparse.Namespace, token: str | None = None) -> int:
    """Do what the command line asks for; the exit code. `token` wins over API_BEARER_TOKEN."""
    closed = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    for name in closed:
        setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r+", encoding="utf-8"))
    try:
        for stream in (sys.stdout, sys.stderr):
            cast(io.TextIOWrapper, stream).reconfigure(encoding="utf-8", errors="replace")
        if sys.__stdout__ is None:  # Told before anything is spent.
            raise OutputError from OSError(errno.EBADF, "stdout is closed")
        arm_interrupt()
        screen = Screen(not args.no_color and not os.environ.get("NO_COLOR"), args.json)
        try:
            service = Service(args, token)
            if args.interactive:
                return Conversation(service, args, screen).hold(args.prompt)
            return ask_once(service, args, screen)
        except ClientError as error:
            screen.error(error)
            return error.exit_code
    except KeyboardInterrupt:
        return 130
    except OutputError as error:
        cause = cast(OSError, error.__cause__)
        if cause.errno != errno.EPIPE:
            with suppress(OSError):
                print(f"error: cannot write: {cause.strerror or cause}", file=sys.stderr)
        discard_unwritten()
        return 141 if cause.errno == errno.EPIPE else 1


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        with suppress(OSError):
            print(f"error: {label(message)}\nSee --help.", file=sys.stderr)
        sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = Parser(None, None, __doc__, formatter_class=layout, allow_abbrev=False)
    add_arguments(parser)
    try:
        return run(parser.parse_args(argv))
    finally:
        discard_unwritten()


if __name__ == "__main__":
    sys.exit(main())
