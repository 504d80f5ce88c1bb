"""A look at the results of an earlier plan by a model that may plan more: what is still missing.

Results come as data blocks in the last user message, after the request, or as what the tool that
took the plan returned.
"""

from collections.abc import Collection
from dataclasses import dataclass

from orchestrator_worker.simulator.conversation import Conversation
from orchestrator_worker.simulator.part import Part
from orchestrator_worker.simulator.parts import parts_of
from orchestrator_worker.simulator.tagged import TaggedBlock, tagged_blocks
from orchestrator_worker.simulator.wording import clipped, listed

UNNAMED = "one part"


@dataclass(frozen=True, slots=True)
class Review:
    """The results that lie before the model."""

    conversation: Conversation
    results: list[TaggedBlock]

    @property
    def verdict(self) -> str:
        """What to say when there is nothing to plan."""
        return f"Nothing is missing: the results cover {listed(_titles(self.results))}."

    def missing_parts(self) -> list[Part]:
        """What to plan again: the parts whose results are not there."""
        gone = [block for block in self.results if block.failed]
        return [self._again(block, number) for number, block in enumerate(gone, 1)]

    def _again(self, block: TaggedBlock, number: int) -> Part:
        former = block.attributes.get("id")
        id = f"{former}-again" if former else f"r{number}"
        asked = self.conversation.before_last
        known = parts_of(asked) if asked else []
        same = next((p for p in known if p.title.lower() == block.title.lower()), None)
        if same is not None:
            return Part(same.title, same.instruction, refs=same.refs, id=id)
        title = block.title or UNNAMED
        about = f" It belongs to: “{clipped(asked.ask, 200)}”." if asked else ""
        return Part(title, f"Do “{title}” again.{about}", id=id)


def review_of(conversation: Conversation, plan_tools: Collection[str]) -> Review | None:
    """The review that is due, None when the last message is something else."""
    found = [
        block
        for result in conversation.tool_results
        if result.name in plan_tools
        for block in tagged_blocks(result.text)
        if block.kind == "result"
    ]
    if not found and conversation.before_last:
        found = conversation.results
    return Review(conversation, found) if found else None


def _titles(results: list[TaggedBlock]) -> list[str]:
    return [block.title or UNNAMED for block in results]
