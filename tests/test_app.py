"""What the service finds out about its models before it starts."""

import pytest
from structlog.testing import capture_logs

from dumb_upstream import DumbUpstream
from orchestrator_worker.app import check_models
from orchestrator_worker.errors import ConfigurationError
from running_service import settings_from

LEAD = "claude-sonnet-5-5"


def described(lifecycle: str) -> dict[str, str | None]:
    return {"id": LEAD, "type": "model", "lifecycle": lifecycle, "retires_at": "2026-11-30"}


async def check(upstream: DumbUpstream) -> list[str]:
    settings = settings_from(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=upstream.url)
    with capture_logs() as logs:
        await check_models(settings)
    return [event["event"] for event in logs]


async def test_a_retired_model_stops_the_start(upstream: DumbUpstream) -> None:
    upstream.models = {LEAD: described("retired")}
    with pytest.raises(ConfigurationError, match=f"{LEAD!r} is retired"):
        await check(upstream)


async def test_a_deprecated_one_is_warned_about(upstream: DumbUpstream) -> None:
    upstream.models = {LEAD: described("deprecated")}
    assert "model_deprecated" in await check(upstream)


@pytest.mark.parametrize(
    ("status", "told"), [(404, ["model_not_known_upstream"] * 2), (500, ["models_not_checked"])]
)
async def test_a_server_that_does_not_know_is_no_reason_not_to_start(
    upstream: DumbUpstream, status: int, told: list[str]
) -> None:
    upstream.models_status = status
    assert await check(upstream) == told


async def test_the_simulator_is_not_asked() -> None:
    with capture_logs() as logs:
        await check_models(settings_from())
    assert logs == []
