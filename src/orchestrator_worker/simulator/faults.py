"""The faults a script may order, as data. `sending` and `app` carry them out."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from orchestrator_worker.simulator.errors import ERROR_TYPES, InvalidRequestError
from orchestrator_worker.simulator.field_checks import one_of
from orchestrator_worker.simulator.script_values import NUMBER, not_negative, read_fields

FaultKind = Literal[
    "status",
    "error_event",
    "cut",
    "truncate",
    "hang",
    "stall",
    "empty",
    "refusal",
    "max_tokens",
    "garbage",
    "binary",
    "html",
    "plain_error",
]
FAULT_KINDS: tuple[str, ...] = get_args(FaultKind)
_FIELDS = {
    "kind": str,
    "status": int,
    "error_type": str,
    "message": str,
    "retry_after": NUMBER,
    "after_deltas": int,
    "category": str,
    "ping_seconds": NUMBER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way in which a call goes wrong."""

    kind: str
    """One of `FAULT_KINDS`."""
    status: int = 529
    """Of a `status` and a `plain_error`; the latter's body is a web page that holds the message."""
    error_type: str = "overloaded_error"
    message: str = "Overloaded"
    retry_after: float | None = None
    """Seconds in the `retry-after` header. None: no such header."""
    after_deltas: int = 0
    """Content deltas that still arrive."""
    category: str | None = None
    """`stop_details.category` of a refusal."""
    ping_seconds: float = 0.25
    """Time between the pings of a stall."""


def read_fault(value: Any, path: str) -> Fault:
    """A fault from its JSON. The error type follows from the status unless given."""
    fields = read_fields(value, _FIELDS, path)
    one_of(fields.get("kind"), FAULT_KINDS, f"{path}.kind")
    not_negative(fields, ("retry_after", "after_deltas", "ping_seconds"), path)
    if not 400 <= fields.get("status", 529) <= 599:
        raise InvalidRequestError("must be between 400 and 599", f"{path}.status")
    if "status" in fields:
        fields.setdefault("error_type", ERROR_TYPES.get(fields["status"], "api_error"))
    return Fault(**fields)
