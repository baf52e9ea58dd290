"""Every file of the corpus, served as a feed of its own, into an empty calendar."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time

from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.providers.base import Calendar, IdTaken
from calendarsync.providers.icalendar import Feed, FeedError, read_feed, write_copy
from calendarsync.providers.ics.matching import match
from calendarsync.store.schedule import ConnectionRecord
from calendarsync.sync.report import RunReport
from tests.corpus.arrival import Arrivals, Outcomes
from tests.corpus.files import NOW, WIDE_OPEN, corpus_files
from tests.corpus.memory import peak_memory
from tests.corpus.table import check_table
from tests.testbed.feed import FeedServer, feed_server
from tests.testbed.installation import Clock, Installation, installation
from tests.testbed.memory import MemoryCalendar, MemoryStore
from tests.testbed.memory_desk import NOWHERE

SECONDS = 10
"""Of the processor, in all threads: feed server, program and target run in this process."""

MEGABYTES = 500
ZONE = "Europe/Berlin"
"""The zone of floating times in a feed that names none."""


class Target(MemoryCalendar):
    """A calendar in memory that takes thousands of copies quickly."""

    async def create(self, copy: Copy) -> Resource:
        name = f"{copy.id}.ics"
        if name in self.store.resources:
            raise IdTaken("taken")
        self.requests += 1
        self.store.put(name, write_copy(copy, now=NOW))
        return self._resource(name)


@dataclass
class Bench:
    app: Installation
    server: FeedServer
    targets: dict[str, MemoryStore] = field(default_factory=dict)

    async def sync(self, number: int, data: bytes, zone: str) -> tuple[RunReport, dict[str, bytes]]:
        """The report of the first run, and the copies in the calendar that was empty before."""
        self.server.body = lambda: data  # type: ignore[method-assign]
        url = f"{NOWHERE.home}{number}/"
        store = self.targets[url] = MemoryStore()
        account = await self.app.account()
        source = await self.app.connect_feed(account, self.server.url, calendar_key="feed", timezone=zone)
        target = await self.app.connect(account, NOWHERE, url)
        pair = await self.app.pair(source, target, sync_mode="full", direction="a_to_b", **WIDE_OPEN)
        report = await self.app.run(pair)
        return report, {name: copy for name, (_, copy) in store.resources.items()}


@asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[Bench]:
    targets: dict[str, MemoryStore] = {}

    def opened(connection: ConnectionRecord, calendar: Calendar) -> Calendar:
        return Target(targets[connection.calendar_id]) if connection.provider == "caldav" else calendar

    async with installation(folder, clock=Clock(NOW), wrap=opened) as app, feed_server() as server:
        yield Bench(app, server, targets)


async def test_every_file_as_a_feed(tmp_path: Path) -> None:
    """Its events arrive or stand in the log, or the whole is refused; in 10 s and 500 MB."""
    outcomes = Outcomes()
    async with bench(tmp_path) as at:
        for number, path in enumerate(corpus_files()):
            data = path.read_bytes()
            feed, refusal = opinion(data)
            zone = feed.timezone or ZONE
            began = process_time()
            with peak_memory() as peak:
                report, copies = await at.sync(number, data, zone)
            assert process_time() - began < SECONDS, path.name
            assert peak.megabytes < MEGABYTES, path.name
            if refusal is not None:
                assert report.error is not None
                assert report.error.message.endswith(refusal), path.name
                outcomes.note(path.name, f"refused: {refusal}", events=0)
                continue
            assert report.error is None, (path.name, report.error)
            # The ids of a first reading: those of the feed, and new ones where it has none.
            events = match(feed.resources, {}, {}, at.app.fingerprinter).resources
            if not events:
                outcomes.note(path.name, "no event in it", events=0)
            arrivals = Arrivals(report, copies, zone)
            for event in events:
                arrivals.judge(path.name, event, outcomes)
    assert outcomes.wrong == []
    check_table("feeds", outcomes.rows())


def opinion(data: bytes) -> tuple[Feed, str | None]:
    """What the feed holds, or else why it is refused as a whole."""
    try:
        return read_feed(data), None
    except FeedError as error:
        return Feed(()), str(error)
