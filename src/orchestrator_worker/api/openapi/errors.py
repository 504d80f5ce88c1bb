"""The errors that the API's description documents: the envelope, what each status means and
carries, and examples.

The examples are written by the code that writes the errors themselves.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from orchestrator_worker.api.errors import envelope, error_body, error_response
from orchestrator_worker.api.middleware import BODY_SECONDS, MAX_HEADER_BYTES, MAX_HEADERS
from orchestrator_worker.errors import (
    AllWorkersFailed,
    AnswerUnusable,
    HeadersTooLarge,
    InvalidRequest,
    KeyReused,
    ModelNotFound,
    NotAuthenticated,
    OrchestratorError,
    PhaseTimeout,
    RequestInProgress,
    RequestTooLarge,
    RequestTooSlow,
    UnsupportedEncoding,
    UpstreamError,
    UpstreamFault,
)

ErrorType = Literal[
    "invalid_request_error",
    "authentication_error",
    "rate_limit_error",
    "insufficient_quota",
    "server_error",
]
ErrorCode = Literal[
    "invalid_value",
    "unsupported_parameter",
    "context_length_exceeded",
    "idempotency_key_in_use",
    "idempotency_key_reused",
    "model_not_found",
    "request_too_large",
    "idempotency_key_in_use",
    "idempotency_key_reused",
    "invalid_api_key",
    "rate_limit_exceeded",
    "insufficient_quota",
    "upstream_auth",
    "upstream_error",
    "invalid_answer",
    "overloaded",
    "timeout",
    "internal_error",
]


class ErrorDetail(BaseModel):
    """What went wrong, in OpenAI's terms."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    message: str
    """For people."""
    type: ErrorType
    """The kind."""
    param: str | None
    """The field or header of the request that is to blame, dotted; null: none alone."""
    code: ErrorCode | None
    """For programs: `invalid_value` (a field holds what it may not), `unsupported_parameter`,
    `context_length_exceeded` (the model cannot read so much), `model_not_found`,
    `request_too_large`, `idempotency_key_in_use` (its request is still being answered),
    `idempotency_key_reused` (for another request), `invalid_api_key`, `rate_limit_exceeded`,
    `insufficient_quota` (the service's spend limit at the model provider), `upstream_auth` (the
    provider refuses the service's key), `upstream_error` (it failed, or all workers did),
    `invalid_answer` (the model did not answer in the form that was asked for), `overloaded`,
    `timeout`, `internal_error`; null: the status says it all.
    """


