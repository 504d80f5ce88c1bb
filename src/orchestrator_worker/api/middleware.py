"""The edge around every request, as pure ASGI: identity, timing, the canonical log line, headers,
body size.

`RequestContext` is outermost, so that every response, whoever wrote it, carries the request id, and
every request ends in exactly one log line. `CrashAnswers` stands inside all that only adds headers,
so that a crash's answer carries them too.
"""

import asyncio
import re
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator_worker.api.errors import error_response
from orchestrator_worker.clock import loop_time, stopwatch
from orchestrator_worker.errors import (
    HeadersTooLarge,
    InvalidRequest,
    RequestTooLarge,
    RequestTooSlow,
    UnsupportedEncoding,
)
from orchestrator_worker.ids import new_id

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
BODY_SECONDS = 15.0
"""How long a body may take to arrive, and one more for each 100 KB of it."""
LEAST_BYTES_PER_SECOND = 100_000
DRAIN_SECONDS = 2.0
DRAIN_BYTES = 64 * 1024**2
MAX_LENGTH_DIGITS = 19
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_log = structlog.stdlib.get_logger("orchestrator_worker.request")


class RequestTrace:
    """What one request says of itself in its canonical log line; parts fill it as they learn."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.started = stopwatch()
        self.status: int | None = None
        self.outcome: str | None = None
        """None: told by the status."""
        self.fields: dict[str, Any] = {}
        self.timings: dict[str, float] = {}
        """Seconds by phase, for `Server-Timing`; what is known when the headers leave."""

    @property
    def seconds(self) -> float:
        """Since the request arrived."""
        return stopwatch() - self.started

    def server_timing(self) -> str:
        """Return the header's value: durations in milliseconds (W3C Server Timing)."""
        phases = {**self.timings, "total": self.seconds}
        return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in phases.items())


def trace_of(scope: Scope) -> RequestTrace:
    """Return the trace of the request a scope belongs to."""
    return scope["state"]["trace"]


class RequestContext:
    """Gives every request an id, binds it to all logs, times it, and writes its one line at the
    end.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._in_use: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._request_id(scope) as request_id:
            trace = RequestTrace(request_id)
            scope.setdefault("state", {})["trace"] = trace
            structlog.contextvars.bind_contextvars(request_id=request_id)
            try:
                await self._serve(scope, receive, send, trace)
            finally:
                _write_line(scope, trace)
                structlog.contextvars.clear_contextvars()

    async def _serve(self, scope: Scope, receive: Receive, send: Send, trace: RequestTrace) -> None:
        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                trace.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = trace.request_id
                headers["server-timing"] = trace.server_timing()
            await send(message)

        await self._app(scope, receive, send_with_id)

    @contextmanager
    def _request_id(self, scope: Scope) -> Generator[str]:
        asked = [value for name, value in scope["headers"] if name == b"x-request-id"]
        usable = len(asked) == 1 and _REQUEST_ID.fullmatch(asked[0])
        request_id = asked[0].decode("ascii") if usable else new_id("req")
        if request_id in self._in_use:
            request_id = new_id("req")  # one id must never name two requests at once
        self._in_use.add(request_id)
        try:
            yield request_id
        finally:
            self._in_use.discard(request_id)


def _write_line(scope: Scope, trace: RequestTrace) -> None:
    level = "debug" if scope["path"].startswith("/health") else "info"
    outcome = trace.outcome or ("ok" if trace.status and trace.status < 400 else "refused")
    getattr(_log, level)(
        "request_finished",
        method=scope["method"],
        path=scope["path"],
        status=trace.status,
        outcome=outcome,
        milliseconds=round(trace.seconds * 1000, 1),
        **trace.fields,
    )


_SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    # The filter this once asked for was itself exploitable; 0 switches it off (OWASP).
    "x-xss-protection": "0",
    "cache-control": "no-store",
}


class SecurityHeaders:
    """Adds the headers that keep browsers from doing anything with an API's answers; a page's own
    stand.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class CrashAnswers:
    """Answers for what has crashed, and says nothing of why."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # the HTTP edge: nothing above answers the caller
            _log.exception("request_crashed")
            trace = trace_of(scope)
            trace.outcome = "crashed"
            if trace.status is not None:
                raise  # half a response cannot be mended; the server closes the connection
            await error_response(error)(scope, receive, send)


class RequestLimits:
    """Refuses what is too large or too slow: headers, and bodies by declared length or on arrival.

    The server itself has no such limits. A refused body is read to its end for a moment, or the
    caller would meet a closed connection before it could read why.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = _refused_headers(scope)
        if refusal is None and _declared_length(scope) > self._max_bytes:
            await _drain(receive)
            refusal = RequestTooLarge(self._max_bytes)
        if refusal is not None:
            await error_response(refusal)(scope, receive, send)
            return
        await self._app(scope, _Body(receive, self._max_bytes).receive, send)


class _Body:
    """Counts and times a body while it is read; after its end it only passes messages on."""

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._deadline = loop_time() + BODY_SECONDS
        self._received = 0
        self._complete = False

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            raise RequestTooSlow(BODY_SECONDS) from error
        self._complete = not message.get("more_body", False)
        received = len(message.get("body", b""))
        self._received += received
        self._deadline += received / LEAST_BYTES_PER_SECOND
        if self._received > self._max_bytes:
            if not self._complete:
                await _drain(self._receive)
            raise RequestTooLarge(self._max_bytes)
        return message


async def _drain(receive: Receive) -> None:
    drained = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while drained < DRAIN_BYTES:
                message = await receive()
                drained += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def _refused_headers(scope: Scope) -> InvalidRequest | None:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if (
        len(headers) > MAX_HEADERS
        or sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES
    ):
        return HeadersTooLarge(MAX_HEADERS, MAX_HEADER_BYTES)
    for name, value in headers:
        if name == b"content-encoding" and value.lower() not in {b"", b"identity"}:
            return UnsupportedEncoding()
    return None


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < MAX_LENGTH_DIGITS else 0
    return 0
