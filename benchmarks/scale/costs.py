"""What one of each thing costs, as it was measured: the one place to fill in.

`row_bytes` is what `python -m benchmarks.scale.rows` prints. From the line of most pairs and one worker that
`make bench-scale` writes: CPU of a run is `quiet_run_ms` and `database_quiet_run_ms`, rows a run `quiet_run_rows`,
WAL a run without its whole pages `quiet_run_wal` and with them `quiet_run_wal_cold`, memory at the end `worker_mb`.
Then `CALENDARSYNC_WRITE_TABLES=1 pytest tests/test_scale_page.py` writes docs/guide/scale.md anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


def cost(meaning: str, unit: str, source: str = "") -> float:
    """A field with what the page says of it; `source` where it does not come from the machine below."""
    made: float = field(metadata={"meaning": meaning, "unit": unit, "source": source})
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCosts:
    """ms are of one core's time, bytes are of PostgreSQL's files or of its write-ahead log (WAL), MB are 10^6."""

    machine: str
    # Bytes at rest of one row with its share of the indexes, by table.
    row_bytes: Mapping[str, float]
    quiet_run_ms: float = cost("a run that finds nothing: worker, without its requests", "ms")
    planned_run_ms: float = cost("a run that plans: worker, whatever is in the calendars", "ms")
    planned_event_ms: float = cost("… and for each event that the pair knows", "ms")
    request_ms: float = cost("a request to a provider: worker", "ms", "performance.md")
    api_request_ms: float = cost("a request to the API, or a notice: API process", "ms", "performance.md")
    database_quiet_run_ms: float = cost("a run that finds nothing: PostgreSQL", "ms")
    database_planned_run_ms: float = cost("a run that plans: PostgreSQL, whatever is in the calendars", "ms")
    database_planned_event_ms: float = cost("… and for each event that the pair knows", "ms")
    claim_ms: float = cost("a claim of 64 pairs, during which nobody else claims", "ms")
    quiet_run_rows: float = cost("rows written by a run that finds nothing", "rows")
    change_rows: float = cost(
        "rows written by a change, its copy, and the run that hears of the copy", "rows"
    )
    quiet_run_wal: float = cost("WAL of a run that finds nothing", "bytes")
    quiet_run_wal_cold: float = cost("… where every page is new since the last checkpoint", "bytes")
    change_wal: float = cost("WAL of a change and its copy", "bytes")
    change_wal_cold: float = cost("… where every page is new since the last checkpoint", "bytes")
    token_wal: float = cost("WAL of an access token that is renewed", "bytes")
    token_wal_cold: float = cost("… where every page is new since the last checkpoint", "bytes")
    deleted_row_wal: float = cost("WAL of a log that is deleted and vacuumed", "bytes")
    worker_mb: float = cost("memory of a worker", "MB")
    api_mb: float = cost("memory of an API process", "MB")


MEASURED = UnitCosts(
    machine=(
        "2026-11-28, AMD EPYC, 2 cores; PostgreSQL 18.4, Python 3.11.7, calendarsync 0.1.0. Runs, their WAL and "
        "memory were measured with nothing else running; what events, changes, tokens and claims cost beside "
        "other work."
    ),
    row_bytes={
        "pairs": 662,
        "connections": 1373,
        "grants": 2843,
        "channels": 450,
        "event_index": 833,
        "links": 1162,
        "runs": 635,
        "operations": 255,
        "webhook_events": 674,
        "deliveries": 482,
        "orders": 754,
    },
    quiet_run_ms=0.42,
    planned_run_ms=2.1,
    planned_event_ms=0.14,
    request_ms=1.6,
    api_request_ms=2.2,
    database_quiet_run_ms=0.26,
    database_planned_run_ms=0.65,
    database_planned_event_ms=0.01,
    claim_ms=10.0,
    quiet_run_rows=3.0,
    change_rows=25.0,
    quiet_run_wal=3_570,
    quiet_run_wal_cold=21_600,
    change_wal=12_000,
    change_wal_cold=165_000,
    token_wal=2_500,
    token_wal_cold=18_000,
    deleted_row_wal=1_400,
    worker_mb=161,
    api_mb=139,
)
