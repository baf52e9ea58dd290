"""The contract of all providers, kept by the calendar in memory that the engine is tested with."""

from __future__ import annotations

import uuid

import pytest

from tests.providers.caldav.helpers import event, retitled
from tests.providers.contract import CalendarContract
from tests.providers.contract_amend import AmendContract
from tests.testbed.memory import MemoryCalendar, MemoryStore


class MemoryPerson:
    """Somebody who changes the resources by hand."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def add(self, title: str) -> str:
        uid = uuid.uuid4().hex
        self._store.put(f"{uid}.ics", event(uid, title))
        return f"{uid}.ics"

    async def fill(self, count: int) -> None:
        for number in range(count):
            await self.add(f"Event {number}")

    async def edit(self, resource_id: str, title: str) -> None:
        _, data = self._store.resources[resource_id]
        self._store.put(resource_id, retitled(data.decode(), title))

    async def remove(self, resource_id: str) -> None:
        self._store.delete(resource_id)


class TestMemory(CalendarContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def calendar(self, store: MemoryStore) -> MemoryCalendar:
        return MemoryCalendar(store, read_at_once=64)

    @pytest.fixture
    def person(self, store: MemoryStore) -> MemoryPerson:
        return MemoryPerson(store)


class TestMemoryAmends(AmendContract):
    store = TestMemory.store
    calendar = TestMemory.calendar
    person = TestMemory.person
