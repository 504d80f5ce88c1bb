"""A second upstream that knows nothing: the test itself gives every answer, byte for byte if it
likes.

Speaks the Messages API's HTTP and event framing from a raw asyncio server, and records what came
and when the other side hung up. It shares nothing with the service and nothing with the simulator.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

CHARACTERS_PER_PIECE = 7
"""Cuts words and JSON strings at odd places."""


@dataclass
class DumbCall:
    """One call as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    done: bool = False
    """The answer was sent to its end."""
    client_left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the other side closed the connection before the end."""

    @property
    def role(self) -> str:
        """The agent's; a call that only writes the cache has a role of its own."""
        warms_up = self.purpose == "warm-up"
        return "warm-up" if warms_up else self.headers.get("x-orchestrator-role", "")

    @property
    def purpose(self) -> str:
        return self.headers.get("x-orchestrator-purpose", "")

    @property
    def system_text(self) -> str:
        return "\n".join(block["text"] for block in self.body.get("system", []))

    @property
    def last_text(self) -> str:
        return "\n".join(it["text"] for it in self.body["messages"][-1]["content"] if "text" in it)


Write = Callable[[bytes], Awaitable[None]]
Answer = Callable[[DumbCall, Write], Awaitable[None]]


class Hang:
    """Nothing is ever sent."""

    async def __call__(self, call: DumbCall, write: Write) -> None:
        await asyncio.Event().wait()


@dataclass
class Status:
    """An HTTP error in the API's envelope."""

    status: int
    type: str = "api_error"
    retry_after: str | None = None
    message: str = "upstream-detail-that-must-not-leak"
    code: str | None = None
    """`error.details.error_code`."""

    async def __call__(self, call: DumbCall, write: Write) -> None:
        error: dict[str, Any] = {"type": self.type, "message": self.message}
        if self.code:
            error["details"] = {"error_code": self.code}
        body = json.dumps({"type": "error", "error": error}).encode()
        extra = f"retry-after: {self.retry_after}\r\n" if self.retry_after else ""
        await write(
            f"HTTP/1.1 {self.status} X\r\ncontent-type: application/json\r\n{extra}"
            f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )


@dataclass
class Warmed:
    """A call without an answer has written the cache."""

    usage: dict[str, Any] = field(default_factory=lambda: {"cache_creation_input_tokens": 1000})
    hold_before: asyncio.Event | None = None
    body: bytes | None = None
    """Sent instead of the message."""

    async def __call__(self, call: DumbCall, write: Write) -> None:
        if self.hold_before:
            await self.hold_before.wait()
        message = {
            "id": "msg_dumb",
            "type": "message",
            "role": "assistant",
            "model": call.body["model"],
            "content": [],
            "stop_reason": "max_tokens",
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0, **self.usage},
        }
        body = json.dumps(message).encode() if self.body is None else self.body
        await write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
            + f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )


@dataclass(frozen=True)
class Called:
    """A call of a tool in a message."""

    name: str
    input: Any = None
    """A string is sent as it stands. None: not one piece of input is sent."""
    id: str = "toolu_dumb"

    @property
    def input_text(self) -> str:
        if isinstance(self.input, str):
            return self.input
        return "" if self.input is None else json.dumps(self.input)


