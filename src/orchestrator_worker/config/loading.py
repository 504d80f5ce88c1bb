"""Checks what was found as a whole: all mistakes are named at once, and never a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from orchestrator_worker.config.settings import Settings
from orchestrator_worker.config.sources import ENV_FILE, Found, Sources, read_sources
from orchestrator_worker.config.variables import FILE_SUFFIX, variables
from orchestrator_worker.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force, or what is wrong with them."""

    settings: Settings
    """What is wrong has its default here."""
    sources: Sources
    mistakes: tuple[str, ...]
    """One line each: the variable, what is wrong, where it is set. Never a value."""

    def accepted(self) -> Settings:
        """Return the settings.

        Raises:
            ConfigurationError: one line per mistake.
        """
        if self.mistakes:
            raise ConfigurationError("\n".join(self.mistakes))
        return self.settings


def load_settings() -> Settings:
    """Read and check the environment.

    Raises:
        ConfigurationError: one line per mistake, each naming its variable and never its value.
    """
    return load().accepted()


def load() -> Loaded:
    """Read the environment and find all that is wrong with it."""
    sources = read_sources()
    mistakes = dict(sources.mistakes)
    values = {name: found for name, found in sources.values.items() if name not in mistakes}
    try:
        settings = _build(sources, values)
    except ValidationError as error:
        mistakes |= _blamed(error)
        # The rest is right, and may still contradict itself.
        kept = {name: found for name, found in values.items() if name not in mistakes}
        settings = _build(sources, kept)
    for name, reason in settings.contradictions():
        if not {name, name + FILE_SUFFIX} & mistakes.keys():
            mistakes[name] = reason
    lines = tuple(_line(name, reason, values) for name, reason in mistakes.items())
    return Loaded(settings, sources, lines)


def _build(sources: Sources, values: Mapping[str, Found]) -> Settings:
    fields: dict[str, Any] = {"state_home": sources.state_home}
    for variable in variables():
        if variable.names_file or variable.name not in values:
            continue
        *groups, _ = variable.path
        place = fields
        for group in groups:
            place = place.setdefault(group, {})
        place[variable.name] = values[variable.name].value
    return Settings.model_validate(fields)


def _blamed(error: ValidationError) -> dict[str, str]:
    mistakes = error.errors(include_url=False, include_context=False, include_input=False)
    return {
        # The alias of the field comes first in a place inside it.
        next(str(part) for part in mistake["loc"] if str(part).isupper()): mistake["msg"]
        .removeprefix("Value error, ")
        .removeprefix("Input ")
        for mistake in mistakes
    }


def _line(name: str, reason: str, values: Mapping[str, Found]) -> str:
    """Return a mistake in one line; what stands in `.env` says so, for there one looks last."""
    place = f" (in {ENV_FILE})" if name in values and values[name].source == ENV_FILE else ""
    return f"{name}: {reason}{place}"
