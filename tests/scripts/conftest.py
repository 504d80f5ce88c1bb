"""A checkout for the scripts: at a path with spaces, without anybody's `.env`."""

import hashlib
import shlex
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LOCKED = ("requirements-dev.lock", "pyproject.toml")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The scripts in a checkout of their own, whose `.venv` leads to the tools of this one."""
    root = tmp_path / "a check out"
    shutil.copytree(ROOT / "scripts", root / "scripts")
    for name in LOCKED:
        shutil.copy(ROOT / name, root)
    tools = root / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name in ("python", "ruff", "orchestrator-worker"):
        tool = tools / name
        real = shlex.quote(str(Path(sys.executable).with_name(name)))
        tool.write_text(f'#!/bin/sh\nexec {real} "$@"\n')
        tool.chmod(0o755)
    # As scripts/venv.sh writes down what it has installed.
    installed = hashlib.sha256(b"".join((root / name).read_bytes() for name in LOCKED))
    (root / ".venv" / f".installed-{installed.hexdigest()[:16]}").touch()
    return root
