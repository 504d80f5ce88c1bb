"""Thinking in the history: it must come back as it was, where it was.

Owns the signature. It names the model that thought and the prompt it thought about, and is bound
to the account and to the words of the thinking, so that a later call can be checked without
anything being remembered. Source: the extended-thinking page of the API documentation.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator_worker.simulator.errors import InvalidRequestError
from orchestrator_worker.simulator.jsons import JsonObject, as_object, objects
from orchestrator_worker.simulator.models import Model
from orchestrator_worker.simulator.prompt import DIGEST_BYTES, Prompt

_KEY = b"simulator"
_THOUGHT = ("thinking", "redacted_thinking")
THOUGHTFUL_ID = "t"
"""Ends the ids of tool calls that came after thinking."""
_THOUGHTFUL_CALL = re.compile(rf"^toolu_01[0-9a-f]{{12}}\d{{10}}{THOUGHTFUL_ID}$")
_MODIFIED = (
    "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified."
    " These blocks must remain as they were in the original response."
)
_OTHER_MODEL = "`thinking` blocks cannot be used with another model than the one that wrote them"
_OTHER_PROMPT = (
    "`thinking` blocks are bound to the conversation that produced them; `system`, `tools` or an"
    " earlier message has been changed"
)


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs what one reply thinks."""

    model: Model
    account: str
    prompt: Prompt

    def sign(self, thinking: str) -> str:
        """The signature of a block with that text."""
        end = len(self.prompt.roles)
        return _signed(self.model.id, self.account, self.prompt.before_turn(end), thinking)


def _signed(model: str, account: str, before: bytes, thinking: str) -> str:
    mac = hashlib.blake2b(key=_KEY, digest_size=DIGEST_BYTES)
    for part in (model.encode(), account.encode(), before, thinking.encode()):
        mac.update(b"%d:" % len(part) + part)
    return base64.b64encode(before + mac.digest() + model.encode()).decode()


def check_thinking(body: JsonObject, model: Model, account: str, prompt: Prompt) -> None:
    """Check every thinking block of a checked request, and that none is gone."""
    for number, message in enumerate(objects(body["messages"])):
        for index, block in enumerate(objects(message["content"])):
            if block.get("type") in _THOUGHT:
                before = prompt.before_turn(number)
                _check_block(block, model, account, before, f"messages.{number}.content.{index}")
    if model.thinks(as_object(body.get("thinking"))):
        _check_none_gone(body)


def _check_block(block: JsonObject, model: Model, account: str, before: bytes, path: str) -> None:
    key = "signature" if block["type"] == "thinking" else "data"
    author, thought_about = _origin(block[key])
    if not author.startswith("claude-"):
        raise InvalidRequestError(f"Invalid `{key}` in `{block['type']}` block", path)
    if block[key] != _signed(author, account, thought_about, block.get("thinking", "")):
        raise InvalidRequestError(_MODIFIED, path)
    if model.thinking_bound and author != model.id:
        raise InvalidRequestError(_OTHER_MODEL, path)
    if model.thinking_bound and thought_about != before:
        raise InvalidRequestError(_OTHER_PROMPT, path)


def _origin(signature: str) -> tuple[str, bytes]:
    """The model that signed and the prompt it had; an empty name when it is no signature."""
    try:
        raw = base64.b64decode(signature, validate=True)
        return raw[2 * DIGEST_BYTES :].decode(), raw[:DIGEST_BYTES]
    except (binascii.Error, ValueError):
        return "", b""


def _check_none_gone(body: JsonObject) -> None:
    """The turn whose tool calls are being answered must begin as it did."""
    numbered = list(enumerate(objects(body["messages"])))
    *earlier, (_, last) = numbered
    if not any(block.get("type") == "tool_result" for block in objects(last["content"])):
        return
    for number, index, block in _last_turn(earlier):
        if block.get("type") in _THOUGHT:
            return
        if block.get("type") == "tool_use" and _THOUGHTFUL_CALL.match(block["id"]):
            raise InvalidRequestError(
                f"Expected `thinking` or `redacted_thinking`, but found `{block['type']}`. The"
                " latest assistant message must come back with the thinking it began with.",
                f"messages.{number}.content.{index}",
            )


def _last_turn(numbered: list[tuple[int, JsonObject]]) -> Iterator[tuple[int, int, JsonObject]]:
    start = len(numbered)
    while start and numbered[start - 1][1]["role"] == "assistant":
        start -= 1
    for number, message in numbered[start:]:
        for index, block in enumerate(objects(message["content"])):
            yield number, index, block
