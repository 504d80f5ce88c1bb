"""The API's description where FastAPI cannot see it: a body that is read by hand, and the errors of
every route.

The chat endpoint reads its body after authentication, so its schema is added here under the
document's components.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from orchestrator_worker.api.chat.schemas import ChatCompletionRequest

_REFERENCE = "#/components/schemas/{model}"


class ErrorDetail(BaseModel):
    """What went wrong, in OpenAI's terms."""

    message: str = Field(description="For people.")
    type: str = Field(description="The kind, such as invalid_request_error or server_error.")
    param: str | None = Field(description="The field of the request that is to blame, dotted.")
    code: str | None = Field(description="For programs, such as model_not_found or timeout.")


class ErrorEnvelope(BaseModel):
    """The body of every error."""

    error: ErrorDetail


_ERRORS = {
    400: "The request cannot be served as it stands; `param` names the field.",
    401: "There is no bearer token, or one that does not hold.",
    404: "No such model, or nothing at this path.",
    413: "The body is larger than MAX_REQUEST_BODY_SIZE.",
    429: "A rate limit is reached, here or at the model provider; see Retry-After.",
    502: "The model provider failed.",
    503: "The model provider is overloaded; see Retry-After.",
    504: "Nothing had been written by a phase's deadline.",
}

CHAT_ERRORS = (400, 401, 404, 413, 429, 502, 503, 504)
MODEL_ERRORS = (401, 404, 429)

_EXAMPLE = {
    "model": "orchestrator-worker",
    "messages": [{"role": "user", "content": "Compare tea, coffee and mate."}],
    "stream": False,
}

CHAT_OPENAPI: dict[str, Any] = {
    "parameters": [
        {
            "name": "X-Orchestration",
            "in": "header",
            "required": False,
            "description": "Asks for more in the extra field `orchestration`: `progress` (each "
            "event of the run, in a stream), `usage` (a report of every agent), `results` (what "
            "became of every subtask) and `plan` (the plan and its estimated cost, and no "
            "worker is started), separated by commas.",
            "schema": {"type": "string", "examples": ["progress, usage"]},
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": _REFERENCE.format(model="ChatCompletionRequest")},
                "example": _EXAMPLE,
            }
        },
    },
}

CHAT_OK: dict[str, Any] = {
    "description": "The answer: OpenAI's `chat.completion` object, or with `stream: true` its "
    "chunks as server-sent events, ended by `data: [DONE]`.",
    "content": {
        "application/json": {"schema": {"type": "object", "title": "ChatCompletion"}},
        "text/event-stream": {"schema": {"type": "string"}},
    },
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of these statuses, for a route."""
    return {status: {"description": _ERRORS[status], "model": ErrorEnvelope} for status in statuses}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        routes=app.routes,
        summary="A team of Claude agents behind an OpenAI-compatible endpoint.",
    )
    _, definitions = models_json_schema(
        [(ChatCompletionRequest, "validation")], ref_template=_REFERENCE
    )
    schemas: dict[str, Any] = document["components"]["schemas"]
    schemas.update(definitions["$defs"])
    # Our errors come in the envelope; the framework's own form is never sent.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    return document
