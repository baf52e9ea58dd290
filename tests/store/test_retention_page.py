"""The page about what is kept names every table, and what it says of times is so."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from sqlalchemy import inspect

from calendarsync.accounts.plans import FREE, PRO
from calendarsync.api.idempotency import KEPT_FOR
from calendarsync.jobs import tidy
from calendarsync.store import left_behind
from calendarsync.store.database import Database
from calendarsync.store.sandbox import MAX_BYTES, MAX_TOMBSTONES
from calendarsync.store.tables import metadata

PAGE = Path(__file__).resolve().parents[2] / "docs/guide/data-retention.md"
ROWS = dict(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| .*? \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE))


async def test_every_table_has_its_bound(database_url: str) -> None:
    """Of the whole schema: what Alembic makes for itself, and on PostgreSQL PgQueuer, is named too."""
    database = Database(database_url)
    async with database.read() as db:
        there = await db.run_sync(lambda connection: inspect(connection).get_table_names())
    await database.close()
    named = [name for row in ROWS for name in re.findall(r"`(\w+)`", row)]
    assert len(named) == len(set(named))
    elsewhere = (
        set() if database.backend == "postgresql" else {name for name in named if name.startswith("pgqueuer")}
    )
    assert set(named) - elsewhere == set(there)
    assert set(there) > set(metadata.tables)


def test_times_and_sizes_are_those_of_the_program() -> None:
    assert f"{FREE.log_days} or {PRO.log_days} days" in ROWS["`runs`"]
    assert timedelta(days=1) == tidy.KEEP_BRIEF
    assert "after a day" in ROWS["`runs`"]
    assert timedelta(hours=1) == tidy.KEEP_ORDERS
    assert ROWS["`orders`"].startswith("an hour")
    assert ROWS["`webhook_events`"] == f"{tidy.KEEP_EVENTS.days} days"
    assert ROWS["`idempotency`"] == f"{KEPT_FOR // timedelta(hours=1)} hours"
    assert timedelta(days=1) == tidy.KEEP_LINKS
    assert ROWS["`api_keys`"].endswith(f"for {tidy.KEEP_KEYS.days} days")
    assert f"{left_behind.KEEP.days} days" in ROWS["`kept_copies`"]
    assert f"once in {left_behind.LOOK_EVERY.days} days" in PAGE.read_text("utf-8")
    assert timedelta(weeks=1) == left_behind.READ_LATELY
    assert f"{tidy.MANY_PAIRS} pairs" in ROWS["`run_counts`"]
    assert f"{MAX_BYTES // 1_000_000} MB" in ROWS["`sandbox_calendars`, `sandbox_events`"]
    assert f"{MAX_TOMBSTONES:,}" in ROWS["`sandbox_calendars`, `sandbox_events`"]
    day = 24 * 60 // 5
    for plan in (FREE, PRO):
        assert f"{day + 24 * (plan.log_days - 1):,} with" in PAGE.read_text("utf-8")
