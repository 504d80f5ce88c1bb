"""From what the model says to what is counted and sent: blocks cut into tokens, limits applied,
usage.

Sits between `answers`/`script`, which decide what is said, and `sending`, which puts it on the
wire in time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from orchestrator_worker.simulator.jsons import JsonObject, as_object
from orchestrator_worker.simulator.models import Model
from orchestrator_worker.simulator.script import Reply, ToolCall
from orchestrator_worker.simulator.thinking_rules import THOUGHTFUL_ID, Signer
from orchestrator_worker.simulator.tokens import pieces

THOUGHT = ("thinking", "redacted_thinking")
THINKING_TOKENS = {"low": 8, "medium": 16, "high": 32, "xhigh": 64, "max": 128}
"""Length of the simulator's thinking at each effort."""
_THOUGHT = "Let me look at what is asked and at what the conversation already says about it. "


@dataclass(slots=True)
class Block:
    """One content block, cut into the tokens it is made of."""

    start: JsonObject
    """The block as `content_block_start` shows it."""
    delta_type: str
    pieces: list[str]
    silent: bool = False
    """Its tokens take time and are counted, and no delta shows them."""
    sign: Callable[[str], str] | None = None
    """Signs what is shown of it."""

    @property
    def shown(self) -> str:
        """The text that the caller gets to see."""
        return "" if self.silent else "".join(self.pieces)

    @property
    def signature(self) -> str:
        """The signature of a thinking block, else an empty string."""
        return self.sign(self.shown) if self.sign else ""

    def finished(self) -> JsonObject:
        """The block as a complete message shows it."""
        text = self.shown
        kind = self.start["type"]
        if kind == "tool_use":
            return {**self.start, "input": _parsed(text)}
        if kind == "redacted_thinking":
            return self.start
        if kind == "thinking":
            return {**self.start, "thinking": text, "signature": self.signature}
        return {**self.start, "text": text}


def _parsed(text: str) -> JsonObject:
    """The input of a tool call, empty when `max_tokens` cut it."""
    try:
        return as_object(orjson.loads(text)) or {}
    except orjson.JSONDecodeError:
        return {}


@dataclass(slots=True)
class Composed:
    """A reply ready to be sent."""

    blocks: list[Block] = field(default_factory=list[Block])
    stop_reason: str = "end_turn"
    stop_sequence: str | None = None
    stop_details: JsonObject | None = None
    bare: bool = False
    """No token is counted: a pre-warm."""

    @property
    def ticks(self) -> int:
        """Tokens that take time."""
        return sum(len(block.pieces) for block in self.blocks)

    @property
    def output_tokens(self) -> int:
        """Tokens that are billed. Even an empty reply costs its end."""
        return 0 if self.bare else max(1, self.ticks)

    @property
    def thinking_tokens(self) -> int:
        """Those of them spent on thinking."""
        return sum(len(b.pieces) for b in self.blocks if b.start["type"] in THOUGHT)

    def cut(self, tokens: int, stop_reason: str) -> None:
        """Keep that many tokens. Blocks that had not begun are dropped."""
        left = tokens
        kept: list[Block] = []
        for block in self.blocks:
            if left <= 0:
                break
            block.pieces = block.pieces[:left]
            left -= len(block.pieces)
            kept.append(block)
        self.blocks = kept
        self.stop_reason = stop_reason
        self.stop_sequence = None


def compose(reply: Reply, body: JsonObject, signer: Signer, id_seed: str) -> Composed:
    """Cut a reply into blocks and tokens and apply the limits of the request.

    Args:
        reply: What is said.
        body: The checked request.
        signer: Signs its thinking, and knows the model that says it.
        id_seed: Makes the ids of tool calls unique.
    """
    if body.get("max_tokens") == 0:
        return Composed(stop_reason="max_tokens", bare=True)
    composed = Composed(stop_reason="tool_use" if reply.tools else "end_turn")
    thinking = _thinking_block(reply, body, signer)
    if thinking:
        composed.blocks.append(thinking)
    _add_text(composed, reply, body)
    if composed.stop_sequence is None:
        mark = THOUGHTFUL_ID if thinking else ""
        composed.blocks += [
            _tool_block(call, f"toolu_{id_seed}{number:02d}{mark}", reply.tokens)
            for number, call in enumerate(reply.tools)
        ]
    if reply.stop_reason:
        composed.stop_reason = reply.stop_reason
    if composed.ticks > body["max_tokens"]:
        composed.cut(body["max_tokens"], "max_tokens")
    return composed


def _add_text(composed: Composed, reply: Reply, body: JsonObject) -> None:
    text, found = _stopped(reply.text, body.get("stop_sequences") or ())
    if found is not None:
        composed.stop_reason, composed.stop_sequence = "stop_sequence", found
    if text:
        count = None if reply.tools or found is not None else reply.tokens
        start = {"type": "text", "text": ""}
        composed.blocks.append(Block(start, "text_delta", pieces(text, count)))


def _stopped(text: str, sequences: list[str] | tuple[()]) -> tuple[str, str | None]:
    """The text before the first stop sequence in it, and that sequence."""
    hits = [(text.find(sequence), sequence) for sequence in sequences if sequence in text]
    if not hits:
        return text, None
    position, sequence = min(hits)
    return text[:position], sequence


def _tool_block(call: ToolCall, id: str, count: int | None) -> Block:
    raw = call.input if isinstance(call.input, str) else orjson.dumps(call.input).decode()
    start: JsonObject = {"type": "tool_use", "id": id, "name": call.name, "input": {}}
    return Block(start, "input_json_delta", pieces(raw, count))


def _thinking_block(reply: Reply, body: JsonObject, signer: Signer) -> Block | None:
    thinking, model = as_object(body.get("thinking")), signer.model
    count = reply.thinking_tokens
    if count is None:
        count = _default_thinking(body, model) if model.thinks(thinking) else 0
    if not count:
        return None
    thought = pieces((_THOUGHT * (count * 4 // len(_THOUGHT) + 1))[: count * 4], count)
    if reply.redacted_thinking:
        start = {"type": "redacted_thinking", "data": signer.sign("")}
        return Block(start, "thinking_delta", thought, silent=True)
    display = (thinking or {}).get("display") or (
        "summarized" if model.summarized_by_default else "omitted"
    )
    start = {"type": "thinking", "thinking": "", "signature": ""}
    silent = display == "omitted"
    return Block(start, "thinking_delta", thought, silent=silent, sign=signer.sign)


def _default_thinking(body: JsonObject, model: Model) -> int:
    effort = (as_object(body.get("output_config")) or {}).get("effort") or model.default_effort
    return THINKING_TOKENS[effort]
