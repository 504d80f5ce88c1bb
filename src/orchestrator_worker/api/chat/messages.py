"""The messages of a request and their parts, each role in its own form.

What they mean together (who answers what, whose turn it is) is `history.py`'s.
"""

from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from orchestrator_worker.api.chat.media import document_from, image_from
from orchestrator_worker.api.chat.wire import Wire
from orchestrator_worker.claude.client import Document, Image

MAX_PARTS = 1000
"""Parts of one message."""
MAX_CALLS = 128
"""Calls of tools in one message, and tools in one request."""


class TextPart(Wire):
    """A piece of text."""

    type: Literal["text"] = Field(description="Used. What this part is.")
    text: str = Field(description="Used. Blank text is left out.")


class RefusalPart(Wire):
    """What an earlier answer said when it declined."""

    type: Literal["refusal"] = Field(description="Used. What this part is.")
    refusal: str = Field(description="Used as text.")

    @property
    def text(self) -> str:
        """What it says."""
        return self.refusal


class ImageUrl(Wire):
    """Where a picture is."""

    url: str = Field(
        description="Used. A data URL of a PNG, JPEG, GIF or WebP, or an https address, which "
        "Claude opens and the service never does."
    )

    @cached_property
    def block(self) -> Image:
        """The picture for Claude."""
        return image_from(self.url)

    @model_validator(mode="after")
    def _is_a_picture(self) -> Self:
        _ = self.block
        return self


def _as_object(image: Any) -> Any:
    return {"url": image} if isinstance(image, str) else image


class ImagePart(Wire):
    """A picture."""

    type: Literal["image_url"] = Field(description="Used. What this part is.")
    image_url: Annotated[ImageUrl, BeforeValidator(_as_object)] = Field(
        description="Used. A bare address is taken for an object with that `url`."
    )


class FileContent(Wire):
    """A file's name and content."""

    file_data: str = Field(
        description="Used. A data URL in base64: a PDF, or text in UTF-8. Files by `file_id` are "
        "refused, as nothing is stored."
    )
    filename: str | None = Field(default=None, description="Used. The title Claude sees.")

    @cached_property
    def block(self) -> Document:
        """The file for Claude."""
        return document_from(self.file_data, self.filename)

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        _ = self.block
        return self


class FilePart(Wire):
    """A file."""

    type: Literal["file"] = Field(description="Used. What this part is.")
    file: FileContent = Field(description="Used. The file itself.")


def _content_form(content: Any) -> str:
    return "parts" if isinstance(content, list) else "string"


_PARTS = Field(max_length=MAX_PARTS, fail_fast=True)
_ForPeople = Annotated[TextPart | ImagePart | FilePart, Field(discriminator="type")]
_OfAnswers = Annotated[TextPart | RefusalPart, Field(discriminator="type")]

# Told apart by form, so that a mistake is reported where it is and not for every form there could
# be.
TextContent = Annotated[
    Annotated[str, Tag("string")] | Annotated[list[TextPart], _PARTS, Tag("parts")],
    Discriminator(_content_form),
]
UserContent = Annotated[
    Annotated[str, Tag("string")] | Annotated[list[_ForPeople], _PARTS, Tag("parts")],
    Discriminator(_content_form),
]
AnswerContent = Annotated[
    Annotated[str, Tag("string")] | Annotated[list[_OfAnswers], _PARTS, Tag("parts")],
    Discriminator(_content_form),
]


class SystemMessage(Wire):
    """Instructions; `developer` is OpenAI's newer name for the same."""

    role: Literal["system", "developer"] = Field(
        description="Used. Both mean the same, wherever they stand among the messages."
    )
    content: TextContent = Field(description="Used. One text, or up to 1,000 parts of text.")


class UserMessage(Wire):
    """A turn of the person."""

    role: Literal["user"] = Field(description="Used. Turns of one role in a row count as one turn.")
    content: UserContent = Field(
        description="Used. One text, or up to 1,000 parts: text, pictures, files."
    )
    name: str | None = Field(
        default=None,
        description="Used. Put before the text, so that several people are told apart.",
    )


class CalledFunction(Wire):
    """Which function an earlier answer called, and with what."""

    name: str = Field(min_length=1, description="Used. The function's name.")
    arguments: str | None = Field(
        default=None,
        description="Used. A JSON object as text; empty counts as `{}`, and what is no JSON object "
        "reaches the model as text under the key `arguments`.",
    )


class ToolCall(Wire):
    """A call of a tool in an earlier answer."""

    id: str = Field(min_length=1, description="Used. As the answer gave it, in any shape.")
    type: Literal["function"] = Field(default="function", description="Used. Only functions.")
    function: CalledFunction = Field(description="Used. What was called.")


class AssistantMessage(Wire):
    """An earlier answer; `reasoning_content` that clients echo is dropped."""

    role: Literal["assistant"] = Field(
        description="Used. As the last turn it is gone on with, not repeated."
    )
    content: AnswerContent | None = Field(
        default=None,
        description="Used. One text, or up to 1,000 parts of text or refusals; null is left out.",
    )
    refusal: str | None = Field(default=None, description="Used as text, where there is no other.")
    tool_calls: list[ToolCall] | None = Field(
        default=None,
        max_length=MAX_CALLS,
        description="Used. Each must be answered by a `tool` message before the next answer.",
    )
    function_call: CalledFunction | None = Field(
        default=None,
        description="Used. The older form of one call, answered by a `function` message.",
    )


class ToolMessage(Wire):
    """What a tool has returned."""

    role: Literal["tool"] = Field(description="Used. Results may come in any order.")
    tool_call_id: str = Field(description="Used. The call of the last answer that this answers.")
    content: TextContent | None = Field(
        default=None, description="Used. One text, or up to 1,000 parts of text."
    )


class FunctionMessage(Wire):
    """What a function has returned, in the older form."""

    role: Literal["function"] = Field(description="Used. Answers the last answer's function_call.")
    name: str = Field(description="Used. The function that was called.")
    content: TextContent | None = Field(default=None, description="Used. Its result.")


ChatMessage = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage,
    Field(discriminator="role"),
]
