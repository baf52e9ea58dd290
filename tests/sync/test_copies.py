"""What a copy holds (rules 9 to 11) and which events get one (rules 2, 6 and 7)."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from calendarsync.store.tables import connections
from tests.testbed.desk import Desk
from tests.testbed.events import event, vcalendar, vevent

SECRETS = ("Merger", "Zanzibar", "Room 7", "carol@", "Foreign", "CATEGORIES", "VALARM", "conference")
RICH = """DESCRIPTION:Zanzibar
LOCATION:Room 7
CATEGORIES:Merger
ORGANIZER:mailto:carol@example.com
ATTENDEE;CN=Carol;PARTSTAT=ACCEPTED:mailto:carol@example.com
CONFERENCE;VALUE=URI:https://conference.example
X-FOREIGN:Foreign
BEGIN:VALARM
ACTION:DISPLAY
DESCRIPTION:Merger
TRIGGER:-PT15M
END:VALARM"""


async def test_rule_9_a_block_tells_nothing_of_its_source(at: Desk) -> None:
    at.put_a("one", event("one-uid", title="Merger talks", extra=RICH))
    report = await at.app.sync(await at.pair())
    assert (report.events_created, report.events_updated, report.events_deleted) == (1, 0, 0)
    (copy,) = at.copies_b()
    assert "SUMMARY:Busy" in copy
    assert "CLASS:PRIVATE" in copy
    assert "DTSTART;TZID=Europe/Berlin:20260304T090000" in copy
    assert not [word for word in (*SECRETS, "one-uid") if word in copy]
    assert not at.copies_a()


async def test_rule_9_title_of_the_block(at: Desk) -> None:
    at.put_a("one", event("one"))
    await at.app.sync(await at.pair(title="Not available"))
    assert "SUMMARY:Not available" in at.copies_b()[0]


async def test_rule_10_a_full_copy_has_texts_and_no_people(at: Desk) -> None:
    at.put_a("one", event("one", title="Merger talks", extra=RICH))
    await at.app.sync(await at.pair(sync_mode="full", title="[Work] {title}"))
    (copy,) = at.copies_b()
    assert "SUMMARY:[Work] Merger talks" in copy
    assert "DESCRIPTION:Zanzibar" in copy
    assert "LOCATION:Room 7" in copy
    assert not [word for word in ("ATTENDEE", "ORGANIZER", "carol@", "VALARM", "conference") if word in copy]


async def test_rule_10_attendees_reminders_and_colour_where_asked_for(at: Desk) -> None:
    at.put_a("one", event("one", extra=RICH))
    await at.app.sync(
        await at.pair(sync_mode="full", attendees_in_description=True, reminders=[10], color="teal")
    )
    (copy,) = at.copies_b()
    assert "Carol" in copy
    assert "ATTENDEE;" not in copy
    assert "TRIGGER:-PT10M" in copy
    assert "COLOR:teal" in copy


@pytest.mark.parametrize(
    ("choice", "title"), [("blocker", "SUMMARY:Busy"), ("full", "SUMMARY:Doctor"), ("skip", None)]
)
async def test_rule_10_private_events(at: Desk, choice: str, title: str | None) -> None:
    at.put_a("one", event("one", title="Doctor", extra="CLASS:CONFIDENTIAL"))
    await at.app.sync(await at.pair(sync_mode="full", private_events=choice))
    copies = at.copies_b()
    assert [title in copy for copy in copies] == ([True] if title else [])
    assert all("CLASS:CONFIDENTIAL" in copy or "CLASS:PRIVATE" in copy for copy in copies)


async def test_rule_11_times_keep_their_meaning(at: Desk) -> None:
    at.put_a("zoned", event("zoned", "20260327T090000", "20260327T100000", extra="RRULE:FREQ=WEEKLY;COUNT=3"))
    at.put_a("utc", event("utc", "20260305T090000Z", "20260305T100000Z"))
    at.put_a("day", event("day", "20260306", "20260308"))
    at.put_a("floating", event("floating", "20260309T090000", "20260309T100000", zone=None))
    windows = event("w", "20260310T090000", "20260310T100000", zone="W. Europe Standard Time")
    at.put_a("windows", windows)
    await at.app.sync(await at.pair())
    text = "\n".join(at.copies_b())
    assert "DTSTART;TZID=Europe/Berlin:20260327T090000" in text
    assert "DTSTART:20260305T090000Z" in text
    assert "DTSTART;VALUE=DATE:20260306" in text
    assert "DTEND;VALUE=DATE:20260308" in text
    assert "DTSTART;TZID=Europe/Berlin:20260309T090000" in text
    assert "DTSTART;TZID=Europe/Berlin:20260310T090000" in text
    assert "W. Europe" not in text
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)


async def test_rule_11_a_custom_zone_that_equals_no_other(at: Desk) -> None:
    """A single event arrives at its moment; a series, whose rule would need the zone, is skipped."""
    zone = (
        "BEGIN:VTIMEZONE\nTZID:Mars/Olympus\nBEGIN:STANDARD\nDTSTART:19700101T000000\n"
        "TZOFFSETFROM:+0037\nTZOFFSETTO:+0037\nEND:STANDARD\nEND:VTIMEZONE\n"
    ).replace("\n", "\r\n")
    for name, extra in (("once", ""), ("weekly", "RRULE:FREQ=WEEKLY;COUNT=3")):
        strange = vevent(name, zone="Mars/Olympus", extra=extra)
        at.put_a(name, vcalendar(strange).replace("BEGIN:VEVENT", zone + "BEGIN:VEVENT"))
    report = await at.app.run(await at.pair())
    assert report.status == "partial"
    (copy,) = at.copies_b()
    assert "DTSTART:20260304T082300Z" in copy
    assert [operation.reason for operation in report.operations if operation.action == "skip"] == [
        "unknown_zone"
    ]


NOT_BY_DEFAULT = {
    "cancelled": "STATUS:CANCELLED",
    "declined": "ORGANIZER:mailto:c@example.com\nATTENDEE;PARTSTAT=DECLINED:mailto:ALICE@work.example",
    "free": "TRANSP:TRANSPARENT",
}
BY_DEFAULT = {
    "accepted": "ORGANIZER:mailto:c@example.com\nATTENDEE;PARTSTAT=ACCEPTED:mailto:alice@work.example",
    "unanswered": "ORGANIZER:mailto:c@example.com\nATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:alice@work.example",
    "tentative": "STATUS:TENTATIVE",
    "somebody else declined": "ATTENDEE;PARTSTAT=DECLINED:mailto:dave@example.com",
    "out of office": "X-MICROSOFT-CDO-BUSYSTATUS:OOF",
}


@pytest.mark.parametrize("kind", NOT_BY_DEFAULT)
async def test_rule_6_not_copied(at: Desk, kind: str) -> None:
    at.put_a("one", event("one", extra=NOT_BY_DEFAULT[kind]))
    report = await at.app.sync(await at.pair())
    assert not at.copies_b()
    assert [operation.reason for operation in report.operations] == [kind]
    assert (report.events_processed, report.events_skipped) == (1, 1)


@pytest.mark.parametrize("kind", BY_DEFAULT)
async def test_rule_6_copied(at: Desk, kind: str) -> None:
    at.put_a("one", event("one", extra=BY_DEFAULT[kind]))
    await at.app.sync(await at.pair())
    assert len(at.copies_b()) == 1


@pytest.mark.parametrize(
    ("option", "source"),
    [
        ({"include_free": True}, event("one", extra="TRANSP:TRANSPARENT")),
        ({"include_tentative": False}, event("one", extra="STATUS:TENTATIVE")),
        ({"include_unanswered": False}, event("one", extra=BY_DEFAULT["unanswered"])),
        ({"include_all_day": False}, event("one", "20260304", "20260305")),
    ],
    ids=["free", "tentative", "unanswered", "all-day"],
)
async def test_rule_6_options(at: Desk, option: dict[str, bool], source: str) -> None:
    at.put_a("one", source)
    await at.app.sync(await at.pair(**option))
    assert len(at.copies_b()) == (1 if option.get("include_free") else 0)
    if option.get("include_free"):
        assert "TRANSP:TRANSPARENT" in at.copies_b()[0]


async def test_rule_7_the_window_slides(at: Desk) -> None:
    at.put_a("near", event("near", "20260308T090000", "20260308T100000"))
    at.put_a("far", event("far", "20260420T090000", "20260420T100000"))
    at.put_a("past", event("past", "20260220T090000", "20260220T100000"))
    pair = await at.pair(future_days=10)
    await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == [("2026-03-08 08:00", "2026-03-08 09:00")]
    at.app.clock.advance(days=45)
    await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == [
        ("2026-03-08 08:00", "2026-03-08 09:00"),
        ("2026-04-20 07:00", "2026-04-20 08:00"),
    ]


async def test_rule_7_a_copy_behind_the_window_is_history_unless_its_source_is_deleted(at: Desk) -> None:
    at.put_a("old", event("old", "20260304T090000", "20260304T100000"))
    at.put_a("gone", event("gone", "20260304T110000", "20260304T120000"))
    pair = await at.pair()
    await at.app.sync(pair)
    at.app.clock.advance(days=30)
    at.put_a("old", event("old", "20260304T090000", "20260304T100000", extra="TRANSP:TRANSPARENT"))
    at.delete(at.a, "gone.ics")
    report = await at.app.sync(pair)
    assert report.events_deleted == 1
    assert at.busy(at.b, copies=True) == [("2026-03-04 08:00", "2026-03-04 09:00")]


async def test_rule_2_a_copy_is_no_source_in_any_pair(at: Desk) -> None:
    at.put_a("one", event("one"))
    there = await at.pair()
    third = at.make_calendar(at.a)
    conn_c = await at.connect(at.app, at.account, third)
    onward = await at.app.pair(at.conn_b, conn_c)
    await at.app.sync(there)
    await at.app.sync(onward)
    assert len(at.copies_b()) == 1
    assert at.read(third) == {}


async def test_rule_11_a_floating_time_takes_the_option_where_the_calendar_has_no_zone(at: Desk) -> None:
    async with at.app.db.write() as db:
        await db.execute(update(connections).values(timezone=None))
    at.put_a("floating", event("floating", zone=None))
    await at.app.sync(await at.pair(timezone="America/New_York"))
    assert "DTSTART;TZID=America/New_York:20260304T090000" in at.copies_b()[0]
