"""What the API refuses about a request as a whole: its fields, its model and how they fit together.

Blocks, tools and schemas have rule modules of their own. Sits below `app`, which asks it before
anything is answered.
"""

from typing import Any

from orchestrator_worker.simulator.citation_rules import check_citations
from orchestrator_worker.simulator.errors import ApiError, InvalidRequestError
from orchestrator_worker.simulator.field_checks import (
    CacheControls,
    boolean_at,
    integer_at,
    join,
    list_at,
    no_extra_keys,
    object_at,
    one_of,
    required,
    string_at,
)
from orchestrator_worker.simulator.jsons import JsonObject, as_object
from orchestrator_worker.simulator.message_rules import check_messages, check_system
from orchestrator_worker.simulator.models import EFFORTS, THINKING_TYPES, Model, find_model
from orchestrator_worker.simulator.optional_fields import check_refused
from orchestrator_worker.simulator.schema_rules import SchemaSize, check_schema
from orchestrator_worker.simulator.tool_rules import check_tool_choice, check_tools

VERSIONS = ("2026-10-21", "2023-06-01")
OLD_VERSION = "2023-06-01"
SAMPLING = ("temperature", "top_p", "top_k")
COUNT_KEYS = frozenset(
    {
        "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config",
        "cache_control",
        "speed", "user_profile_id",
    }
)  # fmt: skip
CREATE_KEYS = COUNT_KEYS | {
    "max_tokens", "stop_sequences", "stream", "metadata", "service_tier", "inference_geo",
    "container",
    "diagnostics",
}  # fmt: skip
MIN_THINKING_BUDGET = 1_024
_NO_OUTPUT = "max_tokens must be at least 1 when {} is used"


def check_create(
    body: JsonObject, *, version: str = VERSIONS[0], refuse: frozenset[str] = frozenset()
) -> Model:
    """Check a request for a message.

    Args:
        body: The parsed request.
        version: The value of the `anthropic-version` header.
        refuse: Optional fields that are refused as servers refuse them that do not know them.

    Returns:
        The model that answers.

    Raises:
        ApiError: What the API would refuse.
    """
    model = _check_model(body)
    sampling = SAMPLING if version == OLD_VERSION else ()
    no_extra_keys(body, CREATE_KEYS.union(sampling))
    _check_sampling(body, model)
    _check_max_tokens(body, model)
    if "stream" in body:
        boolean_at(body["stream"], "stream")
    _check_stop_sequences(body)
    _check_metadata(body)
    if "service_tier" in body:
        one_of(body["service_tier"], ("auto", "standard_only"), "service_tier")
    _check_prompt(body, model, refuse)
    _check_prewarm(body)
    return model


def check_count(body: JsonObject, *, refuse: frozenset[str] = frozenset()) -> Model:
    """Check a request for a token count. Raises like `check_create`."""
    model = _check_model(body)
    no_extra_keys(body, COUNT_KEYS)
    _check_prompt(body, model, refuse)
    return model


def check_length(tokens: int, most: int) -> None:
    """Refuse a prompt that alone is longer than the context."""
    if tokens > most:
        raise InvalidRequestError(f"prompt is too long: {tokens} tokens > {most} maximum")


def _check_model(body: JsonObject) -> Model:
    name = string_at(required(body, "model"), "model")
    model = find_model(name)
    if model is None or model.lifecycle == "retired":
        raise ApiError(404, f"model: {name}")
    return model


def _check_prompt(body: JsonObject, model: Model, refuse: frozenset[str]) -> None:
    check_refused(body, refuse)
    controls, size = CacheControls(), SchemaSize()
    check_tools(body, controls, size)
    check_system(body, controls)
    check_messages(body, model, controls)
    controls.check_automatic(body)
    _check_thinking(body, model)
    _check_output_config(body, model, size)
    check_citations(body)
    check_tool_choice(body, model)
    size.check()


def _check_sampling(body: JsonObject, model: Model) -> None:
    """The old API version still has sampling, and the newer models take nothing but its
    defaults.
    """
    for key in SAMPLING:
        value = body.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InvalidRequestError("Input should be a valid number", key)
        if not model.sampling and not model.prefill and not (key == "temperature" and value == 1):
            raise InvalidRequestError("sampling parameters are not supported for this model", key)


