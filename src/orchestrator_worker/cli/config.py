"""`orchestrator-worker config`: what is in force and where it comes from, and what is wrong."""

import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from orchestrator_worker.cli.output import print_json, print_table
from orchestrator_worker.config import ENV_FILE, Loaded, Variable, load, variables

MASK = "********"


def show_config(*, only_changed: bool, as_json: bool) -> int:
    """Print every setting with its value and source; secrets are masked.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    loaded = load()
    _tell_notices(loaded)
    loaded.accepted()
    shown = [it for it in variables() if not only_changed or _changed(it, loaded)]
    if as_json:
        print_json({variable.name: _as_json(variable, loaded) for variable in shown})
        return 0
    rows: list[tuple[str, ...] | str] = []
    for section, members in groupby(shown, key=lambda variable: variable.section):
        rows.append(f"{section}:")
        rows += [(it.name, _source(it, loaded), _value(it, loaded) or "-") for it in members]
    print_table(rows or ["Every setting has its default."], indent="  ")
    return 0


def check_config(*, as_json: bool) -> int:
    """Name every mistake in the settings; returns 2 when there is one."""
    loaded = load()
    if as_json:
        print_json({"mistakes": loaded.mistakes, "notices": dict(loaded.sources.notices)})
        return 2 if loaded.mistakes else 0
    _tell_notices(loaded)
    loaded.accepted()
    changed = sum(_changed(variable, loaded) for variable in variables())
    count = len(loaded.sources.values)
    print(f"The settings are sound: {count} set, {changed} of them changed from the default.")
    if not Path(ENV_FILE).exists():
        print(f"There is no {ENV_FILE} in {Path.cwd()}.")
    return 0


def _tell_notices(loaded: Loaded) -> None:
    for name, text in loaded.sources.notices.items():
        print(f"note: {name} {text}", file=sys.stderr)


def _changed(variable: Variable, loaded: Loaded) -> bool:
    """Whether it is set to something else than its default, which `.env.example` has."""
    found = loaded.sources.values.get(variable.name)
    return found is not None and found.value != variable.default


def _value(variable: Variable, loaded: Loaded) -> str:
    found = loaded.sources.values.get(variable.name)
    if variable.secret:
        return MASK if found else ""
    return found.value if found else variable.default


def _source(variable: Variable, loaded: Loaded) -> str:
    found = loaded.sources.values.get(variable.name)
    return found.source if found else "default"


def _as_json(variable: Variable, loaded: Loaded) -> dict[str, Any]:
    return {"value": _value(variable, loaded) or None, "source": _source(variable, loaded)}
