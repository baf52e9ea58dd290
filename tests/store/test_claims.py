"""Claims: one at a time on a pair and on its calendars, and nothing is written without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import event, select, update

from calendarsync.store import claiming, claims, orders, postgresql_migration
from calendarsync.store.claims import Claim, ClaimLost
from calendarsync.store.clock_jumps import pull_in, shorten_leases
from calendarsync.store.fairness import Places
from calendarsync.store.schedule import update_connection
from calendarsync.store.tables import pairs
from calendarsync.store.tenancy import Tenant
from calendarsync.sync.hold import Hold
from tests.testbed.memory_desk import MemoryDesk, memory_desk

LEASE = timedelta(seconds=15)
WORKER = "worker_here"


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(database_url, "a", "b", "c", "d") as desk:
        yield desk


async def claim_due(at: MemoryDesk, limit: int = 100) -> list[Claim]:
    now = at.app.clock()
    async with at.app.db.write() as db:
        places, ahead = Places(1000, limit), timedelta(seconds=30)
        ordered = await claiming.claim_ordered(db, now, now + LEASE, places, worker=WORKER)
        due = await claiming.claim_due(db, now, now + LEASE, places, worker=WORKER, ahead=ahead)
        return ordered.claims + due.claims


async def order(at: MemoryDesk, pair_id: str, sync_id: str, *, dry_run: bool = False) -> str:
    values = {"sync_id": sync_id, "pair_id": pair_id, "trigger": "api", "full": False, "confirm": False}
    async with at.app.db.write() as db:
        placed = {**values, "dry_run": dry_run, "created_at": at.app.clock()}
        return await orders.place(db, Tenant(at.account, "live"), placed)


def ids(claimed: list[Claim]) -> set[str]:
    return {claim.pair_id for claim in claimed}


async def test_what_is_due_is_claimed_once(at: MemoryDesk) -> None:
    pair = await at.pair()
    (claim,) = await claim_due(at)
    assert (claim.pair_id, claim.generation, claim.due) == (pair, 1, True)
    assert (await at.app.row(pairs, pair)).worker == WORKER
    assert await claim_due(at) == []


async def test_pairs_of_one_calendar_are_claimed_together_and_by_nobody_else_meanwhile(
    at: MemoryDesk,
) -> None:
    first, second = await at.pair("a", "b"), await at.pair("b", "c")
    assert ids(await claim_due(at)) == {first, second}
    third, other = await at.pair("c", "d"), await at.pair("d", "a")
    assert await claim_due(at) == [], f"{third} and {other} wait for their calendars"


async def test_rule_28_pairs_on_a_connection_that_are_due_a_little_later_come_along(at: MemoryDesk) -> None:
    due, soon, later = await at.pair("a", "b"), await at.pair("b", "c"), await at.pair("d", "b")
    elsewhere = await at.pair("c", "d")
    now = at.app.clock()
    for pair, seconds in ((soon, 29), (later, 31), (elsewhere, 29)):
        await at.app.change_pair(pair, due_at=now + timedelta(seconds=seconds))
    claimed = await claim_due(at)
    assert ids(claimed) == {due, soon}
    assert all(claim.due for claim in claimed)


async def test_the_same_calendar_in_another_account_counts_as_the_same(at: MemoryDesk) -> None:
    await at.pair("a", "b")
    assert len(await claim_due(at)) == 1
    other = await at.app.account()
    async with at.app.db.read() as db:
        rows = (await db.execute(select(pairs))).one()
    stranger = await at.app.pair(at.connections["c"], at.connections["d"])
    await at.app.change_pair(stranger, account_id=other, calendar_b=rows.calendar_a)
    assert await claim_due(at) == []


async def test_a_lapsed_claim_is_ended_and_may_write_nothing(at: MemoryDesk) -> None:
    pair = await at.pair("a", "b")
    (old,) = await claim_due(at)
    sharing = await at.pair("b", "c")
    at.app.clock.advance(seconds=16)
    (new,) = [claim for claim in await claim_due(at) if claim.pair_id == pair]
    assert new.generation == old.generation + 2, "once for its end, once for the new claim"
    with pytest.raises(ClaimLost):
        async with Hold(at.app.db, old).write():
            pytest.fail("a claim that was ended lets nobody in")
    async with Hold(at.app.db, new).write() as db:
        await db.execute(update(pairs).where(pairs.c.id == sharing).values(quiet_state="written"))
    assert (await at.app.row(pairs, sharing)).quiet_state == "written"


async def test_a_claim_of_a_neighbour_ends_a_lapsed_one(at: MemoryDesk) -> None:
    """Else its holder could wake up and write to a calendar that another has in use."""
    pair = await at.pair("a", "b")
    (old,) = await claim_due(at)
    await at.app.change_pair(pair, due_at=None)
    neighbour = await at.pair("b", "c")
    at.app.clock.advance(seconds=16)
    assert ids(await claim_due(at)) == {neighbour}
    with pytest.raises(ClaimLost):
        async with Hold(at.app.db, old).write():
            pytest.fail("its calendar is another's by now")


async def test_a_renewed_claim_does_not_lapse(at: MemoryDesk) -> None:
    pair = await at.pair()
    (claim,) = await claim_due(at)
    gone = Claim(pair, claim.generation - 1, None, due=True)
    at.app.clock.advance(seconds=10)
    async with at.app.db.write() as db:
        assert await claims.renew(db, [claim, gone], at.app.clock() + LEASE) == {claim}
    at.app.clock.advance(seconds=10)
    assert await claim_due(at) == []


async def test_what_is_given_back_is_due_as_before_and_its_orders_stand(at: MemoryDesk) -> None:
    pair = await at.pair()
    await order(at, pair, "sync_1")
    (claim,) = await claim_due(at)
    async with at.app.db.write() as db:
        await claims.give_back(db, [claim])
    (again,) = await claim_due(at)
    async with at.app.db.read() as db:
        (placed,) = await orders.open_orders(db, [pair])
    assert (placed.sync_id, placed.generation) == ("sync_1", again.generation)
    assert again.due_at == claim.due_at


async def test_settling_ends_the_claim_unless_somebody_made_the_pair_due(at: MemoryDesk) -> None:
    quiet, changed = await at.pair("a", "b"), await at.pair("c", "d")
    held = {claim.pair_id: claim for claim in await claim_due(at)}
    later = at.app.clock() + timedelta(minutes=5)
    changed_at = at.app.clock() + timedelta(seconds=1)
    await at.app.change_pair(changed, due_at=changed_at)
    for claim in held.values():
        async with at.app.db.write() as db:
            await claims.settle(db, claim, {}, release=True, next_due_at=later)
    assert await _due_at(at, quiet) == later
    assert await _due_at(at, changed) == changed_at
    async with at.app.db.write() as db:
        with pytest.raises(ClaimLost):
            await claims.settle(db, held[quiet], {}, release=True, next_due_at=later)


async def test_an_order_makes_a_pair_claimable_that_is_not_due(at: MemoryDesk) -> None:
    pair = await at.pair()
    await at.app.change_pair(pair, due_at=None)
    assert await claim_due(at) == []
    await order(at, pair, "sync_1")
    (claim,) = await claim_due(at)
    assert not claim.due


async def test_an_order_joins_one_that_waits_and_none_that_was_taken_up(at: MemoryDesk) -> None:
    pair = await at.pair()
    assert await order(at, pair, "sync_1") == "sync_1"
    assert await order(at, pair, "sync_2") == "sync_1"
    assert await order(at, pair, "sync_3", dry_run=True) == "sync_3"
    await claim_due(at)
    assert await order(at, pair, "sync_4") == "sync_4"


async def test_those_who_claim_at_the_same_time_get_different_pairs(at: MemoryDesk) -> None:
    """Each chain of pairs hangs together by its calendars: one claimer gets all of it that it may."""
    for number in range(30):
        await at.add(f"x{number}")
    wanted = {await at.pair(f"x{number}", f"x{number + 1}") for number in range(29)}
    claimed = await asyncio.gather(*(claim_due(at, limit=3) for _ in range(6)))
    taken = [claim.pair_id for each in claimed for claim in each]
    assert len(taken) == len(set(taken)) <= len(wanted)
    async with at.app.db.read() as db:
        rows = (await db.execute(select(pairs).where(pairs.c.id.in_(taken)))).all()
    holders: dict[str, set[int]] = {}
    for number, each in enumerate(claimed):
        for row in (row for row in rows if row.id in ids(each)):
            for calendar in (row.calendar_a, row.calendar_b):
                holders.setdefault(calendar, set()).add(number)
    assert all(len(numbers) == 1 for numbers in holders.values())


async def test_a_clock_set_back_leaves_pauses_alone(at: MemoryDesk) -> None:
    late, paused = await at.pair("a", "b"), await at.pair("c", "d")
    far = at.app.clock() + timedelta(hours=2)
    await at.app.change_pair(late, due_at=far)
    await at.app.change_pair(paused, due_at=far, status="paused", resume_at=far)
    latest = at.app.clock() + timedelta(minutes=5)
    async with at.app.db.write() as db:
        await pull_in(db, latest, latest, far)
    assert [await _due_at(at, pair) for pair in (late, paused)] == [latest, far]


async def test_a_clock_set_back_leaves_pairs_of_which_changes_are_told_their_slower_pace(
    at: MemoryDesk,
) -> None:
    await at.add("e")
    half, whole, slow = await at.pair("a", "b"), await at.pair("b", "c"), await at.pair("c", "e")
    soon, later = at.app.clock() + timedelta(minutes=5), at.app.clock() + timedelta(minutes=30)
    between, far = later - timedelta(minutes=1), at.app.clock() + timedelta(hours=2)
    for name in ("b", "c", "e"):
        async with at.app.db.write() as db:
            await update_connection(db, at.connections[name], watched_until=far)
    for pair, due_at in ((half, between), (whole, far), (slow, between)):
        await at.app.change_pair(pair, due_at=due_at)
    async with at.app.db.write() as db:
        await pull_in(db, soon, soon, later)
    assert [await _due_at(at, pair) for pair in (half, whole, slow)] == [soon, soon, between]


async def test_what_a_clock_has_put_off_is_pulled_in_in_batches(at: MemoryDesk) -> None:
    wanted = [await at.pair(*ends) for ends in (("a", "b"), ("b", "c"), ("c", "d"))]
    latest, batches = at.app.clock() + timedelta(minutes=5), [at.app.clock() + timedelta(n) for n in range(2)]
    for number, pair in enumerate(wanted):
        await at.app.change_pair(pair, due_at=latest + timedelta(hours=1 + number // 2))
    since: datetime | None = None
    for due_at in batches:
        async with at.app.db.write() as db:
            since = await pull_in(db, due_at, latest, latest, since=since, limit=2)
        assert (since is None) is (due_at is batches[-1])
    assert sorted([await _due_at(at, pair) for pair in wanted]) == sorted([*batches[:1] * 2, batches[1]])


async def _due_at(at: MemoryDesk, pair: str) -> datetime:
    due_at: datetime = (await at.app.row(pairs, pair)).due_at
    return due_at


async def test_a_run_without_a_change_writes_three_rows(at: MemoryDesk) -> None:
    """The claim, the log and the settled pair; the second run finds nothing, the first one had to plan."""
    await at.pair("a", "b")
    pair = await at.pair("c", "d")
    await at.app.sync(pair)
    written: list[int] = []

    def count(conn: object, cursor: object, statement: str, *_: object) -> None:
        if statement.split(maxsplit=1)[0] in ("INSERT", "UPDATE", "DELETE", "WITH"):
            written.append(cursor.rowcount)  # type: ignore[attr-defined]

    engines = at.app.db._engine.engines
    for engine in engines:
        event.listen(engine.sync_engine, "after_cursor_execute", count)
    await at.app.sync(pair)
    for engine in engines:
        event.remove(engine.sync_engine, "after_cursor_execute", count)
    assert sum(written) == 3


async def test_claims_and_migrations_do_not_wait_for_each_other() -> None:
    assert claiming.CLAIMS_LOCK != postgresql_migration._LOCK


async def test_those_who_were_ordered_first_go_first(at: MemoryDesk) -> None:
    late, early = await at.pair("a", "b"), await at.pair("c", "d")
    await order(at, early, "sync_1")
    at.app.clock.advance(seconds=1)
    await order(at, late, "sync_2")
    now = at.app.clock()
    async with at.app.db.write() as db:
        taken = await claiming.claim_ordered(db, now, now + LEASE, Places(1, 1), worker=WORKER)
    assert ids(taken.claims) == {early}


async def test_nobody_orders_a_run_of_a_pair_that_is_not_there_or_another_tenants(at: MemoryDesk) -> None:
    pair = await at.pair()
    placed = {"pair_id": pair, "trigger": "api", "full": False, "confirm": False, "dry_run": False}
    for tenant, pair_id in ((Tenant(at.account, "test"), pair), (Tenant(at.account, "live"), "pair_gone")):
        async with at.app.db.write() as db:
            wanted = {**placed, "pair_id": pair_id, "sync_id": "sync_1", "created_at": at.app.clock()}
            assert await orders.place(db, tenant, wanted) is None


async def test_what_is_done_stays_told_as_it_was(at: MemoryDesk) -> None:
    pair = await at.pair()
    await order(at, pair, "sync_1")
    await order(at, pair, "sync_2", dry_run=True)
    now = at.app.clock()
    async with at.app.db.write() as db:
        await orders.finish(db, "sync_1", {"sync_id": "sync_1", "status": "success"}, now)
        await orders.finish_all(db, pair, {"sync_id": "", "status": "failed"}, now)
        told = await orders.reports(db, ["sync_1", "sync_2"])
    assert told["sync_1"]["status"] == "success"
    assert told["sync_2"] == {"sync_id": "sync_2", "status": "failed"}


async def test_a_lease_from_a_clock_that_ran_ahead_does_not_last_longer_than_any(at: MemoryDesk) -> None:
    pair = await at.pair()
    await claim_due(at)
    at.app.clock.advance(hours=-1)
    async with at.app.db.write() as db:
        await shorten_leases(db, at.app.clock() + LEASE, at.app.clock())
    at.app.clock.advance(seconds=16)
    assert ids(await claim_due(at)) == {pair}