def _check_max_tokens(body: JsonObject, model: Model) -> None:
    wanted = integer_at(required(body, "max_tokens"), "max_tokens")
    if wanted < 0:
        raise InvalidRequestError("Input should be greater than or equal to 0", "max_tokens")
    if wanted > model.max_output:
        raise InvalidRequestError(
            f"{wanted} > {model.max_output}, which is the maximum allowed number of output tokens"
            f" for {body['model']}",
            "max_tokens",
        )


def _check_prewarm(body: JsonObject) -> None:
    """With `max_tokens` 0 only the cache is filled, so nothing that shapes output may be asked
    for.
    """
    if body["max_tokens"] != 0:
        return
    if body.get("stream"):
        raise InvalidRequestError(_NO_OUTPUT.format("stream"), "max_tokens")
    if (as_object(body.get("output_config")) or {}).get("format") is not None:
        raise InvalidRequestError(_NO_OUTPUT.format("output_config.format"), "max_tokens")
    if (as_object(body.get("tool_choice")) or {}).get("type") in ("any", "tool"):
        raise InvalidRequestError(_NO_OUTPUT.format("forced tool_choice"), "max_tokens")
    if (as_object(body.get("thinking")) or {}).get("type") == "enabled":
        raise InvalidRequestError(_NO_OUTPUT.format("thinking.enabled"), "max_tokens")


def _check_stop_sequences(body: JsonObject) -> None:
    if body.get("stop_sequences") is None:
        return
    for index, value in enumerate(list_at(body["stop_sequences"], "stop_sequences")):
        path = f"stop_sequences.{index}"
        if not string_at(value, path).strip():
            raise InvalidRequestError("each stop sequence must contain non-whitespace", path)


def _check_metadata(body: JsonObject) -> None:
    if "metadata" not in body:
        return
    metadata = object_at(body["metadata"], "metadata")
    no_extra_keys(metadata, ("user_id",), "metadata")
    if metadata.get("user_id") is not None:
        string_at(metadata["user_id"], "metadata.user_id")


def _check_thinking(body: JsonObject, model: Model) -> None:
    if "thinking" not in body:
        return
    thinking = object_at(body["thinking"], "thinking")
    kind = one_of(required(thinking, "type", "thinking"), THINKING_TYPES, "thinking.type")
    if kind not in model.thinking:
        supported = ", ".join(sorted(model.thinking))
        raise InvalidRequestError(
            f'"{kind}" is not supported for this model. Supported: {supported}', "thinking.type"
        )
    keys = {"adaptive": ("type", "display"), "enabled": ("type", "display", "budget_tokens")}
    no_extra_keys(thinking, keys.get(kind, ("type",)), f"thinking.{kind}")
    if thinking.get("display") is not None:
        one_of(thinking["display"], ("summarized", "omitted"), f"thinking.{kind}.display")
    if kind == "enabled":
        _check_budget(thinking, body)


def _check_budget(thinking: JsonObject, body: JsonObject) -> None:
    path = "thinking.enabled.budget_tokens"
    budget = integer_at(required(thinking, "budget_tokens", "thinking.enabled"), path)
    if budget < MIN_THINKING_BUDGET:
        raise InvalidRequestError(
            f"Input should be greater than or equal to {MIN_THINKING_BUDGET}", path
        )
    if body.get("max_tokens") and budget >= body["max_tokens"]:
        raise InvalidRequestError("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_output_config(body: JsonObject, model: Model, size: SchemaSize) -> None:
    if "output_config" not in body:
        return
    config = object_at(body["output_config"], "output_config")
    no_extra_keys(config, ("effort", "format"), "output_config")
    if config.get("effort") is not None:
        _check_effort(config["effort"], as_object(body.get("thinking")) or {}, model)
    if config.get("format") is not None:
        _check_format(config["format"], size)


def _check_effort(value: Any, thinking: JsonObject, model: Model) -> None:
    path = "output_config.effort"
    if not model.effort:
        raise InvalidRequestError("This model does not support the effort parameter.", path)
    effort = one_of(value, EFFORTS, path)
    off = thinking.get("type") in ("disabled", "between_tools")
    if off and effort in ("xhigh", "max") and not model.max_effort_without_thinking:
        raise InvalidRequestError(
            f'"{effort}" is not supported with thinking.type "{thinking["type"]}" for this model',
            path,
        )


def _check_format(value: Any, size: SchemaSize) -> None:
    path = "output_config.format"
    wanted = object_at(value, path)
    one_of(required(wanted, "type", path), ("json_schema",), join(path, "type"))
    no_extra_keys(wanted, ("type", "schema"), path)
    check_schema(required(wanted, "schema", path), join(path, "schema"), size)
