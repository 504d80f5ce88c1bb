"""GET and HEAD /health (alive) and /health/ready (able to answer), also with a trailing slash and
without a token.
"""

import asyncio
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from orchestrator_worker.api.deps import CurrentResources
from orchestrator_worker.clock import loop_time
from orchestrator_worker.errors import UpstreamError, UpstreamFault

PROBE_TIMEOUT_SECONDS = 3.0
PROBE_KEPT_SECONDS = 5.0
"""How long one answer of the upstream serves all probes: many probers must not become a load of
their own.
"""

_DESCRIBED = ConfigDict(
    use_attribute_docstrings=True, json_schema_serialization_defaults_required=True
)


class Health(BaseModel):
    """The process runs and its loop turns."""

    model_config = _DESCRIBED

    status: Literal["ok"] = "ok"
    """Always `ok`: who cannot answer says nothing."""


class Checks(BaseModel):
    """What was asked, and what it said."""

    model_config = _DESCRIBED

    teams: Literal["ok"]
    """Always `ok`: without its teams the service does not start."""
    upstream: Literal["ok"] | UpstreamFault
    """`ok`, or what is wrong with the model provider."""


class Readiness(BaseModel):
    """Whether a request sent now could be answered."""

    model_config = _DESCRIBED

    status: Literal["ready", "not_ready"]
    """`ready` only when all checks are `ok`."""
    checks: Checks
    """What was asked, and what it said."""


class ReadinessCheck:
    """Asks the upstream, at most once per few seconds however many ask here."""

    def __init__(self) -> None:
        self._asking = asyncio.Lock()
        self._answer: Literal["ok"] | UpstreamFault = "ok"
        self._good_until = 0.0

    async def upstream(self, resources: CurrentResources) -> Literal["ok"] | UpstreamFault:
        """Return `ok` or what is wrong with the upstream."""
        async with self._asking:
            if loop_time() >= self._good_until:
                self._answer = await self._ask(resources)
                self._good_until = loop_time() + PROBE_KEPT_SECONDS
            return self._answer

    async def _ask(self, resources: CurrentResources) -> Literal["ok"] | UpstreamFault:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                await resources.upstream.probe()
        except TimeoutError:
            return UpstreamFault.SILENT
        except UpstreamError as error:
            return error.fault
        return "ok"


async def alive() -> Health:
    """Say that the process is alive."""
    return Health()


def health_router() -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/health", tags=["health"])
    check = ReadinessCheck()

    async def ready(resources: CurrentResources, response: Response) -> Readiness:
        """Ask what a request would need, and answer 503 when it is missing."""
        checks = Checks(teams="ok", upstream=await check.upstream(resources))
        good = checks.upstream == "ok"
        response.status_code = 200 if good else 503
        return Readiness(status="ready" if good else "not_ready", checks=checks)

    for path, endpoint, model, operation_id in (
        ("", alive, Health, "checkHealth"),
        ("/ready", ready, Readiness, "checkReadiness"),
    ):
        router.add_api_route(
            path, endpoint, methods=["GET"], response_model=model, operation_id=operation_id
        )
        for other, methods in ((f"{path}/", ["GET", "HEAD"]), (path, ["HEAD"])):
            router.add_api_route(
                other, endpoint, methods=methods, response_model=model, include_in_schema=False
            )
    return router
