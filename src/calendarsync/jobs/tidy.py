"""What is kept for a while goes in time, and counts of logs keep up (docs/guide/data-retention.md).

One process at a time does so for all, once a minute, in transactions of at most a thousand rows. After each it
leaves the database to others for as long as that took.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Column

from calendarsync.accounts.plans import plan_in_effect
from calendarsync.store import (
    authorizations,
    grant_tokens,
    left_behind,
    pruning,
    retention,
    run_counts,
    tables,
)
from calendarsync.store.database import Database, DatabaseUnavailable
from calendarsync.store.tenancy import Tenant

TIDY_SECONDS = 60.0
PASS_SECONDS = 600.0
"""From one look at all grants, and all accounts, for logs that their plans keep no longer, to the next."""

KEEP_ORDERS = timedelta(hours=1)
KEEP_BRIEF = timedelta(days=1)
"""After that an unchanged pair has one log an hour."""

KEEP_EVENTS = timedelta(days=30)
"""How long a webhook's events and deliveries can be looked up and sent again."""

KEEP_LINKS = timedelta(days=1)
"""How long a link that has run out is known, and what nobody authorized, or picked a calendar of, waits."""

KEEP_KEYS = timedelta(days=90)
"""How long an API key that has ended is listed."""

KEEP_QUOTAS = timedelta(days=1)
"""How long it is known until when a project's quota was spent. They are few, and in no index by that."""

ACCOUNTS_AT_ONCE = 500
ROWS_AT_ONCE = 1_000

MANY_PAIRS = 100
"""The logs of accounts with so many are counted before anybody asks; of others the first listing does it."""

TIDY_LOCK = 0x74_69_64_79

_log = structlog.get_logger(__name__)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
Deleting = Callable[[Database], AsyncGenerator[int, None]]
"""Deletes, and says after each transaction how many rows it was."""


@dataclass(frozen=True, slots=True)
class Chore:
    """`what` goes, in the words of who runs the installation. `count` looks how much there is to delete."""

    what: str
    work: Deleting
    count: Callable[[Database], Awaitable[int]]


class Tidy:
    """`woken`: whoever waits for the next look need not."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._next_pass = 0.0
        # It may have been before this process began.
        self._set_back = True
        self.woken, self._stopping = asyncio.Event(), asyncio.Event()

    def stop(self) -> None:
        """Begin no other transaction."""
        self._stopping.set()
        self.woken.set()

    def mind_the_clock(self) -> None:
        """It was set back: counts of logs that lie ahead of it are forgotten before anything else is done."""
        self._set_back = True
        self.woken.set()

    async def look(self) -> None:
        """Delete all that has run out, unless another process is at it."""
        async with self._db.alone(TIDY_LOCK) as alone:
            if not alone:
                return
            for chore in CHORES:
                await self._try(chore.what, chore.work(self._db))
            if time.monotonic() >= self._next_pass:
                self._next_pass = time.monotonic() + PASS_SECONDS
                for chore in CHORES_OF_A_PASS:
                    await self._try(chore.what, chore.work(self._db))
                await self._try("counts of logs", _count_logs(self._db))

    async def do(self, chore: Chore) -> int:
        """Until nothing is left of it, or `stop`. How many rows were deleted."""
        return await self._work(chore.work(self._db))

    async def _try(self, what: str, work: AsyncGenerator[int, None]) -> None:
        """What goes wrong with one kind of rows keeps no other from being deleted."""
        await self._forget_counts_ahead()
        try:
            await self._work(work)
        except DatabaseUnavailable:
            raise
        except Exception as defect:  # noqa: BLE001 - the next look tries again
            _log.error("tidying_failed", what=what, defect=type(defect).__name__)

    async def _forget_counts_ahead(self) -> None:
        if not self._set_back:
            return
        self._set_back = False
        try:
            await self._try("counts of logs ahead of the clock", _forget_counts(self._db))
        except DatabaseUnavailable:
            self._set_back = True
            raise

    async def _work(self, work: AsyncGenerator[int, None]) -> int:
        deleted, began = 0, time.monotonic()
        async with aclosing(work) as batches:
            while not self._stopping.is_set() and (rows := await anext(batches, None)) is not None:
                deleted += rows
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), time.monotonic() - began)
                began = time.monotonic()
        return deleted


def _by_time(what: str, column: Column[datetime], keep: timedelta = timedelta(0)) -> Chore:
    """Rows go when the time in their column is over, and so long ago."""

    async def work(db: Database) -> AsyncGenerator[int, None]:
        deleted = ROWS_AT_ONCE
        while deleted == ROWS_AT_ONCE:
            async with db.write() as connection:
                deleted = await pruning.delete_old(connection, column, db.now() - keep, ROWS_AT_ONCE)
            yield deleted

    async def count(db: Database) -> int:
        async with db.read() as connection:
            return await pruning.count_old(connection, column, db.now() - keep)

    return Chore(what, work, count)


async def _give_up_links(db: Database) -> AsyncGenerator[int, None]:
    deleted = 1
    while deleted:
        async with db.write() as connection:
            deleted = await authorizations.prune(connection, db.now() - KEEP_LINKS)
        yield deleted


async def _unused_grants(db: Database) -> AsyncIterator[Sequence[str]]:
    """Those that nothing came of, among all grants, some at a time."""
    after: str | None = ""
    while after is not None:
        async with db.read() as connection:
            before = db.now() - KEEP_LINKS
            unused, after = await grant_tokens.unused_after(connection, before, after, ROWS_AT_ONCE)
        yield unused


async def _give_up_grants(db: Database) -> AsyncGenerator[int, None]:
    async for unused in _unused_grants(db):
        deleted = 0
        if unused:
            async with db.write() as connection:
                deleted = await grant_tokens.prune(connection, unused, db.now() - KEEP_LINKS)
        yield deleted


async def _count_grants(db: Database) -> int:
    return sum([len(unused) async for unused in _unused_grants(db)])


async def _forget_copies(db: Database) -> AsyncGenerator[int, None]:
    looked_at = ROWS_AT_ONCE
    while looked_at == ROWS_AT_ONCE:
        async with db.write() as connection:
            looked_at, forgotten = await left_behind.forget_gone(connection, db.now(), ROWS_AT_ONCE)
        yield forgotten


async def _count_copies(db: Database) -> int:
    async with db.read() as connection:
        return await left_behind.count_gone(connection, db.now())


async def _thin(db: Database) -> AsyncGenerator[int, None]:
    deleted, after = ROWS_AT_ONCE, _NEVER
    while deleted == ROWS_AT_ONCE:
        async with db.write() as connection:
            before = db.now() - KEEP_BRIEF
            deleted, after = await retention.delete_brief_logs(connection, after, before, ROWS_AT_ONCE)
        yield deleted


async def _count_brief(db: Database) -> int:
    async with db.read() as connection:
        return await retention.count_brief_logs(connection, db.now() - KEEP_BRIEF)


async def _accounts(db: Database) -> AsyncIterator[dict[int, list[str]]]:
    """All accounts, some hundreds at a time, by the days for which their logs are kept."""
    after, more = "", True
    while more:
        async with db.read() as connection:
            found = await retention.accounts_after(connection, after, ACCOUNTS_AT_ONCE)
        more = len(found) == ACCOUNTS_AT_ONCE
        kept: defaultdict[int, list[str]] = defaultdict(list)
        for account in found:
            kept[plan_in_effect(account.plan, account.trial_ends_at, db.now()).log_days].append(account.id)
            after = account.id
        yield kept


async def _end_logs(db: Database) -> AsyncGenerator[int, None]:
    """Logs that are older than their account's plan keeps them, and old counts."""
    async for kept in _accounts(db):
        for days, ids in kept.items():
            deleted = ROWS_AT_ONCE
            while deleted == ROWS_AT_ONCE:
                async with db.write() as connection:
                    before = db.now() - timedelta(days=days)
                    deleted = await retention.delete_logs(connection, ids, before, ROWS_AT_ONCE)
                yield deleted
            async with db.write() as connection:
                await retention.delete_counts(connection, ids, before, ROWS_AT_ONCE)
            yield 0


