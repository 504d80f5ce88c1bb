"""The clock that cache entries and rate limits live by. A caller of the control may advance it, so
that nobody has to wait for a minute to pass. The pace of answers follows the real clock.
"""

from datetime import UTC, datetime, timedelta
from time import monotonic


class Clock:
    """Seconds that never run backwards, and the time of day that belongs to them."""

    def __init__(self) -> None:
        self._advanced = 0.0

    def now(self) -> float:
        """Seconds since some instant."""
        return monotonic() + self._advanced

    def time_of_day(self) -> datetime:
        """The same instant in UTC."""
        return datetime.now(UTC) + timedelta(seconds=self._advanced)

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        self._advanced += seconds
