"""What a person deleted stays deleted, whatever happens around it (rule 17)."""

from __future__ import annotations

import pytest

from tests.sync.helpers import WEEKLY, delete_instance, done, only, starts, sync_anew
from tests.testbed.events import event, vcalendar, vevent
from tests.testbed.memory_desk import OWNER, MemoryDesk

SERIES = event("s", extra=WEEKLY)
GONE = "03-11 08:00"


async def _without_an_instance(at: MemoryDesk, **given: object) -> str:
    """A copied weekly series, of which a person deleted the instance of 11 March."""
    at.store("a").put("s.ics", SERIES)
    pair = await at.pair(**given)
    await at.app.sync(pair)
    name, data = only(at)
    at.store("b").put(name, delete_instance(data, "20260311T090000"))
    assert done(await at.app.sync(pair)) == [("update", "instance_deleted_by_person")]
    assert len(starts(at)) == 3
    return pair


CHANGES = {
    "nothing": [SERIES, SERIES],
    "another form and back": [event("s", extra=f"{WEEKLY}\nEXRULE:FREQ=YEARLY;COUNT=1;BYMONTH=7"), SERIES],
    "free and busy again": [event("s", extra=f"{WEEKLY}\nTRANSP:TRANSPARENT"), SERIES],
    "more instances": [event("s", extra="RRULE:FREQ=WEEKLY;COUNT=6"), SERIES],
}


@pytest.mark.parametrize("kind", CHANGES)
async def test_a_deleted_instance_stays_away(at_memory: MemoryDesk, kind: str) -> None:
    at = at_memory
    pair = await _without_an_instance(at)
    for data in CHANGES[kind]:
        at.store("a").put("s.ics", data)
        await at.app.sync(pair)
        assert GONE not in starts(at)
    assert len(starts(at)) == 3
    assert (await sync_anew(at, pair)).operations == ()


async def test_a_deleted_instance_stays_away_when_the_direction_goes_there_and_back(
    at_memory: MemoryDesk,
) -> None:
    at = at_memory
    pair = await _without_an_instance(at)
    for direction in ("b_to_a", "bidirectional"):
        await at.app.change_pair(pair, direction=direction)
        await at.app.sync(pair)
    assert len(starts(at)) == 3
    assert GONE not in starts(at)


async def test_an_instance_deleted_while_its_source_changes(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("s.ics", SERIES)
    pair = await at.pair(sync_mode="full")
    await at.app.sync(pair)
    name, data = only(at)
    at.store("b").put(name, delete_instance(data, "20260311T090000"))
    at.store("a").put("s.ics", event("s", title="Renamed", extra=WEEKLY))
    await at.app.sync(pair)
    assert GONE not in starts(at)
    assert b"Renamed" in only(at)[1]


async def test_an_instance_that_the_source_gives_back_is_no_deletion(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("s.ics", event("s", extra=f"{WEEKLY}\nEXDATE;TZID=Europe/Berlin:20260311T090000"))
    pair = await at.pair(sync_mode="full")
    await at.app.sync(pair)
    name, data = only(at)
    at.store("b").put(name, data.replace(b"SUMMARY:Planning", b"SUMMARY:Mine"))
    at.store("a").put("s.ics", SERIES)
    await at.app.sync(pair)
    assert GONE in starts(at)


async def test_a_deleted_moved_instance_stays_away_until_it_is_moved_again(at_memory: MemoryDesk) -> None:
    at = at_memory

    def moved(hour: int) -> str:
        where = "RECURRENCE-ID;TZID=Europe/Berlin:20260311T090000"
        override = vevent("s", f"20260311T{hour}0000", f"20260311T{hour + 1}0000", extra=where)
        return vcalendar(vevent("s", extra=WEEKLY), override)

    at.store("a").put("s.ics", moved(14))
    pair = await at.pair()
    await at.app.sync(pair)
    name, data = only(at)
    at.store("b").put(name, delete_instance(data, "20260311T090000"))
    await at.app.sync(pair)
    assert "03-11 13:00" not in starts(at)
    assert (await sync_anew(at, pair)).operations == ()
    at.store("a").put("s.ics", moved(15))
    await at.app.sync(pair)
    assert "03-11 14:00" in starts(at)


async def test_the_last_instance_in_the_window(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put(
        "s.ics", event("s", "20260218T090000", "20260218T100000", extra="RRULE:FREQ=WEEKLY;COUNT=3")
    )
    pair = await at.pair()
    await at.app.sync(pair)
    name, data = only(at)
    at.store("b").put(name, delete_instance(data, "20260304T090000"))
    for _ in range(3):
        await sync_anew(at, pair)
        assert starts(at) == []


async def test_a_deleted_series_does_not_come_back_in_another_form(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("s.ics", event("meeting", extra="RRULE:FREQ=WEEKLY"))
    pair = await at.pair(direction="a_to_b", future_days=60)
    await at.app.sync(pair)
    at.store("b").delete(only(at)[0])
    await at.app.sync(pair)
    declined = [
        vevent(
            "meeting",
            f"202603{day}T090000",
            f"202603{day}T100000",
            extra=f"RECURRENCE-ID;TZID=Europe/Berlin:202603{day}T090000\n"
            f"ATTENDEE;PARTSTAT=DECLINED:mailto:{OWNER}",
        )
        for day in (11, 18)
    ]
    at.store("b").put("m.ics", vcalendar(vevent("meeting", extra="RRULE:FREQ=WEEKLY"), *declined))
    await at.app.sync(pair)
    assert starts(at) == []


async def test_a_copy_that_comes_back_elsewhere_is_put_right(at_memory: MemoryDesk) -> None:
    """Some programs move an event by deleting it and putting it back; a poll may fall between."""
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    name, data = only(at)
    at.store("b").delete(name)
    assert done(await at.app.sync(pair)) == [("skip", "copy_deleted_by_person")]
    at.store("b").put(name, data.replace(b"20260304T", b"20260306T"))
    assert done(await at.app.sync(pair)) == [("update", "copy_edited")]
    assert starts(at) == ["03-04 08:00"]


async def test_a_broken_copy_is_written_anew_but_not_for_ever(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    reasons = []
    for _ in range(3):
        name, data = only(at)
        at.store("b").put(name, data[:120])
        reasons.append(done(await at.app.run(pair)))
    assert reasons == [[("update", "copy_unreadable")]] * 2 + [[("skip", "copy_unreadable")]]
