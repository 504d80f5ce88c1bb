"""The completion object and the chunks of a stream, as the API's description shows them.

These models are only described, never built: `chat/codec.py` writes the bytes. A test holds what it
writes against them.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator_worker.api.openapi.errors import ErrorDetail
from orchestrator_worker.api.openapi.events import PROGRESS_EVENTS
from orchestrator_worker.api.openapi.reports import REPORTS

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]

_REPORT: dict[str, Any] = {"anyOf": [{"$ref": name} for name in REPORTS]}
_TOLD: dict[str, Any] = {"anyOf": [{"$ref": name} for name in (*REPORTS, *PROGRESS_EVENTS)]}


class Described(BaseModel):
    """A model whose fields' docstrings are their descriptions."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class PromptTokensDetails(Described):
    """What the input tokens were."""

    cached_tokens: int
    """Read from the prompt cache."""


class CompletionTokensDetails(Described):
    """What the output tokens were."""

    reasoning_tokens: int
    """Output that the caller does not see: thinking, the plan, the workers' results."""


class CompletionUsage(Described):
    """Tokens of all agents of the run, failed attempts included."""

    prompt_tokens: int
    """Input, cached input included."""
    completion_tokens: int
    """Output, unseen output included."""
    total_tokens: int
    """Both."""
    prompt_tokens_details: PromptTokensDetails
    """What the input tokens were."""
    completion_tokens_details: CompletionTokensDetails
    """What the output tokens were."""


class CalledFunction(Described):
    """What is called, and with what."""

    name: str
    """One of the request's functions."""
    arguments: str
    """A JSON object as text, as the model wrote it."""


class CompletionToolCall(Described):
    """A call of one of the request's tools, for the caller to run."""

    id: str
    """Goes back with the result, in a `tool` message's `tool_call_id`."""
    type: Literal["function"]
    """What kind of tool it is."""
    function: CalledFunction
    """What is called."""


class CompletionMessage(Described):
    """The answer."""

    role: Literal["assistant"]
    """Who speaks."""
    content: str | None
    """The whole answer; null beside calls or a refusal, where there is no text."""
    refusal: str | None
    """What the model said instead of an answer in the form that `response_format` asks for;
    otherwise null: an answer in text that the model declined has the finish reason
    `content_filter`.
    """
    tool_calls: list[CompletionToolCall] = Field(default_factory=list[CompletionToolCall])
    """Only where the model calls tools."""
    function_call: CalledFunction = Field(default_factory=CalledFunction.model_construct)
    """Only where the request has `functions`, the older form of tools, and the model calls one."""


class CompletionChoice(Described):
    """The one answer."""

    index: Literal[0]
    """There is one."""
    message: CompletionMessage
    """The answer."""
    logprobs: None
    """Always null: Claude gives none."""
    finish_reason: FinishReason
    """`stop`: complete, or declined in a `response_format`; `length`: cut by a cap or a deadline;
    `tool_calls`, `function_call`: the caller is to run what is called; `content_filter`: declined.
    """


class _Completion(Described):
    id: str
    """Of this completion: `chatcmpl-…`."""
    created: int
    """When it began, in Unix seconds."""
    model: str
    """The served model that was asked."""


class ChatCompletion(_Completion):
    """The whole answer as one object, in OpenAI's form."""

    object: Literal["chat.completion"]
    """What this is."""
    choices: list[CompletionChoice] = Field(min_length=1, max_length=1)
    """The answer; always one."""
    usage: CompletionUsage
    """Tokens of all agents."""
    orchestration: Any = Field(default=None, json_schema_extra=_REPORT)
    """Only with `X-Orchestration`: the reports it asked for, as one object. Not in OpenAI's API."""


class ChunkFunction(Described):
    """A piece of a call."""

    name: str = ""
    """One of the request's functions; in the call's first chunk alone."""
    arguments: str
    """The next piece of a JSON object as text; empty in the call's first chunk."""


class ChunkToolCall(Described):
    """A call, or a piece of it."""

    index: int
    """Which call of the answer, from 0."""
    id: str = ""
    """In the call's first chunk alone."""
    type: Literal["function"] = "function"
    """In the call's first chunk alone."""
    function: ChunkFunction
    """What is called, or the next piece of its arguments."""


class ChunkDelta(Described):
    """What a chunk adds; one thing at a time."""

    role: Literal["assistant"] = "assistant"
    """In the first chunk alone."""
    content: str = ""
    """The next piece of the answer; empty in the first chunk."""
    reasoning_content: str = ""
    """A line of progress for people, where the team shows it."""
    refusal: str = ""
    """What the model said instead of an answer in the form that `response_format` asks for."""
    tool_calls: list[ChunkToolCall] = Field(default_factory=list[ChunkToolCall])
    """One call's beginning or its next piece."""
    function_call: ChunkFunction = Field(default_factory=ChunkFunction.model_construct)
    """The same in the older form."""


class ChunkChoice(Described):
    """The next piece of the one answer."""

    index: Literal[0]
    """There is one."""
    delta: ChunkDelta
    """What this chunk adds; empty in progress events and in the last chunk."""
    logprobs: None
    """Always null: Claude gives none."""
    finish_reason: FinishReason | None
    """Null until the answer has ended; then as in a completion."""


class ChatCompletionChunk(_Completion):
    """One chunk of a streamed answer, in OpenAI's form."""

    object: Literal["chat.completion.chunk"]
    """What this is."""
    choices: list[ChunkChoice] = Field(max_length=1)
    """One, or none in the usage chunk."""
    usage: CompletionUsage = Field(default_factory=CompletionUsage.model_construct)
    """Tokens of all agents: in the usage chunk alone."""
    orchestration: Any = Field(default=None, json_schema_extra=_TOLD)
    """Only with `X-Orchestration`: an event of the run in a chunk of its own, or in the last chunk
    the reports that were asked for. Not in OpenAI's API.
    """


class StreamError(Described):
    """The frame that stands for the rest of a stream whose run has failed; `[DONE]` follows."""

    error: ErrorDetail
    """What went wrong."""
    orchestration: Any = Field(default=None, json_schema_extra=_REPORT)
    """Only with `X-Orchestration`: the reports that were asked for, as far as the run came."""


STREAM = """\
Server-sent events: each is one line `data: ` with a JSON object, and an empty line. In order:

1. one `ChatCompletionChunk` whose `delta` holds the role and empty `content`;
2. any number of chunks, each with a piece of the answer in `delta.content`, with a piece of a call
   in `delta.tool_calls` or `delta.function_call`, with what a model says that declines a form in
   `delta.refusal`, with a line of progress in `delta.reasoning_content`, or, with
   `X-Orchestration: progress`, with an event of the run in `orchestration` and an empty `delta`;
3. one chunk with an empty `delta` and the `finish_reason`;
4. with `stream_options.include_usage`, one chunk with `usage` and no choices;
5. `data: [DONE]`.

The reports that `X-Orchestration` asks for are in the last chunk before `[DONE]`. All chunks have
the same `id`, `created` and `model`. A run that fails after its stream has begun ends in one
`StreamError` in the place of 3 and 4, and `[DONE]`. A line that begins with `:` is a comment, sent
every 10 seconds so that the connection is not taken for dead.
"""
