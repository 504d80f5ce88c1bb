"""What the caller said, as every agent of a run receives it."""

from dataclasses import dataclass
from functools import cached_property

from orchestrator_worker.claude.client import Message
from orchestrator_worker.claude.tokens import estimate_tokens


@dataclass(frozen=True)
class Conversation:
    """The caller's instructions and history; starts and ends with a user turn."""

    system: tuple[str, ...]
    """The caller's system and developer messages, in order; may be empty."""
    messages: tuple[Message, ...]

    def with_turn(self, text: str) -> tuple[Message, ...]:
        """Return the messages with `text` as one more block of the last user turn.

        Everything before that block stays byte for byte the same, which is what lets workers share
        a cached prefix.
        """
        *history, last = self.messages
        return (*history, Message("user", (*last.content, text)))

    def system_after(self, *own: str) -> tuple[str, ...]:
        """Return a role's own prompt, if it has one, followed by the caller's instructions."""
        return tuple(text for text in (*own, *self.system) if text)

    @cached_property
    def estimated_tokens(self) -> int:
        """About how many tokens all of it is."""
        texts = (text for message in self.messages for text in message.content)
        return sum(map(estimate_tokens, (*self.system, *texts)))

    @property
    def last_request(self) -> str:
        """The text of the last user turn."""
        return "\n\n".join(self.messages[-1].content)
