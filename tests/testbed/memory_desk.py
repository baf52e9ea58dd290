"""Calendars in memory, and a CalendarSync that keeps them in step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from calendarsync.domain.recurrence import RecurrenceError, expand
from calendarsync.domain.rules import is_busy
from calendarsync.providers.base import Calendar
from calendarsync.providers.icalendar import MARK_PROPERTY, read_resource
from calendarsync.store.schedule import ConnectionRecord
from tests.testbed.dav import DavServer
from tests.testbed.installation import Installation, installation
from tests.testbed.memory import Faults, MemoryCalendar, MemoryStore

NOWHERE = DavServer("http://127.0.0.1:1/", "http://127.0.0.1:1/", "alice", "password")
OWNER = "alice@work.example"
Slot = tuple[datetime, datetime]


@dataclass
class MemoryDesk:
    app: Installation
    stores: dict[str, MemoryStore]
    faults: dict[str, Faults]
    account: str
    connections: dict[str, str] = field(default_factory=dict)

    async def add(self, name: str) -> MemoryStore:
        url = f"http://127.0.0.1:1/{name}/"
        self.stores[url] = store = MemoryStore()
        self.connections[name] = await self.app.connect(self.account, NOWHERE, url, email=OWNER)
        return store

    def store(self, name: str) -> MemoryStore:
        return self.stores[f"http://127.0.0.1:1/{name}/"]

    async def pair(self, a: str = "a", b: str = "b", **given: Any) -> str:
        return await self.app.pair(self.connections[a], self.connections[b], **given)

    def busy(self, name: str, first: datetime, last: datetime, *, copies: bool | None = None) -> list[Slot]:
        """Busy intervals that overlap [first, last), sorted; those of unreadable resources are left out."""
        slots = []
        for resource_id, (_, data) in self.store(name).resources.items():
            if copies is not None and (MARK_PROPERTY.encode() in data.replace(b"\r\n ", b"")) is not copies:
                continue
            resource = read_resource(resource_id, None, data, owner=frozenset({OWNER}))
            try:
                instances = expand(resource.components, first, last, "Europe/Berlin")
            except RecurrenceError:
                continue
            slots += [
                (instance.start.instant("Europe/Berlin"), instance.end.instant("Europe/Berlin"))
                for instance in instances
                if is_busy(instance.component)
            ]
        return sorted(slots)


@asynccontextmanager
async def memory_desk(where: Path | str, *names: str, **given: Any) -> AsyncIterator[MemoryDesk]:
    stores: dict[str, MemoryStore] = {}
    faults: dict[str, Faults] = {}

    def in_memory(connection: ConnectionRecord, _: Calendar) -> Calendar:
        url = connection.calendar_id
        return MemoryCalendar(stores[url], frozenset({OWNER}), faults.setdefault(url, Faults()))

    async with installation(where, wrap=in_memory, **given) as app:
        desk = MemoryDesk(app, stores, faults, await app.account())
        for name in names or ("a", "b"):
            await desk.add(name)
        yield desk


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
