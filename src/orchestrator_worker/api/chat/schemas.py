"""The request body of a chat completion, as far as it has an effect here, and its way into the
core.

Keys that cannot change an answer are ignored, as OpenAI's own clients send many; keys that would
change it and are not supported are refused by name, never dropped in silence.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self, cast

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from orchestrator_worker.claude.client import Message
from orchestrator_worker.errors import InvalidRequest
from orchestrator_worker.orchestration.conversation import Conversation
from orchestrator_worker.teams.scaling import ReasoningEffort

MAX_MESSAGES = 1000
MAX_PARTS = 1000
"""Parts of one message."""
OPENING_TURN = "…"
"""Stands before a history that begins with the assistant: the Messages API wants a user turn first.
"""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class TextPart(_Wire):
    """A piece of text; other kinds of parts are refused."""

    type: Literal["text"] = Field(
        description="Used. Only `text`; images, audio and files are refused."
    )
    text: str = Field(description="Used. Blank text is left out.")


def _content_form(content: Any) -> str:
    return "parts" if isinstance(content, list) else "string"


# Told apart by form, so that a mistake is reported where it is and not for every form there could
# be.
Content = Annotated[
    Annotated[str, Tag("string")]
    | Annotated[list[TextPart], Field(max_length=MAX_PARTS, fail_fast=True), Tag("parts")],
    Discriminator(_content_form),
]


class SystemMessage(_Wire):
    """Instructions; `developer` is OpenAI's newer name for the same."""

    role: Literal["system", "developer"] = Field(
        description="Used. Both mean the same, wherever they stand among the messages."
    )
    content: Content = Field(description="Used. One text, or up to 1,000 parts of text.")


class UserMessage(_Wire):
    """A turn of the person."""

    role: Literal["user"] = Field(description="Used. Turns of one role in a row count as one turn.")
    content: Content = Field(description="Used. One text, or up to 1,000 parts of text.")


class AssistantMessage(_Wire):
    """An earlier answer; `reasoning_content` that clients echo is dropped."""

    role: Literal["assistant"] = Field(description="Used. May not be the last turn.")
    content: Content | None = Field(
        default=None, description="Used. One text, or up to 1,000 parts of text; null is left out."
    )
    tool_calls: None = Field(
        default=None, description="Refused unless null: callers' tools are not supported."
    )


ChatMessage = Annotated[SystemMessage | UserMessage | AssistantMessage, Field(discriminator="role")]


class StreamOptions(_Wire):
    """What a stream should carry besides the answer."""

    include_usage: bool | None = Field(
        default=None,
        description="Used. True: a chunk with `usage` and no choices stands before `[DONE]`.",
    )


class ResponseFormat(_Wire):
    """Only plain text for now."""

    type: Literal["text"] = Field(description="Only `text`, which changes nothing.")


_UNSUPPORTED = (
    "tools",
    "functions",
    "stop",
    "audio",
    "web_search_options",
    "prediction",
    "logit_bias",
    "top_logprobs",
)


class ChatCompletionRequest(_Wire):
    """The body of POST /v1/chat/completions. Fields that are not listed, here or further in, are
    ignored.
    """

    model: str = Field(description="Used. A served model; GET /v1/models lists them.")
    messages: list[ChatMessage] = Field(
        min_length=1,
        max_length=MAX_MESSAGES,
        fail_fast=True,
        description="Used. The conversation so far, at most 1,000 messages; its last turn must be "
        "the user's. Roles `tool` and `function` are refused.",
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
        description="Used. Cap on the final answer in tokens; wins over `max_tokens`.",
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="Used. Cap on the final answer in tokens."
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
    reasoning_effort: ReasoningEffort | None = Field(
        default=None,
        description="Used. `none`, `minimal`: a single call; `low`: little thought; `high` and "
        "above: more thought, finer plans and longer outputs. Null: as the team is set.",
    )
    response_format: ResponseFormat | None = Field(
        default=None,
        description="Accepted without effect when its type is `text`; JSON forms are refused.",
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
        for name in _UNSUPPORTED:
            if fields.get(name):
                raise InvalidRequest(
                    f"{name!r} is not supported.", param=name, code="unsupported_parameter"
                )
        return cast("Any", body)

    @model_validator(mode="after")
    def _ends_with_a_question(self) -> Self:
        turns = self.conversation.messages
        if not turns:
            raise InvalidRequest("'messages' holds no text to answer.", param="messages")
        if turns[-1].role == "assistant":
            raise InvalidRequest(
                "The last turn must be the user's: the assistant's cannot be continued.",
                param="messages",
            )
        return self

    @property
    def answer_cap(self) -> int | None:
        """The caller's cap on the final answer, in tokens."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def include_usage(self) -> bool:
        """Whether the stream ends with a usage chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @cached_property
    def conversation(self) -> Conversation:
        """Return the messages as the core knows them: instructions apart, turns alternating, no
        blank text.
        """
        system: list[str] = []
        turns: list[tuple[Literal["user", "assistant"], list[str]]] = []
        for message in self.messages:
            texts = _texts(message.content)
            if not texts:
                continue
            if isinstance(message, SystemMessage):
                system += texts
            elif turns and turns[-1][0] == message.role:
                turns[-1][1].extend(texts)
            else:
                turns.append((message.role, list(texts)))
        if turns and turns[0][0] == "assistant":
            turns.insert(0, ("user", [OPENING_TURN]))
        return Conversation(
            tuple(system), tuple(Message(role, tuple(texts)) for role, texts in turns)
        )


def _texts(content: Content | None) -> tuple[str, ...]:
    pieces = [content or ""] if not isinstance(content, list) else [part.text for part in content]
    return tuple(piece for piece in pieces if piece.strip())


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


def _invalid(error: ValidationError) -> InvalidRequest:
    mistake = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # Union members show up in the location by type or role; only names and indexes mean something
    # to callers.
    param = ".".join(
        str(part)
        for part in mistake["loc"]
        if isinstance(part, int) or (part.islower() and part not in _UNION_MEMBERS)
    )
    if not param:
        return InvalidRequest("The body must be a JSON object with 'model' and 'messages'.")
    return InvalidRequest(f"{param}: {mistake['msg']}.", param=param, code="invalid_value")


_UNION_MEMBERS = frozenset({"system", "developer", "user", "assistant", "string", "parts"})
