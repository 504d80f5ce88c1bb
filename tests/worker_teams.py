"""A team of ten at work, and teams that treat a failing worker differently."""

from typing import Any

from dumb_upstream import Answer, Reply
from stage import Stage

TEN = [f"Part {number}" for number in range(1, 11)]
TEAMS = {
    "hasty": "[timeouts]\ncoordination = 1\n",
    "flat": "tiers = []\n",
    "skipping": 'missing_dependency = "skip"\n',
    "listing": 'synthesis = "list"\n',
    "typed": """
[types.fact]
output = "json"
[types.fact.schema]
type = "object"
required = ["a"]
properties.a.type = "integer"
[types.hard]
tier = "sonnet"
""",
}


def set_up(stage: Stage, *plan: dict[str, Any], **answers: Answer) -> None:
    """Plan these parts; the worker of the part named `x` answers with `x=`, the others well."""
    stage.upstream.forget()
    stage.upstream.answer("lead", Reply(plan=plan))
    stage.upstream.answer("synthesizer", Reply(text="The answer."))
    # Dependants first: their turns also hold the titles of what they depend on.
    for entry in reversed(plan):
        answer = answers.get(entry["id"], Reply(text="done"))
        stage.upstream.answer_subtask(entry["title"], answer)
