"""What goes through the prompt cache: what the workers of a run have in common, written once, and
prompts that come again and again.

All workers begin with the same blocks: their role and the caller's conversation. A cache entry
exists only once the first response on it has begun, so workers sent together would each pay for
writing it. Somebody goes first: the warm-up, a call without an answer that leaves when the lead
opens its plan and is mostly back before the first subtask closes; or, where there is no warm-up,
the first worker. Whoever comes meanwhile waits, but not for long: time is worth more than tokens.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cached_property

import structlog

from orchestrator_worker.claude.capabilities import capabilities_of
from orchestrator_worker.claude.client import Call, ClaudeClient, MessageStarted
from orchestrator_worker.claude.tokens import estimate_tokens
from orchestrator_worker.clock import loop_time
from orchestrator_worker.errors import UpstreamError
from orchestrator_worker.orchestration.run import Run

MAX_WAIT_SECONDS = 0.3
"""How long a worker that is ready waits for the entry of a short prefix."""
WORTH_A_SECOND = 100_000
"""Tokens of a prefix for which it waits a second longer: of a long one, reading costs a tenth."""
CACHE_SECONDS = 300.0
"""How long an entry lives after it was last read (Anthropic's five-minute cache)."""
MAX_RECENT = 1000
_log = structlog.stdlib.get_logger(__name__)


class SharedPrefix:
    """One run's cache entry: whether it pays, who writes it, and whether it is there."""

    def __init__(self, claude: ClaudeClient, run: Run, tasks: asyncio.TaskGroup) -> None:
        self._claude = claude
        self._run = run
        self._tasks = tasks
        self._warming: asyncio.Task[None] | None = None
        self._written = False
        self._writing = False
        self._refused = False
        """True when the server takes no cache breakpoints, so that nothing is worth a wait."""
        self._news = asyncio.Event()
        self._alone = run.request.team.caps.max_workers < 2

    def plan_opened(self) -> None:
        """Begin to write the entry: the lead has begun a plan."""
        if self._pays and not self._alone and self._warming is None:
            self._writing = True
            self._warming = self._tasks.create_task(self._warm(), name="warm-up")

    def plan_known(self, subtasks: int) -> None:
        """Note how many workers there will be, where that is known before the first is sent."""
        self._alone = self._alone or subtasks < 2

    def close(self) -> None:
        """Let go of a warm-up that nobody waits for any more."""
        if self._warming is not None:
            self._warming.cancel()

    @asynccontextmanager
    async def admitted(self, call: Call) -> AsyncGenerator[Call]:
        """Yield a worker's call as it should be made, when it should be made."""
        if self._alone or call.model != self._run.request.team.worker.model or not self._pays:
            yield call
            return
        writes = await self._waits_or_writes()
        try:
            yield replace(call, shared_prefix=True)
        finally:
            if writes and not self._written:
                self._give_up_writing()

    def begun(self, call: Call) -> None:
        """Note that the answer to a call has begun, and with it the entry."""
        if call.shared_prefix and not self._written:
            self._written = True
            self._announce()

    @cached_property
    def _pays(self) -> bool:
        team = self._run.request.team
        least = capabilities_of(team.worker.model).min_cached_tokens
        if least is None or not team.prompt_cache:
            return False
        own = estimate_tokens(team.worker.system.text)
        return own + self._run.conversation.estimated_tokens >= least

    async def _waits_or_writes(self) -> bool:
        """Return True when this caller is the one to write the entry."""
        tokens = self._run.conversation.estimated_tokens
        patience = loop_time() + MAX_WAIT_SECONDS + tokens / WORTH_A_SECOND
        while not self._written and not self._refused:
            if not self._writing:
                self._writing = True
                return True
            try:
                async with asyncio.timeout_at(patience):
                    await self._news.wait()
            except TimeoutError:
                return False
        return False

    async def _warm(self) -> None:
        call = self._warm_up_call()
        try:
            async with self._claude.stream(call) as events:
                async for event in events:
                    if isinstance(event, MessageStarted):
                        self.begun(call)
        except UpstreamError as error:
            _log.info("warm_up_failed", reason=error.fault.value)
            self._refused = "cache_control" in error.refused_features
        if not self._written:
            self._give_up_writing()

    def _give_up_writing(self) -> None:
        self._writing = False
        self._announce()

    def _announce(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _warm_up_call(self) -> Call:
        run, worker = self._run, self._run.request.team.worker
        conversation = run.conversation
        return Call(
            model=worker.model,
            max_tokens=0,
            effort=worker.effort,
            system=conversation.system_after(worker.system.text),
            messages=conversation.messages,
            origin=run.origin("worker", purpose="warm-up"),
            ledger=run.ledger,
            idle_seconds=run.request.team.deadlines.idle_seconds,
            deadline=loop_time(),  # a warm-up that has to be tried again comes too late
            shared_prefix=True,
        )


class RecentPrompts:
    """Which roles' own prompts this process has sent lately.

    One that is used again within the cache's life is worth an entry, from its second use on: a
    service that is asked now and then pays for no entry that nobody reads.
    """

    def __init__(self) -> None:
        self._used: OrderedDict[bytes, float] = OrderedDict()

    def again(self, model: str, prompt: str, tools: bytes = b"") -> bool:
        """Note a use; returns whether there was one lately. No prompt is never worth an entry."""
        if not prompt:
            return False
        now = loop_time()
        # Tools are the caller's, and may be as long as a request.
        key = hashlib.sha256(b"\0".join((model.encode(), prompt.encode(), tools))).digest()
        last = self._used.pop(key, None)
        self._used[key] = now
        if len(self._used) > MAX_RECENT:
            self._used.popitem(last=False)
        return last is not None and now - last < CACHE_SECONDS
