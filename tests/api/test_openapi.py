"""The API's description: complete, and without a reference into the void."""

from collections.abc import Iterator
from typing import Any

import pytest

from stage import Stage

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served({})]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():  # pyright: ignore[reportUnknownVariableType]
            if key == "$ref":
                yield str(value)  # pyright: ignore[reportUnknownArgumentType]
            else:
                yield from references(value)
    elif isinstance(node, list):
        for item in node:  # pyright: ignore[reportUnknownVariableType]
            yield from references(item)


async def test_every_reference_leads_somewhere(stage: Stage) -> None:
    document = (await stage.http.get("/openapi.json")).json()
    found = set(references(document))
    assert "#/components/schemas/ChatCompletionRequest" in found
    for reference in found:
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


async def test_it_says_what_the_chat_endpoint_wants_and_answers(stage: Stage) -> None:
    document = (await stage.http.get("/openapi.json")).json()
    chat = document["paths"]["/v1/chat/completions"]["post"]
    assert set(chat["responses"]) == {
        *("200", "400", "401", "404", "413", "429", "502", "503", "504")
    }
    assert set(chat["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert chat["security"] == [{"HTTPBearer": []}]
    assert [parameter["name"] for parameter in chat["parameters"]] == ["X-Orchestration"]
    example = chat["requestBody"]["content"]["application/json"]["example"]
    assert example["messages"]
    assert "422" not in str(document)


async def test_the_second_documentation_page_is_off(stage: Stage) -> None:
    assert (await stage.http.get("/redoc")).status_code == 404
