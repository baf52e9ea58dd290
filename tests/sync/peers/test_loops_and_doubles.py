"""What went in circles or was doubled by other programs, played against this one (rules 1 to 5, 15 and 16).

A docstring names the issue that a test stems from, and what happened there.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from tests.sync.helpers import done, starts
from tests.sync.peers.in_memory import hour, pair_from_feed, plan_anew, rest
from tests.sync.stories import days, on
from tests.testbed.desk import Desk, desk
from tests.testbed.events import vcalendar, vevent
from tests.testbed.feed import feed_server
from tests.testbed.google_keeper import GoogleKeeper
from tests.testbed.memory import Faults, MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk, memory_desk
from tests.testbed.microsoft_keeper import MicrosoftKeeper


@pytest.fixture
async def at(quick_folder: Path) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(quick_folder) as made:
        yield made


@pytest.mark.rule(2)
@pytest.mark.parametrize("relay", [False, True], ids=["copies stay", "copies travel on"])
async def test_ogcs_1418_a_deletion_behind_a_shared_calendar_makes_nothing_anew(
    at: MemoryDesk, relay: bool
) -> None:
    """OutlookGoogleCalendarSync #1418: two profiles shared a Google calendar, one of them in both directions; an
    event that was deleted where it came from was then made by the thousand in that calendar and in the other."""
    await at.add("c")
    pairs = [await at.pair("a", "b", direction="a_to_b"), await at.pair("b", "c", relay=relay)]
    at.store("a").put("birthday.ics", hour("birthday", 4))
    at.store("c").put("own.ics", hour("own", 5))
    for pair in pairs:
        await at.app.sync(pair)
    await rest(at, *pairs)
    travelled = ["03-04 08:00"] if relay else []
    assert [starts(at, name) for name in "abc"] == [[], ["03-04 08:00", "03-05 08:00"], travelled]
    at.store("a").delete("birthday.ics")
    for pair in (*reversed(pairs), *pairs):
        await at.app.sync(pair)
    await rest(at, *pairs)
    assert [starts(at, name) for name in "abc"] == [[], ["03-05 08:00"], []]
    assert [list(at.store(name).resources) for name in "ac"] == [[], ["own.ics"]]


@pytest.mark.rule(2)
@pytest.mark.rule(5)
async def test_ogcs_1553_what_a_hub_gathers_does_not_go_on_into_its_members(at: MemoryDesk) -> None:
    """OutlookGoogleCalendarSync #1553: several mailboxes were gathered in one Google calendar that was in step with
    one of them in both directions; the others' events went on into that one, which was full of duplicates."""
    for name in ("c", "hub"):
        await at.add(name)
    pairs = [
        await at.pair("a", "hub"),
        await at.pair("b", "hub", direction="a_to_b"),
        await at.pair("c", "hub", direction="a_to_b"),
    ]
    for day, name in enumerate("abc", start=4):
        at.store(name).put("own.ics", hour(f"own-{name}", day))
        at.store(name).put("all.ics", hour("meeting of all three", 10))
    at.store("hub").put("own.ics", hour("own-hub", 9))
    for pair in pairs:
        await at.app.sync(pair)
    await rest(at, *pairs)
    assert starts(at, "hub") == ["03-04 08:00", "03-05 08:00", "03-06 08:00", "03-10 08:00"]
    assert [starts(at, name) for name in "abc"] == [["03-09 08:00"], [], []]


