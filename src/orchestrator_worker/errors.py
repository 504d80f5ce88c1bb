"""Every error this service raises on purpose, as one tree.

    OrchestratorError
    ├── InvalidRequest          400  the caller's request cannot be served as it stands
    │   ├── ModelNotFound       404  no such served model
    │   ├── RequestTooLarge     413  the body passes MAX_REQUEST_BODY_SIZE
    │   ├── RequestTooSlow      408  the body did not arrive in time
    │   ├── HeadersTooLarge     431  too many headers, or too long ones
    │   ├── UnsupportedEncoding 415  a compressed body
    │   ├── RequestInProgress   409  its Idempotency-Key is being answered already
    │   └── KeyReused           422  its Idempotency-Key was another request's
    ├── NotAuthenticated        401  no bearer token, or one that does not hold
    ├── UpstreamError           502  Claude answered with an error, or not at all (see
        `UpstreamFault`)
    ├── AllWorkersFailed        502  a plan ran and nothing came back
    ├── AnswerUnusable          502  the answer is not in the form that was asked for
    ├── PhaseTimeout            504  a phase passed its deadline with nothing to show
    └── ConfigurationError       –   the service must not start

A leaf: imports nothing of ours. `api/errors.py` turns these into HTTP; nothing else does. No
message holds text that came from upstream, since it may quote the prompt.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal


class OrchestratorError(Exception):
    """Root of the tree; `status`, `type` and `code` are what the caller sees in OpenAI's error
    envelope.
    """

    status: int = 500
    type: str = "server_error"
    code: str | None = "internal_error"
    param: str | None = None
    retry_after_seconds: float | None = None
    """When a retry may succeed. None: unknown."""
    retryable: bool = True
    """False: the same request will fail again, or a client's own retry would pay for it all twice.
    """


class ConfigurationError(OrchestratorError):
    """The settings or a team's files are wrong; one problem per line, each naming its variable or
    file.
    """


class InvalidRequest(OrchestratorError):
    """The caller must change the request; `param` names the field, dotted."""

    status = 400
    type = "invalid_request_error"
    retryable = False

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class ModelNotFound(InvalidRequest):
    """No team serves this model id."""

    status = 404

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The model {model!r} does not exist here; GET /v1/models lists the models.",
            param="model",
            code="model_not_found",
        )


class RequestTooLarge(InvalidRequest):
    """The body is longer than the service accepts."""

    status = 413

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"The request body is larger than {limit_bytes} bytes.", code="request_too_large"
        )


class RequestTooSlow(InvalidRequest):
    """The body did not arrive in time."""

    status = 408
    retryable = True

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The request body did not arrive within {seconds:g} seconds and one for each 100 KB."
        )


class HeadersTooLarge(InvalidRequest):
    """There are too many headers, or too long ones."""

    status = 431

    def __init__(self, count: int, size_bytes: int) -> None:
        super().__init__(f"More than {count} headers, or more than {size_bytes} bytes of them.")


class UnsupportedEncoding(InvalidRequest):
    """The body is compressed, and could unpack to anything."""

    status = 415

    def __init__(self) -> None:
        super().__init__("Compressed request bodies are not accepted.")


class RequestInProgress(InvalidRequest):
    """Another request with the same Idempotency-Key has not ended yet."""

    status = 409
    retryable = True
    retry_after_seconds = 1.0

    def __init__(self) -> None:
        super().__init__(
            "A request with this Idempotency-Key is still being answered.",
            code="idempotency_key_in_use",
        )


class KeyReused(InvalidRequest):
    """An Idempotency-Key stands for one request, and this is another."""

    status = 422

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for another request; use a new one.",
            code="idempotency_key_reused",
        )


class NotAuthenticated(OrchestratorError):
    """One text for every reason, so that a forger learns nothing from it."""

    status = 401
    retryable = False
    type = "authentication_error"
    code = "invalid_api_key"

    def __init__(self) -> None:
        super().__init__("A valid bearer token is needed: send 'Authorization: Bearer <token>'.")


class UpstreamFault(StrEnum):
    """What went wrong between us and Claude, in the terms that decide what happens next."""

    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    CONNECTION = "connection"
    TRUNCATED = "truncated"
    """The stream ended, cleanly or not, before `message_stop`."""
    SILENT = "silent"
    """Nothing but pings for longer than the idle limit."""
    MALFORMED = "malformed"
    """Bytes that are not the Messages API."""
    SPEND_LIMIT = "spend_limit"
    """429 without retry-after that lasts until the limit is raised."""
    AUTHENTICATION = "authentication"
    """Our key is refused. Never the caller's 401."""
    REJECTED = "rejected"
    """A 4xx that a retry cannot mend."""
    BAD_INPUT = "bad_input"
    """The same, for something that the caller has put into the request."""
    CONTEXT_LENGTH = "context_length"
    """The prompt is longer than the model's window, or the request than the API takes."""


