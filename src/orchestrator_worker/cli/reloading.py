"""`orchestrator-worker serve --reload`: a service that starts again when code or `.env` change.

For development. Team files need no restart: a service picks their changes up by itself.
"""

import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

from watchfiles import Change, watch

from orchestrator_worker.config import ENV_FILE

_PACKAGE = Path(__file__).parent.parent
GRACE_SECONDS = 3
"""What open streams get when the code changes: nobody waits for an old answer."""


def serve_reloading() -> int:
    """Serve in a process of its own, again after each change, until a signal ends it."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    env_file = Path(ENV_FILE)
    watched = [_PACKAGE, *([env_file] if env_file.exists() else [])]
    service = _start()
    try:
        for changes in watch(*watched, watch_filter=_counts, stop_event=ended):
            names = sorted({Path(path).name for _, path in changes})
            print(f"changed: {', '.join(names)}; starting again", file=sys.stderr)
            _end(service)
            service = _start()
    finally:
        _end(service)
    return 0


def _counts(_change: Change, path: str) -> bool:
    return path.endswith(".py") or Path(path).name == ENV_FILE


def _start() -> subprocess.Popen[bytes]:
    # In a session of its own: the terminal's Ctrl-C is for us, and we end it.
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator_worker", "serve"], start_new_session=True
    )


def _end(service: subprocess.Popen[bytes]) -> None:
    service.terminate()
    try:
        service.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        service.kill()
        service.wait()