@pytest.mark.rule(1)
@pytest.mark.rule(7)
async def test_ogcs_224_what_is_pasted_from_behind_the_window_is_an_event_of_its_own(at: MemoryDesk) -> None:
    """OutlookGoogleCalendarSync #224: an event that lay behind the window was pasted to a day ahead; the paste
    carried its hidden ids, counted as the event moved, and was deleted as missing from Google."""
    pair = await at.pair()
    at.store("a").put("old.ics", hour("old", 4))
    await at.app.sync(pair)
    ((_, (_, copy)),) = at.store("b").resources.items()
    at.app.clock.advance(days=20)
    for name, day, data in (("a", b"25", hour("old", 4).encode()), ("b", b"26", copy)):
        pasted = data.replace(b"UID:", b"UID:pasted-").replace(b"20260304T", b"202603" + day + b"T")
        at.store(name).put("pasted.ics", pasted)
    await at.app.sync(pair)
    await rest(at, pair)
    assert starts(at, "a", copies=False) == ["03-04 08:00", "03-25 08:00"]
    assert starts(at, "a") == ["03-26 08:00"]
    assert starts(at, "b") == ["03-04 08:00", "03-25 08:00", "03-26 08:00"]
    assert "pasted.ics" in at.store("b").resources


@pytest.mark.rule(1)
@pytest.mark.parametrize(
    "between", [("google", "microsoft"), ("microsoft", "google")], ids="-".join, indirect=True
)
async def test_ogcs_2091_dragging_a_duplicate_out_of_an_event_leaves_the_event(between: Desk) -> None:
    """OutlookGoogleCalendarSync #2091: an appointment was duplicated by dragging it to another day; the new one
    arrived in Google, and the original was deleted in both calendars."""
    at = between
    at.put_a("one", on(4))
    pair = await at.pair(sync_mode="full")
    await at.app.sync(pair)
    ((name, text),) = at.copies(at.b).items()
    at.put_a("dragged", on(6, "dragged", title="Day 4"))
    at.put_b("dragged", text.replace(name.removesuffix(".ics"), "mine").replace("20260304T", "20260307T"))
    for _ in range(3):
        await at.app.sync(pair)
    assert days(at) == [4, 6, 7]
    assert days(at, at.a) == [7]
    assert {"one.ics", "dragged.ics"} <= at.read(at.a).keys()
    assert {name, "dragged.ics"} <= at.read(at.b).keys()
    assert (await at.app.sync(pair)).operations == ()


@pytest.mark.rule(15)
@pytest.mark.rule(16)
async def test_gas_ics_sync_283_ever_new_uids_neither_double_nor_churn(at: MemoryDesk) -> None:
    """GAS-ICS-Sync #283: feeds gave every event another UID in each answer; at best all copies were deleted and
    made again in each run, and else they were doubled."""
    faults = at.faults["http://127.0.0.1:1/b/"] = Faults(after={3})
    numbers = itertools.count()
    published = [3, 4, 5, 6]

    def render() -> str:
        number = next(numbers)
        return vcalendar(*(vevent(f"{number}-{day}", f"202603{day:02}T090000", None) for day in published))

    async with feed_server() as feed:
        feed.render = render
        pair = await pair_from_feed(at, feed.url)
        assert (await at.app.run(pair)).status == "partial", "a copy is written, and the answer is not heard"
        faults.after = set()
        await at.app.sync(pair)
        before = dict(at.store("b").resources)
        assert len(before) == 4
        for full in (False, True):
            report = await at.app.run(pair, full=full)
            assert (report.status, done(report)) == ("success", [])
        published[:] = [4, 5, 6, 9]
        assert {action for action, _ in done(await at.app.sync(pair))} == {"create", "delete"}
        assert len(before.items() & at.store("b").resources.items()) == 3


@pytest.mark.rule(3)
@pytest.mark.rule(22)
async def test_vdirsyncer_172_two_events_of_one_uid_stop_nothing(at: MemoryDesk) -> None:
    """vdirsyncer #172: a collection held two items of one UID; its sync ended with an IdentConflict, for good."""
    pair = await at.pair()
    at.store("a").put("x.ics", hour("twice", 4))
    at.store("a").put("y.ics", hour("twice", 5))
    at.store("a").put("z.ics", hour("once", 6))
    await at.app.sync(pair)
    await rest(at, pair)
    assert starts(at) == ["03-04 08:00", "03-05 08:00", "03-06 08:00"]
    at.store("a").delete("x.ics")
    assert done(await at.app.sync(pair)) == [("delete", "source_deleted")]
    assert starts(at) == ["03-05 08:00", "03-06 08:00"]


