"""Deletions that ran away, or never came to an end, in other programs (rules 3, 16, 17, 20 to 22 and 26).

A docstring names the issue that a test stems from, and what happened there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from calendarsync.store.tables import pairs
from tests.sync.helpers import WEEKLY, done, empty_unnamed, fill, only, starts, sync_anew
from tests.sync.peers.helpers import between
from tests.sync.peers.in_memory import everything, hour, pair_from_feed
from tests.sync.stories import days, forget_tokens, on, stamp
from tests.testbed.desk import Desk
from tests.testbed.events import event, vcalendar, vevent
from tests.testbed.feed import feed_server
from tests.testbed.google import Model as GoogleModel
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk, memory_desk
from tests.testbed.microsoft import Model as MicrosoftModel

SECRET = b"the same secret of this installation"


@pytest.fixture
async def at(quick_folder: Path) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(quick_folder) as made:
        yield made


@pytest.mark.rule(21)
async def test_ogcs_2022_a_calendar_that_shut_down_while_it_was_read(at: MemoryDesk) -> None:
    """OutlookGoogleCalendarSync #2022: Outlook was closed during a sync, which failed; to the next one its calendar
    was empty, and all events were deleted in both calendars."""
    fill(at, 6, "a")
    at.store("b").put("own.ics", hour("own", 20))
    pair = await at.pair()
    await at.app.sync(pair)
    truth = everything(at)
    at.faults["http://127.0.0.1:1/a/"].before = {at.faults["http://127.0.0.1:1/a/"].calls + 1}
    assert (await at.app.run(pair)).error is not None
    empty_unnamed(at, "a")
    for full in (False, True):
        report = await at.app.run(pair, full=full)
        assert report.error is not None
        assert report.error.code == "needs_attention"
    assert everything(at) == [{}, truth[1]]
    at.store("a").resources.update(truth[0])
    at.store("a").forget_tokens()
    assert done(await at.app.run(pair, full=True)) == []
    assert everything(at) == truth
    assert (await at.app.row(pairs, pair)).status == "active"


@pytest.mark.rule(21)
async def test_ogcs_2137_a_small_question_does_not_stand_for_the_great_one(at: MemoryDesk) -> None:
    """OutlookGoogleCalendarSync #2137: where single deletions were asked about, nobody was warned any more that a
    whole calendar was about to be emptied."""
    fill(at, 30)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    for name in list(at.store("b").resources)[:16]:
        at.store("b").delete(name)
    assert (await at.app.run(pair)).status == "failed"
    assert (await at.app.row(pairs, pair)).attention_code == "copies_vanished"
    empty_unnamed(at, "a")
    report = await at.app.run(pair, confirm=True)
    assert report.error is not None
    assert (await at.app.row(pairs, pair)).attention_code == "source_emptied"
    assert len(at.store("b").resources) == 14


@pytest.mark.rule(16)
async def test_ogcs_1123_new_events_whose_copies_are_not_listed_yet(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OutlookGoogleCalendarSync #1123: new events were copied, and in the same sync asked to be deleted, as if they
    had been deleted at the other side where nothing was seen of them yet."""
    read = MemoryCalendar.read
    hidden: set[str] = set()

    async def lagging(self: MemoryCalendar, *args: Any, **given: Any) -> object:
        held = {name: self.store.resources.pop(name) for name in hidden if name in self.store.resources}
        try:
            return await read(self, *args, **given)
        finally:
            self.store.resources.update(held)

    monkeypatch.setattr(MemoryCalendar, "read", lagging)
    pair = await at.pair()
    for number, name in enumerate("ab"):
        at.store(name).put("new.ics", hour(f"new-{name}", 4 + number))
    await at.app.sync(pair)
    hidden |= {name for store in at.stores.values() for name in store.resources} - {"new.ics"}
    written = everything(at)
    assert [len(each) for each in written] == [2, 2]
    for _ in range(2):
        at.store("a").forget_tokens()
        await sync_anew(at, pair)
    for store in at.stores.values():
        store.journal += hidden & store.resources.keys()
    hidden.clear()
    for _ in range(2):
        await sync_anew(at, pair)
    assert everything(at) == written


