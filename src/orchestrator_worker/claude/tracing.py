"""Tracing: each attempt carries upstream which request, run and subtask it belongs to."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from orchestrator_worker.claude.client import Call, ClaudeClient, StreamEvent


class TracedClient:
    """A Claude client that names the request in headers, so that a proxy's log and ours can be
    joined.
    """

    def __init__(self, inner: ClaudeClient) -> None:
        self._inner = inner

    def stream(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[StreamEvent]]:
        """See `ClaudeClient.stream`."""
        return self._inner.stream(replace(call, headers={**call.headers, **_headers(call)}))


def _headers(call: Call) -> dict[str, str]:
    headers = {
        "x-request-id": call.origin.request_id,
        "x-orchestrator-run-id": call.origin.run_id,
        "x-orchestrator-role": call.origin.role,
        "x-orchestrator-attempt": str(call.attempt),
    }
    if call.origin.purpose is not None:
        headers["x-orchestrator-purpose"] = call.origin.purpose
    return headers
