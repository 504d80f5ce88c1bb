#!/usr/bin/env python3
"""Ask a team of Claude agents from the terminal, and watch it work.

    export API_BEARER_TOKEN=$(orchestrator-worker token)
    python console_client.py "Compare PostgreSQL and SQLite" > answer.md
    python console_client.py "What do these contracts have in common?" --file a.txt --file b.txt
    git diff | python console_client.py - --no-stream

The answer goes to stdout; progress and the table of agents, tokens, time and USD go to stderr.
It speaks to any OpenAI-compatible service; what this project's service adds to the stream is shown
when it is there and not missed when it is not. One file, standard library only, Python 3.11 or
later: it imports nothing of the service and knows it only through HTTP.

Environment: API_BEARER_TOKEN (required), ORCHESTRATOR_BASE_URL, ORCHESTRATOR_MODEL, NO_COLOR; the
usual proxy variables count, except for a service on this machine.
Exit codes: 0 answer complete, 1 the service or its upstream failed, 2 usage or configuration,
130 interrupted (the connection is closed at once, which cancels the run), 141 nobody reads stdout.
"""

import argparse
import errno
import http.client
import io
import ipaddress
import json
import os
import re
import socket
import ssl
import sys
import time
import unicodedata
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, cast
from urllib.error import URLError
from urllib.parse import urlsplit

Json = dict[str, Any]

WIDTH = 80
FILE_LIMIT = 25 * 1024 * 1024
TOKEN_ADVICE = "Make a token with `orchestrator-worker token` and export it as API_BEARER_TOKEN."
START_ADVICE = "Is the service running? Start it: .venv/bin/orchestrator-worker serve"
INCOMPLETE = "The answer may be incomplete."
HEADINGS = ("role", "model", "subtask", "in", "out", "cached", "seconds", "USD")
STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
ENDINGS = {
    "length": "The answer was cut: it reached its token or time limit.",
    "content_filter": "The model declined to answer all of it.",
    "tool_calls": "The model asked for tool calls; this client offers no tools.",
}
# What a terminal obeys (C0 but newline and tab, DEL, C1), and what reorders the rest of a line.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")


class ClientError(Exception):
    """What ends the program with words for a person. ServiceError | UsageError."""

    exit_code = 1

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message, self.advice = message, advice


class ServiceError(ClientError):
    """The service, its upstream or the way to it failed."""


class UsageError(ClientError):
    """The caller has to change the command or the environment."""

    exit_code = 2


class OutputError(Exception):
    """Stdout or stderr takes no more text. No OSError, so it never passes for the network's."""


def clean(text: str) -> str:
    """The text without what a terminal would obey."""
    return CONTROLS.sub("", text)


def label(value: object) -> str:
    """A short text from the wire as one harmless line; empty for anything but a string."""
    line = " ".join(value[:2000].split()) if isinstance(value, str) else ""
    return BIDI_CONTROLS.sub("", clean(line))


def columns(text: str) -> int:
    """Terminal columns of a text."""
    shown = [char for char in text if unicodedata.category(char) not in {"Mn", "Me", "Cf"}]
    return sum(1 + (unicodedata.east_asian_width(char) in {"W", "F"}) for char in shown)


def fit(text: str, room: int) -> str:
    """The text, cut with an ellipsis if it needs more columns than there are."""
    if columns(text) <= room:
        return text
    end = used = 0
    while (used := used + columns(text[end])) < room:
        end += 1
    return text[:end].rstrip() + "…"


