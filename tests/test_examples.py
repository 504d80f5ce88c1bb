"""Every example request, answered by the service on the simulator."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from openai.types.chat import CompletionCreateParams
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter

from chat import answer_of
from orchestrator_worker.simulator import EmbeddedSimulator, Script
from stage import served

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOLDER = Path(__file__).parent.parent / "examples" / "requests"
AT_ONCE = {"first_token_seconds": 0, "tokens_per_second": 0}
INSTANT = dict.fromkeys(("haiku", "sonnet", "default"), AT_ONCE)
DIRECT: list[str] = []
TITLES = {
    "01-compare-databases": ["PostgreSQL", "MySQL", "SQLite"],
    "02-translate-into-five-languages": ["French", "German", "Spanish", "Japanese", "Italian"],
    "03-review-a-diff": ["Bugs", "Security", "Readability", "Say whether it can be merged"],
    "04-summarise-a-document-by-section": [
        "Traffic",
        "Finances",
        "Personnel",
        "Environment",
        "Outlook",
    ],
    "05-plan-a-trip": [
        "Find a neighbourhood to stay in",
        "Plan three days from there",
        "Add up what it costs",
    ],
    "06-trivial-question": DIRECT,
    "07-system-prompt-and-history": DIRECT,
    "08-not-in-english": ["Wärmepumpe", "Pelletofen", "Fernwärme"],
    "09-must-not-be-split": DIRECT,
    "10-with-code": DIRECT,
}
MENTIONED = {
    "06-trivial-question": ["What is the capital of Australia?"],
    "07-system-prompt-and-history": ["My rear brake squeals", "What would you check"],
    "09-must-not-be-split": ["sonnet about a lighthouse keeper"],
    "10-with-code": ["`merge`", "8 lines", "Find the mistake"],
}
"""What a direct answer takes up of the request."""
ALL = pytest.mark.parametrize("name", sorted(TITLES))
_SCHEMA: TypeAdapter[Any] = TypeAdapter(CompletionCreateParams)


def request(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx2.AsyncClient]:
    """The service with its own team, for all tests."""
    script = Script.from_json({"latencies": INSTANT})
    async with (
        EmbeddedSimulator(script) as simulator,
        served(tmp_path_factory.mktemp("examples"), simulator.url, {}) as (_, client),
    ):
        yield client


async def post(http: httpx2.AsyncClient, body: dict[str, Any]) -> httpx2.Response:
    headers = {"x-orchestration": "usage, results"}
    return await http.post("/v1/chat/completions", json=body, headers=headers, timeout=30)


async def test_every_example_is_tried() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(TITLES)


@ALL
async def test_an_example_is_a_request_as_openai_defines_it(name: str) -> None:
    body = request(name)
    form = (
        CompletionCreateParamsStreaming
        if body.get("stream")
        else CompletionCreateParamsNonStreaming
    )
    assert form.__required_keys__ <= body.keys() <= form.__annotations__.keys()
    # Iterables are checked when they are read.
    assert len(list(_SCHEMA.validate_python(body)["messages"])) == len(body["messages"])


@ALL
async def test_an_example_is_answered_as_it_should_be(http: httpx2.AsyncClient, name: str) -> None:
    body = request(name) | {"stream": False}
    response = await post(http, body)
    answer = answer_of(response)
    seen = response.json()["orchestration"]
    assert seen["route"] == ("delegated" if TITLES[name] else "direct")
    assert not seen["partial"]
    assert [result["title"] for result in seen["results"]] == TITLES[name]
    assert {result["outcome"] for result in seen["results"]} <= {"succeeded"}
    for mentioned in (*TITLES[name], *MENTIONED.get(name, ())):
        assert mentioned in answer
    assert 1 <= answer.count("(simulated)") <= len(TITLES[name]) + 1
    assert answer == answer_of(await post(http, body | {"stream": True}))


async def test_no_two_parts_of_an_example_are_answered_alike(http: httpx2.AsyncClient) -> None:
    for name, titles in TITLES.items():
        answer = answer_of(await post(http, request(name)))
        _, *parts = answer.split("## ")
        texts = {part.split("\n", 1)[1].strip() for part in parts}
        assert len(parts) == len(texts) == len(titles)


async def test_the_sections_of_a_report_are_not_mixed(http: httpx2.AsyncClient) -> None:
    answer = answer_of(await post(http, request("04-summarise-a-document-by-section")))
    for own in ("1,412 ships", "18.4 million", "143 people", "2,150 megawatt", "new quay"):
        assert answer.count(own) == 1
