"""The Messages API's wire form: a `Call` to request bytes, stream bytes to `StreamEvent`s. No HTTP
here.

Shapes are those of `anthropic.types` (SDK 2.x, API version 2026-10-21); a contract test compares
both ways.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from orchestrator_worker.claude.capabilities import Capabilities
from orchestrator_worker.claude.client import (
    Block,
    Call,
    Document,
    Image,
    Message,
    MessageStarted,
    MessageStopped,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Tool,
    ToolInputDelta,
    ToolResult,
    ToolUse,
    ToolUseStarted,
)
from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.errors import Feature, UpstreamError, UpstreamFault

MAX_LINE_BYTES = 32 * 1024**2
"""No event of the API comes near; a line without end must not fill the memory."""


def encode(call: Call, capabilities: Capabilities) -> bytes:
    """Return the request body: what `call` asks, in the fields its model accepts."""
    carried = features_of(call, capabilities)
    body: dict[str, Any] = {
        "model": call.model,
        "max_tokens": min(call.max_tokens, capabilities.max_output_tokens),
        "messages": [_message(message) for message in call.messages],
    }
    if call.max_tokens:  # a pre-warm is refused as a stream
        body["stream"] = True
    if system := _system(call, capabilities, carried):
        body["system"] = system
    if call.tools:
        body["tools"] = [_tool(tool, carried) for tool in call.tools]
        body["tool_choice"] = _tool_choice(call, carried)
    if "stop_sequences" in carried:
        body["stop_sequences"] = call.stop_sequences
    if output_config := _output_config(call, carried):
        body["output_config"] = output_config
    if "thinking" in carried:
        body["thinking"] = capabilities.thinking(call.effort)
    if "cache_control" in carried:
        _mark_shared(call, body)
    return orjson.dumps(body)


def features_of(call: Call, capabilities: Capabilities) -> frozenset[Feature]:
    """Return which optional parts the request for `call` carries: what is asked, what its model
    takes and what the server is not known to refuse.
    """
    asked: tuple[tuple[Feature, bool], ...] = (
        (
            "eager_input_streaming",
            any(tool.eager for tool in call.tools) and capabilities.eager_input_streaming,
        ),
        ("strict", any(tool.strict for tool in call.tools)),
        ("forced_tools", call.tool_choice.forced and capabilities.forced_tools),
        ("stop_sequences", bool(call.stop_sequences)),
        ("effort", call.effort is not None and capabilities.effort),
        ("thinking", capabilities.thinking(call.effort) is not None),
        ("cache_control", _is_shared(call) and capabilities.min_cached_tokens is not None),
        ("output_format", call.output_schema is not None and call.max_tokens > 0),
        ("pre_warm", call.max_tokens == 0),
    )
    return frozenset(feature for feature, wanted in asked if wanted and feature not in call.without)


def _system(
    call: Call, capabilities: Capabilities, carried: frozenset[Feature]
) -> list[dict[str, Any]]:
    held = "output_format" in carried and capabilities.structured_output
    texts = (
        call.system if held or not call.schema_in_words else (*call.system, call.schema_in_words)
    )
    return [_text(text) for text in texts]


def _is_shared(call: Call) -> bool:
    return call.shared_prefix or call.shared_history or (call.shared_role and bool(call.system))


def _mark_shared(call: Call, body: dict[str, Any]) -> None:
    if call.shared_role and call.system:
        body["system"][0]["cache_control"] = {"type": "ephemeral"}
    if call.shared_history:
        body["messages"][-1]["content"][-1]["cache_control"] = {"type": "ephemeral"}
    if call.shared_prefix:
        _mark_shared_prefix(body)


def _mark_shared_prefix(body: dict[str, Any]) -> None:
    blocks = [block for message in body["messages"] for block in message["content"]]
    if body["max_tokens"]:
        del blocks[-1:]  # the call's own
    # The API reads tools, then system, then messages: the last of these that there is ends it.
    for part in (blocks, body.get("system"), body.get("tools")):
        if part:
            part[-1]["cache_control"] = {"type": "ephemeral"}
            return


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": [_block(block) for block in message.content]}


def _block(block: Block) -> dict[str, Any]:
    match block:
        case str(text):
            return _text(text)
        case Image():
            return {"type": "image", "source": _image_source(block)}
        case Document():
            return _document(block)
        case ToolUse(id, name, input):
            return {"type": "tool_use", "id": id, "name": name, "input": input}
        case ToolResult(tool_use_id, content):
            return {"type": "tool_result", "tool_use_id": tool_use_id, "content": content}


def _image_source(image: Image) -> dict[str, Any]:
    if image.url:
        return {"type": "url", "url": image.url}
    return {
        "type": "base64",
        "media_type": image.media_type,
        "data": orjson.Fragment(image.data_json),
    }


def _document(document: Document) -> dict[str, Any]:
    kind = "text" if document.media_type == "text/plain" else "base64"
    data = orjson.Fragment(document.data_json)
    source = {"type": kind, "media_type": document.media_type, "data": data}
    title = {} if document.title is None else {"title": document.title}
    return {"type": "document", "source": source, **title}


def _tool_choice(call: Call, carried: frozenset[Feature]) -> dict[str, Any]:
    choice = call.tool_choice
    body: dict[str, Any] = {"type": "auto"}
    if "forced_tools" in carried:
        body = {"type": "any"} if choice.name is None else {"type": "tool", "name": choice.name}
    return body if choice.parallel else {**body, "disable_parallel_tool_use": True}


def _tool(tool: Tool, carried: frozenset[Feature]) -> dict[str, Any]:
    encoded: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.input_schema,
    }
    if tool.eager and "eager_input_streaming" in carried:
        encoded["eager_input_streaming"] = True
    if tool.strict and "strict" in carried:
        encoded["strict"] = True
    return encoded


def _output_config(call: Call, carried: frozenset[Feature]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if "effort" in carried:
        config["effort"] = call.effort
    if "output_format" in carried:
        config["format"] = {"type": "json_schema", "schema": call.output_schema}
    return config


async def data_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Split a server-sent event stream into the payloads of its `data:` lines.

    The API writes each event's data on one line and repeats the event's name inside it, so `event:`
    lines and comments are skipped. Safe at every split point; LF and CRLF.
    """
    pending: list[bytes] = []
    size = 0
    async for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for line in ended:
            whole = b"".join([*pending, line]) if pending else line
            pending.clear()
            size = 0
            if whole.startswith(b"data:"):
                yield whole[5:].strip()
        if rest:
            pending.append(rest)
            size += len(rest)
        if size > MAX_LINE_BYTES:
            raise UpstreamError(UpstreamFault.MALFORMED)


