"""What the API refuses about images and documents: sources, encodings, formats, sizes, numbers.

Sits beside `message_rules`, which calls it for each block and once for all.
"""

from collections.abc import Iterator
from typing import Any

from orchestrator_worker.simulator.errors import InvalidRequestError
from orchestrator_worker.simulator.field_checks import (
    join,
    no_extra_keys,
    object_at,
    one_of,
    required,
    string_at,
)
from orchestrator_worker.simulator.jsons import JsonObject, as_object, objects
from orchestrator_worker.simulator.media import (
    IMAGE_TYPES,
    decoded,
    image_size,
    image_type,
    pdf_pages,
)
from orchestrator_worker.simulator.models import Model

MAX_IMAGE_CHARACTERS = 10 * 1024 * 1024
"""Base64 characters of one image."""
MAX_SIDE = 8_000
MAX_SIDE_OF_MANY = 2_000
MANY_IMAGES = 20
"""Images of one request up to which a side may have `MAX_SIDE` pixels."""
MAX_MEDIA = 600
MAX_MEDIA_OF_SMALL = 100
"""Images and pages of one request, for a model with a context of less than a million tokens."""
_LARGE_CONTEXT = 1_000_000
_PROCESSED = "Could not process image"
_FIELDS = {"base64": "data", "text": "data", "url": "url", "file": "file_id", "content": "content"}


def check_image(block: JsonObject, path: str) -> None:
    """Check one image."""
    no_extra_keys(block, ("type", "source", "cache_control", "transformations"), path)
    path = join(path, "image.source")
    source = _check_source(block, path, ("base64", "url", "file"))
    if source["type"] == "base64":
        _check_image_data(source, join(path, "base64"))


def check_document(block: JsonObject, path: str) -> None:
    """Check one document."""
    no_extra_keys(block, ("type", "source", "cache_control", "citations", "context", "title"), path)
    for key in ("title", "context"):
        if block.get(key) is not None:
            string_at(block[key], join(path, f"document.{key}"))
    path = join(path, "document.source")
    source = _check_source(block, path, ("base64", "text", "content", "url", "file"))
    if source["type"] == "base64":
        path = path.replace("document", "pdf")
        one_of(source.get("media_type"), ("application/pdf",), f"{path}.base64.media_type")
        if not (decoded(source["data"]) or b"").startswith(b"%PDF"):
            raise InvalidRequestError("The PDF specified was not valid.", f"{path}.base64.data")
    elif source["type"] == "text":
        one_of(source.get("media_type"), ("text/plain",), f"{path}.text.media_type")
        if not source["data"].strip():
            raise InvalidRequestError("text must be non-empty", f"{path}.text.data")


def check_media_together(messages: list[Any], model: Model) -> None:
    """Check what is limited over all messages: how many there are, and how large if many."""
    images = list(_media(messages, "image"))
    pages = sum(_pages(block) for _, block in _media(messages, "document"))
    most = MAX_MEDIA if model.context >= _LARGE_CONTEXT else MAX_MEDIA_OF_SMALL
    if len(images) + pages > most:
        raise InvalidRequestError(
            f"Too much media: {pages} document pages + {len(images)} images > {most}"
        )
    if len(images) > MANY_IMAGES:
        for path, block in images:
            source = block["source"]
            if source["type"] == "base64":
                size = image_size(decoded(source["data"]) or b"")
                _check_side(size, MAX_SIDE_OF_MANY, f"{path}.image.source.base64")


def _check_source(block: JsonObject, path: str, kinds: tuple[str, ...]) -> JsonObject:
    source = object_at(required(block, "source", path.removesuffix(".source")), path)
    kind = one_of(required(source, "type", path), kinds, join(path, "type"))
    key = _FIELDS[kind]
    path = join(path, kind)
    no_extra_keys(source, ("type", key, *(["media_type"] if key == "data" else [])), path)
    value = required(source, key, path)
    if kind != "content":
        string_at(value, join(path, key))
    if kind == "url" and not value.startswith(("https://", "http://")):
        raise InvalidRequestError("Only HTTP and HTTPS URLs are supported.", join(path, "url"))
    return source


def _check_image_data(source: JsonObject, path: str) -> None:
    named = one_of(source.get("media_type"), IMAGE_TYPES, join(path, "media_type"))
    length = len(source["data"])
    if length > MAX_IMAGE_CHARACTERS:
        raise InvalidRequestError(
            f"image exceeds 10 MB maximum: {length} bytes > {MAX_IMAGE_CHARACTERS} bytes", path
        )
    if not length:
        raise InvalidRequestError("image cannot be empty", path)
    image = decoded(source["data"])
    if image is None:
        raise InvalidRequestError("invalid base64 data", path)
    found = image_type(image)
    if found and found != named:
        raise InvalidRequestError(
            f"The image was specified using the {named} media type, but the image appears to be"
            f" a {found} image",
            path,
        )
    size = image_size(image)
    if size is None:
        raise InvalidRequestError(_PROCESSED)
    _check_side(size, MAX_SIDE, path)


def _check_side(size: tuple[int, int] | None, most: int, path: str) -> None:
    if size and max(size) > most:
        many = " for many-image requests" if most == MAX_SIDE_OF_MANY else ""
        raise InvalidRequestError(
            f"At least one of the image dimensions exceed max allowed size{many}: {most} pixels",
            join(path, "data"),
        )


def _media(messages: list[Any], kind: str) -> Iterator[tuple[str, JsonObject]]:
    """Each image or document, those in tools' results included, with its path."""
    for path, block in all_blocks(messages):
        if block.get("type") == kind:
            yield path, block


def all_blocks(messages: Any) -> Iterator[tuple[str, JsonObject]]:
    """Every block of all messages, those in tools' results included, with its path."""
    for number, message in enumerate(objects(messages)):
        for index, block in enumerate(objects(message.get("content"))):
            path = f"messages.{number}.content.{index}"
            yield path, block
            if block.get("type") == "tool_result":
                inner = enumerate(objects(block.get("content")))
                yield from ((f"{path}.tool_result.content.{i}", found) for i, found in inner)


def _pages(document: JsonObject) -> int:
    source = as_object(document.get("source")) or {}
    return pdf_pages(decoded(source["data"]) or b"") if source.get("type") == "base64" else 0
