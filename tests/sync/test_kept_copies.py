"""What a removed pair left behind is an ordinary event for as long as it is there, and can come back (rule 20)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select

from calendarsync.jobs.tidy import Tidy
from calendarsync.store.tables import kept_copies
from tests.sync.helpers import only
from tests.testbed.events import event
from tests.testbed.memory_desk import MemoryDesk, memory_desk


@pytest.fixture
async def at(quick_folder: Path) -> AsyncIterator[MemoryDesk]:
    """A copy of an event stands in b, where a pair left it; another pair goes on reading b."""
    async with memory_desk(quick_folder, "a", "b", "c") as made:
        made.store("a").put("1.ics", event("one"))
        pair = await made.pair(direction="a_to_b")
        await made.app.sync(pair)
        await made.app.change_pair(pair, removal="keep")
        await made.app.sync(pair)
        yield made


async def _pass(at: MemoryDesk, reader: str, days: int) -> int:
    """The days, a sync and a look at the end of each month; how many ids are remembered then."""
    for _ in range(days // 30):
        at.app.clock.advance(days=30)
        await at.app.sync(reader)
        await Tidy(at.app.db).look()
    async with at.app.db.read() as db:
        return int((await db.execute(select(func.count()).select_from(kept_copies))).scalar_one())


async def _copied_back(at: MemoryDesk) -> int:
    """A person moves what was left, and the two calendars are paired once more: how many copies stand in a."""
    name, _ = only(at)
    soon = at.app.clock() + timedelta(days=3)
    at.store("b").put(name, event(name.removesuffix(".ics"), f"{soon:%Y%m%dT%H%M%S}", None))
    report = await at.app.sync(await at.pair("b", "a", direction="a_to_b"))
    return report.events_created


@pytest.mark.rule(20)
async def test_rule_20_it_is_known_as_long_as_it_stands_there(at: MemoryDesk) -> None:
    """Moved by a person, it is copied by the next pair between the two, though it was a copy of a's event."""
    reader = await at.pair("b", "c", direction="a_to_b")
    await Tidy(at.app.db).look()
    assert await _pass(at, reader, 300) == 1
    assert await _copied_back(at) == 1


@pytest.mark.rule(20)
async def test_rule_20_it_is_forgotten_where_it_is_gone_and_not_before_it_can_come_back_no_more(
    at: MemoryDesk,
) -> None:
    reader = await at.pair("b", "c", direction="a_to_b")
    await Tidy(at.app.db).look()
    name, data = only(at)
    at.store("b").delete(name)
    assert await _pass(at, reader, 60) == 1
    at.store("b").put(name, data)
    assert await _pass(at, reader, 120) == 1
    at.store("b").delete(name)
    assert await _pass(at, reader, 90) == 1
    assert await _pass(at, reader, 30) == 0


@pytest.mark.rule(20)
async def test_rule_20_where_it_was_forgotten_too_soon_its_calendars_would_not_be_in_step(
    at: MemoryDesk,
) -> None:
    """Why the ids are kept: what the next pair takes for a copy it does not copy."""
    async with at.app.db.write() as db:
        await db.execute(delete(kept_copies))
    assert await _copied_back(at) == 0
