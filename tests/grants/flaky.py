"""A database that breaks off at one moment of its use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.database import Database
from calendarsync.store.errors import DatabaseUnavailable

Moment = Literal["before", "rolled back", "committed"]
MOMENTS: tuple[Moment, ...] = ("before", "rolled back", "committed")


class FlakyDatabase:
    """Fails the use number `fails_at`, counted from 0, at a moment of it. `then` runs after every other use."""

    def __init__(self, db: Database, fails_at: int | None = None, moment: Moment = "before") -> None:
        self._db = db
        self.fails_at = fails_at
        self.moment = moment
        self.uses = 0
        self.then: Callable[[], None] = lambda: None

    @property
    def failed(self) -> bool:
        return self.fails_at is not None and self.uses > self.fails_at

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        fails = self._count()
        if fails:
            raise DatabaseUnavailable("canary")
        async with self._db.read() as connection:
            yield connection
        self.then()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        fails = self._count()
        if fails and self.moment == "before":
            raise DatabaseUnavailable("canary")
        async with self._db.write() as connection:
            yield connection
            if fails and self.moment == "rolled back":
                raise DatabaseUnavailable("canary")
        if fails:
            raise DatabaseUnavailable("canary")
        self.then()

    def _count(self) -> bool:
        self.uses += 1
        return self.uses - 1 == self.fails_at
