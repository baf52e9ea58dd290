"""What is kept for a while goes in time: logs by their account's plan, orders, limits, answers, events, links.

Every worker does so; what one has deleted the others do not find.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.plans import plan_in_effect
from calendarsync.store import (
    authorizations,
    deliveries,
    grant_tokens,
    idempotency,
    limits,
    orders,
    retention,
)
from calendarsync.store.database import Database

TIDY_SECONDS = 60.0
KEEP_ORDERS = timedelta(hours=1)
KEEP_EVENTS = timedelta(days=30)
"""How long a webhook's events and deliveries can be looked up and sent again."""

KEEP_LINKS = timedelta(days=1)
"""How long a link that has run out is known, and what nobody authorized, or picked a calendar of, waits."""

ACCOUNTS_AT_ONCE = 500
"""Whose logs one look goes through; the next look goes on from there."""

_LOGS_AT_ONCE = 1_000

Pruning = Callable[[AsyncConnection], Awaitable[int]]
"""Deletes a bounded number of rows, and says how many there were."""


class Tidy:
    """`woken`: whoever waits for the next look need not."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._account = ""
        self.woken = asyncio.Event()

    async def look(self) -> None:
        """Delete what has run out, in transactions that hold up nobody for long."""
        async with self._db.write() as db:
            now = self._db.now()
            await orders.prune(db, now - KEEP_ORDERS)
        await self._repeat(lambda db: limits.prune(db, now))
        await self._repeat(lambda db: idempotency.prune(db, now))
        await self._repeat(lambda db: deliveries.prune(db, now - KEEP_EVENTS))
        await self._repeat(lambda db: authorizations.prune(db, now - KEEP_LINKS))
        await self._repeat(lambda db: grant_tokens.prune(db, now - KEEP_LINKS))
        await self._prune_logs(now)

    async def _prune_logs(self, now: datetime) -> None:
        async with self._db.read() as db:
            found = await retention.accounts_after(db, self._account, ACCOUNTS_AT_ONCE)
        self._account = found[-1].id if len(found) == ACCOUNTS_AT_ONCE else ""
        kept: defaultdict[int, list[str]] = defaultdict(list)
        for account in found:
            kept[plan_in_effect(account.plan, account.trial_ends_at, now).log_days].append(account.id)
        for days, ids in kept.items():
            await self._prune_logs_of(ids, now - timedelta(days=days))

    async def _prune_logs_of(self, account_ids: list[str], before: datetime) -> None:
        await self._repeat(lambda db: retention.delete_logs(db, account_ids, before, _LOGS_AT_ONCE))

    async def _repeat(self, prune: Pruning) -> None:
        """Until nothing is left of it."""
        deleted = 1
        while deleted:
            async with self._db.write() as db:
                deleted = await prune(db)
