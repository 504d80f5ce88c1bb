"""Requests per window, by slowapi: per principal, or per address where nobody has been
authenticated.

Counts live in this process. A moving window, since a fixed one lets twice the limit through at its
border.
"""

import math

from fastapi import Request
from slowapi import Limiter
from slowapi.errors import RateLimitExceeded
from starlette.responses import Response

from orchestrator_worker.api.errors import JSONResponse, envelope, whole_seconds
from orchestrator_worker.clock import utc_now
from orchestrator_worker.config import RateLimitSettings


def caller_key(request: Request) -> str:
    """Return whose limit a request counts against."""
    principal = getattr(request.state, "principal", None)
    if principal is not None:
        return f"principal:{principal.subject}"
    return f"address:{request.client.host if request.client else 'unknown'}"


def new_limiter(settings: RateLimitSettings) -> Limiter:
    """Return a limiter of its own for one application."""
    return Limiter(
        key_func=caller_key,
        enabled=settings.enabled,
        strategy="moving-window",
        storage_uri="memory://",
        # By endpoint, not by URL: or every made-up path would have a fresh limit.
        key_style="endpoint",
    )


async def rate_limited(request: Request, error: Exception) -> Response:
    """Return the 429, with the seconds after which one more request will pass."""
    if not isinstance(error, RateLimitExceeded):
        raise error
    limit, keys = request.state.view_rate_limit
    limiter: Limiter = request.app.state.limiter
    # Window statistics are on the wall clock.
    wait = limiter.limiter.get_window_stats(limit, *keys).reset_time - utc_now().timestamp()
    return JSONResponse(
        envelope(
            f"Rate limit of {error.detail} reached; try again in {max(1, math.ceil(wait))} s.",
            "rate_limit_error",
            code="rate_limit_exceeded",
        ),
        status_code=429,
        headers={"retry-after": whole_seconds(wait)},
    )
