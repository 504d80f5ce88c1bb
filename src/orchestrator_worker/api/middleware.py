"""The edge around every request, as pure ASGI: identity, timing, the canonical log line, headers,
body size.

`RequestContext` is outermost, so that every response, whoever wrote it, carries the request id, and
every request ends in exactly one log line.
"""

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator_worker.api.errors import error_response
from orchestrator_worker.clock import stopwatch
from orchestrator_worker.errors import RequestTooLarge
from orchestrator_worker.ids import new_id

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

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # the HTTP edge: nothing above answers the caller
            _log.exception("request_crashed")
            trace.outcome = "crashed"
            if trace.status is not None:
                raise  # half a response cannot be mended; the server closes the connection
            await error_response(error)(scope, receive, send_with_id)

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
_DOCS_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data: https://fastapi.tiangolo.com; "
    "style-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; "
    "script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; frame-ancestors 'none'"
)


class SecurityHeaders:
    """Adds the headers that keep browsers from doing anything with an API's answers."""

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
                if scope["path"] == "/docs":
                    headers["content-security-policy"] = _DOCS_POLICY
            await send(message)

        await self._app(scope, receive, send_with_headers)


class BodyLimit:
    """Refuses bodies over a size, by their declared length or while they arrive."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _declared_length(scope) > self._max_bytes:
            await error_response(RequestTooLarge(self._max_bytes))(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise RequestTooLarge(self._max_bytes)
            return message

        await self._app(scope, counted, send)


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
