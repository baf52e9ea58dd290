"""`make bench`: first syncs, runs without a change, one change, and memory, beside the bare requests.

`BENCH=quick` leaves out what takes many minutes: Radicale, and 20,000 events. `BENCH=workers` measures workers on
PostgreSQL alone, `BENCH=requests` the API's requests alone, `BENCH=push` how soon a change that is told is copied.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

import uvloop
from rich.console import Console

from benchmarks import bare, push, report, requests, vdirsyncer, workers
from benchmarks.bare import Place
from benchmarks.events import changed, events
from benchmarks.report import Row
from benchmarks.service import FirstSync, Service, service
from benchmarks.vdirsyncer import Vdirsyncer
from tests.testbed import cyrus
from tests.testbed.cyrus import cyrus_server
from tests.testbed.dav import DavServer
from tests.testbed.radicale import radicale_server

EVENTS = 2_000
MANY = 20_000
ROUNDS = 5
QUIET_RUNS = 20
RIVAL_RUNS = 5

PARTS = {"workers": workers.run, "requests": requests.run, "push": push.run}
"""What can be measured alone, by the word in `BENCH`."""

T = TypeVar("T")


@dataclass
class Measured:
    """Seconds, and what else is measured, of everybody on one server."""

    ours: list[FirstSync] = field(default_factory=list)
    puts: list[float] = field(default_factory=list)
    rival: list[float] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    reports: list[float] = field(default_factory=list)
    rival_quiet: list[float] = field(default_factory=list)
    one: float = 0
    one_requests: int = 0
    rival_one: float = 0


class Bench:
    """Measures on one server: one person's calendar goes to calendars of others."""

    def __init__(self, alice: DavServer, folder: Path, rival: Vdirsyncer, console: Console) -> None:
        self._alice = alice
        self._folder = folder
        self._rival = rival
        self._console = console

    def measure(self, rounds: int) -> Measured:
        measured = Measured()
        data = events(EVENTS)
        a = self._filled(data)
        for number in range(1, rounds + 1):
            with self._service(number) as ours:
                self._say(f"first sync of {EVENTS}, round {number} of {rounds}")
                b = self._empty()
                first = ours.pair(a, b, EVENTS)
                measured.ours.append(first)
                self._say(f"the same PUTs, round {number} of {rounds}")
                measured.puts.append(_run(bare.put_all(self._empty(), b.server.read_all(b.calendar))))
                self._say(f"vdirsyncer, round {number} of {rounds}")
                config = self._rival.pair(self._folder / f"vdirsyncer{number}", a, self._empty())
                measured.rival.append(self._rival.sync(config))
                if number == rounds:
                    self._quiet(measured, ours, first.pair, a, b, config)
                    self._one_changed(measured, ours, first.pair, a, data, config)
        return measured

    def many(self) -> FirstSync:
        self._say(f"{MANY} events; this takes minutes")
        with self._service(0) as ours:
            return ours.pair(self._filled(events(MANY)), self._empty(), MANY)

    def _quiet(self, measured: Measured, ours: Service, pair: str, a: Place, b: Place, config: Path) -> None:
        self._say("runs without a change")
        ours.trigger(pair)  # reads back what the first sync wrote
        self._rival.sync(config)
        measured.quiet = [ours.trigger(pair) for _ in range(QUIET_RUNS)]
        assert ours.logs(pair)[0].provider_requests == 2
        measured.reports = _run(bare.reports(a, b, QUIET_RUNS))
        measured.rival_quiet = [self._rival.sync(config) for _ in range(RIVAL_RUNS)]

    def _one_changed(
        self,
        measured: Measured,
        ours: Service,
        pair: str,
        a: Place,
        data: Mapping[str, bytes],
        config: Path,
    ) -> None:
        self._say("one event changed")
        name = next(iter(data))
        a.server.put(a.calendar, name, changed(data[name]))
        measured.one = ours.trigger(pair)
        log = ours.logs(pair)[0]
        assert log.events_updated == 1, log
        measured.one_requests = log.provider_requests
        measured.rival_one = self._rival.sync(config)

    @contextmanager
    def _service(self, number: int) -> Iterator[Service]:
        with service(self._folder / f"calendarsync{number}") as ours:
            yield ours

    def _filled(self, data: Mapping[str, bytes]) -> Place:
        place = self._empty()
        _run(bare.put_all(place, data))
        return place

    def _empty(self) -> Place:
        person = self._alice.newcomer()
        return Place(person, person.make_calendar())

    def _say(self, what: str) -> None:
        self._console.log(what)


