"""Logs: one JSON object or one readable line per event, on standard output.

Owns the configuration of structlog and of the standard library's logging, which libraries use;
`redaction.py` says what a line may hold, `standard.py` how it reads for people, `writing.py` gets
it out. Context (request id, run id, principal) is bound once, at the edge. No prompt and no answer
is logged above DEBUG, no secret at all.
"""

import atexit
import logging
import os
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor

from orchestrator_worker.observability.redaction import redact
from orchestrator_worker.observability.standard import StandardRenderer
from orchestrator_worker.observability.writing import LineHandler

_QUIET = ("httpx2", "httpcore2", "httpx", "httpcore", "anthropic", "asyncio", "sse_starlette")
_LINE_ENDS = {"\x85": r"\u0085", "\u2028": r"\u2028", "\u2029": r"\u2029"}
"""What Unicode calls the end of a line and JSON does not."""


def configure_logging(level: str, form: Literal["json", "standard"], descriptor: int = 1) -> None:
    """Set up logging for this process; the last call holds.

    Args:
        level: The least important level that is written.
        form: For programs, or for people.
        descriptor: The open file that lines go to: 1 is standard output, 2 standard error.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    close_logging()
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=_rendering(form, descriptor)
    )
    root = logging.getLogger()
    root.handlers[:] = [LineHandler(descriptor, formatter)]
    root.setLevel(level)
    logging.captureWarnings(True)
    _quieten()
    atexit.unregister(close_logging)
    atexit.register(close_logging)


def close_logging() -> None:
    """Write what is left, for about a second at most; nothing is logged after that."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LineHandler):
            handler.finish()


def _quieten() -> None:
    for name in _QUIET:
        # Their DEBUG lines print headers, and headers hold keys.
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("slowapi").setLevel(logging.ERROR)
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def _rendering(form: Literal["json", "standard"], descriptor: int) -> list[Processor]:
    # Tracebacks are made text before they are redacted, and plain: the pretty ones print local
    # variables.
    last = _json_line if form == "json" else StandardRenderer(colours=_colours(descriptor))
    return [
        _stamp,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        redact,
        last,
    ]


def _colours(descriptor: int) -> bool:
    # Conventions of terminals, and no settings of ours: https://no-color.org
    conventions = os.environ  # noqa: TID251
    if conventions.get("NO_COLOR") or conventions.get("TERM") == "dumb":
        return False
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def _stamp(_logger: object, _method: str, event: EventDict) -> EventDict:
    made = datetime.fromtimestamp(event["_record"].created, UTC)
    event["timestamp"] = made.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return event


def _json_line(_logger: object, _method: str, event: Any) -> str:
    line = orjson.dumps(event).decode()
    if not line.isascii():
        for character, escaped in _LINE_ENDS.items():
            line = line.replace(character, escaped)
    return line
