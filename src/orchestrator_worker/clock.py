"""The two clocks in use, so that nobody mixes them. A leaf.

Durations and deadlines live on the event loop's clock (seconds, monotonic, meaningless outside the
process); what people read is an aware UTC datetime.
"""

import asyncio
import time
from datetime import UTC, datetime


def loop_time() -> float:
    """Return the running loop's instant, in seconds; deadlines are compared with it."""
    return asyncio.get_running_loop().time()


def stopwatch() -> float:
    """Return a high-resolution instant in seconds; only the difference of two means something."""
    return time.perf_counter()


def utc_now() -> datetime:
    """Return the wall clock, aware."""
    return datetime.now(UTC)


def unix_seconds() -> int:
    """Return whole seconds since 1970 UTC, as OpenAI's `created` wants them."""
    return int(utc_now().timestamp())
