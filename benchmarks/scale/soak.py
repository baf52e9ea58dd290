"""Full load for many minutes: whether memory stays flat, and whether tables grow as their rows say."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import asyncpg

from benchmarks.scale.figures import Snapshot, Table, percentile, slope, snapshot
from benchmarks.scale.load import trigger_for
from benchmarks.scale.measure import Bench, Runs, ensure_backlog, stop_all

WORKERS = 2
_SAMPLE_SECONDS = 60.0
_WARM_UP_SECONDS = 5.0

FLAT = 0.03
"""By how much the memory of a process may grow over the last two thirds, by its slope, and still be called flat."""

_PAGE, _PAGE_HEAD, _POINTER = 8192, 24, 4
_INDEX_ENTRY_HEAD = 8
_ALIGNED = 8
_FULL, _FULL_IN_ORDER = 0.7, 0.9
"""How full the pages of a B-tree are whose keys come in no order (Yao 1978: ln 2), and in theirs (fillfactor)."""

_IN_ORDER = frozenset({"id", "sync_id", "run_id"})
"""Columns that begin with the time."""

# Of each index of a table: how wide its columns are on the average, in the rows that came last; and the share of
# rows that it holds, where it is a partial one.
_INDEXES = """
    SELECT c.relname AS name, c.reltuples AS entries, t.reltuples AS rows, (
            SELECT array_agg(a.attname::text ORDER BY array_position(i.indkey::int2[], a.attnum))
            FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        ) AS columns
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE i.indrelid = $1::regclass
"""

GROWING = ("runs", "operations")
"""Tables that rows are added to; the others are written over."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Minutes since the beginning; what happened in the one before, and how things stood at its end."""

    minute: float
    rate: float
    p50: float
    p99: float
    megabytes: Mapping[str, float]
    tables: Mapping[str, Table]


@dataclass(frozen=True, slots=True)
class Growth:
    """Of a table over the last two thirds: bytes that it grew by, and what its rows account for, if it grows."""

    rows: int
    bytes: int
    expected: int | None
    dead_share: float


@dataclass(frozen=True, slots=True)
class Soak:
    """`megabytes_an_hour` by process, over the last two thirds; `flat` if none grows by more than `FLAT` then."""

    minutes: float
    runs: Runs
    samples: Sequence[Sample]
    megabytes_an_hour: Mapping[str, float]
    flat: bool
    growth: Mapping[str, Growth]
    warnings: dict[str, int]


async def soak(bench: Bench, minutes: int) -> Soak:
    await bench.renew()
    samples = []
    started = perf_counter()
    with bench.workers(WORKERS) as children:
        await bench.first_claim(started)
        await asyncio.sleep(_WARM_UP_SECONDS)
        began = perf_counter()
        first = last = await snapshot(bench.connection)
        for _ in range(minutes):
            waited = await trigger_for(_SAMPLE_SECONDS, bench.port, bench.targets)
            now = await snapshot(bench.connection)
            await ensure_backlog(bench)
            latencies = [each.seconds for each in waited]
            samples.append(
                Sample(
                    minute=(perf_counter() - began) / 60,
                    rate=_runs_of(now, last) / (now.at - last.at).total_seconds(),
                    p50=percentile(latencies, 0.5),
                    p99=percentile(latencies, 0.99),
                    megabytes={each.name: each.megabytes for each in (*children, bench.api)},
                    tables=now.tables,
                )
            )
            last = now
        warned = stop_all(children)
    runs = await bench.runs_between(first.at, last.at)
    slopes, flat = memory(samples)
    widths = {table: await bytes_a_row(bench.connection, table) for table in GROWING}
    return Soak(
        minutes=samples[-1].minute,
        runs=runs,
        samples=samples,
        megabytes_an_hour=slopes,
        flat=flat,
        growth=growth(samples, widths),
        warnings=dict(warned),
    )


def _runs_of(now: Snapshot, before: Snapshot) -> int:
    return now.tables["runs"].inserted - before.tables["runs"].inserted


def later(samples: Sequence[Sample]) -> Sequence[Sample]:
    """The last two thirds, with the sample that they begin at."""
    return samples[len(samples) // 3 :]


def memory(samples: Sequence[Sample]) -> tuple[dict[str, float], bool]:
    """MB an hour by process over the last two thirds, and whether that is flat."""
    kept = later(samples)
    times = [sample.minute for sample in kept]
    slopes, flat = {}, True
    for name in kept[-1].megabytes:
        values = [sample.megabytes[name] for sample in kept]
        a_minute = slope(times, values)
        slopes[name] = a_minute * 60
        flat = flat and a_minute * (times[-1] - times[0]) <= FLAT * values[0]
    return slopes, flat


def growth(samples: Sequence[Sample], widths: Mapping[str, float]) -> dict[str, Growth]:
    """Of every table that was written to over the last two thirds. `widths` are bytes a row, of those that grow."""
    first, last = later(samples)[0].tables, samples[-1].tables
    found = {}
    for name, now in last.items():
        then = first[name]
        if now.written == then.written:
            continue
        rows = (now.inserted - now.deleted) - (then.inserted - then.deleted)
        found[name] = Growth(
            rows=rows,
            bytes=now.total_bytes - then.total_bytes,
            expected=round(rows * widths[name]) if name in widths else None,
            dead_share=now.dead / max(now.live + now.dead, 1),
        )
    return found


async def bytes_a_row(connection: asyncpg.Connection[Any], table: str) -> float:
    """What a row takes in the table and in its indexes, by its columns' widths and PostgreSQL's page layout."""
    await connection.execute(f"ANALYZE {table}")
    width = await connection.fetchval(
        f"SELECT avg(pg_column_size(t.*)) FROM (SELECT * FROM {table} ORDER BY ctid DESC LIMIT 10000) t"
    )
    total = heap_bytes(float(width or 0))
    for row in await connection.fetch(_INDEXES, table):
        sizes = " + ".join(f"coalesce(pg_column_size({column}), 0)" for column in row["columns"])
        keys = await connection.fetchval(
            f"SELECT avg({sizes}) FROM (SELECT * FROM {table} ORDER BY ctid DESC LIMIT 10000) t"
        )
        held = row["entries"] / row["rows"] if row["rows"] else 0.0
        full = _FULL_IN_ORDER if row["columns"][0] in _IN_ORDER else _FULL
        total += index_bytes(float(keys or 0), full) * min(held, 1.0)
    return total


def heap_bytes(width: float) -> float:
    """Of a row of that width, its header included: pages hold whole rows."""
    each = -(-width // _ALIGNED) * _ALIGNED + _POINTER
    return _PAGE / max((_PAGE - _PAGE_HEAD) // each, 1)


def index_bytes(keys: float, full: float) -> float:
    """Of an entry of a B-tree whose columns take so many bytes together, and whose pages are so full."""
    return (-(-(_INDEX_ENTRY_HEAD + keys) // _ALIGNED) * _ALIGNED + _POINTER) / full
