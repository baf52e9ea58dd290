"""How often an unchanged pair is polled and planned anew, and how a plan that finds nothing to do ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from calendarsync.store.claims import ClaimLost
from calendarsync.store.ids import new_id
from calendarsync.store.schedule import load_connection, load_pair
from calendarsync.store.tables import accounts, links, orders, pairs, runs
from calendarsync.sync.report import Order
from calendarsync.sync.run import Work
from tests.testbed.events import event
from tests.testbed.memory import Faults
from tests.testbed.memory_desk import NOWHERE, MemoryDesk, memory_desk

POLL, SHORT, DAY = timedelta(minutes=5), timedelta(minutes=15), timedelta(days=1)


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(database_url, "a", "b", "c") as desk:
        yield desk


async def row(at: MemoryDesk, pair: str) -> Any:
    return await at.app.row(pairs, pair)


async def in_step(at: MemoryDesk, pair: str) -> None:
    """A plan has found nothing to do, and the next run has nothing to plan."""
    for _ in range(3):
        await at.app.sync(pair)


async def from_now(at: MemoryDesk, moment: datetime | None) -> timedelta:
    assert moment is not None
    return moment - at.app.clock()


async def next_poll(at: MemoryDesk, pair: str) -> timedelta:
    return await from_now(at, (await row(at, pair)).due_at)


async def scheduled(at: MemoryDesk, pair: str, trigger: str = "schedule", **placed: Any) -> Work:
    """What a worker has at hand once it has claimed the pair."""
    hold = await at.app.hold(pair)
    async with at.app.db.read() as db:
        record = await load_pair(db, pair)
    assert record is not None
    return Work(hold, record, [Order(new_id("sync_run"), trigger, **placed)])


async def work_off(at: MemoryDesk, work: Work) -> Any:
    """Its row in the log."""
    await at.app.engine.work_off(work, at.app.engine.new_round())
    async with at.app.db.read() as db:
        return (await db.execute(select(runs).where(runs.c.sync_id == work.orders[0].sync_id))).one()


@pytest.mark.rule(27)
async def test_a_pair_that_hardly_changes_is_polled_less_until_it_changes(at: MemoryDesk) -> None:
    pair = await at.pair()
    await in_step(at, pair)
    assert await next_poll(at, pair) == POLL
    at.app.clock.advance(days=1)
    await at.app.sync(pair)
    assert timedelta(minutes=14) < await next_poll(at, pair) < timedelta(minutes=15), "a hundredth of a day"
    at.app.clock.advance(days=9)
    await at.app.sync(pair)
    assert await next_poll(at, pair) == 4 * POLL
    await at.app.sync(pair)
    assert await next_poll(at, pair) == 4 * POLL, "a run that finds nothing is no change"
    at.store("b").put("1.ics", event("one"))
    await at.app.sync(pair)
    assert await next_poll(at, pair) == POLL
    changed_at = (await row(at, pair)).changed_at
    assert changed_at == at.app.clock()


@pytest.mark.rule(27)
async def test_a_change_in_which_there_is_nothing_to_do_is_a_change(at: MemoryDesk) -> None:
    pair = await at.pair()
    await in_step(at, pair)
    at.app.clock.advance(days=10)
    at.store("a").put("1.ics", event("old", "20010305T090000", "20010305T100000"))
    report = await at.app.sync(pair)
    assert (report.events_processed, report.operations) == (1, ())
    assert await next_poll(at, pair) == POLL
    assert (await row(at, pair)).changed_at == at.app.clock()


@pytest.mark.rule(27)
async def test_a_plan_that_time_alone_asked_for_is_no_change(at: MemoryDesk) -> None:
    pair = await at.pair()
    await in_step(at, pair)
    before = await row(at, pair)
    at.app.clock.advance(days=10)
    await at.app.sync(pair)
    after = await row(at, pair)
    assert (after.changed_at, after.quiet_state) == (before.changed_at, before.quiet_state)
    assert after.quiet_until == at.app.clock() + DAY


@pytest.mark.rule(27)
async def test_a_run_that_failed_is_followed_at_the_ordinary_pace(at: MemoryDesk) -> None:
    pair = await at.pair()
    await in_step(at, pair)
    at.app.clock.advance(days=10)
    at.faults[NOWHERE.url + "b/"] = Faults(before=set(range(1, 100)))
    assert (await at.app.run(pair)).status == "failed"
    assert await next_poll(at, pair) == POLL


@pytest.mark.rule(27)
async def test_test_mode_keeps_to_the_poll_interval(at: MemoryDesk) -> None:
    pair = await at.pair()
    await at.app.change_pair(pair, mode="test")
    for _ in range(3):
        await at.app.sync(pair)
        assert await next_poll(at, pair) == POLL
        at.app.clock.advance(days=10)


@pytest.mark.rule(7)
@pytest.mark.parametrize(
    ("options", "period"),
    [
        ({}, DAY),
        ({"future_days": 3650}, DAY),
        ({"future_days": 25}, timedelta(hours=6)),
        ({"future_days": 1}, SHORT),
        ({"relay": True}, SHORT),
    ],
    ids=str,
)
async def test_an_unchanged_pair_is_planned_anew_after_a_hundredth_of_its_window(
    at: MemoryDesk, options: dict[str, Any], period: timedelta
) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair(**options)
    await in_step(at, pair)
    assert await from_now(at, (await row(at, pair)).quiet_until) == period


@pytest.mark.rule(7)
async def test_what_time_brings_into_the_window_comes_no_later(at: MemoryDesk) -> None:
    at.store("a").put("1.ics", event("far", "20260401T000000Z", "20260401T010000Z"))
    pair = await at.pair(direction="a_to_b", future_days=25)
    await in_step(at, pair)
    assert not at.store("b").resources
    enters = datetime.fromisoformat("2026-03-07T00:00:00+00:00")
    at.app.clock.now = enters + timedelta(hours=6)
    assert (await at.app.sync(pair)).events_created == 1


@pytest.mark.rule(7)
async def test_who_moves_the_clock_of_test_mode_sees_at_once_what_that_brings(at: MemoryDesk) -> None:
    at.store("a").put("1.ics", event("far", "20260401T000000Z", "20260401T010000Z"))
    pair = await at.pair(direction="a_to_b", future_days=25)
    await at.app.change_pair(pair, mode="test")
    await in_step(at, pair)
    assert await from_now(at, (await row(at, pair)).quiet_until) == SHORT
    async with at.app.db.write() as db:
        await db.execute(update(accounts).values(test_clock_seconds=30 * 86_400))
    await at.app.change_pair(pair, quiet_until=at.app.clock() + SHORT - timedelta(days=30))
    assert (await at.app.sync(pair)).events_created == 1


@pytest.mark.rule(3)
async def test_a_pair_that_waits_for_the_copy_of_another_is_planned_soon(at: MemoryDesk) -> None:
    at.store("a").put("1.ics", event("one"))
    first = await at.pair(direction="a_to_b")
    await in_step(at, first)
    second = await at.pair(direction="a_to_b")
    await in_step(at, second)
    assert await from_now(at, (await row(at, second)).quiet_until) == SHORT
    assert await from_now(at, (await row(at, first)).quiet_until) > SHORT


@pytest.mark.rule(3, 27)
async def test_where_a_pair_goes_those_beside_it_are_polled_as_if_they_had_changed(at: MemoryDesk) -> None:
    at.store("a").put("1.ics", event("one", "20260401T090000", "20260401T100000"))
    first = await at.pair(direction="a_to_b")
    await in_step(at, first)
    second, paused = await at.pair(direction="a_to_b"), await at.pair("b", "c", direction="a_to_b")
    await in_step(at, second)
    at.app.clock.advance(days=10)
    await at.app.sync(second)
    assert await next_poll(at, second) == 4 * POLL
    until = at.app.clock() + DAY
    await at.app.change_pair(paused, status="paused", resume_at=until, due_at=until)
    await at.app.change_pair(first, removal="remove")
    await at.app.sync(first)
    assert await next_poll(at, second) == POLL
    assert (await row(at, paused)).due_at == until
    assert (await at.app.sync(second)).events_created == 1, "it takes over"


async def test_a_clock_that_was_set_back_keeps_no_pair_from_being_planned(at: MemoryDesk) -> None:
    pair = await at.pair()
    await in_step(at, pair)
    at.app.clock.advance(days=-400)
    await at.app.sync(pair)
    assert await from_now(at, (await row(at, pair)).quiet_until) == DAY


async def test_a_plan_that_finds_nothing_and_a_run_without_a_plan_end_together(at: MemoryDesk) -> None:
    planned, quiet = await at.pair("a", "b"), await at.pair("b", "c")
    for pair in (planned, quiet):
        await in_step(at, pair)
    before = {pair: await row(at, pair) for pair in (planned, quiet)}
    await at.app.change_pair(planned, quiet_until=None)
    at.app.clock.advance(minutes=1)
    works = [await scheduled(at, pair) for pair in (planned, quiet)]
    logs = await asyncio.gather(*(work_off(at, work) for work in works))
    assert [(log.status, log.trigger, log.created_at) for log in logs] == [
        ("success", "schedule", at.app.clock())
    ] * 2
    after = {pair: await row(at, pair) for pair in (planned, quiet)}
    for pair in (planned, quiet):
        assert (after[pair].leased_until, after[pair].last_synced_at) == (None, at.app.clock())
        assert after[pair].due_at == at.app.clock() + POLL
        assert after[pair].changed_at == before[pair].changed_at
        assert after[pair].quiet_state == before[pair].quiet_state
    assert after[planned].quiet_until == at.app.clock() + DAY
    assert after[quiet].quiet_until == before[quiet].quiet_until


@pytest.mark.parametrize("trigger", ["schedule", "api"])
async def test_a_plan_that_finds_nothing_costs_two_transactions(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch, trigger: str
) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    await in_step(at, pair)
    column = "quiet_until" if trigger == "schedule" else "planned_at"
    await at.app.change_pair(pair, **{column: None})
    work, round_ = await scheduled(at, pair, trigger), at.app.engine.new_round()
    begun: list[str] = []
    for name in ("_read", "_write"):
        real = getattr(at.app.db, name)

        def counted(*given: Any, name: str = name, real: Any = real) -> Any:
            begun.append(name)
            return real(*given)

        monkeypatch.setattr(at.app.db, name, counted)
    async with at.app.db.read() as db:
        ends = [await load_connection(db, each) for each in at.connections.values()]
    round_.bring(ends)
    begun.clear()
    await at.app.engine.work_off(work, round_)
    assert begun == ["_read", "_write"]


async def test_a_plan_that_finds_nothing_tells_who_ordered_it(at: MemoryDesk) -> None:
    pair = await at.pair()
    await in_step(at, pair)
    work = await scheduled(at, pair, "api", placed=True)
    async with at.app.db.write() as db:
        await db.execute(
            insert(orders).values(
                sync_id=work.orders[0].sync_id,
                account_id=at.account,
                mode="live",
                pair_id=pair,
                trigger="api",
                full=False,
                confirm=False,
                dry_run=False,
                created_at=at.app.clock(),
                generation=work.hold.claim.generation,
            )
        )
    await work_off(at, work)
    async with at.app.db.read() as db:
        order = (await db.execute(select(orders))).one()
    assert (order.finished_at, order.report["status"]) == (at.app.clock(), "success")


async def test_a_plan_that_finds_nothing_writes_nothing_once_its_claim_is_lost(at: MemoryDesk) -> None:
    pair = await at.pair()
    await in_step(at, pair)
    await at.app.change_pair(pair, quiet_until=None)
    work = await scheduled(at, pair)
    await at.app.hold(pair)
    before = await row(at, pair)
    with pytest.raises(ClaimLost):
        await at.app.engine.work_off(work, at.app.engine.new_round())
    assert await row(at, pair) == before


@pytest.mark.rule(21)
async def test_links_judged_by_other_rules_are_noted_as_judged_though_there_is_nothing_to_do(
    at: MemoryDesk,
) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    await in_step(at, pair)
    async with at.app.db.read() as db:
        (version,) = set((await db.execute(select(links.c.rules_version))).scalars())
    await at.app.change_pair(pair, options={"min_minutes": 1}, quiet_state=None)
    report = await at.app.sync(pair)
    assert report.operations == ()
    async with at.app.db.read() as db:
        (judged,) = set((await db.execute(select(links.c.rules_version))).scalars())
    assert judged != version


@pytest.mark.rule(20)
async def test_the_log_of_a_pairs_end_is_kept_though_it_had_no_copies(at: MemoryDesk) -> None:
    pair = await at.pair()
    await in_step(at, pair)
    await at.app.change_pair(pair, removal="remove")
    log = await work_off(at, await scheduled(at, pair))
    assert (log.status, log.brief) == ("success", False)
    assert await row(at, pair) is None


async def test_the_first_unchanged_log_of_an_hour_is_kept_and_the_others_are_brief(at: MemoryDesk) -> None:
    pair = await at.pair()
    await in_step(at, pair)
    at.app.clock.now = datetime.fromisoformat("2026-03-02T09:59:30+00:00")
    told = []
    for minutes, trigger in ((0, "schedule"), (1, "push"), (58, "schedule"), (0, "api"), (2, "schedule")):
        at.app.clock.advance(minutes=minutes)
        told.append((await work_off(at, await scheduled(at, pair, trigger))).brief)
    assert told == [False, False, True, False, False]
    await at.app.change_pair(pair, quiet_until=None)
    assert (await work_off(at, await scheduled(at, pair))).brief, "planned, and nothing to do"
    at.store("a").put("1.ics", event("one"))
    assert not (await work_off(at, await scheduled(at, pair))).brief, "it wrote"
    at.faults[NOWHERE.url + "b/"] = Faults(before=set(range(1, 100)))
    assert not (await work_off(at, await scheduled(at, pair))).brief, "it failed"
