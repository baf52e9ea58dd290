"""Series and their instances: rules 12 to 14."""

from __future__ import annotations

import pytest

from tests.testbed.desk import Desk
from tests.testbed.events import event, vcalendar, vevent

WEEKLY = "RRULE:FREQ=WEEKLY"
AT_WORK = "alice@work.example"


def _override(original: str, start: str, end: str, extra: str = "", uid: str = "series") -> str:
    return vevent(uid, start, end, extra=f"RECURRENCE-ID;TZID=Europe/Berlin:{original}\n{extra}")


OVERRIDES = {
    "moved": _override("20260311T090000", "20260312T150000", "20260312T160000"),
    "longer": _override("20260311T090000", "20260311T090000", "20260311T113000"),
    "across midnight": _override("20260311T090000", "20260311T230000", "20260312T010000"),
    "across the clock change": _override("20260325T090000", "20260329T013000", "20260329T033000"),
    "free": _override("20260311T090000", "20260311T090000", "20260311T100000", "TRANSP:TRANSPARENT"),
    "cancelled": _override("20260311T090000", "20260311T090000", "20260311T100000", "STATUS:CANCELLED"),
    "declined": _override(
        "20260311T090000",
        "20260311T090000",
        "20260311T100000",
        f"ATTENDEE;PARTSTAT=DECLINED:mailto:{AT_WORK}",
    ),
    "all day": _override("20260311T090000", "20260311", "20260312"),
}


@pytest.mark.parametrize("kind", OVERRIDES)
async def test_rule_13_an_override_comes_out_right(at: Desk, kind: str) -> None:
    at.put_a("series", vcalendar(vevent("series", extra=WEEKLY), OVERRIDES[kind]))
    pair = await at.pair()
    report = await at.app.sync(pair)
    assert report.events_created == 1, "one series, one copy"
    expected = [
        slot for slot in at.busy(at.a, copies=False) if kind != "declined" or "2026-03-11" not in slot[0]
    ]
    assert at.busy(at.b, copies=True) == expected
    assert (await at.app.sync(pair)).operations == ()


SERIES = {
    "daily over the clock change": event("series", extra="RRULE:FREQ=DAILY;COUNT=60"),
    "until in UTC": event("series", extra="RRULE:FREQ=WEEKLY;UNTIL=20260601T070000Z"),
    "until as a date": event("series", extra="RRULE:FREQ=WEEKLY;UNTIL=20260601"),
    "exdates": event("series", extra=f"{WEEKLY}\nEXDATE;TZID=Europe/Berlin:20260311T090000,20260318T090000"),
    "rdates": event("series", extra=f"{WEEKLY};COUNT=3\nRDATE;TZID=Europe/Berlin:20260306T120000"),
    "all-day": event("series", "20260306", "20260308", extra="RRULE:FREQ=MONTHLY;COUNT=5"),
    "by set position": event("series", extra="RRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=6"),
    "master before the window": event("series", "20240104T090000", "20240104T100000", extra=WEEKLY),
    "floating": event("series", zone=None, extra="RRULE:FREQ=WEEKLY;UNTIL=20260501T090000"),
    "nominal duration": event(
        "series", "20260327T090000", None, extra="DURATION:P2D\nRRULE:FREQ=WEEKLY;COUNT=3"
    ),
    "hourly": event("series", end="20260304T091500", extra="RRULE:FREQ=HOURLY;INTERVAL=6;COUNT=12"),
    "this and following": vcalendar(
        vevent("series", extra=f"{WEEKLY};COUNT=6"),
        vevent(
            "series",
            "20260318T110000",
            "20260318T120000",
            extra="RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20260318T090000",
        ),
    ),
}


@pytest.mark.parametrize("kind", SERIES)
async def test_rule_14_busy_times_of_copies_equal_those_of_their_sources(at: Desk, kind: str) -> None:
    at.put_a("series", SERIES[kind])
    pair = await at.pair(future_days=440)
    await at.app.sync(pair)
    copied = at.busy(at.b, copies=True)
    sources = at.busy(at.a, copies=False)
    assert copied == sources
    assert len(copied) > 1
    assert (await at.app.sync(pair)).operations == ()