async def _forget_counts(db: Database) -> AsyncGenerator[int, None]:
    """Counts that are ahead of the clock count nothing, and are to be gone when it gets there."""
    async for kept in _accounts(db):
        ids = [each for some in kept.values() for each in some]
        async with db.write() as connection:
            await retention.delete_counts_ahead(connection, ids, run_counts.over_at(db.now()))
        yield 0


async def _count_old(db: Database) -> int:
    count = 0
    async for kept in _accounts(db):
        for days, ids in kept.items():
            async with db.read() as connection:
                count += await retention.count_old_logs(connection, ids, db.now() - timedelta(days=days))
    return count


async def _count_logs(db: Database) -> AsyncGenerator[int, None]:
    """Count the logs of accounts with many pairs, as far as that has not been done."""
    async for kept in _accounts(db):
        ids = [each for some in kept.values() for each in some]
        async with db.read() as connection:
            large = await retention.accounts_with_pairs(connection, ids, MANY_PAIRS)
        for tenant in (Tenant(account_id, mode) for account_id in large for mode in retention.MODES):
            more = True
            while more:
                async with db.write() as connection:
                    more = await run_counts.count_more(connection, tenant, db.now())
                yield 0


_LINKS_END = tables.authorizations.c.expires_at
CHORES: Sequence[Chore] = (
    _by_time("windows of rate limits", tables.rate_windows.c.ends_at),
    _by_time("orders of runs", tables.orders.c.finished_at, KEEP_ORDERS),
    _by_time("idempotency records", tables.idempotency.c.expires_at),
    _by_time("sessions", tables.sessions.c.expires_at),
    _by_time("quotas of projects that nothing is asked of", tables.provider_quotas.c.next_at, KEEP_QUOTAS),
    _by_time("webhook events, with their deliveries", tables.webhook_events.c.created_at, KEEP_EVENTS),
    replace(_by_time("links to authorize", _LINKS_END, KEEP_LINKS), work=_give_up_links),
    _by_time("API keys that were revoked", tables.api_keys.c.revoked_at, KEEP_KEYS),
    _by_time("API keys that have expired", tables.api_keys.c.expires_at, KEEP_KEYS),
    Chore("kept copies that are gone", _forget_copies, _count_copies),
    Chore("logs of unchanged runs, but for one an hour", _thin, _count_brief),
)
CHORES_OF_A_PASS: Sequence[Chore] = (
    Chore("grants that nothing came of", _give_up_grants, _count_grants),
    Chore("logs older than the plan keeps them", _end_logs, _count_old),
)
ALL_CHORES = (*CHORES, *CHORES_OF_A_PASS)
