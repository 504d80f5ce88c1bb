"""Results too long to be read at once, shortened in parallel before the answer is written: a tree
whose leaves are the results and whose root fits the synthesizer.

The limit is a team's (`reduce_above_tokens`), below both the synthesizer's window and the length
from which its model costs more per token. Nothing here decides what the answer says.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

from orchestrator_worker.claude.client import Call, ClaudeClient, whole_answer
from orchestrator_worker.claude.tokens import estimate_tokens
from orchestrator_worker.errors import UpstreamError
from orchestrator_worker.orchestration.events import ReductionStarted
from orchestrator_worker.orchestration.plan import Subtask
from orchestrator_worker.orchestration.results import Succeeded, as_data
from orchestrator_worker.orchestration.run import Run

MAX_LEVELS = 4
"""Each level makes the whole several times shorter; what needs more is cut."""
LEAST_SHARE = 4
"""However long the conversation, results get this fraction of the limit."""
MAX_BATCHES = 64
"""Of one level; what is longer is read in longer pieces."""
LEAST_SHARE_TOKENS = 256
"""What a reducer may write at least; a few sentences."""
BATCHES_PER_LIMIT = 2
"""A reducer reads this fraction of the limit, so that there are always several, side by side."""


class Reduction:
    """Shortens the results of one run."""

    def __init__(self, claude: ClaudeClient, run: Run, deadline: float) -> None:
        self._claude = claude
        self._run = run
        self._deadline = deadline
        whole = run.request.team.reduce_above_tokens
        # The conversation stands in the same prompt, and cannot be shortened.
        beside = whole - run.conversation.words.estimated_tokens
        self._limit = max(beside, whole // LEAST_SHARE)
        self._parts: dict[str, tuple[str, ...]] = {}
        """The titles of the subtasks that went into a shortened part, by its own title."""
        self._unread: dict[str, None] = {}
        """Titles of what was cut because nobody could shorten it."""

    async def fit(self, results: Sequence[Succeeded]) -> Sequence[Succeeded]:
        """Return the results, or what was made of them, in at most the limit's tokens."""
        for _level in range(MAX_LEVELS):
            if _tokens(results) <= self._limit:
                break
            results = await self._shorten(results)
        self._run.omissions += [
            f"parts of “{title}”, which could not be shortened" for title in self._unread
        ]
        return results if _tokens(results) <= self._limit else _cut(results, self._limit)

    async def _shorten(self, results: Sequence[Succeeded]) -> Sequence[Succeeded]:
        each = max(self._limit // BATCHES_PER_LIMIT, _tokens(results) // MAX_BATCHES)
        parts = list(batches(results, each))
        await self._run.emit(ReductionStarted(len(parts), _tokens(results)))
        places = asyncio.Semaphore(self._run.request.team.caps.max_concurrent_workers)
        share = max(self._limit // len(parts), LEAST_SHARE_TOKENS)

        async def reduce(number: int, batch: list[Succeeded]) -> list[Succeeded]:
            async with places:
                return await self._reduce(number, batch, share)

        async with asyncio.TaskGroup() as tasks:
            shortened = [
                tasks.create_task(reduce(number, batch))
                for number, batch in enumerate(parts, start=1)
            ]
        return [result for task in shortened for result in task.result()]

    async def _reduce(self, number: int, batch: list[Succeeded], share: int) -> list[Succeeded]:
        titles = self._titles(batch)
        subtask = Subtask(f"part-{number}", "; ".join(titles), "")
        self._parts[subtask.title] = titles
        try:
            text, stopped = await whole_answer(self._claude, self._call(subtask, batch, share))
        except UpstreamError:
            text, stopped = "", ""
        if not text:
            self._unread |= dict.fromkeys(titles)
            return _cut(batch, min(share, self._run.request.team.synthesizer.max_tokens))
        truncated = stopped == "max_tokens" or any(result.truncated for result in batch)
        return [replace(batch[0], subtask=subtask, text=text, truncated=truncated)]

    def _titles(self, batch: list[Succeeded]) -> tuple[str, ...]:
        own = (result.subtask.title for result in batch)
        return tuple(dict.fromkeys(it for name in own for it in self._parts.get(name, (name,))))

    def _call(self, subtask: Subtask, batch: list[Succeeded], share: int) -> Call:
        run, member = self._run, self._run.request.team.synthesizer
        conversation = run.conversation.words
        return Call(
            model=member.model,
            max_tokens=min(member.max_tokens, share),
            effort=member.effort,
            system=conversation.system_after(member.reduce.text),
            messages=conversation.with_turn(member.reduce_turn.fill({"results": as_data(batch)})),
            origin=run.origin("reducer", subtask),
            ledger=run.ledger,
            idle_seconds=run.request.team.deadlines.idle_seconds,
            deadline=self._deadline,
        )


def _cut(results: Sequence[Succeeded], tokens: int) -> list[Succeeded]:
    """Return the results with each cut so far that together they have about `tokens` at most."""
    each = max(1, tokens // len(results))
    return [
        result
        if (own := estimate_tokens(result.text)) <= each
        else replace(result, text=result.text[: len(result.text) * each // own], truncated=True)
        for result in results
    ]


def _tokens(results: Sequence[Succeeded]) -> int:
    return sum(estimate_tokens(result.text) for result in results)


def batches(results: Sequence[Succeeded], limit: int) -> Iterator[list[Succeeded]]:
    """Yield neighbours together, each batch of at most `limit` tokens; a result that is longer is
    spread over several.
    """
    batch: list[Succeeded] = []
    size = 0
    for piece in _pieces(results, limit):
        tokens = estimate_tokens(piece.text)
        if batch and size + tokens > limit:
            yield batch
            batch, size = [], 0
        batch.append(piece)
        size += tokens
    yield batch


def _pieces(results: Sequence[Succeeded], limit: int) -> Iterator[Succeeded]:
    for result in results:
        tokens = estimate_tokens(result.text)
        length = len(result.text) if tokens <= limit else len(result.text) * limit // tokens
        for start in range(0, len(result.text), length):
            yield replace(result, text=result.text[start : start + length])