def unstreamed_events(payload: bytes) -> tuple[MessageStarted, MessageStopped]:
    """Return the events of a message that came whole; for pre-warms, whose content is empty.

    Raises:
        UpstreamError: it is not the Messages API.
    """
    try:
        message = orjson.loads(payload)
        usage = Usage().updated(message["usage"])
        started = MessageStarted(str(message.get("id", "")), usage)
        return started, MessageStopped(str(message["stop_reason"]), usage)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise UpstreamError(UpstreamFault.MALFORMED) from error


class StreamDecoder:
    """Turns one stream's payloads into events and remembers the usage they report.

    `carried`: what the request had of optional parts.
    """

    def __init__(self, carried: frozenset[Feature] = frozenset()) -> None:
        self._carried = carried
        self._usage = Usage()
        self._stop_reason: str | None = None
        self._started = False
        self.complete = False
        """True once `message_stop` has come; a stream that ends before that is truncated."""
        self._readers: dict[str, Callable[[dict[str, Any]], StreamEvent | None]] = {
            "content_block_delta": self._delta,
            "content_block_start": self._block_start,
            "message_start": self._message_start,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
            "error": self._error,
        }

    def decode(self, payload: bytes) -> StreamEvent | None:
        """Return the event of one payload; None for pings and kinds this version does not know.

        Raises:
            UpstreamError: the payload is an error event, or is not the Messages API.
        """
        try:
            event = orjson.loads(payload)
            reader = self._readers.get(event["type"])
            return None if reader is None else reader(event)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise UpstreamError(UpstreamFault.MALFORMED) from error

    def _message_start(self, event: dict[str, Any]) -> StreamEvent:
        message = event["message"]
        self._started = True
        self._usage = Usage().updated(message.get("usage") or {})
        return MessageStarted(str(message.get("id", "")), self._usage, self._carried)

    def _block_start(self, event: dict[str, Any]) -> StreamEvent | None:
        block = event["content_block"]
        if block["type"] == "tool_use":
            return ToolUseStarted(str(block["id"] or ""), str(block["name"]))
        if block["type"] == "text" and block.get("text"):
            return TextDelta(block["text"])
        return None

    def _delta(self, event: dict[str, Any]) -> StreamEvent | None:
        delta = event["delta"]
        kind = delta["type"]
        if kind == "text_delta":
            return TextDelta(delta["text"]) if delta["text"] else None
        if kind == "input_json_delta":
            return ToolInputDelta(delta["partial_json"]) if delta["partial_json"] else None
        return ThinkingDelta() if kind == "thinking_delta" else None

    def _message_delta(self, event: dict[str, Any]) -> None:
        self._usage = self._usage.updated(event.get("usage") or {})
        self._stop_reason = event["delta"].get("stop_reason") or self._stop_reason

    def _message_stop(self, _event: dict[str, Any]) -> StreamEvent:
        if self._stop_reason is None or not self._started:
            raise UpstreamError(UpstreamFault.TRUNCATED)
        self.complete = True
        return MessageStopped(self._stop_reason, self._usage)

    def _error(self, event: dict[str, Any]) -> None:
        raise upstream_error(200, event["error"].get("type"))


