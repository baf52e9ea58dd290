"""Pairs are found by indexes, however many there are: what one run asks of others never reads all of them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.claims import lock_pairs
from calendarsync.store.database import Database
from calendarsync.store.neighbours import beside, hold_back_grant, of_grant, relaying
from calendarsync.store.schedule import ConnectionRecord, PairRecord, load_connection, load_pair
from tests.store.made_up import LATER, fill

READS_ALL = re.compile(r"Seq Scan on pairs|Scan using \w+ on pairs(?: \w+)?\n(?!\s*Index Cond)|SCAN pairs")

Asked = Callable[[AsyncConnection, PairRecord, ConnectionRecord], Awaitable[object]]


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(lambda db, pair, end: relaying(db, pair.id, [end.calendar_key]), id="travels_on"),
        pytest.param(lambda db, _, end: hold_back_grant(db, end, LATER), id="held_back"),
        pytest.param(lambda db, pair, end: lock_pairs(db, pair.id, beside=of_grant(end)), id="of_grant"),
        pytest.param(lambda db, pair, _: lock_pairs(db, pair.id, beside=beside(pair)), id="beside"),
    ],
)
async def test_other_pairs_are_looked_up(database_url: str, asked: Asked) -> None:
    database = Database(database_url)
    async with database.write() as db:
        await fill(db)
        pair = await load_pair(db, "pair_held")
        assert pair is not None
        end = await load_connection(db, pair.connection_a_id)
        if database.backend == "postgresql":
            # With a handful of rows it would read them all, whatever it can do.
            await db.execute(text("SET LOCAL enable_seqscan = off"))
        plans = [
            await plan_of(db, *each) for each in await statements(asked(db, pair, end)) if "pairs" in each[0]
        ]
    await database.close()
    assert plans
    assert [plan for plan in plans if READS_ALL.search(plan)] == []


async def statements(work: Awaitable[object]) -> list[tuple[str, Any]]:
    """What it sends to the database, with its parameters."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        await work
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    return sent


async def plan_of(db: AsyncConnection, statement: str, parameters: Any) -> str:
    explain = "EXPLAIN (COSTS OFF)" if db.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    found = await db.exec_driver_sql(f"{explain} {statement}", parameters)
    return "\n".join(str(row[-1]) for row in found)
