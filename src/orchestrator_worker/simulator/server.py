"""Running the simulator: as a process of its own, or in a thread beside a server that is running
already.
"""

import asyncio
import socket
import sys
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orchestrator_worker.simulator.app import create_app
from orchestrator_worker.simulator.exchange import TRANSPORT_EXTENSION
from orchestrator_worker.simulator.script import Script

LOOPBACK = "127.0.0.1"
STOP_SECONDS = 5.0
KEEP_ALIVE_SECONDS = 75
"""Longer than clients keep idle connections, so that it is never the simulator that closes them."""


class CuttableProtocol(HttpToolsProtocol):
    """Hands the transport to the application, which must be able to break a connection in
    mid-chunk.
    """

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        scope = cast("dict[str, Any]", self.scope)
        scope["extensions"] = {TRANSPORT_EXTENSION: self.transport}


class _Server(uvicorn.Server):
    """Tells when it listens, and aborts open streams when it stops."""

    def __init__(self, config: uvicorn.Config, listening: Future[None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening.set_result(None)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            transport: Any = connection.transport
            transport.abort()
        await super().shutdown(sockets)


def _server(app: ASGIApp, listening: Future[None]) -> _Server:
    config = uvicorn.Config(
        app,
        http=CuttableProtocol,
        loop="uvloop",
        ws="none",
        log_config=None,  # inside the service its logs are the service's business
        access_log=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
        backlog=4096,
    )
    return _Server(config, listening)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


def serve(host: str, port: int, script: Script | None = None) -> None:
    """Run until SIGTERM or SIGINT, after one line on stdout that names the address.

    Args:
        host: Address to listen on.
        port: 0 takes a free port.
        script: Orders in force from the start.

    Raises:
        OSError: The address is taken.
    """
    listener = _listen(host, port)
    listening: Future[None] = Future()
    shown = f"http://{host}:{listener.getsockname()[1]}"
    listening.add_done_callback(lambda _: _announce(shown))
    _server(create_app(script), listening).run([listener])


def _announce(url: str) -> None:
    sys.stdout.write(f"Simulator of the Claude Messages API listens on {url}\n")
    sys.stdout.flush()


class EmbeddedSimulator:
    """A simulator on a free port of the loopback, in a thread with an event loop of its own.

    An async context manager; it is left within a second also while streams are open.
    """

    def __init__(self, script: Script | None = None) -> None:
        self._script = script
        self._port: int | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Base URL for a client, without a trailing slash.

        Raises:
            RuntimeError: It has not been started.
        """
        if self._port is None:
            raise RuntimeError("the simulator has not been started")
        return f"http://{LOOPBACK}:{self._port}"

    async def __aenter__(self) -> Self:
        """Start it and wait until it listens."""
        listener = _listen(LOOPBACK, 0)
        self._port = listener.getsockname()[1]
        listening: Future[None] = Future()
        self._server = _server(create_app(self._script), listening)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="simulator", daemon=True
        )
        self._thread.start()
        await asyncio.wrap_future(listening)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it and wait until it is gone."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            await asyncio.to_thread(self._thread.join, STOP_SECONDS)
        self._port = None
