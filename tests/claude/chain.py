"""The client chain as the service builds it, in front of an upstream of the test's own."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from dumb_upstream import DumbUpstream
from orchestrator_worker.app import claude_chain
from orchestrator_worker.claude.anthropic_client import AnthropicClient
from orchestrator_worker.claude.client import (
    Call,
    CallOrigin,
    ClaudeClient,
    Message,
    StreamEvent,
    TextDelta,
)
from orchestrator_worker.claude.ledger import AttemptRecord, Role, RunLedger
from orchestrator_worker.claude.retry import RetryPolicy
from orchestrator_worker.clock import loop_time


@dataclass
class Chain:
    """A chain and what it has written down."""

    client: ClaudeClient
    ledger: RunLedger = field(default_factory=RunLedger)
    """One that sees every call; each call has one of its own besides."""

    @property
    def attempts(self) -> list[AttemptRecord]:
        return self.ledger.attempts

    async def events(self, asked: Call) -> list[StreamEvent]:
        async with self.client.stream(asked) as events:
            return [event async for event in events]

    async def text(self, asked: Call) -> str:
        events = await self.events(asked)
        return "".join(event.text for event in events if isinstance(event, TextDelta))


@asynccontextmanager
async def chain_before(upstream: DumbUpstream) -> AsyncGenerator[Chain]:
    client = AnthropicClient(api_key="k", base_url=upstream.url)
    ledger = RunLedger()
    try:
        yield Chain(claude_chain(client, ledger, RetryPolicy(backoff_seconds=0)), ledger)
    finally:
        await client.close()


def call(role: Role = "worker", purpose: str | None = None, **fields: Any) -> Call:
    """A call of the plainest kind, but for `fields`."""
    asked: dict[str, Any] = {
        "model": "claude-haiku-5-5",
        "max_tokens": 500,
        "messages": (Message("user", ("the shared part", "the subtask")),),
        "origin": CallOrigin("run", "req", "tester", role, purpose=purpose),
        "ledger": RunLedger(),
        "deadline": loop_time() + 60,
        "idle_seconds": 5.0,
        **fields,
    }
    return Call(**asked)
