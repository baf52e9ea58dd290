"""Undoing through a worker: ordered, told, never beside another run, and never lost (rule 21)."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import delete, select, update

from calendarsync.domain.link import LinkState
from calendarsync.store.tables import connections, links, orders, pairs, runs
from calendarsync.store.tenancy import Tenant
from calendarsync.sync.report import NothingToUndo, RunReport, Ticket
from tests.jobs.conftest import Gate, Workplace, workplace
from tests.testbed.events import event
from tests.testbed.memory_desk import MemoryDesk

pytestmark = pytest.mark.rule(21)


async def _undo(place: Workplace, pair: str, sync_id: str | None = None, *, dry_run: bool = False) -> Ticket:
    tenant = Tenant(place.desk.account, "live")
    return await place.runner.undo(tenant, pair, sync_id=sync_id, dry_run=dry_run)


async def _told(ticket: Ticket) -> RunReport:
    return await asyncio.wait_for(ticket.done, 20)


@pytest.fixture
async def pair(at: MemoryDesk) -> str:
    """Between a calendar with one event and an empty one."""
    at.store("a").put("one.ics", event("one"))
    return await at.pair(direction="a_to_b")


@pytest.mark.parametrize("sync_id", [None, "sync_run_typo", "latest"])
async def test_what_cannot_be_undone_pauses_nothing(
    at: MemoryDesk, asked: Workplace, pair: str, sync_id: str | None
) -> None:
    if sync_id is not None:
        await asked.report(pair)
    with pytest.raises(NothingToUndo):
        await _undo(asked, pair, sync_id)
    assert (await at.app.row(pairs, pair)).status == "active"


async def test_an_undo_waits_for_the_run_that_is_under_way_and_takes_that_back(
    at: MemoryDesk, asked: Workplace, gate: Gate, pair: str
) -> None:
    running = await asked.trigger(pair)
    await gate.waiting.wait()
    undoing = await _undo(asked, pair)
    late = await asked.trigger(pair)
    gate.open.set()
    first, undone, refused = [await _told(each) for each in (running, undoing, late)]
    assert (first.events_created, undone.undid, undone.events_deleted) == (1, first.sync_id, 1)
    assert refused.error is not None
    assert refused.error.code == "paused", "no trigger joins an undo"
    assert at.store("b").resources == {}


async def test_two_undos_at_once_are_one_after_the_other(at: MemoryDesk, asked: Workplace, pair: str) -> None:
    await asked.report(pair)
    tickets = [await _undo(asked, pair), await _undo(asked, pair)]
    assert sorted([(await _told(each)).events_deleted for each in tickets]) == [0, 1]


async def test_an_undo_that_nobody_took_up_is_carried_out_after_a_restart(at: MemoryDesk, pair: str) -> None:
    async with workplace(at, schedule=False) as before:
        await before.report(pair)
    async with workplace(at, schedule=False) as stopping:
        await stopping.worker.stop()
        await _undo(stopping, pair)
    async with workplace(at, schedule=False) as after:
        await after.until_logged(2)
        await after.until_free(pair)
    assert at.store("b").resources == {}
    async with at.app.db.read() as db:
        assert (await db.execute(select(orders).where(orders.c.finished_at.is_(None)))).all() == []


async def test_a_pair_that_is_being_deleted_is_not_paused_by_an_undo(
    at: MemoryDesk, asked: Workplace, pair: str
) -> None:
    """Else the schedule would try its removal no more."""
    await asked.report(pair)
    await at.app.change_pair(pair, removal="remove")
    with pytest.raises(LookupError):
        await _undo(asked, pair)
    row = await at.app.row(pairs, pair)
    assert row.status == "active"
    assert row.due_at is not None


@pytest.mark.parametrize("paused", [True, False], ids=["asked to slow down", "expired"])
async def test_a_provider_that_may_not_be_asked_is_not_asked(
    at: MemoryDesk, asked: Workplace, pair: str, *, paused: bool
) -> None:
    """Rules 24 and 25: it fails at once, the pair rests, and the undo can be asked for again."""
    await asked.report(pair)
    until = at.app.clock().replace(hour=23)
    async with at.app.db.write() as db:
        values = {"not_before": until} if paused else {"status": "expired"}
        await db.execute(update(connections).values(**values))
    calls = at.faults["http://127.0.0.1:1/b/"].calls
    report = await _told(await _undo(asked, pair))
    assert report.error is not None
    assert report.error.code == ("provider_rate_limited" if paused else "not_authorized")
    assert at.faults["http://127.0.0.1:1/b/"].calls == calls
    row = await at.app.row(pairs, pair)
    assert (row.status, row.attention_code) == ("paused", None)
    async with at.app.db.write() as db:
        await db.execute(update(connections).values(not_before=None, status="active"))
    assert (await _told(await _undo(asked, pair))).events_deleted == 1


async def test_resumed_in_the_same_moment_all_is_as_the_rules_ask(
    at: MemoryDesk, asked: Workplace, gate: Gate, pair: str
) -> None:
    gate.open.set()
    await asked.report(pair)
    gate.open.clear()
    gate.waiting.clear()
    undoing = await _undo(asked, pair)
    await gate.waiting.wait()
    await at.app.change_pair(pair, status="active")
    gate.open.set()
    await _told(undoing)
    await asked.report(pair)
    assert len(at.store("b").resources) == 1
    async with at.app.db.read() as db:
        assert (await db.execute(select(links.c.state))).scalars().all() == [LinkState.LIVE]
    assert (await at.app.row(pairs, pair)).status == "active"


async def test_a_pause_that_would_end_by_itself_does_so_no_more(
    at: MemoryDesk, asked: Workplace, pair: str
) -> None:
    """Else the run that is taken back would be done again in the night."""
    await asked.report(pair)
    later = at.app.clock().replace(hour=23)
    await at.app.change_pair(pair, status="paused", resume_at=later, due_at=later)
    assert (await _told(await _undo(asked, pair))).events_deleted == 1
    await asked.until_free(pair)
    row = await at.app.row(pairs, pair)
    assert (row.status, row.resume_at, row.due_at) == ("paused", None, None)


async def test_a_log_that_is_gone_leaves_nothing_to_undo(at: MemoryDesk, asked: Workplace, pair: str) -> None:
    await asked.report(pair)
    async with at.app.db.write() as db:
        await db.execute(delete(runs))
    with pytest.raises(NothingToUndo):
        await _undo(asked, pair)
    assert len(at.store("b").resources) == 1


async def test_a_pair_that_waits_for_a_person_can_be_undone(
    at: MemoryDesk, asked: Workplace, pair: str
) -> None:
    await asked.report(pair)
    asking = {"attention_code": "source_emptied", "attention_message": "the source calendar read empty"}
    await at.app.change_pair(pair, status="needs_attention", **asking)
    assert (await _told(await _undo(asked, pair))).events_deleted == 1
    row = await at.app.row(pairs, pair)
    assert (row.status, row.attention_code) == ("paused", "source_emptied"), "it is still to be answered"
