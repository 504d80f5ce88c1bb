"""Everything that a benchmark runs: the simulator and, in front of it, services and floors.

All of them end, in reverse order, when the block is left.
"""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from load import Received, ask, body, sample
from processes import Program, bearer_token, floor, new_secret, service, simulator
from upstream import Record, Upstream, bodies
from workload import Workload

READY = "/health/ready"
STAGGER_SECONDS = 0.1


class Stage:
    """Starts programs in front of one simulator, and asks them."""

    def __init__(
        self, session: aiohttp.ClientSession, stack: ExitStack, claude: Program, directory: Path
    ) -> None:
        self.session = session
        self.upstream = Upstream(session, claude.url)
        self.directory = directory
        """Of the programs, and for files they need; it goes when they end."""
        self._stack = stack
        self._claude = claude
        self._secret = new_secret()
        self.token = bearer_token(self._secret)

    async def service(
        self, settings: Mapping[str, object] | None = None, name: str = "product"
    ) -> Program:
        """Start a service; `settings` are variables of its environment."""
        variables = {key: str(value) for key, value in (settings or {}).items()}
        return await self._started(
            service(self.directory, self._claude.url, self._secret, name, variables)
        )

    async def floor(
        self, templates: Path, name: str = "floor", policy: str = "eager", cap: int | None = None
    ) -> Program:
        """Start a floor that sends the calls of the file `templates` (see `templates`)."""
        options = ["--policy", policy, *(["--cap", str(cap)] if cap else [])]
        return await self._started(
            floor(self.directory, self._claude.url, templates, name, options)
        )

    async def _started(self, program: Any) -> Program:
        running: Program = self._stack.enter_context(program)
        await running.ready(self.session, READY)
        return running

    async def ask(self, program: Program, request: bytes) -> Received:
        """Send one request and take its answer."""
        return await ask(self.session, program.url, self.token, request)

    async def ask_all(self, asked: Sequence[tuple[Program, bytes]]) -> list[Received]:
        """Send all requests, one shortly after the other, and take their answers."""

        async def one(number: int, program: Program, request: bytes) -> Received:
            await asyncio.sleep(STAGGER_SECONDS * number)
            return await self.ask(program, request)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(n, *each)) for n, each in enumerate(asked)]
        return [task.result() for task in tasks]

    async def recorded(self, product: Program, workload: Workload) -> tuple[Received, Record]:
        """Send the workload's question alone, with its script in force; bodies are recorded."""
        await self.upstream.order([workload], record_bodies=True)
        await self.upstream.forget()
        received = await self.ask(product, body(workload.question()))
        sample(received, workload.answer)
        return received, await self.upstream.record()

    async def templates(
        self, product: Program, workload: Workload, questions: Iterable[str]
    ) -> Path:
        """Return a file of the bodies that the service sends, for the floor to send the same: those
        of the workload's question, and for each of `questions` the same with that one.
        """
        _, record = await self.recorded(product, workload)
        text = orjson.dumps(bodies(record, workload)).decode()
        asked = workload.question()
        found = {each: orjson.loads(text.replace(asked, each)) for each in (asked, *questions)}
        file = self.directory / "bodies.json"
        file.write_bytes(orjson.dumps(found))
        return file


@asynccontextmanager
async def stage() -> AsyncGenerator[Stage]:
    """Start the simulator, and end it and all that was started on the stage."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    async with aiohttp.ClientSession(connector=connector) as session:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            claude = stack.enter_context(simulator(directory))
            await claude.ready(session, "/_simulator/calls")
            yield Stage(session, stack, claude, directory)
