"""The run to be undone is found at once, however many came after it that wrote nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text

from calendarsync.store.database import Database
from calendarsync.store.runs import _LAST_THAT_WROTE, last_that_wrote
from calendarsync.store.tables import accounts, runs
from tests.store.test_log_plans import SORTED_OR_SCANNED, START, TENANT, indexes_in, judged_row_by_row, rows

LATER = 4_000


def _run(number: int, **given: Any) -> dict[str, Any]:
    (row,) = rows(1)
    ids = {"id": f"log_w{number}", "sync_id": f"sync_run_w{number}"}
    when = START - timedelta(days=1) + timedelta(seconds=number)
    return row | ids | {"account_id": "acct_1", "pair_id": "pair_0", "created_at": when} | given


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    async with database.write() as db:
        for number in range(4):
            account = {"id": f"acct_{number}", "email": f"{number}@example.com", "plan": "free"}
            await db.execute(insert(accounts), account | {"created_at": START})
        await db.execute(insert(runs), list(rows(LATER)))
        for run in (
            _run(0, events_created=1),
            _run(1, events_deleted=2, status="partial"),
            _run(2, events_deleted=2, undid="sync_run_w1"),
            _run(3, events_updated=1, pair_id="pair_1"),
            _run(4, events_updated=1, mode="test"),
        ):
            await db.execute(insert(runs), run)
        await db.execute(text("ANALYZE"))
    yield database
    await database.close()


@pytest.mark.parametrize("through", ["engine", "caller"])
async def test_the_last_run_that_wrote_is_read_from_an_index_of_its_own(
    database: Database, through: str
) -> None:
    async with database.read() if through == "engine" else database.read_as(TENANT) as db:
        found = await last_that_wrote(db, TENANT, "pair_0")
        statement = _LAST_THAT_WROTE.params(**TENANT.parameters(), of_pair="pair_0")
        compiled = statement.compile(dialect=db.dialect, compile_kwargs={"literal_binds": True})
        explain = "EXPLAIN (COSTS OFF)" if db.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        shown = await db.execute(text(f"{explain} {str(compiled).replace(':', chr(92) + ':')}"))
        plan = "\n".join(str(row[-1]) for row in shown)
    assert found is not None
    assert found.sync_id == "sync_run_w1"
    assert not SORTED_OR_SCANNED.search(plan), plan
    assert indexes_in(plan) == {"ix_runs_wrote"}, plan
    assert judged_row_by_row(plan) == [], plan
