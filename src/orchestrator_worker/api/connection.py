"""Whether the caller is still there: work that ends when the connection does."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from starlette.types import Receive

T = TypeVar("T")


class ClientLeft(Exception):
    """The caller has closed the connection; there is nobody to answer."""


async def while_connected(receive: Receive, work: Coroutine[None, None, T]) -> T:
    """Return what `work` returns; cancel it as soon as the caller leaves.

    A plain response is not cancelled by the server when its caller leaves; streams are.

    Raises:
        ClientLeft: the caller left first.
    """
    failure: Exception | None = None

    async def guarded() -> T | None:
        nonlocal failure
        try:
            return await work
        except Exception as error:  # noqa: BLE001 - raised again below, outside the group
            failure = error
            return None

    async with asyncio.TaskGroup() as tasks:
        job = tasks.create_task(guarded())
        watcher = tasks.create_task(_cancel_when_left(receive, job))
        await asyncio.wait([job])
        watcher.cancel()
    if failure is not None:
        raise failure
    if job.cancelled():
        raise ClientLeft
    return job.result()  # pyright: ignore[reportReturnType] - None only beside a failure


async def _cancel_when_left(receive: Receive, job: asyncio.Task[T]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    job.cancel()
