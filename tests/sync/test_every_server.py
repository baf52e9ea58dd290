"""The essence of each rule of a sync, from every kind of source to every server."""

from __future__ import annotations

from pathlib import Path

import pytest

from calendarsync.store.tables import pairs
from tests.sync.helpers import delete_instance, done
from tests.sync.stories import days, fill, forget_tokens, note_full_readings, on, put_twin, stamp
from tests.testbed.desk import Desk
from tests.testbed.events import event, vcalendar, vevent
from tests.testbed.installation import installation

WEEKLY = "RRULE:FREQ=WEEKLY;COUNT=4"
SERIES = event("series", extra=WEEKLY)
SECRET = b"the same secret of this installation"


def _override(original: str, start: str, end: str, extra: str = "") -> str:
    return vevent("series", start, end, extra=f"RECURRENCE-ID;TZID=Europe/Berlin:{original}\n{extra}")


def _fill_with_all_kinds(at: Desk) -> None:
    moved = _override(stamp(11), "20260312T150000", "20260312T160000")
    cancelled = _override(stamp(18), stamp(18), stamp(18, 10), "STATUS:CANCELLED")
    at.put_a("series", vcalendar(vevent("series", extra=WEEKLY), moved, cancelled))
    at.put_a("zoned", event("zoned", "20260328T230000", "20260329T040000", zone="America/New_York"))
    at.put_a("utc", event("utc", "20260305T090000Z", "20260305T100000Z"))
    at.put_a("day", event("day", "20260306", "20260308"))
    at.put_a("floating", event("floating", stamp(9), stamp(9, 10), zone=None))
    at.put_a("maybe", on(10, extra="STATUS:TENTATIVE"))
    at.put_a("free", on(13, extra="TRANSP:TRANSPARENT"))
    at.put_a("off", on(14, extra="STATUS:CANCELLED"))
    at.put_a("later", event("later", "20280301T090000", "20280301T100000"))


async def test_rules_6_7_9_11_13_and_14_copies_are_busy_when_sources_are(one_way: Desk) -> None:
    at = one_way
    _fill_with_all_kinds(at)
    pair = await at.pair(direction="a_to_b")
    report = await at.app.sync(pair)
    assert report.events_created == 6
    sources = [slot for slot in at.busy(at.a, copies=False) if not slot[0].startswith("2028")]
    assert at.busy(at.b, copies=True) == sources
    text = "\n".join(at.copies_b())
    assert text.count("SUMMARY:Busy") == 7, "one of them is that of the moved instance"
    assert not [word for word in ("Planning", "Day 10", "uid-10") if word in text]
    assert "DTSTART;VALUE=DATE:20260306" in text
    assert "TZID=America/New_York:20260328T230000" in text


async def test_rule_10_texts_arrive_and_what_is_private_is_blocked(one_way: Desk) -> None:
    at = one_way
    at.put_a("open", on(3, title="Open", extra="DESCRIPTION:What is said\nLOCATION:Where it is"))
    at.put_a("own", on(4, title="Own", extra="DESCRIPTION:What is hidden\nCLASS:PRIVATE"))
    pair = await at.pair(direction="a_to_b", sync_mode="full")
    await at.app.sync(pair)
    whole, block = sorted(at.copies_b(), key=lambda text: "SUMMARY:Busy" in text)
    for line in ("SUMMARY:Open", "DESCRIPTION:What is said", "LOCATION:Where it is"):
        assert line in whole
    assert "CLASS:PRIVATE" in block
    assert not [word for word in ("Own", "hidden") if word in block]
    assert done(await at.app.sync(pair)) == []


async def test_rule_15_again_at_once_nothing_is_written(one_way: Desk) -> None:
    at = one_way
    _fill_with_all_kinds(at)
    pair = await at.pair(direction="a_to_b", sync_mode="full")
    await at.app.sync(pair)
    before = at.versions(at.b)
    assert done(await at.app.sync(pair)) == []
    report = await at.app.sync(pair)
    assert (report.provider_requests, done(report)) == (2, []), "one request for each connection"
    assert at.versions(at.b) == before


