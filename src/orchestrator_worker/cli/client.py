"""The console client, as `ask` uses it: the file of the checkout, which the package carries along.

It stays one file that imports nothing of the package, so that it can be copied to where only Python
is; here it is loaded from that file, for there shall be one client and not two.
"""

import argparse
import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

_NAME = "console_client"


def client_file() -> Path:
    """Return the file: inside an installed package, beside `src` in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / f"{_NAME}.py"
    return installed if installed.is_file() else package.parent.parent / f"{_NAME}.py"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the client's own words to a parser."""
    _client().add_arguments(parser, "ORCHESTRATOR_BASE_URL, or a service of its own")


def run(options: argparse.Namespace, token: str | None) -> int:
    """Ask as the options say; returns the exit code. None: the token is in the environment."""
    return _client().run(options, token)


@cache
def _client() -> Any:
    spec = importlib.util.spec_from_file_location(_NAME, client_file())
    if spec is None or spec.loader is None:
        raise FileNotFoundError(client_file())
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
