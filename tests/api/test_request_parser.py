"""Requests at random before the parser: what it takes makes calls that the Claude API takes, and
what it refuses it refuses by the name of a field that is there, or missing there.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2
import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chat import frames_of
from orchestrator_worker.api.chat.endpoints import _run_request
from orchestrator_worker.api.chat.schemas import ChatCompletionRequest, parse_chat_request
from orchestrator_worker.auth.principal import Principal
from orchestrator_worker.claude.capabilities import capabilities_of
from orchestrator_worker.claude.client import (
    Call,
    MessageStarted,
    MessageStopped,
    StreamEvent,
    TextDelta,
    ToolInputDelta,
    ToolUseStarted,
)
from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.claude.wire import encode, features_of
from orchestrator_worker.errors import AnswerUnusable, InvalidRequest
from orchestrator_worker.orchestration.orchestrator import Orchestrator
from orchestrator_worker.simulator.errors import ApiError
from orchestrator_worker.simulator.prompt import Prompt
from orchestrator_worker.simulator.thinking_rules import check_thinking
from orchestrator_worker.simulator.validation import check_create
from orchestrator_worker.teams.catalog import TeamCatalog
from orchestrator_worker.teams.scaling import scaled
from orchestrator_worker.teams.team import Team
from running_service import RunningService, settings_from
from served_teams import write_teams
from strict_openai import check_completion, check_error, check_stream
from tests.api.on_simulator import service_on_simulator
from tests.api.random_requests import Json, damaged_bodies, requests

TEAMS = {
    "sonnet": "",
    "haiku": 'lead.model = "claude-haiku-5-5"',
    "opus": 'lead.model = "claude-opus-5-5"\nlead.effort = "high"',
    "plain": 'lead.model = "claude-haiku-4-5"\nroute = "never"',
    "text": 'plan_form = "text"',
    "foreign": 'lead.model = "claude-sonnet-4-5"',
}
OF_TOOLS = {"tools", "tool_choice", "functions", "function_call"}
QUICK = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
        HealthCheck.filter_too_much,
        HealthCheck.function_scoped_fixture,
    ],
)


@pytest.fixture(scope="module")
def teams(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Team]:
    folder = tmp_path_factory.mktemp("teams")
    write_teams(folder / "prompts", {"default": "", **TEAMS})
    chosen = settings_from(
        PROMPTS_DIR=str(folder / "prompts"), DATA_DIR=str(folder), ANTHROPIC_API_KEY="k"
    )
    return dict(TeamCatalog(chosen).teams)


class Judge:
    """A Claude that refuses what the API would refuse, and else says or calls what it must."""

    def __init__(self) -> None:
        self.bodies: list[Json] = []

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncGenerator[AsyncIterator[StreamEvent]]:
        capabilities = capabilities_of(call.model)
        body: Json = orjson.loads(encode(call, capabilities))
        self.bodies.append(body)
        check_thinking(body, check_create(body), "account", Prompt(body))
        yield self._events(call, MessageStarted("m", Usage(), features_of(call, capabilities)))

    async def _events(self, call: Call, started: MessageStarted) -> AsyncGenerator[StreamEvent]:
        yield started
        callers = [tool for tool in call.tools if not tool.name.startswith("delegate")]
        if callers and call.tool_choice.forced:
            yield ToolUseStarted("toolu_1", callers[0].name)
            yield ToolInputDelta("{}")
            yield MessageStopped("tool_use", Usage())
        else:
            yield TextDelta("{}")
            yield MessageStopped("end_turn", Usage())


async def make_a_run(team: Team, parsed: ChatCompletionRequest) -> None:
    """Do what the endpoint does with a parsed request, before the judge.

    Raises:
        InvalidRequest: it is refused.
    """
    team = scaled(team, parsed.reasoning_effort, parsed.answer_cap)
    request = _run_request("req", Principal("tester"), team, parsed, frozenset())
    judge = Judge()
    try:
        async with Orchestrator(judge, 4).run(request) as run:
            async for _ in run:
                pass
    except AnswerUnusable:
        pass  # "{}" is not everybody's JSON
    assert judge.bodies


def runs(team: Team, body: bytes) -> bool:
    """Whether a request is taken; if not, it is refused by name."""
    try:
        parsed = parse_chat_request(body)
        asyncio.run(make_a_run(team, parsed))
    except InvalidRequest as error:
        assert_named(error, body)
        return False
    except ApiError as error:
        raise AssertionError(f"the Claude API refuses it: {error!r}") from error
    return True


def assert_named(error: InvalidRequest, body: bytes) -> None:
    """Its `param` is in the body, or a known key that is missing there."""
    assert str(error)
    if error.param is None:
        return
    assert error.param
    place: Any = orjson.loads(body)
    for key in error.param.split("."):
        if isinstance(place, list):
            place = cast("list[Any]", place)[int(key)]
        elif isinstance(place, dict) and key in place:
            place = cast("Json", place)[key]
        else:
            assert isinstance(place, dict), f"{error.param}: {key}"
            assert key in FIELDS, f"{error.param}: {key}"
            place = None


def _fields(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from cast("Json", schema).get("properties", {})
        for value in cast("Json", schema).values():
            yield from _fields(value)
    elif isinstance(schema, list):
        for value in cast("list[Any]", schema):
            yield from _fields(value)


FIELDS = frozenset(_fields(ChatCompletionRequest.model_json_schema()))


@pytest.mark.parametrize("team", TEAMS)
def test_whatever_is_legal_makes_calls_that_claude_takes(teams: dict[str, Team], team: str) -> None:
    @QUICK
    @given(requests())
    def check(request: Json) -> None:
        if not teams[team].takes_tools:
            request = {name: request[name] for name in request.keys() - OF_TOOLS}
        assert runs(teams[team], orjson.dumps(request))

    check()


@pytest.mark.parametrize("team", ["sonnet", "haiku"])
def test_whatever_is_sent_is_taken_or_refused_by_name(teams: dict[str, Team], team: str) -> None:
    taken: list[bool] = []

    @settings(QUICK, max_examples=400)
    @given(damaged_bodies())
    def check(body: bytes) -> None:
        taken.append(runs(teams[team], body))

    check()
    assert {True, False} <= set(taken)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with service_on_simulator(tmp_path_factory.mktemp("served")) as service:
        yield service


def error_in(response: httpx2.Response) -> Json | None:
    """Return the error of an answer, or of a stream; what is none is in OpenAI's form."""
    if response.status_code != 200:
        return response.json()["error"]
    if response.headers["content-type"].startswith("application/json"):
        check_completion(response.json())
        return None
    frames = frames_of(response)
    check_stream(frames)
    return frames[-1].get("error")


@pytest.mark.parametrize(
    "bodies", [requests().map(orjson.dumps), damaged_bodies()], ids=["legal", "damaged"]
)
def test_over_http_nothing_fails_and_every_answer_is_in_openais_form(
    served: RunningService, bodies: st.SearchStrategy[bytes]
) -> None:
    statuses: set[int] = set()
    with httpx2.Client(
        base_url=served.url, headers=served.headers, timeout=20, trust_env=False
    ) as client:

        @settings(QUICK, max_examples=60)
        @given(bodies)
        def check(body: bytes) -> None:
            response = client.post("/v1/chat/completions", content=body)
            statuses.add(response.status_code)
            error = error_in(response)
            if error is None:
                return
            check_error(error)
            # Not every schema allows a value, and the simulator does not find every value.
            hopeless = error["code"] == "invalid_answer" and b"json_schema" in body
            assert response.status_code < 500 or hopeless, response.text
            assert response.status_code != 200 or hopeless, response.text
            assert response.status_code < 500 or response.headers["x-should-retry"] == "false"

        check()
    assert 200 in statuses