class ErrorEnvelope(BaseModel):
    """The body of every error."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    error: ErrorDetail
    """What went wrong."""


@dataclass(frozen=True, slots=True)
class _Case:
    """One way to fail: its name for people, and the error or, where it has no class, its body."""

    summary: str
    error: Exception | tuple[int, dict[str, Any]]

    @property
    def status(self) -> int:
        if isinstance(self.error, tuple):
            return self.error[0]
        return self.error.status if isinstance(self.error, OrchestratorError) else 500

    @property
    def body(self) -> dict[str, Any]:
        return self.error[1] if isinstance(self.error, tuple) else error_body(self.error)

    @property
    def headers(self) -> set[str]:
        """What it carries besides what every response does."""
        if isinstance(self.error, tuple):
            return {405: {"Allow"}, 429: {"Retry-After"}}[self.status]
        sent = error_response(self.error).headers
        return {name for name in HEADERS if name in sent}


def _refused(status: int, message: str) -> tuple[int, dict[str, Any]]:
    return status, envelope(message, "invalid_request_error")


CASES: dict[str, _Case] = {
    "invalid_value": _Case(
        "A field holds what it may not",
        InvalidRequest(
            "max_tokens: Input should be greater than or equal to 1.",
            param="max_tokens",
            code="invalid_value",
        ),
    ),
    "unsupported_parameter": _Case(
        "A field that is not supported",
        InvalidRequest("'audio' is not supported.", param="audio", code="unsupported_parameter"),
    ),
    "not_json": _Case(
        "The body cannot be read",
        InvalidRequest("The body is not valid JSON: unexpected end of data: line 1 column 11."),
    ),
    "nothing_to_answer": _Case(
        "The messages cannot be answered",
        InvalidRequest("'messages' holds nothing to answer.", param="messages"),
    ),
    "unreadable_file": _Case(
        "The model provider cannot read an image or a file",
        UpstreamError(UpstreamFault.BAD_INPUT, param="messages"),
    ),
    "too_long_to_read": _Case(
        "The conversation is longer than the model can read",
        UpstreamError(UpstreamFault.CONTEXT_LENGTH, param="messages"),
    ),
    "unknown_wish": _Case(
        "An unknown word in X-Orchestration",
        InvalidRequest(
            "X-Orchestration: 'fireworks' is not one of plan, progress, quiet, results, usage.",
            param="X-Orchestration",
            code="invalid_value",
        ),
    ),
    "invalid_key": _Case(
        "An Idempotency-Key that is none",
        InvalidRequest(
            "Idempotency-Key must come once, with 1 to 255 visible ASCII characters.",
            param="Idempotency-Key",
            code="invalid_value",
        ),
    ),
    "request_in_progress": _Case("The key's request is still being answered", RequestInProgress()),
    "key_reused": _Case("The key was used for another request", KeyReused()),
    "not_authenticated": _Case("No token, or none that holds", NotAuthenticated()),
    "model_not_found": _Case("No such model", ModelNotFound("gpt-9")),
    "method_not_allowed": _Case(
        "Another method than this path takes", _refused(405, "DELETE is not allowed here.")
    ),
    "body_too_slow": _Case("The body did not arrive", RequestTooSlow(BODY_SECONDS)),
    "body_too_large": _Case("The body is too long", RequestTooLarge(1024**2)),
    "compressed_body": _Case("A compressed body", UnsupportedEncoding()),
    "rate_limit": _Case(
        "The caller's own rate limit",
        (
            429,
            envelope(
                "Rate limit of 10 per 1 minute reached; try again in 42 s.",
                "rate_limit_error",
                code="rate_limit_exceeded",
            ),
        ),
    ),
    "upstream_rate_limit": _Case(
        "The model provider's rate limit",
        UpstreamError(UpstreamFault.RATE_LIMITED, retry_after_seconds=7),
    ),
    "upstream_spend_limit": _Case(
        "The service's spend limit there", UpstreamError(UpstreamFault.SPEND_LIMIT)
    ),
    "headers_too_large": _Case(
        "Too many headers, or too long ones", HeadersTooLarge(MAX_HEADERS, MAX_HEADER_BYTES)
    ),
    "crashed": _Case("A mistake of the service", RuntimeError()),
    "upstream_failed": _Case(
        "The model provider's answer failed",
        UpstreamError(UpstreamFault.SERVER_ERROR, retry_after_seconds=3),
    ),
    "upstream_unreachable": _Case(
        "The model provider cannot be reached", UpstreamError(UpstreamFault.CONNECTION)
    ),
    "upstream_refuses": _Case(
        "The model provider refuses the call", UpstreamError(UpstreamFault.REJECTED)
    ),
    "upstream_auth": _Case(
        "The model provider refuses the service's key", UpstreamError(UpstreamFault.AUTHENTICATION)
    ),
    "all_workers_failed": _Case(
        "A plan ran and nothing came back",
        AllWorkersFailed(["the model provider is overloaded"] * 3),
    ),
    "invalid_answer": _Case(
        "The model keeps to no form",
        AnswerUnusable(
            "The model's answer is not the JSON that response_format asks for: its result breaks "
            "the schema at $.inhabitants."
        ),
    ),
    "overloaded": _Case(
        "The model provider is overloaded", UpstreamError(UpstreamFault.OVERLOADED)
    ),
    "phase_timeout": _Case("A phase passed its deadline", PhaseTimeout("coordination", 45)),
    "upstream_silent": _Case(
        "The model provider stopped answering", UpstreamError(UpstreamFault.SILENT)
    ),
}

EVERYWHERE = ("method_not_allowed", "body_too_large", "compressed_body", "headers_too_large")
"""What is refused at every path, before anybody looks at what stands there."""

_STATUSES = {
    400: "The request cannot be served as it stands; `param` names what is to blame.",
    401: "There is no bearer token, or one that does not hold; one text for every reason.",
    404: "No such model.",
    405: "Another method at this path; `Allow` names those it takes.",
    408: f"The body did not arrive within {BODY_SECONDS:g} seconds and one for each 100 KB.",
    409: "A request with this Idempotency-Key is still being answered; see Retry-After.",
    413: "The body is larger than MAX_REQUEST_BODY_SIZE.",
    415: "The body is compressed.",
    422: "The Idempotency-Key was used for another request.",
    429: "A rate limit is reached; see Retry-After.",
    431: f"More than {MAX_HEADERS} headers, or more than {MAX_HEADER_BYTES} bytes of them.",
    500: "The service failed unexpectedly; its log has the details.",
    502: "The model provider failed, or every worker did, or the model keeps to no form.",
    503: "The model provider is overloaded; see Retry-After.",
    504: "Nothing had been written by a phase's deadline, or the model provider fell silent.",
}


def _text_header(description: str, example: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}, "example": example}


HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {
        **_text_header(
            "The request's id, as the service's logs have it: the caller's own X-Request-ID where "
            "it is harmless and not in use, else a new one.",
            "req_5e2b36d083f9558dadb30720",
        ),
        "required": True,
    },
    "Server-Timing": {
        **_text_header(
            "Durations in milliseconds that were known when the headers left: `total`, and of an "
            "answer `lead` (streamed) or `coordination` and `synthesis`.",
            "coordination;dur=5120.4, synthesis;dur=2210.9, total;dur=7340.2",
        ),
        "required": True,
    },
    "WWW-Authenticate": _text_header(
        "How to authenticate: with a bearer token.", 'Bearer error="invalid_token"'
    ),
    "Retry-After": {
        "description": "Whole seconds after which to try again, at most 120; left out where the "
        "model provider has not said.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 120},
        "example": 42,
    },
    "x-should-retry": {
        "description": "`false` where a retry would be of no use, or would pay for it all again; "
        "OpenAI's clients heed it.",
        "schema": {"type": "string", "enum": ["false"]},
        "example": "false",
    },
    "Idempotent-Replayed": {
        "description": "`true` where this is the answer that the first request with this "
        "Idempotency-Key got; left out otherwise.",
        "schema": {"type": "string", "enum": ["true"]},
        "example": "true",
    },
    "Allow": _text_header("The methods that this path takes.", "GET"),
    "Connection": _text_header("`close`: the rest of the body is not read.", "close"),
}


def headers(*more: str) -> dict[str, Any]:
    """Return the documented headers: those of every response, and these."""
    names = ("X-Request-ID", "Server-Timing", *more)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def error_responses(names: Iterable[str]) -> dict[str, Any]:
    """Return the responses in which these cases come, by status."""
    by_status: dict[int, dict[str, _Case]] = defaultdict(dict)
    for name in (*names, *EVERYWHERE, "crashed"):
        by_status[CASES[name].status][name] = CASES[name]
    return {str(status): _response(status, by_status[status]) for status in sorted(by_status)}


def _response(status: int, cases: dict[str, _Case]) -> dict[str, Any]:
    shown = {name: {"summary": case.summary, "value": case.body} for name, case in cases.items()}
    sent = {name for case in cases.values() for name in case.headers}
    envelopes = {"schema": {"$ref": "#/components/schemas/ErrorEnvelope"}, "examples": shown}
    return {
        "description": _STATUSES[status],
        "headers": headers(*(name for name in HEADERS if name in sent)),
        "content": {"application/json": envelopes},
    }
