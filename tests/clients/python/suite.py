"""What every Python client's cases share: where the service is, how a case runs and is reported,
and what the simulator has on record.

Needs nothing but the standard library, since each client has an environment of its own.
"""

import asyncio
import base64
import json
import os
import signal
import struct
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable
from importlib.metadata import version
from inspect import isawaitable
from pathlib import Path
from traceback import extract_tb
from types import FrameType
from typing import Any, TypeVar
from urllib.request import ProxyHandler, build_opener

BASE_URL = os.environ["CLIENTS_BASE_URL"]
API_KEY = os.environ["CLIENTS_API_KEY"]
MODEL = os.environ["CLIENTS_MODEL"]
_SIMULATOR_URL = os.environ["CLIENTS_SIMULATOR_URL"]
CASES: dict[str, Any] = json.loads((Path(__file__).parent.parent / "cases.json").read_text("utf-8"))
CASE_SECONDS = 60
RECORD_SECONDS = 10.0
UNKNOWN_MODEL = "no-such-model"

Case = Callable[[], Any | Awaitable[Any]]
_Error = TypeVar("_Error", bound=Exception)


class NotOfferedError(Exception):
    """The client has nothing for this case, as its run has shown; says why."""


class Suite:
    """The cases of one client, reported as one JSON line each."""

    def __init__(self, client: str, package: str, not_offered: dict[str, str] | None = None):
        self._client = client
        self._version = version(package)
        self._not_offered = not_offered or {}
        self._cases: dict[str, Case] = {}

    def case(self, function: Case) -> Case:
        """Take this function as the case of its name."""
        self._cases[getattr(function, "__name__", "")] = function
        return function

    def prompt(self, case: str, *more: str, like: str | None = None) -> str:
        """Return the prompt that the simulator knows (that of `like`, if given), with a mark to
        find its calls by.
        """
        return " ".join([CASES[like or case]["prompt"], *more, self.mark(case)])

    def mark(self, case: str) -> str:
        """Return what all prompts of a case of this client have in them."""
        return f"({self._client}, {case})"

    def run(self) -> None:
        """Run all cases one after the other, on one loop."""
        for case, reason in self._not_offered.items():
            self._report(case, "not offered", reason)
        signal.signal(signal.SIGALRM, _too_long)
        with asyncio.Runner() as runner:
            for name, function in self._cases.items():
                self._report(name, *_outcome(runner, function))

    def _report(self, case: str, outcome: str, detail: str) -> None:
        told = {"client": self._client, "version": self._version, "case": case}
        print(json.dumps({**told, "outcome": outcome, "detail": detail}), flush=True)  # noqa: T201


def _outcome(runner: asyncio.Runner, function: Case) -> tuple[str, str]:
    signal.alarm(CASE_SECONDS)
    try:
        done = function()
        detail = runner.run(_awaited(done)) if isawaitable(done) else done
    except NotOfferedError as reason:
        return "not offered", str(reason)
    except Exception as error:  # noqa: BLE001 whatever a client raises is its outcome
        return "failed", _described(error)
    finally:
        signal.alarm(0)
    return "ok", str(detail or "")


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"took longer than {CASE_SECONDS} s")


def _described(error: BaseException) -> str:
    own = [
        frame.lineno
        for frame in extract_tb(error.__traceback__)
        if Path(frame.filename).parent == Path(__file__).parent and frame.filename != __file__
    ]
    line = own[0] if own else 0
    return f"line {line}: {type(error).__name__}: {error}"[:1500]


def same(found: Any, wanted: Any) -> None:
    """Hold one value against another, and name both when they differ."""
    assert found == wanted, f"{found!r} instead of {wanted!r}"


def joined(pieces: Iterable[str | None]) -> str:
    """Put a streamed answer together, which must have come in more than one piece."""
    found = [piece for piece in pieces if piece]
    assert len(found) > 1, f"not streamed: {found!r}"
    return "".join(found)


def calls(mark: str) -> list[dict[str, Any]]:
    """Return the upstream calls whose conversation has this mark in it, oldest first."""
    opener = build_opener(ProxyHandler({}))
    with opener.open(f"{_SIMULATOR_URL}/_simulator/calls", timeout=20) as response:
        record = json.load(response)
    return [call for call in record["calls"] if mark in json.dumps(call["body"])]


def spent(mark: str) -> tuple[int, int]:
    """Return the tokens in and out of these calls, as the simulator has counted them."""
    used = [call["usage"] for call in calls(mark)]
    assert used, f"no call on record with {mark!r}"
    kinds = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return (
        sum(usage.get(kind) or 0 for usage in used for kind in kinds),
        sum(usage["output_tokens"] for usage in used),
    )


