"""The forms in which a series is copied: as the target can hold it (rules 12 to 14 and 17)."""

from __future__ import annotations

from pathlib import Path

import pytest

from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.domain.holding import Holder, Holding, hold
from calendarsync.providers.base import Refused
from calendarsync.providers.icalendar import read_resource
from tests.sync.helpers import WEEKLY, delete_instance, done, starts, sync_anew
from tests.testbed.events import vcalendar, vevent
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk, memory_desk

SERIES = vevent("s", extra=WEEKLY)
"""On 4, 11, 18 and 25 March, from 9 to 10 in Berlin."""

ON_ITS_DAY = ["03-04 08:00", "03-11 14:00", "03-18 08:00", "03-25 08:00"]
PAST_THE_NEXT = ["03-04 08:00", "03-18 08:00", "03-19 14:00", "03-25 08:00"]


def moved(day: int, hour: int = 15, original: int = 11, extra: str = "") -> str:
    name = f"RECURRENCE-ID;TZID=Europe/Berlin:202603{original:02}T090000"
    times = [f"202603{day:02}T{hour:02}0000", f"202603{day:02}T{hour + 1:02}0000"]
    return vevent("s", *times, extra=f"{name}\n{extra}")


@pytest.fixture(params=list(Holder))
def holder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Holder:
    """Whose calendars the ones in memory are taken for, each in turn."""
    return _take_for(request.param, monkeypatch)


@pytest.fixture
def outlook(monkeypatch: pytest.MonkeyPatch) -> Holder:
    return _take_for(Holder.MICROSOFT, monkeypatch)


def _take_for(holder: Holder, monkeypatch: pytest.MonkeyPatch) -> Holder:
    monkeypatch.setattr(Holder, "of", lambda provider: holder)
    return holder


def put(at: MemoryDesk, *overrides: str, master: str = SERIES) -> None:
    at.store("a").put("s.ics", vcalendar(master, *overrides))


def copies(at: MemoryDesk) -> list[Resource]:
    """Those in b, the series first."""
    found = [read_resource(name, None, data) for name, (_, data) in at.store("b").resources.items()]
    return sorted(found, key=lambda each: each.components[0].recurrence is None)


async def paired(at: MemoryDesk, *overrides: str, **given: object) -> str:
    put(at, *overrides)
    pair = await at.pair(direction="a_to_b", **given)
    await at.app.sync(pair)
    return pair


async def test_rule_12_what_outlook_cannot_hold_stands_beside_the_series(
    at_memory: MemoryDesk, outlook: Holder
) -> None:
    at = at_memory
    pair = await paired(at, moved(19))
    assert starts(at) == PAST_THE_NEXT
    series, alone = copies(at)
    assert hold(series.components, outlook, "UTC") == Holding(True)
    assert [len(each.components) for each in (series, alone)] == [1, 1]
    assert (await sync_anew(at, pair)).operations == ()


async def test_rule_12_an_override_that_comes_back_into_line_is_there_before_its_own_copy_goes(
    at_memory: MemoryDesk, outlook: Holder
) -> None:
    at = at_memory
    pair = await paired(at, moved(19))
    put(at, moved(11))
    assert done(await at.app.sync(pair)) == [("update", "source_changed"), ("delete", "form_changed")]
    assert starts(at) == ON_ITS_DAY
    assert len(copies(at)) == 1
    assert (await sync_anew(at, pair)).operations == ()


