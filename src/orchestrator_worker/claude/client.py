"""What the service asks of Claude: the `ClaudeClient` Protocol and the words on both sides of it.

Owns the call, the events of its answer and nothing of the wire: encoding lives in `wire.py`, HTTP
in `anthropic_client.py`. Above it stand the orchestration's lead, workers and synthesizer; below it
only `usage.py` and `ledger.py`. Every wrapper (retry, metering, tracing …) is itself a
`ClaudeClient` and has one.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import orjson

from orchestrator_worker.claude.ledger import Ledger, Role
from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.errors import Feature

Effort = Literal["low", "medium", "high", "xhigh", "max"]


@dataclass(frozen=True)
class Image:
    """A picture: either its bytes in base64 with their media type, or an address that Claude
    fetches. The service itself never does.
    """

    media_type: str = ""
    data: str = ""
    url: str = ""

    @cached_property
    def data_json(self) -> bytes:
        """The data as JSON, written once for all calls that carry it."""
        return orjson.dumps(self.data)


@dataclass(frozen=True)
class Document:
    """A file: a PDF in base64, or plain text as it stands."""

    media_type: Literal["application/pdf", "text/plain"]
    data: str
    title: str | None = None

    @cached_property
    def data_json(self) -> bytes:
        """The data as JSON, written once for all calls that carry it."""
        return orjson.dumps(self.data)


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call of a tool in an earlier answer."""

    id: str
    """Unique in a conversation; letters, digits, `_` and `-` only."""
    name: str
    input: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call of a tool has come to; stands in the turn after the call, before all else."""

    tool_use_id: str
    content: str


Block = str | Image | Document | ToolUse | ToolResult
"""A part of a message; a string is a text block, and never blank."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["user", "assistant"]
    content: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool the model may call."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    strict: bool = False
    """Asks the server to hold the input to the schema."""
    eager: bool = False
    """Asks that the input streams as it is written (`eager_input_streaming`), unvalidated."""


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Which of a call's tools the model may or must use."""

    forced: bool = False
    """It must use one: `name`, or any where that is None. Not every model can be forced: see
    `MessageStarted.carried`.
    """
    name: str | None = None
    parallel: bool = True
    """Whether it may call several in one turn."""


FREE_CHOICE = ToolChoice()
"""The model may call what it likes, or nothing."""


@dataclass(frozen=True, slots=True)
class CallOrigin:
    """On whose behalf a call is made; goes to the log and the ledger, never to Claude."""

    run_id: str
    request_id: str
    principal: str
    role: Role
    subtask_id: str | None = None
    subtask_title: str | None = None
    purpose: str | None = None
    """Why the call was made when it is not its role's ordinary one ("repair", "warm-up"); never
    text of a prompt.
    """


@dataclass(frozen=True, slots=True)
class Call:
    """One question to Claude."""

    model: str
    max_tokens: int
    """0 is a pre-warm: it writes the cache and nothing else, so only `MessageStarted` and
    `MessageStopped` come. The API takes no `output_schema` with it.
    """
    messages: tuple[Message, ...]
    origin: CallOrigin
    ledger: Ledger
    """The run's own account of attempts, besides the process-wide ledger."""
    deadline: float
    """Instant on the loop's clock after which no retry may start."""
    idle_seconds: float
    """The longest wait for the next event of one attempt; pings do not count as events."""
    system: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = FREE_CHOICE
    stop_sequences: tuple[str, ...] = ()
    """None of them blank, which the API refuses."""
    output_schema: Mapping[str, Any] | None = None
    schema_in_words: str = ""
    """What the model is told of the form of its answer where nothing else holds it to that: there
    is no `output_schema`, or its server does not take one.
    """
    effort: Effort | None = None
    """How much the model deliberates: high and above think before they write. None: the model's own
    default.
    """
    shared_role: bool = False
    """Other calls begin with the same tools and the same first block of `system`, so a cache
    breakpoint goes there.
    """
    shared_prefix: bool = False
    """Other calls begin with the same blocks, up to the last block of the last message (with
    `max_tokens` 0: that block included), so the cache breakpoint goes there. A model that caches
    nothing gets none.
    """
    shared_history: bool = False
    """Another call will begin with this whole conversation, so a cache breakpoint ends it."""
    without: frozenset[Feature] = frozenset()
    """What the server is known to refuse, and what is therefore left out."""
    attempt: int = 1
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class MessageStarted:
    """Claude has taken the call; comes again when an attempt is retried before its first delta."""

    upstream_id: str
    usage: Usage
    carried: frozenset[Feature] = frozenset()
    """The optional parts that the request had after all; what is not among them, the server was
    not asked for.
    """


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer's text; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """The model is thinking; a sign of life without text."""


@dataclass(frozen=True, slots=True)
class ToolUseStarted:
    """A tool call begins; its input follows in `ToolInputDelta`s."""

    tool_use_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolInputDelta:
    """A piece of the current tool call's JSON input, cut anywhere."""

    partial_json: str


@dataclass(frozen=True, slots=True)
class MessageStopped:
    """The answer is complete. A stream that ends without this has failed."""

    stop_reason: str
    usage: Usage


StreamEvent = (
    MessageStarted | TextDelta | ThinkingDelta | ToolUseStarted | ToolInputDelta | MessageStopped
)


class ClaudeClient(Protocol):
    """Somebody who can put a call to Claude."""

    def stream(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[StreamEvent]]:
        """Open the call; leaving the block closes its connection at once.

        Raises:
            UpstreamError: on entering or while iterating; nothing else comes from upstream.
        """
        ...


async def whole_answer(client: ClaudeClient, call: Call) -> tuple[str, str]:
    """Return the text of an answer that nobody reads before its end, and why it stopped.

    Raises:
        UpstreamError: see `ClaudeClient.stream`.
    """
    pieces: list[str] = []
    stop_reason = ""
    async with client.stream(call) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                pieces.append(event.text)
            elif isinstance(event, MessageStopped):
                stop_reason = event.stop_reason
    return "".join(pieces).strip(), stop_reason


class UpstreamProbe(Protocol):
    """Somebody who can tell whether Claude can be reached."""

    async def probe(self) -> None:
        """Return when Claude answers and takes our key.

        Raises:
            UpstreamError: it does not.
        """
        ...
