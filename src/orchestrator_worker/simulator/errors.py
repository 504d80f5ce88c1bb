"""What the API refuses, as one exception and one envelope.

ApiError                 status, error type, message, headers
"""

from orchestrator_worker.simulator.jsons import JsonObject

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""The error type the API sends with each HTTP status. Source: the error page of the API
documentation."""


class ApiError(Exception):
    """A refusal in the API's own form."""

    def __init__(
        self,
        status: int,
        message: str,
        error_type: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.error_type = error_type or ERROR_TYPES.get(status, "api_error")
        self.headers = headers
        """Sent with the response."""


class InvalidRequestError(ApiError):
    """400 `invalid_request_error`. The message starts with the path of the field when there is
    one.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(400, f"{path}: {message}" if path else message)


def envelope(error_type: str, message: str, request_id: str) -> JsonObject:
    """The body of every error response, and the data of an `error` event."""
    return {
        "type": "error",
        "error": {"type": error_type, "message": message},
        "request_id": request_id,
    }
