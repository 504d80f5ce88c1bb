"""The prompt files of a team: which sections each role's file has, what they may say, and where
one that is left out comes from.

Knows the files' form and nothing of team.toml. What a section is for stands in `team.py`, at the
field it fills.
"""

from collections.abc import Container, Mapping
from pathlib import Path

from orchestrator_worker.errors import ConfigurationError
from orchestrator_worker.teams.prompts import (
    SYSTEM,
    SectionRule,
    Template,
    check_placeholders,
    parse_prompt,
)
from orchestrator_worker.teams.team import PromptLevel

Sections = Mapping[str, Template]

_LEAD_NAMES = frozenset({"max_subtasks", "delegate", "item"})
"""`{{item}}` stands for itself there: the lead writes it where each item of a list belongs."""
_BRIEF = frozenset({"title", "instructions", "item"})
_NOTHING = SectionRule()
_ABOUT_PLANNING = SectionRule(optional=_LEAD_NAMES)

TYPE_PROMPT = SectionRule(optional=_BRIEF)
"""The prompt of a type of subtask, in team.toml."""


def _turn(level: PromptLevel) -> SectionRule:
    optional = frozenset({"id", "type", "results"})
    if level == "fixed":  # the team has written the prompt; the lead may give it a mere title
        return SectionRule(any_of=_BRIEF, optional=optional)
    return SectionRule(required=frozenset({"instructions"}), optional=optional | _BRIEF)


def _rules(level: PromptLevel) -> dict[str, dict[str, SectionRule]]:
    return {
        "lead.md": {
            SYSTEM: _ABOUT_PLANNING,
            "delegate": _ABOUT_PLANNING,
            "plan": _ABOUT_PLANNING,
            "level-fixed": _ABOUT_PLANNING,
            "level-planned": _ABOUT_PLANNING,
            "level-guarded": _ABOUT_PLANNING,
            "types": SectionRule(required=frozenset({"types"}), optional=_LEAD_NAMES),
            "tiers": SectionRule(required=frozenset({"tiers"}), optional=_LEAD_NAMES),
            "text-plan": _ABOUT_PLANNING,
            "callers-tools": _ABOUT_PLANNING,
            "own-answer": _ABOUT_PLANNING,
            "tool-required": _NOTHING,
            "tool-named": SectionRule(required=frozenset({"tool"})),
            "go-on": _NOTHING,
            "rest": SectionRule(required=frozenset({"subtasks"}), optional=_LEAD_NAMES),
            "repair": SectionRule(required=frozenset({"reasons"}), optional=_LEAD_NAMES),
            "missing": SectionRule(required=frozenset({"gaps"})),
            "review": SectionRule(required=frozenset({"results"}), optional=_LEAD_NAMES | {"gaps"}),
        },
        # No placeholder in the system part: it is the prefix that all workers of a run share.
        "worker.md": {
            SYSTEM: _NOTHING,
            "turn": _turn(level),
            "json-output": _NOTHING,
            "json-schema": SectionRule(required=frozenset({"schema"})),
            "redo": SectionRule(required=frozenset({"previous", "feedback"})),
        },
        "evaluator.md": {
            SYSTEM: SectionRule(optional=frozenset({"min_score"})),
            "turn": SectionRule(required=frozenset({"results"}), optional=frozenset({"min_score"})),
        },
        "synthesizer.md": {
            SYSTEM: _NOTHING,
            "turn": SectionRule(required=frozenset({"results"}), optional=frozenset({"gaps"})),
            "missing": SectionRule(required=frozenset({"gaps"})),
            "heading": SectionRule(required=frozenset({"title"})),
            "gap-note": SectionRule(required=frozenset({"gaps"})),
            "json-object": _NOTHING,
            "json-schema": SectionRule(required=frozenset({"schema"})),
            "json-missing": SectionRule(required=frozenset({"gaps"})),
            "json-repair": SectionRule(required=frozenset({"problem"})),
            "reduce": _NOTHING,
            "reduce-turn": SectionRule(required=frozenset({"results"})),
        },
    }


PROMPT_FILES = tuple(_rules("guarded"))


def read_prompts(folders: tuple[Path, ...], level: PromptLevel) -> dict[str, Sections]:
    """Return the sections of each role's file.

    `folders`: the team's own first, then those it inherits from; a file or a section that one
    leaves out comes from the next.

    Raises:
        ConfigurationError: a file cannot be read as what it is, or a section is nowhere; every line
            names the file.
    """
    found: dict[str, Sections] = {}
    problems: list[str] = []
    for name, rules in _rules(level).items():
        try:
            found[name] = _read_role([folder / name for folder in folders], rules)
        except ConfigurationError as error:
            problems.append(str(error))
    if problems:
        raise ConfigurationError("\n".join(problems))
    return found


def _read_role(files: list[Path], rules: Mapping[str, SectionRule]) -> Sections:
    sections: dict[str, Template] = {}
    for file in files:
        if file.is_file():
            sections = {**_read_file(file, rules.keys()), **sections}
    if missing := sorted(rules.keys() - sections.keys()):
        raise ConfigurationError(
            f"{files[0]}: section {missing[0]!r} is missing here and inherited"
        )
    # Only now: a section that is replaced need not fit the level of the team that replaces it.
    check_placeholders(sections, rules)
    return sections


def _read_file(file: Path, known: Container[str]) -> Sections:
    try:
        return parse_prompt(file.read_text("utf-8"), known, str(file))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: is not UTF-8") from error