async def test_rules_13_and_16_every_change_arrives(one_way: Desk) -> None:
    at = one_way
    fill(at, range(3, 6))
    at.put_a("series", SERIES)
    pair = await at.pair(direction="a_to_b", sync_mode="full")
    await at.app.sync(pair)
    at.put_a("3", on(3, title="Renamed"))
    at.put_a("4", event("uid-4", stamp(6), stamp(6, 10)))
    at.delete(at.a, "5.ics")
    at.put_a("series", vcalendar(vevent("series", extra=f"{WEEKLY}\nEXDATE;TZID=Europe/Berlin:{stamp(11)}")))
    report = await at.app.sync(pair)
    assert (report.events_created, report.events_updated, report.events_deleted) == (0, 3, 1)
    assert days(at) == [3, 4, 6, 18, 25]
    assert any("SUMMARY:Renamed" in copy for copy in at.copies_b())
    at.put_a("5", on(5))
    assert (await at.app.sync(pair)).events_created == 1


async def test_rule_18_changed_options_bring_copies_in_line(one_way: Desk) -> None:
    at = one_way
    fill(at, range(3, 13))
    at.put_a("maybe", on(14, extra="STATUS:TENTATIVE"))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    await at.app.change_pair(pair, options={"title": "Away", "include_tentative": False})
    report = await at.app.sync(pair)
    assert (report.events_updated, report.events_deleted) == (10, 1)
    assert all("SUMMARY:Away" in copy for copy in at.copies_b())


async def test_rule_4_after_the_loss_of_the_database_all_are_adopted(one_way: Desk, tmp_path: Path) -> None:
    at = one_way
    fill(at, range(3, 6))
    at.put_a("series", SERIES)
    async with installation(tmp_path / "lost", secret=SECRET) as app:
        await app.sync(await at.pair_in(app, direction="a_to_b"))
    before = at.versions(at.b)
    async with installation(tmp_path / "new", secret=SECRET) as app:
        pair = await at.pair_in(app, direction="a_to_b")
        assert done(await app.sync(pair)) == [("adopt", "adopted")] * 4
        assert at.versions(at.b) == before
        at.put_a("3", event("uid-3", stamp(7), stamp(7, 10)))
        at.delete(at.a, "5.ics")
        report = await app.sync(pair)
        assert (report.events_created, report.events_updated, report.events_deleted) == (0, 1, 1)
    assert set(at.copies(at.b)) < set(before)


async def test_rule_3_of_twins_the_lowest_id_lives(one_way: Desk) -> None:
    at = one_way
    at.put_a("4", on(4))
    at.put_a("free", on(5, extra="TRANSP:TRANSPARENT"))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    (first,) = at.copies(at.b)
    twin = await put_twin(at)
    assert ("delete", "twin") in done(await at.app.sync(pair))
    assert set(at.read(at.b)) == {min(first, twin)}
    await at.app.sync(pair)
    at.delete(at.a, "4.ics")
    await at.app.sync(pair)
    assert at.read(at.b) == {}


async def test_rule_17_a_deleted_copy_stays_away_and_an_edited_one_is_put_right(one_way: Desk) -> None:
    at = one_way
    fill(at, range(3, 5))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    gone = next(name for name, text in at.copies(at.b).items() if "20260303T" in text)
    at.delete(at.b, gone)
    ((name, text),) = at.copies(at.b).items()
    at.put(at.b, name, text.replace("20260304T09", "20260304T08"))
    assert set(done(await at.app.sync(pair))) == {
        ("skip", "copy_deleted_by_person"),
        ("update", "copy_edited"),
    }
    assert at.busy(at.b, copies=True) == [("2026-03-04 08:00", "2026-03-04 09:00")]
    assert (await at.app.sync(pair)).operations == ()
    at.put_a("3", event("uid-3", stamp(7), stamp(7, 10)))
    await at.app.sync(pair)
    assert days(at) == [4, 7]


