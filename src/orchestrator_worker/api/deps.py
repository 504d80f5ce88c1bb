"""What endpoints declare they need: the process's resources, the principal, the checked body."""

from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from orchestrator_worker.api.idempotency import IdempotentAnswers
from orchestrator_worker.api.middleware import trace_of
from orchestrator_worker.auth.principal import Principal
from orchestrator_worker.auth.tokens import TokenSigner
from orchestrator_worker.claude.client import UpstreamProbe
from orchestrator_worker.errors import ModelNotFound, NotAuthenticated
from orchestrator_worker.orchestration.orchestrator import Orchestrator
from orchestrator_worker.teams.catalog import TeamCatalog
from orchestrator_worker.teams.team import Team


@dataclass(frozen=True, slots=True)
class Resources:
    """The long-lived objects of a serving process; the application's lifespan owns them."""

    orchestrator: Orchestrator
    catalog: TeamCatalog
    tokens: TokenSigner
    upstream: UpstreamProbe
    answers: IdempotentAnswers
    started_at: int
    """Unix seconds; what /v1/models calls `created`."""

    async def team(self, model: str) -> Team:
        """Return the team that serves `model`.

        Raises:
            ModelNotFound: none does.
        """
        try:
            return (await self.catalog.current())[model]
        except KeyError:
            raise ModelNotFound(model) from None


async def get_resources(request: Request) -> Resources:
    """Return the process's resources."""
    return request.state.resources


# async, like all dependencies here: FastAPI runs plain functions in a thread.
CurrentResources = Annotated[Resources, Depends(get_resources)]


# Tells the API's description that a bearer token is wanted; the checking is ours.
_BEARER = HTTPBearer(
    auto_error=False, description="A token printed by `orchestrator-worker token`."
)


async def authenticate(
    request: Request,
    resources: CurrentResources,
    _scheme: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> Principal:
    """Return who calls, and bind them to the request's logs and limits.

    Raises:
        NotAuthenticated: there is no bearer token, or it does not hold.
    """
    presented = request.headers.getlist("authorization")
    scheme, _, token = presented[0].partition(" ") if len(presented) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated
    principal = resources.tokens.verify(token.strip())
    request.state.principal = principal
    structlog.contextvars.bind_contextvars(principal=principal.subject)
    trace_of(request.scope).fields["principal"] = principal.subject
    return principal


CurrentPrincipal = Annotated[Principal, Depends(authenticate)]
