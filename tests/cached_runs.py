"""Runs whose workers have something in common that is worth the prompt cache."""

from dumb_upstream import DumbCall
from plans import subtasks, working
from stage import Stage

LONG = "Compare these with great care. " * 100
"""About a thousand tokens; the workers' model caches from 512."""
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": LONG},
    {"role": "assistant", "content": "Which ones?"},
    {"role": "user", "content": "All of them."},
]
BREAKPOINT = {"type": "ephemeral"}


def prepared(stage: Stage) -> Stage:
    """Have three workers, and no calls from earlier tests."""
    stage.upstream.forget()
    working(stage.upstream, *subtasks(1, 2, 3))
    return stage


def marked(call: DumbCall) -> list[str]:
    """The texts of the blocks that carry a cache breakpoint."""
    blocks = [block for message in call.body["messages"] for block in message["content"]]
    found = [it for it in [*call.body.get("system", []), *blocks] if "cache_control" in it]
    assert all(block["cache_control"] == BREAKPOINT for block in found)
    return [block["text"] for block in found]
