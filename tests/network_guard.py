"""Keeps the suite off the network: respx lets the loopback through and refuses everything else.

respx knows httpx; the clients in use stand on its successor, so its mocker is pointed at that one's
transport.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpcore2
import respx
from respx.mocks import HTTPCoreMocker


class HTTPCore2Mocker(HTTPCoreMocker):
    """respx's transport mocker for httpcore2; chosen by `using="httpcore2"`."""

    name = "httpcore2"
    targets = tuple(
        target.replace("httpcore.", "httpcore2.", 1) for target in HTTPCoreMocker.targets
    )

    @classmethod
    async def from_async_httpx_response(cls, httpx_response: Any, target: Any, **_: Any) -> Any:
        return httpcore2.Response(
            status=httpx_response.status_code,
            headers=httpx_response.headers.raw,
            content=httpx_response.stream,
            extensions=httpx_response.extensions,
        )


@contextmanager
def only_loopback() -> Generator[respx.MockRouter]:
    """Refuse, with an assertion, every request of an httpx2 client to another host."""
    with respx.mock(using="httpcore2", assert_all_called=False) as router:
        router.route(host="127.0.0.1").pass_through()
        yield router
