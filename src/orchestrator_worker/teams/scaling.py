"""What a caller's `reasoning_effort` makes of a team, for one request.

Less effort than usual saves, more deliberates longer and splits finer; a team's own settings are
the middle.
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeVar, get_args

from orchestrator_worker.claude.client import Effort
from orchestrator_worker.teams.team import Caps, Member, Route, Team

ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""As OpenAI's API has it, and `max` as Claude's has."""

_M = TypeVar("_M", bound=Member)
_ORDER: tuple[Effort, ...] = get_args(Effort)


@dataclass(frozen=True, slots=True)
class _Scale:
    route: Route | None = None
    """None: the team's."""
    at_most: Effort = "max"
    """Bounds of the lead's effort."""
    at_least: Effort = "low"
    others: Effort = "low"
    """The least effort of the other roles."""
    caps: int = 100
    """Percent of the team's caps on a plan."""
    output: int = 100
    """Percent of every role's `max_tokens`: thinking is output too."""


_SCALES: dict[ReasoningEffort, _Scale] = {
    "none": _Scale(route="never", at_most="low"),
    "minimal": _Scale(route="never", at_most="low"),
    "low": _Scale(at_most="low"),
    "medium": _Scale(),
    "high": _Scale(at_least="high", others="medium", caps=150, output=150),
    "xhigh": _Scale(at_least="xhigh", others="high", caps=200, output=200),
    "max": _Scale(at_least="max", others="high", caps=200, output=200),
}
_MOST_OUTPUT = 128_000


MIN_TOKENS_TO_THINK = 1024
"""A caller's cap below this leaves no room for thinking, nor for a plan."""


def scaled(team: Team, effort: ReasoningEffort | None, max_tokens: int | None) -> Team:
    """Return the team as it works at this effort and under the caller's cap on the answer; None: as
    it is.
    """
    if effort is not None:
        team = _at_effort(team, effort)
    if max_tokens is None or max_tokens >= MIN_TOKENS_TO_THINK:
        return team
    return replace(
        team,
        lead=replace(team.lead, effort="low"),
        worker=replace(team.worker, effort="low"),
        synthesizer=replace(team.synthesizer, effort="low"),
    )


def _at_effort(team: Team, effort: ReasoningEffort) -> Team:
    scale = _SCALES[effort]
    lead = _higher(_lower(team.lead.effort, scale.at_most), scale.at_least)
    return replace(
        team,
        route=scale.route or team.route,
        lead=replace(_deliberate(team.lead, scale), effort=lead),
        evaluator=team.evaluator and _deliberate(team.evaluator, scale),
        worker=_deliberate(team.worker, scale),
        synthesizer=_deliberate(team.synthesizer, scale),
        caps=_wider(team.caps, scale.caps),
    )


def _deliberate(member: _M, scale: _Scale) -> _M:
    max_tokens = min(member.max_tokens * scale.output // 100, _MOST_OUTPUT)
    return replace(member, effort=_higher(member.effort, scale.others), max_tokens=max_tokens)


def _wider(caps: Caps, percent: int) -> Caps:
    most = min(caps.max_subtasks * percent // 100, caps.max_workers)
    return replace(caps, max_subtasks=max(most, caps.max_subtasks))


def _lower(one: Effort, other: Effort) -> Effort:
    return _ORDER[min(_ORDER.index(one), _ORDER.index(other))]


def _higher(one: Effort, other: Effort) -> Effort:
    return _ORDER[max(_ORDER.index(one), _ORDER.index(other))]
