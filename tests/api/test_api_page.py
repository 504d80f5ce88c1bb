"""The API's description as a page: nothing of it is lost, and its commands are the examples."""

import json
import re
from typing import Any

import pytest
import pytest_asyncio
from scripts.openapi_pages import api_page

from stage import Stage

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served({})]


@pytest_asyncio.fixture(loop_scope="module")
async def document(stage: Stage) -> dict[str, Any]:
    return (await stage.http.get("/openapi.json")).json()


def sections(page: str) -> dict[str, str]:
    """Return the text below each heading, by the heading."""
    pieces = re.split(r"^#{2,3} (.+)$", page, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


async def test_every_operation_field_and_status_is_on_the_page(document: dict[str, Any]) -> None:
    found = sections(api_page(document))
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            text = found[f"{method.upper()} {path}"]
            assert operation["summary"] in text
            assert all(f"\n| {status} | " in text for status in operation["responses"])
            for parameter in operation.get("parameters", ()):
                assert f"| `{parameter['name']}` | " in text
    whole = "\n".join(found.values())
    for schema in document["components"]["schemas"].values():
        for name, field in schema.get("properties", {}).items():
            row = rf"\| `{name}`( \(optional\))? \| [^\n]+ \| "
            words = " ".join(field["description"].split()).replace("|", "\\|")
            assert re.search(row + re.escape(words), whole), name
    for name in document["components"]["headers"]:
        assert f"| `{name}` | " in found["Response headers"]


async def test_links_lead_to_headings_and_tables_are_square(document: dict[str, Any]) -> None:
    page = api_page(document)
    links = set(re.findall(r"\]\(#([^)]+)\)", page))
    assert len(links) > 20
    assert links <= {heading.lower() for heading in sections(page)}
    for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, table[:200]


async def test_each_example_is_a_command_and_its_answer(document: dict[str, Any]) -> None:
    text = sections(api_page(document))["POST /v1/chat/completions"]
    operation = document["paths"]["/v1/chat/completions"]["post"]
    commands = re.findall(r"```bash\n(.*?)\n```", text, re.DOTALL)
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    wishes = operation["parameters"][0]["examples"]
    assert len(commands) == len(examples)
    for command, (name, example) in zip(commands, examples.items(), strict=True):
        (sent,) = re.findall(r"-d '(.*)'$", command, re.DOTALL)
        assert json.loads(sent.replace("'\\''", "'")) == example["value"]
        assert ("curl -sSN " in command) is bool(example["value"].get("stream"))
        assert '"Authorization: Bearer $API_BEARER_TOKEN"' in command
        wish = wishes.get(name, {}).get("value")
        assert ("X-Orchestration" in command) is bool(wish)
        assert not wish or f'"X-Orchestration: {wish}"' in command
    answers = [json.loads(it) for it in re.findall(r"```json\n(.*?)\n```", text, re.DOTALL)]
    shown = operation["responses"]["200"]["content"]["application/json"]["examples"]
    assert answers == [it["value"] for it in shown.values()]


async def test_a_quote_in_an_example_ends_no_argument(document: dict[str, Any]) -> None:
    path = document["paths"]["/v1/chat/completions"]["post"]
    examples = path["requestBody"]["content"]["application/json"]["examples"]
    examples["simple"]["value"]["messages"][0]["content"] = "What's new?"
    assert "What'\\''s new?" in api_page(document)
