"""`orchestrator-worker version`."""

import platform
from importlib.metadata import version as version_of

from orchestrator_worker import __version__
from orchestrator_worker.cli.output import print_json

_NAMED = ("anthropic", "fastapi", "pydantic", "uvicorn")
"""Packages whose versions a report of a defect should name."""


def version(*, as_json: bool) -> int:
    """Print the version and what it runs on."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    system = f"{platform.system()} {platform.machine()}"
    packages = {name: version_of(name) for name in _NAMED}
    if as_json:
        print_json(
            {"version": __version__, "python": python, "system": system, "packages": packages}
        )
        return 0
    print(f"orchestrator-worker {__version__}")
    print(f"{python} on {system}")
    print(", ".join(f"{name} {it}" for name, it in packages.items()))
    return 0