def same_usage(mark: str, tokens_in: int | None, tokens_out: int | None, total: int | None) -> str:
    """Hold a client's count against the simulator's."""
    same((tokens_in, tokens_out), spent(mark))
    same(total, sum(spent(mark)))
    return f"{tokens_in} + {tokens_out} = {total} tokens"


def went_on(mark: str) -> str:
    """Look for the team's answer, and for nothing else of the assistant's, in what was asked at
    last.
    """
    messages = calls(mark)[-1]["body"]["messages"]
    same([message["role"] for message in messages], ["user", "assistant", "user"])
    content = messages[1]["content"]
    said = content if isinstance(content, str) else "".join(b["text"] for b in content)
    same(said, CASES["progress"]["answer"])
    return "the answer arrived upstream as it was"


async def ended_early(mark: str, role: str = "lead") -> str:
    """Wait until the simulator has seen that whoever called it in this role has left."""
    deadline = time.monotonic() + RECORD_SECONDS
    while True:
        found = await asyncio.to_thread(calls, mark)
        outcomes = [c["outcome"] for c in found if c["headers"]["x-orchestrator-role"] == role]
        if outcomes and "in_flight" not in outcomes:
            same(set(outcomes), {"client_left"})
            return f"upstream calls that ended with the stream: {len(outcomes)}"
        assert time.monotonic() < deadline, f"still running upstream: {outcomes}"
        await asyncio.sleep(0.1)


async def under_way(mark: str, role: str, count: int) -> None:
    """Wait until so many calls in this role are in flight."""
    deadline = time.monotonic() + RECORD_SECONDS
    while True:
        found = await asyncio.to_thread(calls, mark)
        roles = [c["headers"]["x-orchestrator-role"] for c in found if c["outcome"] == "in_flight"]
        if roles.count(role) == count:
            return
        assert time.monotonic() < deadline, f"in flight: {roles}"
        await asyncio.sleep(0.1)


def met(mark: str) -> str:
    """Return how many upstream calls with this mark were in flight together at most."""
    found = calls(mark)
    ends = [(call["arrived_at"], 1) for call in found] + [(call["ended_at"], -1) for call in found]
    now = peak = 0
    for _, step in sorted(ends):
        now += step
        peak = max(peak, now)
    assert peak > CASES["parallel"]["count"] / 2, f"only {peak} at the same time"
    return f"{peak} at the same time"


def numbered() -> list[tuple[str, str]]:
    """Return what each of the parallel requests says after the prompt, and its answer."""
    case = CASES["parallel"]
    numbers = [f"{number:03}" for number in range(case["count"])]
    return [(number, f"{case['answer']} {number}.") for number in numbers]


def png() -> bytes:
    """Return a picture: 4 by 4 pixels of red."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\xff\0\0" * 4) * 4
    parts = (("IHDR", header), ("IDAT", zlib.compress(rows)), ("IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind.encode(), data) for kind, data in parts)


def png_url() -> str:
    """Return it as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(png()).decode()}"


def pdf() -> bytes:
    """Return a PDF of one empty page."""
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>",
    )
    numbered = (b"%d 0 obj%sendobj\n" % (i, told) for i, told in enumerate(objects, 1))
    return b"%PDF-1.4\n" + b"".join(numbered) + b"trailer<</Root 1 0 R>>\n%%EOF\n"


def image_arrived(mark: str) -> str:
    """Look for the picture in what Claude was asked."""
    (call,) = calls(mark)
    blocks = [b for message in call["body"]["messages"] for b in _blocks(message["content"])]
    (image,) = [block for block in blocks if block["type"] == "image"]
    wanted = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(png()).decode()}
    same(image["source"], wanted)
    return f"{len(png())} bytes arrived upstream"


def _blocks(content: Any) -> list[dict[str, Any]]:
    return content if isinstance(content, list) else []


def raised(kind: type[_Error], action: Callable[[], Any]) -> _Error:
    """Return the error that this ends in, which must be of this very class or one below it."""
    try:
        found = action()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}, but {found!r}")


async def raised_async(kind: type[_Error], action: Callable[[], Awaitable[Any]]) -> _Error:
    """Return the error that awaiting this ends in."""
    try:
        found = await action()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}, but {found!r}")


def cut_short(pieces: Iterable[str | None]) -> None:
    """Hold what came before the upstream broke off against what it had begun to say."""
    came = "".join(piece or "" for piece in pieces)
    whole = CASES["error_in_stream"]["answer"]
    assert came, "nothing came before the error"
    assert came != whole, "all of it came"
    assert whole.startswith(came), came


def showed_the_team(text: str) -> None:
    """Look for every subtask in what a client shows beside the answer."""
    for title in CASES["progress"]["subtasks"]:
        assert title in text, f"{title!r} is not in {text!r}"
