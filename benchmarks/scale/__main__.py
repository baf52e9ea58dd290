"""`make bench-scale`; see docs/reference/performance.md, "At scale"."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

import uvloop
from rich.console import Console

from benchmarks.scale.installation import SERVER, installed
from benchmarks.scale.measure import Measurement, measure
from tests.testbed.postgresql import PostgresqlServer, run_postgresql


async def _run(
    server: PostgresqlServer, pairs: int, workers: list[int], seconds: float, console: Console
) -> None:
    with tempfile.TemporaryDirectory(prefix="calendarsync-bench-") as name:
        console.log(f"fills {pairs:,} pairs")
        async with installed(server, pairs, Path(name)) as (bench, filled):
            console.log(filled)
            for count in workers:
                console.log(f"{count} workers")
                found: Measurement = await measure(bench, count, seconds)
                console.log(found)


def main() -> None:
    pairs = int(os.environ.get("N") or 100_000)
    workers = [int(each) for each in (os.environ.get("WORKERS") or "1,2,4").split(",")]
    seconds = float(os.environ.get("SECONDS") or 60)
    console = Console(highlight=False)
    with run_postgresql(None, SERVER) as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_run(server, pairs, workers, seconds, console))


if __name__ == "__main__":
    main()
