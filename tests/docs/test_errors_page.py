"""docs/errors.md: it lists every status, type and code that there is, and no others."""

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from conftest import StartService
from orchestrator_worker.api.chat.codec import finish_reason
from orchestrator_worker.errors import (
    AllWorkersFailed,
    AnswerUnusable,
    ConfigurationError,
    HeadersTooLarge,
    InvalidRequest,
    KeyReused,
    ModelNotFound,
    NotAuthenticated,
    OrchestratorError,
    PhaseTimeout,
    RequestInProgress,
    RequestTooLarge,
    RequestTooSlow,
    UnsupportedEncoding,
    UpstreamError,
    UpstreamFault,
)
from tests.docs.snippets import ROOT

Row = tuple[int, str, str | None]
PAGE = (ROOT / "docs" / "errors.md").read_text("utf-8")
LISTED: list[Row] = [
    (int(status), kind, None if code == "null" else code)
    for status, kind, code in re.findall(
        r"^\| (\d{3}) \| `(\w+)` \| `(\w+)` \|", PAGE, re.MULTILINE
    )
]
RAISED: list[OrchestratorError] = [
    OrchestratorError(),
    ModelNotFound("m"),
    RequestTooLarge(1),
    RequestTooSlow(1),
    HeadersTooLarge(1, 1),
    UnsupportedEncoding(),
    RequestInProgress(),
    KeyReused(),
    NotAuthenticated(),
    AllWorkersFailed(["it"]),
    AnswerUnusable("it"),
    PhaseTimeout("synthesis", 1),
    *map(UpstreamError, UpstreamFault),
]
CHAT = "/v1/chat/completions"
QUESTION = [{"role": "user", "content": "Hello"}]
WRONG: dict[str, tuple[str, str, dict[str, Any]]] = {
    "not JSON": ("POST", CHAT, {"content": b"{"}),
    "no question": (
        "POST",
        CHAT,
        {"json": {"model": "m", "messages": [{"role": "user", "content": " "}]}},
    ),
    "a wrong field": ("POST", CHAT, {"json": {"model": 1, "messages": QUESTION}}),
    "a wrong wish": (
        "POST",
        CHAT,
        {"json": {"model": "m", "messages": QUESTION}, "headers": {"x-orchestration": "magic"}},
    ),
    "sound": (
        "POST",
        CHAT,
        {"json": {"model": "m", "messages": QUESTION, "audio": {"voice": "alloy"}}},
    ),
    "no such model": ("POST", CHAT, {"json": {"model": "none", "messages": QUESTION}}),
    "no such path": ("GET", "/v2", {}),
    "no such method": ("DELETE", CHAT, {}),
    "too large": ("POST", CHAT, {"content": b" " * 2000}),
    "compressed": ("POST", CHAT, {"content": b"x", "headers": {"content-encoding": "gzip"}}),
    "many headers": ("GET", "/v1/models", {"headers": {f"x-{it}": "x" for it in range(101)}}),
    "a forged token": ("GET", "/v1/models", {"headers": {"authorization": "Bearer x"}}),
}


def _subclasses(kind: type[OrchestratorError]) -> Iterator[type[OrchestratorError]]:
    for below in kind.__subclasses__():
        yield below
        yield from _subclasses(below)


@pytest.fixture
async def seen(start_service: StartService) -> set[Row]:
    """What a running service says to all that is wrong."""
    service = await start_service(
        MAX_REQUEST_BODY_SIZE="1024",
        RATE_LIMIT_ENABLED="true",
        RATE_LIMIT_CHAT_COMPLETIONS="100/minute",
        RATE_LIMIT_MODELS="1/minute",
    )
    async with service.client() as http:
        answers = [await http.request(verb, path, **more) for verb, path, more in WRONG.values()]
        answers += [await http.get("/v1/models") for _ in range(2)]
    return {_row(answer) for answer in answers if answer.status_code != 200}


def _row(answer: httpx2.Response) -> Row:
    error = answer.json()["error"]
    return answer.status_code, error["type"], error["code"]


async def test_every_error_is_listed_and_nothing_else(seen: set[Row]) -> None:
    raised = {(error.status, error.type, error.code) for error in RAISED}
    assert len(LISTED) == len(set(LISTED))
    assert set(LISTED) == raised | seen


def test_no_kind_of_error_is_forgotten() -> None:
    told = {type(error) for error in RAISED} | {InvalidRequest, ConfigurationError}
    assert set(_subclasses(OrchestratorError)) <= told


def test_the_page_names_every_end_of_an_answer() -> None:
    # `tool_calls` is left out: callers' own tools are not supported.
    stops = ("end_turn", "max_tokens", "model_context_window_exceeded", "refusal", None)
    ends = re.findall(r"^\| `(stop|length|content_filter|tool_calls)` \|", PAGE, re.MULTILINE)
    assert sorted(ends) == sorted({finish_reason(stop) for stop in stops})
