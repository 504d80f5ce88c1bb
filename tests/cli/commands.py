"""Running the commands as a person does: real processes."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

SECRET = "cli-secret-0123456789-0123456789-0123456789-0123456789"
PLAIN = {
    name: value
    for name, value in os.environ.items()
    if name in {"PATH", "HOME"} or name.startswith("COVERAGE")
}


def command(
    *words: str, given: str | None = None, cwd: Path | str | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; `given` is its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "orchestrator_worker", *words],
        env={**PLAIN, **variables},
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@contextmanager
def running(
    *words: str, cwd: Path | str | None = None, **variables: str
) -> Generator[tuple[subprocess.Popen[str], str]]:
    """Run a server command; yields it and the first line it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator_worker", *words],
        env={**PLAIN, **variables},
        stdout=subprocess.PIPE,
        cwd=cwd,
        text=True,
    )
    assert process.stdout
    try:
        yield process, process.stdout.readline()
    finally:
        process.terminate()  # not killed: it may have a child to end
        process.wait(10)
        process.stdout.close()
