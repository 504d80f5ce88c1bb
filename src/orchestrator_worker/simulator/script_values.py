"""Reading the control JSON strictly: an unknown key or a wrong type is an error that names its
path.
"""

from collections.abc import Mapping
from typing import Any

from orchestrator_worker.simulator.errors import InvalidRequestError
from orchestrator_worker.simulator.field_checks import join, no_extra_keys, object_at

Kinds = type | tuple[type, ...]
NUMBER = (int, float)


def read_fields(value: Any, fields: Mapping[str, Kinds], path: str) -> dict[str, Any]:
    """The members of an object, each of the type its name is given; null stands for absence."""
    entry = object_at(value, path)
    no_extra_keys(entry, fields, path)
    found = {key: member for key, member in entry.items() if member is not None}
    for key, member in found.items():
        if not _fits(member, fields[key]):
            raise InvalidRequestError(f"unexpected value {member!r}", join(path, key))
    return found


def _fits(member: Any, kinds: Kinds) -> bool:
    if isinstance(member, bool):
        return kinds is bool or (isinstance(kinds, tuple) and bool in kinds)
    return isinstance(member, kinds)


def not_negative(fields: dict[str, Any], keys: tuple[str, ...], path: str) -> None:
    """Refuse negative numbers in those members."""
    for key in keys:
        if fields.get(key, 0) < 0:
            raise InvalidRequestError("must not be negative", join(path, key))
