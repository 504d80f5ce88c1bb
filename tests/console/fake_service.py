"""A service on loopback that sends exactly the bytes a test gives it, in the pieces it gives them.

Owns sockets and threads and nothing of HTTP's meaning, so that a test can break every rule.
"""

import json
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

Json = dict[str, Any]

WAIT_SECONDS = 10.0
"""Bound of every wait in these tests."""


@dataclass
class Received:
    """One request as it came."""

    target: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Json:
        return json.loads(self.body)


@dataclass
class Exchange:
    """What a test's script can do with one connection."""

    connection: socket.socket
    client_left: threading.Event

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.connection.sendall(piece)

    def wait_until_client_leaves(self) -> None:
        """Return at the client's end of the connection, and tell the test."""
        self.connection.settimeout(WAIT_SECONDS)
        try:
            while self.connection.recv(65_536):
                pass
        except ConnectionError:
            pass
        self.client_left.set()


Script = Callable[[Exchange], None]


@dataclass
class FakeService:
    """Answers each POST by the script, GET /v1/models by `models`."""

    script: Script
    models: bytes
    read_body: bool = True
    requests: list[Received] = field(default_factory=list[Received])
    client_left: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Closing alone does not wake a thread in accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(WAIT_SECONDS)
            assert not thread.is_alive()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def chat(self) -> Received:
        """The one chat completion that was asked for."""
        (found,) = [one for one in self.requests if one.target.endswith("/chat/completions")]
        return found

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(WAIT_SECONDS)
            try:
                received = read_request(connection, self.read_body)
                if received is None:
                    return
                self.requests.append(received)
                if received.target.endswith("/v1/models"):
                    connection.sendall(self.models)
                else:
                    self.script(Exchange(connection, self.client_left))
            except ConnectionError:
                self.client_left.set()


def read_request(connection: socket.socket, read_body: bool) -> Received | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65_536)
        if not piece or data.startswith(b"\x16"):  # A TLS greeting on a plain port.
            return None
        data += piece
        if data.startswith(b"\x16"):
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return None
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while read_body and len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65_536)
    return Received(first.split(" ")[1], headers, body)


def response(
    body: bytes | Json,
    status: str = "200 OK",
    content_type: str = "application/json",
    headers: str = "",
) -> bytes:
    """A whole response with a length."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\nx-request-id: req-7\r\n{headers}"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"x-request-id: req-7\r\nconnection: close\r\n\r\n"
)
DONE = b"data: [DONE]\n\n"


def frame(**fields: Any) -> bytes:
    """One event with a JSON object."""
    return f"data: {json.dumps(fields, ensure_ascii=False)}\n\n".encode()


def delta(text: str | None = None, finish_reason: str | None = None, **fields: Any) -> bytes:
    """A chunk with text of the answer, or without."""
    found: Json = {} if text is None else {"content": text}
    choice: Json = {"index": 0, "delta": found | fields, "finish_reason": finish_reason}
    return frame(id="chatcmpl-1", object="chat.completion.chunk", choices=[choice])


def progress(event: str, **fields: Any) -> bytes:
    """A chunk with machine-readable progress."""
    choice: Json = {"index": 0, "delta": {}, "finish_reason": None}
    return frame(choices=[choice], orchestration={"event": event, **fields})


def usage(summary: Json | None = None) -> bytes:
    """The chunk with the usage."""
    counts = {"prompt_tokens": 1100, "completion_tokens": 420, "total_tokens": 1520}
    extra: Json = {} if summary is None else {"orchestration": summary}
    return frame(choices=[], usage=counts, **extra)


def script_of(pieces: Sequence[bytes]) -> Script:
    """Send the pieces and hang up."""
    return lambda exchange: exchange.send(*pieces)


def streaming(*events: bytes) -> Script:
    """Send the events as one stream and hang up."""
    return script_of([STREAM_HEAD, *events])


def agent(role: str, subtask: str | None = None, **changes: Any) -> Json:
    """One agent of a summary."""
    model = "claude-sonnet-5-5" if role == "lead" else "claude-haiku-5-5"
    return {
        "role": role,
        "model": model,
        "subtask_id": subtask,
        "title": None,
        "attempt": 1,
        "outcome": "succeeded",
        "stop_reason": "end_turn",
        "input_tokens": 24,
        "output_tokens": 40,
        "cache_read_input_tokens": 256,
        "cache_creation_input_tokens": 20,
        "seconds": 1.234,
        "cost_usd": 0.00012,
        **changes,
    }


def summary(*agents: Json, **changes: Any) -> Json:
    """The object in the last chunk."""
    totals = {
        "input_tokens": 252,
        "output_tokens": 420,
        "cache_read_input_tokens": 768,
        "cache_creation_input_tokens": 80,
        "seconds": 3.21,
        "cost_usd": 0.0012,
        "cost_usd_on_lead_model": 0.0101,
    }
    return {
        "run_id": "run_42",
        "route": "delegated",
        "partial": False,
        "timed_out": False,
        "agents": list(agents),
        "totals": totals,
        "phases": {"coordination_seconds": 2.1, "synthesis_seconds": 1.0},
        **changes,
    }


def staged(*parts: bytes | threading.Event) -> Script:
    """Send the parts of a stream; wait at each event until the test sets it, or the client left."""

    def play(exchange: Exchange) -> None:
        exchange.send(STREAM_HEAD)
        for part in parts:
            if isinstance(part, bytes):
                exchange.send(part)
            else:
                assert part.wait(WAIT_SECONDS)

    return play


def then_silent(*events: bytes) -> Script:
    """Send the events as one stream that stays open until the client leaves."""

    def play(exchange: Exchange) -> None:
        exchange.send(STREAM_HEAD, *events)
        exchange.wait_until_client_leaves()

    return play


def in_turn(*scripts: Script) -> Script:
    """A script for each question."""
    left = list(scripts)
    return lambda exchange: left.pop(0)(exchange)
