"""GET /v1/models and /v1/models/{id}: the teams, as OpenAI lists models."""

from typing import Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from slowapi import Limiter

from orchestrator_worker.api.deps import CurrentResources, Resources, authenticate
from orchestrator_worker.api.openapi import MODEL_ERRORS, errors
from orchestrator_worker.teams.team import Team


class ServedModel(BaseModel):
    """One team under the id that callers put into `model`."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """Unix seconds; when this process started."""
    owned_by: str = "orchestrator-worker"
    description: str


class ServedModels(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[ServedModel]


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
    for path, endpoint, model in (
        ("", list_models, ServedModels),
        ("/{model_id:path}", get_model, ServedModel),
    ):
        router.add_api_route(
            path,
            limited(endpoint),
            methods=["GET"],
            response_model=model,
            responses=errors(*MODEL_ERRORS),
        )
    return router
