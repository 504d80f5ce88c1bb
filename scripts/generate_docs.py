"""Writes what the documentation takes from the code: run it after a change to settings, commands or
the API.

    .venv/bin/python scripts/generate_docs.py [--check]

`--check` writes nothing and ends with 1 when something is out of date.
"""

import argparse
import sys
import textwrap
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from orchestrator_worker.config import Variable, variables

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 100


def env_example() -> str:
    """Return `.env.example`."""
    lines = [
        "# Copy to .env and change what you need: every variable is optional outside production.",
        "# The process environment wins over this file; an empty value means not set.",
    ]
    for section, members in groupby(variables(), key=lambda variable: variable.section):
        lines += ["", f"# ── {section} ──"]
        for variable in members:
            lines += [*_comment(variable), f"{variable.name}={variable.default}"]
    return "\n".join(lines) + "\n"


def _comment(variable: Variable) -> list[str]:
    allowed = variable.allowed if variable.allowed not in ("a path", "") else ""
    text = " ".join(filter(None, [variable.description, f"({allowed})" * bool(allowed)]))
    return textwrap.wrap(text.replace("`", ""), WIDTH, initial_indent="# ", subsequent_indent="# ")


WRITTEN: dict[str, Callable[[], str]] = {".env.example": env_example}
"""Each generated file and what it holds."""


def main() -> int:
    """Write what has changed; returns the exit code."""
    parser = argparse.ArgumentParser(
        description="Write what the documentation takes from the code."
    )
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    check = parser.parse_args().check
    stale = [
        name
        for name, content in WRITTEN.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text("utf-8") != content()
    ]
    for name in stale:
        print(f"out of date: {name}" if check else f"wrote {name}", file=sys.stderr)
        if not check:
            (ROOT / name).write_text(WRITTEN[name](), "utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
