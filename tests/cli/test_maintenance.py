"""`calendarsync maintenance`: what it deletes, what it says, and that a dry run deletes nothing."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select
from typer.testing import CliRunner

from calendarsync.cli.app import app
from calendarsync.jobs.tidy import ALL_CHORES
from calendarsync.store.database import Database
from calendarsync.store.tables import accounts, rate_windows, runs

OLD = 2_500


@pytest.fixture
def url(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CALENDARSYNC_DATABASE_URL", database_url)
    monkeypatch.setenv("CALENDARSYNC_SECRET_KEY", "secret of more than thirty-two bytes")
    asyncio.run(_fill(database_url))
    return database_url


async def _fill(url: str) -> None:
    now = datetime.now(UTC)
    database = Database(url)
    async with database.write() as db:
        row = {"id": "acct_a", "email": "a@example.com", "plan": "free", "created_at": now}
        await db.execute(insert(accounts), row)
        windows = [
            {"subject": f"{number}", "used": 1, "ends_at": now - timedelta(hours=1)} for number in range(OLD)
        ]
        await db.execute(
            insert(rate_windows),
            [*windows, windows[0] | {"subject": "running", "ends_at": now + timedelta(hours=1)}],
        )
        await db.execute(
            insert(runs),
            [
                _log("old", now - timedelta(days=8)),
                _log("brief", now - timedelta(days=2), brief=True),
                _log("young", now),
            ],
        )
    await database.close()


def _log(name: str, at: datetime, *, brief: bool = False) -> dict[str, Any]:
    counts = {f"events_{each}": 0 for each in ("processed", "created", "updated", "deleted", "skipped")}
    row = {"id": f"log_{name}", "sync_id": f"sync_run_{name}", "account_id": "acct_a", "mode": "live"}
    row |= {"pair_id": "pair", "status": "success", "trigger": "schedule"}
    return row | counts | {"provider_requests": 2, "duration_ms": 1, "created_at": at, "brief": brief}


async def _left(url: str) -> tuple[int, int]:
    database = Database(url)
    async with database.read() as db:
        found = [
            (await db.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (rate_windows, runs)
        ]
    await database.close()
    return found[0], found[1]


def maintenance(*options: str) -> str:
    result = CliRunner().invoke(app, ["maintenance", *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_dry_run_counts_and_the_command_deletes_as_much(url: str) -> None:
    counted = json.loads(maintenance("--dry-run", "--json"))
    assert asyncio.run(_left(url)) == (OLD + 1, 3)
    done = json.loads(maintenance("--json"))
    assert asyncio.run(_left(url)) == (1, 1)
    rows = {each["what"]: each["rows"] for each in done}
    assert {each["what"]: each["rows"] for each in counted} == rows
    assert list(rows) == [chore.what for chore in ALL_CHORES]
    assert sorted(rows.values()) == [*[0] * (len(rows) - 3), 1, 1, OLD]
    assert all(each["seconds"] >= 0 for each in done)
    again = json.loads(maintenance("--json"))
    assert {each["rows"] for each in again} == {0}


def test_people_get_a_table(url: str) -> None:
    shown = maintenance()
    assert "sessions" in shown
    assert str(OLD) in shown