async def test_rule_12_an_override_that_leaves_the_line_stands_alone_before_the_series_lets_it_go(
    at_memory: MemoryDesk, outlook: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    pair = await paired(at, moved(11))
    assert len(copies(at)) == 1
    put(at, moved(19))
    with monkeypatch.context() as refusing:
        refusing.setattr(MemoryCalendar, "create", _refuse)
        assert (await at.app.run(pair)).status == "partial"
        assert starts(at) == ON_ITS_DAY, "as long as it has no other place, it stays where it was"
        assert (await sync_now(at, pair)) == "partial"
        assert starts(at) == ON_ITS_DAY
    at.app.clock.advance(days=1, hours=1)
    assert done(await sync_anew(at, pair)) == [("create", "unanswered_write"), ("update", "source_changed")]
    assert starts(at) == PAST_THE_NEXT
    assert (await sync_anew(at, pair)).operations == ()


async def sync_now(at: MemoryDesk, pair: str) -> str:
    await at.app.change_pair(pair, quiet_until=None)
    return (await at.app.run(pair)).status


async def _refuse(calendar: MemoryCalendar, copy: Copy) -> Resource:
    raise Refused("not this one")


async def test_a_copy_that_is_refused_holds_up_no_later_change_of_its_series(
    at_memory: MemoryDesk, outlook: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_memory
    create = MemoryCalendar.create

    async def refuse_single(calendar: MemoryCalendar, copy: Copy) -> Resource:
        return await (create if copy.master.recurrence else _refuse)(calendar, copy)

    monkeypatch.setattr(MemoryCalendar, "create", refuse_single)
    put(at, moved(19))
    pair = await at.pair(direction="a_to_b")
    assert (await at.app.run(pair)).status == "partial"
    assert starts(at) == ["03-04 08:00", "03-18 08:00", "03-25 08:00"]
    put(at, moved(19), master=vevent("s", extra="RRULE:FREQ=WEEKLY;COUNT=5"))
    await at.app.run(pair)
    assert starts(at)[-1] == "04-01 07:00"


async def test_rule_13_a_cancelled_override_takes_its_own_copy_along(
    at_memory: MemoryDesk, outlook: Holder
) -> None:
    at = at_memory
    pair = await paired(at, moved(19))
    put(at, moved(19, extra="STATUS:CANCELLED"))
    assert ("delete", "cancelled") in done(await at.app.sync(pair))
    assert starts(at) == ["03-04 08:00", "03-18 08:00", "03-25 08:00"]
    assert len(copies(at)) == 1


async def test_rule_12_a_series_of_which_nothing_is_left_is_copied_singly(
    at_memory: MemoryDesk, outlook: Holder
) -> None:
    at = at_memory
    master = vevent("s", extra="RRULE:FREQ=WEEKLY;COUNT=2")
    put(at, moved(20, original=4), moved(3), master=master)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    assert starts(at) == ["03-03 14:00", "03-20 14:00"]
    assert [each.components[0].recurrence for each in copies(at)] == [None, None]
    put(at, moved(20, original=4), master=master)
    await at.app.sync(pair)
    assert starts(at) == ["03-11 08:00", "03-20 14:00"]
    assert [each.components[0].recurrence is None for each in copies(at)] == [False, True]
    assert (await sync_anew(at, pair)).operations == ()


async def test_rule_12_a_series_whose_instances_in_the_window_all_stand_alone_stays_one(
    at_memory: MemoryDesk, outlook: Holder
) -> None:
    at = at_memory
    put(at, moved(19, original=4), moved(3))
    pair = await at.pair(direction="a_to_b", past_days=1, future_days=5)
    await at.app.sync(pair)
    assert [each.components[0].recurrence is None for each in copies(at)] == [False, True]
    at.app.clock.advance(days=16)
    await at.app.sync(pair)
    assert starts(at) == ["03-03 14:00", "03-18 08:00", "03-19 14:00", "03-25 08:00"]


ADDED = f"{WEEKLY}\nRDATE;TZID=Europe/Berlin:20260306T090000"
FORMS = {
    "an added date": ((vevent("s", extra=ADDED),), {Holder.MICROSOFT: 5}),
    "a private instance": ((SERIES, moved(11, extra="CLASS:PRIVATE")), {}),
    "an instance of all day": (
        (
            SERIES,
            vevent("s", "20260311", "20260312", extra="RECURRENCE-ID;TZID=Europe/Berlin:20260311T090000"),
        ),
        {Holder.MICROSOFT: 2},
    ),
    "beside one that is cancelled": (
        (SERIES, moved(13, extra="STATUS:CANCELLED"), moved(12, original=18)),
        {},
    ),
    "two that change places": ((SERIES, moved(18), moved(11, original=18)), {Holder.MICROSOFT: 3}),
}


@pytest.mark.parametrize("kind", FORMS)
async def test_rule_14_every_form_is_busy_as_its_source_is(
    at_memory: MemoryDesk, holder: Holder, kind: str
) -> None:
    at = at_memory
    components, counts = FORMS[kind]
    at.store("a").put("s.ics", vcalendar(*components))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    assert starts(at) == starts(at, "a", copies=False)
    assert len(copies(at)) == counts.get(holder, 1)
    assert (await sync_anew(at, pair)).operations == ()


async def test_rule_10_a_private_instance_is_no_part_of_an_open_series(
    at_memory: MemoryDesk, holder: Holder
) -> None:
    at = at_memory
    await paired(at, moved(11, extra="CLASS:PRIVATE"), sync_mode="full")
    assert starts(at) == ON_ITS_DAY
    assert len(copies(at)) == (1 if holder is Holder.ICALENDAR else 2)


async def test_rule_17_a_deleted_copy_of_an_instance_stays_away_in_every_form(
    at_memory: MemoryDesk, outlook: Holder
) -> None:
    at = at_memory
    gone = "03-19 14:00"
    pair = await paired(at, moved(19))
    at.store("b").delete(copies(at)[1].id)
    assert done(await at.app.sync(pair)) == [("skip", "copy_deleted_by_person")]
    for extra in ("RRULE:FREQ=WEEKLY;COUNT=5", f"{WEEKLY}\nEXRULE:FREQ=YEARLY;COUNT=1;BYMONTH=7", WEEKLY):
        put(at, moved(19), master=vevent("s", extra=extra))
        await at.app.sync(pair)
        assert gone not in starts(at)
        assert "03-11 08:00" not in starts(at)
    assert len(copies(at)) == 1
    put(at, moved(20))
    await at.app.sync(pair)
    assert "03-20 14:00" in starts(at)


async def test_rule_17_a_deleted_instance_of_the_series_stays_away_beside_one_that_stands_alone(
    at_memory: MemoryDesk, outlook: Holder
) -> None:
    at = at_memory
    pair = await paired(at, moved(19))
    series, _ = copies(at)
    data = at.store("b").resources[series.id][1]
    at.store("b").put(series.id, delete_instance(data, "20260325T090000"))
    assert done(await at.app.sync(pair)) == [("update", "instance_deleted_by_person")]
    for overrides in ((moved(11),), (moved(19),), ()):
        put(at, *overrides)
        await at.app.sync(pair)
        assert "03-25 08:00" not in starts(at)
        assert len(starts(at)) == 3
    assert (await sync_anew(at, pair)).operations == ()


async def test_rule_17_who_deletes_the_series_is_rid_of_all_of_it(
    at_memory: MemoryDesk, outlook: Holder
) -> None:
    at = at_memory
    pair = await paired(at, moved(19))
    at.store("b").delete(copies(at)[0].id)
    await at.app.sync(pair)
    assert starts(at) == []
    assert (await sync_anew(at, pair)).operations == ()


async def test_rule_4_both_parts_are_adopted(outlook: Holder, quick_folder: Path, tmp_path: Path) -> None:
    secret = b"the same secret of this installation"
    async with memory_desk(quick_folder, secret=secret) as at:
        await paired(at, moved(19))
        stood = dict(at.store("b").resources)
    async with memory_desk(tmp_path, secret=secret) as at:
        at.store("b").resources.update(stood)
        put(at, moved(19))
        report = await at.app.sync(await at.pair(direction="a_to_b"))
        assert done(report) == [("adopt", "adopted")] * 2
        assert at.store("b").resources == stood


@pytest.mark.rule(12, 14, 26)
async def test_a_series_that_comes_back_shows_nothing_twice_behind_the_window(at_memory: MemoryDesk) -> None:
    """The copies of single instances behind the window stay as history; the series has holes for them."""
    at = at_memory
    twice = "RRULE:FREQ=WEEKLY;BYDAY=WE,SA;COUNT=8"
    at.store("a").put("s.ics", vcalendar(vevent("s", extra=twice)))
    pair = await at.pair(direction="a_to_b", only_between={"weekdays": ["WE"]})
    await at.app.sync(pair)
    at.app.clock.advance(days=15)
    await sync_anew(at, pair)
    await at.app.change_pair(pair, options={})
    await at.app.sync(pair)
    shown = starts(at)
    assert len(shown) == len(set(shown)), "nothing stands twice"
    assert set(shown) > {"03-04 08:00", "03-11 08:00"}, "what was stays"
    assert [start for start in shown if start > "03-16"] == [
        "03-18 08:00",
        "03-21 08:00",
        "03-25 08:00",
        "03-28 08:00",
    ]
    assert done(await sync_anew(at, pair)) == []
    at.app.clock.advance(days=30)
    assert done(await sync_anew(at, pair)) == []
