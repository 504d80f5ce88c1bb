"""The API's description in itself: complete, readable, and with examples that hold."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_asyncio
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)

from chat import MODEL, body
from conftest import StartService
from dumb_upstream import Reply
from orchestrator_worker.errors import OrchestratorError, UpstreamError, UpstreamFault
from stage import Stage
from tests.api.described import Description

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served({})]
CHAT = "/v1/chat/completions"


@pytest_asyncio.fixture(loop_scope="module")
async def description(stage: Stage) -> Description:
    return Description((await stage.http.get("/openapi.json")).json())


def objects(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in the document."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, dict | list):
        for inner in node.values() if isinstance(node, dict) else node:
            yield from objects(inner)


def fields(description: Description) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every field of every schema, with its name for people."""
    for name, schema in description.schemas.items():
        for node in objects(schema):
            for field, it in node.get("properties", {}).items():
                if isinstance(it, dict):
                    yield f"{name}.{field}", it


async def test_every_reference_leads_somewhere_and_every_schema_is_referred_to(
    description: Description,
) -> None:
    found = {str(it["$ref"]) for it in objects(description.document) if "$ref" in it}
    for reference in found:
        node = description.document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
    # A stream's frames are referred to in words.
    in_words = {"ChatCompletionChunk", "StreamError"}
    assert {it.rpartition("/")[2] for it in found if "schemas" in it} | in_words == set(
        description.schemas
    )
    stream = description.operation(CHAT)["responses"]["200"]["content"]["text/event-stream"]
    assert all(name in stream["schema"]["description"] for name in in_words)


async def test_every_field_says_what_it_is(description: Description) -> None:
    described = dict(fields(description))
    assert len(described) > 150
    assert [name for name, it in described.items() if not it.get("description")] == []
    assert [name for name, it in description.schemas.items() if "description" not in it] == []


async def test_every_operation_is_introduced_and_every_status_explained(
    description: Description,
) -> None:
    tags = {tag["name"]: tag["description"] for tag in description.document["tags"]}
    ids: list[str] = []
    for path, _, operation in description.operations():
        ids.append(operation["operationId"])
        assert operation["summary"]
        assert operation["description"]
        assert all(tags[tag] for tag in operation["tags"])
        assert operation["security"] == ([{"HTTPBearer": []}] if path.startswith("/v1") else [])
        for parameter in operation.get("parameters", ()):
            assert parameter["description"]
            assert "example" in parameter or "examples" in parameter
        for response in operation["responses"].values():
            assert response["description"]
            assert {"X-Request-ID", "Server-Timing"} <= set(response["headers"])
            for content in response["content"].values():
                assert content["examples"]
    assert len(set(ids)) == len(ids)
    for header in description.document["components"]["headers"].values():
        assert header["description"]
        assert "example" in header
    assert "HTTPValidationError" not in str(description.document)


async def test_every_answers_example_holds_against_its_schema(description: Description) -> None:
    shown = 0
    for _, _, operation in description.operations():
        for response in operation["responses"].values():
            for media_type, content in response["content"].items():
                for example in content["examples"].values():
                    assert example["summary"]
                    shown += 1
                    if media_type == "text/event-stream":
                        description.check_stream(example["value"])
                    else:
                        description.validate(content["schema"], example["value"])
    assert shown > 40


async def test_every_requests_example_is_answered_in_the_form_of_its_example(
    stage: Stage, description: Description
) -> None:
    operation = description.operation(CHAT)
    wishes = operation["parameters"][0]["examples"]
    content = operation["requestBody"]["content"]["application/json"]
    answers = operation["responses"]["200"]["content"]
    assert set(wishes) <= set(content["examples"])
    for name, example in content["examples"].items():
        stage.upstream.answer("lead", Reply(text='{"name": "Canberra", "inhabitants": 478000}'))
        description.validate(content["schema"], example["value"])
        headers = {"x-orchestration": wishes[name]["value"]} if name in wishes else None
        response = await stage.ask(headers=headers, **example["value"])
        assert response.status_code == 200, response.text
        media_type = response.headers["content-type"].partition(";")[0]
        assert name in answers[media_type]["examples"]