Feature = Literal[
    "eager_input_streaming",
    "strict",
    "effort",
    "thinking",
    "cache_control",
    "output_format",
    "pre_warm",
    "forced_tools",
    "stop_sequences",
]
"""The optional parts of a call to Claude that a model or an imitating server may refuse; `pre_warm`
is `max_tokens` 0, `forced_tools` a tool choice that leaves the model none.
"""

_RETRYABLE = {
    UpstreamFault.OVERLOADED,
    UpstreamFault.RATE_LIMITED,
    UpstreamFault.SERVER_ERROR,
    UpstreamFault.CONNECTION,
    UpstreamFault.TRUNCATED,
    UpstreamFault.MALFORMED,
}

_UPSTREAM_ANSWERS: dict[UpstreamFault, tuple[int, str, str, str]] = {
    UpstreamFault.OVERLOADED: (
        503,
        "server_error",
        "overloaded",
        "The model provider is overloaded.",
    ),
    UpstreamFault.RATE_LIMITED: (
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
        "The model provider's rate limit is reached.",
    ),
    UpstreamFault.SPEND_LIMIT: (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "The service's spend limit at the model provider is reached.",
    ),
    UpstreamFault.AUTHENTICATION: (
        502,
        "server_error",
        "upstream_auth",
        "The model provider refuses this service's key.",
    ),
    UpstreamFault.CONNECTION: (
        502,
        "server_error",
        "upstream_error",
        "The model provider cannot be reached.",
    ),
    UpstreamFault.REJECTED: (
        502,
        "server_error",
        "upstream_error",
        "The model provider refuses the request, perhaps because of its model.",
    ),
    UpstreamFault.BAD_INPUT: (
        400,
        "invalid_request_error",
        "invalid_value",
        "The model provider refuses what the request holds, such as an image or file that cannot "
        "be read, or a schema it does not take.",
    ),
    UpstreamFault.CONTEXT_LENGTH: (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "The conversation is longer than the model can read.",
    ),
    UpstreamFault.SILENT: (
        504,
        "server_error",
        "timeout",
        "The model provider stopped answering.",
    ),
}


class UpstreamError(OrchestratorError):
    """Claude answered with an error, broke off, or could not be reached."""

    def __init__(
        self,
        fault: UpstreamFault,
        *,
        upstream_status: int | None = None,
        upstream_type: str | None = None,
        retry_after_seconds: float | None = None,
        refused_features: frozenset[Feature] = frozenset(),
        param: str | None = None,
    ) -> None:
        self.param = param
        self.status, self.type, self.code, message = _UPSTREAM_ANSWERS.get(
            fault, (502, "server_error", "upstream_error", "The model provider's answer failed.")
        )
        super().__init__(message)
        self.fault = fault
        self.upstream_status = upstream_status
        self.upstream_type = upstream_type
        self.retry_after_seconds = retry_after_seconds
        self.refused_features = refused_features
        """What the call carried and the server's refusal names; without it the call may succeed."""
        self.attempts = 1
        """How many attempts came to this, negotiated ones included."""

        self.retryable = fault in _RETRYABLE


class AnswerUnusable(OrchestratorError):
    """The model did not answer in the form the caller asked for, also when it was asked again."""

    status = 502
    code = "invalid_answer"
    retryable = False


class AllWorkersFailed(OrchestratorError):
    """Every subtask of a plan failed, so there is nothing true to answer with."""

    status = 502
    retryable = False
    code = "upstream_error"

    def __init__(self, reasons: Sequence[str]) -> None:
        why = ", ".join(dict.fromkeys(reasons))
        super().__init__(
            f"All {len(reasons)} subtasks failed ({why}); no answer was made up in their place."
            if len(reasons) > 1
            else f"The only subtask failed ({why}); no answer was made up in its place."
        )
        self.reasons = tuple(reasons)


class PhaseTimeout(OrchestratorError):
    """A phase passed its deadline before anything could be shown for it."""

    status = 504
    code = "timeout"
    retryable = False

    def __init__(self, phase: str, timeout_seconds: float) -> None:
        super().__init__(f"The {phase} phase did not finish within {timeout_seconds:g} seconds.")
        self.phase = phase
        self.timeout_seconds = timeout_seconds
