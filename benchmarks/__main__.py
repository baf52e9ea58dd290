"""`make bench`: a first sync and one without a change, through the engine, beside the bare requests."""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import bare
from tests.testbed.desk import Desk, desk
from tests.testbed.events import event
from tests.testbed.radicale import RadicaleServer, radicale_server

EVENTS = 300
ROUNDS = 3
QUIET_RUNS = 30
FIRST_DAY = datetime(2026, 3, 3, 8, tzinfo=UTC)


async def first_syncs(server: RadicaleServer, folder: Path) -> tuple[list[float], list[float], list[float]]:
    """Seconds of the engine, its CPU seconds, and seconds of the bare loop that writes the same bytes."""
    walls, cpus, floors = [], [], []
    for number in range(ROUNDS):
        async with desk(server, _made(folder / str(number))) as one:
            fill(one)
            pair = await one.pair(direction="a_to_b")
            started, cpu = perf_counter(), process_time()
            report = await one.app.sync(pair)
            walls.append(perf_counter() - started)
            cpus.append(process_time() - cpu)
            assert report.events_created == EVENTS, report
            written = server.read_all(one.b)
            floors.append(await bare.put_all(server, server.make_calendar(), written))
    return walls, cpus, floors


async def quiet_runs(server: RadicaleServer, folder: Path) -> tuple[list[float], list[float], list[float]]:
    """The same for a run that finds nothing changed, beside two REPORTs."""
    walls, cpus = [], []
    async with desk(server, _made(folder / "quiet")) as one:
        fill(one)
        pair = await one.pair(direction="a_to_b")
        await one.app.sync(pair)
        await one.app.sync(pair)
        for _ in range(QUIET_RUNS):
            started, cpu = perf_counter(), process_time()
            report = await one.app.sync(pair)
            walls.append(perf_counter() - started)
            cpus.append(process_time() - cpu)
            assert (report.events_created, report.provider_requests) == (0, 2), report
        return walls, cpus, await bare.reports(server, (one.a, one.b), QUIET_RUNS)


def fill(one: Desk) -> None:
    for number in range(EVENTS):
        start = FIRST_DAY + timedelta(hours=5 * number)
        end = start + timedelta(hours=1)
        one.put_a(f"e{number}", event(f"e{number}", f"{start:%Y%m%dT%H%M%SZ}", f"{end:%Y%m%dT%H%M%SZ}"))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _row(
    table: Table, name: str, walls: Sequence[float], cpus: Sequence[float], floors: Sequence[float]
) -> None:
    wall, floor = median(walls), median(floors)
    table.add_row(
        name,
        *(f"{1000 * value:.1f}" for value in (wall, floor)),
        f"{wall / floor:.2f}",
        f"{1000 * median(cpus):.1f}",
    )


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine()
    )
    parts = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "sqlalchemy", "radicale"))
    system = f"{model}, {os.cpu_count()} cores, {platform.platform()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {system}, Python {platform.python_version()}, {parts}"


async def main() -> None:
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as name, radicale_server(Path(name) / "radicale") as server:
        table = Table("", "engine, ms", "bare, ms", "ratio", "engine's CPU, ms", box=box.SIMPLE_HEAD)
        with console.status("first syncs"):
            _row(table, f"first sync of {EVENTS} events", *await first_syncs(server, Path(name)))
        with console.status("runs without a change"):
            _row(table, "run without a change", *await quiet_runs(server, Path(name)))
    console.print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    console.print(f"Bare: {EVENTS} PUTs of the same bytes, as many in flight; two sync-collection REPORTs.")
    console.print(f"Medians of {ROUNDS} and {QUIET_RUNS} runs. Peak memory {peak} MiB.")
    console.print(_machine())


if __name__ == "__main__":
    asyncio.run(main())
