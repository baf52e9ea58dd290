"""Rule 17: edits of copied series travel to the series, or to the one instance that was changed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sync.helpers import FIRST, LAST, done, only, starts
from tests.sync.propagating import CARRIED, EXTRA, WEEKLY, assert_at_rest, edit, paired, source
from tests.testbed.events import event, vcalendar, vevent
from tests.testbed.memory_desk import MemoryDesk, memory_desk

pytestmark = pytest.mark.rule(17)


@pytest.fixture
async def at(quick_folder: Path) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(quick_folder, "a", "b") as made:
        yield made


@pytest.mark.parametrize(
    ("old", "new"),
    [("SUMMARY:Planning", "SUMMARY:Lunch"), ("0304T090000", "0304T080000"), ("0304T100000", "0304T120000")],
    ids=["title", "start", "end"],
)
async def test_an_edit_of_the_whole_series_travels_to_its_master(at: MemoryDesk, old: str, new: str) -> None:
    pair = await paired(at, event("one", extra=f"{WEEKLY}\nX-KEPT:1"))
    edit(at, (old, new))
    assert done(await at.app.sync(pair)) == CARRIED
    assert new in source(at)
    assert f"{WEEKLY}\r\nX-KEPT:1" in source(at)
    assert starts(at, "a", copies=False) == starts(at)
    await assert_at_rest(at, pair)


def moved(uid: str, *, title: str = "Planning", to: str = "20260312T150000") -> str:
    """An instance of the weekly meeting that somebody moved: the one of 11 March."""
    end = f"{to[:9]}{int(to[9:11]) + 1:02}{to[11:]}"
    name = "RECURRENCE-ID;TZID=Europe/Berlin:20260311T090000"
    return vevent(uid, to, end, title=title, extra=name).replace("\n", "\r\n")


def add_instance(at: MemoryDesk, *, title: str = "Planning", to: str = "20260312T150000") -> None:
    """The same in the copy, whose program says everything of the instance that its series says."""
    resource, data = only(at)
    text = data.decode().replace("\r\n ", "")
    series = text[text.index("BEGIN:VEVENT") : text.index("END:VCALENDAR")]
    end = f"{to[:9]}{int(to[9:11]) + 1:02}{to[11:]}"
    own = series.replace(f"{WEEKLY}\r\n", "RECURRENCE-ID;TZID=Europe/Berlin:20260311T090000\r\n")
    own = own.replace("20260304T090000", to).replace("20260304T100000", end)
    own = own.replace("SUMMARY:Planning", f"SUMMARY:{title}")
    at.store("b").put(resource, text.replace("END:VCALENDAR", f"{own}END:VCALENDAR"))


async def test_a_moved_instance_travels_to_the_instance(at: MemoryDesk) -> None:
    """It gets a component of its own, with all that its series says of it."""
    pair = await paired(at, event("one", extra=f"{WEEKLY}\n{EXTRA}"))
    before = source(at)
    add_instance(at)
    assert done(await at.app.sync(pair)) == CARRIED
    text = source(at)
    assert text.startswith(before.removesuffix("END:VCALENDAR\r\n"))
    own = text.removeprefix(before.removesuffix("END:VCALENDAR\r\n")).removesuffix("END:VCALENDAR\r\n")
    lines = own.split("\r\n")
    assert set(EXTRA.split("\n")) | {"UID:one", "SEQUENCE:1"} <= set(lines)
    assert "DTSTART;TZID=Europe/Berlin:20260312T150000" in lines
    assert "RECURRENCE-ID;TZID=Europe/Berlin:20260311T090000" in lines
    assert "RRULE" not in own
    assert starts(at, "a", copies=False) == starts(at)
    assert "03-12 14:00" in starts(at)
    await assert_at_rest(at, pair)


async def test_a_renamed_instance_travels_with_its_name_alone(at: MemoryDesk) -> None:
    pair = await paired(at, event("one", extra=WEEKLY))
    add_instance(at, title="Lunch", to="20260311T090000")
    assert done(await at.app.sync(pair)) == CARRIED
    assert re.findall(r"SUMMARY:(\w+)", source(at)) == ["Planning", "Lunch"]
    assert "SEQUENCE" not in source(at)
    assert starts(at, "a", copies=False) == starts(at)
    await assert_at_rest(at, pair)


async def test_an_instance_that_is_changed_already_changes_again(at: MemoryDesk) -> None:
    both = vcalendar(vevent("one", extra=WEEKLY), moved("one").replace("\r\n", "\n"))
    pair = await paired(at, both)
    edit(at, ("20260312T150000", "20260312T170000"), ("20260312T160000", "20260312T180000"))
    assert done(await at.app.sync(pair)) == CARRIED
    assert source(at).count("BEGIN:VEVENT") == 2
    assert "03-12 16:00" in starts(at)
    assert starts(at, "a", copies=False) == starts(at)
    await assert_at_rest(at, pair)


@pytest.mark.parametrize(
    ("extra", "old", "new", "reason"),
    [
        (WEEKLY, "COUNT=4", "COUNT=5", "recurrence_edited"),
        (WEEKLY, "20260304T", "20260305T", "recurrence_edited"),
        (f"{WEEKLY}\nEXDATE;TZID=Europe/Berlin:20260318T090000", "0304T", "0304T", "series_with_exceptions"),
    ],
    ids=["rule", "day", "exceptions"],
)
async def test_what_would_give_a_series_another_meaning_is_restored(
    at: MemoryDesk, extra: str, old: str, new: str, reason: str
) -> None:
    pair = await paired(at, event("one", extra=extra))
    before = only(at, "a"), starts(at)
    changes = [(old, new)] if old != new else [("0304T100000", "0304T110000")]
    edit(at, *changes)
    assert done(await at.app.sync(pair)) == [("update", reason)]
    assert (only(at, "a"), starts(at)) == before
    await assert_at_rest(at, pair)


async def test_a_series_with_a_moved_instance_does_not_move_without_it(at: MemoryDesk) -> None:
    """Its name stays with the instance; what becomes of it when the series moves differs by provider."""
    both = vcalendar(vevent("one", extra=WEEKLY), moved("one").replace("\r\n", "\n"))
    pair = await paired(at, both)
    before = source(at)
    edit(at, ("0304T100000", "0304T110000"))
    assert done(await at.app.sync(pair)) == [("update", "series_with_exceptions")]
    assert source(at) == before
    await assert_at_rest(at, pair)


async def test_a_series_that_moves_keeps_its_number_of_instances(at: MemoryDesk) -> None:
    """An UNTIL that stays would let an earlier time have one more."""
    pair = await paired(at, event("one", extra="RRULE:FREQ=WEEKLY;UNTIL=20260318T075959Z"))
    edit(at, ("0304T090000", "0304T080000"))
    assert done(await at.app.sync(pair)) == [("update", "recurrence_edited")]
    await assert_at_rest(at, pair)


async def test_copies_of_single_instances_travel_to_their_instances(at: MemoryDesk) -> None:
    """Two at once, in one write, for both are of one series."""
    rules = f"{WEEKLY}\nRRULE:FREQ=MONTHLY;COUNT=2"
    pair = await paired(at, event("one", extra=rules))
    copies = sorted(at.store("b").resources.items())
    assert len(copies) == 5
    edited = 0
    for name, (_, data) in copies:
        if b"20260311T090000" in data or b"20260318T090000" in data:
            at.store("b").put(name, data.replace(b"T100000", b"T113000").replace(b"Planning", b"Lunch"))
            edited += 1
    assert edited == 2
    operations = done(await at.app.sync(pair))
    assert sorted(operations) == sorted(CARRIED * 2)
    assert re.findall(r"SUMMARY:(\w+)", source(at)) == ["Planning", "Lunch", "Lunch"]
    assert at.busy("a", FIRST, LAST, copies=False) == at.busy("b", FIRST, LAST)
    await assert_at_rest(at, pair)


async def test_an_edit_beside_a_deleted_instance(at: MemoryDesk) -> None:
    """What a person took out stays out, and nothing else happens to the source."""
    pair = await paired(at, event("one", extra=WEEKLY))
    before = source(at)
    edit(at, ("SUMMARY:", "EXDATE;TZID=Europe/Berlin:20260311T090000\r\nSUMMARY:"))
    assert done(await at.app.sync(pair)) == [("update", "instance_deleted_by_person")]
    assert source(at) == before
    await assert_at_rest(at, pair)
