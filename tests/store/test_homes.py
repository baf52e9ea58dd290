"""All runs of a grant that are at work are in one process: for whom a pair is claimed, and who takes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from calendarsync.store import claiming, claims, homes, orders, quiet
from calendarsync.store import given as given_claims
from calendarsync.store.claims import Claim, ClaimLost
from calendarsync.store.fairness import Places
from calendarsync.store.homes import assign
from calendarsync.store.quiet import QuietEnd
from calendarsync.store.quotas import PutOff, put_off
from calendarsync.store.tables import connections, pairs
from calendarsync.store.tenancy import Tenant
from calendarsync.sync.hold import Hold
from tests.testbed.memory_desk import MemoryDesk, memory_desk

LEASE = timedelta(seconds=15)
HERE, THERE, ELSEWHERE = "worker_here", "worker_there", "worker_elsewhere"
NAMES = ("a", "b", "c", "d", "e", "f", "g", "h")


@pytest.fixture
async def at(postgresql_database: str) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(postgresql_database, *NAMES) as desk:
        yield desk


async def grant(at: MemoryDesk, **grants: str) -> None:
    """Let calendars be read with these grants, by their names."""
    async with at.app.db.write() as db:
        for name, grant_id in grants.items():
            mine = connections.c.id == at.connections[name]
            await db.execute(update(connections).where(mine).values(grant_id=grant_id))


async def claim(at: MemoryDesk, worker: str, limit: int = 100) -> set[str]:
    """The pairs that the schedule claims for this worker itself."""
    now = at.app.clock()
    async with at.app.db.write() as db:
        places, ahead = Places(1000, limit), timedelta(seconds=30)
        taken = await claiming.claim_due(db, now, now + LEASE, places, worker=worker, ahead=ahead)
    return {each.pair_id for each in taken.claims}


async def claim_ordered(at: MemoryDesk, worker: str) -> set[str]:
    now = at.app.clock()
    async with at.app.db.write() as db:
        taken = await claiming.claim_ordered(db, now, now + LEASE, Places(1000, 100), worker=worker)
    return {each.pair_id for each in taken.claims}


async def order(at: MemoryDesk, pair_id: str, sync_id: str) -> None:
    values = {"sync_id": sync_id, "pair_id": pair_id, "trigger": "api", "full": False, "confirm": False}
    async with at.app.db.write() as db:
        placed = {**values, "dry_run": False, "created_at": at.app.clock()}
        await orders.place(db, Tenant(at.account, "live"), placed)


async def take(at: MemoryDesk, worker: str) -> list[Claim]:
    now = at.app.clock()
    async with at.app.db.write() as db:
        return await given_claims.take_given(db, worker, now, now + LEASE, ahead=timedelta(seconds=30))


async def retire(at: MemoryDesk, worker: str, *at_work: Claim) -> None:
    async with at.app.db.write() as db:
        await given_claims.retire(db, worker, at_work)


async def held(at: MemoryDesk, pair_id: str) -> Claim:
    row = await at.app.row(pairs, pair_id)
    assert row.leased_until is not None
    return Claim(pair_id, row.generation, row.due_at, due=True)


async def free(at: MemoryDesk, pair_id: str) -> None:
    """Its run has come to its end."""
    hold = Hold(at.app.db, await held(at, pair_id))
    async with hold.write() as db:
        await claims.settle(db, hold.claim, {}, release=True, next_due_at=at.app.clock() + timedelta(hours=1))


async def test_a_pair_whose_grant_another_process_has_at_work_is_claimed_for_that_one(at: MemoryDesk) -> None:
    await grant(at, a="grant_1", c="grant_1")
    first = await at.pair("a", "b")
    assert await claim(at, THERE) == {first}
    second = await at.pair("c", "d")
    assert await claim(at, HERE) == set(), "it is for the other one"
    row = await at.app.row(pairs, second)
    assert (row.worker, row.given, row.generation) == (THERE, True, 1)
    assert await take(at, HERE) == []
    (taken,) = await take(at, THERE)
    assert (taken.pair_id, taken.generation, taken.due) == (second, 1, True)
    assert await take(at, THERE) == [], "each is taken once"
    assert not (await at.app.row(pairs, second)).given


async def test_a_pair_whose_grant_is_at_rest_or_here_is_claimed_for_who_claims_it(at: MemoryDesk) -> None:
    await grant(at, a="grant_1", c="grant_1", e="grant_1")
    first = await at.pair("a", "b")
    assert await claim(at, THERE) == {first}
    await free(at, first)
    second = await at.pair("c", "d")
    assert await claim(at, HERE) == {second}
    third = await at.pair("e", "f")
    assert await claim(at, HERE) == {third}


async def test_calendars_without_a_grant_are_not_bound(at: MemoryDesk) -> None:
    first, second = await at.pair("a", "b"), await at.pair("c", "d")
    assert await claim(at, THERE, 1) | await claim(at, HERE, 1) == {first, second}


@pytest.mark.parametrize("other_way", [False, True], ids=["a", "b"])
async def test_either_end_of_a_pair_binds_it(at: MemoryDesk, other_way: bool) -> None:
    await grant(at, a="grant_1", c="grant_1")
    first = await (at.pair("b", "a") if other_way else at.pair("a", "b"))
    assert await claim(at, THERE) == {first}
    second = await (at.pair("c", "d") if other_way else at.pair("d", "c"))
    assert await claim(at, HERE) == set()
    assert [each.pair_id for each in await take(at, THERE)] == [second]


async def test_an_order_is_given_with_its_pair(at: MemoryDesk) -> None:
    await grant(at, a="grant_1", c="grant_1")
    await at.pair("a", "b")
    await claim(at, THERE)
    second = await at.pair("c", "d")
    await at.app.change_pair(second, due_at=None)
    await order(at, second, "sync_1")
    assert await claim_ordered(at, HERE) == set()
    (taken,) = await take(at, THERE)
    assert (taken.pair_id, taken.due) == (second, False)
    async with at.app.db.read() as db:
        (placed,) = await orders.open_orders(db, [second])
    assert placed.generation == taken.generation


async def test_pairs_that_are_claimed_together_and_share_a_grant_are_for_one_process(at: MemoryDesk) -> None:
    """The first of them is bound by another grant; the second only by the first."""
    await grant(at, a="grant_1", c="grant_1", d="grant_2", e="grant_2")
    await at.pair("a", "b")
    await claim(at, THERE)
    both = {await at.pair("c", "d"), await at.pair("e", "f")}
    assert await claim(at, HERE) == set()
    assert {each.pair_id for each in await take(at, THERE)} == both


async def test_pairs_that_are_claimed_together_and_share_a_calendar_are_for_one_process(
    at: MemoryDesk,
) -> None:
    await grant(at, a="grant_1", c="grant_1")
    await at.pair("a", "b")
    await claim(at, THERE)
    both = {await at.pair("c", "d"), await at.pair("d", "e")}
    assert await claim(at, HERE) == set()
    assert {each.pair_id for each in await take(at, THERE)} == both


async def test_a_pair_between_grants_of_two_processes_waits_until_one_is_at_rest(at: MemoryDesk) -> None:
    await grant(at, a="grant_1", c="grant_2", e="grant_1", f="grant_2")
    first = await at.pair("a", "b")
    assert await claim(at, THERE) == {first}
    second = await at.pair("c", "d")
    assert await claim(at, ELSEWHERE) == {second}
    between = await at.pair("e", "f")
    await order(at, between, "sync_1")
    for worker in (HERE, THERE, ELSEWHERE):
        assert await claim_ordered(at, worker) | await claim(at, worker) == set()
    assert (await at.app.row(pairs, between)).generation == 0
    await free(at, first)
    assert await claim_ordered(at, HERE) == set()
    assert [each.pair_id for each in await take(at, ELSEWHERE)] == [between]


async def test_what_is_given_to_a_process_that_died_lapses_with_what_it_had_at_work(at: MemoryDesk) -> None:
    """Else claims that are given one after the other would keep the grant there for ever."""
    await grant(at, a="grant_1", c="grant_1", e="grant_1")
    first = await at.pair("a", "b")
    await claim(at, THERE)
    at.app.clock.advance(seconds=5)
    second = await at.pair("c", "d")
    assert await claim(at, HERE) == set()
    at.app.clock.advance(seconds=5)
    third = await at.pair("e", "f")
    assert await claim(at, HERE) == set()
    until = {(await at.app.row(pairs, each)).leased_until for each in (first, second, third)}
    assert len(until) == 1
    at.app.clock.advance(seconds=8)
    assert await take(at, THERE) == [], "it wakes up too late"
    assert await claim(at, HERE) == {first, second, third}


async def test_what_is_taken_counts_as_long_as_any_claim(at: MemoryDesk) -> None:
    await grant(at, a="grant_1", c="grant_1")
    await at.pair("a", "b")
    await claim(at, THERE)
    at.app.clock.advance(seconds=10)
    second = await at.pair("c", "d")
    await claim(at, HERE)
    await take(at, THERE)
    assert (await at.app.row(pairs, second)).leased_until == at.app.clock() + LEASE


async def test_a_process_that_retires_is_given_nothing_and_keeps_what_it_runs(at: MemoryDesk) -> None:
    await grant(at, a="grant_1", c="grant_1", e="grant_1", g="grant_2")
    first = await at.pair("a", "b")
    await claim(at, THERE)
    running = await held(at, first)
    second = await at.pair("c", "d")
    await claim(at, HERE)
    lost = await at.pair("g", "h")
    assert await claim(at, THERE) == {lost}, "and it never begins"
    await retire(at, THERE, running)
    assert await take(at, THERE) == []
    assert [(await at.app.row(pairs, each)).leased_until for each in (second, lost)] == [None, None]
    third = await at.pair("e", "f")
    await order(at, third, "sync_1")
    assert await claim_ordered(at, HERE) | await claim(at, HERE) == {lost}, "the grant is at work still"
    async with Hold(at.app.db, running).write():
        pass
    await free(at, first)
    assert await claim_ordered(at, HERE) == {third}
    assert await claim(at, HERE) == {second}


async def test_a_claim_that_is_given_while_its_process_retires_is_ended_or_not_made(at: MemoryDesk) -> None:
    """Whoever retires waits for claims that are being made, and sees them."""
    await grant(at, a="grant_1", c="grant_1")
    first = await at.pair("a", "b")
    await claim(at, THERE)
    running, second = await held(at, first), await at.pair("c", "d")
    now = at.app.clock()
    async with at.app.db.write() as db:
        places = Places(1000, 100)
        await claiming.claim_due(db, now, now + LEASE, places, worker=HERE, ahead=timedelta(seconds=30))
        retiring = asyncio.create_task(retire(at, THERE, running))
        waiting, _ = await asyncio.wait([retiring], timeout=0.3)
        assert not waiting, "it waits"
    await retiring
    assert (await at.app.row(pairs, second)).leased_until is None


async def test_what_others_hold_that_say_nothing_of_themselves_is_waited_for(at: MemoryDesk) -> None:
    """So a process of an earlier version claims."""
    await grant(at, a="grant_1", c="grant_1")
    first, second = await at.pair("a", "b"), await at.pair("c", "d")
    await at.app.change_pair(first, leased_until=at.app.clock() + LEASE)
    assert await claim(at, HERE) == set()
    await at.app.change_pair(first, leased_until=None, due_at=None)
    assert await claim(at, HERE) == {second}


@pytest.mark.parametrize("end", ["settled", "settled together", "put off", "given back", "lapsed"])
async def test_what_is_free_says_of_no_process_that_it_had_it(at: MemoryDesk, end: str) -> None:
    """A process of an earlier version leaves it there, and what it claims would count as that one's."""
    await grant(at, a="grant_1", c="grant_1")
    await at.pair("a", "b")
    await claim(at, THERE)
    pair = await at.pair("c", "d")
    assert await claim(at, HERE) == set()
    row = await at.app.row(pairs, pair)
    assert (row.worker, row.given) == (THERE, True)
    await let_go(at, await held(at, pair), end)
    row = await at.app.row(pairs, pair)
    assert (row.leased_until, row.worker, row.given) == (None, None, False)