def errors_codes() -> set[str | None]:
    """Return the codes that errors of ours have, whatever they are made of."""
    found = {UpstreamError(fault).code for fault in UpstreamFault}
    classes = [OrchestratorError]
    for cls in classes:
        classes += cls.__subclasses__()
        found.add(cls.code)
    return found


async def test_every_error_code_and_type_is_named_explained_and_shown(
    description: Description,
) -> None:
    detail = description.schemas["ErrorDetail"]["properties"]
    code, null = detail["code"]["anyOf"]
    assert null == {"type": "null"}
    shown = [
        example["value"]["error"]
        for _, _, operation in description.operations()
        for response in operation["responses"].values()
        for example in response["content"].get("application/json", {})["examples"].values()
        if "error" in example["value"]
    ]
    assert {it["code"] for it in shown} == {*code["enum"], None}
    assert {it["type"] for it in shown} == set(detail["type"]["enum"])
    assert errors_codes() <= {*code["enum"], None}
    assert all(f"`{name}`" in detail["code"]["description"] for name in code["enum"])


async def test_every_field_of_openais_request_is_told_of(description: Description) -> None:
    theirs = (CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming)
    ours = description.schemas["ChatCompletionRequest"]["properties"]
    assert set(ours) == {name for form in theirs for name in form.__annotations__}
    words = ("Used", "Accepted without effect", "Refused")
    assert [name for name, it in ours.items() if not it["description"].startswith(words)] == []


FILLED: dict[str, Any] = {
    "audio": {"voice": "alloy"},
    "web_search_options": {},
    "logit_bias": {"1": 1},
    "top_logprobs": 1,
}


async def test_a_field_is_refused_or_without_effect_as_its_description_says(
    stage: Stage, description: Description
) -> None:
    stage.upstream.answer("lead", Reply(text="ok"))
    ours = description.schemas["ChatCompletionRequest"]["properties"]
    plain = await stage.ask()
    assert plain.status_code == 200
    unread = {n: it for n, it in ours.items() if it["description"].startswith("Refused")}
    assert set(unread) == set(FILLED)
    for name, value in FILLED.items():
        error = (await stage.ask(**{name: value})).json()["error"]
        assert (error["param"], error["code"]) == (name, "unsupported_parameter")
        with pytest.raises(AssertionError):
            description.validate_named("ChatCompletionRequest", body(**{name: value}))
    for name in (n for n, it in ours.items() if "whatever it holds" in it["description"]):
        for value in ("x", 1, {"a": [1]}):
            given: dict[str, Any] = {name: value}
            response = await stage.ask(**given)
            assert response.status_code == 200, (name, response.text)
            assert stage.upstream.calls[-1].body == stage.upstream.calls[0].body


async def test_the_examples_ask_for_the_model_that_is_served(
    start_service: StartService, stage: Stage
) -> None:
    name = 'my-"own"-model'
    service = await start_service(stage.upstream, SERVICE_MODEL_NAME=name)
    async with service.client() as client:
        document = (await client.get("/openapi.json")).json()
        assert MODEL not in json.dumps(document["paths"]).replace(f'"owned_by": "{MODEL}"', "")
        description = Description(document)
        operation = description.operation(CHAT)
        content = operation["requestBody"]["content"]["application/json"]
        assert {it["value"]["model"] for it in content["examples"].values()} == {name}
        for stream in operation["responses"]["200"]["content"]["text/event-stream"][
            "examples"
        ].values():
            description.check_stream(stream["value"])
            assert json.dumps(name) in stream["value"]


async def test_the_second_documentation_page_is_off(stage: Stage) -> None:
    assert (await stage.http.get("/redoc")).status_code == 404
