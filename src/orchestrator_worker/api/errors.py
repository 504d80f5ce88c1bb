"""Errors as OpenAI's clients expect them: one envelope for everything, the HTTP status deciding the
class.

`envelope` is the only place that writes an error body; streams use it for their error frame too.
"""

import math
from typing import Any

import orjson
from starlette.responses import Response

from orchestrator_worker.errors import OrchestratorError, UpstreamError, UpstreamFault

MAX_MESSAGE_CHARS = 500
MAX_RETRY_AFTER_SECONDS = 120
"""openai-python gives up at once on anything longer."""
OVERLOADED_RETRY_AFTER_SECONDS = 2.0


class JSONResponse(Response):
    """JSON by orjson, which refuses what is not JSON instead of writing it."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return orjson.dumps(content)


def envelope(
    message: str, type_: str, *, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """Return OpenAI's error object with all four of its keys.

    A message may quote what the caller has sent, which may be long, and ends up in logs.
    """
    if len(message) > MAX_MESSAGE_CHARS:
        message = f"{message[:MAX_MESSAGE_CHARS]} …"
    return {"error": {"message": message, "type": type_, "param": param, "code": code}}


def error_body(error: Exception) -> dict[str, Any]:
    """Return the envelope of any exception; one that is not ours says nothing of itself."""
    if isinstance(error, OrchestratorError):
        return envelope(str(error), error.type, param=error.param, code=error.code)
    return envelope(
        "The service failed unexpectedly; its log has the details.",
        "server_error",
        code="internal_error",
    )


def error_response(error: Exception) -> JSONResponse:
    """Return the response for any exception."""
    status = error.status if isinstance(error, OrchestratorError) else 500
    return JSONResponse(error_body(error), status_code=status, headers=_headers(error, status))


def _headers(error: Exception, status: int) -> dict[str, str]:
    headers: dict[str, str] = {}
    if status == 401:
        headers["www-authenticate"] = 'Bearer error="invalid_token"'
    if status == 413:
        headers["connection"] = "close"  # the rest of the body is not read
    if isinstance(error, OrchestratorError):
        after = error.retry_after_seconds
        if isinstance(error, UpstreamError) and error.fault is UpstreamFault.OVERLOADED:
            after = after or OVERLOADED_RETRY_AFTER_SECONDS
        if after is not None:
            headers["retry-after"] = whole_seconds(after)
        if not error.retryable:
            headers["x-should-retry"] = "false"
    return headers


def whole_seconds(seconds: float) -> str:
    """Return a `retry-after` value: whole seconds, at least one."""
    return str(min(MAX_RETRY_AFTER_SECONDS, max(1, math.ceil(seconds))))
