"""Single-purpose prompts that chat front ends send beside the chats (a title, tags, follow-up
questions), and what a team is for one of them: its worker's model, asked once.

Owns the comparison; the marks that each is known by stand in `side_tasks.toml`. What is recognised
never delegates, whatever the team's route, so a mark too few costs somebody's question its quality.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from orchestrator_worker.claude.client import Message
from orchestrator_worker.teams.team import Team

_FILE = Path(__file__).with_name("side_tasks.toml")


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SideTask(_Data):
    """One kind of such a prompt, and its marks; the file explains them."""

    product: str
    name: str
    system: tuple[str, ...] = ()
    opens: tuple[str, ...] = ("",)
    has: tuple[str, ...] = ()
    quotes_chat: bool = False
    ends: tuple[str, ...] = ("",)
    after_history: bool = False

    def fits(self, system: Sequence[str], prompt: str, chat_begins: Sequence[str]) -> bool:
        """Whether the prompt has all marks."""
        opening = next((it for it in self.opens if prompt.startswith(it)), None)
        if opening is None or not prompt.endswith(self.ends):
            return False
        if self.system and not any(_stands_in(text, self.system) for text in system):
            return False
        end = _after(prompt, self.has, len(opening))
        if end is None or not self.quotes_chat:
            return end is not None
        return any(prompt.find(it, end) >= 0 for it in chat_begins)


class SideTasks(_Data):
    """All kinds that are known."""

    chat_begins: tuple[str, ...]
    tasks: tuple[SideTask, ...]


@cache
def read_side_tasks() -> SideTasks:
    """Return the kinds of the file that comes with the service; read once, best before serving."""
    return SideTasks.model_validate(tomllib.loads(_FILE.read_text("utf-8")))


def side_task_in(system: Sequence[str], messages: Sequence[Message]) -> SideTask | None:
    """Return which kind of side task these messages are; None: an ordinary chat."""
    turn = messages[-1].content if messages and messages[-1].role == "user" else ()
    if not turn or not isinstance(turn[-1], str):
        return None
    prompt, alone = turn[-1].strip(), len(messages) == len(turn) == 1
    known = read_side_tasks()
    candidates = (it for it in known.tasks if alone != it.after_history)
    return next((it for it in candidates if it.fits(system, prompt, known.chat_begins)), None)


def as_side_task(team: Team, system: Sequence[str], messages: Sequence[Message]) -> Team | None:
    """Return the team as it works for a side task: one plain call of the worker's model, without
    the lead's prompt, progress or cache. None: these messages are no side task.
    """
    if side_task_in(system, messages) is None:
        return None
    worker = team.worker
    lead = replace(team.lead, model=worker.model, max_tokens=worker.max_tokens, effort="low")
    return replace(team, route="never", lead=lead, progress=False, prompt_cache=False)


def _after(text: str, fragments: Sequence[str], start: int) -> int | None:
    """Return where the last of these ends, each found after the one before; None: one is not."""
    for fragment in fragments:
        at = text.find(fragment, start)
        if at < 0:
            return None
        start = at + len(fragment)
    return start


def _stands_in(text: str, fragments: Sequence[str]) -> bool:
    """Whether the first of these begins a line, and the others follow."""
    lines = f"\n{text}"
    at = lines.find(f"\n{fragments[0]}")
    return at >= 0 and _after(lines, fragments, at) is not None
