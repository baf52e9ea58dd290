"""One measurement: so many workers under full load, beside as many bare loops."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import asyncpg

from benchmarks.scale import mix
from benchmarks.scale.figures import Costs, costs, percentile, snapshot
from benchmarks.scale.load import Target, trigger_for
from benchmarks.scale.processes import Child, ScaleError, child, cpu_of_children, settings

_WARM_UP_SECONDS = 5.0
_LONGEST_BARE_SECONDS = 20.0
_SETTING_SECONDS, _WAL_SECONDS = 2.0, 8.0
_LOOK_SECONDS = 0.02
_FIRST_CLAIM_SECONDS = 60.0

# What a run of the mix may fail with.
_EXPECTED = frozenset({"provider_rate_limited", "not_authorized"})

# Just now: a lease lasts 15 s.
_IS_CLAIMED = "SELECT EXISTS (SELECT FROM pairs WHERE leased_until > clock_timestamp() + interval '12 s')"
# Every plan puts off the next one anew.
_PLANNED = "SELECT count(*) FROM pairs WHERE quiet_until IS DISTINCT FROM $1"
_MOST_PLANNED = 0.2
_RUNS = """
    SELECT count(*) AS total,
        count(*) FILTER (WHERE events_created + events_updated + events_deleted > 0) AS changed,
        count(*) FILTER (WHERE error_code = 'provider_rate_limited') AS throttled,
        count(*) FILTER (WHERE error_code = 'not_authorized') AS expired,
        count(*) FILTER (WHERE trigger = 'api') AS triggered,
        count(*) FILTER (WHERE status = 'partial') AS partial,
        array_agg(DISTINCT error_code) FILTER (WHERE error_code IS NOT NULL) AS errors
    FROM runs WHERE created_at >= $1 AND created_at < $2
