"""Copies that travel on, over chains and meshes of pairs (rules 1 to 5, option `relay`)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest

from tests.sync.helpers import starts, sync_anew
from tests.testbed.events import event
from tests.testbed.memory_desk import MemoryDesk

pytestmark = pytest.mark.rule(2)


async def rounds(at: MemoryDesk, pairs: Iterable[str], most: int = 12) -> int:
    """Run all pairs in turn until a round of them does nothing; how many rounds did something."""
    for number in range(most):
        if not [
            one for pair in pairs for one in (await sync_anew(at, pair)).operations if one.action != "skip"
        ]:
            return number
    raise AssertionError(f"no rest after {most} rounds")


async def chain(at: MemoryDesk, names: str, **given: object) -> list[str]:
    for name in names:
        if name not in at.connections:
            await at.add(name)
    given = {"direction": "a_to_b", "relay": True, **given}
    return [await at.pair(*ends, **given) for ends in pairwise(names)]


async def test_without_the_option_a_copy_goes_no_further(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    await rounds(at, await chain(at, "abc", relay=False))
    assert (len(at.store("b").resources), len(at.store("c").resources)) == (1, 0)


async def test_a_copy_travels_along_a_chain_and_goes_with_its_event(at_memory: MemoryDesk) -> None:
    at = at_memory
    at.store("a").put("one.ics", event("one"))
    pairs = await chain(at, "abcd")
    assert await rounds(at, pairs) == 1
    assert [starts(at, name) for name in "bcd"] == [["03-04 08:00"]] * 3
    at.store("a").put("one.ics", event("one", "20260305T110000", "20260305T120000"))
    assert await rounds(at, pairs) == 1
    assert [starts(at, name) for name in "bcd"] == [["03-05 10:00"]] * 3
    at.store("a").delete("one.ics")
    assert await rounds(at, pairs[::-1]) == 3
    assert [len(at.store(name).resources) for name in "abcd"] == [0, 0, 0, 0]
