"""What the outermost middleware does when everything inside it has failed."""

from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from orchestrator_worker.api.middleware import (
    CrashAnswers,
    RequestContext,
    RequestLimits,
    SecurityHeaders,
)


async def crash(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("canary")


async def crash_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("canary")


def client(app: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(RequestContext(SecurityHeaders(CrashAnswers(app)))),
        base_url="http://127.0.0.1",
    )


async def test_a_crash_is_a_500_in_the_envelope_that_says_nothing_of_itself() -> None:
    with capture_logs() as logs:
        async with client(crash) as asking:
            response = await asking.get("/x")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert "canary" not in response.text
    assert response.headers["x-request-id"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert [event["event"] for event in logs] == ["request_crashed", "request_finished"]
    assert logs[1]["outcome"] == "crashed"


async def test_half_a_response_is_left_to_the_server() -> None:
    with capture_logs(), pytest.raises(RuntimeError):
        async with client(crash_late) as asking:
            await asking.get("/x")


@pytest.mark.parametrize(
    "middleware", [RequestContext, SecurityHeaders, CrashAnswers, RequestLimits]
)
async def test_what_is_not_http_passes(middleware: Any) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    extra = {"max_body_bytes": 10} if middleware is RequestLimits else {}
    unused: Any = None
    await middleware(app, **extra)({"type": "lifespan"}, unused, unused)
    assert seen == ["lifespan"]
