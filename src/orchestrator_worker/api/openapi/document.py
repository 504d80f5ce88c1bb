"""The OpenAPI document: what FastAPI sees of the routes, completed by what it cannot see."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from orchestrator_worker.api.chat.schemas import ChatCompletionRequest
from orchestrator_worker.api.openapi.completions import (
    ChatCompletion,
    ChatCompletionChunk,
    StreamError,
)
from orchestrator_worker.api.openapi.errors import HEADERS, ErrorEnvelope
from orchestrator_worker.api.openapi.events import EVENTS
from orchestrator_worker.api.openapi.examples import naming
from orchestrator_worker.api.openapi.operations import ABOUT, OPERATIONS, TAGS
from orchestrator_worker.api.openapi.reports import REPORT_MODELS
from orchestrator_worker.api.openapi.request import UNREAD_FIELDS

_REFERENCE = "#/components/schemas/{model}"
_WRITTEN: tuple[type[BaseModel], ...] = (
    ChatCompletion,
    ChatCompletionChunk,
    StreamError,
    ErrorEnvelope,
    *REPORT_MODELS,
    *EVENTS,
)


def describe(app: FastAPI, model_id: str) -> dict[str, Any]:
    """Return the document, whose examples ask for `model_id`; the application keeps it, for it does
    not change while it runs.
    """
    if app.openapi_schema is None:
        app.openapi_schema = _document(app, model_id)
    return app.openapi_schema


def _document(app: FastAPI, model_id: str) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary="A team of Claude agents behind an OpenAI-compatible endpoint.",
        description=ABOUT,
        license_info={"name": "MIT", "identifier": "MIT"},
        tags=TAGS,
        routes=app.routes,
    )
    for path in document["paths"].values():
        for operation in path.values():
            operation.update(naming(model_id, OPERATIONS[operation["operationId"]]))
    components = document["components"]
    components["schemas"] = _schemas(components["schemas"])
    components["headers"] = HEADERS
    components["securitySchemes"]["HTTPBearer"]["bearerFormat"] = "JWT"
    return document


def _schemas(found: dict[str, Any]) -> dict[str, Any]:
    """Return all schemas: those FastAPI has found, the request's, and what is written by hand."""
    # Our errors come in the envelope; the framework's own form is never sent.
    ours = {name: it for name, it in found.items() if "ValidationError" not in name}
    _, read = models_json_schema([(ChatCompletionRequest, "validation")], ref_template=_REFERENCE)
    _, written = models_json_schema(
        [(model, "validation") for model in _WRITTEN], ref_template=_REFERENCE
    )
    read["$defs"]["ChatCompletionRequest"]["properties"].update(UNREAD_FIELDS)
    for schema in written["$defs"].values():
        for field in schema.get("properties", {}).values():
            field.pop("default", None)  # a field may be left out; nobody fills it in
    schemas = {**ours, **written["$defs"], **read["$defs"]}
    for schema in schemas.values():
        _tidy(schema)
        for field in schema.get("properties", {}).values():
            if "$ref" in field:  # left out where it would repeat what it refers to
                referred = schemas[field["$ref"].rpartition("/")[2]]
                field.setdefault("description", referred["description"])
    for event in EVENTS:
        fields = schemas[event.__name__]["properties"]
        fields["spent"] = fields.pop("spent")  # last, as it is written
    return dict(sorted(schemas.items()))


def _tidy(schema: dict[str, Any]) -> None:
    """Drop the titles that Pydantic makes of fields' names, which repeat them in other letters, and
    the line ends of docstrings.
    """
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    for inner in _inner_schemas(schema):
        inner.pop("title", None)
        _tidy(inner)


def _inner_schemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from schema.get("properties", {}).values()
    for several in ("anyOf", "oneOf", "allOf"):
        yield from schema.get(several, [])
    if isinstance(schema.get("items"), dict):
        yield schema["items"]
