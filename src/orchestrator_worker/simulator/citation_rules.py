"""What the API refuses about citations: with an output format, and on some documents only."""

from collections.abc import Iterator

from orchestrator_worker.simulator.errors import InvalidRequestError
from orchestrator_worker.simulator.jsons import JsonObject, as_object, objects


def check_citations(body: JsonObject) -> None:
    """Check the documents of all messages together."""
    documents = list(_citable(body["messages"]))
    cited = [_cited(document) for document in documents]
    config = as_object(body.get("output_config")) or {}
    if any(cited) and config.get("format") is not None:
        raise InvalidRequestError("citations cannot be used with output_config.format")
    if any(cited) and not all(cited):
        raise InvalidRequestError("citations must be enabled on all documents or on none")


def _citable(messages: object) -> Iterator[JsonObject]:
    for message in objects(messages):
        for block in objects(message["content"]):
            inner = block.get("content") if block.get("type") == "tool_result" else None
            yield from (b for b in (block, *objects(inner)) if b.get("type") in _KINDS)


_KINDS = ("document", "search_result")


def _cited(document: JsonObject) -> bool:
    return (as_object(document.get("citations")) or {}).get("enabled") is True
