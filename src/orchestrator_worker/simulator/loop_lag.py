"""How late the event loop is, so that a benchmark can tell a slow simulator from a slow service."""

import asyncio
from time import monotonic

PROBE_SECONDS = 0.01


class LoopLag:
    """Measures the largest delay of a timer since the last reset."""

    def __init__(self) -> None:
        self.max_seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to measure on the running loop."""
        loop = asyncio.get_running_loop()
        due = monotonic() + PROBE_SECONDS

        def probe() -> None:
            self.max_seconds = max(self.max_seconds, monotonic() - due)
            self.start()

        self._timer = loop.call_later(PROBE_SECONDS, probe)

    def stop(self) -> None:
        """Measure no longer."""
        if self._timer is not None:
            self._timer.cancel()
