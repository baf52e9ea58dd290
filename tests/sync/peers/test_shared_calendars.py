"""Calendars that several syncs share, that are connected twice, or that read empty: what doubled at peers there.

A docstring names the issue that a test stems from, and what happened there (rules 1 to 3, 17, 21 and 24).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.providers.base import RateLimited
from tests.sync.helpers import fill, starts, sync_anew
from tests.sync.peers.helpers import between
from tests.sync.peers.in_memory import everything, hour, plan_anew, rest
from tests.sync.stories import days, on
from tests.testbed.desk import Desk
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk, memory_desk
from tests.testbed.microsoft import Model as MicrosoftModel


@pytest.fixture
async def at(quick_folder: Path) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(quick_folder) as made:
        yield made


@pytest.mark.rule(2)
@between("microsoft", "microsoft")
async def test_keeper_31_outlook_at_both_ends(between: Desk, microsoft_model: MicrosoftModel) -> None:
    """keeper.sh #31: Graph takes no UID, and what marked a copy there was not shown where it was read as a source;
    with Outlook at both ends every copy was copied back, without end."""
    at = between
    microsoft_model.habits.transaction_in_delta = False
    microsoft_model.habits.churn = 2
    at.put_a("one", on(4))
    at.put_b("two", on(5))
    pair = await at.pair()
    for _ in range(3):
        await at.app.sync(pair)
    assert [days(at, at.a), days(at)] == [[5], [4]]
    assert [len(at.read(each)) for each in (at.a, at.b)] == [2, 2]
    microsoft_model.forget_delta_tokens()
    assert (await at.app.sync(pair)).operations == ()
    assert [len(at.read(each)) for each in (at.a, at.b)] == [2, 2]


@pytest.mark.rule(3)
@pytest.mark.rule(24)
async def test_gas_ics_sync_248_a_limit_in_the_middle_of_a_run(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GAS-ICS-Sync #248: a run ended at Google's rate limit; the next one made all events again beside those that
    it had made."""
    fill(at, 20)
    pair = await at.pair(direction="a_to_b")
    create = MemoryCalendar.create
    made: list[str] = []

    async def limited(self: MemoryCalendar, copy: Copy) -> Resource:
        if len(made) % 8 == 7:
            made.append("refused")
            raise RateLimited("slow down", retry_after=60)
        resource = await create(self, copy)
        made.append(copy.id)
        return resource

    monkeypatch.setattr(MemoryCalendar, "create", limited)
    for _ in range(4):
        await at.app.run(pair)
        at.app.clock.advance(minutes=2)
    ids = [each for each in made if each != "refused"]
    assert (len(ids), len(set(ids)), len(at.store("b").resources)) == (20, 20, 20)
    assert "refused" in made


@pytest.mark.rule(3)
@pytest.mark.rule(17)
@pytest.mark.parametrize("wish", ["respect", "restore"])
@pytest.mark.parametrize("count", [4, 20])
async def test_ogcs_1965_a_target_that_says_that_it_holds_nothing(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch, wish: str, count: int
) -> None:
    """OutlookGoogleCalendarSync #1965: the target was asked what it held, and answered with nothing; all events
    were made there again, once more with each sync."""
    fill(at, count)
    pair = await at.pair(direction="a_to_b", on_copy_deleted=wish)
    await at.app.sync(pair)
    truth = everything(at)
    read = MemoryCalendar.read

    async def blind(self: MemoryCalendar, *args: Any, **given: Any) -> object:
        if self.store is not at.store("b"):
            return await read(self, *args, **given)
        held, self.store.resources = self.store.resources, {}
        try:
            return await read(self, *args, **given)
        finally:
            self.store.resources = held

    def listed_anew() -> None:
        at.store("b").journal.append("something else")
        at.store("b").forget_tokens()

    with monkeypatch.context() as patched:
        listed_anew()
        patched.setattr(MemoryCalendar, "read", blind)
        for _ in range(2):
            await plan_anew(at, pair)
            assert everything(at) == truth
    listed_anew()
    await plan_anew(at, pair)
    await rest(at, pair)
    assert everything(at) == truth


@pytest.mark.rule(1)
async def test_ogcs_431_two_computers_in_step_with_one_calendar(at: MemoryDesk, tmp_path: Path) -> None:
    """OutlookGoogleCalendarSync #431: on two computers an Outlook of its own was kept in step with one Google
    calendar in both directions; what one had put there was missing from the other's Outlook, and deleted."""
    async with memory_desk(tmp_path, clock=at.app.clock) as other:
        other.stores["http://127.0.0.1:1/b/"] = at.store("b")
        pairs = [(at, await at.pair()), (other, await other.pair())]
        at.store("a").put("mine.ics", hour("mine", 4))
        other.store("a").put("theirs.ics", hour("theirs", 5))
        at.store("b").put("shared.ics", hour("shared", 6))
        for _ in range(3):
            for desk, pair in pairs:
                await sync_anew(desk, pair)
        assert starts(at) == ["03-04 08:00", "03-05 08:00"]
        assert [starts(each, "a") for each in (at, other)] == [["03-06 08:00"], ["03-06 08:00"]]
        at.store("a").delete("mine.ics")
        for desk, pair in (*pairs, *pairs):
            await sync_anew(desk, pair)
        assert starts(at) == ["03-05 08:00"]
        assert set(other.store("a").resources) > {"theirs.ics"}


@pytest.mark.rule(2)
@pytest.mark.rule(16)
async def test_vdirsyncer_1088_several_calendars_gathered_in_one(at: MemoryDesk) -> None:
    """vdirsyncer #1088: calendars A and B were copied into X; when B was, what had come from A was deleted as
    missing from B."""
    await at.add("c")
    pairs = [await at.pair("a", "c", direction="a_to_b"), await at.pair("b", "c", direction="a_to_b")]
    at.store("c").put("own.ics", hour("own", 3))
    at.store("a").put("a.ics", hour("from a", 4))
    at.store("b").put("b.ics", hour("from b", 5))
    for pair in pairs:
        await at.app.sync(pair)
    at.store("b").delete("b.ics")
    at.store("b").put("b2.ics", hour("from b too", 6))
    for pair in reversed(pairs):
        await at.app.sync(pair)
    await rest(at, *pairs)
    assert starts(at, "c") == ["03-04 08:00", "03-06 08:00"]
    assert starts(at, "c", copies=False) == ["03-03 08:00"]
