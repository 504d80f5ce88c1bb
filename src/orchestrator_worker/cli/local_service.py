"""The service for one command: on a free port of the loopback, in a thread with its own loop."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn

from orchestrator_worker.app import create_app
from orchestrator_worker.cli.serve import server_config
from orchestrator_worker.config import Settings
from orchestrator_worker.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
LOOK_SECONDS = 0.02
STOP_SECONDS = 5.0
"""How long stopping may take; the thread ends with the process in any case."""


@contextmanager
def local_service(settings: Settings) -> Generator[str]:
    """Serve as long as the block lasts; yields the base URL.

    Raises:
        ConfigurationError: the service cannot start.
    """
    # Whoever starts a service for one question need not be kept from asking it.
    limits = settings.rate_limits.model_copy(update={"enabled": False})
    app = create_app(settings.model_copy(update={"rate_limits": limits}))
    server = uvicorn.Server(server_config(app))
    with _listen() as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            _wait(server, thread)
            yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(STOP_SECONDS)


def _listen() -> socket.socket:
    try:
        return socket.create_server((LOOPBACK, 0))
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {LOOPBACK} ({error.strerror})") from error


def _wait(server: uvicorn.Server, thread: threading.Thread) -> None:
    pause = threading.Event()
    while not server.started:
        if not thread.is_alive():
            raise ConfigurationError("the service could not start; `serve` says why")
        pause.wait(LOOK_SECONDS)
