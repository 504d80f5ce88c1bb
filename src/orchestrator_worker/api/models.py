"""GET /v1/models and /v1/models/{id}: the teams, as OpenAI lists models."""

from typing import Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict
from slowapi import Limiter

from orchestrator_worker.api.deps import CurrentResources, Resources, authenticate
from orchestrator_worker.teams.team import Team

_DESCRIBED = ConfigDict(
    use_attribute_docstrings=True, json_schema_serialization_defaults_required=True
)


class ServedModel(BaseModel):
    """One team under the id that callers put into `model`."""

    model_config = _DESCRIBED

    id: str
    """What callers put into `model`."""
    object: Literal["model"] = "model"
    """What this is."""
    created: int
    """When this process started, in Unix seconds."""
    owned_by: str = "orchestrator-worker"
    """Who serves it."""
    description: str
    """What the team is for. Not in OpenAI's API."""


class ServedModels(BaseModel):
    """All of them."""

    model_config = _DESCRIBED

    object: Literal["list"] = "list"
    """What this is."""
    data: list[ServedModel]
    """The models, one per team."""


def _served(team: Team, resources: Resources) -> ServedModel:
    return ServedModel(id=team.model_id, created=resources.started_at, description=team.description)


async def list_models(request: Request, resources: CurrentResources) -> ServedModels:
    """List the models this service serves."""
    teams = await resources.catalog.current()
    return ServedModels(data=[_served(team, resources) for team in teams.values()])


async def get_model(request: Request, model_id: str, resources: CurrentResources) -> ServedModel:
    """Return one served model."""
    return _served(await resources.team(model_id), resources)


def models_router(limiter: Limiter, rate: str) -> APIRouter:
    """Return the routes; both share one limit."""
    router = APIRouter(prefix="/v1/models", tags=["models"], dependencies=[Depends(authenticate)])
    limited = limiter.shared_limit(rate, scope="models")
    for path, endpoint, model, operation_id in (
        ("", list_models, ServedModels, "listModels"),
        ("/{model_id:path}", get_model, ServedModel, "retrieveModel"),
    ):
        router.add_api_route(
            path,
            limited(endpoint),
            methods=["GET"],
            response_model=model,
            operation_id=operation_id,
        )
    return router
