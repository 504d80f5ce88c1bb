"""The FastAPI application: routes, error handlers and middleware around given resources. No wiring
of the core.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI, Request
from slowapi import Limiter
from slowapi.errors import RateLimitExceeded
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from orchestrator_worker import __version__
from orchestrator_worker.api.chat.endpoints import chat_router
from orchestrator_worker.api.docs_page import docs_routes
from orchestrator_worker.api.errors import JSONResponse, envelope, error_response
from orchestrator_worker.api.health import health_router
from orchestrator_worker.api.middleware import (
    CrashAnswers,
    RequestContext,
    RequestLimits,
    SecurityHeaders,
    trace_of,
)
from orchestrator_worker.api.models import models_router
from orchestrator_worker.api.openapi.document import describe
from orchestrator_worker.api.rate_limits import new_limiter, rate_limited
from orchestrator_worker.config import CorsSettings, Settings
from orchestrator_worker.errors import InvalidRequest, OrchestratorError

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[dict[str, Any]]]

_EXPOSED_HEADERS = (
    "X-Request-ID",
    "Server-Timing",
    "Retry-After",
    "x-should-retry",
    "WWW-Authenticate",
    "Idempotent-Replayed",
)
"""What a page on another origin may read of an answer."""


def build_application(settings: Settings, lifespan: Lifespan) -> FastAPI:
    """Return the application; `lifespan` yields its `resources` as state."""
    limiter = new_limiter(settings.rate_limits)
    app = FastAPI(
        title=settings.api.title,
        version=settings.api.version or __version__,
        lifespan=lifespan,
        middleware=_middleware(settings),
        redirect_slashes=False,
        openapi_url=None,  # the description and its page are routes of our own
    )
    app.state.limiter = limiter
    app.openapi = lambda: describe(app, settings.api.service_model_name)
    app.include_router(health_router())
    app.include_router(models_router(limiter, settings.rate_limits.models))
    app.include_router(chat_router(limiter, settings.rate_limits.chat_completions))
    if settings.api.docs:
        app.router.routes.extend(docs_routes(app))
    app.add_exception_handler(OrchestratorError, _failed)
    app.add_exception_handler(RateLimitExceeded, rate_limited)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(
        HTTPException, _http_error_handler(limiter, settings.rate_limits.default)
    )
    return app


def _middleware(settings: Settings) -> list[Middleware]:
    """Return what stands around the routes, outermost first: what only adds headers stands outside
    what refuses, so that refusals carry them too.
    """
    edge = [Middleware(RequestContext)]
    if settings.api.security_headers:
        edge.append(Middleware(SecurityHeaders))
    if settings.cors.origins:
        edge.append(_cross_origin(settings.cors))
    limits = Middleware(RequestLimits, max_body_bytes=settings.api.max_request_body_bytes)
    return [*edge, Middleware(CrashAnswers), limits]


def _cross_origin(settings: CorsSettings) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=settings.origins,
        allow_credentials=settings.allow_credentials,
        allow_methods=settings.allow_methods,
        allow_headers=settings.allow_headers,
        expose_headers=_EXPOSED_HEADERS,
    )


async def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, InvalidRequest):
        # Which field, never what was in it.
        told = {"error_code": error.code, "error_param": error.param}
        trace_of(request.scope).fields.update(told)
    return error_response(error)


async def _left(request: Request, _error: Exception) -> Response:
    # The caller left while sending the body: nobody reads this, the log line does.
    trace_of(request.scope).outcome = "client_disconnected"
    return Response(status_code=499)


def _http_error_handler(limiter: Limiter, rate: str) -> Callable[[Request, Exception], Any]:
    """Return the handler of what the framework refuses: unknown paths (under the default limit),
    wrong methods.
    """

    async def unknown_path(request: Request) -> Response:
        return _envelope_of(request, 404)

    limited = limiter.limit(rate)(unknown_path)

    async def handle(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        if error.status_code != 404:
            return _envelope_of(request, error.status_code, error)
        try:
            return await limited(request=request)
        except RateLimitExceeded as exceeded:
            return await rate_limited(request, exceeded)

    return handle


def _envelope_of(request: Request, status: int, error: HTTPException | None = None) -> Response:
    message = {
        404: f"There is nothing at {request.scope['path']!r}.",
        405: f"{request.method} is not allowed here.",
    }.get(status, error.detail if error else "The request was refused.")
    return JSONResponse(
        envelope(message, "invalid_request_error", code=None),
        status_code=status,
        headers=dict(error.headers or {}) if error else None,
    )
