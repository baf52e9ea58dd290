"""What happens where options, pairs and what people do meet; each alone has tests of its own."""

from __future__ import annotations

import pytest

from tests.sync.helpers import WEEKLY, delete_instance, done, only, starts, sync_anew
from tests.sync.propagating import CARRIED, assert_at_rest, paired, source
from tests.testbed.events import event
from tests.testbed.memory_desk import MemoryDesk

SERIES = event("s", extra=WEEKLY)
SINGLES = event("s", extra=f"{WEEKLY}\nEXRULE:FREQ=YEARLY;COUNT=1;BYMONTH=7")
"""No target holds its rule: it is copied as single instances."""
GONE = "03-11 08:00"


async def _copied(at: MemoryDesk, event_: str, **given: object) -> str:
    at.store("a").put("s.ics", event_)
    pair = await at.pair(direction="a_to_b", **given)
    await at.app.sync(pair)
    return pair


def _delete_one(at: MemoryDesk, name: str = "b") -> tuple[str, bytes]:
    """A person deletes the instance of 11 March from the copied series, or its own copy; what stood there."""
    copies = at.store(name).resources
    resource, data = next(
        (each, data) for each, (_, data) in copies.items() if b"COUNT=4" in data or b":20260311T0900" in data
    )
    if b"COUNT=4" in data:
        at.store(name).put(resource, delete_instance(data, "20260311T090000"))
    else:
        at.store(name).delete(resource)
    return resource, data


@pytest.mark.rule(17)
async def test_an_instance_is_put_back_where_edits_are_kept(at_memory: MemoryDesk) -> None:
    """A deletion is no edit, though one that keeps what it finds would pass it."""
    at = at_memory
    pair = await _copied(at, SERIES, on_copy_edited="keep", on_copy_deleted="restore")
    before = starts(at)
    _delete_one(at)
    assert done(await at.app.sync(pair)) == [("update", "copy_edited")]
    assert starts(at) == before
    at.store("b").put(only(at)[0], only(at)[1].replace(b"SUMMARY:Busy", b"SUMMARY:Mine"))
    assert done(await at.app.sync(pair)) == [("skip", "copy_edit_kept")]


@pytest.mark.rule(17)
@pytest.mark.parametrize("copied", [SERIES, SINGLES], ids=["series", "singles"])
async def test_what_was_restored_does_not_go_again_with_the_option(
    at_memory: MemoryDesk, copied: str
) -> None:
    at = at_memory
    pair = await _copied(at, copied)
    before = starts(at)
    _delete_one(at)
    await at.app.sync(pair)
    assert starts(at) == [start for start in before if start != GONE]
    for options in ({"on_copy_deleted": "restore"}, {}):
        await at.app.change_pair(pair, options=options)
        await at.app.sync(pair)
        assert starts(at) == before
    assert done(await sync_anew(at, pair)) == []


@pytest.mark.rule(17)
async def test_what_was_respected_in_another_form_does_not_go_again_with_the_option(
    at_memory: MemoryDesk,
) -> None:
    """The link of the series waits, with what was deleted of it, while single copies stand."""
    at = at_memory
    pair = await _copied(at, SERIES)
    before = starts(at)
    _delete_one(at)
    await at.app.sync(pair)
    at.store("a").put("s.ics", SINGLES)
    await at.app.sync(pair)
    assert GONE not in starts(at)
    for options in ({"on_copy_deleted": "restore"}, {}):
        await at.app.change_pair(pair, options=options)
        await at.app.sync(pair)
        assert starts(at) == before
    at.store("a").put("s.ics", SERIES)
    await at.app.sync(pair)
    assert starts(at) == before


@pytest.mark.rule(17)
async def test_a_copy_of_an_instance_that_a_person_takes_out_of_the_bin_stays(at_memory: MemoryDesk) -> None:
    at = at_memory
    pair = await _copied(at, SINGLES)
    before = starts(at)
    resource, data = _delete_one(at)
    assert done(await at.app.sync(pair)) == [("skip", "copy_deleted_by_person")]
    assert GONE not in starts(at)
    at.store("b").put(resource, data)
    assert done(await at.app.sync(pair)) == []
    assert starts(at) == before
    assert done(await sync_anew(at, pair)) == []
    at.store("a").put("s.ics", SERIES)
    await at.app.sync(pair)
    assert starts(at) == before


@pytest.mark.rule(3)
async def test_a_pair_takes_over_a_series_that_another_gave_up_with_instances_respected(
    at_memory: MemoryDesk,
) -> None:
    """The other one's link still remembers the instance, but asks for nothing any more."""
    at = at_memory
    first = await _copied(at, SERIES)
    second = await at.pair(direction="a_to_b", sync_mode="full")
    assert done(await at.app.sync(second)) == [("skip", "copied_already")]
    _delete_one(at)
    await at.app.sync(first)
    await at.app.change_pair(first, options={"title_contains": ["nothing"]})
    assert done(await at.app.sync(first))[0] == ("delete", "title_not_matching")
    assert done(await sync_anew(at, second)) == [("create", "new")]
    assert len(starts(at)) == 4
    assert done(await sync_anew(at, first)) == []


@pytest.mark.rule(17)
async def test_an_edit_travels_though_an_instance_was_deleted_with_it(at_memory: MemoryDesk) -> None:
    """Both between two runs: the instance stays away, and the edit is not put right."""
    at = at_memory
    pair = await paired(at, SERIES)
    resource, data = only(at)
    edited = data.replace(b"SUMMARY:Planning", b"SUMMARY:Lunch").replace(b"T100000", b"T103000")
    at.store("b").put(resource, delete_instance(edited, "20260311T090000"))
    assert done(await at.app.sync(pair)) == CARRIED
    assert "SUMMARY:Lunch" in source(at)
    assert "T103000" in source(at)
    assert "EXDATE" not in source(at)
    assert b"SUMMARY:Lunch" in only(at)[1]
    assert (GONE in starts(at), len(starts(at))) == (False, 3)
    await assert_at_rest(at, pair)


@pytest.mark.rule(17)
async def test_with_a_deleted_instance_too_the_source_wins_where_it_changed(at_memory: MemoryDesk) -> None:
    at = at_memory
    pair = await paired(at, SERIES)
    resource, data = only(at)
    edited = data.replace(b"SUMMARY:Planning", b"SUMMARY:Lunch")
    at.store("b").put(resource, delete_instance(edited, "20260311T090000"))
    at.store("a").put("0.ics", event("s", title="Tea", extra=WEEKLY))
    assert done(await at.app.sync(pair)) == [("update", "instance_deleted_by_person")]
    assert "SUMMARY:Tea" in source(at)
    assert b"SUMMARY:Tea" in only(at)[1]
    assert (GONE in starts(at), len(starts(at))) == (False, 3)
    await assert_at_rest(at, pair)
