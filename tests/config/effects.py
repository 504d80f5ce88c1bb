"""Every variable with a second value, and how one sees from outside that it is in force.

Each function is given a service started with the variables it is registered for; all but its
process's own (address, log) are seen over HTTP, by the caller or by the upstream.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import jwt

from chat import ask
from dumb_upstream import DumbUpstream as Upstream
from dumb_upstream import Reply, Status
from orchestrator_worker.app import retry_policy
from running_service import RunningService

SECRET = "another-secret-of-at-least-sixty-four-bytes-" + "x" * 32
ORIGIN = "https://chat.example.com"


@dataclass
class Seen:
    """A running service, its caller and its upstream."""

    service: RunningService
    http: httpx2.AsyncClient
    upstream: Upstream

    async def delegated(self, subtasks: int = 2, **fields: Any) -> httpx2.Response:
        """Ask for what is answered by workers and a synthesizer."""
        plan = [{"id": f"s{n}", "title": f"Part {n}", "instructions": "x"} for n in range(subtasks)]
        self.upstream.answer("lead", Reply(plan=plan))
        self.upstream.answer("worker", Reply(text="done"))
        self.upstream.answer("synthesizer", Reply(text="the answer"))
        return await ask(self.http, headers={"x-orchestration": "usage, results"}, **fields)

    def sent_to(self, role: str) -> dict[str, Any]:
        return self.upstream.calls_of(role)[0].body


Look = Callable[[Seen], Awaitable[None]]
EFFECTS: list[tuple[dict[str, str], Look]] = []
"""What is set, and how it is seen."""


def when(**values: str) -> Callable[[Look], Look]:
    def register(look: Look) -> Look:
        EFFECTS.append((values, look))
        return look

    return register


@when(API_TITLE="Our Team", API_VERSION="9.9")
async def described_so(seen: Seen) -> None:
    info = (await seen.http.get("/openapi.json")).json()["info"]
    assert (info["title"], info["version"]) == ("Our Team", "9.9")


@when(ENABLE_DOCS="false")
async def nothing_is_described(seen: Seen) -> None:
    for path in ("/docs", "/openapi.json"):
        assert (await seen.http.get(path)).status_code == 404


@when(SERVICE_MODEL_NAME="our-team", ENABLE_SECURITY_HEADERS="false")
async def served_under_that_name(seen: Seen) -> None:
    models = await seen.http.get("/v1/models")
    assert [model["id"] for model in models.json()["data"]] == ["our-team"]
    assert "x-frame-options" not in models.headers


@when(MAX_REQUEST_BODY_SIZE="2000")
async def larger_bodies_are_refused(seen: Seen) -> None:
    seen.upstream.answer("lead", Reply(text="ok"))
    assert (await ask(seen.http, user="x" * 1500)).status_code == 200
    assert (await ask(seen.http, user="x" * 2000)).status_code == 413


@when(ANTHROPIC_API_KEY="another-key")
async def the_key_goes_upstream(seen: Seen) -> None:
    await seen.delegated()
    assert {call.headers["authorization"] for call in seen.upstream.calls} == {"Bearer another-key"}


@when(PROMPT_CACHE="false")
async def nothing_is_marked_for_the_cache(seen: Seen) -> None:
    for _ in range(2):
        await seen.delegated()
    assert not any("cache_control" in str(call.body) for call in seen.upstream.calls)


@when(
    CORS_ORIGINS=f"{ORIGIN}, https://other.example.com",
    CORS_ALLOW_CREDENTIALS="true",
    CORS_ALLOW_METHODS="GET",
    CORS_ALLOW_HEADERS="X-One",
)
async def pages_of_that_origin_may_call(seen: Seen) -> None:
    asked = {"access-control-request-method": "GET", "access-control-request-headers": "x-one"}
    headers = (await seen.http.options("/v1/models", headers={"origin": ORIGIN, **asked})).headers
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["access-control-allow-credentials"] == "true"
    assert headers["access-control-allow-methods"] == "GET"
    assert "X-One" in headers["access-control-allow-headers"]
    for method, header in (("POST", "x-one"), ("GET", "x-two")):
        asked = {
            "access-control-request-method": method,
            "access-control-request-headers": header,
        }
        refused = await seen.http.options("/v1/models", headers={"origin": ORIGIN, **asked})
        assert refused.status_code == 400
    elsewhere = {"origin": "https://evil.example.com"}
    assert (
        "access-control-allow-origin"
        not in (await seen.http.get("/v1/models", headers=elsewhere)).headers
    )


@when(JWT_SECRET_KEY=SECRET, JWT_ALGORITHM="HS512")
async def tokens_are_signed_so(seen: Seen) -> None:
    assert jwt.decode(seen.service.token, SECRET, algorithms=["HS512"])["sub"] == "tester"
    assert (await seen.http.get("/v1/models")).status_code == 200


@when(RATE_LIMIT_ENABLED="false", RATE_LIMIT_MODELS="1/minute")
async def no_request_is_refused(seen: Seen) -> None:
    models = [(await seen.http.get("/v1/models")).status_code for _ in range(3)]
    assert models == [200, 200, 200]


@when(
    RATE_LIMIT_ENABLED="true",
    RATE_LIMIT_DEFAULT="3/minute",
    RATE_LIMIT_CHAT_COMPLETIONS="1/minute",
    RATE_LIMIT_MODELS="2/minute",
)
async def more_requests_are_refused(seen: Seen) -> None:
    seen.upstream.answer("lead", Reply(text="ok"))
    chat = [(await ask(seen.http)).status_code for _ in range(2)]
    models = [(await seen.http.get("/v1/models")).status_code for _ in range(3)]
    other = [(await seen.http.get("/nothing")).status_code for _ in range(4)]
    assert (chat, models, other) == ([200, 429], [200, 200, 429], [404, 404, 404, 429])


@when(
    ORCHESTRATOR_MODEL="claude-opus-5-5",
    ORCHESTRATOR_MAX_TOKENS="1111",
    ORCHESTRATOR_EFFORT="high",
    WORKER_MODEL="claude-sonnet-5-5",
    WORKER_MAX_TOKENS="2222",
    WORKER_EFFORT="medium",
    SYNTHESIZER_MODEL="claude-sonnet-4-6",
    SYNTHESIZER_MAX_TOKENS="3333",
    SYNTHESIZER_EFFORT="max",
)
async def each_agent_is_asked_so(seen: Seen) -> None:
    await seen.delegated()
    chosen = {
        role: (body["model"], body["max_tokens"], body["output_config"]["effort"])
        for role in ("lead", "worker", "synthesizer")
        for body in [seen.sent_to(role)]
    }
    assert chosen == {
        "lead": ("claude-opus-5-5", 1111, "high"),
        "worker": ("claude-sonnet-5-5", 2222, "medium"),
        "synthesizer": ("claude-sonnet-4-6", 3333, "max"),
    }


@when(
    ORCHESTRATOR_MODEL="opus",
    WORKER_MODEL="sonnet",
    SYNTHESIZER_MODEL="haiku",
    MODEL_OPUS="an-opus",
    MODEL_SONNET="a-sonnet",
    MODEL_HAIKU="a-haiku",
)
async def short_names_mean_these(seen: Seen) -> None:
    await seen.delegated()
    roles = ("lead", "worker", "synthesizer")
    models = [seen.sent_to(role)["model"] for role in roles]
    assert models == ["an-opus", "a-sonnet", "a-haiku"]


@when(WORKER_COORDINATION_TIMEOUT="1")
async def workers_are_cut_off(seen: Seen) -> None:
    seen.upstream.answer_subtask("Part 1", Reply(hold_before=asyncio.Event()))
    report = (await seen.delegated()).json()["orchestration"]
    assert report["timed_out"] is True
    assert 0.95 <= report["phases"]["coordination_seconds"] <= 5


@when(SYNTHESIS_TIMEOUT="1", DIRECT_ANSWER_TIMEOUT="2")
async def writing_is_cut_off(seen: Seen) -> None:
    cut = Reply(text="some text", hold_after_pieces=(1, asyncio.Event()))
    seen.upstream.answer("lead", cut)
    direct = (await ask(seen.http, headers={"x-orchestration": "usage"})).json()
    assert direct["choices"][0]["finish_reason"] == "length"
    assert 1.9 <= direct["orchestration"]["totals"]["seconds"] <= 6
    seen.upstream.answer(
        "lead", Reply(plan=[{"id": f"s{n}", "instructions": "x"} for n in range(2)])
    )
    seen.upstream.answer("worker", Reply(text="done"))
    seen.upstream.answer("synthesizer", cut)
    written = (await ask(seen.http, headers={"x-orchestration": "usage"})).json()
    assert written["choices"][0]["finish_reason"] == "length"
    assert 0.9 <= written["orchestration"]["phases"]["synthesis_seconds"] <= 5


@when(STREAM_IDLE_TIMEOUT="1")
async def silence_is_cut_off(seen: Seen) -> None:
    seen.upstream.answer("lead", Reply(hold_before_text=asyncio.Event()))
    response = await ask(seen.http)
    assert response.status_code == 504
    (attempt,) = seen.service.events("upstream_attempt")
    assert attempt["reason"] == "silent"
    assert 900 <= attempt["milliseconds"] <= 5000


@when(MAX_SUBTASKS="3")
async def longer_plans_are_cut(seen: Seen) -> None:
    report = (await seen.delegated(5)).json()["orchestration"]
    assert len(report["results"]) == 3


@when(MAX_WORKERS_PER_RUN="2")
async def fewer_workers_run(seen: Seen) -> None:
    await seen.delegated(4)
    assert len(seen.upstream.calls_of("worker")) == 2


@when(MAX_CONCURRENT_WORKERS="1")
async def they_take_turns(seen: Seen) -> None:
    await seen.delegated(4)
    assert len(seen.upstream.calls_of("worker")) == 4
    assert seen.upstream.workers_peak == 1


@when(MAX_WORKERS_PER_PROCESS="1")
async def they_take_turns_over_all_runs(seen: Seen) -> None:
    await asyncio.gather(seen.delegated(3), seen.delegated(3))
    assert len(seen.upstream.calls_of("worker")) == 6
    assert seen.upstream.workers_peak == 1


@when(RETRY_MAX_ATTEMPTS="5")
async def calls_are_tried_that_often(seen: Seen) -> None:
    seen.upstream.answer("lead", Status(529))
    assert (await ask(seen.http)).status_code == 503
    assert len(seen.upstream.calls_of("lead")) == 5


@when(RETRY_EXPONENTIAL_MULTIPLIER="2.5", RETRY_EXPONENTIAL_MAX="60")
async def pauses_are_that_long(seen: Seen) -> None:
    # What pauses come of it is told by the tests of the retry loop, whose clock is theirs.
    policy = retry_policy(seen.service.settings)
    assert (policy.backoff_seconds, policy.max_backoff_seconds) == (2.5, 60)


@when(PROMPTS_DIR="prompts")
async def those_teams_are_served(seen: Seen) -> None:
    models = (await seen.http.get("/v1/models")).json()["data"]
    assert sorted(model["id"] for model in models) == ["orchestrator-worker", "poets"]


def prepare(folder: Path) -> None:
    """Make what some values name."""
    (folder / "prompts" / "poets").mkdir(parents=True)
    (folder / "prompts" / "poets" / "team.toml").write_text('route = "never"\n')
    (folder / "prompts" / "default").mkdir()
    (folder / "prompts" / "default" / "team.toml").write_text('description = "d"\n')
    (folder / "key").write_text("key-from-a-file\n")
    (folder / "secret").write_text(SECRET)
