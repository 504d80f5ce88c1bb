"""Requests made by machine from the API's own description, legal and not: what comes back is what
the description says, and never a failure of the service.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import httpx2
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from chat import MODEL
from running_service import RunningService
from tests.api.described import Description
from tests.api.on_simulator import service_on_simulator

EXAMPLES = 40
"""Random requests to each operation, on top of those that go through its description."""
CHAT = "/v1/chat/completions"
KEY = "Idempotency-Key"
EVENT_STREAM = "text/event-stream"
WORDS: list[str] = ["progress", "usage, results", "plan", "quiet", "progress, usage, results"]
ERROR_KEYS = {"message", "type", "param", "code"}
Document = dict[str, Any]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_on_simulator(tmp_path_factory.mktemp("generated")) as running:
        yield running


@pytest.fixture(scope="module")
def document(service: RunningService) -> Document:
    return httpx2.get(f"{service.url}/openapi.json", trust_env=False).json()


def as_described(document: Document) -> Document:
    """Return the description with the one model that there is: all others are refused, whatever
    else is asked.
    """
    schemas = document["components"]["schemas"]
    schemas["ChatCompletionRequest"]["properties"]["model"]["enum"] = [MODEL]
    # What its words say of a stream is checked by `Description`.
    answer = document["paths"][CHAT]["post"]["responses"]["200"]
    answer["content"][EVENT_STREAM]["schema"] = {"type": "object"}
    return document


def without_key(document: Document) -> Document:
    """Return one without the key, which comes again with other requests: they end there."""
    operation = as_described(document)["paths"][CHAT]["post"]
    operation["parameters"] = [it for it in operation["parameters"] if it["name"] != KEY]
    return document


def answerable(document: Document) -> Document:
    """Return a narrower description: requests that say something, and answer no calls."""
    schemas = without_key(document)["components"]["schemas"]
    messages = schemas["ChatCompletionRequest"]["properties"]["messages"]
    said = {"type": "string", "pattern": "[a-z]"}
    asked = {"role": {"const": "user"}, "content": said}
    answered = {"role": {"const": "assistant"}, "content": said}
    messages["items"] = {
        "anyOf": [
            {"type": "object", "properties": fields, "required": list(fields)}
            for fields in (asked, answered)
        ]
    }
    messages.pop("maxItems", None)
    (wishes,) = document["paths"][CHAT]["post"]["parameters"]
    wishes["schema"] = {"enum": WORDS}
    return document


def configured(service: RunningService) -> SchemathesisConfig:
    return SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "base-url": service.url,
            "auth": {"openapi": {"HTTPBearer": {"bearer": service.token}}},
            "continue-on-failure": True,
            "max-stream-events": 100_000,
            "request-timeout": 20,
            "generation": {
                "max-examples": EXAMPLES,
                "deterministic": True,
                "no-shrink": True,
                "database": "none",
            },
            "phases": {"stateful": {"enabled": False}},
            "checks": {
                # A history may contradict itself, and unknown keys are welcome.
                "positive_data_acceptance": {"enabled": False},
                "negative_data_rejection": {"enabled": False},
            },
        }
    )


class Judged:
    """What a run of generated requests has met."""

    def __init__(self, description: Description) -> None:
        self.statuses: Counter[int] = Counter()
        self.called: Counter[tuple[str, str]] = Counter()
        """Requests by phase and operation."""
        self.streams = 0
        self.mistakes: list[str] = []
        self._description = description

    def take(self, event: events.EngineEvent) -> None:
        match event:
            case events.ScenarioFinished(phase=phase, recorder=recorder):
                for id_, exchange in recorder.interactions.items():
                    path = recorder.cases[id_].value.operation.path
                    self.called[phase.value, path] += 1
                    found = [it for it in recorder.checks.get(id_, ()) if it.failure_info]
                    self.mistakes += [f"{it.name}: {told(exchange)}" for it in found]
                    self._judge(path, exchange)
            case events.NonFatalError() | events.FatalError():
                self.mistakes.append(repr(event))
            case _:
                pass

    def _judge(self, path: str, exchange: Any) -> None:
        sent = exchange.response
        if sent is None:
            self.mistakes.append(f"no answer: {told(exchange)}")
            return
        headers = [(name, value) for name, values in sent.headers.items() for value in values]
        response = httpx2.Response(sent.status_code, headers=headers, content=sent.content)
        self.statuses[response.status_code] += 1
        self.streams += EVENT_STREAM in response.headers["content-type"]
        try:
            self._description.check(path, response)
            if response.status_code >= 400:
                assert response.json()["error"].keys() == ERROR_KEYS
            # What the simulator answers must always be an answer: nothing here may fail upstream.
            assert response.status_code < 500
            assert b'data: {"error"' not in response.content
        except (AssertionError, KeyError, ValueError) as error:
            self.mistakes.append(f"{error!r}: {told(exchange)}")


def told(exchange: Any) -> str:
    """Return a request, and how it was answered, in few words."""
    request, response = exchange.request, exchange.response
    answer = None if response is None else (response.status_code, response.content[:500])
    wishes = request.headers.get("X-Orchestration")
    return f"{request.method} {request.uri} {wishes} {request.body!r:.2000} -> {answer}"


@pytest.mark.parametrize("narrowed", [as_described, without_key, answerable])
def test_whatever_is_asked_the_answer_is_as_described(
    service: RunningService, document: Document, narrowed: Callable[[Document], Document]
) -> None:
    api = schemathesis.openapi.from_dict(narrowed(deepcopy(document)), config=configured(service))
    judged = Judged(Description(document))
    for event in from_schema(api).execute():
        judged.take(event)
    assert judged.mistakes == []
    for phase in ("coverage", "fuzzing"):
        assert {path for of, path in judged.called if of == phase} == set(document["paths"])
    assert judged.called["coverage", CHAT] > 100
    assert {200, 400, 401, 405} <= judged.statuses.keys()
    assert judged.streams or narrowed is not answerable
    assert not service.events("request_crashed")
