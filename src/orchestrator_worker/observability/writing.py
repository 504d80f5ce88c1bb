"""Lines on their way to a file descriptor, which may be blocked, closed or full.

The calling thread renders a line and leaves; one daemon thread writes. A reader that stops reading
costs lines, which are counted, and never holds up the event loop. The descriptor is written
without a buffered file in between: interpreter shutdown would wait for such a file's lock.

`QueueHandler` and `QueueListener` of the standard library do not serve: their queue is bounded by
records and not by bytes, a full one prints a traceback per record, and stopping waits for ever.
"""

import logging
import os
import select
import sys
from collections.abc import Callable
from errno import EBADF, EPIPE
from itertools import accumulate
from queue import Empty, SimpleQueue
from threading import RLock, Thread

MAX_QUEUED_BYTES = 8 * 1024**2
CLOSE_SECONDS = 1.0
"""How long the end of the process may wait for a reader."""
_BATCH_BYTES = 64 * 1024
"""A pipe's usual size."""
_STANDARD = {0: "__stdin__", 1: "__stdout__", 2: "__stderr__"}


class LineWriter:
    """Writes lines in the order they are put, as long as somebody reads them."""

    def __init__(self, descriptor: int, tell_dropped: Callable[[int], bytes]) -> None:
        self._descriptor = descriptor
        self._tell_dropped = tell_dropped
        """Returns the line that says how many were lost."""
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._lock = RLock()
        """Of the three counters; reentrant, since a signal may log while a line is put."""
        self._queued_bytes = 0
        self._dropped = 0
        self._full = False
        """From the first line that found no room until all before it are written: one gap."""
        self._torn = False
        """The last line written is incomplete."""
        self.ended = not _is_open(descriptor)
        """Nothing will be written any more."""
        self._thread = Thread(target=self._write_all, name="log-writer", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Have a line written; never waits."""
        if self.ended:
            return
        with self._lock:
            room = not self._queued_bytes or self._queued_bytes + len(line) <= MAX_QUEUED_BYTES
            if self._full or not room:
                self._full = True
                self._dropped += 1
                return
            self._queued_bytes += len(line)
        self._queue.put(line)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write what is queued, for so long at most, and end."""
        self._queue.put(None)
        self._thread.join(seconds)
        self.ended = True

    def _write_all(self) -> None:
        closing = False
        while not (closing or self.ended):
            batch, closing = self._next_batch()
            self._deliver(batch)
            self._tell()
        self._forget_queue()

    def _next_batch(self) -> tuple[list[bytes], bool]:
        """Return lines, and whether they are the last."""
        batch: list[bytes] = []
        size = 0
        line = self._queue.get()
        while line is not None:
            batch.append(line)
            size += len(line)
            if size >= _BATCH_BYTES:
                return batch, False
            try:
                line = self._queue.get_nowait()
            except Empty:
                return batch, False
        return batch, True

    def _deliver(self, batch: list[bytes]) -> None:
        lost = self._write(batch) if batch else 0
        with self._lock:
            self._queued_bytes -= sum(map(len, batch))
            self._dropped += lost

    def _tell(self) -> None:
        with self._lock:
            if not self._queue.empty():
                return
            # From here on lines are taken again; they come after the one that tells of the gap.
            self._full = False
            count = self._dropped
        if count and not self._write([self._tell_dropped(count)]):
            with self._lock:
                self._dropped -= count

    def _write(self, lines: list[bytes]) -> int:
        """Write the lines; returns how many of them are lost."""
        whole = b"".join(lines)
        if self._torn:
            whole = b"\n" + whole
        written = 0
        try:
            while written < len(whole):
                written += self._write_some(whole[written:] if written else whole)
        except OSError as error:
            self.ended = error.errno in (EPIPE, EBADF)
        ends = accumulate(map(len, lines), initial=int(self._torn))
        delivered = sum(end <= written for end in ends) - 1
        if written:
            self._torn = not whole[:written].endswith(b"\n")
        return len(lines) - max(delivered, 0)

    def _write_some(self, rest: bytes) -> int:
        try:
            return os.write(self._descriptor, rest)
        except BlockingIOError:
            # Whoever shares a terminal or pipe with us may have made it non-blocking.
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            poll.poll()
            return 0

    def _forget_queue(self) -> None:
        while not self._queue.empty():
            self._queue.get()


def _is_open(descriptor: int) -> bool:
    # One that was closed when the process began may since have become a socket's.
    name = _STANDARD.get(descriptor)
    return name is None or getattr(sys, name) is not None


class LineHandler(logging.Handler):
    """Renders records where they are logged, and hands them to a `LineWriter`.

    `close` is not overridden: `logging.config.dictConfig` closes handlers that go on being used.
    """

    def __init__(self, descriptor: int, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._writer = LineWriter(descriptor, self._tell_dropped)

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`; nothing that is logged can make this fail."""
        if not self._writer.ended:
            self._writer.put(self._rendered(record))

    def finish(self) -> None:
        """Write what is left, within the bound, and stop."""
        self._writer.close()

    def _rendered(self, record: logging.LogRecord) -> bytes:
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - a bad value must cost its line, not the request
            line = self.format(_not_rendered(record, error))
        return f"{line}\n".encode("utf-8", "backslashreplace")

    def _tell_dropped(self, count: int) -> bytes:
        return self._rendered(_own_record("log_lines_dropped", lines=count))


def _own_record(event: str, **fields: object) -> logging.LogRecord:
    made = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": event}
    return logging.makeLogRecord({**made, **fields})


def _not_rendered(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    return _own_record(
        "log_line_not_rendered",
        of_logger=record.name,
        at=f"{record.filename}:{record.lineno}",
        reason=type(error).__name__,
    )
