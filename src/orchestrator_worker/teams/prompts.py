"""Prompt files: Markdown in named sections with `{{name}}` placeholders.

A role's file starts with its system prompt. A line `<!-- name -->` begins another section, such as
the `turn` that carries a worker's subtask. A placeholder stands in double braces; whatever else the
text holds (JSON, single braces, percent signs) passes untouched. Sections and placeholders are
checked when the file is read, so a run never meets a hole in a prompt. A section that a team's file
leaves out is inherited (`roles.py`).
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass

from orchestrator_worker.errors import ConfigurationError

_SECTION = re.compile(r"^<!--\s*([a-z][a-z-]*)\s*-->[ \t]*$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")

SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Template:
    """One section's text."""

    text: str
    file: str = ""
    """Where it comes from; "" for one that is not in a prompt file."""

    @property
    def placeholders(self) -> frozenset[str]:
        """The names in double braces."""
        return frozenset(_PLACEHOLDER.findall(self.text))

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the text with every placeholder replaced; values are not scanned again."""
        return _PLACEHOLDER.sub(lambda match: values[match[1]], self.text)


@dataclass(frozen=True, slots=True)
class SectionRule:
    """What one section of a role's file must and may contain."""

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    any_of: frozenset[str] = frozenset()
    """At least one of these must stand there, where any are named."""

    def complaints(self, template: Template) -> list[str]:
        """Return what is wrong with the placeholders, in words."""
        missing = self.required - template.placeholders
        unknown = template.placeholders - self.required - self.optional - self.any_of
        found = [f"placeholder {{{{{name}}}}} is missing" for name in sorted(missing)]
        if self.any_of and not template.placeholders & self.any_of:
            names = " or ".join(f"{{{{{name}}}}}" for name in sorted(self.any_of))
            found.append(f"placeholder {names} is missing")
        return found + [f"placeholder {{{{{name}}}}} is not known here" for name in sorted(unknown)]


def parse_prompt(text: str, known: Container[str], file: str) -> dict[str, Template]:
    """Split a role's file into its sections. Any but the system prompt may be left out.

    Raises:
        ConfigurationError: a section is empty, unknown or stands twice; every line names `file`.
    """
    pieces = _SECTION.split(text)
    names = [SYSTEM, *pieces[1::2]]
    sections = {
        name: Template(body.strip(), file) for name, body in zip(names, pieces[0::2], strict=True)
    }
    problems = [f"section <!-- {name} --> stands twice" for name in names if names.count(name) > 1]
    for name, template in sections.items():
        if name not in known:
            problems.append(f"section {name!r} is not known here")
        elif not template.text:
            problems.append(f"section {name!r} is empty")
    if problems:
        raise ConfigurationError("\n".join(f"{file}: {problem}" for problem in problems))
    return sections


def check_placeholders(sections: Mapping[str, Template], rules: Mapping[str, SectionRule]) -> None:
    """Hold the sections that a team has in the end against their rules.

    Raises:
        ConfigurationError: a placeholder is missing or unknown; every line names its file.
    """
    problems = [
        f"{template.file}: section {name!r}: {complaint}"
        for name, template in sections.items()
        for complaint in rules[name].complaints(template)
    ]
    if problems:
        raise ConfigurationError("\n".join(problems))
