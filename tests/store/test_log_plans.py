"""Pages of logs are read from an index in its order, whatever is asked for: judged by the database's own plan."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store import logs
from calendarsync.store.database import Database
from calendarsync.store.logs import LogFilter, Place
from calendarsync.store.tables import accounts, runs
from calendarsync.store.tenancy import Tenant

START = datetime(2026, 3, 1, tzinfo=UTC)
TENANT = Tenant("acct_1", "live")
MIDDLE = START + timedelta(seconds=2_000)
OF_ACCOUNT = "ix_runs_account_id_mode_status_created_at_id"
OF_PAIR = "ix_runs_account_id_mode_pair_id_status_created_at_id"
BY_SYNC = ("uq_runs_sync_id", "sqlite_autoindex_runs_2")
SORTED_OR_SCANNED = re.compile(r"TEMP B-TREE|SCAN runs|-> +(?:Incremental )?Sort|Seq Scan|Bitmap")


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Of four accounts with ten pairs each; one in a hundred runs failed."""
    for number in range(count):
        yield {
            "id": f"log_{number:022}",
            "sync_id": f"sync_run_{number:022}",
            "account_id": f"acct_{number % 4}",
            "mode": "live",
            "pair_id": f"pair_{number // 4 % 10}",
            "status": "success" if number % 101 else "failed",
            "trigger": "schedule",
            "duration_ms": 1,
            "provider_requests": 2,
            **{f"events_{name}": 0 for name in ("processed", "created", "updated", "deleted", "skipped")},
            "created_at": START + timedelta(seconds=number),
        }


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    async with database.write() as db:
        for number in range(4):
            account = {"id": f"acct_{number}", "email": f"{number}@example.com", "plan": "free"}
            await db.execute(insert(accounts), account | {"created_at": START})
        await db.execute(insert(runs), list(rows(4_000)))
        await db.execute(text("ANALYZE"))
    yield database
    await database.close()


async def plan_of(db: AsyncConnection, wanted: LogFilter, after: Place | None) -> str:
    """In the transaction in which they were listed, whose settings count."""
    await logs.list_logs(db, TENANT, wanted, offset=0, limit=51, after=after)
    statement = logs._ordered(wanted, after).limit(51).params(**TENANT.parameters())
    compiled = statement.compile(dialect=db.dialect, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN (COSTS OFF)" if db.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    found = await db.execute(text(f"{explain} {str(compiled).replace(':', chr(92) + ':')}"))
    return "\n".join(str(row[-1]) for row in found)


def indexes_in(plan: str) -> set[str]:
    return set(
        re.findall(r"(?:Index(?: Only)? Scan(?: Backward)? using|USING (?:COVERING )?INDEX) (\w+)", plan)
    )


def judged_row_by_row(plan: str) -> list[str]:
    """Filters that are not the policy's: rows that were read and thrown away."""
    return [line for line in plan.splitlines() if "Filter:" in line and not _of_policy(line)]


def _of_policy(line: str) -> bool:
    return line.strip().startswith("Filter: ((current_setting(") and "created_at" not in line


@pytest.mark.parametrize("after", [None, Place(MIDDLE, "log_x")], ids=["first", "later"])
@pytest.mark.parametrize("span", [{}, {"since": MIDDLE, "until": MIDDLE + timedelta(seconds=900)}], ids=str)
@pytest.mark.parametrize("status", [None, "success", "failed"])
@pytest.mark.parametrize("pair_id", [None, "pair_1", "pair_none"])
async def test_nothing_is_sorted_scanned_or_thrown_away(
    database: Database, pair_id: str | None, status: Any, span: dict[str, Any], after: Place | None
) -> None:
    wanted = LogFilter(**{"since": START, **span}, pair_id=pair_id, status=status)
    async with database.read_as(TENANT) as db:
        plan = await plan_of(db, wanted, after)
    assert not SORTED_OR_SCANNED.search(plan), plan
    assert indexes_in(plan) == {OF_PAIR if pair_id else OF_ACCOUNT}, plan
    assert judged_row_by_row(plan) == [], plan


async def test_a_sync_id_leads_to_its_log(database: Database) -> None:
    async with database.read_as(TENANT) as db:
        plan = await plan_of(db, LogFilter(START, sync_id=f"sync_run_{5:022}"), None)
    assert indexes_in(plan) <= set(BY_SYNC), plan
    assert indexes_in(plan)
