"""The ASGI application: routes, authentication, ids. Above it stands `server`, which runs it.

A call for a message goes on to `messages`, the control of the simulator to `control`.
"""

import secrets
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator_worker.simulator.control import Control
from orchestrator_worker.simulator.errors import ApiError, InvalidRequestError
from orchestrator_worker.simulator.exchange import Exchange
from orchestrator_worker.simulator.jsons import JsonObject
from orchestrator_worker.simulator.loop_lag import LoopLag
from orchestrator_worker.simulator.messages import MessageCalls
from orchestrator_worker.simulator.models import MODELS, find_model, model_info
from orchestrator_worker.simulator.prompt import Prompt
from orchestrator_worker.simulator.record import Call, Record
from orchestrator_worker.simulator.script import Script
from orchestrator_worker.simulator.validation import VERSIONS, check_count

DEFAULT_PAGE = 20
MAX_PAGE = 1_000


def create_app(script: Script | None = None) -> ASGIApp:
    """A simulator with a script and a record of its own."""
    return Simulator(script or Script())


class Simulator:
    """The API under /v1 and its control under /_simulator."""

    def __init__(self, script: Script) -> None:
        self._record = Record()
        self._lag = LoopLag()
        self._control = Control(script, self._record, self._lag)
        self._messages = MessageCalls(
            self._record,
            self._control.cache,
            self._control.limits,
            lambda: self._control.script,
            self._next_id,
        )
        self._run = secrets.token_hex(6)
        self._ids = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve(Exchange(scope, receive, send, f"req_{self._next_id()}"))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._lag.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._lag.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _next_id(self) -> str:
        """An id that is unique over restarts too, because callers store them."""
        self._ids += 1
        return f"01{self._run}{self._ids:08d}"

    async def _serve(self, exchange: Exchange) -> None:
        try:
            if exchange.path.startswith("/_simulator/"):
                await self._control.serve(exchange)
            else:
                await self._recorded(exchange)
        except ApiError as error:
            await exchange.refuse(error)

    async def _recorded(self, exchange: Exchange) -> None:
        call = self._record.open(
            exchange.method, exchange.path, exchange.request_id, exchange.headers
        )
        try:
            await self._route(exchange, call)
        except ApiError as error:
            call.status = error.status
            self._record.close(call, "refused")
            raise
        except ConnectionResetError:
            pass
        finally:
            self._record.close(call, "client_left")

    async def _route(self, exchange: Exchange, call: Call) -> None:
        account = _check_headers(exchange.headers)
        route = (exchange.method, exchange.path)
        if route == ("POST", "/v1/messages"):
            body = await self._read(exchange, call)
            await self._messages.serve(exchange, call, body, account)
        elif route == ("POST", "/v1/messages/count_tokens"):
            await self._complete(exchange, call, self._count(await self._read(exchange, call)))
        elif route == ("GET", "/v1/models"):
            await self._complete(exchange, call, _models_page(exchange.query))
        elif exchange.method == "GET" and exchange.path.startswith("/v1/models/"):
            await self._complete(exchange, call, _one_model(exchange.path.rpartition("/")[2]))
        else:
            raise ApiError(404, "Not Found")

    async def _read(self, exchange: Exchange, call: Call) -> JsonObject:
        body = await exchange.read_object()
        call.model = str(body.get("model"))
        call.stream = body.get("stream") is True
        if self._control.script.record_bodies:
            call.body = body
        return body

    def _count(self, body: JsonObject) -> JsonObject:
        check_count(body, refuse=self._control.script.refuse)
        return {"input_tokens": Prompt(body).tokens}

    async def _complete(self, exchange: Exchange, call: Call, body: JsonObject) -> None:
        call.status = 200
        call.touched()
        # Closed first: whoever has the response finds the record complete.
        self._record.close(call, "completed")
        await exchange.respond(200, body)


def _check_headers(headers: dict[str, str]) -> str:
    """The key, which stands for the account."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    key = headers.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else "")
    if not key:
        raise ApiError(401, "x-api-key header is required")
    if key == "invalid":
        raise ApiError(401, "invalid x-api-key")
    version = headers.get("anthropic-version")
    if not version:
        raise InvalidRequestError("header is required", "anthropic-version")
    if version not in VERSIONS:
        raise InvalidRequestError(f'"{version}" is not a valid version', "anthropic-version")
    return key


def _one_model(id: str) -> JsonObject:
    model = find_model(id)
    if model is None:
        raise ApiError(404, f"model: {id}")
    return model_info(model)


def _models_page(query: str) -> JsonObject:
    params = parse_qs(query)
    limit = params.get("limit", [str(DEFAULT_PAGE)])[0]
    if not limit.isdecimal() or not 1 <= int(limit) <= MAX_PAGE:
        raise InvalidRequestError(f"Input should be between 1 and {MAX_PAGE}", "limit")
    stages = [*params.get("lifecycle", []), *params.get("lifecycle[]", [])]
    wanted = stages or ["active", "deprecated"]
    listed = [model for model in MODELS if model.lifecycle in wanted]
    ids = [model.id for model in listed]
    start, stop = _bounds(ids, params, int(limit))
    page = [model_info(model) for model in listed[start:stop]]
    return {
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start > 0 if "before_id" in params else stop < len(listed),
    }


def _bounds(ids: list[str], params: dict[str, list[str]], limit: int) -> tuple[int, int]:
    for cursor in ("after_id", "before_id"):
        if cursor in params and params[cursor][0] not in ids:
            raise InvalidRequestError(f"unknown model {params[cursor][0]!r}", cursor)
    if "before_id" in params:
        stop = ids.index(params["before_id"][0])
        return max(0, stop - limit), stop
    start = ids.index(params["after_id"][0]) + 1 if "after_id" in params else 0
    return start, min(len(ids), start + limit)
