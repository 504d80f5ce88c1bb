"""What the service refuses, before anything is spent, and what every response carries."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import jwt
import pytest

from chat import MODEL, ask, body
from conftest import StartService
from dumb_upstream import Reply
from orchestrator_worker.api import middleware
from running_service import SECRET
from stage import Stage

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.served({})]

NOW = 1_795_000_000


def raw(content: bytes) -> dict[str, Any]:
    return {"content": content, "headers": {"content-type": "application/json"}}


BAD_BODIES: list[tuple[str, dict[str, Any], int, str | None, str | None]] = [
    ("empty", raw(b""), 400, None, None),
    ("malformed", raw(b'{"model": '), 400, None, None),
    ("not an object", raw(b"[1, 2]"), 400, None, None),
    ("not UTF-8", raw(b'{"model": "\xff"}'), 400, None, None),
    ("NaN", raw(json.dumps(body(temperature=float("nan"))).encode()), 400, None, None),
    (
        "a lone surrogate",
        raw(b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}'),
        400,
        None,
        None,
    ),
    ("deep nesting", raw(b"[" * 100_000), 400, None, None),
    ("no model", {"json": {"messages": body()["messages"]}}, 400, "model", "invalid_value"),
    ("unknown model", {"json": body(model="gpt-9")}, 404, "model", "model_not_found"),
    ("no messages", {"json": {"model": MODEL}}, 400, "messages", "invalid_value"),
    ("empty messages", {"json": body(messages=[])}, 400, "messages", "invalid_value"),
    (
        "blank messages",
        {"json": body(messages=[{"role": "user", "content": " \n"}])},
        400,
        "messages",
        None,
    ),
    (
        "unknown role",
        {"json": body(messages=[{"role": "robot", "content": "x"}])},
        400,
        "messages.0",
        "invalid_value",
    ),
    (
        "content of a wrong type",
        {"json": body(messages=[{"role": "user", "content": 5}])},
        400,
        "messages.0.content",
        "invalid_value",
    ),
    (
        "too many messages",
        {"json": body(messages=body()["messages"] * 10_001)},
        400,
        "messages",
        "invalid_value",
    ),
    ("max_tokens zero", {"json": body(max_tokens=0)}, 400, "max_tokens", "invalid_value"),
    ("max_tokens a string", {"json": body(max_tokens="9")}, 400, "max_tokens", "invalid_value"),
    ("stream a string", {"json": body(stream="yes")}, 400, "stream", "invalid_value"),
    ("two answers", {"json": body(n=2)}, 400, "n", "invalid_value"),
    ("temperature out of range", {"json": body(temperature=3)}, 400, "temperature", None),
]


@pytest.mark.parametrize(
    ("sent", "status", "param", "code"),
    [case[1:] for case in BAD_BODIES],
    ids=[case[0] for case in BAD_BODIES],
)
async def test_a_bad_body_is_refused_with_its_field_and_costs_nothing(
    stage: Stage,
    sent: dict[str, Any],
    status: int,
    param: str | None,
    code: str | None,
) -> None:
    response = await stage.http.post("/v1/chat/completions", **sent)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert error["code"] == code or code is None
    assert error["message"]
    assert stage.upstream.calls == []


async def test_harmless_parameters_are_accepted(stage: Stage) -> None:
    stage.upstream.answer("lead", Reply(text="ok"))
    harmless: dict[str, Any] = {
        "temperature": 0.2,
        "top_p": 1,
        "n": 1,
        "seed": 7,
        "user": "u",
        "stop": None,
        "tools": None,
        "stream_options": None,
        "logprobs": False,
        "logit_bias": {},
        "presence_penalty": 0.5,
        "store": False,
        "metadata": {"a": "b"},
        "reasoning_effort": None,
        "some_extension": {"x": 1},
        "response_format": {"type": "text"},
    }
    response = await stage.ask(**harmless)
    assert response.status_code == 200, response.text
    sent = stage.upstream.calls[0].body
    assert not {"temperature", "top_p", "seed", "user", "metadata"} & set(sent)


def token(claims: dict[str, Any] | None = None, secret: str = SECRET, alg: str = "HS256") -> str:
    valid = {"sub": "x", "iat": NOW, "exp": 4_000_000_000}
    return jwt.encode({**valid, **(claims or {})}, secret, algorithm=alg)


def without(name: str) -> str:
    claims = {"sub": "x", "iat": NOW, "exp": NOW + 10_000_000}
    del claims[name]
    return jwt.encode(claims, SECRET, algorithm="HS256")


BAD_CREDENTIALS = {
    "none": None,
    "empty": "Bearer",
    "other scheme": "Basic dXNlcjpwYXNz",
    "not a token": "Bearer abc",
    "forged": f"Bearer {token(secret='another-secret-0123456789-0123456789')}",
    "expired": f"Bearer {token({'exp': NOW - 3600, 'iat': NOW - 7200})}",
    "from the future": f"Bearer {token({'iat': 3_900_000_000})}",
    "too long-lived": f"Bearer {token({'exp': 10**18})}",
    "endless": f"Bearer {without('exp')}",
    "nobody": f"Bearer {without('sub')}",
    "a date in words": f"Bearer {token({'exp': '4000000000'})}",
    "a number as subject": f"Bearer {token({'sub': 5})}",
    "other algorithm": f"Bearer {token(alg='HS512', secret=SECRET * 2)}",
    "unsigned": "Bearer " + jwt.encode({"sub": "x", "iat": NOW, "exp": NOW * 2}, "", "none"),
    "huge": "Bearer " + "x" * 9000,
}


@pytest.mark.parametrize("credentials", BAD_CREDENTIALS.values(), ids=BAD_CREDENTIALS.keys())
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/models/x"])
async def test_without_a_token_that_holds_nothing_is_told_and_nothing_spent(
    stage: Stage, credentials: str | None, path: str
) -> None:
    headers = {} if credentials is None else {"authorization": credentials}
    async with httpx2.AsyncClient(base_url=stage.service.url, headers=headers) as client:
        response = await client.request(
            "POST" if path.endswith("completions") else "GET", path, content=b"{bad json"
        )
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert stage.upstream.calls == []


async def test_two_authorization_headers_are_refused(stage: Stage) -> None:
    pair = [("authorization", f"Bearer {stage.service.token}")] * 2
    async with httpx2.AsyncClient(base_url=stage.service.url, headers=pair) as client:
        assert (await client.get("/v1/models")).status_code == 401


def padded(size: int) -> bytes:
    frame = json.dumps(body()).encode()
    return frame + b" " * (size - len(frame))


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_may_have_exactly_the_limit_and_not_a_byte_more(
    start_service: StartService, stage: Stage, chunked: bool
) -> None:
    service = await start_service(stage.upstream, MAX_REQUEST_BODY_SIZE="2048")
    stage.upstream.answer("lead", Reply(text="ok"))

    async def pieces(content: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(content), 100):
            yield content[at : at + 100]

    async with service.client() as client:
        for size, status in ((2048, 200), (2049, 413)):
            content = padded(size)
            response = await client.post(
                "/v1/chat/completions", content=pieces(content) if chunked else content
            )
            assert response.status_code == status, response.text
    assert response.json()["error"]["code"] == "request_too_large"
    assert len(stage.upstream.calls) == 1


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("my-id.1_x", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("a b", False),
        ("${jndi}", False),
        ("", False),
    ],
)
async def test_a_request_id_is_kept_when_it_is_harmless_and_replaced_otherwise(
    stage: Stage, sent: str, kept: bool
) -> None:
    response = await stage.http.get("/v1/models", headers={"x-request-id": sent})
    received = response.headers.get_list("x-request-id")
    assert len(received) == 1
    assert (received[0] == sent) is kept
    assert received[0]


async def test_two_requests_at_once_never_share_an_id(stage: Stage) -> None:
    hold = asyncio.Event()
    stage.upstream.answer("lead", Reply(text="ok", hold_before=hold))
    asking = [asyncio.create_task(stage.ask(headers={"x-request-id": "same"})) for _ in range(2)]
    await stage.upstream.arrived(2)
    hold.set()
    ids = [(await task).headers["x-request-id"] for task in asking]
    assert len(set(ids)) == 2
    assert "same" in ids
    assert sorted(ids) == sorted(call.headers["x-request-id"] for call in stage.upstream.calls)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/health/", 200),
        ("HEAD", "/health", 200),
        ("HEAD", "/health/ready", 200),
        ("GET", "/health/ready", 200),
        ("GET", "/health/ready/", 200),
        ("GET", "/v1/models", 200),
        ("GET", f"/v1/models/{MODEL}", 200),
        ("GET", "/v1/models/gpt-9", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/", 404),
        ("GET", "//v1/models", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models", 405),
        ("GET", "/openapi.json", 200),
        ("GET", "/docs", 200),
    ],
)
async def test_every_response_is_dressed_alike(
    stage: Stage, method: str, path: str, status: int
) -> None:
    response = await stage.http.request(method, path)
    assert response.status_code == status
    assert response.headers["x-request-id"]
    assert "total;dur=" in response.headers["server-timing"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in response.headers
    if status >= 400:
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    if status == 405:
        assert response.headers["allow"]


async def test_models_are_listed_as_openai_does(stage: Stage) -> None:
    listed = (await stage.http.get("/v1/models")).json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == [MODEL]
    one = (await stage.http.get(f"/v1/models/{MODEL}")).json()
    assert one == listed["data"][0]
    assert one["object"] == "model"
    assert isinstance(one["created"], int)
    missing = (await stage.http.get("/v1/models/nope")).json()
    assert missing["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("upstream_status", "status", "answer"),
    [
        (200, 200, "ok"),
        (404, 200, "ok"),
        (401, 503, "authentication"),
        (500, 503, "server_error"),
    ],
)
async def test_readiness_asks_the_upstream(
    start_service: StartService, stage: Stage, upstream_status: int, status: int, answer: str
) -> None:
    stage.upstream.models_status = upstream_status
    service = await start_service(stage.upstream)  # which has not asked yet
    async with service.client() as client:
        response = await client.get("/health/ready")
    assert response.status_code == status
    assert response.json()["checks"]["upstream"] == answer


async def test_an_unknown_wish_is_refused_and_named(stage: Stage) -> None:
    response = await stage.ask(headers={"x-orchestration": "usage, fireworks"})
    assert response.status_code == 400
    assert "fireworks" in response.json()["error"]["message"]
    assert stage.upstream.calls == []


async def test_rate_limits_hold_per_principal_and_tell_when_to_come_back(
    start_service: StartService, stage: Stage
) -> None:
    service = await start_service(
        stage.upstream,
        RATE_LIMIT_ENABLED="true",
        RATE_LIMIT_CHAT_COMPLETIONS="2/minute",
        RATE_LIMIT_MODELS="3/minute",
        RATE_LIMIT_DEFAULT="4/minute",
    )
    stage.upstream.answer("lead", Reply(text="ok"))
    other = {"authorization": f"Bearer {token({'exp': NOW + 10_000_000, 'sub': 'other'})}"}
    async with service.client() as client:
        chats = [await ask(client) for _ in range(3)]
        assert [r.status_code for r in chats] == [200, 200, 429]
        refused = chats[-1]
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["x-request-id"]
        assert (await ask(client, headers=other)).status_code == 200
        paths = ["/v1/models", f"/v1/models/{MODEL}", "/v1/models", "/v1/models"]
        models = [(await client.get(path)).status_code for path in paths]
        assert models == [200, 200, 200, 429]
        probes = [(await client.get(f"/made/up/{n}")).status_code for n in range(5)]
        assert probes == [404, 404, 404, 404, 429]
        assert (await client.get("/health")).status_code == 200
    assert len(stage.upstream.calls) == 3


async def test_a_body_far_over_the_limit_still_hears_why(stage: Stage) -> None:
    response = await stage.http.post("/v1/chat/completions", content=b"x" * 40_000_000)
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "request_too_large"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(f"x-{n}", "y") for n in range(101)], 431),
        ([("x-long", "y" * 33_000)], 431),
        ([("content-encoding", "gzip")], 415),
    ],
)
async def test_headers_are_bounded_and_compressed_bodies_refused(
    stage: Stage, headers: list[tuple[str, str]], status: int
) -> None:
    response = await stage.http.post("/v1/chat/completions", headers=headers, content=b"{}")
    assert response.status_code == status
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_a_body_that_does_not_arrive_is_not_waited_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.2)
    host, port = stage.service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n"
        f"authorization: Bearer {stage.service.token}\r\n\r\n{{".encode()
    )
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()


@pytest.mark.parametrize(
    "messages",
    [
        [0] * 300_000,
        [{"role": "user", "content": [{"type": "text"}] * 60_000}],
        [{"role": "user", "content": [{"type": "text", "text": "x"}] * 1001}],
    ],
    ids=["wrong messages", "wrong parts", "too many parts"],
)
async def test_a_hostile_body_is_refused_at_once(stage: Stage, messages: list[Any]) -> None:
    sent = json.dumps({"model": MODEL, "messages": messages})[: 1024**2]
    began = asyncio.get_running_loop().time()
    response = await stage.http.post("/v1/chat/completions", content=sent)
    assert response.status_code == 400
    assert asyncio.get_running_loop().time() - began < 1


async def test_refused_bodies_count_against_the_rate_limit(
    start_service: StartService, stage: Stage
) -> None:
    service = await start_service(
        stage.upstream,
        RATE_LIMIT_ENABLED="true",
        RATE_LIMIT_CHAT_COMPLETIONS="2/minute",
    )
    async with service.client() as client:
        sent = [await client.post("/v1/chat/completions", content=b"{") for _ in range(3)]
    assert [response.status_code for response in sent] == [400, 400, 429]
