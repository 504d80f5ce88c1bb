"""Keeps files and functions short: run by scripts/test.sh.

A file stops at 500 lines and a function at 80. The few that may be longer stand in
scripts/size_exceptions.toml with the reason; an exception that is no longer needed, or could be
tighter, is an error too, so that sizes only go down.
"""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 80


def main() -> int:
    """Return 1 when something is too long, after naming it."""
    exceptions = tomllib.loads((ROOT / "scripts/size_exceptions.toml").read_text("utf-8"))
    problems: list[str] = []
    for name in _tracked():
        allowed = exceptions.get("files", {}).pop(name, {}).get("lines", MAX_FILE_LINES)
        text = (ROOT / name).read_text("utf-8")
        lines = text.count("\n")
        if lines > allowed:
            problems.append(f"{name}: {lines} lines, {allowed} are allowed")
        elif allowed > MAX_FILE_LINES and lines < allowed - 50:
            problems.append(f"{name}: {lines} lines; lower its exception from {allowed}")
        problems += [f"{name}:{problem}" for problem in _long_functions(text)]
    problems += [f"{name}: its exception is not needed" for name in exceptions.get("files", {})]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0:
        return [name for name in listed.stdout.split() if (ROOT / name).is_file()]
    # Without git (an unpacked archive) everything outside hidden folders counts.
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
    return [str(path) for path in found if not any(part.startswith(".") for part in path.parts)]


def _long_functions(text: str) -> list[str]:
    problems: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                problems.append(f"{node.lineno}: {node.name} has {lines} lines")
    return problems


if __name__ == "__main__":
    sys.exit(main())
