"""Puts the service together: the only place that picks concrete classes. The lifespan owns what
lives long.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI
from sse_starlette.sse import AppStatus

from orchestrator_worker.api.application import build_application
from orchestrator_worker.api.deps import Resources
from orchestrator_worker.api.idempotency import IdempotentAnswers
from orchestrator_worker.auth.signing import token_signer
from orchestrator_worker.claude.anthropic_client import AnthropicClient, ModelStatus
from orchestrator_worker.claude.client import ClaudeClient
from orchestrator_worker.claude.ledger import Ledger, LogLedger
from orchestrator_worker.claude.metering import MeteredClient
from orchestrator_worker.claude.negotiation import NegotiatingClient
from orchestrator_worker.claude.retry import RetryingClient, RetryPolicy
from orchestrator_worker.claude.tracing import TracedClient
from orchestrator_worker.clock import unix_seconds
from orchestrator_worker.config import Settings
from orchestrator_worker.errors import ConfigurationError, UpstreamError
from orchestrator_worker.orchestration.orchestrator import Orchestrator
from orchestrator_worker.simulator.server import EmbeddedSimulator
from orchestrator_worker.teams.catalog import TeamCatalog

MODEL_CHECK_SECONDS = 5.0
_log = structlog.stdlib.get_logger("orchestrator_worker.app")


def create_app(settings: Settings, retry: RetryPolicy | None = None) -> FastAPI:
    """Return the service for these settings.

    Raises:
        ConfigurationError: the teams or the token secret are not usable.
    """
    catalog = TeamCatalog(settings)
    signer = token_signer(settings)
    policy = retry or retry_policy(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        # Streams end by themselves within the server's grace; sse-starlette would cut them at
        # SIGTERM.
        AppStatus.disable_automatic_graceful_drain()
        async with open_upstream(settings) as upstream:
            claude = claude_chain(upstream, LogLedger(), policy)
            resources = Resources(
                orchestrator=Orchestrator(claude, settings.run.max_workers_per_process),
                catalog=catalog,
                tokens=signer,
                upstream=upstream,
                answers=IdempotentAnswers(),
                started_at=unix_seconds(),
            )
            yield {"resources": resources}

    return build_application(settings, lifespan)


def retry_policy(settings: Settings) -> RetryPolicy:
    """Return how often and how patiently calls are tried again."""
    return RetryPolicy(
        max_attempts=settings.retry.max_attempts,
        backoff_seconds=settings.retry.multiplier_seconds,
        max_backoff_seconds=settings.retry.max_pause_seconds,
    )


def claude_chain(client: ClaudeClient, ledger: Ledger, retry: RetryPolicy) -> ClaudeClient:
    """Return the client inside its wrappers, one concern each.

    Retry stands outermost, so that all inside it see single attempts: every attempt is metered and
    carries its own number upstream. Negotiation stands right inside it: a call repeated without a
    refused field is no retry and draws on no retry budget, but it is an attempt for all that count
    them. The breaker, the concurrency limit and the budget belong between negotiation and
    metering, in this order: no slot is held while retry sleeps, and no money is reserved while
    waiting for a slot.
    """
    return RetryingClient(NegotiatingClient(MeteredClient(TracedClient(client), ledger)), retry)


@asynccontextmanager
async def open_upstream(settings: Settings) -> AsyncGenerator[AnthropicClient]:
    """Reach Claude as the settings say; without key and address, a simulator that lives as long."""
    base_url = settings.claude.base_url
    async with AsyncExitStack() as stack:
        if settings.simulated:
            simulator = await stack.enter_async_context(EmbeddedSimulator())
            base_url = simulator.url
            _log.warning("simulated", reason="ANTHROPIC_API_KEY is not set", upstream=base_url)
        client = _new_client(settings, base_url)
        stack.push_async_callback(client.close)
        yield client


def _new_client(settings: Settings, base_url: str | None) -> AnthropicClient:
    key = settings.claude.api_key
    return AnthropicClient(
        api_key=key.get_secret_value() if key else "none",
        base_url=base_url,
        trust_proxies=not settings.simulated,
    )


async def check_models(settings: Settings) -> None:
    """Ask the upstream about the teams' models: warn about one that is about to go.

    Best effort: a server without a models endpoint, or none at all, is no reason not to start.

    Raises:
        ConfigurationError: a model is retired, so that every request would fail.
    """
    if settings.simulated:
        return
    teams = TeamCatalog(settings).teams.values()
    models = {model for team in teams for model in team.models}
    client = _new_client(settings, settings.claude.base_url)
    try:
        async with asyncio.timeout(MODEL_CHECK_SECONDS):
            for model in sorted(models):
                _judge(await client.model_status(model))
    except (UpstreamError, TimeoutError) as error:
        _log.warning("models_not_checked", reason=type(error).__name__)
    finally:
        await client.close()


def _judge(status: ModelStatus) -> None:
    if status.lifecycle == "retired":
        raise ConfigurationError(f"the model {status.model!r} is retired; configure another")
    if status.lifecycle == "deprecated":
        _log.warning("model_deprecated", model=status.model, retires_at=status.retires_at)
    if status.lifecycle == "unknown":
        _log.warning("model_not_known_upstream", model=status.model)
