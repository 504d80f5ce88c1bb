"""The request body of a chat completion, as far as it has an effect here, and its way into the
core.

Keys that cannot change an answer are ignored, as OpenAI's own clients send many; keys that would
change it and are not supported are refused by name, never dropped in silence.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

import orjson
from pydantic import Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from orchestrator_worker.api.chat.answer_schema import check_schema
from orchestrator_worker.api.chat.history import read_history
from orchestrator_worker.api.chat.messages import MAX_CALLS, ChatMessage
from orchestrator_worker.api.chat.tools import (
    AllowedTools,
    Function,
    FunctionTool,
    NamedFunction,
    NamedTool,
    OfferedTools,
    from_functions,
    from_tools,
)
from orchestrator_worker.api.chat.wire import Wire
from orchestrator_worker.claude.structured_output import enforceable
from orchestrator_worker.errors import InvalidRequest
from orchestrator_worker.orchestration.answer_form import AnswerForm
from orchestrator_worker.orchestration.conversation import Conversation
from orchestrator_worker.teams.scaling import ReasoningEffort

MAX_MESSAGES = 10_000
MAX_ALL_PARTS = 10_000
"""Parts and calls of all messages: each costs time on the event loop."""
MAX_STOPS = 16
MAX_STOP_CHARS = 1000


class StreamOptions(Wire):
    """What a stream should carry besides the answer."""

    include_usage: bool | None = Field(
        default=None,
        description="Used. True: a chunk with `usage` and no choices stands before `[DONE]`.",
    )


class JsonSchema(Wire):
    """A named schema."""

    name: str | None = Field(default=None, description="Accepted without effect.")
    schema_: dict[str, Any] | None = Field(
        default=None,
        alias="schema",
        description="Used. The answer fulfils it: Claude is held to it while it writes, or the "
        "answer is checked before it is sent. Null: any JSON object.",
    )
    strict: bool | None = Field(
        default=None, description="Accepted without effect: the schema always holds."
    )

    @field_validator("schema_")
    @classmethod
    def _is_a_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            check_schema(schema)
        return schema


class TextFormat(Wire):
    """Plain text."""

    type: Literal["text"] = Field(description="Accepted without effect: answers are text.")


class JsonObjectFormat(Wire):
    """Any JSON object."""

    type: Literal["json_object"] = Field(
        description="Used. The answer is one JSON object; a stream holds it back until it is whole."
    )


class JsonSchemaFormat(Wire):
    """JSON after a schema."""

    type: Literal["json_schema"] = Field(description="Used. The answer is JSON after a schema.")
    json_schema: JsonSchema = Field(description="Used. The schema.")


ResponseFormat = Annotated[
    TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")
]
_UNSUPPORTED = ("audio", "logit_bias", "logprobs", "top_logprobs")
"""Refused unless empty."""


def _form(value: Any) -> str:
    if isinstance(value, list):
        return "several"
    if isinstance(value, Mapping):
        kind: Any = cast("Mapping[str, Any]", value).get("type")
        return "allowed" if kind == "allowed_tools" else "named"
    return "word"


_Stop = Annotated[str, Field(max_length=MAX_STOP_CHARS)]


class ChatCompletionRequest(Wire):
    """The body of POST /v1/chat/completions. Fields that are not listed, here or further in, are
    ignored.
    """

    model: str = Field(description="Used. A served model; GET /v1/models lists them.")
    messages: list[ChatMessage] = Field(
        min_length=1,
        max_length=MAX_MESSAGES,
        fail_fast=True,
        description="Used. The conversation so far, at most 10,000 messages.",
    )
    stream: bool | None = Field(
        default=None, description="Used. True: the answer comes in chunks as it is written."
    )
    stream_options: StreamOptions | None = Field(
        default=None, description="Used when the answer is streamed, otherwise without effect."
    )
    max_completion_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Used. Cap on the final answer in tokens; wins over `max_tokens`. Below 1,024 "
        "nothing is delegated and little is thought.",
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="Used. The older name of `max_completion_tokens`."
    )
    stop: (
        Annotated[
            Annotated[_Stop, Tag("word")]
            | Annotated[list[_Stop], Field(max_length=MAX_STOPS), Tag("several")],
            Discriminator(_form),
        ]
        | None
    ) = Field(
        default=None,
        description="Used. The answer ends before the first of these texts; at most 16, of at most "
        "1,000 characters. Empty ones are left out.",
    )
    n: Literal[1] | None = Field(
        default=None, description="Accepted without effect when 1; more answers are refused."
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Accepted without effect: Claude takes none."
    )
    top_p: float | None = Field(
        default=None, ge=0, le=1, description="Accepted without effect: Claude takes none."
    )
    frequency_penalty: float | None = Field(
        default=None, ge=-2, le=2, description="Accepted without effect: Claude takes none."
    )
    presence_penalty: float | None = Field(
        default=None, ge=-2, le=2, description="Accepted without effect: Claude takes none."
    )
    reasoning_effort: ReasoningEffort | None = Field(
        default=None,
        description="Used. `none`, `minimal`: a single call; `low`: little thought; `high` and "
        "above: more thought, finer plans and longer outputs. Null: as the team is set.",
    )
    tools: list[FunctionTool] | None = Field(
        default=None,
        max_length=MAX_CALLS,
        description="Used. Functions that the caller runs: the lead may call them, workers never "
        "do. Refused by teams that always delegate.",
    )
    tool_choice: (
        Annotated[
            Annotated[Literal["none", "auto", "required"], Tag("word")]
            | Annotated[NamedTool, Tag("named")]
            | Annotated[AllowedTools, Tag("allowed")],
            Discriminator(_form),
        ]
        | None
    ) = Field(
        default=None,
        description="Used. With `required` or a function nothing is delegated; a model that "
        "cannot be forced is told, checked and asked once more.",
    )
    parallel_tool_calls: bool | None = Field(
        default=None, description="Used. False: one call in a turn at most."
    )
    functions: list[Function] | None = Field(
        default=None, max_length=MAX_CALLS, description="Used. The older form of `tools`."
    )
    function_call: (
        Annotated[
            Annotated[Literal["none", "auto"], Tag("word")]
            | Annotated[NamedFunction, Tag("named")],
            Discriminator(_form),
        ]
        | None
    ) = Field(default=None, description="Used. The older form of `tool_choice`.")
    response_format: ResponseFormat | None = Field(
        default=None, description="Used. The form of the answer; text unless said otherwise."
    )
    logprobs: Literal[False] | None = Field(
        default=None, description="Accepted without effect when false; true is refused."
    )
    modalities: list[Literal["text"]] | None = Field(
        default=None,
        description='Accepted without effect when `["text"]`; other kinds are refused.',
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unsupported(cls, body: Any) -> Any:
        fields: Mapping[str, Any] = (
            cast("Mapping[str, Any]", body) if isinstance(body, Mapping) else dict[str, Any]()
        )
        names = [name for name in _UNSUPPORTED if fields.get(name)]
        if fields.get("web_search_options") is not None:  # an empty one asks for a search too
            names.append("web_search_options")
        _require_few_parts(fields.get("messages"))
        if names:
            raise InvalidRequest(
                f"{names[0]!r} is not supported.", param=names[0], code="unsupported_parameter"
            )
        return cast("Any", body)

    @property
    def answer_cap(self) -> int | None:
        """The caller's cap on the final answer, in tokens."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def include_usage(self) -> bool:
        """Whether the stream ends with a usage chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end the answer."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(dict.fromkeys(text for text in given if text))

    @property
    def calls_functions(self) -> bool:
        """Whether calls go out in the older form."""
        return bool(self.functions) and not self.tools

    @property
    def offered(self) -> OfferedTools:
        """The caller's tools.

        Raises:
            InvalidRequest: they contradict themselves.
        """
        if self.functions and self.tools:
            raise InvalidRequest(
                "Send 'tools' or 'functions', which is their older form, not both.",
                param="functions",
                code="invalid_value",
            )
        older, newer = self.function_call, self.tool_choice
        if (self.functions and newer is not None) or (self.tools and older is not None):
            param = "tool_choice" if self.functions else "function_call"
            raise InvalidRequest(
                f"{param!r} does not belong to the form in which the tools are given.",
                param=param,
                code="invalid_value",
            )
        named = isinstance(self.function_call, NamedFunction)
        if self.calls_functions or (named and not self.tools):
            return from_functions(self.functions or (), self.function_call)
        return from_tools(self.tools or (), self.tool_choice, self.parallel_tool_calls)

    @property
    def form(self) -> AnswerForm | None:
        """The JSON that the answer must be; None: it is text."""
        match self.response_format:
            case JsonObjectFormat():
                return AnswerForm()
            case JsonSchemaFormat(json_schema=wanted):
                schema = wanted.schema_
                return AnswerForm() if schema is None else AnswerForm(schema, enforceable(schema))
            case _:
                return None

    def conversation(self, go_on: str) -> Conversation:
        """Return the messages as the core knows them; see `read_history`."""
        return read_history(self.messages, go_on)


def _require_few_parts(messages: Any) -> None:
    """Refuse what would take long to read, before anybody reads it."""
    if not isinstance(messages, list):
        return
    count = 0
    for message in cast("list[Any]", messages):
        if isinstance(message, Mapping):
            fields = cast("Mapping[str, Any]", message)
            lists: tuple[Any, Any] = (fields.get("content"), fields.get("tool_calls"))
            count += sum(len(cast("list[Any]", it)) for it in lists if isinstance(it, list))
    if count > MAX_ALL_PARTS:
        raise InvalidRequest(
            f"messages: have more than {MAX_ALL_PARTS} parts and calls together.",
            param="messages",
            code="invalid_value",
        )


def parse_chat_request(body: bytes) -> ChatCompletionRequest:
    """Return the checked request.

    Raises:
        InvalidRequest: the body is not JSON (NaN and lone surrogates are not), or a field is wrong;
            names the field.
    """
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.") from error
    try:
        return ChatCompletionRequest.model_validate(decoded)
    except ValidationError as error:
        raise _invalid(error) from error


_IN_OTHER_WORDS = {
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "union_tag_not_found": "must be an object with {discriminator}",
    "union_tag_invalid": "{discriminator} must be one of {expected_tags}, not '{tag}'",
}
"""What the library says of a mistake in words of its own, in those of the API."""


def _invalid(error: ValidationError) -> InvalidRequest:
    mistake = error.errors(include_url=False, include_input=False)[0]
    param = ".".join(map(str, _named(mistake["loc"])))
    if not param:
        return InvalidRequest("The body must be a JSON object with 'model' and 'messages'.")
    told = _IN_OTHER_WORDS.get(mistake["type"])
    told = told.format_map(mistake.get("ctx", {})) if told else mistake["msg"]
    told = told.removeprefix("Value error, ")
    return InvalidRequest(f"{param}: {told}.", param=param, code="invalid_value")


def _named(loc: tuple[int | str, ...]) -> list[int | str]:
    """Return the names and indexes of a location, as callers know them: members of unions show up
    there by their tags.
    """
    return [part for at, part in enumerate(loc) if isinstance(part, int) or not _is_tag(loc, at)]


def _is_tag(loc: tuple[int | str, ...], at: int) -> bool:
    if at == 0:
        return False
    if isinstance(loc[at - 1], int):
        return loc[at - 2] in {"messages", "parts"}
    return loc[at - 1] in _UNIONS


_UNIONS = frozenset({"content", "stop", "tool_choice", "function_call", "response_format"})
"""Fields of more than one form, whose tag follows them in a location."""
