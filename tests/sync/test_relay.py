"""Copies that travel on, over chains and meshes of pairs (option `relay`)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy.event import listen

from calendarsync.store.tables import pairs as pair_table
from tests.sync.helpers import WEEKLY, done, fill, second_account, starts, sync_anew
from tests.testbed.desk import Desk
from tests.testbed.events import event, vcalendar, vevent
from tests.testbed.memory_desk import MemoryDesk

pytestmark = pytest.mark.rule(2)

HERE = ["03-04 08:00"]
THERE = ("20260305T110000", "20260305T120000")


async def rounds(at: MemoryDesk, pairs: Iterable[str], most: int = 12) -> int:
    """Run all pairs in turn until a round of them writes nothing; how many rounds wrote."""
    listed = list(pairs)
    for number in range(most):
        journals = [len(store.journal) for store in at.stores.values()]
        for pair in listed:
            await sync_anew(at, pair)
        if [len(store.journal) for store in at.stores.values()] == journals:
            return number
    raise AssertionError(f"no rest after {most} rounds")


async def chain(at: MemoryDesk, names: str, **given: Any) -> list[str]:
    """Pairs from each calendar to the next."""
    for name in names:
        if name not in at.connections:
            await at.add(name)
    given = {"direction": "a_to_b", "relay": True, **given}
    return [await at.pair(*ends, **given) for ends in pairwise(names)]


def sizes(at: MemoryDesk, names: str) -> list[int]:
    return [len(at.store(name).resources) for name in names]


async def test_without_the_option_a_copy_goes_no_further(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    await rounds(at, await chain(at, "abc", relay=False))
    assert sizes(at, "bc") == [1, 0]


async def test_a_copy_travels_along_a_chain_and_goes_with_its_event(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    pairs = await chain(at, "abcd")
    assert await rounds(at, pairs) == 1
    assert [starts(at, name) for name in "bcd"] == [HERE] * 3
    at.store("a").put("one.ics", event("one", *THERE))
    assert await rounds(at, pairs) == 1
    assert [starts(at, name) for name in "bcd"] == [["03-05 10:00"]] * 3
    at.store("a").delete("one.ics")
    assert await rounds(at, pairs[::-1]) == 3
    assert sizes(at, "abcd") == [0, 0, 0, 0]


async def test_two_way_pairs_carry_no_copy_back(at_memory: MemoryDesk) -> None:
    at = at_memory
    for name, day in zip("abc", "345", strict=True):
        if name not in at.connections:
            await at.add(name)
        at.store(name).put("own.ics", event(f"own-{name}", f"2026030{day}T090000", f"2026030{day}T100000"))
    pairs = await chain(at, "abc", direction="bidirectional")
    await rounds(at, pairs)
    every = ["03-03 08:00", "03-04 08:00", "03-05 08:00"]
    assert [starts(at, name) + starts(at, name, copies=False) for name in "a"] == [every[1:] + every[:1]]
    assert sizes(at, "abc") == [3, 3, 3]
    assert done(await sync_anew(at, pairs[0])) == []


async def test_an_event_that_blocks_no_time_comes_back_to_its_calendar_neither(at_memory: MemoryDesk) -> None:
    """Rule 5 would let it pass."""
    at = at_memory
    at.store("a").put("one.ics", event("one", extra="TRANSP:TRANSPARENT"))
    pairs = await chain(at, "abca", direction="bidirectional", include_free=True)
    await rounds(at, pairs)
    assert sizes(at, "abc") == [1, 1, 1]


@pytest.mark.rule(3)
@pytest.mark.parametrize("turned", [False, True], ids=["in order", "against it"])
async def test_a_triangle_holds_one_copy_each_and_keeps_none_alive(
    at_memory: MemoryDesk, turned: bool
) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one", extra=WEEKLY))
    pairs = await chain(at, "abca", direction="bidirectional")
    pairs = pairs[::-1] if turned else pairs
    assert await rounds(at, pairs) <= 2
    assert sizes(at, "abc") == [1, 1, 1]
    at.store("a").delete("one.ics")
    assert await rounds(at, pairs) <= 3
    assert sizes(at, "abc") == [0, 0, 0]


@pytest.mark.rule(3)
async def test_in_a_circle_copies_do_not_keep_each_other_alive(at_memory: MemoryDesk) -> None:
    """What comes into a circle from outside goes again, though each of the circle's has the next one's copy."""
    at = at_memory
    into = await chain(at, "ab")
    circle = await chain(at, "bcdb", direction="bidirectional")
    at.store("a").put("one.ics", event("one"))
    await rounds(at, [*into, *circle])
    assert sizes(at, "bcd") == [1, 1, 1]
    at.store("a").delete("one.ics")
    await rounds(at, [*circle, *into])
    assert sizes(at, "bcd") == [0, 0, 0]


@pytest.mark.rule(3)
async def test_a_hub_spreads_what_any_of_its_calendars_holds(at_memory: MemoryDesk) -> None:
    at = at_memory
    for name in "hcde":
        await at.add(name)
    spokes = [await at.pair("h", name, relay=True) for name in "abcde"]
    at.store("a").put("one.ics", event("one"))
    at.store("e").put("two.ics", event("two", *THERE))
    await rounds(at, spokes)
    assert sizes(at, "habcde") == [2] * 6
    at.store("a").delete("one.ics")
    await rounds(at, spokes)
    assert sizes(at, "habcde") == [1] * 6


@pytest.mark.rule(3)
@pytest.mark.parametrize("direction", ["a_to_b", "bidirectional"])
async def test_a_ring_of_eight_calendars(at_memory: MemoryDesk, direction: str) -> None:
    at = at_memory
    ring = await chain(at, "abcdefgha", direction=direction)
    for number, name in enumerate("abcdefgh"):
        at.store(name).put(
            "own.ics", event(f"own-{name}", f"2026031{number}T090000", f"2026031{number}T100000")
        )
    await rounds(at, ring)
    assert sizes(at, "abcdefgh") == [8] * 8
    for name in "bcdefgh":
        at.store(name).delete("own.ics")
    await rounds(at, ring[::-1])
    assert sizes(at, "abcdefgh") == [1] * 8
    at.store("a").delete("own.ics")
    await rounds(at, ring)
    assert sizes(at, "abcdefgh") == [0] * 8


@pytest.mark.rule(3)
async def test_a_chain_over_pairs_of_two_accounts(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    mine = [*await chain(at, "ab"), *await chain(at, "bc", direction="b_to_a")]
    a, b = await second_account(at)
    theirs = [await at.app.pair(a, b, relay=True), await at.app.pair(b, a, direction="b_to_a", relay=True)]
    await rounds(at, [*mine, *theirs])
    assert sizes(at, "abc") == [1, 1, 0]
    await at.app.change_pair(mine[1], direction="a_to_b")
    await rounds(at, [*theirs, *mine])
    assert sizes(at, "abc") == [1, 1, 1]
    await at.app.change_pair(mine[0], removal="remove")
    await at.app.sync(mine.pop(0))
    await rounds(at, [*theirs, *mine])
    assert sizes(at, "abc") == [1, 1, 1], "the other account's pair took over"
    at.store("a").delete("one.ics")
    await rounds(at, [*mine, *theirs])
    assert sizes(at, "abc") == [0, 0, 0]


@pytest.mark.rule(5)
async def test_who_is_invited_too_gets_no_copy_by_a_detour(at_memory: MemoryDesk) -> None:
    at = at_memory
    pairs = await chain(at, "abc")
    for name in "ac":
        at.store(name).put("one.ics", event("Meeting@example.com", extra=WEEKLY))
    await rounds(at, pairs)
    assert sizes(at, "abc") == [1, 1, 1]
    at.store("c").delete("one.ics")
    await rounds(at, pairs)
    assert (sizes(at, "abc"), starts(at, "c")) == ([1, 1, 1], starts(at, "b"))


@pytest.mark.rule(5)
async def test_a_meeting_that_comes_by_two_ways_of_one_length_is_one_copy(at_memory: MemoryDesk) -> None:
    at = at_memory
    older, newer = await chain(at, "abc"), await chain(at, "dec")
    for name in "ad":
        at.store(name).put("one.ics", event("Meeting@example.com"))
    await rounds(at, [*newer, *older])
    assert sizes(at, "abcde") == [1, 1, 1, 1, 1]
    at.store("a").delete("one.ics")
    await rounds(at, [*newer, *older])
    assert sizes(at, "abcde") == [0, 0, 1, 1, 1], "the other way takes over"


@pytest.mark.rule(3, 5)
async def test_the_shorter_way_wins_where_a_meeting_comes_from_two_calendars(at_memory: MemoryDesk) -> None:
    """The older pair alone must not decide: the two ways would give way to each other in turn."""
    at = at_memory
    for name in "cd":
        await at.add(name)
    there = await at.pair("b", "d", direction="a_to_b", relay=True)
    back = await at.pair("d", "b", direction="a_to_b", relay=True)
    direct = [await at.pair("a", "b", direction="a_to_b"), await at.pair("c", "d", direction="a_to_b")]
    for name in "ac":
        at.store(name).put("one.ics", event("Meeting@example.com"))
    await rounds(at, [*direct, there, back])
    assert sizes(at, "abcd") == [1, 1, 1, 1]


@pytest.mark.rule(3, 12)
async def test_single_instances_of_one_way_and_the_series_of_another_are_one_copy(
    at_memory: MemoryDesk,
) -> None:
    at = at_memory
    moved = vevent(
        "one",
        "20260311T220000",
        "20260311T230000",
        extra="RECURRENCE-ID;TZID=Europe/Berlin:20260311T090000",
    )
    at.store("a").put("one.ics", vcalendar(vevent("one", extra=WEEKLY), moved))
    hours = {"from": "08:00", "to": "18:00"}
    pairs = await chain(at, "abc")
    direct = await at.pair("a", "c", direction="a_to_b", only_between=hours)
    await rounds(at, [*pairs, direct])
    assert starts(at, "c") == starts(at, "b") == starts(at, "a", copies=False)
    await at.app.change_pair(direct, removal="remove")
    await at.app.sync(direct)
    await rounds(at, pairs)
    assert starts(at, "c") == starts(at, "b")


@pytest.mark.rule(3, 12)
async def test_a_moved_instance_that_came_singly_is_known_in_the_series_of_another_way(
    at_memory: MemoryDesk,
) -> None:
    """Its copy says nothing of where it was moved from; its origin does."""
    at = at_memory
    daily = vevent("one", "20260305T090000", "20260305T100000", extra="RRULE:FREQ=DAILY;COUNT=4")
    where = "RECURRENCE-ID;TZID=Europe/Berlin:20260306T090000"
    moved = vevent("one", "20260309T110000", "20260309T120000", extra=where)
    at.store("a").put("one.ics", vcalendar(daily, moved))
    hours = {"weekdays": ["MO", "TU", "WE", "TH", "FR"]}
    older = [*await chain(at, "ab", only_between=hours), *await chain(at, "bc")]
    newer = await chain(at, "adc")
    await rounds(at, [*older, *newer])
    assert len(at.store("b").resources) == 2, "single instances"
    assert starts(at, "c") == starts(at, "d") == starts(at, "a", copies=False)


@pytest.mark.rule(10)
async def test_what_was_made_a_block_travels_on_as_a_block(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one", title="Secret", extra="LOCATION:Nowhere\nCLASS:PRIVATE"))
    at.store("a").put("two.ics", event("two", *THERE, title="Open", extra="ATTENDEE:mailto:bob@work.example"))
    pairs = await chain(at, "abc", sync_mode="full")
    await rounds(at, pairs)
    data = b"".join(text for _, text in at.store("c").resources.values())
    assert b"SUMMARY:Busy" in data
    assert b"SUMMARY:Open" in data
    assert not any(word in data for word in (b"Secret", b"Nowhere", b"ATTENDEE", b"bob"))


@pytest.mark.rule(12)
@pytest.mark.parametrize("between", [("radicale", "microsoft")], ids="-".join, indirect=True)
async def test_a_series_that_the_middle_cannot_hold_travels_on_as_it_stands_there(between: Desk) -> None:
    at = between
    third = at.make_calendar(at.a)
    conn_c = await at.connect(at.app, at.account, third)
    rule = "RRULE:FREQ=WEEKLY;COUNT=4\nRDATE;TZID=Europe/Berlin:20260309T090000"
    at.put_a("one", event("one", extra=rule))
    pairs = [
        await at.pair(direction="a_to_b", relay=True),
        await at.app.pair(at.conn_b, conn_c, direction="a_to_b", relay=True),
        await at.app.pair(at.conn_a, conn_c, direction="a_to_b"),
    ]
    for pair in pairs[:2]:
        await at.app.sync(pair)
    assert len(at.copies(third)) == 5, "single instances"
    for pair in [*pairs, *pairs]:
        await at.app.sync(pair)
    assert at.busy(third, copies=True) == at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    assert len(at.copies(third)) == 1, "the shorter way holds the series"
    at.delete(at.a, "one.ics")
    for pair in [*pairs, *pairs]:
        await at.app.sync(pair)
    assert (at.read(at.b), at.read(third)) == ({}, {})


@pytest.mark.rule(27)
async def test_what_was_written_travels_on_before_the_next_poll(at_memory: MemoryDesk) -> None:
    at = at_memory
    first, second = await chain(at, "abc")
    (plain,) = await chain(at, "bd", relay=False)
    at.store("a").put("one.ics", event("one"))
    for pair in (second, plain):
        await at.app.sync(pair)
    at.app.clock.advance(seconds=1)
    await at.app.sync(first)
    due = [(await at.app.row(pair_table, pair)).due_at for pair in (second, plain)]
    assert due[0] == at.app.clock.now < due[1]


@pytest.mark.rule(15)
async def test_what_relay_costs_is_a_query_for_each_calendar_on_the_way(at_memory: MemoryDesk) -> None:
    at = at_memory
    pairs = await chain(at, "abcd")
    fill(at, 5)
    await rounds(at, pairs)
    (plain,) = await chain(at, "de", relay=False)
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    for engine in at.app.db._engine.engines:
        listen(engine.sync_engine, "before_cursor_execute", note)
    found = []
    for pair in (pairs[0], pairs[2], plain):
        statements.clear()
        await sync_anew(at, pair)
        found.append(sum("kept_copies" in each and "JOIN" in each for each in statements))
    assert found == [0, 2, 0]
