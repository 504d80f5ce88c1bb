"""Feature negotiation: what a server refuses to read is left out, and the call is made again.

Other servers speak the Messages API in part, and models differ in what they take. The table in
`capabilities.py` says what is known beforehand; this wrapper learns the rest from refusals and
remembers it for the life of the process. It stands between retry and everything that counts
attempts: a repetition is no retry (nothing has to pass first, and it draws on no budget), but an
attempt of its own, with its own slot, number and ledger record.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import structlog

from orchestrator_worker.claude.capabilities import capabilities_of
from orchestrator_worker.claude.client import Call, ClaudeClient, StreamEvent
from orchestrator_worker.errors import Feature, UpstreamError, UpstreamFault

_NEEDED_TO_WARM: frozenset[Feature] = frozenset(("pre_warm", "cache_control"))


class NegotiatingClient:
    """A Claude client that does without the features its server refuses."""

    def __init__(self, inner: ClaudeClient) -> None:
        self._inner = inner
        self._refused: dict[str, frozenset[Feature]] = {}
        """By model."""
        self._log = structlog.stdlib.get_logger("orchestrator_worker.negotiation")

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncGenerator[AsyncIterator[StreamEvent]]:
        """See `ClaudeClient.stream`; a call that would warm a cache that is not there fails without
        having been made.
        """
        asked = self._with_what_is_known(call)
        try:
            async with AsyncExitStack() as stack:
                while True:
                    _require_use(asked)
                    try:
                        events = await stack.enter_async_context(self._inner.stream(asked))
                        break
                    except UpstreamError as error:
                        asked = self._without_the_refused(asked, error)
                yield events
        except UpstreamError as error:
            error.attempts += asked.attempt - call.attempt
            raise

    def _with_what_is_known(self, call: Call) -> Call:
        refused = self._refused.get(call.model)
        return call if refused is None else replace(call, without=call.without | refused)

    def _without_the_refused(self, asked: Call, error: UpstreamError) -> Call:
        # Each round leaves out something more, so the rounds end.
        refused = error.refused_features - asked.without
        if not refused:
            raise error
        known = self._refused.get(asked.model, frozenset[Feature]())
        for feature in sorted(refused - known):
            self._log.warning("feature_switched_off", model=asked.model, feature=feature)
        self._refused[asked.model] = known | refused
        return replace(asked, without=asked.without | refused, attempt=asked.attempt + 1)


def _require_use(call: Call) -> None:
    if call.max_tokens > 0:
        return
    cached = capabilities_of(call.model).min_cached_tokens is not None
    if not cached or not call.without.isdisjoint(_NEEDED_TO_WARM):
        refused = call.without & _NEEDED_TO_WARM
        raise UpstreamError(UpstreamFault.REJECTED, refused_features=refused)
