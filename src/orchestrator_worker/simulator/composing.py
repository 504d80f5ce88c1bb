"""From what the model says to what is counted and sent: blocks cut into tokens, limits applied,
usage.

Sits between `answers`/`replies`, which decide what is said, and `sending`, which puts it on the
wire in time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from orchestrator_worker.simulator.jsons import JsonObject, as_object
from orchestrator_worker.simulator.models import Model
from orchestrator_worker.simulator.replies import Reply, ToolCall
from orchestrator_worker.simulator.thinking_rules import THOUGHTFUL_ID, Signer
from orchestrator_worker.simulator.tokens import pieces

THOUGHT = ("thinking", "redacted_thinking")
THINKING_TOKENS = {"low": 8, "medium": 16, "high": 32, "xhigh": 64, "max": 128}
"""Length of the simulator's thinking at each effort."""
REFUSAL = "This request was declined by a simulated safety classifier."
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

    def end(self, stop_reason: str, category: str | None = None) -> None:
        """Set why it ends; a refusal has details."""
        self.stop_reason = stop_reason
        if stop_reason == "refusal":
            details = {"type": "refusal", "category": category, "explanation": REFUSAL}
            self.stop_details = details

    def cut(self, tokens: int, stop_reason: str, category: str | None = None) -> None:
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
        self.stop_sequence = None
        self.end(stop_reason, category)


def compose(reply: Reply, body: JsonObject, signer: Signer, id_seed: str, room: int) -> Composed:
    """Cut a reply into blocks and tokens and apply the limits of the request.

    Args:
        reply: What is said.
        body: The checked request.
        signer: Signs its thinking, and knows the model that says it.
        id_seed: Makes the ids of tool calls unique.
        room: Tokens that the context has left for the reply.
    """
    if body.get("max_tokens") == 0:
        return Composed(stop_reason="max_tokens", bare=True)
    calls = reply.tools[: 1 if _one_call(body) else None]
    composed = Composed(stop_reason="tool_use" if calls else "end_turn")
    thinking = _thinking_block(reply, body, signer)
    if thinking:
        composed.blocks.append(thinking)
    said = list(reply.text_pieces) or pieces(reply.text, None if calls else reply.tokens)
    _add_text(composed, said, body)
    if composed.stop_sequence is None:
        mark = THOUGHTFUL_ID if thinking else ""
        composed.blocks += [
            _tool_block(call, f"toolu_{id_seed}{number:02d}{mark}", reply.tokens)
            for number, call in enumerate(calls)
        ]
        _add_text(composed, pieces(reply.text_after), body)
    if reply.stop_reason:
        composed.end(reply.stop_reason, reply.category)
    if composed.ticks > min(body["max_tokens"], room):
        full = room < body["max_tokens"]
        composed.cut(
            min(body["max_tokens"], room),
            "model_context_window_exceeded" if full else "max_tokens",
        )
    return composed


def _one_call(body: JsonObject) -> bool:
    return bool((as_object(body.get("tool_choice")) or {}).get("disable_parallel_tool_use"))


def _add_text(composed: Composed, said: list[str], body: JsonObject) -> None:
    """Add a text in the pieces it comes in, up to a stop sequence."""
    text, found = _stopped("".join(said), body.get("stop_sequences") or ())
    if found is not None:
        composed.stop_reason, composed.stop_sequence = "stop_sequence", found
        said = _first_of(said, len(text))
    if text:
        composed.blocks.append(Block({"type": "text", "text": ""}, "text_delta", said))


def _first_of(said: list[str], length: int) -> list[str]:
    """The pieces of that many first characters."""
    kept: list[str] = []
    for piece in said:
        if length <= 0:
            break
        kept.append(piece[:length])
        length -= len(piece)
    return kept


def _stopped(text: str, sequences: list[str] | tuple[()]) -> tuple[str, str | None]:
    """The text before the first stop sequence in it, and that sequence."""
    hits = [(text.find(sequence), sequence) for sequence in sequences if sequence in text]
    if not hits:
        return text, None
    position, sequence = min(hits)
    return text[:position], sequence


def _tool_block(call: ToolCall, id: str, count: int | None) -> Block:
    start: JsonObject = {"type": "tool_use", "id": call.id or id, "name": call.name, "input": {}}
    return Block(start, "input_json_delta", list(call.input_pieces) or _input_pieces(call, count))


def _input_pieces(call: ToolCall, count: int | None) -> list[str]:
    if isinstance(call.input, str):
        return pieces(call.input, count)
    # The API shows an empty input by an empty delta alone.
    return pieces(orjson.dumps(call.input).decode(), count) if call.input or count else []


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
