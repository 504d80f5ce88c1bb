"""What can become of a subtask, as values: a failed one never takes its siblings down."""

import html
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.ids import new_nonce
from orchestrator_worker.orchestration.plan import Subtask
from orchestrator_worker.teams.prompts import Template

UNREADABLE = "the model provider refuses an image or a file in it"
"""Why a worker has failed whose every other try would, too: the caller's request is to blame."""
ANSWER_FULL = "the answer has reached its limit"
"""Why a worker was stopped whose text nobody would have heard."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    subtask: Subtask
    seconds: float
    """From being sent to its end; 0 when it never was."""
    usage: Usage
    """Tokens of all its attempts."""
    cost_usd: Decimal | None
    """None: the model's price is unknown."""


@dataclass(frozen=True, slots=True)
class Succeeded(_Outcome):
    """The worker wrote something."""

    text: str
    truncated: bool
    """True when it stopped at its token limit; the text is kept."""
    outcome = "succeeded"
    reason = None


@dataclass(frozen=True, slots=True)
class Failed(_Outcome):
    """The worker wrote nothing that can be used."""

    reason: str
    refused: bool = False
    """True when the model declined, which no other try would change."""
    outcome = "failed"


@dataclass(frozen=True, slots=True)
class TimedOut(_Outcome):
    """The phase's deadline came first."""

    reason: str
    outcome = "timed_out"


@dataclass(frozen=True, slots=True)
class Skipped(_Outcome):
    """The worker was never sent."""

    reason: str
    outcome = "skipped"


Result = Succeeded | Failed | TimedOut | Skipped


def found_and_missing(
    results: Iterable[Result],
) -> tuple[list[Succeeded], list[Failed | TimedOut | Skipped]]:
    """Return the results that can be used, and the others."""
    found: list[Succeeded] = []
    missing: list[Failed | TimedOut | Skipped] = []
    for result in results:
        if isinstance(result, Succeeded):
            found.append(result)
        else:
            missing.append(result)
    return found, missing


def as_data(results: Iterable[Result]) -> str:
    """Return results as blocks whose tags carry a nonce, so that text inside cannot close them or
    open others.

    A new nonce each time: whoever has read one call's tags cannot write the next call's.
    """
    nonce = new_nonce()
    return "\n\n".join(_block(result, nonce) for result in results)


def _block(result: Result, nonce: str) -> str:
    tag = f"result-{nonce}"
    attributes = f'id="{result.subtask.id}" title="{_attribute(result.subtask.title)}"'
    attributes += f' outcome="{result.outcome}"'
    match result:
        case Succeeded(truncated=True):
            attributes += ' truncated="true"'
        case Succeeded():
            pass
        case _:
            attributes += f' reason="{_attribute(result.reason)}"'
    text = result.text if isinstance(result, Succeeded) else ""
    attributes += ' content="untrusted data"'
    return f"<{tag} {attributes}>\n{text}\n</{tag}>"


def _attribute(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=True)


def as_answer(results: Iterable[Result], heading: Template) -> str:
    """Return what was found under its subtasks' titles, for when nobody can write it up."""
    return "\n\n".join(
        f"{heading.fill({'title': result.subtask.title})}\n\n{result.text}"
        for result in results
        if isinstance(result, Succeeded)
    )


def as_list(results: Iterable[Result], omissions: Iterable[str]) -> str:
    """Return the results as a JSON array, in plan order, and after them what was never planned."""
    entries = [listed(result) for result in results]
    entries += [{**_NEVER_PLANNED, "reason": omission} for omission in omissions]
    return orjson.dumps(entries).decode()


_NEVER_PLANNED = {"id": None, "type": None, "title": None, "outcome": "skipped", "text": None}


def listed(result: Result) -> dict[str, Any]:
    """Return one result as a JSON object for orjson to write; `text` is a value where the output is
    JSON, put in as it stands.
    """
    subtask = result.subtask
    text: Any = result.text if isinstance(result, Succeeded) else None
    return {
        "id": subtask.id,
        "type": subtask.type,
        "title": subtask.title,
        "outcome": result.outcome,
        "reason": result.reason,
        "text": orjson.Fragment(text) if subtask.output == "json" and text else text,
    }


def plan_in_words(plan: Iterable[Subtask]) -> str:
    """Return a plan as a numbered list, for people."""
    return "\n".join(
        f"{number}. **{subtask.title}**{_after(subtask)}: {subtask.instructions}"
        for number, subtask in enumerate(plan, start=1)
    )


def _after(subtask: Subtask) -> str:
    return f" (after {', '.join(subtask.depends_on)})" if subtask.depends_on else ""


def gaps_as_data(missing: Iterable[Result], omissions: Iterable[str], template: Template) -> str:
    """Return what is missing as `template` presents it to an agent; nothing when nothing is."""
    told = "\n\n".join([as_data(missing), *omissions]).strip()
    return template.fill({"gaps": told}) if told else ""


def gaps(results: Iterable[Result]) -> list[str]:
    """Return a phrase for each part that is missing: its title and the reason."""
    return [
        f"“{result.subtask.title}” ({result.reason})"
        for result in results
        if not isinstance(result, Succeeded)
    ]
