"""Ids of copies that a removed pair left behind go when nothing can come of them any more (rule 20)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from calendarsync.jobs import tidy
from calendarsync.jobs.tidy import ALL_CHORES, Tidy
from calendarsync.store import left_behind, links
from calendarsync.store.database import Database
from calendarsync.store.left_behind import KEEP, LOOK_EVERY, READ_LATELY
from calendarsync.store.tables import accounts, connections, index, kept_copies, pairs

NOW = datetime(2026, 3, 28, 10, tzinfo=UTC)
DAY = timedelta(days=1)
GONE: dict[str, Any] = {
    "calendar_key": "calendar",
    "copy_id": "gone",
    "seen_in": "there",
    "seen_at": NOW - LOOK_EVERY - KEEP,
}
STAY: dict[str, dict[str, Any]] = {
    "it was seen not so long ago": {"seen_at": NOW - LOOK_EVERY - KEEP + DAY},
    "it was never seen": {"seen_in": None, "seen_at": None},
    "its calendar is connected nowhere": {"calendar_key": "elsewhere", "seen_in": "no more"},
    "its calendar was connected anew": {"seen_in": "no more"},
    "its calendar is not read any more": {"calendar_key": "unread", "seen_in": "unread"},
    "it stands there": {"copy_id": "stands"},
    "it stands there by its name": {"copy_id": "named"},
    "another connection shows it": {"copy_id": "elsewhere"},
    "it is not its turn": {"look_at": NOW + DAY},
}
(CHORE,) = [each for each in ALL_CHORES if each.what.startswith("kept copies")]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, clock=lambda: NOW)
    await _fill(database)
    yield database
    await database.close()


async def _fill(database: Database) -> None:
    mine = {"account_id": "acct", "mode": "live"}
    connected = {"calendar_id": "", "grant_hash": "", "calendar_name": "", "owner_addresses": []}
    connected |= {"provider": "caldav", "status": "active", "credentials_encrypted": b"", "created_at": NOW}
    event = {"original": "", "shape": {}, "content_hash": "", "people_hash": "", "changed_in": 1}
    paired = {"sync_mode": "full", "direction": "bidirectional", "options": {}, "status": "active"}
    names = {"there": "calendar", "other": "other", "unread": "unread", "second": "calendar"}
    async with database.write() as db:
        await db.execute(
            insert(accounts), {"id": "acct", "email": "a@example.com", "plan": "free", "created_at": NOW}
        )
        await db.execute(
            insert(accounts), {"id": "acct_2", "email": "b@example.com", "plan": "free", "created_at": NOW}
        )
        for name, key in names.items():
            row = {**mine, **connected, "id": name, "calendar_key": key, "read_only": False}
            await db.execute(
                insert(connections), row | ({"account_id": "acct_2"} if name == "second" else {})
            )
        for name, a, synced in (("1", "there", NOW - READ_LATELY), ("2", "unread", NOW - READ_LATELY - DAY)):
            ends = {"connection_a_id": "other", "connection_b_id": a, "calendar_a": "other", "calendar_b": a}
            row = {**mine, **paired, **ends, "id": name, "created_at": NOW, "last_synced_at": synced}
            await db.execute(insert(pairs), row)
        for where, resource, uid in (
            ("there", "event.ics", "stands"),
            ("there", "named.ics", ""),
            ("second", "event", "elsewhere"),
            ("other", "gone.ics", "gone"),
        ):
            await db.execute(
                insert(index), event | {"connection_id": where, "resource_id": resource, "uid": uid}
            )


async def _put(database: Database, *rows: dict[str, Any]) -> None:
    async with database.write() as db:
        for row in rows:
            await db.execute(insert(kept_copies), row)


async def _rows(database: Database) -> list[Any]:
    async with database.read() as db:
        return list(await db.execute(select(kept_copies).order_by(kept_copies.c.copy_id)))


async def test_one_that_is_gone_for_long_is_forgotten(database: Database) -> None:
    await _put(database, GONE)
    assert await CHORE.count(database) == 1
    assert await Tidy(database).do(CHORE) == 1
    assert await _rows(database) == []
    assert await CHORE.count(database) == 0


@pytest.mark.parametrize("why", STAY)
async def test_one_that_may_be_of_use_stays(database: Database, why: str) -> None:
    await _put(database, GONE | STAY[why])
    assert await CHORE.count(database) == 0
    assert await Tidy(database).do(CHORE) == 0
    (row,) = await _rows(database)
    assert row.look_at == STAY[why].get("look_at", NOW + LOOK_EVERY)
    if "stands" in why or "shows" in why:
        assert (row.seen_in, row.seen_at) == ("second" if "shows" in why else "there", NOW)
    else:
        expected = GONE | STAY[why]
        assert (row.seen_in, row.seen_at) == (expected["seen_in"], expected["seen_at"])


async def test_all_of_them_are_looked_at_some_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidy, "ROWS_AT_ONCE", 7)
    gone = [GONE | {"copy_id": f"gone{number}"} for number in range(20)]
    stay = [GONE | {"copy_id": f"stays{number}", "seen_at": NOW} for number in range(20)]
    await _put(database, *(each for two in zip(gone, stay, strict=True) for each in two))
    assert await CHORE.count(database) == 20
    deleted = [each async for each in CHORE.work(database)]
    assert (len(deleted), sum(deleted)) == (6, 20)
    assert {row.copy_id for row in await _rows(database)} == {each["copy_id"] for each in stay}


async def test_what_is_kept_again_meanwhile_is_known(database: Database) -> None:
    """A new pair wrote a copy at the same id, and left it behind in its turn: the index shows it."""
    await _put(database, GONE)
    async with database.write() as db:
        await db.execute(update(index).where(index.c.uid == "stands").values(uid="gone"))
    assert await Tidy(database).do(CHORE) == 0
    async with database.write() as db:
        looked = await left_behind.forget_gone(db, NOW + LOOK_EVERY, 10)
    assert looked == (1, 0)


async def test_what_is_kept_again_and_gone_soon_is_not_taken_for_the_one_before(database: Database) -> None:
    """The calendar showed it between two looks alone: a person may take it out of the bin."""
    await _put(database, GONE)
    async with database.write() as db:
        await links.keep_copy(db, GONE["calendar_key"], GONE["copy_id"])
    assert await Tidy(database).do(CHORE) == 0
    (row,) = await _rows(database)
    assert (row.seen_in, row.seen_at) == (None, None)
