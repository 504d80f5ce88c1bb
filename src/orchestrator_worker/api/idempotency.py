"""Answers kept under a caller's `Idempotency-Key`, so that a request sent again is not run again.

Owns the header, the kept answers of this process, and the response that records one or sends it
again. It knows nothing of runs: it sees what the response inside it sends, and reads in the
request's trace how a stream ended. Above stands the endpoint, which has refused by then whatever it
can refuse; below there is nothing but memory.
"""

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256

from cachetools import TTLCache
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from orchestrator_worker.api.middleware import RequestTrace, trace_of
from orchestrator_worker.auth.principal import Principal
from orchestrator_worker.clock import loop_time
from orchestrator_worker.errors import InvalidRequest, KeyReused, RequestInProgress

IDEMPOTENCY_HEADER = "idempotency-key"
REPLAYED_HEADER = "idempotent-replayed"
KEEP_SECONDS = 24 * 60 * 60
MAX_KEYS = 10_000
MAX_BYTES = 64 * 1024**2
"""Of all bodies together."""
MAX_ANSWER_BYTES = 8 * 1024**2
"""Of one body; a longer one is not kept."""
PIECE_BYTES = 64 * 1024
_KEY = re.compile(r"[!-~]{1,255}")
_FRAME_END = b"\n\n"

Slot = tuple[str, str]
"""The principal's subject and the key: nobody meets another's keys."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A whole answer as it was sent, but for its heartbeats."""

    fingerprint: bytes
    """Of the request that it answers."""
    headers: tuple[tuple[bytes, bytes], ...]
    """The response's own; what the middleware adds belongs to a request."""
    body: bytes
    stream: bool

    @property
    def size(self) -> int:
        """Return the bytes that count against the bound."""
        return len(self.body)


class IdempotentAnswers:
    """The kept answers and the keys in use; one object for the process, on one event loop."""

    def __init__(
        self,
        *,
        keep_seconds: float = KEEP_SECONDS,
        max_keys: int = MAX_KEYS,
        max_bytes: int = MAX_BYTES,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        clock: Callable[[], float] = loop_time,
    ) -> None:
        self.max_answer_bytes = min(max_answer_bytes, max_bytes)
        self._max_keys, self._max_bytes = max_keys, max_bytes
        self._kept: TTLCache[Slot, KeptAnswer, float] = TTLCache(
            max_bytes, keep_seconds, clock, getsizeof=lambda answer: answer.size
        )
        self._running: dict[Slot, bytes] = {}
        """Fingerprints of the requests that are being answered."""

    def response(
        self,
        request: Request,
        principal: Principal,
        body: bytes,
        wishes: Iterable[str],
        make: Callable[[], Response],
    ) -> Response:
        """Return what `make` makes, or under a key what stands in for it while it is being sent.

        Raises:
            InvalidRequest: the key is not one.
        """
        key = idempotency_key(request)
        if key is None:
            return make()
        parts = (request.method, request.scope["path"], ",".join(sorted(wishes)))
        fingerprint = _fingerprint(*(part.encode() for part in parts), body)
        return _OnceResponse(self, (principal.subject, key), fingerprint, make)

    def find(self, slot: Slot, fingerprint: bytes) -> KeptAnswer | None:
        """Return the kept answer; None: the key is free.

        Raises:
            KeyReused: the key stands for another request.
            RequestInProgress: the same request is being answered.
        """
        kept = self._kept.get(slot)
        known = kept.fingerprint if kept else self._running.get(slot)
        if known not in {None, fingerprint}:
            raise KeyReused
        if kept is None and known is not None:
            raise RequestInProgress
        return kept

    @contextmanager
    def taken(self, slot: Slot, fingerprint: bytes) -> Generator[None]:
        """Hold a free key, and let go of it whatever happens."""
        self._running[slot] = fingerprint
        try:
            yield
        finally:
            del self._running[slot]

    def keep(self, slot: Slot, answer: KeptAnswer) -> None:
        """Keep an answer, the oldest ones making room for it."""
        kept = self._kept
        while len(kept) and (
            len(kept) >= self._max_keys or kept.currsize + answer.size > self._max_bytes
        ):
            # The cache iterates from the oldest on; by itself it would drop what was least used.
            kept.pop(next(iter(kept), slot), None)
        kept[slot] = answer


