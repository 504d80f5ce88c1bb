"""`orchestrator-worker config`: what is in force and where it comes from, and what is wrong."""

import sys
from itertools import groupby
from typing import Any

from orchestrator_worker.cli.output import print_json, print_table
from orchestrator_worker.config import Loaded, Variable, load, variables

MASK = "********"


def show_config(*, only_changed: bool, as_json: bool) -> int:
    """Print every setting with its value and source; secrets are masked.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    loaded = load()
    loaded.accepted()
    shown = [
        variable
        for variable in variables()
        if not (only_changed and _source(variable, loaded) == "default")
    ]
    if as_json:
        print_json({variable.name: _as_json(variable, loaded) for variable in shown})
        return 0
    rows: list[tuple[str, ...] | str] = []
    for section, members in groupby(shown, key=lambda variable: variable.section):
        rows.append(f"{section}:")
        rows += [(it.name, _source(it, loaded), _value(it, loaded) or "-") for it in members]
    print_table(rows or ["Every setting has its default."], indent="  ")
    _tell_notices(loaded)
    return 0


def check_config(*, as_json: bool) -> int:
    """Name every mistake in the settings; returns 2 when there is one."""
    loaded = load()
    if as_json:
        print_json({"mistakes": loaded.mistakes, "notices": dict(loaded.sources.notices)})
        return 2 if loaded.mistakes else 0
    loaded.accepted()
    _tell_notices(loaded)
    count = len(loaded.sources.values)
    print(f"The settings are sound: {count} set, {len(variables()) - count} by default.")
    return 0


def _tell_notices(loaded: Loaded) -> None:
    for name, text in loaded.sources.notices.items():
        print(f"note: {name} {text}", file=sys.stderr)


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
