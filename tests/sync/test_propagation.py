"""Rule 17, `on_copy_edited: propagate`: what people change in copies travels back into their sources."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from difflib import ndiff
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from calendarsync.domain.event import Response
from calendarsync.providers.sandbox import Attendee
from calendarsync.store.schedule import update_connection
from calendarsync.store.tables import links
from calendarsync.sync.fields import remembered
from tests.sync.helpers import FIRST, LAST, done, only
from tests.sync.propagating import CARRIED, EXTRA, assert_at_rest, edit, paired, source
from tests.testbed.events import event
from tests.testbed.memory_desk import OWNER, MemoryDesk, memory_desk
from tests.testbed.sandbox import meeting, sandbox_desk

pytestmark = pytest.mark.rule(17)


@pytest.fixture
async def at(quick_folder: Path) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(quick_folder, "a", "b", "c") as made:
        yield made


def changed_lines(before: str, after: str) -> tuple[set[str], set[str]]:
    """Lines that went and lines that came; all others are the same, in their order."""
    compared = list(ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True)))
    went, came = ({line[2:].strip() for line in compared if line[0] == sign} for sign in "-+")
    return went, came


@pytest.mark.parametrize(
    ("old", "new", "went", "came"),
    [
        ("SUMMARY:Planning", "SUMMARY:Plans\\, new", {"SUMMARY:Planning"}, {"SUMMARY:Plans\\, new"}),
        ("LOCATION:Room 1", "LOCATION:Room 2", {"LOCATION:Room 1"}, {"LOCATION:Room 2"}),
        ("LOCATION:Room 1\r\n", "", {"LOCATION:Room 1"}, set()),
        (
            "DESCRIPTION:A long text",
            "DESCRIPTION:Another text",
            {"DESCRIPTION:A long text that is folded where a line has seventy-five octets\\, or"},
            {"DESCRIPTION:Another text that is folded where a line has seventy-five octet"},
        ),
        (
            "20260304T100000",
            "20260304T113000",
            {"DTEND;TZID=Europe/Berlin:20260304T100000"},
            {"DTEND;TZID=Europe/Berlin:20260304T113000", "SEQUENCE:1"},
        ),
    ],
    ids=["title", "location", "no location", "description", "end"],
)
async def test_one_field_travels_and_all_else_stays_byte_for_byte(
    at: MemoryDesk, old: str, new: str, went: set[str], came: set[str]
) -> None:
    pair = await paired(at, event("one", extra=EXTRA))
    before = source(at)
    edit(at, (old, new))
    assert done(await at.app.sync(pair)) == CARRIED
    gone, news = changed_lines(before, source(at))
    stamps = {"DTSTAMP:20260101T000000Z"}, {"DTSTAMP:20260302T060000Z"}
    if "DESCRIPTION" in old:
        gone, news = ({line for line in lines if "more" not in line} for lines in (gone, news))
    assert (gone, news) == (went | stamps[0], came | stamps[1])
    assert new.strip() in only(at)[1].decode().replace("\r\n ", "")
    await assert_at_rest(at, pair)


async def test_a_title_travels_without_the_template_around_it(at: MemoryDesk) -> None:
    pair = await paired(at, event("one"), title="[Work] {title} *")
    edit(at, ("SUMMARY:[Work] Planning *", "SUMMARY:[Work] Lunch *"))
    assert done(await at.app.sync(pair)) == CARRIED
    assert "SUMMARY:Lunch\r\n" in source(at)
    assert b"SUMMARY:[Work] Lunch *\r\n" in only(at)[1]
    await assert_at_rest(at, pair)


async def test_a_title_that_does_not_fit_the_template_is_restored_alone(at: MemoryDesk) -> None:
    pair = await paired(at, event("one", extra="LOCATION:Room 1"), title="[Work] {title}")
    before = source(at)
    edit(at, ("SUMMARY:[Work] Planning", "SUMMARY:Lunch"))
    assert done(await at.app.sync(pair)) == [("skip", "title_not_undone"), ("update", "title_not_undone")]
    assert source(at) == before
    edit(at, ("SUMMARY:[Work] Planning", "SUMMARY:Lunch"), ("LOCATION:Room 1", "LOCATION:Room 2"))
    assert done(await at.app.sync(pair)) == [("skip", "title_not_undone"), *CARRIED]
    assert "SUMMARY:Planning\r\n" in source(at)
    assert "LOCATION:Room 2\r\n" in source(at)
    assert b"SUMMARY:[Work] Planning\r\nLOCATION:Room 2\r\n" in only(at)[1]
    await assert_at_rest(at, pair)


@pytest.mark.parametrize("title", ["Always this", "{title} {title}"])
async def test_a_title_that_no_template_can_be_taken_off_is_restored(at: MemoryDesk, title: str) -> None:
    pair = await paired(at, event("one"), title=title)
    shown = title.replace("{title}", "Planning")
    edit(at, (f"SUMMARY:{shown}", f"SUMMARY:{shown}!"))
    before = source(at)
    assert ("update", "title_not_undone") in done(await at.app.sync(pair))
    assert source(at) == before
    await assert_at_rest(at, pair)


BOSS = "ORGANIZER:mailto:boss@example.com"
GUEST = f"ORGANIZER:mailto:{OWNER}\nATTENDEE;CN=Ann:mailto:ann@example.com"


@pytest.mark.parametrize(
    ("extra", "given", "reason"),
    [
        (GUEST, {}, "source_has_attendees"),
        (GUEST, {"attendees_in_description": True}, "source_has_attendees"),
        (BOSS, {}, "not_organizer"),
        ("CLASS:PRIVATE", {}, "shown_as_block"),
    ],
    ids=["attendees", "attendees listed", "another organizes", "private"],
)
async def test_what_may_not_be_changed_is_restored_and_the_log_says_why(
    at: MemoryDesk, extra: str, given: dict[str, Any], reason: str
) -> None:
    pair = await paired(at, event("one", extra=extra), **given)
    before = only(at, "a"), only(at)[1]
    edit(at, ("T100000", "T110000"))
    assert done(await at.app.sync(pair)) == [("update", reason)]
    assert (only(at, "a"), only(at)[1]) == before
    await assert_at_rest(at, pair)


async def test_the_owners_own_meeting_without_guests_is_changed(at: MemoryDesk) -> None:
    pair = await paired(at, event("one", extra=f"ORGANIZER:mailto:{OWNER}"))
    edit(at, ("SUMMARY:Planning", "SUMMARY:Lunch"))
    assert done(await at.app.sync(pair)) == CARRIED


async def test_a_source_that_cannot_be_written_to_is_not(at: MemoryDesk) -> None:
    pair = await paired(at, event("one"))
    async with at.app.db.write() as db:
        await update_connection(db, at.connections["a"], read_only=True)
    edit(at, ("SUMMARY:Planning", "SUMMARY:Lunch"))
    assert done(await at.app.sync(pair)) == [("update", "source_read_only")]


async def test_what_is_no_field_of_ours_is_put_right(at: MemoryDesk) -> None:
    pair = await paired(at, event("one"))
    before = source(at)
    edit(at, ("TRANSP:OPAQUE", "TRANSP:TRANSPARENT"))
    assert done(await at.app.sync(pair)) == [("update", "copy_edited")]
    edit(at, ("TRANSP:OPAQUE", "TRANSP:TRANSPARENT"), ("SUMMARY:Planning", "SUMMARY:Lunch"))
    assert source(at) == before
    assert done(await at.app.sync(pair)) == CARRIED
    assert b"TRANSP:OPAQUE" in only(at)[1]
    assert "TRANSP" not in source(at)
    await assert_at_rest(at, pair)


async def test_where_both_sides_changed_the_source_wins(at: MemoryDesk) -> None:
    pair = await paired(at, event("one"))
    at.store("a").put("0.ics", event("one", title="Theirs"))
    edit(at, ("SUMMARY:Planning", "SUMMARY:Mine"))
    before = source(at)
    assert done(await at.app.sync(pair)) == [("update", "both_changed")]
    assert source(at) == before
    assert b"SUMMARY:Theirs" in only(at)[1]
    await assert_at_rest(at, pair)


async def test_an_edit_before_the_option_was_set_is_not_lost_after_it(at: MemoryDesk) -> None:
    """What is remembered of a copy does not depend on the option."""
    pair = await paired(at, event("one"), on_copy_edited="restore")
    await at.app.change_pair(pair, options={"on_copy_edited": "propagate"})
    edit(at, ("SUMMARY:Planning", "SUMMARY:Lunch"))
    assert done(await at.app.sync(pair)) == [CARRIED[0], ("update", "rules_changed")]
    assert "SUMMARY:Lunch" in source(at)


async def test_what_is_remembered_does_not_tell_which_events_have_a_text_in_common(at: MemoryDesk) -> None:
    await paired(at, event("one", extra=EXTRA), event("two", extra=EXTRA))
    async with at.app.db.read() as db:
        noted = (await db.execute(select(links.c.copy_fields))).scalars().all()
    one, two = (
        {*remembered(each)[""].given.values(), *remembered(each)[""].shown.values()} for each in noted
    )
    assert one
    assert one.isdisjoint(two)


async def test_a_copy_of_which_nothing_is_remembered_is_restored_once(at: MemoryDesk) -> None:
    pair = await paired(at, event("one"))
    async with at.app.db.write() as db:
        await db.execute(update(links).values(copy_fields=None))
    edit(at, ("SUMMARY:Planning", "SUMMARY:Lunch"))
    assert done(await at.app.sync(pair)) == [("update", "fields_unknown")]
    edit(at, ("SUMMARY:Planning", "SUMMARY:Lunch"))
    assert done(await at.app.sync(pair)) == CARRIED


@pytest.mark.parametrize(
    ("extra", "old", "new", "expected"),
    [
        ("", "DTSTART;TZID=Europe/Berlin:20260304T090000", "DTSTART:20260304T083000Z", "T093000"),
        ("", "Europe/Berlin:20260304T090000", "America/New_York:20260304T034500", "T034500"),
        ("DURATION:PT1H", "20260304T090000", "20260304T093000", "T093000"),
    ],
    ids=["in UTC", "another zone", "a length"],
)
async def test_times_travel_with_the_meaning_of_their_zone(
    at: MemoryDesk, extra: str, old: str, new: str, expected: str
) -> None:
    there = event("one", "20260304T090000", None if extra else "20260304T100000", extra=extra)
    pair = await paired(at, there)
    edit(at, (old, new))
    assert done(await at.app.sync(pair)) == CARRIED
    (start,) = re.findall(r"DTSTART[^\r]*", source(at).split("BEGIN:VEVENT")[1])
    assert start.endswith(f"20260304{expected}")
    assert ("New_York" in start) is ("New_York" in new)
    assert at.busy("a", FIRST, LAST, copies=False) == at.busy("b", FIRST, LAST)
    await assert_at_rest(at, pair)


async def test_a_floating_source_stays_floating(at: MemoryDesk) -> None:
    pair = await paired(at, event("one", zone=None))
    edit(at, ("T100000", "T110000"))
    assert done(await at.app.sync(pair)) == CARRIED
    assert "DTEND:20260304T110000\r\n" in source(at)
    await assert_at_rest(at, pair)


async def test_an_event_becomes_one_of_whole_days(at: MemoryDesk) -> None:
    pair = await paired(at, event("one"))
    zone = ";TZID=Europe/Berlin:"
    edit(
        at,
        (f"DTSTART{zone}20260304T090000", "DTSTART;VALUE=DATE:20260304"),
        (f"DTEND{zone}20260304T100000", "DTEND;VALUE=DATE:20260306"),
    )
    assert done(await at.app.sync(pair)) == CARRIED
    assert "DTSTART;VALUE=DATE:20260304\r\nDTEND;VALUE=DATE:20260306\r\n" in source(at)
    await assert_at_rest(at, pair)


async def test_many_edits_at_once_wait_for_a_person(at: MemoryDesk) -> None:
    """A server that rewrites all that it holds does not change what people wrote elsewhere."""
    events = [event(f"uid-{n}", f"202603{n + 3:02}T090000", f"202603{n + 3:02}T100000") for n in range(12)]
    pair = await paired(at, *events)
    before = dict(at.store("a").resources)
    for name, (_, data) in list(at.store("b").resources.items()):
        at.store("b").put(name, data.replace(b"SUMMARY:", b"SUMMARY:RE "))
    report = await at.app.run(pair)
    assert report.error is not None
    assert report.error.code == "needs_attention"
    assert at.store("a").resources == before
    report = await at.app.run(pair, confirm=True)
    assert report.status == "success"
    assert all(b"SUMMARY:RE Planning" in data for _, data in at.store("a").resources.values())
    await assert_at_rest(at, pair)


async def test_a_hub_comes_to_rest(at: MemoryDesk) -> None:
    """A↔B and A↔C: an edit in B reaches A, and from there C, once."""
    both = {"direction": "bidirectional"}
    one = await paired(at, event("one"), **both)
    other = await paired(at, b="c", **both)
    edit(at, ("SUMMARY:Planning", "SUMMARY:Lunch"))
    assert done(await at.app.sync(one)) == CARRIED
    assert done(await at.app.sync(other)) == [("update", "source_changed")]
    assert b"SUMMARY:Lunch" in only(at, "c")[1]
    await assert_at_rest(at, one, other)
    edit(at, ("SUMMARY:Lunch", "SUMMARY:From B"))
    edit(at, ("SUMMARY:Lunch", "SUMMARY:From C"), name="c")
    await at.app.sync(other)
    assert done(await at.app.sync(one)) == [("update", "both_changed")]
    await at.app.sync(other)
    assert b"SUMMARY:From C" in only(at, "a")[1]
    await assert_at_rest(at, one, other)


async def test_rule_2_a_copy_of_a_copy_is_put_right(at: MemoryDesk) -> None:
    """A → B → C with `relay`: an edit in C does not travel to the copy in B, one in B travels to A."""
    first = await paired(at, event("one"))
    second = await paired(at, a="b", b="c", relay=True)
    edit(at, ("SUMMARY:Planning", "SUMMARY:Lunch"), name="c")
    assert done(await at.app.sync(second)) == [("update", "source_is_copy")]
    assert b"SUMMARY:Planning" in only(at, "c")[1]
    edit(at, ("SUMMARY:Planning", "SUMMARY:Lunch"))
    assert done(await at.app.sync(first)) == CARRIED
    assert done(await at.app.sync(second)) == [("update", "source_changed")]
    assert all(b"SUMMARY:Lunch" in only(at, name)[1] for name in "abc")
    await assert_at_rest(at, first, second)


async def test_a_dry_run_tells_what_would_travel(at: MemoryDesk) -> None:
    pair = await paired(at, event("one"))
    before = source(at)
    edit(at, ("SUMMARY:Planning", "SUMMARY:Lunch"))
    assert done(await at.app.run(pair, dry_run=True)) == [("propagate", "copy_edited")]
    assert source(at) == before


async def test_between_sandboxes(quick_folder: Path) -> None:
    """Guests keep an event as it is there too."""
    async with sandbox_desk(quick_folder) as at:
        there = meeting("sbe_1", "Review")
        await at.people["a"].put(there)
        guest = Attendee("ann@example.com", "Ann", Response.ACCEPTED)
        met = replace(meeting("sbe_2", "Met"), master=replace(there.master, title="Met", attendees=(guest,)))
        await at.people["a"].put(met)
        pair = await at.pair(sync_mode="full", direction="a_to_b", on_copy_edited="propagate")
        await at.app.sync(pair)
        for copy in await at.events("b", copies=True):
            await at.people["b"].edit(copy.id, "Edited")
        assert sorted(done(await at.app.sync(pair))) == sorted([*CARRIED, ("update", "source_has_attendees")])
        assert {each.master.title for each in await at.events("a", copies=False)} == {"Edited", "Met"}
        assert {each.master.title for each in await at.events("b", copies=True)} == {"Edited", "Met"}
        await at.app.change_pair(pair, quiet_until=None)
        assert done(await at.app.sync(pair)) == []