@pytest.mark.rule(22)
async def test_vdirsyncer_1093_the_item_that_is_amiss_is_named_and_the_others_go_on(at: MemoryDesk) -> None:
    """vdirsyncer #1093: items of one UID ended the sync, and no message told which events they were."""
    pair = await at.pair()
    for name in ("x", "y"):
        at.store("a").put(f"{name}.ics", hour("same", 4))
    at.store("a").put("broken.ics", hour("same", 5)[:150])
    at.store("a").put("other.ics", hour("other", 6))
    for count in (3, 0):
        report = await at.app.run(pair)
        assert (report.status, report.events_created) == ("partial", count)
        assert [each.event_id for each in report.operations if each.action == "skip"] == ["broken.ics"]
    at.store("a").delete("broken.ics")
    await rest(at, pair)
    assert starts(at) == ["03-04 08:00", "03-04 08:00", "03-06 08:00"], "as many as there are"


@pytest.mark.rule(2)
@pytest.mark.parametrize("place", ["kept", "moved"])
async def test_vdirsyncer_1135_a_calendar_that_gives_events_uids_of_its_own(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Named as vdirsyncer #1135. DavMail #462: Exchange gave what vdirsyncer uploaded a UID of its own; it came
    back as a new event, beside the one that it was."""
    create = MemoryCalendar.create
    numbers = itertools.count()

    async def renaming(self: MemoryCalendar, copy: Copy) -> Resource:
        made = await create(self, copy)
        data = self.store.resources[made.id][1].replace(f"UID:{copy.id}".encode(), b"UID:%d" % next(numbers))
        self.store.delete(made.id)
        name = made.id if place == "kept" else f"{next(numbers)}.EML"
        self.store.put(name, data)
        return self._resource(name)

    monkeypatch.setattr(MemoryCalendar, "create", renaming)
    pair = await at.pair()
    at.store("a").put("one.ics", hour("one", 4))
    at.store("b").put("two.ics", hour("two", 5))
    for _ in range(3):
        report = await plan_anew(at, pair)
    there = [["03-05 08:00"], ["03-04 08:00"]] if place == "kept" else [[], []]
    assert [starts(at, name) for name in "ab"] == there
    assert report.status == ("success" if place == "kept" else "partial")
    written = [len(at.store(name).journal) for name in "ab"]
    await plan_anew(at, pair)
    assert [len(at.store(name).journal) for name in "ab"] == written


@pytest.mark.rule(3)
@pytest.mark.parametrize("keeper", [GoogleKeeper, MicrosoftKeeper], ids=["google", "microsoft"])
async def test_keeper_365_two_calendars_of_one_mailbox_each_have_their_copy(
    request: pytest.FixtureRequest, quick_folder: Path, keeper: Any
) -> None:
    """keeper.sh #365: the id of a copy did not depend on the calendar that it went into; in a second calendar of
    one Google account it was met again, and taken for a conflict."""
    name = "google_model" if keeper is GoogleKeeper else "microsoft_model"
    async with desk(keeper(request.getfixturevalue(name)), quick_folder) as at:
        second = at.keepers[at.b].make_calendar()
        at.keepers[second] = at.keepers[at.b]
        connection = await at.connect(at.app, at.account, second)
        pairs = [
            await at.pair(direction="a_to_b"),
            await at.app.pair(at.conn_a, connection, direction="a_to_b"),
        ]
        at.put_a("one", on(4))
        for pair in pairs:
            await at.app.sync(pair)
        assert [days(at), days(at, second)] == [[4], [4]]
        assert not at.read(at.b).keys() & at.read(second).keys()
        await at.app.change_pair(pairs[0], removal="remove")
        await at.app.sync(pairs[0])
        at.put_a("one", on(4, extra="CLASS:PRIVATE"))
        await at.app.sync(pairs[1])
        assert [days(at), days(at, second)] == [[], [4]]