_FAULT_BY_TYPE = {
    "overloaded_error": UpstreamFault.OVERLOADED,
    "rate_limit_error": UpstreamFault.RATE_LIMITED,
    "api_error": UpstreamFault.SERVER_ERROR,
    "timeout_error": UpstreamFault.SERVER_ERROR,
    "authentication_error": UpstreamFault.AUTHENTICATION,
    "permission_error": UpstreamFault.AUTHENTICATION,
    "billing_error": UpstreamFault.SPEND_LIMIT,
}

_FAULT_BY_STATUS = {
    401: UpstreamFault.AUTHENTICATION,
    402: UpstreamFault.SPEND_LIMIT,
    403: UpstreamFault.AUTHENTICATION,
    408: UpstreamFault.SERVER_ERROR,
    409: UpstreamFault.SERVER_ERROR,
    413: UpstreamFault.CONTEXT_LENGTH,
    429: UpstreamFault.RATE_LIMITED,
    529: UpstreamFault.OVERLOADED,
}

_SPEND_LIMIT_CODES = {"enforced_spend_limit_reached", "contract_spend_limit_reached"}


def upstream_error(
    status: int,
    error_type: str | None,
    *,
    error_code: str | None = None,
    retry_after_seconds: float | None = None,
    refused_features: frozenset[Feature] = frozenset(),
) -> UpstreamError:
    """Return the error for an answer's status and `error.type`; inside a stream (status 200) only
    the type speaks.
    """
    return UpstreamError(
        _fault(status, error_type, error_code),
        upstream_status=status,
        upstream_type=error_type,
        retry_after_seconds=retry_after_seconds,
        refused_features=refused_features,
    )


def _fault(status: int, error_type: str | None, error_code: str | None) -> UpstreamFault:
    if error_code in _SPEND_LIMIT_CODES:
        return UpstreamFault.SPEND_LIMIT
    if status in _FAULT_BY_STATUS:
        return _FAULT_BY_STATUS[status]
    if 400 <= status < 500:
        return UpstreamFault.REJECTED
    told = _FAULT_BY_TYPE.get(error_type or "")
    if told is not None:
        return told
    return UpstreamFault.REJECTED if status == 200 else UpstreamFault.SERVER_ERROR
