"""`orchestrator-worker serve --reload`: a service that starts again when code or `.env` change.

For development. Team files need no restart: a service picks their changes up by itself.
"""

import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

from watchfiles import PythonFilter, watch

from orchestrator_worker.config import ENV_FILE

_PACKAGE = Path(__file__).parent.parent
LOOK_MILLISECONDS = 500
"""How often `.env` is looked at, and the longest that a signal waits to be heard."""
GRACE_SECONDS = 3
"""What open streams get when the code changes: nobody waits for an old answer."""


def serve_reloading() -> int:
    """Serve in a process of its own, again after each change, until a signal ends it."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    env_file, service = _env_file(), _start()
    try:
        for changes in watch(
            _PACKAGE,
            watch_filter=PythonFilter(),
            stop_event=ended,
            rust_timeout=LOOK_MILLISECONDS,
            yield_on_timeout=True,
        ):
            names = {Path(path).name for _, path in changes}
            if _env_file() != env_file:
                env_file = _env_file()
                names.add(ENV_FILE)
            if names:
                print(f"changed: {', '.join(sorted(names))}; starting again", file=sys.stderr)
                _end(service)
                service = _start()
    finally:
        _end(service)
    return 0


def _env_file() -> tuple[int, int] | None:
    """Return what tells one `.env` from another: editors put a new file in the old one's place."""
    try:
        found = Path(ENV_FILE).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


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
