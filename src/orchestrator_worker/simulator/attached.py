"""The images and documents that a conversation holds, as a model sees them.

Stands below `conversation`, which finds the texts among them, and `answers`, which names them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orchestrator_worker.simulator.jsons import JsonObject, as_object, objects
from orchestrator_worker.simulator.media import decoded, image_size
from orchestrator_worker.simulator.wording import listed

_KINDS = {"base64": "PDF", "text": "text", "content": "text"}


@dataclass(frozen=True, slots=True)
class Document:
    """A document block."""

    kind: str
    title: str
    text: str
    """What it says. Empty: a file that is not looked into."""

    @property
    def named(self) -> str:
        """It with its title, if it has one."""
        return f"the {self.kind} “{self.title}”" if self.title else f"a {self.kind} without a title"


def documents_of(messages: Iterable[JsonObject]) -> list[Document]:
    """All documents of the messages, in order."""
    return [_document(block) for block in _blocks(messages, "document")]


def attached(messages: Iterable[JsonObject]) -> str:
    """A sentence that names all images and documents, empty when there are none."""
    messages = list(messages)
    images = [_described(block) for block in _blocks(messages, "image")]
    found = [document.named for document in documents_of(messages)]
    if images:
        count = "an image" if len(images) == 1 else f"{len(images)} images"
        found = [f"{count} ({'; '.join(images)})", *found]
    return f"Attached: {listed(found)}." if found else ""


def _blocks(messages: Iterable[JsonObject], kind: str) -> Iterator[JsonObject]:
    for message in messages:
        yield from (b for b in objects(message["content"]) if b.get("type") == kind)


def _document(block: JsonObject) -> Document:
    source = as_object(block["source"]) or {}
    kind = _KINDS.get(source["type"], "file")
    text = source["data"] if source["type"] == "text" else ""
    return Document(kind, str(block.get("title") or ""), text)


def _described(block: JsonObject) -> str:
    source = as_object(block["source"]) or {}
    if source["type"] != "base64":
        return "by address" if source["type"] == "url" else "by file id"
    kind = source["media_type"].partition("/")[2].upper()
    size = image_size(decoded(source["data"]) or b"")
    return f"{kind}, {size[0]} by {size[1]} pixels" if size else kind
