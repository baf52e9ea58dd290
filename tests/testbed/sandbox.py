"""Sandbox calendars of a test's own, somebody who edits them, and a CalendarSync that keeps two in step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from calendarsync.accounts.accounts import create_account
from calendarsync.domain.event import Component, EventTime
from calendarsync.domain.recurrence import expand
from calendarsync.domain.rules import is_busy
from calendarsync.providers.sandbox import Event, Part, SandboxCalendar
from calendarsync.providers.sandbox.faults import Waiting
from calendarsync.store import sandbox as store
from calendarsync.store.database import Database
from calendarsync.store.ids import new_id
from calendarsync.store.paging import EVERYTHING
from calendarsync.store.tenancy import Tenant
from tests.testbed.installation import Installation, installation

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
OWNER = "alice@work.example"
Slot = tuple[datetime, datetime]


async def make_calendar(db: Database, tenant: Tenant, email: str | None = None) -> str:
    calendar_id = new_id("sbx")
    values = {
        "id": calendar_id,
        "name": "Work",
        "timezone": "Europe/Berlin",
        "email": email,
        "created_at": NOW,
    }
    async with db.write_as(tenant) as connection:
        await store.insert_calendar(connection, tenant, values)
    return calendar_id


def meeting(event_id: str, title: str) -> Event:
    start, end = (EventTime(datetime(2026, 3, 2, hour), "Europe/Berlin") for hour in (9, 10))
    return Event(event_id, event_id, Part(Component(event_id, start, end), title))


@dataclass
class SandboxPerson:
    """Somebody who edits the calendar through the API."""

    db: Database
    tenant: Tenant
    calendar: str
    waits: list[float] = field(default_factory=list)

    async def add(self, title: str) -> str:
        return await self.put(meeting(new_id("sbe"), title))

    async def put(self, event: Event) -> str:
        async with self.db.write_as(self.tenant) as db:
            await store.lock_calendar(db, self.tenant, self.calendar)
            await store.put_event(
                db, self.tenant, self.calendar, event.id, uid=event.uid, data=event.to_data()
            )
        return event.id

    async def fill(self, count: int) -> None:
        for number in range(count):
            await self.add(f"Event {number}")

    async def edit(self, resource_id: str, title: str) -> None:
        (event,) = [event for event in await self.events() if event.id == resource_id]
        await self.put(replace(event, master=replace(event.master, title=title)))

    async def remove(self, resource_id: str) -> None:
        async with self.db.write_as(self.tenant) as db:
            await store.lock_calendar(db, self.tenant, self.calendar)
            await store.remove_event(db, self.tenant, self.calendar, resource_id)

    async def events(self) -> list[Event]:
        async with self.db.read_as(self.tenant) as db:
            found = await store.list_events(db, self.tenant, self.calendar, EVERYTHING)
        return [Event.of_row(row) for row in found.rows]

    async def order(self, *faults: tuple[str, int]) -> None:
        """These faults and no others."""
        waiting = [{"kind": kind, "times": times} for kind, times in faults]
        async with self.db.write_as(self.tenant) as db:
            await store.set_faults(db, self.tenant, self.calendar, waiting)

    async def waiting(self) -> Waiting:
        async with self.db.read_as(self.tenant) as db:
            row = await store.get_calendar(db, self.tenant, self.calendar)
        assert row is not None
        faults: Waiting = row["faults"]
        return faults

    def open(self, *owner: str) -> SandboxCalendar:
        """The calendar as the engine opens it; a slow answer is noted in `waits`."""

        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        return SandboxCalendar(self.db, self.tenant, self.calendar, owner=frozenset(owner), sleep=sleep)


@dataclass
class SandboxDesk:
    """Two calendars, `a` and `b`, connected in test mode."""

    app: Installation
    people: dict[str, SandboxPerson]
    connections: dict[str, str]

    async def pair(self, **given: Any) -> str:
        return await self.app.pair(self.connections["a"], self.connections["b"], **given)

    async def events(self, name: str, *, copies: bool) -> list[Event]:
        return [event for event in await self.people[name].events() if (event.mark is not None) is copies]

    async def busy(self, name: str, first: datetime, last: datetime, *, copies: bool) -> list[Slot]:
        """Busy intervals that overlap [first, last), sorted."""
        slots = []
        for event in await self.events(name, copies=copies):
            components = event.resource(frozenset({OWNER})).components
            slots += [
                (instance.start.instant("Europe/Berlin"), instance.end.instant("Europe/Berlin"))
                for instance in expand(components, first, last, "Europe/Berlin")
                if is_busy(instance.component)
            ]
        return sorted(slots)


@asynccontextmanager
async def sandbox_desk(where: Path | str) -> AsyncIterator[SandboxDesk]:
    """`where` is a database's URL, or the folder of an SQLite."""
    async with installation(where) as app:
        tenant = Tenant(await app.account(), "test")
        people = {
            name: SandboxPerson(app.db, tenant, await make_calendar(app.db, tenant, OWNER)) for name in "ab"
        }
        connections = {
            name: await app.connect_sandbox(tenant.account_id, person.calendar, email=OWNER)
            for name, person in people.items()
        }
        yield SandboxDesk(app, people, connections)


@asynccontextmanager
async def sandbox(database_url: str) -> AsyncIterator[SandboxPerson]:
    """A fresh calendar of a fresh account."""
    db = Database(database_url)
    try:
        account_id = await create_account(db, f"{new_id('you')}@example.com", now=NOW)
        tenant = Tenant(account_id, "test")
        yield SandboxPerson(db, tenant, await make_calendar(db, tenant))
    finally:
        await db.close()