async def test_rule_17_a_deleted_instance_stays_away(one_way: Desk) -> None:
    at = one_way
    at.put_a("series", SERIES)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    ((name, text),) = at.copies(at.b).items()
    at.put(at.b, name, delete_instance(text.encode(), stamp(11)))
    assert done(await at.app.sync(pair)) == [("update", "instance_deleted_by_person")]
    at.put_a("series", event("series", extra="RRULE:FREQ=WEEKLY;COUNT=5"))
    await at.app.sync(pair)
    assert [start[5:10] for start, _ in at.busy(at.b, copies=True)] == ["03-04", "03-18", "03-25", "04-01"]


async def test_rule_17_copies_that_vanish_together_wait_for_a_person(one_way: Desk) -> None:
    at = one_way
    fill(at, range(3, 15))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    for name in at.copies(at.b):
        at.delete(at.b, name)
    report = await at.app.run(pair)
    assert report.error is not None
    assert (report.error.code, at.copies_b()) == ("needs_attention", [])
    assert (await at.app.run(pair, confirm=True)).status == "success"
    assert at.copies_b() == []


async def test_rule_21_many_deletions_are_done_after_a_second_reading(one_way: Desk) -> None:
    at = one_way
    fill(at, range(3, 23))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    for day in range(3, 18):
        at.delete(at.a, f"{day}.ics")
    in_full = note_full_readings(at)
    report = await at.app.sync(pair)
    assert (report.events_deleted, days(at)) == (15, [18, 19, 20, 21, 22])
    assert at.conn_a in in_full


async def test_rule_21_a_source_that_reads_empty_waits_for_a_person(one_way: Desk) -> None:
    at = one_way
    fill(at, range(3, 9))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    for day in range(3, 9):
        at.delete(at.a, f"{day}.ics")
    await forget_tokens(at)
    for _ in range(2):  # for its first hour, an empty feed is not even believed
        report = await at.app.run(pair)
        assert len(at.copies_b()) == 6
        at.app.clock.advance(hours=2)
    assert report.error is not None
    assert report.error.code == "needs_attention"
    report = await at.app.run(pair, confirm=True)
    assert (report.events_deleted, at.copies_b()) == (6, [])


async def test_rule_26_a_forgotten_token_costs_a_full_reading_and_no_needless_write(one_way: Desk) -> None:
    at = one_way
    fill(at, range(3, 9))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    before = at.versions(at.b)
    at.delete(at.a, "3.ics")
    at.put_a("9", on(9))
    await forget_tokens(at)
    report = await at.app.sync(pair)
    assert (report.events_created, report.events_updated, report.events_deleted) == (1, 0, 1)
    assert len(at.versions(at.b).items() & before.items()) == 5
    assert (await at.app.sync(pair)).provider_requests == 2


@pytest.mark.parametrize("removal", ["remove", "keep"])
async def test_rule_20_a_pair_goes_and_its_copies_go_or_become_ordinary_events(
    one_way: Desk, removal: str
) -> None:
    at = one_way
    fill(at, range(3, 5))
    at.put_a("series", SERIES)
    at.put_b("own", on(20, uid="own"))
    sources = at.versions(at.a)
    pair = await at.pair(direction="a_to_b", sync_mode="full")
    await at.app.sync(pair)
    copies = at.copies(at.b)
    await at.app.change_pair(pair, removal=removal)
    await at.app.sync(pair)
    assert await at.app.row(pairs, pair) is None
    assert at.versions(at.a) == sources
    assert at.copies_b() == []
    assert set(at.read(at.b)) == {"own.ics", *(copies if removal == "keep" else ())}


async def test_rules_2_and_3_a_ring_of_three_calendars_comes_to_rest(anywhere: Desk) -> None:
    at = anywhere
    third = at.make_calendar(at.a)
    conn_c = await at.connect(at.app, at.account, third)
    ring = [
        await at.app.pair(*ends)
        for ends in ((at.conn_a, at.conn_b), (at.conn_b, conn_c), (conn_c, at.conn_a))
    ]
    for day, calendar in enumerate((at.a, at.b, third), 3):
        at.put(calendar, "own.ics", on(day))
        at.put(calendar, "shared.ics", on(20, uid="shared"))
    for pair in ring + ring:
        await at.app.sync(pair)
    for pair in ring:
        assert (await at.app.sync(pair)).operations == ()
    assert [len(at.read(calendar)) for calendar in (at.a, at.b, third)] == [4, 4, 4]
