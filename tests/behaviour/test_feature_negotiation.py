"""A server that takes less than the API does is served all the same, and its words stay with us."""

import json

import httpx2

from chat import answer_of, ask
from dumb_upstream import DumbUpstream, Reply, Status
from running_service import RunningService


async def test_a_refused_field_costs_one_call_once_and_the_caller_sees_nothing_of_it(
    http: httpx2.AsyncClient, service: RunningService, upstream: DumbUpstream
) -> None:
    message = "tools.0.custom.eager_input_streaming: canary-of-the-prompt"
    refused = Status(400, "invalid_request_error", message=message)
    upstream.answer("lead", refused, Reply(text="right"))
    for _ in range(2):
        assert answer_of(await ask(http)) == "right"
    carried = ["eager_input_streaming" in asked.body["tools"][0] for asked in upstream.calls]
    assert carried == [True, False, False]
    assert upstream.calls[1].last_text == upstream.calls[0].last_text
    (event,) = service.events("feature_switched_off")
    assert event["feature"] == "eager_input_streaming"
    assert event["model"] == upstream.calls[0].body["model"]
    assert event["level"] == "warning"
    attempts = service.events("upstream_attempt")
    assert [(a["attempt"], a["outcome"], a["reason"]) for a in attempts] == [
        (1, "failed", "rejected"),
        (2, "succeeded", None),
        (1, "succeeded", None),
    ]
    assert attempts[0]["cost_usd"] == 0
    await service.logged("request_finished", 2)
    assert "canary" not in json.dumps(service.logs)
