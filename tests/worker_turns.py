"""A worker's prompt that is quick to read back, and the reading."""

import re
from dataclasses import dataclass

from dumb_upstream import DumbCall

WORKER_PROMPT = """You are one member of a team.

<!-- turn -->
[{{id}}] "{{title}}"
{{instructions}}
===
{{results}}
"""
_TURN = re.compile(r'\[(.*?)\] "(.*?)"\n(.*?)\n===(.*)', re.DOTALL)


@dataclass
class Turn:
    """What a worker was told."""

    id: str
    title: str
    instructions: str
    results: str


def turn_of(text: str) -> Turn:
    match = _TURN.search(text)
    assert match, text
    return Turn(*match.groups())


def turn(call: DumbCall) -> Turn:
    return turn_of(call.last_text)
