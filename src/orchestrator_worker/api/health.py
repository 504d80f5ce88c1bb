"""GET /health (alive) and /health/ready (able to answer); both also with a trailing slash, neither
with a token.
"""

import asyncio
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from orchestrator_worker.api.deps import CurrentResources
from orchestrator_worker.clock import loop_time
from orchestrator_worker.errors import UpstreamError

PROBE_TIMEOUT_SECONDS = 3.0
PROBE_KEPT_SECONDS = 5.0
"""How long one answer of the upstream serves all probes: many probers must not become a load of
their own.
"""


class Health(BaseModel):
    """The process runs and its loop turns."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Whether a request sent now could be answered."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, str]
    """`ok`, or what is wrong, by what was asked."""


class ReadinessCheck:
    """Asks the upstream, at most once per few seconds however many ask here."""

    def __init__(self) -> None:
        self._asking = asyncio.Lock()
        self._answer = ""
        self._good_until = 0.0

    async def upstream(self, resources: CurrentResources) -> str:
        """Return `ok` or what is wrong with the upstream."""
        async with self._asking:
            if loop_time() >= self._good_until:
                self._answer = await self._ask(resources)
                self._good_until = loop_time() + PROBE_KEPT_SECONDS
            return self._answer

    async def _ask(self, resources: CurrentResources) -> str:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                await resources.upstream.probe()
        except TimeoutError:
            return "silent"
        except UpstreamError as error:
            return error.fault.value
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
        checks = {"teams": "ok", "upstream": await check.upstream(resources)}
        good = all(answer == "ok" for answer in checks.values())
        response.status_code = 200 if good else 503
        return Readiness(status="ready" if good else "not_ready", checks=checks)

    for path, endpoint, model in (("", alive, Health), ("/ready", ready, Readiness)):
        router.add_api_route(path, endpoint, methods=["GET"], response_model=model)
        router.add_api_route(
            f"{path}/", endpoint, methods=["GET"], response_model=model, include_in_schema=False
        )
    return router
