"""Runs a page: its steps in one shell, as a reader would type them, in a copy of the repository.

The shell has an empty home, no variables of the developer's, this project's environment as `.venv`,
and the `docker` of `docker_shim.py`. Ports are free ones: they are exchanged in the page and in the
copy alike. What serves runs in the background and is ended after the page.
"""

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

from tests.docs.page_steps import Step, exchanged, on_other_ports, shown_output, steps_of
from tests.docs.snippets import ROOT, Block
from tests.docs.wanted_output import missing_lines

HERE = Path(__file__).parent
PAGE_SECONDS = 200
"""Long, for a busy machine; on a quiet one all pages together take less."""
SHOWN_CHARS = 4000
"""How much of what was printed a failure shows, from its end."""
_STAYS_BEHIND = shutil.ignore_patterns(
    ".git",
    ".venv",
    ".clients",
    ".env",
    ".hypothesis",
    ".coverage*",
    ".*_cache",
    "htmlcov",
    "site",
    "dist",
)
_WITH_PORTS = ("src/**/*.py", "*.py", "*.yml", ".env.example", "Dockerfile", "deploy/**/*")
_PORT = re.compile(r"(?:(?:127\.0\.0\.1|localhost|0\.0\.0\.0):|_PORT=|--port[ =])([1-9]\d{3,4})\b")


class Workshop:
    """What all pages have in common: a copy of the repository, compiled once, and the ports given
    out. Pages may run at the same time.
    """

    def __init__(self, place: Path) -> None:
        self.copy = place / "orchestrator-worker"
        self._given: set[str] = set()
        self._giving = threading.Lock()
        shutil.copytree(ROOT, self.copy, ignore=_STAYS_BEHIND)
        compiling = [sys.executable, "-m", "compileall", "-q", "src", "console_client.py"]
        subprocess.run(compiling, cwd=self.copy, check=True)
        _lend_environment(self.copy)

    def free_ports(self, wanted: set[str]) -> dict[str, str]:
        """Return a port for each, free and not given to another page."""
        found: dict[str, str] = {}
        with self._giving:
            while len(found) < len(wanted):
                with socket.create_server(("127.0.0.1", 0)) as listener:
                    port = str(listener.getsockname()[1])
                if port not in self._given:
                    self._given.add(port)
                    found[sorted(wanted)[len(found)]] = port
        return found

    def trouble_with(self, blocks: list[Block], place: Path) -> list[str]:
        """Run a page in the empty folder `place`; return what is wrong, each with its line and what
        was printed.
        """
        steps = steps_of(blocks)
        shown = filter(shown_output, blocks)
        if not steps:
            return [f"{block.place}: shows what nothing before it prints" for block in shown]
        return _Session(place, blocks, steps).trouble(self)


