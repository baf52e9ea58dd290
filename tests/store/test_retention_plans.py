"""What goes is found by an index, however much stays: judged by the database's own plan."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Select, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.jobs import tidy
from calendarsync.store import left_behind, pruning, retention
from calendarsync.store.database import Database
from calendarsync.store.dialects import prefer_indexes
from calendarsync.store.tables import (
    accounts,
    api_keys,
    connections,
    grants,
    idempotency,
    orders,
    rate_windows,
    runs,
    sessions,
    webhook_events,
)
from tests.store.test_log_plans import START, rows
from tests.store.test_run_counts import explained
from tests.store.watching import watching

LATER = START + timedelta(hours=1)
ALL = ["acct_0", "acct_1", "acct_2", "acct_3"]
Work = Callable[[AsyncConnection], Awaitable[object]]
WORKS: dict[str, tuple[Work, str]] = {
    "logs": (
        lambda db: retention.delete_logs(db, ALL, START, 1_000),
        "ix_runs_account_id_mode_status_created_at_id",
    ),
    "brief logs": (lambda db: retention.delete_brief_logs(db, START, LATER, 1_000), "ix_runs_brief"),
    **{
        table.name: (
            lambda db, column=column: pruning.delete_old(db, column, START, 1_000),  # type: ignore[misc]
            f"ix_{table.name}_{column.name}",
        )
        for table, column in (
            (orders, orders.c.finished_at),
            (rate_windows, rate_windows.c.ends_at),
            (idempotency, idempotency.c.expires_at),
            (sessions, sessions.c.expires_at),
            (webhook_events, webhook_events.c.created_at),
        )
    },
    **{
        f"keys by {column.name}": (
            lambda db, column=column: pruning.delete_old(db, column, START, 1_000),  # type: ignore[misc]
            f"ix_api_keys_{column.name}",
        )
        for column in (api_keys.c.revoked_at, api_keys.c.expires_at)
    },
    "kept copies": (lambda db: left_behind.forget_gone(db, START, 1_000), "ix_kept_copies_look_at"),
}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    async with database.write() as db:
        made = [{"id": each, "email": each, "plan": "free", "created_at": START} for each in ALL]
        await db.execute(insert(accounts), made)
        await db.execute(insert(runs), [row | {"brief": True} for row in rows(2_000)])
        await db.execute(text("ANALYZE"))
    yield database
    await database.close()


@pytest.mark.parametrize("what", WORKS)
async def test_no_table_is_read_whole(database: Database, what: str) -> None:
    work, index = WORKS[what]
    async with database.write() as db:
        with watching() as seen:
            await work(db)
        asked = [each for each in seen if isinstance(each.statement, Select) and each.module != "dialects"]
        plans = [await explained(db, each.statement, each.all_parameters()) for each in asked]
    assert any(re.search(index, plan) for plan in plans), plans
    for plan in plans:
        assert not re.search(r"Seq Scan|SCAN \w+$|SCAN \w+ *\n|Sort\n|TEMP B-TREE FOR ORDER", plan), plan


async def test_grants_are_looked_at_some_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearly all of them are in use, so that nothing but a look at each finds those that are not."""
    monkeypatch.setattr(tidy, "ROWS_AT_ONCE", 100)
    mine: dict[str, Any] = {"account_id": "acct_0", "mode": "live", "provider": "google"}
    mine |= {"credentials_encrypted": b"", "status": "active", "created_at": START}
    numbers = [f"{number:04}" for number in range(1_050)]
    granted: dict[str, Any] = {"email": "ann@example.com", "scopes": [], "generation": 1}
    connected: dict[str, Any] = {
        "calendar_id": "",
        "grant_hash": "",
        "calendar_name": "",
        "owner_addresses": [],
    }
    async with database.write() as db:
        made = [{**mine, **granted, "id": each, "subject_hash": each} for each in numbers]
        await db.execute(insert(grants), made)
        made = [
            {**mine, **connected, "id": each, "calendar_key": each, "read_only": False, "grant_id": each}
            for each in numbers
            if each not in {"0007", "0999", "1049"}
        ]
        await db.execute(insert(connections), made)
        await db.execute(text("ANALYZE"))
    (chore,) = [each for each in tidy.ALL_CHORES if each.what.startswith("grants")]
    assert await chore.count(database) == 3
    with watching() as seen:
        deleted = [each async for each in chore.work(database)]
    assert len(deleted) == 11
    assert sum(deleted) == 3
    assert await chore.count(database) == 0
    asked = [each for each in seen if isinstance(each.statement, Select) and each.module != "dialects"]
    async with database.write() as db:
        await prefer_indexes(db)
        plans = [await explained(db, each.statement, each.all_parameters()) for each in asked]
    assert not re.search(r"(Seq Scan on|SCAN) (grants|connections)\b(?! USING)", "\n".join(plans)), plans
