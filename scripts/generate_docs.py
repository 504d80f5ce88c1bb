"""Writes what the documentation takes from the code: run it after a change to settings, commands or
the API.

    .venv/bin/python scripts/generate_docs.py [--check]

`--check` writes nothing and ends with 1 when something is out of date.
"""

import argparse
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from openapi_pages import api_page

from orchestrator_worker.app import create_app
from orchestrator_worker.cli.parser import build_parser
from orchestrator_worker.config import REPLACED, PathSettings, Settings, Variable, variables

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
            value = f'"{variable.default}"' if " " in variable.default else variable.default
            lines += [*_comment(variable), f"{variable.name}={value}"]
    return "\n".join(lines) + "\n"


def _comment(variable: Variable) -> list[str]:
    allowed = variable.allowed if variable.allowed not in ("a path", "") else ""
    text = " ".join(filter(None, [variable.description, f"({allowed})" * bool(allowed)]))
    return textwrap.wrap(text.replace("`", ""), WIDTH, initial_indent="# ", subsequent_indent="# ")


def configuration() -> str:
    """Return the page of the settings."""
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    page = _filled(page, "settings", "\n".join(_settings_tables()))
    rows = [f"| `{name}` | {instead} |" for name, instead in REPLACED.items()]
    return _filled(page, "replaced", _table("variable", "instead", rows=rows))


def _settings_tables() -> Iterator[str]:
    for section, members in groupby(variables(), key=lambda variable: variable.section):
        yield f"### {section}\n"
        rows = [
            f"| `{it.name}` | {f'`{it.default}`' if it.default else ''} | {it.allowed} | "
            f"{it.description} |"
            for it in members
        ]
        yield _table("variable", "default", "may be", "what it is for", rows=rows) + "\n"


def command_line() -> str:
    """Return the page of the commands."""
    page = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    for name, parser in _commands(build_parser()):
        if name == "teams":
            continue  # only its verbs have words
        page = _filled(page, f"words of {name}", _words(parser))
    return page


def api() -> str:
    """Return the page of the API, as a service with default settings describes it."""
    with TemporaryDirectory() as data:
        paths = PathSettings(data=Path(data))
        app = create_app(Settings(state_home=Path(data), paths=paths))
    return api_page(app.openapi())


def _commands(
    parser: argparse.ArgumentParser, prefix: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        choices: Any = action.choices
        if isinstance(choices, Mapping):  # of subcommands; of values they are a sequence
            for name, child in cast("Mapping[str, argparse.ArgumentParser]", choices).items():
                yield f"{prefix}{name}", child
                yield from _commands(child, f"{prefix}{name} ")


def _words(parser: argparse.ArgumentParser) -> str:
    rows = [
        f"| {_spelling(action)} | {action.help} |"
        for action in parser._actions
        if action.help and "--help" not in action.option_strings
    ]
    return f"{parser.description}\n\n" + (_table("word", "what it does", rows=rows) if rows else "")


def _spelling(action: argparse.Action) -> str:
    takes_value = action.nargs != 0
    value = action.metavar or action.dest.upper()
    if not action.option_strings:
        return f"`{value}`"
    return f"`{', '.join(action.option_strings)}{f' {value}' if takes_value else ''}`"


def _table(*heads: str, rows: list[str]) -> str:
    return "\n".join([f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", *rows])


def _filled(page: str, name: str, content: str) -> str:
    """Return a page whose generated part of that name holds this content."""
    start, end = f"<!-- generated: {name} -->", "<!-- end -->"
    before, found, after = page.partition(start)
    if not found:
        raise SystemExit(f"the page has no place for {name!r}: {start}")
    return f"{before}{start}\n\n{content.strip()}\n\n{end}{after.partition(end)[2]}"


WRITTEN: dict[str, Callable[[], str]] = {
    ".env.example": env_example,
    "docs/configuration.md": configuration,
    "docs/command-line.md": command_line,
    "docs/api.md": api,
}
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