@dataclass
class Reply:
    """A streamed message; the fields decide where it waits, breaks off or ends badly."""

    text: str = ""
    plan: Sequence[Any] | None = None
    """Subtasks: the message calls `delegate` with them after `text`."""
    plan_json: str | None = None
    """Instead of `plan`: the tool input as raw text."""
    plan_again: Sequence[Any] | None = None
    """A second call of `delegate` in the same turn."""
    blocks: Sequence[str | Called] | None = None
    """Instead of all that: texts and calls in this order."""
    stop_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=lambda: {"input_tokens": 10})
    output_tokens: int = 5
    piece: int = CHARACTERS_PER_PIECE
    hold_before: asyncio.Event | None = None
    """Wait before anything is sent."""
    hold_before_text: asyncio.Event | None = None
    """Wait after `message_start`."""
    hold_after_pieces: tuple[int, asyncio.Event] | None = None
    cut_after_pieces: int | None = None
    """Close the connection there."""
    truncate: bool = False
    """End cleanly without `message_stop`."""
    error_after_pieces: tuple[int, str] | None = None
    """Send an error event of this type there, and end."""
    cut_after_end: bool = False
    """Close the connection after `message_stop`, before the body ends."""
    hold_end_of_body: asyncio.Event | None = None
    """Wait after `message_stop`, before the body ends."""
    line: bytes | None = None
    """Sent raw after `message_start`."""
    on_piece: Callable[[], None] | None = None
    """Called as each piece is written."""

    async def __call__(self, call: DumbCall, write: Write) -> None:
        if self.hold_before:
            await self.hold_before.wait()
        await write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        send = _chunked(write)
        message = {
            "id": "msg_dumb",
            "type": "message",
            "role": "assistant",
            "model": call.body["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"output_tokens": 1, **self.usage},
        }
        await send("message_start", {"message": message})
        if self.hold_before_text:
            await self.hold_before_text.wait()
        if self.line is not None:
            await write(_chunk(self.line))
        if not await self._content(send):
            return
        if not self.truncate:
            delta = {"stop_reason": self._stop_reason(), "stop_sequence": None}
            await send(
                "message_delta", {"delta": delta, "usage": {"output_tokens": self.output_tokens}}
            )
            await send("message_stop", {})
        if self.cut_after_end:
            raise ConnectionAbortedError
        if self.hold_end_of_body:
            await self.hold_end_of_body.wait()
        await write(b"0\r\n\r\n")

    def _stop_reason(self) -> str:
        calls = any(start["type"] == "tool_use" for start, *_ in self._blocks())
        return self.stop_reason or ("tool_use" if calls else "end_turn")

    def _tool_input(self) -> str | None:
        if self.plan_json is not None:
            return self.plan_json
        return None if self.plan is None else json.dumps({"subtasks": list(self.plan)})

    async def _content(self, send: Callable[[str, dict[str, Any]], Awaitable[None]]) -> bool:
        sent = 0
        for index, (start, kind, name, text) in enumerate(self._blocks()):
            await send("content_block_start", {"index": index, "content_block": start})
            for at in range(0, len(text), self.piece):
                if not await self._may_go_on(sent, send):
                    return False
                delta = {"type": kind, name: text[at : at + self.piece]}
                await send("content_block_delta", {"index": index, "delta": delta})
                if self.on_piece:
                    self.on_piece()
                sent += 1
            await send("content_block_stop", {"index": index})
        return await self._may_go_on(sent, send)

    def _blocks(self) -> list[tuple[dict[str, Any], str, str, str]]:
        return [_block(it) for it in (self._said() if self.blocks is None else self.blocks)]

    def _said(self) -> list[str | Called]:
        said: list[str | Called] = [self.text] if self.text else []
        if (tool_input := self._tool_input()) is not None:
            said.append(Called("delegate", tool_input))
            if self.plan_again is not None:
                said.append(Called("delegate", {"subtasks": list(self.plan_again)}))
        return said

    async def _may_go_on(
        self, sent: int, send: Callable[[str, dict[str, Any]], Awaitable[None]]
    ) -> bool:
        if self.hold_after_pieces and self.hold_after_pieces[0] == sent:
            await self.hold_after_pieces[1].wait()
        if self.cut_after_pieces == sent:
            raise ConnectionAbortedError
        if self.error_after_pieces and self.error_after_pieces[0] == sent:
            await send("error", {"error": {"type": self.error_after_pieces[1], "message": "x"}})
            return False
        return True


def _block(block: str | Called) -> tuple[dict[str, Any], str, str, str]:
    """Return how a block starts, and the kind, the field and the whole of its deltas."""
    if isinstance(block, str):
        return {"type": "text", "text": ""}, "text_delta", "text", block
    start = {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}
    return start, "input_json_delta", "partial_json", block.input_text


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _chunked(write: Write) -> Callable[[str, dict[str, Any]], Awaitable[None]]:
    async def send(kind: str, payload: dict[str, Any]) -> None:
        data = json.dumps({"type": kind, **payload})
        await write(_chunk(f"event: {kind}\ndata: {data}\n\n".encode()))

    return send


class DumbUpstream:
    """The server; `answers` maps a role to what its calls get, in order, the last one for ever."""

    def __init__(self) -> None:
        self.calls: list[DumbCall] = []
        self.connections = 0
        self.url = ""
        self.in_flight = 0
        self.in_flight_peak = 0
        self.workers_peak = 0
        self.models: dict[str, dict[str, Any]] = {}
        """What the models endpoint says, by id; `models_status` for all else."""
        self.models_status = 404
        self.date: str | None = None
        """What the models endpoint says the time is, as a `date` header has it."""
        self._answers: dict[str, list[Answer]] = {"warm-up": [Warmed()]}
        self._by_title: dict[str, list[Answer]] = {}
        self._arrival = asyncio.Condition()
        self._connections: set[asyncio.Task[None] | None] = set()

    def answer(self, role: str, *answers: Answer) -> None:
        self._answers[role] = list(answers)

    def answer_subtask(self, title: str, *answers: Answer) -> None:
        """Answer the worker whose turn names this title."""
        self._by_title[f'"{title}"'] = list(answers)

    def forget(self) -> None:
        """Have no calls and no answers, for the next test of a module that shares a service."""
        self.calls.clear()
        self.connections = 0
        self.in_flight_peak = self.in_flight
        self.workers_peak = 0
        self.models.clear()
        self.models_status = 404
        self._answers = {"warm-up": [Warmed()]}
        self._by_title.clear()

    def calls_of(self, role: str) -> list[DumbCall]:
        return [call for call in self.calls if call.role == role]

    async def arrived(self, count: int, role: str | None = None) -> None:
        """Wait until so many calls have come."""
        async with asyncio.timeout(5), self._arrival:
            await self._arrival.wait_for(
                lambda: len(self.calls_of(role) if role else self.calls) >= count
            )

    async def close(self) -> None:
        """End every connection."""
        open_ones = [task for task in self._connections if task and not task.done()]
        for task in open_ones:
            task.cancel()
        if open_ones:
            await asyncio.wait(open_ones)

    def _next(self, call: DumbCall) -> Answer:
        queue = self._answers.get(call.role)
        if call.role == "worker":
            queue = next((q for t, q in self._by_title.items() if t in call.last_text), queue)
        assert queue, f"the test gives no answer for {call.role!r}: {call.last_text[-200:]}"
        return queue.pop(0) if len(queue) > 1 else queue[0]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(asyncio.current_task())
        self.connections += 1
        try:
            # The test's end cancels what still waits; asyncio.streams would log that as a crash.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._serve_one(reader, writer):
                    pass
        finally:
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        request, *lines = head.strip().split("\r\n")
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = request.split(" ")
        if method == "GET":
            model = self.models.get(path.rpartition("/")[2])
            status = 200 if model else self.models_status
            body = json.dumps(model or {"data": [], "has_more": False}).encode()
            date = f"date: {self.date}\r\n" if self.date else ""
            writer.write(
                f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{date}"
                f"content-length: {len(body)}\r\n\r\n".encode()
                + body
            )
            return True
        call = DumbCall(path, headers, json.loads(raw))
        async with self._arrival:
            self.calls.append(call)
            self._arrival.notify_all()
        await self._reply(call, reader, writer)
        return call.done

    async def _reply(
        self, call: DumbCall, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        self.in_flight += 1
        self.in_flight_peak = max(self.in_flight_peak, self.in_flight)
        busy = [it for it in self.calls_of("worker") if not it.done and not it.client_left.is_set()]
        self.workers_peak = max(self.workers_peak, len(busy))
        try:
            async with asyncio.TaskGroup() as tasks:
                answering = tasks.create_task(self._run(self._next(call), call, write))
                watching = tasks.create_task(_closed(reader))
                await asyncio.wait([answering, watching], return_when=asyncio.FIRST_COMPLETED)
                if watching.done() and not call.done:
                    call.client_left.set()
                answering.cancel()
                watching.cancel()
        finally:
            self.in_flight -= 1

    async def _run(self, answer: Answer, call: DumbCall, write: Write) -> None:
        try:
            await answer(call, write)
            call.done = True
        except ConnectionAbortedError:
            pass  # the answer itself has broken off
        except ConnectionError:
            call.client_left.set()


async def _closed(reader: asyncio.StreamReader) -> None:
    # Returns at the other side's close; a pipelined byte would be a bug in the client.
    with suppress(ConnectionResetError):  # so ends a close before everything was read
        assert await reader.read(1) == b""


@asynccontextmanager
async def dumb_upstream() -> AsyncGenerator[DumbUpstream]:
    """Run one on a free loopback port."""
    upstream = DumbUpstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstream.url = f"http://127.0.0.1:{port}"
    try:
        yield upstream
    finally:
        server.close()
        await upstream.close()
