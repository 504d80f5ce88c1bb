"""The real service on a real port, in a thread with a loop of its own, for tests to talk to over
sockets.
"""

import asyncio
import os
import socket
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import orjson
import structlog
import uvicorn
from blockbuster import blockbuster_ctx

from orchestrator_worker.app import create_app, retry_policy
from orchestrator_worker.auth.signing import token_signer
from orchestrator_worker.claude.retry import RetryPolicy
from orchestrator_worker.cli.serve import server_config
from orchestrator_worker.config import Settings, load_settings, variable_names

SECRET = "test-secret-0123456789-0123456789-0123456789"
WAIT_SECONDS = 10.0


@dataclass
class RunningService:
    """What a test needs to know of it."""

    url: str
    settings: Settings
    token: str
    logs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Every log event, as the JSON form would write it."""

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    written: threading.Condition = field(default_factory=threading.Condition)

    def client(self) -> httpx2.AsyncClient:
        """Return a client with a valid token, which the caller closes."""
        return httpx2.AsyncClient(
            base_url=self.url, headers=self.headers, timeout=20, trust_env=False
        )

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.logs if event.get("event") == name]

    async def logged(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Return the events of that name once there are so many; a request's come after its
        response.
        """

        def wait() -> bool:
            with self.written:
                return self.written.wait_for(lambda: len(self.events(name)) >= count, 5)

        assert await asyncio.to_thread(wait), f"not logged {count} times: {name}"
        return self.events(name)


@contextmanager
def environment(**variables: str) -> Generator[None]:
    """Set exactly these of the service's variables."""
    before = {name: os.environ.pop(name, None) for name in variable_names()}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)
        os.environ.update({name: value for name, value in before.items() if value is not None})


def settings_from(**variables: str) -> Settings:
    with environment(**variables):
        return load_settings()


def _without_pauses(settings: Settings) -> RetryPolicy:
    return replace(retry_policy(settings), backoff_seconds=0)


@contextmanager
def running_service(
    data: Path, *, retry: RetryPolicy | None = None, **variables: str
) -> Generator[RunningService]:
    """Serve with these variables; without key and address of an upstream, on the embedded
    simulator.
    """
    defaults = {
        "JWT_SECRET_KEY": SECRET,
        "DATA_DIR": str(data),
        "ENVIRONMENT": "test",
        "RATE_LIMIT_ENABLED": "false",
    }
    settings = settings_from(**{**defaults, **variables})
    server = uvicorn.Server(server_config(create_app(settings, retry or _without_pauses(settings))))
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    service = RunningService(url, settings, token_signer(settings).issue("tester"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    with _recorded(service):
        thread.start()
        try:
            _wait_until_started(server, thread)
            # Starting may block; serving may not.
            with blockbuster_ctx("orchestrator_worker") as blocking:
                for name in ("threading.Lock.acquire", "threading.Lock.acquire_lock"):
                    # Coverage's own lock, held for an instant when a thread first runs a file.
                    blocking.functions[name].can_block_in("coverage/collector.py", "lock_data")
                yield service
        finally:
            server.should_exit = True
            thread.join(WAIT_SECONDS)
            listener.close()
            assert not thread.is_alive(), "the server did not stop"


@asynccontextmanager
async def running_beside(
    data: Path, *, retry: RetryPolicy | None = None, **variables: str
) -> AsyncGenerator[RunningService]:
    """Serve as above without holding up this loop, whose upstream must answer while the service
    starts.
    """
    with ExitStack() as stack:
        starting = running_service(data, retry=retry, **variables)
        try:
            yield await asyncio.to_thread(stack.enter_context, starting)
        finally:
            await asyncio.to_thread(stack.close)


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    pause = threading.Event()
    for _ in range(int(WAIT_SECONDS / 0.01)):
        if server.started:
            return
        assert thread.is_alive(), "the server did not start"
        pause.wait(0.01)
    raise AssertionError("the server did not start in time")


@contextmanager
def _recorded(service: RunningService) -> Generator[None]:
    def keep(_logger: object, _method: str, event: Any) -> Any:
        # Through JSON, so that what cannot be written would fail here.
        fields = {name: value for name, value in event.items() if name != "exc_info"}
        with service.written:
            service.logs.append(orjson.loads(orjson.dumps(fields)))
            service.written.notify_all()
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            keep,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)  # another service may be running
