"""What a provider may send that a database cannot hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import Component, EventTime, Problem, Resource
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.store import tables
from calendarsync.store.database import Database
from calendarsync.store.index import known_versions, load_entries, next_version, store_resources

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
START = EventTime.parse("2026-03-02T09:00:00[Europe/Berlin]")


def resource(**given: Any) -> Resource:
    values = {"version": "1", "uid": "uid"} | given
    component = Component(uid=values["uid"], start=START, recurrence_id=values.pop("recurrence_id", None))
    return Resource("r.ics", components=(component,), **values)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    async with database.write() as db:
        at = {"created_at": database.now()}
        await db.execute(insert(tables.accounts).values(id="acct", email="a@example.com", plan="free", **at))
        names = ("id", "provider", "calendar_id", "calendar_key", "grant_hash", "calendar_name", "status")
        values = dict.fromkeys(names, "c") | {"account_id": "acct", "mode": "live", "owner_addresses": []}
        values |= {"read_only": False, "credentials_encrypted": b"\0\xff", "index_version": 0} | at
        await db.execute(insert(tables.connections).values(values))
    yield database
    await database.close()


async def stored(database: Database, resource: Resource) -> tuple[Entry, str | None]:
    """The entry that a resource becomes, and the version that it is known by."""
    fingerprinter = Fingerprinter(b"k" * 32)
    async with database.write() as db:
        await store_resources(db, "c", [resource], fingerprinter, await next_version(db, "c"), now=NOW)
    async with database.read() as db:
        (entry,) = (await load_entries(db, "c", "c", [b"k" * 32])).values()
        return entry, (await known_versions(db, "c"))["r.ics"]


async def test_an_ordinary_resource(database: Database) -> None:
    at = EventTime.parse("2026-03-02T09:00:00[Europe/Berlin]")
    longest = {"uid": "ä" * 500, "version": "1" * 500, "recurrence_id": at}
    for given in ({}, longest):
        entry, version = await stored(database, resource(**given))
        assert entry.problem is None
        assert (entry.uid, version) == (given.get("uid", "uid"), given.get("version", "1"))
        assert entry.components[0].recurrence_id == given.get("recurrence_id")


@pytest.mark.parametrize(
    ("given", "uid"),
    [
        ({"uid": "u\0id"}, "uid"),
        ({"uid": "ä" * 501}, "ä" * 500),
        ({"uid": "x" + "ä" * 500}, "x" + "ä" * 499),
        ({"uid": "".join(chr(0x10000 + number) for number in range(900))}, None),
        ({"version": "1" * 501}, "uid"),
        ({"recurrence_id": EventTime.parse(f"2026-03-02T09:00:00[{'x' * 100}]")}, "uid"),
    ],
)
async def test_what_a_database_cannot_hold_is_unreadable(
    database: Database, given: dict[str, Any], uid: str | None
) -> None:
    entry, _ = await stored(database, resource(**given))
    assert entry.problem is Problem.UNREADABLE
    assert uid is None or entry.uid == uid


async def test_a_mark_that_a_database_cannot_hold_is_not_ours(database: Database) -> None:
    entry, _ = await stored(database, resource(mark="x\0"))
    assert (entry.problem, entry.mark) == (None, None)
