"""Where values come from: the process environment, over `.env` in the working directory, over
files that hold a secret.

Empty means not set. What an operator may have meant and this service does not read is told as a
notice: settings of similar services that something else has replaced, and misspelt names.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream
from pydantic_settings import BaseSettings, EnvSettingsSource

from orchestrator_worker.config.variables import FILE_SUFFIX, Variable, variable_names, variables

ENV_FILE = ".env"
ENVIRONMENT = "environment"
LONGEST_SECRET_BYTES = 64 * 1024
ALIKE = {ENV_FILE: 0.85, ENVIRONMENT: 0.9}
"""How like one of our names (`difflib`'s ratio) an unknown one must be to pass for a slip: the
environment is everybody's.
"""

_EFFORT = "Claude takes no temperature; {role}_EFFORT says how much the agent thinks"
REPLACED = {
    "ORCHESTRATOR_TEMPERATURE": _EFFORT.format(role="ORCHESTRATOR"),
    "WORKER_TEMPERATURE": _EFFORT.format(role="WORKER"),
    "SYNTHESIZER_TEMPERATURE": _EFFORT.format(role="SYNTHESIZER"),
    "STREAMING_TIMEOUT": "each phase has its own: WORKER_COORDINATION_TIMEOUT, SYNTHESIS_TIMEOUT, "
    "DIRECT_ANSWER_TIMEOUT, and STREAM_IDLE_TIMEOUT for silence",
    "STREAMING_CHUNK_BUFFER": "every piece of text is sent on as it comes",
    "LOKI_URL": "logs go to standard output (LOG_FORMAT=json); let a log shipper send them on",
}
"""Variables of similar services, and what there is instead."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value and where it was found."""

    value: str
    source: str
    """`environment`, `.env`, or the path of the file that holds it."""


@dataclass(frozen=True, slots=True)
class Sources:
    """All that was found."""

    values: Mapping[str, Found]
    """By the name of the variable, which for a secret from a file is the secret's."""
    mistakes: Mapping[str, str]
    """What could not be read, by the name of the variable or file, and why."""
    notices: Mapping[str, str]
    """What has no effect, by its name, and what there is to do about it."""
    state_home: Path | None
    """None: the user has no home."""


def read_sources() -> Sources:
    """Read everything; what cannot be read is a mistake among the others."""
    mistakes: dict[str, str] = {}
    process = _set(EnvSettingsSource(BaseSettings).env_vars)
    in_file = _env_file(mistakes)
    values = {name: Found(value, ENV_FILE) for name, value in in_file.items()}
    values |= {name: Found(value, ENVIRONMENT) for name, value in process.items()}
    ours = {name: values[name] for name in variable_names() if name in values}
    for variable in variables():
        if not variable.names_file or variable.name not in ours:
            continue
        if wrong := _take_from_file(variable, ours):
            mistakes[variable.name] = wrong
    for name, found in ours.items():
        if not found.value.isascii() and any("\ud800" <= char <= "\udfff" for char in found.value):
            mistakes[name] = "holds bytes that are not UTF-8"
    return Sources(
        values=ours,
        mistakes=mistakes,
        notices=dict(_notices(process, in_file)),
        state_home=_state_home(process.get("XDG_STATE_HOME")),
    )


def _set(variables: Mapping[str, str | None]) -> dict[str, str]:
    stripped = {name.upper(): (value or "").strip() for name, value in variables.items()}
    return {name: value for name, value in stripped.items() if value}


def _state_home(configured: str | None) -> Path | None:
    if configured:
        return Path(configured)
    try:
        return Path.home() / ".local" / "state"
    except RuntimeError:
        return None


def _env_file(mistakes: dict[str, str]) -> dict[str, str]:
    file = Path(ENV_FILE)
    if not file.is_file():
        # A directory is what a container engine makes of a missing file.
        if file.is_symlink() or file.exists():
            mistakes[ENV_FILE] = "is not a file"
        return {}
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        mistakes[ENV_FILE] = f"is not UTF-8 (byte {error.start})"
        return {}
    except OSError as error:
        mistakes[ENV_FILE] = f"cannot be read ({error.strerror})"
        return {}
    # As it stands: nothing is put in for `${...}`, which a secret may well hold.
    bindings = list(parse_stream(StringIO(text)))
    for binding in bindings:
        if binding.error or (binding.key and binding.value is None):
            mistakes[f"{ENV_FILE}, line {binding.original.line}"] = "is not NAME=value"
    return _set({binding.key: binding.value for binding in bindings if binding.key})


def _take_from_file(variable: Variable, values: dict[str, Found]) -> str:
    """Put the secret that a `_FILE` names in its place; returns what is wrong with it, if any."""
    name = variable.name.removesuffix(FILE_SUFFIX)
    if name in values:
        return f"is set beside {name}; set one of the two"
    path = values[variable.name].value
    if Path(path).exists() and not Path(path).is_file():
        return f"{path!r} is not a file"
    try:
        with Path(path).open("rb") as file:
            content = file.read(LONGEST_SECRET_BYTES + 1)
        secret = content.decode("utf-8").strip()
    except OSError as error:
        return f"cannot read {path!r} ({error.strerror})"
    except UnicodeDecodeError:
        return f"{path!r} is not UTF-8 text"
    if not secret or len(content) > LONGEST_SECRET_BYTES:
        return f"{path!r} is {'too large' if secret else 'empty'}"
    values[name] = Found(secret, path)
    return ""


def _notices(process: Mapping[str, str], in_file: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, instead in REPLACED.items():
        if name in process or name in in_file:
            yield name, f"has no effect: {instead}"
    known = [*variable_names(), *REPLACED]
    for names, place in ((in_file, ENV_FILE), (process, ENVIRONMENT)):
        for name in names:
            alike = difflib.get_close_matches(name, known, n=1, cutoff=ALIKE[place])
            if alike and name not in known:
                yield name, f"has no effect; did you mean {alike[0]}?"


def process_variable(name: str) -> str | None:
    """Return a variable of the process that is no setting of the service, such as a client's."""
    return _set(EnvSettingsSource(BaseSettings).env_vars).get(name)
