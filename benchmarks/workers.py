"""Runs without a change, a second, of one worker on PostgreSQL, beside a bare loop that makes the same writes."""

from __future__ import annotations

import asyncio
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter, process_time
from typing import Any

import uvloop
from sqlalchemy import insert, select, update

from benchmarks import bare_loop
from benchmarks.report import Row
from benchmarks.service import cpu_seconds, memory
from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.jobs.deliveries import Deliverer
from calendarsync.jobs.results import Results
from calendarsync.jobs.wakeups import Wakeups
from calendarsync.jobs.worker import Worker
from calendarsync.net import HttpClient
from calendarsync.providers.base import Batch, Known, Reading
from calendarsync.secrets import Keyring
from calendarsync.store.connections import seal_credentials
from calendarsync.store.database import Database
from calendarsync.store.ids import new_id
from calendarsync.store.tables import accounts, connections, pairs
from calendarsync.sync.inputs import Tools
from calendarsync.sync.refresh import Refresher
from calendarsync.sync.round import Reader
from calendarsync.sync.run import Engine
from calendarsync.webhooks.delivery import Sender
from tests.testbed.postgresql import PostgresqlServer, run_postgresql

PAIRS = 5_000
MANY = 100_000
ROUNDS = 3

_DAY = 86_400.0
_SETTLING, _WATCHED = 10, 30
_RESTING = 1_200.0
"""Seconds until anything is due: less than the slowest pace, beyond which a worker takes the clock for set back."""

LASTING = {"shared_buffers": "256MB", "max_connections": "60"}
"""As a server is run whose data are to last: each commit waits for the disk."""


class QuietCalendar:
    """Nothing in it, and nothing ever changes: what a run costs beside its provider is left."""

    requests = 0
    batch_size = 1

    async def read(
        self,
        cursor: str | None,
        known: Known,
        on_batch: Callable[[Batch], Awaitable[None]],
        *,
        full: bool = False,
    ) -> Reading:
        self.requests += 1
        return Reading("1", None)

    async def fetch(self, ids: object) -> list[Resource]:
        return []

    async def create(self, copy: Copy) -> Resource:
        raise NotImplementedError

    async def update(self, resource_id: str, version: str | None, copy: Copy) -> Resource:
        raise NotImplementedError

    async def delete(self, resource_id: str, version: str | None) -> None:
        raise NotImplementedError

    async def unmark(self, resource_id: str, version: str | None) -> Resource | None:
        raise NotImplementedError


@dataclass(frozen=True)
class Speed:
    """Runs a second, and milliseconds of this process's CPU for each."""

    rate: float
    cpu_ms: float


async def measure(server: PostgresqlServer, count: int = PAIRS) -> tuple[list[Speed], list[Speed], float]:
    """Ours and the bare loop's, in turn; and rows that a run of ours writes."""
    url = server.make_database()
    db = Database(url)
    await fill(db, count)
    ours, bare = [], []
    await _our_round(db, count)  # the first one plans; later ones find nothing to do
    before = await _rows_written(db)
    ours.append(await _our_round(db, count))
    written = await _rows_written(db) - before - count  # less what made them due
    bare.append(await _bare_round(db, count))
    for _ in range(ROUNDS - 1):
        ours.append(await _our_round(db, count))
        bare.append(await _bare_round(db, count))
    await db.close()
    return ours, bare, written / count


@dataclass(frozen=True)
class Idle:
    """What a worker process uses while nothing is due: percent of a core, and resident MB."""

    percent: float
    megabytes: float


def idle(server: PostgresqlServer, count: int = MANY) -> Idle:
    """A real `calendarsync worker` on a database with that many pairs, none due."""
    url = server.make_database()

    async def prepare() -> None:
        db = Database(url)
        await fill(db, count, due_in=_RESTING)
        raw = await db.connect_raw()
        await raw.execute("VACUUM ANALYZE")
        await raw.close()
        await db.close()

    asyncio.run(prepare())
    settings = {
        "CALENDARSYNC_DATABASE_URL": url,
        "CALENDARSYNC_SECRET_KEY": "a secret that is only measured with",
    }
    command = [sys.executable, "-m", "calendarsync", "worker"]
    process = subprocess.Popen(command, env=os.environ | settings, stdout=subprocess.DEVNULL)
    try:
        time.sleep(_SETTLING)
        before = cpu_seconds(process.pid)
        time.sleep(_WATCHED)
        used = cpu_seconds(process.pid) - before
        resident = memory(process.pid, "VmRSS")
    finally:
        process.terminate()
        process.wait(30)
    return Idle(used / _WATCHED * 100, resident)


async def fill(db: Database, count: int, *, due_in: float = 0.0) -> None:
    """An account with that many pairs, each on two calendars of its own."""
    now = datetime.now(UTC)
    due_at = now + timedelta(seconds=due_in)
    account_id, keyring = new_id("acct"), Keyring([secrets.token_bytes(32)])
    async with db.write() as connection:
        await connection.execute(
            insert(accounts).values(id=account_id, email="many@example.com", plan="pro", created_at=now)
        )
    for start in range(0, count, 1000):
        ends, made = [], []
        for number in range(start, min(start + 1000, count)):
            for side in "ab":
                ends.append(_connection(keyring, account_id, f"{side}{number}", now))  # noqa: PERF401
            made.append(_pair(account_id, *ends[-2:], now) | {"due_at": due_at})
        async with db.write() as connection:
            await connection.execute(insert(connections), ends)
            await connection.execute(insert(pairs), made)


