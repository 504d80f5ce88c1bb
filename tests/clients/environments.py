"""Where the clients are installed: a Python environment for each lock and one for Node, under
`.clients`, made once per lock.
"""

import hashlib
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CLIENTS = ROOT / ".clients"
_STAMP = "installed"


class SetUpError(Exception):
    """An environment could not be made; says why."""


@dataclass(frozen=True)
class Client:
    """One client: what it is called, in which environment it runs, and which program tries it."""

    name: str
    environment: str
    program: str

    @property
    def command(self) -> list[str]:
        """How its cases are run."""
        folder = CLIENTS / self.environment
        if self.environment == "node":
            return ["node", str(folder / self.program), self.name]
        return [str(folder / "bin" / "python"), str(HERE / "python" / self.program)]


CLIENTS_BY_NAME = {
    client.name: client
    for client in (
        Client("openai-python", "openai", "openai_python.py"),
        Client("openai-node", "node", "openai_node.js"),
        Client("ai-sdk-compatible", "node", "ai_sdk.js"),
        Client("ai-sdk-openai", "node", "ai_sdk.js"),
        Client("langchain", "openai", "langchain_openai_chat.py"),
        Client("litellm", "litellm", "litellm_completion.py"),
        Client("pydantic-ai", "openai", "pydantic_ai_agent.py"),
        Client("openai-agents", "openai", "openai_agents.py"),
        Client("instructor", "instructor", "instructor_forms.py"),
        Client("llm", "openai", "llm_command.py"),
    )
}


def make(names: set[str]) -> None:
    """Make these environments as far as they are missing, side by side.

    Raises:
        SetUpError: a tool is missing, or an installation failed.
    """
    with ThreadPoolExecutor() as pool:
        list(pool.map(_make, sorted(names)))


def _make(name: str) -> None:
    if name == "node":
        _make_node()
    else:
        _make_python(name)


def _make_python(name: str) -> None:
    folder, lock = CLIENTS / name, HERE / "python" / f"requirements-{name}.lock"
    if _is_installed(folder, lock):
        return
    _tell(lock.name)
    _run(name, sys.executable, "-m", "venv", "--clear", str(folder))
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
    _run(name, *pip, "--quiet", "--no-deps", "--no-compile", "--require-hashes", "-r", str(lock))
    _write_stamp(folder, lock)


def _make_node() -> None:
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise SetUpError(f"{tool} is needed for the clients in JavaScript (Node 20 or newer)")
    source, folder = HERE / "node", CLIENTS / "node"
    folder.mkdir(parents=True, exist_ok=True)
    lock = source / "package-lock.json"
    if not _is_installed(folder, lock):
        _tell(lock.name)
        for file in (source / "package.json", lock):
            shutil.copy(file, folder)
        _run("node", "npm", "ci", "--prefix", str(folder), "--no-audit", "--no-fund", "--silent")
        _write_stamp(folder, lock)
    # Node looks for packages where a program lies, and they shall not lie among the sources.
    for program in (*source.glob("*.js"), HERE / "cases.json"):
        shutil.copy(program, folder)


def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()


def _is_installed(folder: Path, lock: Path) -> bool:
    stamp = folder / _STAMP
    return stamp.is_file() and stamp.read_text("utf-8") == _digest(lock)


def _write_stamp(folder: Path, lock: Path) -> None:
    (folder / _STAMP).write_text(_digest(lock), "utf-8")


def _tell(lock: str) -> None:
    sys.stderr.write(f"Installing {lock} (this takes a while the first time) …\n")


def _run(name: str, *command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        told = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise SetUpError(f"{name}: {' '.join(command)} ended with {done.returncode}\n{told}")