async def test_rule_12_one_edit_of_a_weekly_meeting_costs_one_write(at: Desk) -> None:
    at.put_a("series", event("series", extra=WEEKLY))
    pair = await at.pair()
    await at.app.sync(pair)
    at.put_a("series", event("series", "20260304T100000", "20260304T110000", extra=WEEKLY))
    report = await at.app.sync(pair)
    assert (report.events_created, report.events_updated, report.events_deleted) == (0, 1, 0)
    assert report.provider_requests == 4, "two listings, one multiget, one PUT"


async def test_rule_12_another_form_replaces_the_old_one(at: Desk) -> None:
    weekly = event("series", extra=f"{WEEKLY};COUNT=5")
    at.put_a("series", weekly)
    pair = await at.pair()
    await at.app.sync(pair)
    at.put_a("series", event("series", extra=f"{WEEKLY};COUNT=5\nEXRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=2"))
    report = await at.app.sync(pair)
    assert (report.events_created, report.events_deleted) == (3, 1)
    actions = [operation.action for operation in report.operations]
    assert actions == ["create"] * 3 + ["delete"], "the new form is complete before the old one goes"
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    at.put_a("series", weekly)
    await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    assert len(at.copies_b()) == 1


async def test_rule_13_an_override_without_its_master(at: Desk) -> None:
    at.put_a("invited", vcalendar(OVERRIDES["moved"]))
    pair = await at.pair()
    await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == [("2026-03-12 14:00", "2026-03-12 15:00")]
    at.put_a("invited", vcalendar(vevent("series", extra=WEEKLY), OVERRIDES["moved"]))
    await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    assert len(at.copies_b()) == 1


async def test_rule_13_a_free_series_with_a_busy_instance(at: Desk) -> None:
    busy = _override("20260311T090000", "20260311T090000", "20260311T100000", "TRANSP:OPAQUE")
    at.put_a("series", vcalendar(vevent("series", extra=f"{WEEKLY}\nTRANSP:TRANSPARENT"), busy))
    await at.app.sync(await at.pair())
    assert at.busy(at.b, copies=True) == [("2026-03-11 08:00", "2026-03-11 09:00")]


async def test_rule_13_an_instance_moved_into_the_window(at: Desk) -> None:
    long_ago = _override("20250108T090000", "20260305T090000", "20260305T100000")
    master = vevent("series", "20250101T090000", "20250101T100000", extra=f"{WEEKLY};COUNT=3")
    at.put_a("series", vcalendar(master, long_ago))
    await at.app.sync(await at.pair())
    assert ("2026-03-05 08:00", "2026-03-05 09:00") in at.busy(at.b, copies=True)


async def test_rule_17_a_deleted_instance_of_a_copy_stays_away(at: Desk) -> None:
    at.put_a("series", event("series", extra=f"{WEEKLY};COUNT=4"))
    pair = await at.pair()
    await at.app.sync(pair)
    ((name, text),) = at.copies(at.b).items()
    zone, _, body = text.partition("BEGIN:VEVENT")
    without = (
        zone + "BEGIN:VEVENT" + body.replace("RRULE", "EXDATE;TZID=Europe/Berlin:20260311T090000\r\nRRULE", 1)
    )
    at.put(at.b, name, without)
    report = await at.app.sync(pair)
    assert [operation.reason for operation in report.operations] == ["instance_deleted_by_person"]
    assert len(at.busy(at.b, copies=True)) == 3
    at.put_a("series", event("series", extra=f"{WEEKLY};COUNT=6"))
    await at.app.sync(pair)
    assert len(at.busy(at.b, copies=True)) == 5, "it survives an update"
    at.put_a("series", event("series", extra=f"{WEEKLY};COUNT=6\nEXRULE:FREQ=YEARLY"))
    await at.app.sync(pair)
    assert "2026-03-11 08:00" not in [start for start, _ in at.busy(at.b, copies=True)], "and another form"
    at.put_a("series", event("series", extra=f"{WEEKLY};COUNT=6"))
    await at.app.sync(pair)
    assert len(at.copies_b()) == 1
    assert "2026-03-11 08:00" not in [start for start, _ in at.busy(at.b, copies=True)], "and the first again"
    moved = _override("20260311T090000", "20260311T130000", "20260311T140000")
    at.put_a("series", vcalendar(vevent("series", extra=f"{WEEKLY};COUNT=6"), moved))
    await at.app.sync(pair)
    assert "2026-03-11 12:00" in [start for start, _ in at.busy(at.b, copies=True)], "moved, it comes back"
