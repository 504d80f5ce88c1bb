"""One call for a message, from the checked request to the last byte.

Sits below `app`. Decides nothing about content: `script` and `answers` say what is said,
`composing` counts it, `sending` paces it, `record` keeps it.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from orchestrator_worker.simulator.answers import answer
from orchestrator_worker.simulator.composing import Composed, compose
from orchestrator_worker.simulator.errors import ApiError
from orchestrator_worker.simulator.exchange import Exchange
from orchestrator_worker.simulator.faults import Fault
from orchestrator_worker.simulator.framing import frames
from orchestrator_worker.simulator.jsons import JsonObject
from orchestrator_worker.simulator.models import Model
from orchestrator_worker.simulator.record import Call, Record
from orchestrator_worker.simulator.script import Script
from orchestrator_worker.simulator.sending import Sender, for_ever
from orchestrator_worker.simulator.usage import (
    CacheAccounting,
    InputUsage,
    delta_usage,
    final_usage,
    start_usage,
)
from orchestrator_worker.simulator.validation import check_create

LIMITS = {
    "requests": 10_000,
    "tokens": 12_000_000,
    "input-tokens": 10_000_000,
    "output-tokens": 2_000_000,
}
"""Rate limits per minute that the headers show. They are never reached."""
REFUSAL = "This request was declined by a simulated safety classifier."


class MessageCalls:
    """Answers calls for messages."""

    def __init__(
        self,
        record: Record,
        cache: CacheAccounting,
        script: Callable[[], Script],
        next_id: Callable[[], str],
    ) -> None:
        self._record = record
        self._cache = cache
        self._script = script
        self._next_id = next_id

    async def serve(self, exchange: Exchange, call: Call, body: JsonObject) -> None:
        """Answer one request.

        Raises:
            ApiError: What the API would refuse.
        """
        self._record.enter(call)
        script = self._script()
        version = exchange.headers["anthropic-version"]
        model = check_create(body, version=version, refuse=script.refuse)
        fault = script.fault_for(body)
        call.fault = fault and fault.kind
        if fault and fault.kind == "status":
            await self._fail(exchange, call, fault)
            return
        call.status = 200
        work = self._answer(exchange, call, model, body, fault)
        if not await exchange.unless_left(work):
            self._record.close(call, "client_left")

    async def _fail(self, exchange: Exchange, call: Call, fault: Fault) -> None:
        call.status = fault.status
        call.touched()
        headers = limit_headers(self._record.in_flight)
        if fault.retry_after is not None:
            headers.append(("retry-after", f"{fault.retry_after:g}"))
        self._record.close(call, "fault")
        await exchange.refuse(ApiError(fault.status, fault.message, fault.error_type), headers)

    def _end(self, call: Call) -> None:
        """Close the record before the last byte: whoever has that finds the record complete."""
        self._record.close(call, "fault" if call.fault else "completed")

    async def _answer(
        self, exchange: Exchange, call: Call, model: Model, body: JsonObject, fault: Fault | None
    ) -> None:
        script = self._script()
        reply = script.reply_for(body) or answer(body)
        latency = reply.latency or script.latency_for(model.id)
        headers = limit_headers(self._record.in_flight)
        sender = Sender(exchange, latency, headers, begin=call.touched, end=lambda: self._end(call))
        if fault and fault.kind == "hang":
            await for_ever()
        elif fault and fault.kind == "html":
            await sender.html()
        else:
            composed = compose(reply, body, model, self._next_id())
            await self._send(sender, call, model, body, composed, fault)

    async def _send(
        self,
        sender: Sender,
        call: Call,
        model: Model,
        body: JsonObject,
        composed: Composed,
        fault: Fault | None,
    ) -> None:
        fault = apply_to_content(fault, composed)
        spent = self._cache.charge(body, model)
        call.stop_reason = composed.stop_reason
        call.usage = final_usage(spent, composed)
        message = self._begun(model, spent)
        if body.get("stream"):
            usage = delta_usage(spent, composed)
            await sender.stream(list(frames(message, composed, usage)), fault)
        else:
            message |= _ended(composed, call.usage)
            await sender.whole(message, composed.ticks, fault)

    def _begun(self, model: Model, spent: InputUsage) -> JsonObject:
        return {
            "id": f"msg_{self._next_id()}",
            "type": "message",
            "role": "assistant",
            "model": model.id,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "usage": start_usage(spent),
        }


def _ended(composed: Composed, usage: JsonObject) -> JsonObject:
    return {
        "content": [block.finished() for block in composed.blocks],
        "stop_reason": composed.stop_reason,
        "stop_sequence": composed.stop_sequence,
        "stop_details": composed.stop_details,
        "usage": usage,
    }


def apply_to_content(fault: Fault | None, composed: Composed) -> Fault | None:
    """Carry out a fault of content.

    Returns:
        The fault when it is one of transport, which is left to `sending`.
    """
    if fault is None:
        return None
    if fault.kind == "empty":
        composed.cut(0, "end_turn")
    elif fault.kind == "refusal":
        composed.cut(fault.after_deltas, "refusal")
        details = {"type": "refusal", "category": fault.category, "explanation": REFUSAL}
        composed.stop_details = details
    elif fault.kind == "max_tokens":
        composed.cut(fault.after_deltas or composed.ticks // 2, "max_tokens")
    else:
        return fault
    return None


def limit_headers(in_flight: int) -> list[tuple[str, str]]:
    """The rate-limit headers of a response."""
    reset = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = [("anthropic-organization-id", "org_simulated")]
    for name, limit in LIMITS.items():
        used = in_flight if name == "requests" else 0
        prefix = f"anthropic-ratelimit-{name}"
        headers += [
            (f"{prefix}-limit", str(limit)),
            (f"{prefix}-remaining", str(limit - used)),
            (f"{prefix}-reset", reset),
        ]
    return headers
