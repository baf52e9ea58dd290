"""A pair whose two ends are hardly ever at rest together gets its turn all the same, within a bounded time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given as any_given
from hypothesis import strategies as st
from sqlalchemy import update

from calendarsync.store import claiming, claims, given, orders, reserving
from calendarsync.store.claims import Claim
from calendarsync.store.fairness import Places
from calendarsync.store.reserving import AGAIN, KEPT, PATIENCE, is_kept_at
from calendarsync.store.tables import connections, pairs
from tests.store.test_claims import order
from tests.testbed.memory_desk import MemoryDesk, memory_desk

LEASE = timedelta(seconds=15)
HERE, THERE = "worker_here", "worker_there"


class Workers:
    """They claim once a second, by turns, and each run takes so many seconds; then its pair is due again."""

    def __init__(self, at: MemoryDesk, seconds: int, *names: str) -> None:
        self.at = at
        self.seconds = seconds
        self.names = names
        self.second = 0
        self.runs: dict[Claim, tuple[str, int]] = {}
        self.begun: list[tuple[int, str, str]] = []

    async def step(self) -> None:
        self.at.app.clock.advance(seconds=1)
        self.second += 1
        now = self.at.app.clock()
        for claim, (_, began) in list(self.runs.items()):
            async with self.at.app.db.write() as db:
                if self.second - began >= self.seconds:
                    await claims.settle(db, claim, {}, release=True, next_due_at=now)
                    await orders.finish_all(db, claim.pair_id, {"status": "success"}, now)
                    del self.runs[claim]
                else:
                    await claims.renew(db, [claim], now + LEASE)
        # Who claims first is another one each second.
        for name in (
            *self.names[self.second % len(self.names) :],
            *self.names[: self.second % len(self.names)],
        ):
            await self.claim(name)

    async def claim(self, name: str, limit: int = 100) -> None:
        now, places = self.at.app.clock(), Places(1000, limit)
        taken = []
        async with self.at.app.db.write() as db:
            if len(self.names) > 1:
                taken += await given.take_given(db, name, now, now + LEASE, ahead=timedelta(0))
            until = now + LEASE
            ordered = await claiming.claim_ordered(db, now, until, places, worker=name)
            due = await claiming.claim_due(db, now, until, places, worker=name, ahead=timedelta(0))
            taken += [*ordered.claims, *due.claims]
        for claim in taken:
            self.runs[claim] = (name, self.second)
            self.begun.append((self.second, name, claim.pair_id))

    def seconds_of(self, pair_id: str) -> list[int]:
        return [second for second, _, each in self.begun if each == pair_id]


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(database_url, *"abcdefghij") as desk:
        yield desk


async def grant(at: MemoryDesk, **grants: str) -> None:
    async with at.app.db.write() as db:
        for name, grant_id in grants.items():
            mine = connections.c.id == at.connections[name]
            await db.execute(update(connections).where(mine).values(grant_id=grant_id))


@pytest.mark.parametrize("ordered", [False, True], ids=["due", "ordered"])
@pytest.mark.parametrize("other_way", [False, True], ids=["forth", "back"])
async def test_a_pair_between_two_grants_that_are_always_at_work_gets_its_turn(
    postgresql_database: str, ordered: bool, other_way: bool
) -> None:
    """In two processes, each of which has one of them: two pairs of it, that are by turns at work."""
    async with memory_desk(postgresql_database, *"abcdefghij") as at:
        await grant(at, **dict.fromkeys("acei", "grant_1"), **dict.fromkeys("bdfj", "grant_2"))
        mine, theirs = [await at.pair("a", "g")], [await at.pair("b", "h")]
        workers = Workers(at, 4, HERE, THERE)
        await workers.claim(HERE, 1)
        await workers.claim(THERE, 1)
        await workers.step()
        await workers.step()
        # They begin two seconds later, and so neither grant is ever at rest.
        mine.append(await at.pair("c", "i"))
        theirs.append(await at.pair("d", "j"))
        await workers.step()
        homes = {each: name for _, name, each in workers.begun}
        assert [homes[each] for each in mine] != [homes[each] for each in theirs]
        between = await at.pair(*("fe" if other_way else "ef"))
        asked = workers.second
        if ordered:
            await at.app.change_pair(between, due_at=None)
            await order(at, between, "sync_1")
        for _ in range(20):
            await workers.step()
        (first, *_) = workers.seconds_of(between)
        assert PATIENCE.seconds <= first - asked <= PATIENCE.seconds + 4 + 2
        assert all(max(workers.seconds_of(each)) > first for each in (*mine, *theirs)), "they go on"
        going_on = sorted(
            second for each in (mine if other_way else theirs) for second in workers.seconds_of(each)
        )
        gaps = [later - sooner for sooner, later in pairwise(going_on) if sooner < first]
        assert max(gaps) <= 3, "with the grant of its end b, meanwhile too"


@pytest.mark.parametrize("ordered", [False, True], ids=["due", "ordered"])
async def test_a_pair_between_two_calendars_that_are_never_at_rest_together_gets_its_turn(
    at: MemoryDesk, ordered: bool
) -> None:
    workers = Workers(at, 4, HERE)
    mine = await at.pair("a", "c")
    await workers.step()
    await workers.step()
    theirs = await at.pair("b", "d")
    await workers.step()
    between = await at.pair("a", "b")
    asked = workers.second
    if ordered:
        await at.app.change_pair(between, due_at=None)
        await order(at, between, "sync_1")
    for _ in range(30):
        await workers.step()
    (first, *_) = workers.seconds_of(between)
    assert PATIENCE.seconds <= first - asked <= PATIENCE.seconds + 2 * 4 + 2
    assert all(max(workers.seconds_of(each)) > first for each in (mine, theirs)), "they go on"


async def test_what_takes_minutes_at_one_end_does_not_hold_up_the_other_for_all_of_it(at: MemoryDesk) -> None:
    """Nor does the pair lose its turn, when that comes to its end."""
    long, between = await at.pair("a", "c"), await at.pair("a", "b")
    await at.app.change_pair(between, due_at=None)
    workers = Workers(at, 1000, HERE)
    await workers.step()
    workers.seconds = 2
    other = await at.pair("b", "d")
    await at.app.change_pair(between, due_at=at.app.clock())
    (claim,) = workers.runs
    workers.runs[claim] = (HERE, 100)
    for _ in range(100):
        await workers.step()
    begun = workers.seconds_of(other)
    longest = max(later - sooner for sooner, later in pairwise(begun))
    assert KEPT.seconds < longest <= KEPT.seconds + 4
    assert len(begun) > (100 - 2 * KEPT.seconds) / 2 - 4
    for _ in range(AGAIN.seconds):
        await workers.step()
    assert workers.seconds_of(between)
    assert workers.seconds_of(long)


@pytest.mark.parametrize("how", ["paused", "not due any more"])
async def test_no_turn_is_kept_for_what_waits_no_longer(at: MemoryDesk, how: str) -> None:
    await at.pair("a", "c")
    await at.pair("b", "d")
    workers = Workers(at, 1000, HERE)
    await workers.step()
    between = await at.pair("a", "b")
    for _ in range(PATIENCE.seconds + 2):
        await workers.step()
    row = await at.app.row(pairs, between)
    assert (row.worker, row.given) == (None, True)
    assert row.leased_until is not None
    values = {"status": "paused", "due_at": None} if how == "paused" else {"due_at": at.app.clock() + LEASE}
    await at.app.change_pair(between, **values)
    await workers.step()
    row = await at.app.row(pairs, between)
    assert (row.leased_until, row.worker, row.given) == (None, None, False)
    assert not workers.seconds_of(between)


async def test_turns_that_need_the_same_calendar_are_kept_one_after_the_other(at: MemoryDesk) -> None:
    """The one that has waited longest first; and whoever has one waits for no other."""
    await at.pair("a", "c")
    await at.pair("b", "d")
    await at.pair("e", "g")
    workers = Workers(at, 1000, HERE)
    await workers.step()
    first = await at.pair("a", "b")
    await workers.step()
    second, third = await at.pair("b", "e"), await at.pair("e", "a")
    for _ in range(PATIENCE.seconds + 3):
        await workers.step()
    kept = {each: (await at.app.row(pairs, each)).given for each in (first, second, third)}
    assert kept == {first: True, second: False, third: False}
    workers.seconds = 1
    for _ in range(3 * PATIENCE.seconds):
        await workers.step()
    begun = [each for _, _, each in workers.begun if each in kept]
    assert begun[0] == first
    assert set(begun) == kept.keys()


@pytest.mark.parametrize("before", [0, 1])
async def test_accounts_have_turns_one_after_the_other(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """However many pairs of one of them have waited for longer than the other's."""
    monkeypatch.setattr(reserving, "MOST_KEPT", 2)
    many = [await at.pair(*ends) for ends in ("ab", "cd", "ef")]
    one = await at.pair("g", "h")
    other = await at.app.account()
    now = at.app.clock()
    for pair, account, waited in (*((each, at.account, 3) for each in many), (one, other, 0)):
        since = now - PATIENCE - timedelta(seconds=waited)
        await at.app.change_pair(pair, account_id=account, due_at=since)
    kept = [await at.app.row(pairs, each) for each in many[:before]]
    async with at.app.db.write() as db:
        await reserving.keep_turns(db, [*many[before:], one], kept, now)
    has_turn = [each for each in (*many, one) if (await at.app.row(pairs, each)).given]
    assert len(has_turn) == 2 - before
    assert one in has_turn


@any_given(seconds=st.floats(0, 10_000))
def test_a_turn_is_kept_again_and_again_until_it_is_had(seconds: float) -> None:
    since = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
    now = since + timedelta(seconds=seconds)
    moments = [now + timedelta(seconds=each) for each in range(AGAIN.seconds)]
    kept = sum(is_kept_at(each, since) for each in moments)
    if seconds >= PATIENCE.seconds:
        assert kept == KEPT.seconds
    assert is_kept_at(since, since) is False
    assert is_kept_at(now, now + timedelta(seconds=1)) is False, "a clock that was set back"
