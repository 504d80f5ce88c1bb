"""Each variable as people read of it: its section, default, what it may be and what it is for.

Everything comes from the fields of the settings; the documentation, `.env.example` and the
`config` command are written from here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from orchestrator_worker.config.settings import RATE, Group, Settings

FILE_SUFFIX = "_FILE"


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of the environment."""

    name: str
    section: str
    path: tuple[str, ...]
    """Where its value stands in `Settings`: group, then field; of a `_FILE`, its secret's."""
    default: str
    """As `.env.example` has it; empty: not set."""
    allowed: str
    """What it may be, in words."""
    description: str
    secret: bool
    """Whether its value must not be shown."""
    names_file: bool
    """Whether it names a file that holds the secret."""


@cache
def variables() -> tuple[Variable, ...]:
    """Return every variable the service reads, in the order of the groups."""
    found: list[Variable] = []
    for name, field in Settings.model_fields.items():
        group = group_of(field)
        if group is None:
            found += _described("Where it runs", (name,), field)
            continue
        heading = (group.__doc__ or "").splitlines()[0].rstrip(".")
        for inner, inner_field in group.model_fields.items():
            found += _described(heading, (name, inner), inner_field)
    return tuple(found)


def variable_names() -> tuple[str, ...]:
    """Return their names."""
    return tuple(variable.name for variable in variables())


def group_of(field: FieldInfo) -> type[Group] | None:
    """Return the group of a field of `Settings`; None: it is a value itself."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, Group) else None


def _described(section: str, path: tuple[str, ...], field: FieldInfo) -> Iterator[Variable]:
    name = field.validation_alias
    if not isinstance(name, str):
        return
    secret = SecretStr in _types(field)
    yield Variable(
        name,
        section,
        path,
        default=_text(field.default),
        allowed=_allowed(field),
        description=" ".join((field.description or "").split()),
        secret=secret,
        names_file=False,
    )
    if secret:
        yield Variable(
            name + FILE_SUFFIX,
            section,
            path,
            default="",
            allowed="a path",
            description=f"A file that holds it, instead of `{name}`.",
            secret=False,
            names_file=True,
        )


def _types(field: FieldInfo) -> tuple[Any, ...]:
    annotation = field.annotation
    if get_origin(annotation) in (Union, UnionType):
        return get_args(annotation)
    return (annotation,)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return str(value)


def _allowed(field: FieldInfo) -> str:
    kind = _types(field)[0]
    if get_origin(kind) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(kind))
    if kind is bool:
        return "`true`, `false`"
    if bounds := _bounds(field):
        return bounds
    if RATE in field.metadata:
        return "a rate: `10/minute`, `100/hour`"
    if kind is Path:
        return "a path"
    if get_origin(kind) is tuple:
        return "words separated by commas"
    return ""


def _bounds(field: FieldInfo) -> str:
    least = [rule.ge for rule in field.metadata if isinstance(rule, Ge)]
    most = [rule.le for rule in field.metadata if isinstance(rule, Le)]
    return f"{least[0]} to {most[0]}" if least and most else ""
