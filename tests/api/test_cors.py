"""Browsers on other origins: who is let in, with what, and that refusals can be read too."""

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest
import pytest_asyncio

from chat import ask
from conftest import StartService
from dumb_upstream import Reply
from orchestrator_worker.teams.catalog import TeamCatalog
from stage import Stage

OURS, OTHER = "https://chat.example.com", "https://other.example.com"
ALLOW = "access-control-allow-"
EXPOSED = {
    *("x-request-id", "server-timing", "retry-after", "x-should-retry", "www-authenticate"),
    "idempotent-replayed",
}
CHAT = "/v1/chat/completions"
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.served({}, CORS_ORIGINS=f"{OURS}, http://localhost:3000"),
]
Client = Callable[..., Awaitable[httpx2.AsyncClient]]


@pytest_asyncio.fixture(loop_scope="module")
async def client(start_service: StartService, stage: Stage) -> AsyncIterator[Client]:
    """Start a service with these settings; returns a client without a token."""
    made: list[httpx2.AsyncClient] = []

    async def start(**variables: str) -> httpx2.AsyncClient:
        service = await start_service(stage.upstream, **variables)
        made.append(httpx2.AsyncClient(base_url=service.url, trust_env=False))
        return made[-1]

    yield start
    for it in made:
        await it.aclose()


async def preflight(
    client: httpx2.AsyncClient, origin: str = OURS, method: str = "POST", wanted: str = ""
) -> httpx2.Response:
    """Ask as a browser does before it sends a request."""
    headers = {"origin": origin, "access-control-request-method": method}
    if wanted:
        headers["access-control-request-headers"] = wanted
    return await client.options(CHAT, headers=headers)


def listed(response: httpx2.Response, name: str) -> set[str]:
    return {it.strip().lower() for it in response.headers.get(name, "").split(",")} - {""}


async def test_no_origin_is_allowed_unless_one_is_named(client: Client) -> None:
    closed = await client()
    refused = await preflight(closed)
    assert refused.status_code == 405
    plain = await closed.get("/health", headers={"origin": OURS})
    for response in (refused, plain):
        assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize("origin", [OURS, "http://localhost:3000"])
async def test_an_allowed_origin_asks_first_without_a_token(stage: Stage, origin: str) -> None:
    async with httpx2.AsyncClient(base_url=stage.service.url) as anonymous:
        response = await preflight(anonymous, origin, wanted="authorization, x-orchestration")
    assert response.status_code == 200
    assert response.headers[f"{ALLOW}origin"] == origin
    assert "post" in listed(response, f"{ALLOW}methods")
    assert listed(response, f"{ALLOW}headers") == {"authorization", "x-orchestration"}
    assert f"{ALLOW}credentials" not in response.headers
    assert response.headers["x-request-id"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "origin" in listed(response, "vary")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_allowed_origin_reads_the_answer_and_its_headers(
    stage: Stage, stream: bool
) -> None:
    stage.upstream.answer("lead", Reply(text="ok"))
    response = await stage.ask(stream=stream, headers={"origin": OURS})
    assert response.status_code == 200
    assert response.headers[f"{ALLOW}origin"] == OURS
    assert listed(response, "access-control-expose-headers") == EXPOSED
    assert "origin" in listed(response, "vary")


@pytest.mark.parametrize("origin", [OTHER, "null", f"{OURS}.evil.com", "http://chat.example.com"])
async def test_another_origin_is_not_allowed(stage: Stage, origin: str) -> None:
    stage.upstream.answer("lead", Reply(text="ok"))
    refused = await preflight(stage.http, origin)
    assert refused.status_code == 400
    assert f"{ALLOW}origin" not in refused.headers
    assert f"{ALLOW}origin" not in (await stage.ask(headers={"origin": origin})).headers
    assert f"{ALLOW}origin" not in (await stage.ask()).headers


async def test_refusals_can_be_read_by_an_allowed_origin(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, str, dict[str, str], bytes, int]] = [
        ("GET", "/v1/models", {"authorization": "Bearer no"}, b"", 401),
        ("GET", "/nothing", {}, b"", 404),
        ("DELETE", "/v1/models", {}, b"", 405),
        ("POST", CHAT, {}, b"x" * 11_000_000, 413),
        ("POST", CHAT, {"content-encoding": "gzip"}, b"{}", 415),
        ("GET", "/v1/models", {"x-long": "y" * 33_000}, b"", 431),
        ("GET", "/v1/models", {}, b"", 500),
    ]

    async def crash(*_: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(TeamCatalog, "current", crash)
    for method, path, headers, content, status in sent:
        response = await stage.http.request(
            method, path, headers={"origin": OURS, **headers}, content=content
        )
        assert response.status_code == status
        assert response.headers[f"{ALLOW}origin"] == OURS
        assert listed(response, "access-control-expose-headers") == EXPOSED
        assert response.json()["error"]["message"]
        assert response.headers["x-content-type-options"] == "nosniff"


async def test_asking_first_is_free_and_a_reached_limit_can_be_read(
    start_service: StartService, stage: Stage
) -> None:
    service = await start_service(
        stage.upstream,
        CORS_ORIGINS=OURS,
        RATE_LIMIT_ENABLED="true",
        RATE_LIMIT_CHAT_COMPLETIONS="1/minute",
        RATE_LIMIT_DEFAULT="1/minute",
    )
    stage.upstream.answer("lead", Reply(text="ok"))
    async with service.client() as http:
        assert {(await preflight(http)).status_code for _ in range(5)} == {200}
        assert (await ask(http, headers={"origin": OURS})).status_code == 200
        refused = await ask(http, headers={"origin": OURS})
    assert refused.status_code == 429
    assert refused.headers["retry-after"]
    assert refused.headers[f"{ALLOW}origin"] == OURS


async def test_any_origin_may_be_allowed(client: Client) -> None:
    http = await client(CORS_ORIGINS="*")
    assert (await preflight(http, OTHER)).headers[f"{ALLOW}origin"] == "*"
    response = await http.get("/health", headers={"origin": OTHER})
    assert response.headers[f"{ALLOW}origin"] == "*"


async def test_cookies_are_allowed_where_they_are_asked_for(client: Client) -> None:
    http = await client(CORS_ORIGINS=OURS, CORS_ALLOW_CREDENTIALS="true")
    asked = await preflight(http)
    answered = await http.get("/health", headers={"origin": OURS, "cookie": "a=b"})
    for response in (asked, answered):
        assert response.headers[f"{ALLOW}credentials"] == "true"
        assert response.headers[f"{ALLOW}origin"] == OURS


async def test_methods_may_be_limited(client: Client) -> None:
    http = await client(CORS_ORIGINS=OURS, CORS_ALLOW_METHODS="GET, POST")
    allowed = await preflight(http, method="POST")
    assert allowed.status_code == 200
    assert listed(allowed, f"{ALLOW}methods") == {"get", "post"}
    assert (await preflight(http, method="DELETE")).status_code == 400


async def test_headers_may_be_limited(client: Client) -> None:
    http = await client(CORS_ORIGINS=OURS, CORS_ALLOW_HEADERS="Authorization, Content-Type")
    allowed = await preflight(http, wanted="authorization,content-type")
    assert allowed.status_code == 200
    assert "authorization" in listed(allowed, f"{ALLOW}headers")
    assert "x-orchestration" not in listed(allowed, f"{ALLOW}headers")
    assert (await preflight(http, wanted="x-orchestration")).status_code == 400
