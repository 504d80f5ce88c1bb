"""`orchestrator-worker serve`: the HTTP server around the application, and what goes wrong before
it listens.
"""

import asyncio
import gc
import signal
import socket
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI

from orchestrator_worker.app import check_models, create_app
from orchestrator_worker.config import Loaded, Settings
from orchestrator_worker.errors import ConfigurationError
from orchestrator_worker.observability.logging import close_logging, configure_logging

GRACE_SECONDS = 30
"""How long streams may go on after SIGTERM before they are cut."""
BACKLOG = 2048


def serve(loaded: Loaded) -> int:
    """Serve until a signal ends it; returns the exit code.

    Raises:
        ConfigurationError: a setting or a team file is wrong, or the port cannot be had.
    """
    settings = loaded.accepted()
    configure_logging(settings.log.level, settings.log.format)
    _write_last_lines_on_sigterm()
    _warn(loaded)
    app = create_app(settings)
    asyncio.run(check_models(settings))
    server = _Server(server_config(app))
    _spare_collector()
    with _listen(settings) as listener:
        host, port = listener.getsockname()[:2]
        structlog.stdlib.get_logger(__name__).info(
            "listening", url=f"http://{_in_url(host)}:{port}", environment=settings.environment
        )
        server.run(sockets=[listener])
    return 0 if server.started else 1


class _Server(uvicorn.Server):
    """Tells when it begins to stop, and when it has."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let open requests end, within the grace."""
        log = structlog.stdlib.get_logger(__name__)
        open_requests = len(self.server_state.tasks)
        log.info("stopping", open_requests=open_requests, grace_seconds=GRACE_SECONDS)
        await super().shutdown(sockets)
        log.info("stopped")


def _warn(loaded: Loaded) -> None:
    log = structlog.stdlib.get_logger(__name__)
    for variable, reason in loaded.sources.notices.items():
        log.warning("setting_without_effect", variable=variable, reason=reason)


def _write_last_lines_on_sigterm() -> None:
    """Have the log end before the process does: uvicorn raises the signal again once it has
    stopped, and by default that leaves no time for anything.
    """
    before = signal.getsignal(signal.SIGTERM)

    def end(number: int, _frame: FrameType | None) -> None:
        close_logging()
        signal.signal(number, before)
        signal.raise_signal(number)

    signal.signal(signal.SIGTERM, end)


def _spare_collector() -> None:
    """Keep the garbage collector from looking again and again at what lives as long as the process.

    The libraries' classes and schemas are some hundred thousand objects; going through them stops
    every stream for a tenth of a second.
    """
    gc.collect()
    gc.freeze()


def server_config(app: FastAPI) -> uvicorn.Config:
    """Return how the application is served, wherever that is."""
    return uvicorn.Config(
        app,
        http="httptools",  # h11 accepts requests that smuggle a second one behind a proxy
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.api.host, settings.api.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(f"API_HOST: {host!r} is not an address ({error})") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"API_PORT: cannot listen on {host}:{port} ({error.strerror})"
        ) from error
    return listener
