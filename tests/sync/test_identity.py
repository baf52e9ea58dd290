"""Identity: no loops, no doubles (rules 1 to 5)."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import update

from calendarsync.providers.icalendar import MARK_PROPERTY, without_mark
from calendarsync.store.tables import links
from tests.testbed.desk import Desk
from tests.testbed.events import event, vcalendar, vevent
from tests.testbed.installation import installation

TWO = ("20260305T090000", "20260305T100000")


def _uid(text: str) -> str:
    return next(line[4:] for line in text.splitlines() if line.startswith("UID:"))


def _mark(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(MARK_PROPERTY))


async def test_rule_1_a_copied_and_pasted_copy_is_an_ordinary_source(anywhere: Desk) -> None:
    at = anywhere
    at.put_a("one", event("one"))
    pair = await at.pair()
    await at.app.sync(pair)
    ((_, text),) = at.copies(at.b).items()
    pasted = text.replace(_uid(text), "pasted-uid").replace("20260304T", "20260306T")
    at.put(at.b, "pasted.ics", pasted)
    report = await at.app.sync(pair)
    assert report.events_created == 1
    assert ("2026-03-06 08:00", "2026-03-06 09:00") in at.busy(at.a, copies=True)
    assert (await at.app.sync(pair)).events_created == 0
    at.delete(at.a, "one.ics")
    await at.app.sync(pair)
    assert "pasted.ics" in at.read(at.b)


async def test_rule_1_a_copy_without_its_mark_is_known_by_its_id(anywhere: Desk) -> None:
    at = anywhere
    at.put_a("one", event("one"))
    pair = await at.pair()
    await at.app.sync(pair)
    ((name, text),) = at.copies(at.b).items()
    at.put(at.b, name, without_mark(text.replace("\n", "\r\n").replace("\r\r", "\r").encode()))
    report = await at.app.sync(pair)
    assert (report.events_created, at.copies_a()) == (0, [])
    at.put_a("one", event("one", *TWO))
    assert (await at.app.sync(pair)).events_updated == 1
    assert len(at.read(at.b)) == 1


async def test_rule_1_a_stripped_copy_is_no_source_after_the_database_is_lost(
    anywhere: Desk, tmp_path: Path
) -> None:
    at = anywhere
    at.put_a("one", event("one"))
    await at.app.sync(await at.pair())
    ((name, text),) = at.copies(at.b).items()
    at.put(at.b, name, without_mark(text.encode()))
    async with installation(tmp_path / "new", secret=b"0" * 32) as app:
        report = await app.run(await at.pair_in(app))
    assert report.events_created == 0
    assert (len(at.read(at.a)), len(at.read(at.b))) == (1, 1)


async def test_rule_1_a_forged_mark_changes_and_deletes_nothing(anywhere: Desk) -> None:
    at = anywhere
    at.put_a("one", event("one"))
    pair = await at.pair()
    await at.app.sync(pair)
    ((_, text),) = at.copies(at.b).items()
    replayed = event("victim", *TWO, extra=_mark(text))
    at.put_b("victim", replayed)
    at.delete(at.a, "one.ics")
    await at.app.sync(pair)
    assert set(at.read(at.b)) == {"victim.ics"}
    assert len(at.copies_a()) == 1, "a replayed mark leaves an ordinary source"


async def test_rules_1_and_2_two_installations_on_the_same_calendars(anywhere: Desk, tmp_path: Path) -> None:
    at = anywhere
    at.put_a("one", event("one"))
    at.put_b("two", event("two", *TWO))
    mine = await at.pair()
    await at.app.sync(mine)
    async with installation(tmp_path / "other") as other:
        theirs = await at.pair_in(other)
        report = await other.run(theirs)
        assert report.error is not None
        assert report.error.code == "needs_attention"
        assert "2" in report.error.message or "1" in report.error.message
        assert (len(at.read(at.a)), len(at.read(at.b))) == (2, 2)
    assert (await at.app.sync(mine)).operations == ()


async def test_rule_3_a_created_copy_whose_answer_was_lost_is_found(anywhere: Desk) -> None:
    at = anywhere
    at.put_a("one", event("one"))
    pair = await at.pair()
    await at.app.sync(pair)
    async with at.app.db.write() as db:
        await db.execute(update(links).values(state="pending", written_hash=None, copy_hash=None))
    await at.app.change_pair(pair, quiet_state=None)
    report = await at.app.sync(pair)
    assert [operation.action for operation in report.operations] == ["adopt"]
    assert report.provider_requests == 2
    assert len(at.copies_b()) == 1


async def test_rule_3_two_accounts_on_the_same_calendars_write_one_copy(anywhere: Desk) -> None:
    at = anywhere
    at.put_a("one", event("one"))
    mine = await at.pair()
    theirs = await at.pair_in(at.app)
    await at.app.sync(mine)
    report = await at.app.sync(theirs)
    assert [operation.reason for operation in report.operations] == ["copied_already"]
    assert len(at.copies_b()) == 1
    await at.app.change_pair(mine, removal="remove")
    await at.app.sync(mine)
    assert at.copies_b() == []
    assert (await at.app.sync(theirs)).events_created == 1, "the next pair takes over"


async def test_rule_4_a_lost_database_adopts_all_and_writes_none(anywhere: Desk, tmp_path: Path) -> None:
    at = anywhere
    for number in range(4):
        at.put_a(f"a{number}", event(f"a{number}", f"2026031{number}T090000", f"2026031{number}T100000"))
    series = event("series", "20260309T140000", "20260309T150000", extra="RRULE:FREQ=WEEKLY;COUNT=9")
    at.put_b("series", series)
    secret = b"the same secret of this installation"
    async with installation(tmp_path / "old", secret=secret) as app:
        await app.sync(await at.pair_in(app))
    before = at.versions(at.a), at.versions(at.b)
    async with installation(tmp_path / "new", secret=secret) as app:
        pair = await at.pair_in(app)
        report = await app.sync(pair)
        assert {operation.action for operation in report.operations} == {"adopt"}
        assert len(report.operations) == 5
        assert (at.versions(at.a), at.versions(at.b)) == before
        at.delete(at.a, "a0.ics")
        assert (await app.sync(pair)).events_deleted == 1


async def test_rule_4_copies_out_of_date_are_rewritten_after_adoption(anywhere: Desk, tmp_path: Path) -> None:
    at = anywhere
    secret = b"the same secret of this installation"
    at.put_a("one", event("one"))
    at.put_a("two", event("two", *TWO))
    for folder in ("old", "new"):
        async with installation(tmp_path / folder, secret=secret) as app:
            report = await app.sync(await at.pair_in(app))
        at.put_a("one", event("one", "20260306T090000", "20260306T100000"))
    assert (report.events_created, report.events_updated) == (0, 1)
    assert len(at.copies_b()) == 2


async def test_rule_4_where_the_key_is_lost_too_a_person_is_asked(anywhere: Desk, tmp_path: Path) -> None:
    at = anywhere
    at.put_a("one", event("one"))
    at.put_a("two", event("two", *TWO))
    await at.app.sync(await at.pair())
    async with installation(tmp_path / "new") as app:
        pair = await at.pair_in(app)
        report = await app.run(pair)
        assert report.error is not None
        assert report.error.code == "needs_attention"
        assert "2 copies" in report.error.message
        report = await app.run(pair, confirm=True)
        assert (report.status, report.events_updated, report.events_created) == ("success", 2, 0)
        assert (await app.sync(pair)).operations == ()
    assert len(at.copies_b()) == 2


async def test_rule_5_a_meeting_in_both_calendars_needs_no_copy(anywhere: Desk) -> None:
    at = anywhere
    at.put_a("mine", event("Meeting-UID@example.com"))
    at.put_b("theirs", event("meeting-uid@EXAMPLE.com"))
    report = await at.app.sync(await at.pair())
    assert report.events_created == 0
    assert {operation.reason for operation in report.operations} == {"same_meeting"}


async def test_rule_5_declined_there_it_needs_a_copy(anywhere: Desk) -> None:
    at = anywhere
    declined = "ATTENDEE;PARTSTAT=DECLINED:mailto:alice@home.example"
    at.put_a("mine", event("meeting"))
    at.put_b("theirs", event("meeting", extra=declined))
    pair = await at.pair()
    report = await at.app.sync(pair)
    assert report.events_created == 1
    assert len(at.copies_b()) == 1
    at.put_b("theirs", event("meeting"))
    assert (await at.app.sync(pair)).events_deleted == 1


async def test_rule_5_the_series_here_and_one_instance_there(anywhere: Desk) -> None:
    at = anywhere
    weekly = "RRULE:FREQ=WEEKLY;COUNT=4"
    at.put_a("series", event("meeting", extra=weekly))
    invited = vevent(
        "meeting",
        "20260311T090000",
        "20260311T100000",
        extra="RECURRENCE-ID;TZID=Europe/Berlin:20260311T090000",
    )
    at.put_b("instance", vcalendar(invited))
    pair = await at.pair()
    await at.app.sync(pair)
    both = at.busy(at.b, copies=True) + at.busy(at.b, copies=False)
    assert sorted(both) == at.busy(at.a, copies=False)
    assert len(both) == 4
    assert at.copies_a() == []


async def test_rule_5_a_declined_instance_there_is_copied_singly(anywhere: Desk) -> None:
    at = anywhere
    weekly = "RRULE:FREQ=WEEKLY"
    at.put_a("series", event("meeting", extra=weekly))
    declined = vevent(
        "meeting",
        "20260311T090000",
        "20260311T100000",
        extra="RECURRENCE-ID;TZID=Europe/Berlin:20260311T090000\n"
        "ATTENDEE;PARTSTAT=DECLINED:mailto:alice@home.example",
    )
    at.put_b("series", vcalendar(vevent("meeting", extra=weekly), declined))
    pair = await at.pair()
    await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == [("2026-03-11 08:00", "2026-03-11 09:00")]
    assert (await at.app.sync(pair)).operations == ()


async def test_rule_5_one_meeting_from_two_calendars_is_one_copy(anywhere: Desk) -> None:
    at = anywhere
    third = at.make_calendar(at.a)
    conn_c = await at.connect(at.app, at.account, third)
    older = await at.pair(direction="a_to_b")
    newer = await at.app.pair(conn_c, at.conn_b, direction="a_to_b")
    at.put_a("one", event("meeting"))
    at.put(third, "one.ics", event("meeting"))
    await at.app.sync(older)
    report = await at.app.sync(newer)
    assert report.events_created == 0
    assert len(at.copies_b()) == 1
    at.delete(at.a, "one.ics")
    await at.app.sync(older)
    assert (await at.app.sync(newer)).events_created == 1
