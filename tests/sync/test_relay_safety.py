"""Copies that travel on, where somebody deletes, forges, pastes, unpairs, or loses the database."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import select, update

from calendarsync.domain.origin import copy_id, write_mark
from calendarsync.providers.icalendar import MARK_PROPERTY, without_mark
from calendarsync.store.tables import links
from calendarsync.store.tables import pairs as pair_table
from tests.sync.helpers import WEEKLY, delete_instance, done, empty_unnamed, fill, only, starts, sync_anew
from tests.sync.test_relay import THERE, chain, rounds, sizes
from tests.testbed.events import event
from tests.testbed.memory_desk import MemoryDesk, memory_desk

pytestmark = pytest.mark.rule(2)

SECRET = b"the same secret of this installation"


@pytest.mark.rule(17)
async def test_a_copy_that_a_person_deletes_takes_along_what_was_copied_of_it(at_memory: MemoryDesk) -> None:
    """Nor does it come back by another way round."""
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    first = await chain(at, "ab")
    onward = await chain(at, "bcd", direction="bidirectional")
    beside = await chain(at, "ad", direction="a_to_b")
    await rounds(at, [*first, *onward, *beside])
    assert sizes(at, "bcd") == [1, 1, 1]
    at.store("b").delete(only(at, "b")[0])
    await rounds(at, [*onward, *first, *beside])
    assert sizes(at, "bcd") == [0, 1, 1], "by d, whose own pair has it from a"
    at.store("a").put("one.ics", event("one", *THERE))
    await rounds(at, [*onward, *first, *beside])
    assert [starts(at, name) for name in "bcd"] == [["03-05 10:00"]] * 3


@pytest.mark.rule(17)
async def test_nor_does_it_come_back_under_another_generation_of_its_id(at_memory: MemoryDesk) -> None:
    """As at Google, which never frees the id of what was deleted."""
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    first, *onward = [*await chain(at, "ab"), *await chain(at, "acb")]
    await rounds(at, [first, *onward])
    at.store("b").delete(only(at, "b")[0])
    await at.app.sync(first)
    async with at.app.db.write() as db:
        mine = links.c.pair_id == first
        ((origin, target),) = await db.execute(select(links.c.origin, links.c.target_calendar).where(mine))
        await db.execute(update(links).where(mine).values(generation=1, copy_id=copy_id(origin, target, 1)))
    await rounds(at, [*onward, first])
    assert sizes(at, "bc") == [0, 1]


@pytest.mark.rule(17)
async def test_an_instance_that_a_person_deletes_is_missing_in_what_was_copied_of_it(
    at_memory: MemoryDesk,
) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one", extra=WEEKLY))
    pairs = await chain(at, "abc", direction="bidirectional")
    await rounds(at, pairs)
    name, data = only(at, "b")
    at.store("b").put(name, delete_instance(data, "20260311T090000"))
    await rounds(at, pairs)
    assert "03-11 08:00" not in starts(at, "b") + starts(at, "c")
    assert len(starts(at, "c")) == 3


@pytest.mark.rule(17)
async def test_what_a_person_deleted_stays_away_though_its_source_gets_another_id(
    at_memory: MemoryDesk,
) -> None:
    """As at Microsoft, where a copy that is made again has another id."""
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    pairs = await chain(at, "abc")
    await rounds(at, pairs)
    at.store("c").delete(only(at, "c")[0])
    await rounds(at, pairs)
    name, data = only(at, "b")
    at.store("b").delete(name)
    at.store("b").put("another-name.ics", data)
    await rounds(at, pairs)
    assert sizes(at, "bc") == [1, 0]


@pytest.mark.rule(20)
async def test_a_pair_in_the_middle_of_a_chain_takes_what_lies_behind_it(at_memory: MemoryDesk) -> None:
    at = at_memory
    fill(at, 12)
    first, middle, last = await chain(at, "abcd")
    await rounds(at, [first, middle, last])
    await at.app.change_pair(middle, removal="remove")
    await at.app.sync(middle)
    assert await at.app.row(pair_table, middle) is None
    assert sizes(at, "bcd") == [12, 0, 12]
    assert await rounds(at, [first, last]) == 1
    assert sizes(at, "abcd") == [12, 12, 0, 0]


@pytest.mark.rule(20)
async def test_copies_that_a_pair_leaves_behind_travel_on_as_events_of_their_own(
    at_memory: MemoryDesk,
) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    first, second, third = await chain(at, "abcd")
    await rounds(at, [first, second, third])
    await at.app.change_pair(first, removal="keep")
    await at.app.sync(first)
    await rounds(at, [third, second])
    assert sizes(at, "bcd") == [1, 1, 1]
    (direct,) = await chain(at, "ac")
    at.store("a").put("one.ics", event("one", *THERE))
    await rounds(at, [direct, second, third])
    both = ["03-04 08:00", "03-05 10:00"]
    assert [starts(at, name) for name in "cd"] == [both, both], "what was left behind is another event"
    at.store("b").delete(only(at, "b")[0])
    await rounds(at, [direct, second, third])
    assert [starts(at, name) for name in "cd"] == [both[1:], both[1:]]


@pytest.mark.rule(18, 21)
async def test_switched_off_again_it_takes_back_what_it_brought(at_memory: MemoryDesk) -> None:
    """More copies than a guard lets go of without a second look."""
    at = at_memory
    fill(at, 12)
    at.store("b").put("own.ics", event("own", *THERE))
    pairs = await chain(at, "abcd")
    await rounds(at, pairs)
    await at.app.change_pair(pairs[1], options={})
    report = await at.app.sync(pairs[1])
    assert (report.events_deleted, report.provider_requests) == (12, 12 + 2)
    await rounds(at, pairs)
    assert sizes(at, "bcd") == [13, 1, 1]


@pytest.mark.rule(21)
async def test_a_calendar_that_reads_empty_empties_none_behind_it(at_memory: MemoryDesk) -> None:
    at = at_memory
    fill(at, 12)
    pairs = await chain(at, "abc")
    await rounds(at, pairs)
    empty_unnamed(at, "a")
    assert (await at.app.run(pairs[0])).error is not None
    await at.app.change_pair(pairs[1], quiet_until=None)
    report = await at.app.run(pairs[1])
    assert (report.status, done(report)) == ("success", [])
    assert sizes(at, "bc") == [12, 12]
    assert (await at.app.run(pairs[0], confirm=True)).events_deleted == 12
    assert (await at.app.sync(pairs[1])).events_deleted == 12


@pytest.mark.rule(4)
@pytest.mark.parametrize("turned", [False, True], ids=["in order", "against it"])
async def test_after_the_database_was_lost_a_chain_is_taken_up_without_a_write(
    tmp_path: Path, turned: bool
) -> None:
    async with AsyncExitStack() as stack:
        old, new = [
            await stack.enter_async_context(memory_desk(_folder(tmp_path, name), *"abcd", secret=SECRET))
            for name in ("old", "new")
        ]
        old.store("a").put("one.ics", event("one", extra=WEEKLY))
        old.store("d").put("two.ics", event("two", *THERE))
        await rounds(old, await chain(old, "abcd", direction="bidirectional"))
        assert sizes(old, "abcd") == [2, 2, 2, 2]
        new.stores.update(old.stores)
        pairs = await chain(new, "abcd", direction="bidirectional")
        for _ in "abc":  # each is known again once the one before it is
            assert await rounds(new, pairs[::-1] if turned else pairs) == 0
        new.store("a").delete("one.ics")
        await rounds(new, pairs)
        assert sizes(new, "abcd") == [1, 1, 1, 1]


@pytest.mark.rule(4)
async def test_what_was_copied_of_a_copy_that_no_link_knows_stays_as_it_is(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    first, second = await chain(at, "abc")
    await rounds(at, [first, second])
    async with at.app.db.write() as db:
        await db.exec_driver_sql(f"DELETE FROM links WHERE pair_id = '{first}'")
    before = only(at, "c")
    assert done(await sync_anew(at, second)) == []
    assert (await at.app.row(pair_table, second)).quiet_until is None, (
        "nothing need change for it to be known"
    )
    at.store("b").put(only(at, "b")[0], only(at, "b")[1].replace(b"SUMMARY:Busy", b"SUMMARY:Other"))
    assert done(await sync_anew(at, second)) == []
    assert only(at, "c") == before
    await rounds(at, [first, second])
    assert sizes(at, "bc") == [1, 1]


@pytest.mark.rule(1, 3)
async def test_two_installations_hand_no_copy_to_each_other(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        mine, theirs = [
            await stack.enter_async_context(memory_desk(_folder(tmp_path, name), *"abc"))
            for name in ("mine", "theirs")
        ]
        theirs.stores.update(mine.stores)
        mine.store("a").put("one.ics", event("one"))
        own = await chain(mine, "abc", direction="bidirectional")
        others = await chain(theirs, "bca", direction="bidirectional")
        for _ in range(4):
            await rounds(mine, own)
            for pair in others:
                await theirs.app.run(pair)
        assert sizes(mine, "abc") == [1, 1, 1]
        mine.store("a").delete("one.ics")
        await rounds(mine, own)
        for pair in others:
            await theirs.app.run(pair)
        assert sizes(mine, "abc") == [0, 0, 0]


@pytest.mark.rule(3)
async def test_another_installations_copy_counts_whatever_its_generation(at_memory: MemoryDesk) -> None:
    """Google never frees a deleted id, so the other one may stand at a later one."""
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    (pair,) = await chain(at, "ab")
    await at.app.sync(pair)
    async with at.app.db.read() as db:
        ((origin, target),) = await db.execute(select(links.c.origin, links.c.target_calendar))
    name, data = only(at, "b")
    mark = write_mark(b"another installation's key", origin, 1, "f" * 32, target)
    unfolded = data.replace(b"\r\n ", b"").split(b"\r\n")
    marked = [
        f"{MARK_PROPERTY}:{mark}".replace(";", "\\;").encode()
        if line.startswith(MARK_PROPERTY.encode())
        else line
        for line in unfolded
    ]
    theirs = b"\r\n".join(marked).replace(
        name.removesuffix(".ics").encode(), copy_id(origin, target, 1).encode()
    )
    await at.app.change_pair(pair, removal="remove")
    await at.app.sync(pair)
    at.store("b").put("theirs.ics", theirs)
    (pair,) = await chain(at, "ab")
    report = await at.app.run(pair)
    assert (report.error is not None, report.events_created) == (True, 0), (
        "the key may be lost: a person is asked"
    )
    assert sizes(at, "b") == [1]


@pytest.mark.rule(1)
async def test_a_forged_mark_travels_nowhere_as_anothers_copy(at_memory: MemoryDesk) -> None:
    """A mark that does not verify makes no source."""
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    pairs = await chain(at, "abc")
    await rounds(at, pairs)
    name, data = only(at, "b")
    unfolded = data.replace(b"\r\n ", b"")
    mark = unfolded.split(MARK_PROPERTY.encode(), 1)[1].split(b"\r\n", 1)[0]
    # With another check, it looks like another installation's.
    forged = unfolded.replace(mark, mark[:-1] + (b"0" if mark[-1:] != b"0" else b"1"))
    before = only(at, "c")
    at.store("b").put(name, forged.replace(b"20260304T", b"20260307T"))
    assert done(await sync_anew(at, pairs[1])) == []
    assert only(at, "c") == before
    at.store("b").delete(name)
    await rounds(at, pairs)
    assert sizes(at, "bc") == [0, 0]
    at.store("b").put(name, forged.replace(b"Busy", b"Forged"))
    await sync_anew(at, pairs[1])
    assert sizes(at, "bc") == [1, 0]
    await rounds(at, pairs)
    assert b"Forged" not in only(at, "c")[1], "the first pair has written its copy anew"


@pytest.mark.rule(1)
async def test_a_pasted_copy_travels_once_and_does_not_come_back(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    pairs = await chain(at, "abca", direction="bidirectional")
    await rounds(at, pairs)
    _, data = only(at, "b")
    uid = data.split(b"UID:", 1)[1].split(b"\r\n", 1)[0]
    pasted = data.replace(uid, b"pasted").replace(b"20260304T", b"20260306T")
    at.store("c").put("pasted.ics", pasted)
    await rounds(at, pairs)
    assert sizes(at, "abc") == [2, 2, 2]
    at.store("a").delete("one.ics")
    await rounds(at, pairs)
    assert sizes(at, "abc") == [1, 1, 1]
    assert at.store("c").resources["pasted.ics"][1] == pasted
    at.store("c").delete("pasted.ics")
    await rounds(at, pairs)
    assert sizes(at, "abc") == [0, 0, 0]


@pytest.mark.rule(1)
async def test_a_copy_without_its_mark_travels_on_as_what_its_link_says(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    pairs = await chain(at, "abca", direction="bidirectional")
    await rounds(at, pairs[:1])
    name, data = only(at, "b")
    at.store("b").put(name, without_mark(data))
    await rounds(at, pairs)
    assert sizes(at, "abc") == [1, 1, 1]
    at.store("a").delete("one.ics")
    await rounds(at, pairs)
    assert sizes(at, "abc") == [0, 0, 0]


def _folder(where: Path, name: str) -> Path:
    (where / name).mkdir()
    return where / name