async def let_go(at: MemoryDesk, held: Claim, end: str) -> None:
    now = at.app.clock()
    later = now + timedelta(hours=1)
    if end == "lapsed":
        at.app.clock.advance(seconds=20)
        await at.app.change_pair(held.pair_id, due_at=None)
        await claim(at, HERE)
        return
    async with at.app.db.write() as db:
        match end:
            case "settled":
                await claims.settle(db, held, {}, release=True, next_due_at=later)
            case "settled together":
                await quiet._settle_all(db, [QuietEnd(held, later, {})], now)
            case "put off":
                await put_off(db, [PutOff(held, later, later)])
            case _:
                await claims.give_back(db, [held])


async def test_a_lease_that_has_run_out_and_is_written_to_at_this_moment_binds_still(at: MemoryDesk) -> None:
    """It is not ended yet, and what would be given to it had lapsed before."""
    await grant(at, a="grant_1", c="grant_1")
    first = await at.pair("a", "b")
    await claim(at, THERE)
    running, second = await held(at, first), await at.pair("c", "d")
    at.app.clock.advance(seconds=16)
    async with Hold(at.app.db, running).write():
        assert await asyncio.create_task(claim(at, HERE)) == set()
    assert (await at.app.row(pairs, second)).generation == 0
    assert await claim(at, HERE) == {first, second}
    with pytest.raises(ClaimLost):
        async with Hold(at.app.db, running).write():
            pytest.fail("it was ended")


