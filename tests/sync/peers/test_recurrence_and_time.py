"""Failures of peers with series: instances that were lost, stayed behind or came back.

Each test names the issue that it stems from, and what happened there. Those of clocks are in `test_times`.
"""

from __future__ import annotations

import pytest

from tests.sync.helpers import done
from tests.sync.peers.helpers import between, read_all_anew
from tests.sync.stories import stamp
from tests.testbed.desk import Desk
from tests.testbed.events import event, vcalendar, vevent
from tests.testbed.google import Model as GoogleModel

WEEKLY = "RRULE:FREQ=WEEKLY"


def override(original: str, start: str, end: str, extra: str = "") -> str:
    return vevent("series", start, end, extra=f"RECURRENCE-ID;TZID=Europe/Berlin:{original}\n{extra}")


async def in_step(at: Desk, pair: str) -> None:
    """The copies are busy when their sources are, and a reading of everything finds nothing to do."""
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    assert done(await read_all_anew(at, pair)) == []


@pytest.mark.rule(12)
@between("radicale", "google")
async def test_every_instance_of_a_series_on_a_caldav_server(between: Desk) -> None:
    """keeper.sh #368: of a series in a CalDAV calendar (Davis, Posteo, iCloud) the first event alone was copied."""
    at = between
    at.put_a("weekly", event("weekly", extra=f"{WEEKLY};COUNT=30"))
    every_other = "RRULE:FREQ=DAILY;INTERVAL=2;COUNT=20"
    at.put_a("daily", event("daily", stamp(5, 18), stamp(5, 19), extra=every_other))
    pair = await at.pair()
    assert (await at.app.sync(pair)).events_created == 2
    assert len(at.busy(at.b, copies=True)) == 50
    await in_step(at, pair)


@pytest.mark.rule(7)
@pytest.mark.rule(13)
@between("radicale", "microsoft")
async def test_series_that_began_years_ago(between: Desk) -> None:
    """keeper.sh #384: a filter by the end of the master threw away every series that had begun before the window,
    34 of 65 events that iCloud had just listed for that very window.
    """
    at = between
    at.put_a("old", event("old", "20190107T090000", "20190107T100000", extra=f"{WEEKLY};BYDAY=MO"))
    over = f"{WEEKLY};UNTIL=20260101T000000Z"
    at.put_a("ended", event("ended", "20190108T090000", "20190108T100000", extra=over))
    at.put_a("single", event("single", "20260101T090000", "20260101T100000"))
    pair = await at.pair(direction="a_to_b")
    assert (await at.app.sync(pair)).events_created == 1
    mondays = [slot for slot in at.busy(at.b, copies=True) if slot[0] > "2026-03-01"]
    assert mondays == [slot for slot in at.busy(at.a, copies=False) if slot[0] > "2026-03-01"]
    assert len(mondays) > 50
    assert done(await read_all_anew(at, pair)) == []


@pytest.mark.rule(13)
@pytest.mark.rule(7)
@between("google", "microsoft")
async def test_an_instance_that_is_moved_into_the_window(between: Desk, google_model: GoogleModel) -> None:
    """OutlookGoogleCalendarSync #2081: an instance of a Google series whose original start was outside the window
    was not found, though it had been moved into it; a series with no other instance there broke the sync.
    """
    at = between
    master = vevent("series", "20260107T090000", "20260107T100000", extra=f"{WEEKLY};COUNT=6")
    at.put_a("series", vcalendar(master))
    pair = await at.pair(direction="a_to_b", future_days=60)
    assert (await at.app.sync(pair)).events_created == 0
    moved = override("20260211T090000", stamp(11, 15), stamp(11, 16))
    at.put_a("series", vcalendar(master, moved))
    await at.app.sync(pair)
    window = [slot for slot in at.busy(at.b, copies=True) if slot[0] > "2026-03"]
    assert window == [("2026-03-11 14:00", "2026-03-11 15:00")]
    assert done(await read_all_anew(at, pair)) == []
    away = override("20260211T090000", "20260801T150000", "20260801T160000")
    at.put_a("series", vcalendar(master, away))
    await at.app.sync(pair)
    assert [slot for slot in at.busy(at.b, copies=True) if "2026-03" < slot[0] < "2026-06"] == []
    assert done(await read_all_anew(at, pair)) == []


@pytest.mark.rule(13)
@pytest.mark.rule(17)
@between("microsoft", "google")
async def test_an_organizer_moves_one_instance(between: Desk) -> None:
    """OutlookGoogleCalendarSync #350: the organizer moved October's instance of a monthly meeting from the 10th to
    the 25th. Google kept the 10th; then the sync carried that back, and moved the meeting in Outlook to the 10th.
    """
    at = between
    monthly = vevent("series", stamp(10), stamp(10, 10), extra="RRULE:FREQ=MONTHLY;COUNT=6")
    at.put_a("series", vcalendar(monthly))
    pair = await at.pair(sync_mode="full")
    await at.app.sync(pair)
    at.put_a("series", vcalendar(monthly, override("20260410T090000", "20260425T090000", "20260425T100000")))
    source = at.versions(at.a)
    assert done(await at.app.sync(pair)) == [("update", "source_changed")]
    april = [start for start, _ in at.busy(at.b, copies=True) if start.startswith("2026-04")]
    assert april == ["2026-04-25 07:00"]
    await in_step(at, pair)
    assert at.versions(at.a) == source
    assert at.copies_a() == []


