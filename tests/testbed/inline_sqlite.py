"""SQLite without threads: what a history does happens in the same order each time, and in half the time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import aiosqlite


@contextmanager
def inline_sqlite() -> Iterator[None]:
    """Every statement is carried out where it is asked for, while this lasts."""

    async def execute(_: aiosqlite.Connection, function: Callable[..., Any], *args: Any, **given: Any) -> Any:
        return function(*args, **given)

    def awaited(connection: aiosqlite.Connection) -> Generator[Any, None, aiosqlite.Connection]:
        connection._connection = connection._connector()
        return connection
        yield

    async def close(connection: aiosqlite.Connection) -> None:
        if connection._connection is not None:
            connection._connection.close()
            connection._connection = None

    with patch.multiple(aiosqlite.Connection, _execute=execute, __await__=awaited, close=close):
        yield
