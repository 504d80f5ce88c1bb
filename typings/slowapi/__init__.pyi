# The part of slowapi in use here; its own annotations leave the decorators untyped.
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from fastapi import Request

F = TypeVar("F", bound=Callable[..., Any])

class _Window:
    reset_time: float

class _Strategy:
    def get_window_stats(self, item: Any, *identifiers: str) -> _Window: ...

class Limiter:
    def __init__(
        self,
        key_func: Callable[[Request], str],
        *,
        enabled: bool = ...,
        strategy: str | None = ...,
        storage_uri: str | None = ...,
        key_style: Literal["endpoint", "url"] = ...,
    ) -> None: ...
    @property
    def limiter(self) -> _Strategy: ...
    def limit(self, limit_value: str) -> Callable[[F], F]: ...
    def shared_limit(self, limit_value: str, scope: str) -> Callable[[F], F]: ...
