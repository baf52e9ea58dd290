"""What a run works under: a claim on its pair, without which it writes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.claims import Claim, hold_fast
from calendarsync.store.database import Database


@dataclass(frozen=True, slots=True)
class Hold:
    db: Database
    claim: Claim

    @asynccontextmanager
    async def write(self, *, beside: ColumnElement[bool] | None = None) -> AsyncIterator[AsyncConnection]:
        """A transaction in which the claim counts; `beside` locks other pairs as well. Raises ClaimLost."""
        async with self.db.write() as db:
            await hold_fast(db, self.claim, beside=beside)
            yield db