def _connection(keyring: Keyring, account_id: str, name: str, now: datetime) -> dict[str, Any]:
    connection_id = new_id("conn")
    return {
        "id": connection_id,
        "account_id": account_id,
        "mode": "live",
        "provider": "caldav",
        "calendar_id": f"https://dav.example.com/{name}/",
        "calendar_key": f"key-{name}",
        "grant_hash": f"grant-{name}",
        "calendar_name": name,
        "email": None,
        "timezone": "Europe/Berlin",
        "owner_addresses": [],
        "read_only": False,
        "credentials_encrypted": seal_credentials(keyring, connection_id, {}),
        "status": "active",
        "created_at": now,
        "index_version": 0,
    }


def _pair(account_id: str, a: dict[str, Any], b: dict[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "id": new_id("pair"),
        "account_id": account_id,
        "mode": "live",
        "connection_a_id": a["id"],
        "connection_b_id": b["id"],
        "calendar_a": a["calendar_key"],
        "calendar_b": b["calendar_key"],
        "sync_mode": "blocker",
        "direction": "bidirectional",
        "options": {},
        "status": "active",
        "created_at": now,
        "generation": 0,
    }


def worker(db: Database) -> tuple[Worker, Results]:
    fingerprinter = Fingerprinter(b"0" * 32)
    reader = Reader(
        db=db,
        refresher=Refresher(db, fingerprinter, "bench"),
        open_calendar=lambda *_: QuietCalendar(),
        now=db.now,
        jitter=lambda: 0.0,
        poll_seconds=_DAY,
    )
    engine = Engine(reader, Tools([b"0" * 32], fingerprinter, "bench"))
    wakeups, results = Wakeups(db), Results(db)
    deliverer = Deliverer(db, Sender(Keyring([b"0" * 32]), HttpClient(), db.now))
    return Worker(db, engine, wakeups, results, deliverer=deliverer, poll_seconds=_DAY), results


async def _our_round(db: Database, count: int) -> Speed:
    await _make_due(db)
    made, results = worker(db)
    started, cpu = perf_counter(), process_time()
    await made.start()
    while await _left(db):  # noqa: ASYNC110 - the database is what tells
        await asyncio.sleep(0.02)
    taken, used = perf_counter() - started, process_time() - cpu
    await made.stop()
    await results.stop()
    return Speed(count / taken, used / count * 1000)


async def _bare_round(db: Database, count: int) -> Speed:
    await _make_due(db)
    raw = await bare_loop.connect(db)
    started, cpu = perf_counter(), process_time()
    await bare_loop.run_due(raw, timedelta(seconds=_DAY))
    taken, used = perf_counter() - started, process_time() - cpu
    for each in raw:
        await each.close()
    return Speed(count / taken, used / count * 1000)


async def _make_due(db: Database) -> None:
    """All at once, and no pair so long ago that it would be planned anew."""
    raw = await db.connect_raw()
    await raw.execute("VACUUM ANALYZE")
    await raw.close()
    async with db.write() as connection:
        await connection.execute(update(pairs).values(due_at=db.now() - timedelta(seconds=1)))


async def _left(db: Database) -> bool:
    async with db.read() as connection:
        wanted = select(pairs.c.id).where((pairs.c.due_at <= db.now()) | pairs.c.leased_until.is_not(None))
        return (await connection.execute(wanted.limit(1))).first() is not None


async def _rows_written(db: Database) -> int:
    raw = await db.connect_raw()
    await asyncio.sleep(11)  # backends that lie idle tell their statistics after 10 s
    await raw.execute("SELECT pg_stat_force_next_flush()")
    written = await raw.fetchval(
        "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE relname NOT LIKE 'pgqueuer%'"
    )
    await raw.close()
    return int(written)


def run(count: int = PAIRS, many: int = MANY) -> list[Row]:
    """All that is told of workers, on a PostgreSQL with its data on disk."""
    with run_postgresql(None, LASTING) as server:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            ours, bare, written = loop.run(measure(server, count))
        resting = idle(server, many)
    return [
        *rows_of(ours, bare, written),
        Row(
            f"A worker that has nothing to do, {many:,} pairs",
            f"{resting.percent:.1f}% of a core, {resting.megabytes:.0f} MB",
            goal="under 5% and 200 MB",
            met=resting.percent < 5 and resting.megabytes < 200,
        ),
    ]


def rows_of(ours: list[Speed], bare: list[Speed], written: float) -> list[Row]:
    rate, limit = (statistics.median(speed.rate for speed in each) for each in (ours, bare))
    cpu = statistics.median(speed.cpu_ms for speed in ours)
    return [
        Row(
            "Runs without a change, one worker, PostgreSQL",
            f"{rate:,.0f}/s, {cpu:.2f} ms of CPU a run",
            f"{limit:,.0f}/s, bare asyncpg loop",
            goal="at least 50% of the loop",
            met=rate >= limit / 2,
        ),
        Row("Rows of ours that such a run writes", f"{written:.2f}", goal="at most 3", met=written <= 3),
    ]
