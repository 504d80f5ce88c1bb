"""The teams that pages show: TOML blocks whose first line is the path of a team file."""

import re
from collections.abc import Iterable

from tests.docs.snippets import Block

_HEAD = re.compile(r"# prompts/([a-z0-9-]+)/team\.toml\n")


def teams_shown(blocks: Iterable[Block]) -> dict[str, str]:
    """Return the text of each team's file by the team's name."""
    found = ((_HEAD.match(block.text), block) for block in blocks if block.language == "toml")
    return {head[1]: block.text for head, block in found if head}