def idempotency_key(request: Request) -> str | None:
    """Return the request's key; None: it has none.

    Raises:
        InvalidRequest: it is not one, or there are several.
    """
    keys = request.headers.getlist(IDEMPOTENCY_HEADER)
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidRequest(
            "Idempotency-Key must come once, with 1 to 255 visible ASCII characters.",
            param="Idempotency-Key",
            code="invalid_value",
        )
    return keys[0]


def _fingerprint(*parts: bytes) -> bytes:
    digest = sha256()
    for part in parts:
        # With its length, so that nothing can move from one part to the next.
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


class _OnceResponse(Response):
    """Looks its key up when it is sent: sends a kept answer again, or has one made and keeps it."""

    def __init__(
        self,
        answers: IdempotentAnswers,
        slot: Slot,
        fingerprint: bytes,
        make: Callable[[], Response],
    ) -> None:
        super().__init__()
        self._answers = answers
        self._slot = slot
        self._fingerprint = fingerprint
        self._make = make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; no other request can come between the look and the taking, neither waits."""
        kept = self._answers.find(self._slot, self._fingerprint)
        if kept is not None:
            await _replay(kept, trace_of(scope), send)
            return
        with ExitStack() as held:
            held.enter_context(self._answers.taken(self._slot, self._fingerprint))
            recorder = _Recorder(self._answers.max_answer_bytes)

            async def send_recorded(message: Message) -> None:
                recorder.take(message)
                if recorder.complete:
                    # Before the last byte leaves: who has read it may ask again at once.
                    if _ended_well(recorder, trace_of(scope)):
                        self._answers.keep(self._slot, recorder.answer(self._fingerprint))
                    held.close()
                await send(message)

            await self._make()(scope, receive, send_recorded)


class _Recorder:
    """Takes down what a response sends, up to a limit."""

    def __init__(self, max_bytes: int) -> None:
        self.status: int | None = None
        self.complete = False
        self.too_long = False
        self.stream = False
        self._headers: tuple[tuple[bytes, bytes], ...] = ()
        self._body = bytearray()
        self._max_bytes = max_bytes

    def take(self, message: Message) -> None:
        """Take down one message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            # Now, before the middleware adds what is this request's alone.
            self._headers = tuple((bytes(name), bytes(value)) for name, value in message["headers"])
            self.stream = (
                dict(self._headers).get(b"content-type", b"").startswith(b"text/event-stream")
            )
            return
        self._take_body(message.get("body", b""))
        self.complete = not message.get("more_body", False)

    def _take_body(self, piece: bytes) -> None:
        heartbeat = self.stream and piece.startswith(b":")
        if heartbeat or self.too_long:
            return
        self._body += piece
        if len(self._body) > self._max_bytes:
            self.too_long = True
            self._body.clear()

    def answer(self, fingerprint: bytes) -> KeptAnswer:
        """Return what has been sent."""
        return KeptAnswer(fingerprint, self._headers, bytes(self._body), self.stream)


def _ended_well(recorder: _Recorder, trace: RequestTrace) -> bool:
    """Return whether the answer is worth keeping; a stream's status says nothing of its end."""
    good = {"ok"} if recorder.stream else {"ok", None}
    return recorder.status == 200 and not recorder.too_long and trace.outcome in good


async def _replay(kept: KeptAnswer, trace: RequestTrace, send: Send) -> None:
    trace.outcome = "replayed"
    trace.fields["stream"] = kept.stream
    headers = [*kept.headers, (REPLAYED_HEADER.encode(), b"true")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for piece in _pieces(kept.body):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _pieces(body: bytes) -> Iterator[bytes]:
    """Cut a body, a stream between its frames: some clients read each piece by itself."""
    start = 0
    while start < len(body):
        frame_end = body.rfind(_FRAME_END, start, start + PIECE_BYTES)
        end = start + PIECE_BYTES if frame_end < 0 else frame_end + len(_FRAME_END)
        yield body[start:end]
        start = end