"""


@dataclass(frozen=True, slots=True)
class Runs:
    """How many ended in a span of time, and of which kind they were."""

    total: int
    changed: int
    throttled: int
    expired: int
    triggered: int
    partial: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """Of so many workers; CPU in milliseconds a run, latencies in seconds, memory in MB of each worker.

    `wal_records` are bytes of the WAL a run but for whole pages.
    """

    workers: int
    seconds: float
    runs: Runs
    rate: float
    bare_rate: float
    cpu_workers: float
    cpu_database: float
    cpu_api: float
    triggers: int
    p50: float
    p99: float
    slowest: float
    first_claim_seconds: float
    megabytes_start: Sequence[float]
    megabytes_end: Sequence[float]
    costs: Costs
    wal_records: float
    warnings: dict[str, int]


@dataclass(frozen=True, slots=True)
class Bench:
    """An installation that is filled and whose API is up.

    Until `quiet_until` no pair is to be planned anew as it was filled in. `postmaster` is None where the server is
    not on this machine.
    """

    url: str
    connection: asyncpg.Connection[Any]
    folder: Path
    api: Child
    port: int
    targets: Sequence[Target]
    poll_seconds: int
    quiet_until: datetime
    postmaster: int | None

    @contextmanager
    def workers(self, count: int) -> Iterator[list[Child]]:
        own = settings(self.url, self.poll_seconds)
        with ExitStack() as stack:
            yield [
                stack.enter_context(child(f"worker{n}", ["benchmarks.scale.process"], self.folder, own))
                for n in range(1, count + 1)
            ]

    def cpu_of_database(self) -> float:
        return 0.0 if self.postmaster is None else cpu_of_children(self.postmaster)

    async def renew(self) -> None:
        """Grants that expired are there again, and some pairs have to be planned anew; what is due stays due."""
        await self.connection.execute(
            "UPDATE connections SET status = 'active', last_error_code = NULL, last_error_message = NULL "
            "WHERE status = 'expired'"
        )
        await self.connection.execute(
            "UPDATE pairs SET due_at = now(), status = 'active', attention_code = NULL, attention_message = NULL "
            "WHERE due_at IS NULL OR status <> 'active'"
        )
        await self.connection.execute(
            "UPDATE pairs SET quiet_until = now() WHERE random() < $1", mix.PLANNED_ANEW
        )
        await self.connection.execute("CHECKPOINT")

    async def runs_between(self, start: datetime, end: datetime) -> Runs:
        """Raises ScaleError where one failed at what does not belong to the mix."""
        row = await self.connection.fetchrow(_RUNS, start, end)
        assert row is not None
        *counts, errors = row.values()
        unexpected = set(errors or ()) - _EXPECTED
        if unexpected:
            raise ScaleError(f"runs failed with {', '.join(sorted(unexpected))}")
        if counts[0] == 0:
            raise ScaleError("nothing ran")
        return Runs(*counts)

    async def first_claim(self, started: float) -> float:
        """Seconds from `started` until a worker has claimed a pair."""
        while not await self.connection.fetchval(_IS_CLAIMED):
            if perf_counter() - started > _FIRST_CLAIM_SECONDS:
                raise ScaleError("no worker claims anything")
            await asyncio.sleep(_LOOK_SECONDS)
        return perf_counter() - started


async def measure(bench: Bench, workers: int, seconds: float) -> Measurement:
    await bench.renew()
    bare_rate = await bare(bench, workers, min(seconds, _LONGEST_BARE_SECONDS))
    await bench.renew()
    idle = await snapshot(bench.connection)
    planned = await bench.connection.fetchval(_PLANNED, bench.quiet_until)
    started = perf_counter()
    with bench.workers(workers) as children:
        first_claim_seconds = await bench.first_claim(started)
        await asyncio.sleep(_WARM_UP_SECONDS)
        before, cpu = await snapshot(bench.connection), _cpu(bench, children)
        megabytes_start = [each.megabytes for each in children]
        began = perf_counter()
        waited = await trigger_for(seconds, bench.port, bench.targets)
        taken = perf_counter() - began
        after, cpu_after = await snapshot(bench.connection), _cpu(bench, children)
        megabytes_end = [each.megabytes for each in children]
        wal_records = await wal_without_pages(bench)
        await ensure_backlog(bench)
        warned = stop_all(children)
    bench.api.ensure_alive()
    runs = await bench.runs_between(before.at, after.at)
    planned = await bench.connection.fetchval(_PLANNED, bench.quiet_until) - planned
    ran = after.tables["runs"].inserted - idle.tables["runs"].inserted
    if planned > _MOST_PLANNED * ran:
        raise ScaleError(f"{planned} of {ran} runs had to plan: they do not know the pairs as filled in")
    of_workers, of_database, of_api = (
        (later - earlier) / runs.total * 1000 for earlier, later in zip(cpu, cpu_after, strict=True)
    )
    latencies = [each.seconds for each in waited]
    return Measurement(
        workers=workers,
        seconds=taken,
        runs=runs,
        rate=runs.total / taken,
        bare_rate=bare_rate,
        cpu_workers=of_workers,
        cpu_database=of_database,
        cpu_api=of_api,
        triggers=len(waited),
        p50=percentile(latencies, 0.5),
        p99=percentile(latencies, 0.99),
        slowest=max(latencies),
        first_claim_seconds=first_claim_seconds,
        megabytes_start=megabytes_start,
        megabytes_end=megabytes_end,
        costs=costs(before, after, runs.total),
        wal_records=wal_records,
        warnings=dict(warned),
    )


async def wal_without_pages(bench: Bench) -> float:
    """Bytes a run, measured for a while in which the server writes no whole pages after a checkpoint."""
    connection = bench.connection
    await connection.execute("ALTER SYSTEM SET full_page_writes = off")
    await connection.execute("SELECT pg_reload_conf()")
    try:
        await asyncio.sleep(_SETTING_SECONDS)
        before = await snapshot(connection)
        await asyncio.sleep(_WAL_SECONDS)
        after = await snapshot(connection)
    finally:
        await connection.execute("ALTER SYSTEM RESET full_page_writes")
        await connection.execute("SELECT pg_reload_conf()")
    runs = after.tables["runs"].inserted - before.tables["runs"].inserted
    if runs <= 0:
        raise ScaleError("nothing ran")
    return (after.wal_bytes - before.wal_bytes) / runs


async def bare(bench: Bench, loops: int, seconds: float) -> float:
    """Runs a second of so many bare loops together, each in a process."""
    command = [sys.executable, "-m", "benchmarks.bare_loop", bench.url, str(seconds), str(bench.poll_seconds)]
    children = [
        await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE) for _ in range(loops)
    ]
    try:
        answers = await asyncio.gather(*(each.communicate() for each in children))
    finally:
        for each in children:
            if each.returncode is None:
                each.kill()
    if any(each.returncode for each in children):
        raise ScaleError("a bare loop failed")
    await ensure_backlog(bench)
    return sum(int(output) for output, _ in answers) / seconds


async def ensure_backlog(bench: Bench) -> None:
    """Raises ScaleError where the load was not full: nothing is due that could be claimed."""
    if not await bench.connection.fetchval(
        "SELECT EXISTS (SELECT FROM pairs WHERE leased_until IS NULL AND due_at < now() - interval '1 s')"
    ):
        raise ScaleError("all that was due has been run: the load was not full; take more pairs")


def stop_all(children: Sequence[Child]) -> Counter[str]:
    """Warnings of all. They are told to end one after the other, as in a rolling update."""
    warned: Counter[str] = Counter()
    for each in children:
        warned += each.stop()
    return warned


def _cpu(bench: Bench, children: Sequence[Child]) -> tuple[float, float, float]:
    return sum(each.cpu for each in children), bench.cpu_of_database(), bench.api.cpu
