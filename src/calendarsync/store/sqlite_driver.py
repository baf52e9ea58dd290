"""aiosqlite with one trip to its thread for a statement, instead of four, and none for BEGIN.

A trip costs more than most statements do: SQLAlchemy asks for a cursor, lets it execute, fetches and closes it,
each by a trip of its own, and takes a connection back with a ROLLBACK whatever became of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import aiosqlite
from sqlalchemy import Connection


def connector(path: Path, *, timeout: float) -> Callable[[], Awaitable[Any]]:
    """For `create_async_engine(async_creator=…)`. `timeout` is how long SQLite waits for a lock, in seconds."""
    # Without an isolation level the driver leaves BEGIN to us; its own comes late and is never IMMEDIATE.
    connect = partial(sqlite3.connect, path, timeout=timeout, isolation_level=None)

    async def connected() -> _Connection:
        connection = _Connection(connect)
        await connection
        return connection

    return connected


def begin_with_next_statement(connection: Connection, begin: str) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, _Connection)
    driver.begin = begin


class _Connection(aiosqlite.Connection):
    """`begin` is to be executed together with the next statement."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connect, iter_chunk_size=64)
        self.begin: str | None = None
        self._touched = False
        self._thread.daemon = True  # so that an interpreter that ends does not wait for it

    def cursor(self) -> _Cursor:  # type: ignore[override]
        return _Cursor(self)

    async def run(self, method: str, sql: str, parameters: Iterable[Any]) -> tuple[sqlite3.Cursor, list[Any]]:
        """The cursor after `execute` or `executemany`, and all rows that the statement gives."""
        self._touched = True

        def at_once() -> tuple[sqlite3.Cursor, list[Any]]:
            if self.begin is not None:
                self._conn.execute(self.begin)
                self.begin = None  # and not before: where it fails, nothing may run outside a transaction
            cursor = getattr(self._conn, method)(sql, parameters)
            return cursor, cursor.fetchall()

        done: tuple[sqlite3.Cursor, list[Any]] = await self._execute(at_once)  # type: ignore[no-untyped-call]
        return done

    async def commit(self) -> None:
        if self._touched:
            await super().commit()
        self.begin, self._touched = None, False

    async def rollback(self) -> None:
        if self._touched:
            await super().rollback()
        self.begin, self._touched = None, False


class _Cursor:
    """What SQLAlchemy's adapter uses of a cursor."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._rows: Sequence[Any] = ()
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> None:
        await self._run("execute", sql, parameters)

    async def executemany(self, sql: str, parameters: Iterable[Any]) -> None:
        await self._run("executemany", sql, parameters)

    async def fetchall(self) -> Sequence[Any]:
        return self._rows

    async def close(self) -> None:
        self._rows = ()

    async def _run(self, method: str, sql: str, parameters: Iterable[Any]) -> None:
        done, self._rows = await self._connection.run(method, sql, parameters)
        self.description, self.rowcount, self.lastrowid = done.description, done.rowcount, done.lastrowid
