"""What each Claude model accepts in a request.

A dated table from Anthropic's model documentation (November 2026): sending a field that a model
does not know is a 400. Unknown models, which includes every other server behind ANTHROPIC_BASE_URL,
get the plainest request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrator_worker.claude.client import Effort

_DELIBERATE: frozenset[Effort] = frozenset(("high", "xhigh", "max"))


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The optional parts of the Messages API one model takes."""

    max_output_tokens: int = 64_000
    effort: bool = False
    adaptive_thinking: bool = False
    """Whether it can be asked to think as much as it sees fit."""
    without_thinking: Mapping[str, Any] | None = None
    """What to send so that it writes at once. None: nothing needs to be, or can be, sent."""
    min_cached_tokens: int | None = None
    """The shortest prefix the prompt cache takes; a shorter one is silently not cached. None: this
    model is never asked to cache.
    """
    eager_input_streaming: bool = True
    forced_tools: bool = True
    """Whether it can be made to call a tool."""
    structured_output: bool = True
    """Whether it is known to hold an answer to a JSON Schema."""
    always_thinks: bool = False
    """Whether nothing keeps it from thinking before it writes."""

    def thinking(self, effort: Effort | None) -> Mapping[str, Any] | None:
        """Return the `thinking` field for this effort: adaptive from high on, else as little as the
        model allows.
        """
        if effort is None:
            return None
        if effort in _DELIBERATE:
            return {"type": "adaptive"} if self.adaptive_thinking else None
        return self.without_thinking


_DISABLED = {"type": "disabled"}
_LARGE = 128_000
_ALWAYS_THINKS = Capabilities(
    _LARGE,
    effort=True,
    adaptive_thinking=True,
    min_cached_tokens=512,
    forced_tools=False,
    always_thinks=True,
)
_SINCE_4_6 = Capabilities(_LARGE, effort=True, adaptive_thinking=True)

# First match wins, so longer prefixes stand first.
_BY_PREFIX: tuple[tuple[str, Capabilities], ...] = (
    ("claude-fable-5", _ALWAYS_THINKS),
    ("claude-opus-5-5", _ALWAYS_THINKS),
    (
        "claude-sonnet-5-5",
        Capabilities(_LARGE, True, True, {"type": "between_tools"}, 512, forced_tools=False),
    ),
    ("claude-haiku-5-5", Capabilities(_LARGE, True, True, _DISABLED, 512)),
    ("claude-opus-5", Capabilities(_LARGE, True, True, _DISABLED, 512)),
    ("claude-sonnet-5", Capabilities(_LARGE, True, True, _DISABLED, 1024)),
    ("claude-opus-4-8", replace(_SINCE_4_6, min_cached_tokens=1024)),
    ("claude-opus-4-7", replace(_SINCE_4_6, min_cached_tokens=2048)),
    ("claude-opus-4-6", replace(_SINCE_4_6, min_cached_tokens=4096)),
    ("claude-sonnet-4-6", replace(_SINCE_4_6, min_cached_tokens=1024)),
    ("claude-opus-4-5", Capabilities(effort=True, min_cached_tokens=4096)),
    ("claude-sonnet-4-5", Capabilities(min_cached_tokens=1024)),
    ("claude-haiku-4-5", Capabilities(min_cached_tokens=4096)),
    ("claude-", Capabilities()),
)

_UNKNOWN = Capabilities(
    max_output_tokens=_LARGE, eager_input_streaming=False, structured_output=False
)


def capabilities_of(model: str) -> Capabilities:
    """Return what `model` accepts; the plainest request for one the table does not know."""
    for prefix, capabilities in _BY_PREFIX:
        if model.startswith(prefix):
            return capabilities
    return _UNKNOWN
