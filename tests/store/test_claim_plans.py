"""What a claim reads does not grow with what is at work at that moment: claims are made one after the other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import insert, text, update

from calendarsync.store import claiming
from calendarsync.store.fairness import Places
from calendarsync.store.homes import MOST_GIVEN
from calendarsync.store.ids import new_id
from calendarsync.store.tables import connections, orders, pairs
from tests.store.test_pair_plans import statements
from tests.testbed.memory_desk import MemoryDesk, memory_desk

LEASE = timedelta(seconds=15)
ROOM = 64
HERE, THERE = "worker_here", "worker_there"


@pytest.fixture
async def at(postgresql_database: str) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(postgresql_database, "a", "b", "c", "d", "e", "f") as desk:
        yield desk


async def make_pairs(at: MemoryDesk, name: str, pattern: str, count: int, **values: object) -> list[str]:
    """As that one, each on two calendars of its own but for what `values` say."""
    common = (await at.app.row(pairs, pattern))._asdict()
    rows = [
        common
        | {"id": new_id("pair"), "calendar_a": f"a-{name}{number}", "calendar_b": f"b-{name}{number}"}
        | values
        for number in range(count)
    ]
    async with at.app.db.write() as db:
        await db.execute(insert(pairs), rows)
    return [row["id"] for row in rows]


async def make_orders(at: MemoryDesk, pair_ids: list[str]) -> None:
    common = {"account_id": at.account, "mode": "live", "trigger": "api", "urgent": True}
    common |= {"full": False, "confirm": False, "dry_run": False, "created_at": at.app.clock()}
    rows = [common | {"sync_id": new_id("sync_run"), "pair_id": each} for each in pair_ids]
    async with at.app.db.write() as db:
        await db.execute(insert(orders), rows)


async def pages(at: MemoryDesk) -> dict[str, int]:
    """So many each statement of both claims reads, but for those that write."""
    now = at.app.clock()
    places = Places(1000, ROOM)
    counted: dict[str, int] = {}
    async with at.app.db.write() as db:

        async def claim() -> None:
            await claiming.claim_ordered(db, now, now + LEASE, places, worker=HERE)
            await claiming.claim_due(db, now, now + LEASE, places, worker=HERE, ahead=timedelta(0))

        async with db.begin_nested() as tried:
            sent = await statements(claim())
            await tried.rollback()
        for statement, given in sent:
            if "pg_advisory" in statement:
                await db.exec_driver_sql(statement, given)
            elif statement.startswith(("SELECT", "WITH")) and "pg_notify" not in statement:
                explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
                found = (await db.exec_driver_sql(explain, given)).scalar_one()
                plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
                count = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
                counted[statement] = max(count, counted.get(statement, 0))
    return counted


@pytest.mark.parametrize("analyzed", [False, True], ids=["never-analyzed", "analyzed"])
async def test_a_claim_reads_no_more_when_much_is_at_work(at: MemoryDesk, analyzed: bool) -> None:
    """Whatever PostgreSQL knows of the tables: nothing, or how they were when little was at work."""
    now = at.app.clock()
    async with at.app.db.write() as db:
        mine = connections.c.id.in_([at.connections["a"], at.connections["e"]])
        await db.execute(update(connections).where(mine).values(grant_id="grant_1"))
    pattern, elsewhere, bound = await at.pair("a", "b"), await at.pair("c", "d"), await at.pair("e", "f")
    long_ago = now - timedelta(minutes=10)
    hub = await make_pairs(at, "hub", pattern, ROOM * 5, due_at=long_ago, calendar_a="hub")
    due = await make_pairs(at, "due", pattern, 500, due_at=now)
    await make_orders(at, [*hub, *due[:200]])
    held = {"due_at": None, "leased_until": now + LEASE, "worker": THERE}
    await make_pairs(at, "held", elsewhere, MOST_GIVEN, **held)
    await make_pairs(at, "other", elsewhere, 1, **held | {"calendar_b": "hub"})
    await at.app.change_pair(bound, **held)
    for pair in (pattern, elsewhere):
        await at.app.change_pair(pair, due_at=None)
    if analyzed:
        async with at.app.db.write() as db:
            await db.execute(text("ANALYZE"))
    few = await pages(at)
    for number in range(10):
        await make_pairs(at, f"many{number}-", elsewhere, 300, **held | {"worker": f"worker_{number}"})
    many = await pages(at)
    assert len(few) > 15, "each step was taken"
    assert {key: (few[key], each) for key, each in many.items() if each > few[key] * 2 + 100} == {}
