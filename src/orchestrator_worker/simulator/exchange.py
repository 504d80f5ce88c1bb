"""One HTTP exchange over raw ASGI: read the body, send a response, notice that the client left.

Owns the wire, knows nothing of messages. Raw ASGI because a response object per event would halve
the event rate.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Protocol

import orjson
from starlette.types import Receive, Scope, Send

from orchestrator_worker.simulator.errors import ApiError, InvalidRequestError, envelope
from orchestrator_worker.simulator.jsons import JsonObject, as_object

MAX_BODY_BYTES = 32 * 1024 * 1024
TRANSPORT_EXTENSION = "simulator.transport"
"""Key in the scope's extensions under which `server` hands over the transport of the connection."""

Headers = Iterable[tuple[str, str]]


class Cuttable(Protocol):
    """What a broken connection needs of its transport."""

    def write(self, data: bytes) -> None:
        """Queue bytes."""
        ...

    def close(self) -> None:
        """Send what is queued, then close the socket."""
        ...


class Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope["query_string"].decode()
        self.headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        self.request_id = request_id
        self._transport: Cuttable | None = scope.get("extensions", {}).get(TRANSPORT_EXTENSION)
        self._receive = receive
        self._send = send

    async def read_object(self) -> JsonObject:
        """The JSON object of the body.

        Raises:
            ApiError: It is too large, not declared as JSON, or no JSON object.
        """
        raw = await self._read()
        if not self.headers.get("content-type", "").startswith("application/json"):
            raise InvalidRequestError("content-type must be application/json")
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise InvalidRequestError(f"The request body is not valid JSON: {error}") from error
        found = as_object(value)
        if found is None:
            raise InvalidRequestError("Input should be an object")
        return found

    async def _read(self) -> bytes:
        """The body. An oversized one is read to its end too, else the client could not hear the
        answer.
        """
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError
            size += len(message["body"])
            if size <= MAX_BODY_BYTES:
                parts.append(message["body"])
            more = message["more_body"]
        if size > MAX_BODY_BYTES:
            raise ApiError(413, "Request exceeds the maximum size")
        return b"".join(parts)

    async def start(self, status: int, content_type: str, headers: Headers = ()) -> None:
        """Send status and headers."""
        pairs = [("content-type", content_type), ("request-id", self.request_id), *headers]
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(name.encode(), value.encode("latin-1")) for name, value in pairs],
            }
        )

    async def write(self, data: bytes) -> None:
        """Send a part of the body in one write."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes = b"") -> None:
        """Send the last part of the body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def respond(self, status: int, body: JsonObject, headers: Headers = ()) -> None:
        """Send a complete JSON response."""
        data = orjson.dumps(body)
        length = [("content-length", str(len(data))), *headers]
        await self.start(status, "application/json", length)
        await self.finish(data)

    async def refuse(self, error: ApiError, headers: Headers = ()) -> None:
        """Send an error."""
        body = envelope(error.error_type, error.message, self.request_id)
        await self.respond(error.status, body, [*headers, *error.headers])

    async def cut(self) -> None:
        """Close the connection in the middle of a chunk."""
        if self._transport is not None:
            self._transport.write(b"ffff\r\nevent: content_blo")
            self._transport.close()
        await self.until_left()

    async def until_left(self) -> None:
        """Wait until the client is gone, or the response is complete."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def unless_left(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do the work, and stop it at once when the client leaves.

        Returns:
            Whether it came to its end.
        """
        async with asyncio.TaskGroup() as tasks:
            worker = tasks.create_task(work)
            watcher = tasks.create_task(self.until_left())
            await asyncio.wait((worker, watcher), return_when=asyncio.FIRST_COMPLETED)
            # The end of a response wakes the watcher too; the worker is done by then.
            finished = worker.done()
            worker.cancel()
            watcher.cancel()
        return finished