@pytest.mark.rule(13)
@between("google", "microsoft")
async def test_instances_that_are_gone_stay_gone_on_both_sides(
    between: Desk, google_model: GoogleModel
) -> None:
    """Named as OutlookGoogleCalendarSync #459, for series in a pair that goes both ways: instances of a series, the
    first among them, are deleted at one end, and must neither come back from the other nor take the series along.
    """
    at = between
    at.put_a("series", event("series", extra=f"{WEEKLY};COUNT=6"))
    pair = await at.pair()
    await at.app.sync(pair)
    (series,) = google_model.events(at.a)
    for day in ("04", "18"):
        google_model.delete(at.a, f"{series}_202603{day}T080000Z")
        assert done(await at.app.sync(pair)) == [("update", "source_changed")]
        await in_step(at, pair)
    assert [start[8:10] for start, _ in at.busy(at.a, copies=False)] == ["11", "25", "01", "08"]
    assert at.copies_a() == []


@pytest.mark.rule(6)
@pytest.mark.rule(13)
@between("microsoft", "google")
async def test_rules_are_asked_of_each_instance(between: Desk) -> None:
    """OutlookGoogleCalendarSync #1758: tentative events were to be left out, but single instances of a series that
    were marked tentative went on being copied: the master alone was judged.
    """
    at = between
    master = vevent("series", extra=f"{WEEKLY};COUNT=5")
    at.put_a("series", vcalendar(master))
    pair = await at.pair(direction="a_to_b", include_tentative=False)
    await at.app.sync(pair)
    maybe = override(stamp(18), stamp(18), stamp(18, 10), "STATUS:TENTATIVE")
    at.put_a("series", vcalendar(master, maybe))
    await at.app.sync(pair)
    assert [start[8:10] for start, _ in at.busy(at.b, copies=True)] == ["04", "11", "25", "01"]
    assert done(await read_all_anew(at, pair)) == []
    at.put_a("series", vcalendar(master, override(stamp(18), stamp(18), stamp(18, 10))))
    await at.app.sync(pair)
    await in_step(at, pair)


@pytest.mark.rule(13)
@between("feed", "google")
async def test_an_instance_of_a_feeds_series_is_moved_and_one_deleted(between: Desk) -> None:
    """GAS-ICS-Sync #473: an instance of an Outlook series that had been moved was shown at its old time at Google,
    and instances that had been deleted stayed.
    """
    at = between
    master = vevent("series", extra=f"{WEEKLY};COUNT=5")
    at.put_a("series", vcalendar(master))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    moved = override(stamp(11), stamp(12, 15), stamp(12, 16), "SEQUENCE:3")
    at.put_a("series", vcalendar(master, moved))
    await at.app.sync(pair)
    await in_step(at, pair)
    holed = vevent("series", extra=f"{WEEKLY};COUNT=5\nEXDATE;TZID=Europe/Berlin:{stamp(18)}")
    at.put_a("series", vcalendar(holed, moved))
    await at.app.sync(pair)
    assert [start for start, _ in at.busy(at.b, copies=True)][:3] == [
        "2026-03-04 08:00",
        "2026-03-12 14:00",
        "2026-03-25 08:00",
    ]
    await in_step(at, pair)


@pytest.mark.rule(11)
@pytest.mark.rule(13)
@between("feed", "google")
async def test_deleted_instances_in_a_zone_by_windows_name(between: Desk) -> None:
    """GAS-ICS-Sync #398: `EXDATE;TZID=Pacific Standard Time` was passed on as it was. Google did not know the zone
    and read the times in another, so that meetings that had been called off stood in the calendar.
    """
    at = between
    zone = "Pacific Standard Time"
    rule = "RRULE:FREQ=WEEKLY;UNTIL=20260620T140000Z;INTERVAL=1;BYDAY=TH;WKST=SU"
    extra = f"{rule}\nEXDATE;TZID={zone}:{stamp(12, 7)},{stamp(26, 7)}"
    at.put_a("series", event("series", stamp(5, 7), stamp(5, 8), zone=zone, extra=extra))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    starts = [start for start, _ in at.busy(at.b, copies=True)]
    assert starts[:4] == ["2026-03-05 15:00", "2026-03-19 14:00", "2026-04-02 14:00", "2026-04-09 14:00"]
    assert all("TZID=America/Los_Angeles" in copy and "Pacific" not in copy for copy in at.copies_b())
    await in_step(at, pair)
