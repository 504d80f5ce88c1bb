"""A composed reply as server-sent events, each with the tick at which it is due.

Owns the bytes. Ticks count output tokens; `sending` turns them into instants.
"""

from collections.abc import Iterator
from typing import NamedTuple

import orjson

from orchestrator_worker.simulator.composing import Block, Composed
from orchestrator_worker.simulator.faults import Fault
from orchestrator_worker.simulator.jsons import JsonObject

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
GARBAGE = b"event: content_block_delta\ndata: {this is no JSON\n\n"
_PAYLOADS = {
    "text_delta": b'"text":',
    "input_json_delta": b'"partial_json":',
    "thinking_delta": b'"thinking":',
}


class Frame(NamedTuple):
    """Bytes and the number of the token they belong to."""

    tick: int
    data: bytes
    is_delta: bool = False
    """Whether faults count it."""


def event(kind: str, data: JsonObject) -> bytes:
    """One server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **data}))


def frames(message: JsonObject, reply: Composed, usage: JsonObject) -> Iterator[Frame]:
    """All events of a reply.

    Args:
        message: The message as `message_start` shows it.
        reply: What is said.
        usage: The cumulative usage of `message_delta`.
    """
    yield Frame(0, event("message_start", {"message": message}) + PING)
    tick = 0
    for index, block in enumerate(reply.blocks):
        yield from _block_frames(index, block, tick)
        tick += len(block.pieces)
    delta = {
        "stop_reason": reply.stop_reason,
        "stop_sequence": reply.stop_sequence,
        "stop_details": reply.stop_details,
    }
    end = event("message_delta", {"delta": delta, "usage": usage}) + event("message_stop", {})
    yield Frame(tick, end)


def _block_frames(index: int, block: Block, tick: int) -> Iterator[Frame]:
    yield Frame(tick, event("content_block_start", {"index": index, "content_block": block.start}))
    head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":'
    head = head % index + b'{"type":"%b",' % block.delta_type.encode()
    head += _PAYLOADS[block.delta_type]
    if block.delta_type == "input_json_delta":
        yield Frame(tick, head + b'""}}\n\n')
    if not block.silent:
        for number, piece in enumerate(block.pieces):
            yield Frame(tick + number, head + orjson.dumps(piece) + b"}}\n\n", True)
    last = tick + max(0, len(block.pieces) - 1)
    if signature := block.signature:
        delta = {"type": "signature_delta", "signature": signature}
        yield Frame(last, event("content_block_delta", {"index": index, "delta": delta}))
    yield Frame(last, event("content_block_stop", {"index": index}))


def before_fault(whole: list[Frame], fault: Fault) -> list[Frame]:
    """The frames up to the delta after which a stream breaks."""
    left = fault.after_deltas
    for number, frame in enumerate(whole):
        if left <= 0 and number > 0:
            return whole[:number]
        left -= frame.is_delta
    return whole[:-1]


def with_garbage(whole: list[Frame], fault: Fault) -> list[Frame]:
    """The frames with one broken line after some delta."""
    kept = before_fault(whole, fault)
    return [*kept, Frame(kept[-1].tick, GARBAGE), *whole[len(kept) :]]
