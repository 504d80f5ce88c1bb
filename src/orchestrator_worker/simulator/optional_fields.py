"""The optional fields that a script may let the simulator refuse, as servers and models refuse what
they do not know.
"""

from collections.abc import Iterator
from typing import Any

from orchestrator_worker.simulator.errors import InvalidRequestError
from orchestrator_worker.simulator.field_checks import EXTRA
from orchestrator_worker.simulator.jsons import JsonObject, as_object, objects
from orchestrator_worker.simulator.media_rules import all_blocks
from orchestrator_worker.simulator.tool_rules import FORCED

REFUSABLE = (
    "thinking",
    "effort",
    "eager_input_streaming",
    "cache_control",
    "strict",
    "output_config",
    "output_format",
    "pre_warm",
    "forced_tools",
    "stop_sequences",
    "images",
    "documents",
)
_MEDIA = {"images": "image", "documents": "document"}
_CONFIG = {"effort": "effort", "output_format": "format"}


def check_refused(body: JsonObject, refuse: frozenset[str]) -> None:
    """Refuse the first field the request uses and the script forbids."""
    if "pre_warm" in refuse and body.get("max_tokens") == 0:
        raise InvalidRequestError("Input should be greater than or equal to 1", "max_tokens")
    if not refuse:
        return
    choice = as_object(body.get("tool_choice")) or {}
    if "forced_tools" in refuse and choice.get("type") in ("any", "tool"):
        raise InvalidRequestError(FORCED)
    _refuse_media(body, refuse)
    for name, path in _used(body):
        if name in refuse:
            raise InvalidRequestError(EXTRA, path)


def _refuse_media(body: JsonObject, refuse: frozenset[str]) -> None:
    kinds = {_MEDIA[name] for name in refuse & _MEDIA.keys()}
    for path, block in all_blocks(body.get("messages")):
        if block.get("type") in kinds:
            raise InvalidRequestError(
                f"{block['type']} input is not supported by this model", f"{path}.{block['type']}"
            )


def _used(body: JsonObject) -> Iterator[tuple[str, str]]:
    """Each optional field a request uses, with its path, in the vocabulary of `REFUSABLE`."""
    for name in ("thinking", "output_config", "cache_control", "stop_sequences"):
        if name in body:
            yield name, name
    config = as_object(body.get("output_config")) or {}
    for name, key in _CONFIG.items():
        if key in config:
            yield name, f"output_config.{key}"
    for index, tool in enumerate(objects(body.get("tools"))):
        for name in ("eager_input_streaming", "strict", "cache_control"):
            if name in tool:
                yield name, f"tools.{index}.custom.{name}"
    for path, blocks in _contents(body):
        for index, block in enumerate(objects(blocks)):
            if "cache_control" in block:
                yield "cache_control", f"{path}.{index}.cache_control"


def _contents(body: JsonObject) -> Iterator[tuple[str, Any]]:
    yield "system", body.get("system")
    for number, message in enumerate(objects(body.get("messages"))):
        yield f"messages.{number}.content", message.get("content")
