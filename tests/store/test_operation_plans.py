"""What is asked of a pair's operations reads the pair's runs from an index: judged by the database's own plan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import Select, insert, text

from calendarsync.store import operations as store
from calendarsync.store.database import Database
from calendarsync.store.dialects import prefer_indexes
from calendarsync.store.tables import accounts, operations, runs
from tests.store.test_log_plans import OF_PAIR, START, TENANT, rows

PRIMARY = {"pk_operations", "sqlite_autoindex_operations_1"}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    async with database.write() as db:
        for number in range(4):
            account = {"id": f"acct_{number}", "email": f"{number}@example.com", "plan": "free"}
            await db.execute(insert(accounts), account | {"created_at": START})
        logged = [row | {"events_created": 1} for row in rows(4_000)]
        await db.execute(insert(runs), logged)
        done = {
            "position": 0,
            "direction": "a_to_b",
            "original_start": "",
            "action": "create",
            "reason": "new",
        }
        await db.execute(
            insert(operations),
            [
                done | {"run_id": row["id"], "event_id": f"event-{number % 7}", "latency_ms": number}
                for number, row in enumerate(logged)
            ],
        )
        await db.execute(text("ANALYZE"))
    yield database
    await database.close()


@pytest.mark.parametrize("statement", [store._LATENCIES, store._ABOUT], ids=["latencies", "about"])
async def test_no_table_is_read_whole(database: Database, statement: Select[tuple[object]]) -> None:
    given = {"of_pair": "pair_1", "since": START, "event": "event-1", "at_most": 10, **TENANT.parameters()}
    async with database.read_as(TENANT) as db:
        await prefer_indexes(db)
        asked = statement.params(
            **{name: given[name] for name in statement.compile().params if name in given}
        )
        compiled = asked.compile(dialect=db.dialect, compile_kwargs={"literal_binds": True})
        explain = "EXPLAIN (COSTS OFF)" if db.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        found = await db.execute(text(f"{explain} {str(compiled).replace(':', chr(92) + ':')}"))
        plan = "\n".join(str(row[-1]) for row in found)
    assert "Seq Scan" not in plan, plan
    assert "SCAN" not in plan, plan
    assert OF_PAIR in plan, plan
    assert any(name in plan for name in PRIMARY), plan


async def test_the_newest_come_first_and_are_the_pairs_own(database: Database) -> None:
    since = START + timedelta(seconds=1_000)
    async with database.read_as(TENANT) as db:
        latencies = await store.list_latencies(db, TENANT, "pair_1", since)
        about = await store.operations_about(db, TENANT, "pair_1", "event-1", since, at_most=3)
    expected = [number for number in range(3_999, 999, -1) if number % 4 == 1 and number // 4 % 10 == 1]
    assert [row["latency_ms"] for row in latencies] == expected
    assert [row["latency_ms"] for row in about] == [each for each in expected if each % 7 == 1][:3]