@pytest.mark.rule(16)
@pytest.mark.parametrize("changed", ["19700101T000000Z", "20260302T055908Z", "20990101T000000Z"])
async def test_ogcs_2268_stamps_that_make_no_sense(at: MemoryDesk, changed: str) -> None:
    """OutlookGoogleCalendarSync #2268: Exchange told of new meetings that they had changed 52 seconds before they
    were written; they counted as deleted in Google, and were deleted."""
    stamps = f"CREATED:{changed}\nLAST-MODIFIED:{changed}\nSEQUENCE:0"
    pair = await at.pair()
    for number, name in enumerate("ab"):
        at.store(name).put("new.ics", hour(f"new-{name}", 4 + number, stamps))
    for _ in range(3):
        await sync_anew(at, pair)
    assert [starts(at, name, copies=False) for name in "ab"] == [["03-04 08:00"], ["03-05 08:00"]]
    at.store("a").put("new.ics", hour("new-a", 6, stamps))
    await at.app.sync(pair)
    assert [starts(at, name) for name in "ab"] == [["03-05 08:00"], ["03-06 08:00"]]


@pytest.mark.rule(21)
@pytest.mark.parametrize("status", [403, 404, 503])
async def test_keeper_383_a_feed_that_is_not_answered_holds_no_less(at: MemoryDesk, status: int) -> None:
    """keeper.sh #383: a feed whose request failed counted as a feed without events: one bad answer, and 303 copies
    were deleted, which the log called a success."""
    async with feed_server() as feed:
        feed.events = {str(day): vevent(f"uid-{day}", stamp(day), None) for day in range(3, 8)}
        pair = await pair_from_feed(at, feed.url)
        await at.app.sync(pair)
        copies = dict(at.store("b").resources)
        feed.status = status
        for full in (False, True, False):
            report = await at.app.run(pair, full=full)
            assert (report.status, report.events_deleted) == ("failed", 0)
        assert at.store("b").resources == copies
        feed.status = 200
        at.app.clock.advance(hours=1)
        assert done(await at.app.sync(pair)) == []


@pytest.mark.rule(3)
@between("radicale", "google")
async def test_keeper_403_an_id_that_a_deleted_event_has_used_up(
    between: Desk, google_model: GoogleModel
) -> None:
    """keeper.sh #403: Google keeps the UID of a deleted event, but in no listing: that event was refused again, at
    every sync. To delete what was deleted already was answered 410, which counted as a failure."""
    at = between
    google_model.habits.revival = "refuse"
    pair = await at.pair(direction="a_to_b")
    gone: set[str] = set()
    for _ in range(3):
        at.put_a("one", on(4))
        await at.app.sync(pair)
        assert days(at) == [4]
        assert not gone & at.copies(at.b).keys()
        gone |= at.copies(at.b).keys()
        at.delete(at.a, "one.ics")
        fault = google_model.fail(410, reason="deleted", method="events.delete", after=True)
        assert (await at.app.sync(pair)).events_deleted == 1
        assert (fault.met, days(at)) == (1, [])


@pytest.mark.rule(20)
async def test_keeper_660_a_copy_under_another_name_than_its_uid(at: MemoryDesk) -> None:
    """keeper.sh #660: the address to delete was made from the UID; where the server had given the object another
    name the answer was 404, which counted as success: 30 deletions an hour, for ever, of what stayed."""
    pair = await at.pair()
    at.store("a").put("one.ics", hour("one", 4))
    await at.app.sync(pair)
    name, data = only(at)
    at.store("b").delete(name)
    at.store("b").put("BF3A.ics", data)
    for _ in range(2):
        assert done(await sync_anew(at, pair)) == []
    assert starts(at) == ["03-04 08:00"]
    at.store("a").put("one.ics", hour("one", 5))
    await at.app.sync(pair)
    assert starts(at) == ["03-05 08:00"]
    at.store("a").delete("one.ics")
    assert done(await at.app.sync(pair)) == [("delete", "source_deleted")]
    assert everything(at) == [{}, {}]
    assert done(await sync_anew(at, pair)) == []


