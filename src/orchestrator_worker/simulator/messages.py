"""One call for a message, from the checked request to the last byte.

Sits below `app`. Decides nothing about content: `script` and `answers` say what is said,
`composing` counts it, `sending` paces it, `record` keeps it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator_worker.simulator.answers import answer
from orchestrator_worker.simulator.composing import Composed, compose
from orchestrator_worker.simulator.errors import ApiError
from orchestrator_worker.simulator.exchange import Exchange
from orchestrator_worker.simulator.faults import Fault
from orchestrator_worker.simulator.framing import frames
from orchestrator_worker.simulator.jsons import JsonObject
from orchestrator_worker.simulator.models import Model, find_model
from orchestrator_worker.simulator.prompt import Prompt
from orchestrator_worker.simulator.rate_limits import ORGANIZATION, Header, RateLimits
from orchestrator_worker.simulator.record import Call, Record
from orchestrator_worker.simulator.replies import Reply
from orchestrator_worker.simulator.script import Script
from orchestrator_worker.simulator.sending import Sender, Steps, for_ever
from orchestrator_worker.simulator.thinking_rules import Signer, check_thinking
from orchestrator_worker.simulator.usage import (
    CacheAccounting,
    Charge,
    InputUsage,
    delta_usage,
    final_usage,
    start_usage,
)
from orchestrator_worker.simulator.validation import check_create, check_length


@dataclass(frozen=True, slots=True)
class _Turn:
    """A call that has been let in."""

    exchange: Exchange
    call: Call
    body: JsonObject
    account: str
    script: Script
    model: Model
    prompt: Prompt
    charge: Charge
    reply: Reply | None
    fault: Fault | None


class MessageCalls:
    """Answers calls for messages."""

    def __init__(
        self,
        record: Record,
        cache: CacheAccounting,
        limits: RateLimits,
        script: Callable[[], Script],
        next_id: Callable[[], str],
    ) -> None:
        self._record = record
        self._cache = cache
        self._limits = limits
        self._script = script
        self._next_id = next_id

    async def serve(self, exchange: Exchange, call: Call, body: JsonObject, account: str) -> None:
        """Answer one request.

        Raises:
            ApiError: What the API would refuse.
        """
        self._record.enter(call)
        try:
            turn = self._let_in(exchange, call, body, account)
        except ApiError as error:
            error.headers += tuple(self._shown_limits(body, account))
            raise
        call.fault = turn.fault and turn.fault.kind
        if turn.fault and turn.fault.kind in ("status", "plain_error"):
            await self._fail(turn, turn.fault)
            return
        call.status = 200
        if not await exchange.unless_left(self._answer(turn)):
            self._record.close(call, "client_left")

    def _let_in(self, exchange: Exchange, call: Call, body: JsonObject, account: str) -> _Turn:
        script = self._script()
        version = exchange.headers["anthropic-version"]
        model = check_create(body, version=version, refuse=script.refuse)
        prompt = Prompt(body)
        check_thinking(body, model, account, prompt)
        check_length(prompt.tokens, script.context_of(model))
        reply = script.reply_for(body, exchange.headers)
        fault = script.fault_for(body, exchange.headers)
        charge = self._cache.charge(prompt, model, account)
        self._limits.admit(account, model, charge.usage.processed)
        return _Turn(exchange, call, body, account, script, model, prompt, charge, reply, fault)

    def _shown_limits(self, body: JsonObject, account: str) -> list[Header]:
        model = find_model(str(body.get("model")))
        return self._limits.headers(account, model) if model else [ORGANIZATION]

    async def _fail(self, turn: _Turn, fault: Fault) -> None:
        turn.call.status = fault.status
        turn.call.touched()
        headers = self._limits.headers(turn.account, turn.model)
        if fault.retry_after is not None:
            headers.append(("retry-after", f"{fault.retry_after:g}"))
        self._record.close(turn.call, "fault")
        if fault.kind == "plain_error":
            await turn.exchange.start(fault.status, "text/html", headers)
            await turn.exchange.finish(f"<html><h1>{fault.message}</h1></html>".encode())
        else:
            error = ApiError(fault.status, fault.message, fault.error_type)
            await turn.exchange.refuse(error, headers)

    def _end(self, call: Call) -> None:
        """Close the record before the last byte: whoever has that finds the record complete."""
        self._record.close(call, "fault" if call.fault else "completed")

    async def _answer(self, turn: _Turn) -> None:
        reply = turn.reply or answer(turn.body)
        sender = self._sender(turn, reply)
        if turn.fault and turn.fault.kind == "hang":
            await for_ever()
        elif turn.fault and turn.fault.kind == "html":
            await sender.html()
        else:
            signer = Signer(turn.model, turn.account, turn.prompt)
            room = turn.script.context_of(turn.model) - turn.prompt.tokens
            composed = compose(reply, turn.body, signer, self._next_id(), room)
            await self._send(sender, turn, composed)

    def _sender(self, turn: _Turn, reply: Reply) -> Sender:
        latency = reply.latency or turn.script.latency_for(turn.model.id)
        return Sender(
            turn.exchange,
            latency.with_prompt(turn.charge.usage.processed),
            self._limits.headers(turn.account, turn.model),
            Steps(turn.call.touched, turn.charge.begun, lambda: self._end(turn.call)),
        )

    async def _send(self, sender: Sender, turn: _Turn, composed: Composed) -> None:
        fault = apply_to_content(turn.fault, composed)
        spent = turn.charge.usage
        turn.call.stop_reason = composed.stop_reason
        turn.call.usage = final_usage(spent, composed)
        self._limits.spend_output(turn.account, turn.model, composed.output_tokens)
        message = self._begun(turn.model, spent)
        if turn.body.get("stream"):
            usage = delta_usage(spent, composed)
            await sender.stream(list(frames(message, composed, usage)), fault)
        else:
            message |= _ended(composed, turn.call.usage)
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
        composed.cut(fault.after_deltas, "refusal", fault.category)
    elif fault.kind == "max_tokens":
        composed.cut(fault.after_deltas or composed.ticks // 2, "max_tokens")
    else:
        return fault
    return None