def rows_of(measured: Measured, server: str) -> Iterator[Row]:
    """The lines of one server."""
    ours = median(first.seconds for first in measured.ours)
    puts, rival = median(measured.puts), median(measured.rival)
    shares = sorted(put / first.seconds for put, first in zip(measured.puts, measured.ours, strict=True))
    spread = f", {shares[0]:.0%} to {shares[-1]:.0%}" if len(shares) > 1 else ""
    yield Row(
        f"{server}: first sync of {EVENTS:,} events",
        f"{ours:.1f} s",
        f"{puts:.1f} s for the PUTs: {median(shares):.0%} of its speed{spread}",
        f"{rival:.1f} s: {rival / ours:.1f} times as long",
        "80% of the limit's speed, before vdirsyncer",
        median(shares) >= 0.8 and ours < rival,
    )
    requests = median(first.requests for first in measured.ours) / EVENTS
    cpu = 1000 * median(first.cpu for first in measured.ours) / EVENTS
    yield Row(f"{server}: for each of these events", f"{requests:.2f} requests, {cpu:.1f} ms of CPU")
    quiet, two, again = median(measured.quiet), median(measured.reports), median(measured.rival_quiet)
    yield Row(
        f"{server}: trigger without a change",
        f"{1000 * quiet:.0f} ms",
        f"{1000 * two:.1f} ms for the two REPORTs: {quiet / two:.1f} times as long",
        f"{1000 * again:.0f} ms: {again / quiet:.0f} times as long",
        "3 times the limit, 20 times sooner than vdirsyncer",
        quiet <= 3 * two and again >= 20 * quiet,
    )
    yield Row(
        f"{server}: one event changed among {EVENTS:,}",
        f"{measured.one:.2f} s, {measured.one_requests} requests",
        "",
        f"{measured.rival_one:.2f} s",
        "5 requests",
        measured.one_requests <= 5,
    )


def row_of_many(first: FirstSync, server: str) -> Row:
    more = first.peak - first.idle
    ours = f"{more:.0f} MB above {first.idle:.0f} MB idle, {first.seconds:.0f} s"
    return Row(f"{server}: first sync of {MANY:,} events", ours, goal="200 MB above idle", met=more <= 200)


def main(which: str) -> None:
    console = Console(highlight=False)
    if which in PARTS:
        report.show(console, PARTS[which](), [report.machine()])
        return
    quick = which == "quick"
    started, (load, _, _) = perf_counter(), os.getloadavg()
    why_not = cyrus.missing()
    if why_not is not None:
        console.print(f"Only on Radicale: {why_not}.")
    rival = vdirsyncer.installed()
    rows: list[Row] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="calendarsync-bench-")))
        if why_not is None:
            bench = Bench(stack.enter_context(cyrus_server()), folder, rival, console)
            rows += rows_of(bench.measure(ROUNDS), "Cyrus")
            if not quick:
                rows.append(row_of_many(bench.many(), "Cyrus"))
        if not quick or why_not is not None:
            other = folder / "on-radicale"
            other.mkdir()
            alice = stack.enter_context(radicale_server(folder / "radicale"))
            rows += rows_of(Bench(alice, other, rival, console).measure(1), "Radicale")
        rows += [*workers.run(), *requests.run(), *push.run()]
    minutes = (perf_counter() - started) / 60
    notes = [
        f"Medians of {ROUNDS} first syncs on Cyrus and one on Radicale, {QUIET_RUNS} triggers without a change, "
        f"{RIVAL_RUNS} such runs of vdirsyncer. It took {minutes:.0f} minutes; "
        f"the load of the machine was {load:.1f} before.",
        report.machine(f"vdirsyncer {rival.version}"),
    ]
    report.show(console, rows, notes)
    if not quick and why_not is None:
        report.write(rows, notes)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """On the event loop that `calendarsync serve` has too."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        return loop.run(work)


if __name__ == "__main__":
    main(os.environ.get("BENCH", ""))
