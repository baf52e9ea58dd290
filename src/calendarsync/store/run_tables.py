"""The tables of the log: runs, and what each did."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, and_, false, literal_column, text

from calendarsync.store.columns import UtcDateTime, metadata, references

runs = Table(
    "runs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("sync_id", String(40), nullable=False, unique=True),
    Column("account_id", references("accounts"), nullable=False),
    Column("mode", String(4), nullable=False),
    # Not a foreign key: logs outlive their pair.
    Column("pair_id", String(40), nullable=False),
    Column("status", String(20), nullable=False),
    Column("trigger", String(20), nullable=False),
    Column("events_processed", Integer, nullable=False),
    Column("events_created", Integer, nullable=False),
    Column("events_updated", Integer, nullable=False),
    Column("events_deleted", Integer, nullable=False),
    Column("events_skipped", Integer, nullable=False),
    Column("provider_requests", Integer, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("error_code", String(50)),
    Column("error_message", String(500)),
    # The run that this one undid, by its sync id.
    Column("undid", String(40)),
    Column("created_at", UtcDateTime, nullable=False),
    # Of an unchanged run that is not the first of its pair in its hour: it is kept for a day.
    Column("brief", Boolean, nullable=False, server_default=false()),
    # One range for each status: whatever is asked for, it is read in its order and nothing beside it.
    Index("ix_runs_account_id_mode_status_created_at_id", "account_id", "mode", "status", "created_at", "id"),
    Index(
        "ix_runs_account_id_mode_pair_id_status_created_at_id",
        *("account_id", "mode", "pair_id", "status", "created_at", "id"),
    ),
)
_written = runs.c.events_created + runs.c.events_updated + runs.c.events_deleted
# Few runs write: the last one is found without a look at all that came after it. The database compares the text of
# the condition, so that its number is no parameter.
wrote = and_(_written > literal_column("0"), runs.c.undid.is_(None))
Index(
    "ix_runs_wrote",
    *(runs.c.account_id, runs.c.mode, runs.c.pair_id, runs.c.created_at, runs.c.id),
    sqlite_where=wrote,
    postgresql_where=wrote,
)

# As text: SQLite compares it with the index's own condition, and `brief = 1` would be another one.
is_brief = text("brief")
Index("ix_runs_brief", runs.c.created_at, sqlite_where=is_brief, postgresql_where=is_brief)

run_counts = Table(
    "run_counts",
    metadata,
    Column("account_id", references("accounts"), primary_key=True),
    Column("mode", String(4), primary_key=True),
    # The logs from then on until the next beginning of the tenant are counted; after the last one none are, and
    # what stands there counts nothing (store/run_counts.py).
    Column("begins_at", UtcDateTime, primary_key=True),
    Column("status", String(20), primary_key=True),
    Column("count", Integer, nullable=False),
)

operations = Table(
    "operations",
    metadata,
    Column("run_id", references("runs"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("direction", String(10), nullable=False),
    Column("event_id", String(1000), nullable=False),
    Column("original_start", String(100), nullable=False),
    Column("action", String(20), nullable=False),
    Column("reason", String(50), nullable=False),
    Column("copy_id", String(100)),
    # From the source's own modification stamp to the confirmation of its copy.
    Column("latency_ms", Integer),
)
