"""Stop sequences: an answer ends before the first of them, wherever its pieces are cut.

The service cuts by itself, since the API takes no blank ones, and an answer may be made of several
calls.
"""


class StopSequences:
    """Reads one answer; nothing of a stop sequence is ever passed on, not even its beginning."""

    def __init__(self, sequences: tuple[str, ...]) -> None:
        self._sequences = sequences
        self._longest = max(map(len, sequences), default=0)
        self._held = ""
        """The end of the text so far, where it may be the beginning of a sequence."""
        self.met = False
        """True once a sequence has come; all that follows it is dropped."""

    def feed(self, text: str) -> str:
        """Take a piece and return what of the answer is certain by now."""
        if not self._sequences:
            return text
        if self.met:
            return ""
        seen = self._held + text
        if (end := self._first_in(seen)) is not None:
            self.met = True
            self._held = ""
            return seen[:end]
        kept = self._kept(seen)
        self._held = seen[len(seen) - kept :]
        return seen[: len(seen) - kept]

    def rest(self) -> str:
        """Return what was held back of an answer that has ended without its sequence."""
        rest, self._held = self._held, ""
        return rest

    def _first_in(self, seen: str) -> int | None:
        """Return where the sequence begins that is complete first; of several, the longest."""
        found = [
            (at + len(sequence), at)
            for sequence in self._sequences
            if (at := seen.find(sequence)) >= 0
        ]
        return min(found)[1] if found else None

    def _kept(self, seen: str) -> int:
        for size in range(min(self._longest - 1, len(seen)), 0, -1):
            end = seen[-size:]
            if any(len(it) > size and it.startswith(end) for it in self._sequences):
                return size
        return 0
