"""A calendar in our own database. It does what a good provider does, and fails when it was told to.

Every write is a transaction of its own, as it would be at a provider, never part of the run's: a run that ends
half-way leaves in the sandbox what it would leave anywhere else.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.domain.amendment import Change
from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.providers.base import (
    Batch,
    CalendarNotFound,
    Changed,
    IdTaken,
    Known,
    NotAuthorized,
    RateLimited,
    Reading,
    Refused,
    ResourceGone,
    Unavailable,
)
from calendarsync.providers.sandbox.events import Event
from calendarsync.providers.sandbox.faults import RETRY_AFTER_SECONDS, SLOW_SECONDS, Fault, take
from calendarsync.store import sandbox as store
from calendarsync.store.database import Database
from calendarsync.store.tenancy import Tenant

BATCH = 100
MAX_EVENTS = 5000
"""How many events one calendar holds."""

_TOKEN = re.compile(r"(\d{1,9}):(\d{1,9})", re.ASCII)


class SandboxCalendar:
    """Versions are the calendar's count of changes; a sync token is its epoch and its version.

    `owner` are the addresses (lower case) whose responses are the calendar owner's own. `sleep` is how a slow
    answer takes its time.
    """

    batch_size = 1

    def __init__(
        self,
        db: Database,
        tenant: Tenant,
        calendar_id: str,
        *,
        owner: frozenset[str] = frozenset(),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.requests = 0
        self._db = db
        self._tenant = tenant
        self._id = calendar_id
        self._owner = owner
        self._sleep = sleep

    async def read(
        self,
        cursor: str | None,
        known: Known,
        on_batch: Callable[[Batch], Awaitable[None]],
        *,
        full: bool = False,
    ) -> Reading:
        """One request, and one for each hundred events that are new or changed."""
        cursor = None if full else cursor
        calendar = await self._ask(with_token=cursor is not None)
        since = _version_of(cursor, calendar)
        async with self._db.read_as(self._tenant) as db:
            rows = await store.list_versions(db, self._tenant, self._id, since)
        there = {row["id"]: str(row["version"]) for row in rows if not row["deleted"]}
        versions = await known() if there else {}
        changed = [event_id for event_id, version in there.items() if versions.get(event_id) != version]
        for start in range(0, len(changed), BATCH):
            await on_batch(Batch(changed=await self.fetch(changed[start : start + BATCH])))
        gone = [row["id"] for row in rows if row["deleted"]]
        if gone:
            await on_batch(Batch(removed=gone))
        # What changed after the first look is read again next time.
        token = f"{calendar['epoch']}:{calendar['version']}"
        return Reading(token, frozenset(there) if since is None else None)

    async def fetch(self, ids: Sequence[str]) -> list[Resource]:
        if not ids:
            return []
        await self._ask()
        async with self._db.read_as(self._tenant) as db:
            rows = await store.get_events(db, self._tenant, self._id, list(dict.fromkeys(ids)))
        return [Event.of_row(row).resource(self._owner) for row in rows]

    async def create(self, copy: Copy) -> Resource:
        event = Event.of_copy(copy)
        async with self._writing() as db:
            if await store.is_taken(db, self._tenant, self._id, event.id, event.uid):
                raise IdTaken("There is an event with this id already.")
            if await store.count_events(db, self._tenant, self._id) >= MAX_EVENTS:
                raise Refused(f"A sandbox calendar holds at most {MAX_EVENTS} events.")
            return await self._put(db, event)

    async def update(self, resource_id: str, version: str | None, copy: Copy) -> Resource:
        async with self._writing() as db:
            there = await self._at(db, resource_id, version)
            if there is None:
                raise ResourceGone("The event is no longer there.")
            return await self._put(db, replace(Event.of_copy(copy), id=there.id, uid=there.uid))

    async def delete(self, resource_id: str, version: str | None) -> None:
        async with self._writing() as db:
            if await self._at(db, resource_id, version) is not None:
                await store.remove_event(db, self._tenant, self._id, resource_id)

    async def unmark(self, resource_id: str, version: str | None) -> Resource | None:
        async with self._writing() as db:
            there = await self._at(db, resource_id, version)
            return None if there is None else await self._put(db, replace(there, mark=None))

    async def amend(self, resource_id: str, version: str | None, changes: Sequence[Change]) -> Resource:
        async with self._writing() as db:
            there = await self._at(db, resource_id, version)
            if there is None:
                raise ResourceGone("The event is no longer there.")
            return await self._put(db, there.amended(changes))

    async def _ask(self, *, with_token: bool = False) -> RowMapping:
        """One request: it meets a fault if one waits for it, else the calendar as it is now answers."""
        self.requests += 1
        async with self._db.read_as(self._tenant) as db:
            calendar = await store.get_calendar(db, self._tenant, self._id)
        if calendar is None:
            raise CalendarNotFound("There is no such sandbox calendar any more.")
        if not take(calendar["faults"], with_token=with_token)[0]:
            return calendar
        fault, calendar = await self._meet_fault(with_token=with_token)
        if fault is Fault.EXPIRE:
            raise NotAuthorized("The sandbox was told to refuse the credentials.")
        if fault is Fault.RATE_LIMIT:
            raise RateLimited("The sandbox was told to slow down.", retry_after=RETRY_AFTER_SECONDS)
        if fault is Fault.SERVER_ERROR:
            raise Unavailable("The sandbox was told to fail.")
        if fault is Fault.SLOW:
            await self._sleep(SLOW_SECONDS)
        return calendar

    async def _meet_fault(self, *, with_token: bool) -> tuple[Fault | None, RowMapping]:
        """Take the fault out, so that no other request meets it too."""
        async with self._db.write_as(self._tenant) as db:
            calendar = await self._lock(db)
            fault, left = take(calendar["faults"], with_token=with_token)
            await store.set_faults(db, self._tenant, self._id, left)
            if fault is Fault.LOSE_TOKEN:
                await store.forget_tokens(db, self._tenant, self._id)
            return fault, await self._lock(db)

    async def _lock(self, db: AsyncConnection) -> RowMapping:
        calendar = await store.lock_calendar(db, self._tenant, self._id)
        if calendar is None:
            raise CalendarNotFound("There is no such sandbox calendar any more.")
        return calendar

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        """One request that writes, in a transaction that nobody else's writes into this calendar come between."""
        await self._ask()
        async with self._db.write_as(self._tenant) as db:
            await self._lock(db)
            yield db

    async def _at(self, db: AsyncConnection, resource_id: str, version: str | None) -> Event | None:
        """The event, which has to be at this version; None where it is gone."""
        rows = await store.get_events(db, self._tenant, self._id, [resource_id])
        if not rows:
            return None
        if str(rows[0]["version"]) != version:
            raise Changed("The event was changed meanwhile.")
        return Event.of_row(rows[0])

    async def _put(self, db: AsyncConnection, event: Event) -> Resource:
        data = event.to_data()
        try:
            version = await store.put_event(db, self._tenant, self._id, event.id, uid=event.uid, data=data)
        except store.CalendarFull:
            raise Refused("The sandbox calendar is full.") from None
        return replace(event, version=version).resource(self._owner)


def _version_of(token: str | None, calendar: RowMapping) -> int | None:
    """Since when changes are asked for; None where the token is none of this calendar's, or is forgotten."""
    match = _TOKEN.fullmatch(token or "")
    if match is None or int(match[1]) != calendar["epoch"] or int(match[2]) > calendar["version"]:
        return None
    return int(match[2])
