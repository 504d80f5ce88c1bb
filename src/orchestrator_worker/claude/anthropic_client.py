"""The real client: the Messages API over one shared HTTP client.

Calls are posted with our own bytes and read with our own event split, which costs a fraction of the
SDK's typed stream per event; the SDK object shares the same HTTP client and serves what is not hot
(models). Its transport's errors, and every shape of failure seen from the API, become
`UpstreamError` here and nowhere else.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import aiohttp
import anthropic
import httpx2

from orchestrator_worker.claude.capabilities import capabilities_of
from orchestrator_worker.claude.client import Call, Document, Image, StreamEvent
from orchestrator_worker.claude.refusal import Refusal, read_refusal
from orchestrator_worker.claude.wire import (
    StreamDecoder,
    data_lines,
    encode,
    features_of,
    unstreamed_events,
    upstream_error,
)
from orchestrator_worker.clock import loop_time, utc_now
from orchestrator_worker.errors import Feature, UpstreamError, UpstreamFault

CONNECT_TIMEOUT_SECONDS = 5.0
END_OF_BODY_SECONDS = 0.05
"""How long a finished stream may take to close its body, so that its connection can serve again."""
KEEPALIVE_SECONDS = 60.0
"""The SDK's 5 s would close idle sockets between two runs and pay a TLS handshake per worker."""
MAX_CONNECTIONS = 1000
MAX_UNSTREAMED_BYTES = 64 * 1024
"""Of an error or a pre-warm's answer; both are short."""

# aiohttp's own errors pass its httpx2 adapter where that has no equivalent (a malformed status
# line, say).
_TRANSPORT_ERRORS = (httpx2.HTTPError, aiohttp.ClientError, OSError)

# What the SDK lets through when a server answers 200 with something else than it expects.
_NOT_THE_API = (ValueError, AttributeError, AssertionError, TypeError)


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What the models endpoint says of one model."""

    model: str
    lifecycle: Literal["active", "deprecated", "retired", "unknown"]
    retires_at: str | None
    """ISO date; None where the server does not say."""


class AnthropicClient:
    """Speaks to one Messages API server; one object per process, closed by its owner."""

    def __init__(self, *, api_key: str, base_url: str | None, trust_proxies: bool = True) -> None:
        self._http = anthropic.DefaultAioHttpClient(
            # Silence is bounded where a stream is read; a second clock here would cost every read.
            timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_SECONDS),
            limits=httpx2.Limits(
                max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_SECONDS
            ),
            trust_env=trust_proxies,
        )
        # Retries are one loop of ours (retry.py): the SDK's would sleep past deadlines and hide
        # attempts.
        self._sdk = anthropic.AsyncAnthropic(
            api_key=api_key, base_url=base_url, max_retries=0, http_client=self._http
        )
        self._url = str(self._sdk.base_url).rstrip("/") + "/v1/messages"
        self._headers = {
            "authorization": f"Bearer {api_key}",
            "anthropic-version": str(self._sdk.default_headers["anthropic-version"]),
            "content-type": "application/json",
            "accept": "text/event-stream",
            "accept-encoding": "identity",
        }

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncGenerator[AsyncIterator[StreamEvent]]:
        """See `ClaudeClient.stream`; cancelling closes the connection instead of draining it."""
        streamed = call.max_tokens > 0
        carried = features_of(call, capabilities_of(call.model))
        accepts = {} if streamed else {"accept": "application/json"}
        request = self._http.build_request(
            "POST",
            self._url,
            content=encode(call, capabilities_of(call.model)),
            headers={**self._headers, **accepts, **call.headers},
        )
        try:
            async with asyncio.timeout(call.idle_seconds):
                response = await self._http.send(request, stream=True)
        except TimeoutError as error:
            raise UpstreamError(UpstreamFault.SILENT) from error
        except _TRANSPORT_ERRORS as error:
            raise UpstreamError(UpstreamFault.CONNECTION) from error
        try:
            if response.status_code != 200:
                raise await _status_error(response, call)
            if streamed:
                yield _events(response, call.idle_seconds, carried)
            else:
                yield _unstreamed_events(response, call.idle_seconds)
        finally:
            await response.aclose()

    async def probe(self) -> None:
        """Ask the server for its models, to see that it answers and takes our key.

        A server without that endpoint answers 404, which is an answer.

        Raises:
            UpstreamError: it does not answer, or refuses the key.
        """
        try:
            await self._sdk.models.list(limit=1)
        except anthropic.NotFoundError:
            return
        except (anthropic.APIError, *_TRANSPORT_ERRORS, *_NOT_THE_API) as error:
            raise _from_sdk(error) from error

    async def model_status(self, model: str) -> ModelStatus:
        """Return what the server says of `model`; `unknown` where it does not know it or has no
        such endpoint.

        Raises:
            UpstreamError: it does not answer, or refuses the key.
        """
        try:
            info = await self._sdk.models.retrieve(model)
        except anthropic.NotFoundError:
            return ModelStatus(model, "unknown", None)
        except (anthropic.APIError, *_TRANSPORT_ERRORS, *_NOT_THE_API) as error:
            raise _from_sdk(error) from error
        lifecycle: Any = getattr(info, "lifecycle", None)
        retires_at: Any = getattr(info, "retires_at", None)
        known = lifecycle if lifecycle in {"active", "deprecated", "retired"} else "unknown"
        return ModelStatus(model, known, None if retires_at is None else str(retires_at)[:10])

    async def clock_ahead(self) -> timedelta | None:
        """Return how far this machine's clock is ahead of the server's, to a second or so; None
        where the server does not tell the time.

        Raises:
            UpstreamError: it does not answer, or refuses the key.
        """
        try:
            headers = (await self._sdk.models.with_raw_response.list(limit=1)).headers
        except anthropic.NotFoundError as error:
            headers = error.response.headers
        except (anthropic.APIError, *_TRANSPORT_ERRORS, *_NOT_THE_API) as error:
            raise _from_sdk(error) from error
        try:
            return utc_now() - parsedate_to_datetime(headers.get("date", ""))
        except (ValueError, TypeError):
            return None

    async def close(self) -> None:
        """Close the connections; calls in flight fail."""
        await self._sdk.close()


async def _events(
    response: httpx2.Response, idle_seconds: float, carried: frozenset[Feature]
) -> AsyncIterator[StreamEvent]:
    decoder = StreamDecoder(carried)
    body = _Body(response.aiter_bytes(), idle_seconds)
    async for payload in data_lines(body.chunks()):
        event = decoder.decode(payload)
        if event is not None:
            body.alive()
            yield event
        if decoder.complete:
            await body.finish()
            return
    raise UpstreamError(UpstreamFault.TRUNCATED)


async def _unstreamed_events(
    response: httpx2.Response, idle_seconds: float
) -> AsyncIterator[StreamEvent]:
    for event in unstreamed_events(await _short_body(response, idle_seconds)):
        yield event


async def _short_body(response: httpx2.Response, idle_seconds: float) -> bytes:
    body = b""
    async for chunk in _Body(response.aiter_bytes(), idle_seconds).chunks():
        body += chunk
        if len(body) > MAX_UNSTREAMED_BYTES:
            break
    return body


class _Body:
    """A response's body, and how long it has been waited for in vain.

    Only the waiting here counts as silence: a reader of the events may take its time.
    """

    def __init__(self, chunks: AsyncIterator[bytes], idle_seconds: float) -> None:
        self._chunks = chunks
        self._idle_seconds = idle_seconds
        self._patience = idle_seconds

    def alive(self) -> None:
        """Note that an event has come; a ping is none."""
        self._patience = self._idle_seconds

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield what arrives.

        Raises:
            UpstreamError: it breaks off, or nothing but pings has come for too long.
        """
        while True:
            began = loop_time()
            try:
                async with asyncio.timeout(self._patience):
                    chunk = await anext(self._chunks)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise UpstreamError(UpstreamFault.SILENT) from error
            except _TRANSPORT_ERRORS as error:
                raise UpstreamError(UpstreamFault.TRUNCATED) from error
            self._patience -= loop_time() - began
            yield chunk

    async def finish(self) -> None:
        """Read a complete message's body to its end: only then can its connection serve again."""
        # The message is complete, so whatever goes wrong now is no fault of it.
        with suppress(TimeoutError, *_TRANSPORT_ERRORS):
            async with asyncio.timeout(END_OF_BODY_SECONDS):
                async for _ in self._chunks:
                    pass