async def test_a_busy_process_is_given_orders_and_no_polls(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes, "MOST_GIVEN", 1)
    await grant(at, a="grant_1", c="grant_1", e="grant_1")
    await at.pair("a", "b")
    await claim(at, THERE)
    second, third = await at.pair("c", "d"), await at.pair("e", "f")
    assert await claim(at, HERE) == set()
    assert (await at.app.row(pairs, second)).generation == 0
    await order(at, third, "sync_1")
    assert await claim_ordered(at, HERE) == set()
    assert [each.pair_id for each in await take(at, THERE)] == [third]
    assert await claim(at, THERE) == {second}, "it claims what it has room for"


async def test_a_grant_in_two_processes_is_added_to_in_neither(at: MemoryDesk) -> None:
    """A connection that is authorized anew brings its pair's run to another grant."""
    await grant(at, a="grant_1", c="grant_2", e="grant_2")
    await at.pair("a", "b")
    await claim(at, THERE)
    await at.pair("c", "d")
    await claim(at, ELSEWHERE)
    await grant(at, a="grant_2")
    third = await at.pair("e", "f")
    assert await claim(at, HERE) == set()
    assert (await at.app.row(pairs, third)).generation == 0


THINGS = st.sampled_from("abcdefgh")
WORKERS = st.sampled_from([None, HERE, THERE, ELSEWHERE])


@given(
    bound=st.lists(st.frozensets(THINGS, max_size=4), max_size=8),
    at_work=st.dictionaries(THINGS, WORKERS),
)
def test_nothing_is_ever_in_two_processes_and_nothing_waits_without_need(
    bound: list[frozenset[str]], at_work: dict[str, str | None]
) -> None:
    by_pair = {f"pair_{number}": things for number, things in enumerate(bound)}
    assigned = assign(by_pair, at_work, HERE)
    workers: dict[str, set[str | None]] = {thing: {worker} for thing, worker in at_work.items()}
    for pair_id, worker in assigned.items():
        for thing in by_pair[pair_id]:
            workers.setdefault(thing, set()).add(worker)
    assert all(len(each) == 1 for each in workers.values())
    for pair_id in by_pair.keys() - assigned.keys():
        homes_of = set().union(*(workers.get(thing, set()) for thing in by_pair[pair_id]))
        assert len(homes_of) > 1 or homes_of == {None}