@pytest.mark.rule(26)
@pytest.mark.parametrize(
    "between",
    [("google", "microsoft"), ("microsoft", "google"), ("radicale", "google")],
    ids="-".join,
    indirect=True,
)
async def test_a_full_listing_after_410_has_no_tombstones(between: Desk) -> None:
    """After a 410 Google and Graph list what is there, and name nothing of what was deleted meanwhile."""
    at = between
    for day in (3, 4, 5):
        at.put_a(f"{day}", on(day))
    at.put_a("gone", event("gone", stamp(4, 12), stamp(4, 13), extra=WEEKLY))
    at.put_a("holed", event("holed", stamp(4, 14), stamp(4, 15), extra=WEEKLY))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    kept = at.versions(at.b)
    at.delete(at.a, "4.ics")
    at.delete(at.a, "gone.ics")
    hole = f"{WEEKLY}\nEXDATE;TZID=Europe/Berlin:{stamp(11, 14)}"
    at.put_a("holed", event("holed", stamp(4, 14), stamp(4, 15), extra=hole))
    await forget_tokens(at)
    report = await at.app.sync(pair)
    assert sorted(done(report)) == [
        ("delete", "source_deleted"),
        ("delete", "source_deleted"),
        ("update", "source_changed"),
    ]
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    assert len(kept.items() & at.versions(at.b).items()) == 2
    assert (await at.app.sync(pair)).operations == ()


@pytest.mark.rule(16)
@pytest.mark.rule(26)
@pytest.mark.parametrize("masters", [True, False], ids=["with masters", "without"])
@between("microsoft", "google")
async def test_an_untyped_removal_may_be_a_series_master(
    between: Desk, microsoft_model: MicrosoftModel, masters: bool
) -> None:
    """Graph's `@removed` is an id and no more: of a single event, of an instance, or of a whole series, which may
    have begun long before all that is read."""
    at = between
    microsoft_model.habits.masters = masters
    weekly = ("20240103T090000", "20240103T100000")
    named = f"RECURRENCE-ID;TZID=Europe/Berlin:{stamp(11)}"
    for uid in ("series", "stays"):
        moved = vevent(uid, stamp(12, 15), stamp(12, 16), extra=named)
        at.put_a(uid, vcalendar(vevent(uid, *weekly, extra="RRULE:FREQ=WEEKLY"), moved))
    at.put_a("single", on(5))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    at.delete(at.a, "series.ics")
    at.delete(at.a, "single.ics")
    assert {action for action, _ in done(await at.app.sync(pair))} == {"delete"}
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    assert len(at.busy(at.a, copies=False)) > 50
    assert (await at.app.sync(pair)).operations == ()


@pytest.mark.rule(4)
@pytest.mark.rule(20)
@pytest.mark.parametrize("others", [False, True], ids=["alone", "beside another pair"])
async def test_keeper_541_copies_that_no_record_knows(
    quick_folder: Path, tmp_path: Path, others: bool
) -> None:
    """keeper.sh #541: copies whose records were lost could be removed by nothing, least of all those outside the
    window; who left the program, or their account, was left with years of them in a calendar."""
    async with memory_desk(tmp_path, secret=SECRET) as at:
        for day in (3, 20, 21):
            at.store("a").put(f"{day}.ics", hour(f"uid-{day}", day))
        await at.app.sync(await at.pair(direction="a_to_b"))
        at.app.clock.advance(days=10)
        held, clock = everything(at), at.app.clock
    async with memory_desk(quick_folder, "a", "b", "c", secret=SECRET, clock=clock) as at:
        for name, resources in zip("ab", held, strict=True):
            at.store(name).resources.update(resources)
        del at.store("a").resources["21.ics"]
        at.store("b").put("own.ics", hour("own", 22))
        pair = await at.pair(direction="a_to_b")
        if others:
            await at.pair("c", "b", direction="a_to_b")
        assert done(await at.app.sync(pair)) == [("adopt", "adopted")]
        await at.app.change_pair(pair, removal="remove")
        report = await at.app.sync(pair)
        assert {action for action, _ in done(report)} == {"delete"}
        left = ["03-03 08:00", "03-21 08:00"] if others else []
        assert starts(at) == left
        assert starts(at, copies=False) == ["03-22 08:00"]
        assert set(at.store("a").resources) == {"3.ics", "20.ics"}