class _Session:
    """One page, once."""

    def __init__(self, place: Path, blocks: list[Block], steps: list[Step]) -> None:
        self._blocks = blocks
        self._steps = steps
        self._copy = place / "orchestrator-worker"
        self._home = place / "home"
        self._kept = place / "snippets"
        self._bin = place / "bin"

    def trouble(self, workshop: Workshop) -> list[str]:
        ports = workshop.free_ports({"8000", "8100"}.union(*map(_named_ports, self._blocks)))
        self._steps = on_other_ports(self._steps, ports)
        shutil.copytree(workshop.copy, self._copy, symlinks=True)
        _move(self._copy, ports)
        for folder in (self._home, self._kept, self._bin):
            folder.mkdir()
        # Or a request that is refused would pass for one that is answered; and the meter, which a
        # terminal would not show either, would stand in the middle of lines.
        (self._home / ".curlrc").write_text("fail-with-body\nno-progress-meter\n")
        self._write_docker()
        return [*self._run(ports), *self._unlike_the_page()]

    def _write_docker(self) -> None:
        shim = self._bin / "docker"
        words = shlex.join([sys.executable, str(HERE / "docker_shim.py")])
        shim.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        shim.chmod(0o755)

    def _run(self, ports: dict[str, str]) -> list[str]:
        shell = exchanged((HERE / "page_shell.sh").read_text("utf-8"), ports)
        parts = [shell, *(self._part(number, step) for number, step in enumerate(self._steps))]
        script = self._kept / "page.sh"
        script.write_text("\n".join(parts))
        with _ended_group(
            ["bash", str(script)], cwd=self._copy, env=self._environment()
        ) as process:
            try:
                status = process.wait(PAGE_SECONDS)
            except subprocess.TimeoutExpired:
                status = None
        return [] if status == 0 else [self._failure(status)]

    def _part(self, number: int, step: Step) -> str:
        (self._kept / f"step-{number}.sh").write_text(step.script)
        source = f'source "$SNIPPETS/step-{number}.sh"'
        if step.wanted:
            source = f"set +e; {source}; set -e"  # shows what a mistake looks like, too
        return f'STEP={number}; {{ {source}; }} >"$SNIPPETS/printed-{number}" 2>&1 </dev/null'

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self._bin}:{os.environ['PATH']}",
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(self._copy / "src"),
            "PIP_NO_INDEX": "1",
            "SNIPPETS": str(self._kept),
        }

    def _printed(self, number: int) -> str | None:
        """Return what a step has printed; None: it was never reached."""
        file = self._kept / f"printed-{number}"
        return file.read_text("utf-8", "replace") if file.exists() else None

    def _failure(self, status: int | None) -> str:
        reached = [
            number for number in range(len(self._steps)) if self._printed(number) is not None
        ]
        if not reached:
            return f"{self._blocks[0].place}: the shell ended before its first step ({status})"
        last = reached[-1]
        ended = f"not done after {PAGE_SECONDS} s" if status is None else f"exit status {status}"
        return f"{self._steps[last].block.place}: {ended}\n{self._printed(last)}"

    def _unlike_the_page(self) -> Iterator[str]:
        for number, step in enumerate(self._steps):
            printed = self._printed(number)
            if printed is None:
                continue
            if step.wanted:
                yield from _unlike(step.block, step.wanted, printed)
            elif re.search(r'^data: \{"error"', printed, re.MULTILINE):
                yield f"{step.block.place}: the stream ends in an error\n{printed[-SHOWN_CHARS:]}"
        for place, block in enumerate(self._blocks):
            if shown_output(block):
                yield from self._unlike_before(block, self._blocks[:place])

    def _unlike_before(self, block: Block, before: list[Block]) -> Iterator[str]:
        """Compare a block of output with what the last step before it has printed."""
        numbers = {step.block: number for number, step in enumerate(self._steps)}
        doing = [numbers[earlier] for earlier in before if earlier in numbers]
        if not doing:
            yield f"{block.place}: shows what nothing before it prints"
        elif (printed := self._printed(doing[-1])) is not None:
            # What a step serves in the background writes into a log instead.
            served = self._kept.glob(f"served.{doing[-1]}.*")
            logged = [file.read_text("utf-8", "replace") for file in served]
            yield from _unlike(block, block.text, "\n".join([*logged, printed]))


def _unlike(block: Block, wanted: str, printed: str) -> Iterator[str]:
    if missing := missing_lines(wanted, printed):
        lines = "\n".join(f"    {line}" for line in missing)
        yield f"{block.place}: not printed:\n{lines}\nprinted was:\n{printed[-SHOWN_CHARS:]}"


def _named_ports(block: Block) -> set[str]:
    return set(_PORT.findall(block.text))


def _move(copy: Path, ports: dict[str, str]) -> None:
    """Exchange the default ports in a copy, so that no setting has to say so."""
    for pattern in _WITH_PORTS:
        for file in filter(Path.is_file, copy.glob(pattern)):
            text = file.read_text("utf-8")
            if (moved := exchanged(text, ports)) != text:
                file.write_text(moved, "utf-8")


def _lend_environment(copy: Path) -> None:
    """Give the copy this environment as its own, stamped as complete: setting up takes no time, and
    nothing installs into the environment that runs the tests.
    """
    own = copy / ".venv"
    own.mkdir()
    for name in ("bin", "lib"):
        (own / name).symlink_to(Path(sys.prefix) / name)
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", own)
    for lock in ("requirements.lock", "requirements-dev.lock"):
        content = (copy / lock).read_bytes() + (copy / "pyproject.toml").read_bytes()
        (own / f".installed-{hashlib.sha256(content).hexdigest()[:16]}").touch()


@contextlib.contextmanager
def _ended_group(
    command: list[str], cwd: Path, env: dict[str, str]
) -> Generator[subprocess.Popen[bytes]]:
    """Run a command in a process group of its own, and let nothing of it stay."""
    process = subprocess.Popen(command, cwd=cwd, env=env, start_new_session=True)
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
