"""Failures of peers with clocks, zones and days: events that came out hours or a day off (rule 11).

Each test names the issue that it stems from, and what happened there.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from calendarsync.domain.event import EventTime
from tests.sync.helpers import done, sync_anew
from tests.sync.peers.helpers import between, read_all_anew
from tests.sync.stories import stamp
from tests.testbed.desk import Desk, FeedKeeper
from tests.testbed.events import event, vcalendar, vevent
from tests.testbed.memory_desk import MemoryDesk, memory_desk

ZONES = re.compile(r"TZID=([^:;\r\n]+)[:;]")
DEFINED = re.compile(r"^TZID:([^\r\n]+)", re.MULTILINE)


def publish(at: Desk, text: str) -> None:
    """The feed a is this text, line ends aside."""
    source = at.keepers[at.a]
    assert isinstance(source, FeedKeeper)
    source.feed.render = lambda: text.replace("\n", "\r\n")


@pytest.mark.rule(11)
@between("feed", "radicale")
async def test_a_feeds_zone_is_written_to_a_caldav_server(between: Desk) -> None:
    """keeper.sh #370: events of a feed with `TZID=Europe/Berlin` were written to Nextcloud in UTC, so that all
    times were off; a series of that kind moves by an hour when the clocks change.
    """
    at = between
    at.put_a("one", event("one"))
    at.put_a("series", event("series", stamp(5), stamp(5, 10), extra="RRULE:FREQ=WEEKLY;COUNT=8"))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    for copy in at.copies_b():
        assert "DTSTART;TZID=Europe/Berlin:202603" in copy
        assert "T090000" in copy
        assert "BEGIN:VTIMEZONE" in copy
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    assert done(await read_all_anew(at, pair)) == []


@pytest.mark.rule(11)
async def test_every_zone_that_a_copy_names_is_defined_in_it(quick_folder: Path) -> None:
    """keeper.sh #417: events went out in bare UTC; a TZID needs its VTIMEZONE in the same object, or Outlook shows
    the event in UTC, and EXDATE and RECURRENCE-ID have to be in the form of DTSTART, UNTIL in UTC.
    """
    async with memory_desk(quick_folder) as at:
        extra = f"RRULE:FREQ=WEEKLY;UNTIL=20260501T070000Z\nEXDATE:{stamp(11, 8)}Z"
        moved = vevent("s", stamp(18, 14), stamp(18, 15), extra=f"RECURRENCE-ID:{stamp(18, 8)}Z")
        at.store("a").put("s.ics", vcalendar(vevent("s", extra=extra), moved))
        flight = event("flight", stamp(6, 10), stamp(6, 11), zone="America/New_York")
        at.store("a").put("flight.ics", flight)
        pair = await at.pair(direction="a_to_b")
        await at.app.sync(pair)
        for _, data in at.store("b").resources.values():
            text = data.decode().replace("\r\n ", "")
            assert set(ZONES.findall(text)) == set(DEFINED.findall(text)) != set()
        (series,) = [text for text in texts(at) if "RECURRENCE-ID" in text]
        assert "UNTIL=20260501T070000Z" in series
        assert f"EXDATE;TZID=Europe/Berlin:{stamp(11)}" in series
        assert f"RECURRENCE-ID;TZID=Europe/Berlin:{stamp(18)}" in series
        assert done(await sync_anew(at, pair)) == []


def texts(at: MemoryDesk) -> list[str]:
    return [data.decode().replace("\r\n ", "") for _, data in at.store("b").resources.values()]


CUSTOM = """BEGIN:VTIMEZONE
TZID:Customized Time Zone
BEGIN:STANDARD
DTSTART:16010101T020000
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=1SU;BYMONTH=11
TZOFFSETFROM:-0400
TZOFFSETTO:-0500
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=2SU;BYMONTH=3
TZOFFSETFROM:-0500
TZOFFSETTO:-0400
END:DAYLIGHT
END:VTIMEZONE
"""


@pytest.mark.rule(11)
@between("feed", "google")
async def test_the_zones_of_an_outlook_feed(between: Desk) -> None:
    """keeper.sh #242: an Outlook feed calls its zones by Windows' names, and by names of its own. Google refused
    them, and none of the feed's series arrived.
    """
    at = between
    names = {
        "Eastern Standard Time": "2026-03-16 13:00",
        "W. Europe Standard Time": "2026-03-16 08:00",
        "Tokyo Standard Time": "2026-03-16 00:00",
        "Customized Time Zone": "2026-03-16 13:00",
        "tzone://Microsoft/Utc": "2026-03-16 09:00",  # without quotes around the colon
    }
    events = [
        vevent(f"uid-{number}", stamp(16), stamp(16, 10), zone=name, extra="RRULE:FREQ=WEEKLY;COUNT=4")
        for number, name in enumerate(names)
    ]
    publish(at, f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{CUSTOM}{''.join(events)}END:VCALENDAR\n")
    pair = await at.pair(direction="a_to_b")
    report = await at.app.sync(pair)
    assert report.events_created == len(names)
    starts = [start for start, _ in at.busy(at.b, copies=True)]
    assert [start for start in starts if start < "2026-03-18"] == sorted(names.values())
    assert len(starts) == 4 * len(names)
    assert done(await read_all_anew(at, pair)) == []


@pytest.mark.parametrize(
    "between", [("feed", "google"), ("feed", "microsoft"), ("feed", "radicale")], ids="-".join, indirect=True
)
@pytest.mark.rule(11)
async def test_whole_days_in_whatever_zone_they_are_looked_at(between: Desk) -> None:
    """keeper.sh #424: whole days of a feed arrived as twenty-four hours, from midnight or from one o'clock on, and
    lay over two days in other zones. What a feed writes from midnight to midnight is not made a day of either.
    """
    at = between
    days = vevent("days", "20260328", "20260330")
    midnight = vevent("timed", "20260316T000000", "20260317T000000", zone="America/New_York")
    head = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nX-WR-TIMEZONE:America/New_York\n"
    publish(at, f"{head}{days}{midnight}END:VCALENDAR\n")
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    copies = [each.components[0] for each in at.resources(at.b, copies=True)]
    (whole,) = [each for each in copies if each.start.all_day]
    assert (whole.start, whole.end) == (EventTime(date(2026, 3, 28)), EventTime(date(2026, 3, 30)))
    (timed,) = [each for each in copies if not each.start.all_day]
    assert timed.end is not None
    moments = [f"{each.instant('UTC'):%d %H:%M}" for each in (timed.start, timed.end)]
    assert moments == ["16 04:00", "17 04:00"]
    assert done(await read_all_anew(at, pair)) == []


@pytest.mark.rule(11)
@between("radicale", "google")
async def test_an_event_that_ends_in_another_zone(between: Desk) -> None:
    """Named as keeper.sh #110, for times: a flight starts in one zone and ends in another, over midnight and over
    a change of the clocks. Read in one zone, it is hours too long or ends before it starts.
    """
    at = between
    landing = "DTEND;TZID=Europe/Berlin:20260329T050000"
    flight = event("flight", "20260328T220000", None, zone="Asia/Tokyo", extra=landing)
    at.put_a("flight", flight)
    back = event("back", "20260307T230000", None, zone="America/New_York", extra="DTEND:20260308T090000Z")
    at.put_a("back", back)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == [
        ("2026-03-08 04:00", "2026-03-08 09:00"),
        ("2026-03-28 13:00", "2026-03-29 03:00"),
    ]
    assert done(await read_all_anew(at, pair)) == []


@pytest.mark.rule(11)
@between("google", "microsoft")
async def test_instances_after_the_clocks_have_changed(between: Desk) -> None:
    """OutlookGoogleCalendarSync #2278: series came out an hour early once daylight saving had begun, those
    instances first of all that differ from their series (13 and 16 March); it came back after they were put right.
    """
    at = between
    zone = "America/New_York"
    master = vevent("s", stamp(4, 10), stamp(4, 11), zone=zone, extra="RRULE:FREQ=DAILY;COUNT=20")
    moved = [
        vevent(
            "s",
            stamp(day, 12),
            stamp(day, 13),
            zone=zone,
            extra=f"RECURRENCE-ID;TZID={zone}:{stamp(day, 10)}",
        )
        for day in (6, 13, 16)
    ]
    at.put_a("s", vcalendar(master, *moved))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    expected = {4: "15:00", 6: "17:00", 7: "15:00", 8: "14:00", 13: "16:00", 16: "16:00", 17: "14:00"}
    for _ in range(3):  # before the change, on its day, and after it
        assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
        starts = {int(start[8:10]): start[11:] for start, _ in at.busy(at.b, copies=True)}
        assert {day: starts[day] for day in expected} == expected
        at.app.clock.advance(days=6)
        assert done(await read_all_anew(at, pair)) == []
