"""A feed as source, on every server as target: what the rules of a sync make of what feeds do."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from calendarsync.providers.icalendar import MARK_PROPERTY
from calendarsync.store import tables
from calendarsync.sync.report import RunReport
from tests.testbed.dav import DavServer
from tests.testbed.events import vcalendar, vevent
from tests.testbed.feed import FeedServer, feed_server
from tests.testbed.fixtures import SERVERS, server_named
from tests.testbed.installation import Installation, installation


@dataclass
class FeedDesk:
    """A pair from a feed to a fresh calendar."""

    app: Installation
    feed: FeedServer
    server: DavServer
    calendar: str
    source: str
    pair: str

    def publish(self, *days: int) -> None:
        self.feed.events = {str(day): on(day) for day in days}

    def copies(self) -> dict[str, str]:
        everything = self.server.read_all(self.calendar)
        texts = {
            name: data.decode().replace("\r\n ", "").replace("\n ", "") for name, data in everything.items()
        }
        return {name: text for name, text in texts.items() if MARK_PROPERTY in text}

    def titles(self) -> list[str]:
        lines = (line for text in self.copies().values() for line in text.splitlines())
        return sorted(line.strip().removeprefix("SUMMARY:") for line in lines if line.startswith("SUMMARY"))

    async def sync(self) -> RunReport:
        return await self.app.sync(self.pair)


def on(day: int, uid: str = "", **given: str) -> str:
    times = f"202603{day:02}T090000", f"202603{day:02}T100000"
    return vevent(uid or f"uid-{day}", *times, **{"title": f"Day {day}", **given})


def counts(report: RunReport) -> tuple[int, int, int]:
    return report.events_created, report.events_updated, report.events_deleted


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> DavServer:
    return server_named(request, request.param)


@pytest.fixture
async def at(server: DavServer, quick_folder: Path) -> AsyncIterator[FeedDesk]:
    async with AsyncExitStack() as stack:
        yield await desk(stack, server, quick_folder, await stack.enter_async_context(feed_server()))


async def desk(
    stack: AsyncExitStack,
    server: DavServer,
    folder: Path,
    feed: FeedServer,
    calendar: str | None = None,
    secret: bytes | None = None,
) -> FeedDesk:
    app = await stack.enter_async_context(installation(folder, secret=secret))
    calendar = calendar or server.make_calendar()
    account = await app.account()
    source = await app.connect_feed(account, feed.url)
    target = await app.connect(account, server, calendar)
    pair = await app.pair(source, target, sync_mode="full", direction="a_to_b")
    return FeedDesk(app, feed, server, calendar, source, pair)


async def test_what_is_published_edited_and_withdrawn_is_copied(at: FeedDesk) -> None:
    at.publish(3, 4, 5)
    assert counts(await at.sync()) == (3, 0, 0)
    assert at.titles() == ["Day 3", "Day 4", "Day 5"]
    at.publish(4, 5, 6)
    at.feed.events["5"] = on(5, title="Day 5 edited")
    assert counts(await at.sync()) == (1, 1, 1)
    assert at.titles() == ["Day 4", "Day 5 edited", "Day 6"]
    again = await at.sync()
    assert (counts(again), again.provider_requests) == ((0, 0, 0), 2)


async def test_ever_new_uids_and_stamps_lead_to_no_write(at: FeedDesk) -> None:
    numbers = itertools.count(10)

    def render() -> str:
        number = next(numbers)
        events = [on(day, f"{number}-{day}") for day in range(3, 15)]
        return vcalendar(*events).replace("DTSTAMP:20260101", f"DTSTAMP:202602{number}")

    at.feed.render = render
    assert counts(await at.sync()) == (12, 0, 0)
    before = at.copies()
    for full in (False, True, False):
        report = await at.app.run(at.pair, full=full)
        assert (report.status, counts(report)) == ("success", (0, 0, 0))
    assert at.copies() == before


@pytest.mark.parametrize("volatile", [False, True], ids=["lasting uids", "ever new uids"])
async def test_after_the_loss_of_the_database_all_copies_are_adopted(
    server: DavServer, quick_folder: Path, *, volatile: bool
) -> None:
    numbers = itertools.count()

    def render() -> str:
        number = next(numbers) if volatile else 0
        return vcalendar(*(on(day, f"{number}-{day}") for day in range(3, 15)))

    async with feed_server() as feed:
        feed.render, secret = render, b"s" * 32
        async with AsyncExitStack() as stack:
            folder = quick_folder / "first"
            folder.mkdir()
            first = await desk(stack, server, folder, feed, secret=secret)
            assert counts(await first.sync()) == (12, 0, 0)
            before = first.copies()
        async with AsyncExitStack() as stack:
            folder = quick_folder / "second"
            folder.mkdir()
            anew = await desk(stack, server, folder, feed, first.calendar, secret=secret)
            assert counts(await anew.sync()) == (0, 0, 0)
            assert anew.copies() == before


@pytest.mark.parametrize(
    "body", ["<!DOCTYPE html>", "", vcalendar(on(3))[:-20]], ids=["page", "none", "half"]
)
async def test_what_is_no_feed_fails_the_run_and_touches_nothing(at: FeedDesk, body: str) -> None:
    at.publish(*range(3, 15))
    await at.sync()
    before = at.copies()
    at.feed.render = lambda: body
    for full in (False, True):
        report = await at.app.run(at.pair, full=full)
        assert report.status == "failed"
        assert report.error is not None
        assert "secret-token" not in str(report)
    assert at.copies() == before
    at.feed.render = None
    assert counts(await at.sync()) == (0, 0, 0)
    connection = await at.app.row(tables.connections, at.source)
    assert (connection.status, connection.last_error_code) == ("active", None)


async def test_an_empty_feed_is_doubted_and_then_asked_about(at: FeedDesk) -> None:
    at.publish(*range(3, 15))
    await at.sync()
    at.publish()
    for _ in range(3):
        assert counts(await at.sync()) == (0, 0, 0)
        at.app.clock.advance(minutes=20)
    at.app.clock.advance(seconds=1)
    report = await at.app.run(at.pair)
    assert (report.status, len(at.copies())) == ("failed", 12)
    pair = await at.app.row(tables.pairs, at.pair)
    assert (pair.status, pair.attention_code) == ("needs_attention", "source_emptied")
    assert counts(await at.app.run(at.pair, confirm=True)) == (0, 0, 12)
    assert at.copies() == {}


async def test_more_than_half_gone_is_read_again_before_it_is_believed(at: FeedDesk) -> None:
    at.publish(*range(3, 28))
    await at.sync()
    at.publish(3, 4)
    before = len(at.feed.answers)
    assert counts(await at.sync()) == (0, 0, 23)
    assert len(at.feed.answers) - before > 1


async def test_a_copy_that_a_person_deleted_stays_away(at: FeedDesk) -> None:
    at.publish(3, 4)
    await at.sync()
    (gone,) = (name for name, text in at.copies().items() if "Day 3" in text)
    at.server.delete(at.calendar, gone)
    at.feed.events = {"x": on(3, "other-uid"), "y": on(4, "yet-another")}
    assert counts(await at.sync()) == (0, 0, 0)
    at.feed.events["x"] = on(8, "other-uid", title="Day 3")
    assert counts(await at.sync()) == (1, 0, 0)


async def test_an_event_that_cannot_be_read_holds_up_no_other(at: FeedDesk) -> None:
    at.publish(3, 4, 5)
    at.feed.events["4"] = on(4, extra="RRULE:FREQ=NEVER")
    report = await at.app.run(at.pair)
    assert (report.status, counts(report)) == ("partial", (2, 0, 0))
    assert [(each.event_id, each.reason) for each in report.operations if each.action == "skip"] == [
        ("uid-4", "bad_recurrence")
    ]
    at.publish(3, 4, 5)
    assert counts(await at.sync()) == (1, 0, 0)


async def test_events_that_share_a_uid_are_all_copied(at: FeedDesk) -> None:
    at.feed.events = {str(day): on(day, "the-same") for day in (3, 4, 5)}
    assert counts(await at.sync()) == (3, 0, 0)
    del at.feed.events["4"]
    assert counts(await at.sync()) == (0, 0, 1)
    assert at.titles() == ["Day 3", "Day 5"]


async def test_a_meeting_that_the_target_has_itself_is_not_copied(at: FeedDesk) -> None:
    at.publish(3, 4)
    at.server.put(at.calendar, "own.ics", vcalendar(on(3)))
    report = await at.sync()
    assert counts(report) == (1, 0, 0)
    assert at.titles() == ["Day 4"]


async def test_floating_times_are_in_the_feeds_zone(at: FeedDesk) -> None:
    at.feed.events = {"a": vevent("a", "20260303T090000", "20260303T100000", zone=None)}
    await at.sync()
    (text,) = at.copies().values()
    assert "DTSTART;TZID=Europe/Berlin:20260303T090000" in text


async def test_a_pair_that_is_deleted_takes_its_copies_with_it(at: FeedDesk) -> None:
    at.publish(3, 4)
    await at.sync()
    await at.app.change_pair(at.pair, removal="remove")
    report = await at.app.run(at.pair)
    assert (report.status, counts(report)) == ("success", (0, 0, 2))
    assert at.copies() == {}


async def test_a_feed_of_the_target_itself_does_not_copy_copies(at: FeedDesk) -> None:
    """Feed → A, and a feed of A → B: what we wrote into A is no source (rule 2)."""
    at.publish(3, 4)
    await at.sync()
    other = at.server.make_calendar()
    async with feed_server() as second:
        copies = [text.split("BEGIN:VEVENT")[1].split("END:VEVENT")[0] for text in at.copies().values()]
        second.events = {str(n): f"BEGIN:VEVENT{text}END:VEVENT\n" for n, text in enumerate(copies)}
        second.events["own"] = on(9)
        account = (await at.app.row(tables.connections, at.source)).account_id
        feed = await at.app.connect_feed(account, second.url)
        target = await at.app.connect(account, at.server, other)
        report = await at.app.sync(await at.app.pair(feed, target, direction="a_to_b"))
    assert counts(report) == (1, 0, 0)


async def test_an_event_without_length_arrives(at: FeedDesk) -> None:
    at.feed.events = {"a": vevent("a", "20260303T090000", None)}
    assert counts(await at.sync()) == (1, 0, 0)
