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
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import aiohttp
import anthropic
import httpx2
import orjson

from orchestrator_worker.claude.capabilities import capabilities_of
from orchestrator_worker.claude.client import Call, StreamEvent
from orchestrator_worker.claude.wire import StreamDecoder, data_lines, encode, upstream_error
from orchestrator_worker.clock import utc_now
from orchestrator_worker.errors import UpstreamError, UpstreamFault

CONNECT_TIMEOUT_SECONDS = 5.0
END_OF_BODY_SECONDS = 0.05
"""How long a finished stream may take to close its body, so that its connection can serve again."""
KEEPALIVE_SECONDS = 60.0
"""The SDK's 5 s would close idle sockets between two runs and pay a TLS handshake per worker."""
MAX_CONNECTIONS = 1000
MAX_ERROR_BODY_BYTES = 64 * 1024

# aiohttp's own errors pass its httpx2 adapter where that has no equivalent (a malformed status
# line, say).
_TRANSPORT_ERRORS = (httpx2.HTTPError, aiohttp.ClientError, OSError)


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
        request = self._http.build_request(
            "POST",
            self._url,
            content=encode(call, capabilities_of(call.model)),
            headers={**self._headers, **call.headers},
        )
        try:
            response = await self._http.send(request, stream=True)
        except _TRANSPORT_ERRORS as error:
            raise UpstreamError(UpstreamFault.CONNECTION) from error
        try:
            if response.status_code != 200:
                raise await _status_error(response)
            yield _events(response)
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
        except (anthropic.APIError, *_TRANSPORT_ERRORS) as error:
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
        except (anthropic.APIError, *_TRANSPORT_ERRORS) as error:
            raise _from_sdk(error) from error
        lifecycle: Any = getattr(info, "lifecycle", None)
        retires_at: Any = getattr(info, "retires_at", None)
        known = lifecycle if lifecycle in {"active", "deprecated", "retired"} else "unknown"
        return ModelStatus(model, known, None if retires_at is None else str(retires_at)[:10])

    async def close(self) -> None:
        """Close the connections; calls in flight fail."""
        await self._sdk.close()


async def _events(response: httpx2.Response) -> AsyncIterator[StreamEvent]:
    decoder = StreamDecoder()
    chunks = response.aiter_bytes()
    try:
        async for payload in data_lines(chunks):
            event = decoder.decode(payload)
            if event is not None:
                yield event
            if decoder.complete:
                await _finish(chunks)
                return
    except httpx2.TimeoutException as error:
        raise UpstreamError(UpstreamFault.SILENT) from error
    except _TRANSPORT_ERRORS as error:
        raise UpstreamError(UpstreamFault.TRUNCATED) from error
    raise UpstreamError(UpstreamFault.TRUNCATED)


async def _finish(chunks: AsyncIterator[bytes]) -> None:
    """Read a complete message's body to its end: closed before that, its connection could not be
    used again.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(END_OF_BODY_SECONDS):
            async for _ in chunks:
                pass


async def _status_error(response: httpx2.Response) -> UpstreamError:
    body = b""
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_ERROR_BODY_BYTES:
                break
    except _TRANSPORT_ERRORS:
        # The status alone decides then; a body that breaks off adds nothing.
        body = b""
    error_type, error_code = _error_fields(body)
    return upstream_error(
        response.status_code,
        error_type,
        error_code=error_code,
        retry_after_seconds=retry_after_seconds(response.headers.get("retry-after")),
    )


def _error_fields(body: bytes) -> tuple[str | None, str | None]:
    try:
        error: Any = orjson.loads(body)["error"]
        details: Any = error.get("details") or {}
        return error.get("type"), details.get("error_code")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None, None  # a proxy's HTML page, say


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
    return UpstreamError(UpstreamFault.CONNECTION)
