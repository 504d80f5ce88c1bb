# The part of ijson's push interface in use here.
from collections.abc import Generator
from typing import Any

class JSONError(Exception): ...

class sendable_list(list[object]):  # noqa: N801
    send: Any

def items_coro(
    target: sendable_list, prefix: str, use_float: bool = ...
) -> Generator[None, bytes]: ...
