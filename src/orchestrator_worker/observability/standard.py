"""Log lines for a person at a terminal: time, level, and what happened in words (`sentences.py`).

A line keeps to 100 columns where it can and to 200 in any case; tracebacks and lists of problems
stand below it. Control characters are escaped: what callers send must not move the cursor.
"""

from datetime import datetime

from structlog.typing import EventDict

from orchestrator_worker.observability.sentences import below, in_words, visible

MAX_COLUMNS = 200
_PREFIX_COLUMNS = len("17:28:05 info  ")
_LEVELS = {"debug": "debug", "info": "info ", "warning": "warn ", "error": "ERROR"}
_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31;1", "critical": "31;1"}


class StandardRenderer:
    """Renders events for people; the last of structlog's processors."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _logger: object, _method: str, event: EventDict) -> str:
        """Return the line, and what belongs below it."""
        traceback = event.pop("exception", None)
        made = datetime.fromisoformat(event.pop("timestamp")).astimezone()
        level = event.pop("level", "info")
        words = _cut(visible(in_words(event)), MAX_COLUMNS - _PREFIX_COLUMNS)
        lines = [f"{made:%H:%M:%S} {self._shown(level)} {words}"]
        lines += [f"         - {visible(item)}" for item in below(event)]
        if traceback:
            lines += map(visible, str(traceback).splitlines())
        return "\n".join(lines)

    def _shown(self, level: str) -> str:
        word = _LEVELS.get(level, level.upper())
        if not self._colours:
            return word
        return f"\x1b[{_COLOURS.get(level, '0')}m{word}\x1b[0m"


def _cut(text: str, columns: int) -> str:
    return text if len(text) <= columns else text[: columns - 1] + "…"