async def _status_error(response: httpx2.Response, call: Call) -> UpstreamError:
    try:
        body = await _short_body(response, call.idle_seconds)
    except UpstreamError:
        # The status alone decides then; a body that breaks off or never comes adds nothing.
        body = b""
    refusal = read_refusal(response.status_code, body)
    if refusal.too_long or response.status_code == 413:
        return UpstreamError(
            UpstreamFault.CONTEXT_LENGTH, upstream_status=response.status_code, param="messages"
        )
    if (param := _callers_own(refusal, call)) is not None:
        return UpstreamError(
            UpstreamFault.BAD_INPUT, upstream_status=response.status_code, param=param
        )
    return upstream_error(
        response.status_code,
        refusal.error_type,
        error_code=refusal.error_code,
        retry_after_seconds=retry_after_seconds(response.headers.get("retry-after")),
        refused_features=refusal.features & features_of(call, capabilities_of(call.model)),
    )


def _callers_own(refusal: Refusal, call: Call) -> str | None:
    """Return the caller's field that a refusal is about; None: it is none of the caller's."""
    if refusal.features:
        return None
    blocks = (block for message in call.messages for block in message.content)
    if refusal.part == "media" and any(isinstance(it, Image | Document) for it in blocks):
        return "messages"
    tool = refusal.tool
    if tool is not None and tool < len(call.tools) and not call.tools[tool].eager:
        return "tools"
    return "response_format" if refusal.part == "schema" and call.schema_in_words else None


def retry_after_seconds(header: str | None) -> float | None:
    """Return a `retry-after` header (seconds or an HTTP date) as seconds from now; None when it
    says nothing usable.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - utc_now()).total_seconds()
        except (ValueError, TypeError):
            return None
    return seconds if 0 < seconds < float("inf") else None


def _from_sdk(error: Exception) -> UpstreamError:
    if isinstance(error, anthropic.APIStatusError):
        return upstream_error(error.status_code, error.type, error_code=error.error_code)
    connected = isinstance(error, _NOT_THE_API)
    return UpstreamError(UpstreamFault.MALFORMED if connected else UpstreamFault.CONNECTION)
