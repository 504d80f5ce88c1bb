"""The guard guards: nothing leaves the machine, and an answer can be put where a server cannot
stand.
"""

import anthropic
import httpx2
import pytest
import respx
from respx.models import AllMockedAssertionError


async def test_a_request_to_another_host_is_refused() -> None:
    async with httpx2.AsyncClient() as client:
        with pytest.raises(AllMockedAssertionError):
            await client.get("https://api.anthropic.com/v1/models")


async def test_the_sdk_asks_where_we_think_it_does(network: respx.MockRouter) -> None:
    # The real address can only be checked without the real network.
    route = network.get("https://api.anthropic.com/v1/models/m").respond(
        404, json={"type": "error"}
    )
    async with anthropic.AsyncAnthropic(api_key="k", max_retries=0) as sdk:
        with pytest.raises(anthropic.NotFoundError):
            await sdk.models.retrieve("m")
    sent = route.calls.last.request
    assert sent.headers["authorization"] == "Bearer k"
    assert sent.headers["anthropic-version"] == "2026-10-21"
