"""What can become of a subtask, as values: a failed one never takes its siblings down."""

import html
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from orchestrator_worker.claude.usage import Usage
from orchestrator_worker.ids import new_nonce
from orchestrator_worker.orchestration.plan import Subtask


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
    return f"<{tag} {attributes}>\n{text}\n</{tag}>"


def _attribute(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=True)


def as_answer(results: Iterable[Result]) -> str:
    """Return what was found under its subtasks' titles, for when nobody can write it up."""
    return "\n\n".join(
        f"## {result.subtask.title}\n\n{result.text}"
        for result in results
        if isinstance(result, Succeeded)
    )


def gaps(results: Iterable[Result]) -> list[str]:
    """Return a phrase for each part that is missing: its title and the reason."""
    return [
        f"“{result.subtask.title}” ({result.reason})"
        for result in results
        if not isinstance(result, Succeeded)
    ]
