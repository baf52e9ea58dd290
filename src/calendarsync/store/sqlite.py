"""The embedded database: a file of SQLite, in WAL mode."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from calendarsync.settings import sqlite_path
from calendarsync.store.schema import upgrade
from calendarsync.store.sqlite_driver import begin_with_next_statement, connector
from calendarsync.store.tenancy import Tenant

_BUSY_SECONDS = 30
_READERS = 10


class Sqlite:
    """Any number of readers, one writer at a time; nobody is told "database is locked".

    Writers of this process queue on a lock; those of other processes wait for SQLite's own, up to 30 s.
    """

    name: Literal["sqlite"] = "sqlite"

    def __init__(self, url: str) -> None:
        self._path = sqlite_path(url)
        self._reader = _engine(self._path, "BEGIN DEFERRED", {"query_only": "ON"}, size=_READERS)
        self._writer = _engine(self._path, "BEGIN IMMEDIATE", {"foreign_keys": "ON"}, size=1)
        self.engines = (self._reader, self._writer)
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def read(self, _: Tenant | None) -> AsyncIterator[AsyncConnection]:
        await self._ensure_file()
        async with self._reader.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self, _: Tenant | None) -> AsyncIterator[AsyncConnection]:
        await self._ensure_file()
        async with self._lock, self._writer.begin() as connection:
            yield connection

    async def migrate(self) -> None:
        """All of it in one transaction, or none."""
        await self._ensure_file()
        # SQLite changes a table by dropping it, which would delete all that refers to it.
        engine = _engine(self._path, "BEGIN IMMEDIATE", {"foreign_keys": "OFF"}, size=1)
        try:
            async with self._lock, engine.begin() as connection:
                await connection.run_sync(upgrade)
                broken = (await connection.execute(text("PRAGMA foreign_key_check"))).first()
                if broken is not None:
                    raise RuntimeError(f"the migration would leave dangling references in table {broken[0]}")
        finally:
            await engine.dispose()

    async def read_time(self) -> tuple[datetime, float]:
        return datetime.now(UTC), time.monotonic()

    async def role_passes_policies(self) -> bool:
        """There are neither policies nor roles."""
        return False

    async def close(self) -> None:
        for engine in self.engines:
            await engine.dispose()

    async def _ensure_file(self) -> None:
        if not self._path.exists():
            await asyncio.to_thread(_create_private, self._path)


def _create_private(path: Path) -> None:
    """SQLite gives its side files (-wal, -shm) the permissions of the main one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _engine(path: Path, begin: str, pragmas: Mapping[str, str], *, size: int) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        async_creator=connector(path, timeout=_BUSY_SECONDS),
        # What is bound into a statement has no place in an error's message, for that may be logged.
        hide_parameters=True,
        pool_size=size,
        max_overflow=0,
    )

    def set_up(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for name, value in {"journal_mode": "WAL", "synchronous": "NORMAL", **pragmas}.items():
            cursor.execute(f"PRAGMA {name} = {value}")
        cursor.close()

    def start(connection: Connection) -> None:
        begin_with_next_statement(connection, begin)

    event.listen(engine.sync_engine, "connect", set_up)
    event.listen(engine.sync_engine, "begin", start)
    return engine
