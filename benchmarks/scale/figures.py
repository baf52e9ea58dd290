"""What PostgreSQL and the processes have counted, and what follows from it. The arithmetic is pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

_TABLES = """
    SELECT relname, n_tup_ins, n_tup_upd, n_tup_hot_upd, n_tup_del, n_dead_tup, n_live_tup,
        pg_table_size(relid) AS table_bytes, pg_indexes_size(relid) AS index_bytes
    FROM pg_stat_user_tables
"""
_QUEUE = "pgqueuer"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows written since the beginning, rows that are there, and bytes."""

    inserted: int
    updated: int
    updated_in_place: int
    deleted: int
    dead: int
    live: int
    table_bytes: int
    index_bytes: int

    @property
    def written(self) -> int:
        return self.inserted + self.updated + self.deleted

    @property
    def total_bytes(self) -> int:
        return self.table_bytes + self.index_bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a database at a moment of its own clock."""

    at: datetime
    tables: Mapping[str, Table]
    wal_bytes: int


async def snapshot(connection: asyncpg.Connection[Any]) -> Snapshot:
    rows = await connection.fetch(_TABLES)
    wal = await connection.fetchrow("SELECT wal_bytes, clock_timestamp() AS at FROM pg_stat_wal")
    assert wal is not None
    tables = {row["relname"]: Table(*(int(value) for value in list(row.values())[1:])) for row in rows}
    return Snapshot(wal["at"], tables, int(wal["wal_bytes"]))


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one run, on the average over all kinds of them. `rows` and `bytes` are by table; bytes that stay."""

    rows: Mapping[str, float]
    updates_in_place: float
    table_bytes: Mapping[str, float]
    wal_bytes: float

    @property
    def own_rows(self) -> float:
        """Without the queue's."""
        return sum(rows for table, rows in self.rows.items() if not table.startswith(_QUEUE))


def costs(before: Snapshot, after: Snapshot, runs: int) -> Costs:
    """What was written between two snapshots, for each of the runs."""
    rows, grown, in_place, updated = {}, {}, 0, 0
    for name, now in after.tables.items():
        then = before.tables.get(name, Table(0, 0, 0, 0, 0, 0, 0, 0))
        if now.written > then.written:
            rows[name] = (now.written - then.written) / runs
        if now.total_bytes != then.total_bytes:
            grown[name] = (now.total_bytes - then.total_bytes) / runs
        updated += now.updated - then.updated
        in_place += now.updated_in_place - then.updated_in_place
    return Costs(
        rows,
        in_place / updated if updated else 0.0,
        grown,
        (after.wal_bytes - before.wal_bytes) / runs,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them do not exceed (nearest rank); nan without any."""
    if not values:
        return math.nan
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """By least squares: how much a value grows in one unit of time; 0.0 of fewer than two moments."""
    count = len(times)
    middle, level = sum(times) / count, sum(values) / count
    spread = sum((time - middle) ** 2 for time in times)
    if spread == 0:
        return 0.0
    return sum((time - middle) * (value - level) for time, value in zip(times, values, strict=True)) / spread
