"""Rule 17: what becomes of copies that people edit or delete, by the pair's options."""

from __future__ import annotations

import pytest

from tests.sync.helpers import WEEKLY, delete_instance, done, only, starts, sync_anew
from tests.testbed.events import event
from tests.testbed.memory_desk import MemoryDesk

pytestmark = pytest.mark.rule(17)


def _edit(at: MemoryDesk, name: str = "b") -> bytes:
    resource, data = only(at, name)
    edited = data.replace(b"SUMMARY:Busy", b"SUMMARY:Mine")
    assert edited != data
    at.store(name).put(resource, edited)
    return edited


async def test_an_edit_is_kept_until_the_source_changes(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one", "20260303T090000", "20260303T100000"))
    pair = await at.pair(direction="a_to_b", on_copy_edited="keep")
    await at.app.sync(pair)
    edited = _edit(at)
    assert done(await at.app.sync(pair)) == [("skip", "copy_edit_kept")]
    assert done(await sync_anew(at, pair)) == []
    assert only(at)[1] == edited
    at.store("a").put("one.ics", event("one", "20260303T110000", "20260303T120000"))
    assert done(await at.app.sync(pair)) == [("update", "source_changed")]
    assert b"SUMMARY:Busy" in only(at)[1]


async def test_a_kept_edit_is_restored_where_the_option_changes(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one", "20260303T090000", "20260303T100000"))
    pair = await at.pair(direction="a_to_b", on_copy_edited="keep")
    await at.app.sync(pair)
    _edit(at)
    await at.app.sync(pair)
    await at.app.change_pair(pair, options={"on_copy_edited": "restore"})
    again = only(at)[1].replace(b"SUMMARY:Mine", b"SUMMARY:Still mine")
    at.store("b").put(only(at)[0], again)
    assert done(await at.app.sync(pair)) == [("update", "copy_edited")]


async def test_a_deleted_copy_is_made_again(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one", "20260303T090000", "20260303T100000"))
    pair = await at.pair(direction="a_to_b", on_copy_deleted="restore")
    await at.app.sync(pair)
    at.store("b").delete(only(at)[0])
    assert done(await at.app.sync(pair)) == [("create", "copy_deleted_by_person")]
    assert starts(at) == ["03-03 08:00"]
    assert done(await sync_anew(at, pair)) == []


async def test_many_deleted_copies_are_made_again_without_a_question(at_memory: MemoryDesk) -> None:
    at = at_memory
    for number in range(12):
        at.store("a").put(f"{number}.ics", event(f"uid-{number}", f"202603{number + 3:02}T090000", None))
    pair = await at.pair(direction="a_to_b", on_copy_deleted="restore")
    await at.app.sync(pair)
    for name in list(at.store("b").resources):
        at.store("b").delete(name)
    assert (await at.app.sync(pair)).events_created == 12


async def test_a_deleted_instance_is_put_back(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one", "20260303T090000", "20260303T100000", extra=WEEKLY))
    pair = await at.pair(direction="a_to_b", on_copy_deleted="restore")
    await at.app.sync(pair)
    before = starts(at)
    resource, data = only(at)
    at.store("b").put(resource, delete_instance(data, "20260310T090000"))
    assert len(starts(at)) == len(before) - 1
    assert done(await at.app.sync(pair)) == [("update", "copy_edited")]
    assert starts(at) == before


async def test_what_was_respected_comes_back_where_the_option_changes(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one", "20260303T090000", "20260303T100000"))
    at.store("a").put("two.ics", event("two", extra=WEEKLY))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    before = starts(at)
    for resource, (_, data) in list(at.store("b").resources.items()):
        if WEEKLY.encode() in data:
            at.store("b").put(resource, delete_instance(data, "20260311T090000"))
        else:
            at.store("b").delete(resource)
    await at.app.sync(pair)
    assert len(starts(at)) == len(before) - 2
    await at.app.change_pair(pair, options={"on_copy_deleted": "restore"})
    await at.app.sync(pair)
    assert starts(at) == before
    assert done(await sync_anew(at, pair)) == []