def as_map(value: object) -> Json:
    """The JSON object, or an empty one for anything else."""
    return cast(Json, value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """The JSON array, or an empty one for anything else."""
    return cast(list[Any], value) if isinstance(value, list) else []


def as_number(value: object) -> float | None:
    """A number that can be printed, or None: unknown."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e12 else None


def parse_object(text: str | bytes) -> Json | None:
    """The JSON object a text holds, or None."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast(Json, value) if isinstance(value, dict) else None


class SseParser:
    """Server-sent events out of bytes that may be cut anywhere. Lines end in LF or CRLF."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[str] = []

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
        """Send on; if the service reads no further, go on to its answer."""
        if self.sock is None:
            self.connect()
        with suppress(BrokenPipeError, ConnectionResetError):
            super().send(data)


class EarlyAnswersTls(EarlyAnswers, http.client.HTTPSConnection):
    """The same over TLS."""


class Connections(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Opens http and https URLs by the connections above."""

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Called for http URLs."""
        return cast(Any, self).do_open(EarlyAnswers, req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Called for https URLs."""
        return cast(Any, self).do_open(EarlyAnswersTls, req, context=ssl.create_default_context())


def opener_for(host: str) -> urllib.request.OpenerDirector:
    """An opener that follows no redirect, which would carry the token to another host."""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost" or host.endswith(".localhost")
    opener = urllib.request.OpenerDirector()
    # A proxy's loopback is another machine's.
    opener.add_handler(urllib.request.ProxyHandler({} if loopback else None))
    opener.add_handler(Connections())
    return opener


class Service:
    """The service over HTTP, and words for everything that can fail on the way to it."""

    def __init__(self, text: str, token: str, timeout_seconds: float) -> None:
        try:
            url = urlsplit(text)
            sound = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
        except ValueError:
            url, sound = urlsplit(""), False
        if not sound or not text.isascii() or not text.isprintable() or set(text) & set(" @?#"):
            raise UsageError(f"not a base URL: {label(text)!r}", "Like http://127.0.0.1:8000")
        self._url = text.rstrip("/").removesuffix("/v1").rstrip("/")
        self._opener = opener_for(url.hostname or "")
        self._token = token
        self._timeout_seconds = timeout_seconds

    def call(
        self, path: str, body: Json | None = None, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """One exchange on its own connection, which lives as long as the response."""
        content = None if body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        sent |= {"User-Agent": "console-client", **(headers or {})}
        request = urllib.request.Request(self._url + path, content, sent)
        try:
            return self._opener.open(request, timeout=self._timeout_seconds)
        except (OSError, http.client.HTTPException) as error:
            failure = self.explain(error)
            if len(content or b"") > 1_000_000 and isinstance(error, ConnectionError):
                failure.advice = "The request may be too large: send fewer or smaller files."
            raise failure from error

    def read(self, response: http.client.HTTPResponse) -> bytes:
        """The rest of a body."""
        try:
            return response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self.explain(error) from error

    def models(self) -> list[str]:
        """The ids the service serves."""
        with self.call("/v1/models") as response:
            self.refuse_failure(response)
            found = parse_object(self.read(response)) or {}
        ids = [label(as_map(model).get("id")) for model in as_list(found.get("data"))]
        return [name for name in ids if name]

    def refuse_failure(self, response: http.client.HTTPResponse) -> None:
        """Raise for every status but 200, with the service's words and what to do about them."""
        if response.status == 200:
            return
        body = self.read(response)
        found = as_map((parse_object(body) or {}).get("error"))
        code = label(found.get("code"))
        title = f"HTTP {response.status} {code}".rstrip()
        message = label(found.get("message")) or unexpected(response, body)
        raise ServiceError(f"{title}: {message}", self._advice(response, code))

    def explain(self, error: OSError | http.client.HTTPException) -> ServiceError:
        """The words for a failed connection."""
        match error.reason if isinstance(error, URLError) else error:
            case ConnectionRefusedError():
                return ServiceError(f"nothing answers at {self._url}", START_ADVICE)
            case TimeoutError():
                message = f"no byte from {self._url} for {self._timeout_seconds:g} s"
                return ServiceError(message, "Wait longer with --timeout SECONDS.")
            case socket.gaierror():
                return ServiceError(f"no such host: {self._url}", "Check --base-url.")
            case ssl.SSLError() as cause:
                message = f"no secure connection to {self._url}: {cause.reason}"
                return ServiceError(message, "Check --base-url (http or https?) and certificates.")
            case cause:
                reason = label(str(cause)) or type(cause).__name__
                return ServiceError(f"the connection to {self._url} broke: {reason}", START_ADVICE)

    def _advice(self, response: http.client.HTTPResponse, code: str) -> str:
        status, wait = response.status, label(response.headers.get("retry-after"))
        again = f"Retry after {wait}{' s' if wait.isdecimal() else ''}." if wait else "Retry later."
        if status >= 500:
            return f"The service or the Claude API behind it failed. {again}"
        if 300 <= status < 400:
            return f"It redirects to {label(response.headers.get('location'))}: check --base-url."
        if code == "model_not_found":
            with suppress(ServiceError):
                return f"Served models: {', '.join(self.models())}."
        advice = {401: TOKEN_ADVICE, 403: TOKEN_ADVICE, 404: "Check --base-url and --model."}
        return {413: "Send fewer or smaller files.", 429: again, **advice}.get(status, "")


def unexpected(response: http.client.HTTPResponse, body: bytes) -> str:
    """What to say of a body that is not what the API promises."""
    start = fit(label(body[:400].decode("utf-8", "replace")), 120) or "empty"
    return f"unexpected body, not JSON of this API ({response.headers.get_content_type()}): {start}"


class Screen:
    """The answer on stdout, all else on stderr, set apart where both end in one place."""

    def __init__(self, colour: bool) -> None:
        self._out, self._err = sys.stdout, sys.stderr
        self._colour = colour and self._err.isatty() and os.environ.get("TERM") != "dumb"
        self._one_view = os.path.sameopenfile(self._out.fileno(), self._err.fileno())
        self._last: TextIO | None = None
        self._open = {self._out: False, self._err: False}

    def line(self, text: str, style: str = "") -> None:
        """One line of progress or report."""
        self._turn_to(self._err)
        self._end_line(self._err)
        self._write(self._err, text, style, "\n")

    def aside(self, text: str) -> None:
        """A piece of the progress text meant for people."""
        self._turn_to(self._err)
        self._write(self._err, clean(text), "dim")

    def answer(self, text: str) -> None:
        """A piece of the answer, shown at once."""
        self._turn_to(self._out)
        self._write(self._out, clean(text))

    def end_answer(self) -> None:
        """Close the last line of the answer."""
        self._end_line(self._out)

    def _turn_to(self, stream: TextIO) -> None:
        if self._one_view and self._last not in {None, stream}:
            self._end_line(cast(TextIO, self._last))
            self._write(self._err, "\n")
        self._last = stream

    def _end_line(self, stream: TextIO) -> None:
        if self._open[stream]:
            self._write(stream, "\n")

    def _write(self, stream: TextIO, text: str, style: str = "", end: str = "") -> None:
        self._open[stream] = not (text + end).endswith("\n")
        if text and style and self._colour:
            text = f"\x1b[{STYLES[style]}m{text}\x1b[0m"
        try:
            stream.write(text + end)
            stream.flush()
        except OSError as error:
            raise OutputError from error


def progress_line(state: str, subtask: str, title: str, tail: str = "") -> str:
    """One subtask in one line; what is too long is cut from its title."""
    head = f"{state:<7}  {fit(subtask, 16):<2}  "
    return (head + fit(title, WIDTH - columns(head + tail))).rstrip() + tail


@dataclass
class Run:
    """What is known about the run so far; every chunk of the stream goes through `chunk`."""

    screen: Screen
    started: float = field(default_factory=time.monotonic)
    request_id: str = ""
    run_id: str = ""
    finish_reason: str = ""
    titles: dict[str, str] = field(default_factory=dict[str, str])
    planned: int | None = None
    """Subtasks of the whole plan; None while it is being written."""
    finished: set[str] = field(default_factory=set[str])
    lost: list[str] = field(default_factory=list[str])
    usage: Json = field(default_factory=dict[str, Any])
    summary: Json = field(default_factory=dict[str, Any])

    def chunk(self, chunk: Json) -> None:
        """Take one chunk, or a whole completion."""
        if error := chunk.get("error"):
            found = as_map(error)
            code = label(found.get("code")) or label(found.get("type")) or "error"
            raise ServiceError(f"{code}: {label(found.get('message')) or label(error)}", INCOMPLETE)
        extra = as_map(chunk.get("orchestration"))
        self.run_id = label(extra.get("run_id")) or self.run_id
        if "event" in extra:
            self._event(extra)
        self.summary = extra or self.summary
        self.usage = as_map(chunk.get("usage")) or self.usage
        for choice in map(as_map, as_list(chunk.get("choices"))[:1]):
            self.finish_reason = label(choice.get("finish_reason")) or self.finish_reason
            self._text(as_map(choice.get("delta")) or as_map(choice.get("message")))

    def _text(self, text: Json) -> None:
        thought, answer = text.get("reasoning_content"), text.get("content") or text.get("refusal")
        # With machine-readable progress the same in words would be shown twice.
        if isinstance(thought, str) and thought and not self.summary:
            self.screen.aside(thought)
        if isinstance(answer, str) and answer:
            self.screen.answer(answer)

    def _event(self, event: Json) -> None:
        say, subtask = self.screen.line, label(event.get("subtask_id"))
        title, model = label(event.get("title")), fit(label(event.get("model")), 30)
        match event["event"]:
            case "route_decided":
                say(f"route    {fit(label(event.get('route')), 60)}", "dim")
            case "subtask_planned":
                self.titles[subtask] = title
                say(progress_line("planned", subtask, title), "dim")
            case "plan_closed":
                self.planned = int(as_number(event.get("subtasks")) or len(self.titles))
                say(f"plan     {self.planned} subtask{'s' * (self.planned != 1)}", "dim")
            case "plan_repaired":
                say(progress_line("repair", subtask, label(event.get("reason"))), "yellow")
            case "worker_started":
                say(progress_line("started", subtask, self.titles.get(subtask, ""), f"  {model}"))
            case "worker_finished":
                self._worker_finished(subtask, event)
            case "worker_escalated" | "result_scored" if event.get("redone", True):
                say(progress_line("again", subtask, label(event.get("reason"))), "yellow")
            case "round_reviewed":
                say(f"review   {fit(label(event.get('reason')) or 'adds to the plan', WIDTH - 9)}")
            case "synthesis_started":
                say(f"merging  {model}", "dim")
            case _:
                pass  # A later version of the service may tell more.

    def _worker_finished(self, subtask: str, event: Json) -> None:
        self.finished.add(subtask)  # a weak result is done again under the same name
        outcome = fit(label(event.get("outcome")).replace("_", " "), 20)
        mark, style = ("✓", "green") if outcome == "succeeded" else ("✗", "red")
        finished = len(self.finished)
        total = max(self.planned or 0, len(self.titles), finished)
        state = f"{mark} {finished}/{total}{'+' * (self.planned is None)}"
        tail = f"  {outcome}" if mark == "✗" else ""
        if (seconds := as_number(event.get("seconds"))) is not None:
            tail += f"  {seconds:.1f} s"
        counts = [as_number(event.get(name)) for name in ("input_tokens", "output_tokens")]
        if known := [count for count in counts if count is not None]:
            tail += f"  {count_cell(sum(known))} tokens"
        self.screen.line(progress_line(state, subtask, self.titles.get(subtask, ""), tail), style)
        if mark == "✗":
            self.lost.append(f"{subtask} {outcome}")
            if reason := label(event.get("reason")):
                self.screen.line(f"         {fit(reason, WIDTH - 9)}", style)


def count_cell(value: object) -> str:
    """A token count; a dash where none was told."""
    if (number := as_number(value)) is None:
        return "-"
    return f"{number:.0f}" if number < 1e6 else f"{number / 1e6:.1f}M"


def usd_cell(value: object) -> str:
    """A cost in USD; `unknown` where none was told, for that is not zero."""
    if (cost := as_number(value)) is None:
        return "unknown"
    return "<0.00001" if 0 < cost < 0.00001 else f"{cost:.5f}" if cost < 10 else f"{cost:.2f}"


def row(role: str, agent: Json) -> tuple[str, ...]:
    """One row of the table; #2 marks a second attempt."""
    attempt = as_number(agent.get("attempt")) or 1
    subtask = label(agent.get("subtask_id")) + (f" #{attempt:.0f}" if attempt > 1 else "")
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens")
    counts = [count_cell(agent.get(name)) for name in names]
    known = as_number(agent.get("seconds"))
    seconds = "-" if known is None else f"{known:.2f}"[:7]
    return role, label(agent.get("model")), subtask, *counts, seconds, usd_cell(agent["cost_usd"])


def table(agents: Sequence[Json], totals: Json) -> Iterator[str]:
    """Lines of the table, never wider than the screen; ✗ marks an agent that did not succeed."""
    rows: list[tuple[str, ...]] = [HEADINGS]
    for agent in agents:
        mark = "" if label(agent.get("outcome")) in {"", "succeeded"} else " ✗"
        rows.append(row(label(agent.get("role")) + mark, {"cost_usd": None, **agent}))
    rows.append(row("total", {"cost_usd": None, **totals}))
    widths = [max(map(columns, cells)) for cells in zip(*rows, strict=True)]
    for at, least in ((1, 8), (2, 7), (0, 6)):
        excess = max(0, sum(widths) + 2 * (len(widths) - 1) - WIDTH)
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
    if (
        not cost
        or not alone
        or not lead
        or {label(agent.get("model")) for agent in agents} == {lead}
    ):
        return ""
    dollars = f"${alone:.4f}" if alone >= 0.001 else f"${alone:.6f}"
    factor = f"{alone / cost:.1f} \N{MULTIPLICATION SIGN} as much"
    return f"The same tokens on {fit(lead, 28)} alone: {dollars} ({factor})."


def remarks(run: Run) -> Iterator[str]:
    """What the reader of the answer has to know about it."""
    if run.summary.get("partial") is True:
        lost = fit(f" ({', '.join(run.lost)})", 30) if run.lost else ""
        yield f"Partial answer: not every subtask has a result{lost}."
    if run.summary.get("timed_out") is True:
        yield "A time limit of the service ended the run early."
    if words := ENDINGS.get(run.finish_reason):
        yield words


def report(run: Run) -> None:
    """Everything after the answer."""
    agents = [as_map(agent) for agent in as_list(run.summary.get("agents"))]
    totals = as_map(run.summary.get("totals"))
    if agents or totals:
        lines = list(table(agents, totals))
        for at, line in enumerate(lines):
            run.screen.line(line, "bold" if at in {0, len(lines) - 1} else "")
    elif run.usage:
        told, got = (count_cell(run.usage.get(n)) for n in ("prompt_tokens", "completion_tokens"))
        run.screen.line(f"tokens: {told} in, {got} out", "dim")
    for text in remarks(run):
        run.screen.line(text, "yellow")
    if sentence := comparison(agents, totals):
        run.screen.line(sentence)


def report_ids(run: Run) -> None:
    """The ids by which the service's logs know this call."""
    ids = f"request id {run.request_id}" * bool(run.request_id)
    if ids := f"{ids}  {f'run id {run.run_id}' * bool(run.run_id)}".strip():
        run.screen.line(ids, "dim")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line; a mistake ends the program with 2."""
    description, _, epilog = (__doc__ or "").partition("\n\n")
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=layout, allow_abbrev=False
    )
    add = parser.add_argument
    add("prompt", nargs="?", help="what to ask; - or nothing: read it from stdin")
    add("--base-url", metavar="URL", help="default: http://127.0.0.1:8000")
    add("--model", metavar="ID", help="default: the first that the service lists")
    add(
        "--file", metavar="PATH", action="append", default=[], help="text to send along; repeatable"
    )
    add("--max-tokens", metavar="N", type=int, help="cap of the answer")
    add("--request-id", metavar="ID", help="sent as X-Request-ID")
    add("--timeout", metavar="SECONDS", type=float, default=300.0, help="longest silence (300)")
    add("--no-stream", action="store_true", help="wait for the whole answer")
    add("--no-color", action="store_true", help="plain text")
    args = parser.parse_args(argv)
    if not 0 < args.timeout <= 86_400 or (args.max_tokens is not None and args.max_tokens < 1):
        parser.error("--timeout and --max-tokens are greater than zero")
    return args


def header_value(text: str, name: str) -> str:
    """A value that can stand in a header."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(f"{name} holds a space or a character that a header cannot carry")
    return text


def decoded(content: bytes, name: str) -> str:
    """The text of a file, of stdin or of an argument."""
    if len(content) > FILE_LIMIT:
        raise UsageError(f"{label(name)} is larger than {FILE_LIMIT // 1024**2} MB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{label(name)} is not UTF-8 text (byte {error.start})") from error


def document(path: str, name: str) -> str:
    """One --file as the part of the message that carries it."""
    try:
        with Path(path).open("rb") as source:  # A pipe has no size to ask for.
            text = decoded(source.read(FILE_LIMIT + 1), path)
    except OSError as error:
        raise UsageError(f"cannot read {label(path)}: {error.strerror}") from error
    shown = label(name).replace('"', "'")
    return f'<document name="{shown}">\n{text}\n</document>'


def content_of(argument: str | None, paths: Sequence[str]) -> str | list[Json]:
    """The message: the documents, then the prompt from the command line or stdin."""
    if argument is not None and argument != "-":
        # The locale may have decoded it as something else than the UTF-8 it is.
        prompt = decoded(os.fsencode(argument), "the prompt")
    elif argument is None and sys.stdin.isatty():
        raise UsageError("no prompt", 'Give it in quotes: console_client.py "…"')
    else:
        prompt = decoded(sys.stdin.buffer.read(FILE_LIMIT + 1), "stdin")
    if not prompt.strip():
        raise UsageError("the prompt is empty")
    names = [Path(path).name for path in paths]
    shown = [path if names.count(Path(path).name) > 1 else Path(path).name for path in paths]
    texts = [*map(document, paths, shown), prompt]
    return [{"type": "text", "text": text} for text in texts] if paths else prompt


def follow(service: Service, response: http.client.HTTPResponse, run: Run) -> None:
    """Show a stream up to its `[DONE]`."""
    parser, piece = SseParser(), b"\n"
    while piece:
        try:
            piece = response.read1(65_536)
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(service.explain(error).message, INCOMPLETE) from error
        # Some servers leave out the blank line after the last event.
        for data in parser.feed(piece or b"\n\n"):
            if data.startswith("[DONE]"):
                return
            if (chunk := parse_object(data)) is None:
                raise ServiceError(f"not JSON in the stream: {fit(label(data), 50)}", INCOMPLETE)
            run.chunk(chunk)
    raise ServiceError("the stream ended without [DONE]", INCOMPLETE)


def show_whole(service: Service, response: http.client.HTTPResponse, run: Run) -> None:
    """Show an answer that came in one piece."""
    body = service.read(response)
    found = parse_object(body)
    if found is None or not ("choices" in found or "error" in found):
        raise ServiceError(unexpected(response, body), "Check --base-url.")
    run.chunk(found)


def ask(args: argparse.Namespace, run: Run) -> None:
    """Check everything that needs no network, then ask."""
    env = os.environ
    if not (token := env.get("API_BEARER_TOKEN", "").strip()):
        raise UsageError(f"API_BEARER_TOKEN is not set. {TOKEN_ADVICE}")
    url = args.base_url or env.get("ORCHESTRATOR_BASE_URL") or "http://127.0.0.1:8000"
    service = Service(url, header_value(token, "API_BEARER_TOKEN"), args.timeout)
    headers = {"X-Orchestration": "progress, usage"}
    if args.request_id:
        headers["X-Request-ID"] = header_value(args.request_id, "--request-id")
    body: Json = {"messages": [{"role": "user", "content": content_of(args.prompt, args.file)}]}
    body |= {"max_tokens": args.max_tokens} if args.max_tokens else {}
    body |= {} if args.no_stream else {"stream": True, "stream_options": {"include_usage": True}}
    body["model"] = args.model or env.get("ORCHESTRATOR_MODEL") or next(iter(service.models()), "")
    if not body["model"]:
        raise ServiceError("the service lists no model", "Name one with --model.")
    with service.call("/v1/chat/completions", body, headers) as response:
        run.request_id = label(response.headers.get("x-request-id"))
        service.refuse_failure(response)
        streamed = response.headers.get_content_type() == "text/event-stream"
        (follow if streamed else show_whole)(service, response, run)


def show_run(args: argparse.Namespace, run: Run) -> int:
    """One run from question to report."""
    code = 0
    try:
        ask(args, run)
        run.screen.end_answer()
        report(run)
    except ClientError as error:
        run.screen.end_answer()
        run.screen.line(f"error: {error.message}", "red")
        if error.advice:
            run.screen.line(error.advice)
        code = error.exit_code
    except KeyboardInterrupt:
        run.screen.end_answer()
        total = max(run.planned or 0, len(run.titles), len(run.finished))
        known = f"; {len(run.finished)} of {total} subtasks had finished" if total else ""
        seconds = time.monotonic() - run.started
        run.screen.line(f"interrupted after {seconds:.1f} s, connection closed{known}", "yellow")
        code = 130
    report_ids(run)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        cast(io.TextIOWrapper, stream).reconfigure(encoding="utf-8", errors="replace")
    args = parse_arguments(argv)
    try:
        return show_run(args, Run(Screen(not args.no_color and not os.environ.get("NO_COLOR"))))
    except OutputError as error:
        # What is still buffered must not fail again while the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EPIPE:
            return 141
        print(f"error: cannot write: {error.__cause__}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
