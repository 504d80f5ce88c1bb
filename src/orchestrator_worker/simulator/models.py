"""The models the API serves, as of November 2026: limits, thinking, effort, forced tools,
lifecycle.

Source: models endpoint and model pages of the API documentation. Owns no behaviour beyond the
table's own views.
"""

from dataclasses import dataclass
from typing import Literal

from orchestrator_worker.simulator.jsons import JsonObject

Lifecycle = Literal["active", "deprecated", "retired"]
EFFORTS = ("low", "medium", "high", "xhigh", "max")
THINKING_TYPES = ("adaptive", "between_tools", "disabled", "enabled")

_ADAPTIVE = frozenset({"adaptive"})
_BETWEEN_TOOLS = frozenset({"adaptive", "between_tools"})
_SWITCHABLE = frozenset({"adaptive", "disabled"})
_BUDGETED = frozenset({"enabled", "disabled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One row of the table."""

    id: str
    line: str
    name: str
    created: str
    """Release day, RFC 3339."""
    context: int = 1_000_000
    """Input tokens."""
    max_output: int = 128_000
    """Largest `max_tokens`, inclusive."""
    thinking: frozenset[str] = _SWITCHABLE
    """Accepted values of `thinking.type`."""
    thinks_when_omitted: bool = True
    effort: bool = True
    default_effort: str = "high"
    max_effort_without_thinking: bool = True
    """False: xhigh and max are refused together with `disabled` or `between_tools`."""
    forced_tools: bool = True
    """Whether `tool_choice` any and tool are accepted."""
    prefill: bool = False
    sampling: bool = False
    """Whether sampling parameters still work under API version 2023-06-01."""
    system_role: bool = True
    """Whether a message may have the role `system` in mid-conversation."""
    thinking_bound: bool = False
    """Whether thinking blocks are bound to the model and the exact prefix that produced them."""
    summarized_by_default: bool = False
    min_cacheable_tokens: int = 512
    """Prompts shorter than that up to a breakpoint are silently not cached."""
    lifecycle: Lifecycle = "active"
    deprecated_at: str | None = None
    retires_at: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def rate_class(self) -> str:
        """Models of one class share their rate limits: a line's 4.x do, each later one is alone."""
        return f"{self.line}-4" if "-4-" in self.id else self.id

    def thinks(self, thinking: JsonObject | None) -> bool:
        """Whether a thinking block comes first, given the request's `thinking` field."""
        if thinking is None:
            return self.thinks_when_omitted
        return thinking["type"] in ("adaptive", "enabled")


def _fable(version: str, created: str, *, line: str = "fable", **more: bool) -> Model:
    return Model(
        id=f"claude-{line}-{version.replace('.', '-')}",
        line=line,
        name=f"Claude {line.title()} {version}",
        created=created,
        thinking=_ADAPTIVE,
        forced_tools=more.get("forced_tools", False),
        thinking_bound=not more.get("forced_tools", False),
    )


_CURRENT = (
    _fable("5.2", "2026-11-09"),
    _fable("5.2", "2026-11-09", line="mythos"),
    Model(
        id="claude-haiku-5-5",
        line="haiku",
        name="Claude Haiku 5.5",
        created="2026-10-07",
        default_effort="medium",
        max_effort_without_thinking=False,
        thinking_bound=True,
    ),
    Model(
        id="claude-sonnet-5-5",
        line="sonnet",
        name="Claude Sonnet 5.5",
        created="2026-09-28",
        thinking=_BETWEEN_TOOLS,
        max_effort_without_thinking=False,
        forced_tools=False,
        thinking_bound=True,
    ),
    Model(
        id="claude-opus-5-5",
        line="opus",
        name="Claude Opus 5.5",
        created="2026-09-22",
        thinking=_ADAPTIVE,
        default_effort="medium",
        forced_tools=False,
        thinking_bound=True,
    ),
)

_OLDER = (
    _fable("5.1", "2026-08-18"),
    _fable("5.1", "2026-08-18", line="mythos"),
    _fable("5", "2026-06-09", forced_tools=True),
    _fable("5", "2026-06-09", line="mythos", forced_tools=True),
    Model(
        id="claude-opus-5",
        line="opus",
        name="Claude Opus 5",
        created="2026-07-14",
        max_effort_without_thinking=False,
    ),
    Model(
        id="claude-sonnet-5",
        line="sonnet",
        name="Claude Sonnet 5",
        created="2026-06-30",
        min_cacheable_tokens=1_024,
    ),
    Model(
        id="claude-opus-4-8",
        line="opus",
        name="Claude Opus 4.8",
        created="2026-05-28",
        min_cacheable_tokens=1_024,
        thinks_when_omitted=False,
    ),
    Model(
        id="claude-opus-4-7",
        line="opus",
        name="Claude Opus 4.7",
        created="2026-04-16",
        min_cacheable_tokens=2_048,
        thinks_when_omitted=False,
        system_role=False,
    ),
    Model(
        id="claude-opus-4-6",
        line="opus",
        name="Claude Opus 4.6",
        created="2026-02-05",
        min_cacheable_tokens=4_096,
        thinking=_SWITCHABLE | _BUDGETED,
        thinks_when_omitted=False,
        sampling=True,
        system_role=False,
        summarized_by_default=True,
    ),
    Model(
        id="claude-sonnet-4-6",
        line="sonnet",
        name="Claude Sonnet 4.6",
        created="2026-02-17",
        min_cacheable_tokens=1_024,
        thinking=_SWITCHABLE | _BUDGETED,
        thinks_when_omitted=False,
        sampling=True,
        system_role=False,
        summarized_by_default=True,
    ),
)


def _4_5(
    line: str, day: str, *, effort: bool = False, ends: tuple[str, str] | None = None
) -> Model:
    return Model(
        id=f"claude-{line}-4-5-{day.replace('-', '')}",
        line=line,
        name=f"Claude {line.title()} 4.5",
        created=day,
        context=200_000,
        max_output=64_000,
        thinking=_BUDGETED,
        thinks_when_omitted=False,
        effort=effort,
        prefill=True,
        sampling=True,
        system_role=False,
        summarized_by_default=True,
        min_cacheable_tokens=1_024 if line == "sonnet" else 4_096,
        lifecycle="deprecated" if ends else "active",
        deprecated_at=ends[0] if ends else None,
        retires_at=ends[1] if ends else None,
        aliases=(f"claude-{line}-4-5",),
    )


def _retired(id: str, line: str, created: str, retired: str, alias: str) -> Model:
    return Model(
        id=id,
        line=line,
        name=id.removeprefix("claude-"),
        created=created,
        context=200_000,
        max_output=8_192,
        lifecycle="retired",
        deprecated_at=created,
        retires_at=retired,
        aliases=(alias,),
    )


_LAST = (
    _4_5("opus", "2025-11-01", effort=True),
    _4_5("haiku", "2025-10-01"),
    _4_5("sonnet", "2025-09-29", ends=("2026-09-28", "2026-11-30")),
    _retired("claude-opus-4-20250514", "opus", "2025-05-14", "2026-06-15", "claude-opus-4-0"),
    _retired("claude-sonnet-4-20250514", "sonnet", "2025-05-14", "2026-06-15", "claude-sonnet-4-0"),
    _retired(
        "claude-3-7-sonnet-20250219",
        "sonnet",
        "2025-02-19",
        "2026-02-19",
        "claude-3-7-sonnet-latest",
    ),
    _retired(
        "claude-3-5-haiku-20241022", "haiku", "2024-10-22", "2026-02-19", "claude-3-5-haiku-latest"
    ),
    _retired("claude-3-opus-20240229", "opus", "2024-02-29", "2026-01-05", "claude-3-opus-latest"),
)

MODELS: tuple[Model, ...] = (*_CURRENT, *_OLDER, *_LAST)
"""Every known model, newest first, as the models endpoint lists them."""

_BY_ID = {name: model for model in MODELS for name in (model.id, *model.aliases)}


def find_model(id: str) -> Model | None:
    """The model of that id or alias, also a retired one."""
    return _BY_ID.get(id)


def model_info(model: Model) -> JsonObject:
    """The object that `GET /v1/models` lists."""
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name,
        "created_at": f"{model.created}T00:00:00Z",
        "lifecycle": model.lifecycle,
        "deprecated_at": model.deprecated_at and f"{model.deprecated_at}T00:00:00Z",
        "retires_at": model.retires_at and f"{model.retires_at}T00:00:00Z",
        "line": model.line,
        "max_input_tokens": model.context,
        "max_tokens": model.max_output,
        "capabilities": _capabilities(model),
    }


def _capabilities(model: Model) -> JsonObject:
    yes, no = {"supported": True}, {"supported": False}
    return {
        "batch": yes,
        "citations": yes,
        "code_execution": yes,
        "context_management": {
            "supported": True,
            "clear_thinking_20251015": yes,
            "clear_tool_uses_20250919": yes,
            "compact_20260112": yes,
        },
        "effort": {
            "supported": model.effort,
            **dict.fromkeys(EFFORTS, yes if model.effort else no),
        },
        "image_input": yes,
        "pdf_input": yes,
        "server_tools": {"supported": True, "code_execution": yes, "web_search": yes},
        "structured_outputs": yes,
        "thinking": {
            "supported": True,
            "types": {kind: yes if kind in model.thinking else no for kind in THINKING_TYPES},
        },
    }
