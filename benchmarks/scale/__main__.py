"""`make bench-scale`; docs/reference/performance.md, "At scale", says what it measures and what it may be told.

N, WORKERS, SECONDS and SOAK say what; OUT is a file for what was found; TABLE names such files, which are written
into that page instead of measuring.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import uvloop
from rich.console import Console

from benchmarks.report import machine
from benchmarks.scale import report
from benchmarks.scale.installation import SERVER, installed
from benchmarks.scale.measure import measure
from benchmarks.scale.soak import soak
from tests.testbed.postgresql import PostgresqlServer, run_postgresql


async def run(
    server: PostgresqlServer, pairs: int, workers: list[int], seconds: float, minutes: int, console: Console
) -> dict[str, Any]:
    """What is told of an installation of so many pairs."""
    started = perf_counter()
    with tempfile.TemporaryDirectory(prefix="calendarsync-bench-") as name:
        console.log(f"{pairs:,} pairs are filled in and migrated")
        async with installed(server, pairs, Path(name)) as (bench, filled):
            measurements = []
            for count in workers:
                console.log(f"bare loops and workers: {count}")
                measurements.append(asdict(await measure(bench, count, seconds)))
            soaked = None
            if minutes:
                console.log(f"{minutes} minutes at full load")
                soaked = asdict(await soak(bench, minutes))
            version = await bench.connection.fetchval("SHOW server_version")
            poll_seconds = bench.poll_seconds
    told = ", ".join(f"{option} {value}" for option, value in SERVER.items())
    return {
        "pairs": pairs,
        "poll_seconds": poll_seconds,
        "filled": {
            name: getattr(filled, name)
            for name in ("logs", "fill_seconds", "migrate_seconds", "migrate_empty_seconds", "bytes_a_pair")
        },
        "measurements": measurements,
        "soak": soaked,
        "seconds": perf_counter() - started,
        "machine": machine(f"PostgreSQL {version}"),
        "server": f"Each pair is due every {poll_seconds} s. PostgreSQL: {told}.",
    }


def main() -> None:
    console = Console(highlight=False)
    tables = os.environ.get("TABLE")
    if tables:
        results = [report.load(Path(name)) for name in tables.split()]
        report.show(console, results)
        report.write(results)
        return
    pairs = int(os.environ.get("N") or 100_000)
    workers = [int(each) for each in os.environ.get("WORKERS", "1,2,4").split(",") if each]
    seconds = float(os.environ.get("SECONDS") or 60)
    minutes = int(os.environ.get("SOAK") or 0)
    with run_postgresql(None, SERVER) as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        result = loop.run(run(server, pairs, workers, seconds, minutes, console))
    if out := os.environ.get("OUT"):
        report.save(Path(out), result)
    report.show(console, [result])
    console.print(f"It took {result['seconds'] / 60:.1f} minutes.")


if __name__ == "__main__":
    main()
