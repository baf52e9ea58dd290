"""Polls of all workers share a project's quota; what was ordered never waits (rules 24 and 27)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from calendarsync.jobs.deliveries import Deliverer
from calendarsync.jobs.quotas import Quotas
from calendarsync.jobs.results import Results
from calendarsync.jobs.wakeups import Wakeups
from calendarsync.jobs.worker import Worker
from calendarsync.store.claims import settle
from calendarsync.store.database import DatabaseUnavailable
from calendarsync.store.neighbours import hold_back_grant
from calendarsync.store.tables import pairs
from calendarsync.webhooks.delivery import Sender
from tests.jobs.conftest import POLL_SECONDS, Gate, Workplace
from tests.jobs.quota_desk import (
    SECOND,
    claim,
    due,
    granted,
    moments,
    polled,
    quotas_of,
    turns,
    use,
)
from tests.store.watching import watching
from tests.testbed.memory_desk import MemoryDesk


@pytest.fixture
async def working(at: MemoryDesk) -> AsyncIterator[Workplace]:
    """A worker under a quota; not started."""
    db, engine = at.app.db, at.app.engine
    wakeups, results = Wakeups(db), Results(db)
    deliverer = Deliverer(db, Sender(at.app.keyring, at.app.http, db.now))
    worker = Worker(
        *(db, engine, wakeups, results),
        deliverer=deliverer,
        poll_seconds=POLL_SECONDS,
        quotas=quotas_of(at),
    )
    made = Workplace(at, wakeups, results, worker)
    yield made
    await made.close()


@pytest.mark.rule(27)
async def test_polls_beyond_the_quota_come_one_by_one_each_at_its_turn(
    at: MemoryDesk, working: Workplace, gate: Gate
) -> None:
    gate.open.set()
    made = await polled(at, 6)
    await working.worker.start()
    await working.until_logged(3)
    async with asyncio.timeout(20):
        while (await turns(at, made)).count(None) > 3:  # noqa: ASYNC110 - it is written after the runs began
            await asyncio.sleep(0.02)
    waiting = [turn for turn in await turns(at, made) if turn is not None]
    assert sorted(waiting) == [3, 4, 5]
    assert gate.readings == 6, "of those that wait nothing is asked"
    assert await working.runner.lateness() == 0, "who waits for a turn is not late"
    for count in (4, 5, 6):
        at.app.clock.advance(seconds=3 if count == 4 else 1)
        await working.tick()
        await working.until_logged(count)
    for pair in made:
        await working.until_free(pair)
    assert await turns(at, made) == [None] * 6


async def test_what_is_ordered_never_waits_and_its_turn_is_no_more(
    at: MemoryDesk, working: Workplace
) -> None:
    (pair,) = await polled(at, 1)
    sent = Counter[str]()
    await use(at, quotas_of(at, sent), sent, "grant_g0", 60)
    await working.worker.start()
    async with asyncio.timeout(20):
        while await turns(at, [pair]) == [None]:  # noqa: ASYNC110 - a row has no event
            await asyncio.sleep(0.02)
    assert (await working.report(pair, dry_run=True)).status == "success"
    await working.until_free(pair)
    assert await turns(at, [pair]) == [60], "a dry run is no poll"
    assert (await working.report(pair)).status == "success"
    await working.until_free(pair)
    assert await turns(at, [pair]) == [None]
    at.app.clock.advance(seconds=61)
    await working.tick()
    assert await working.logged() == 1, "it has been polled"


async def test_the_processes_of_an_installation_share_a_quota(at: MemoryDesk) -> None:
    made = await polled(at, 12)
    taken = [await claim(at, 3) for _ in range(4)]
    waiting = await asyncio.gather(*(each.ask(quotas_of(at)) for each in taken))
    assert sum(map(len, waiting)) == 9
    assert sorted(turn for turn in await turns(at, made) if turn is not None) == [*range(3, 12)]
    # A restart forgets nothing.
    assert sorted(moment for _, moment in (await moments(at)).values()) == [12]


async def test_a_quota_that_is_lowered_or_raised_counts_from_then_on(at: MemoryDesk) -> None:
    await polled(at, 4)
    assert len(await (await claim(at)).ask(quotas_of(at))) == 1
    made = await polled(at, 3, first=4)
    assert len(await (await claim(at)).ask(quotas_of(at, per_minute=15))) == 3
    slow = [turn for turn in await turns(at, made) if turn is not None]
    assert slow == [6, 11], "twelve a minute"


async def test_calendars_that_count_for_no_project_cost_no_statement(at: MemoryDesk) -> None:
    pair = await at.pair()
    await due(at, [pair])
    taken, quotas = await claim(at), quotas_of(at)
    with watching() as seen:
        assert await taken.ask(quotas) == set()
        await quotas.write_down()
    assert seen == []


async def test_a_round_asks_once_for_all_its_polls(at: MemoryDesk) -> None:
    """Four statements, however many polls, once it is known whose the grants are."""
    made = await polled(at, 3)
    quotas = quotas_of(at)
    await (await claim(at)).ask(quotas)
    for pair_id in made:
        await at.app.change_pair(pair_id, leased_until=None)
    at.app.clock.advance(minutes=5)
    await due(at, made)
    taken = await claim(at)
    with watching() as seen:
        assert await taken.ask(quotas) == set()
    assert len(seen) <= 3


@pytest.mark.rule(28)
async def test_pairs_on_one_connection_are_read_together_and_ask_once(at: MemoryDesk) -> None:
    await granted(at, "hub")
    made = []
    for number in range(8):
        await at.add(f"c{number}")
        made.append(await at.pair("hub", f"c{number}"))
    await due(at, made)
    assert await (await claim(at)).ask(quotas_of(at)) == set()
    assert [used for used, _ in (await moments(at)).values()] == [1]


async def test_urgent_requests_put_a_turn_off_once_and_its_place_is_kept(at: MemoryDesk) -> None:
    made = await polled(at, 5)
    sent = Counter[str]()
    quotas = quotas_of(at, sent)
    await (await claim(at)).ask(quotas)
    assert await turns(at, made) == [None, None, None, 3, 4]
    await use(at, quotas, sent, "grant_g0", 33)
    at.app.clock.advance(seconds=4)
    claimed = await claim(at)
    assert len(await claimed.ask(quotas)) == 2
    rows = [await at.app.row(pairs, pair_id) for pair_id in made[3:]]
    ahead = [(row.due_at - at.app.clock()).total_seconds() for row in rows]
    assert ahead == [29, 30], "33 that were sent, less 3 that turns stood for, and the 3 themselves"
    await use(at, quotas, sent, "grant_g0", 100)
    at.app.clock.advance(seconds=30)
    put_off = {each.pair_id for each in await (await claim(at)).ask(quotas)}
    assert not put_off.intersection(made[3:]), "its place is kept"


@pytest.mark.rule(24)
async def test_a_turn_waits_with_its_grant_and_is_no_place_that_was_kept(at: MemoryDesk) -> None:
    """Else all that a grant was held back for would start without asking once that is over."""
    made = await polled(at, 2)
    taken = await claim(at)
    ends = {pair.id: taken.ends[pair.connection_a_id] for pair in taken.polls.values()}
    soon, until = at.app.clock() + 2 * SECOND, at.app.clock() + timedelta(minutes=1)
    await at.app.change_pair(made[0], due_at=soon, turn_at=soon)
    async with at.app.db.write() as db:
        for pair_id in made:
            await hold_back_grant(db, ends[pair_id], until)
    rows = [await at.app.row(pairs, pair_id) for pair_id in made]
    assert [(row.due_at, row.turn_at) for row in rows] == [(until, until), (until, None)]


async def test_polls_that_wait_are_logged_together(at: MemoryDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    quotas, waiting = quotas_of(at), []
    with capture_logs() as logged:
        for first in (0, 5, 10):
            await polled(at, 5, first=first)
            if first == 10:
                monkeypatch.setattr(quotas, "_tell_at", 0.0)
            waiting.append(len(await (await claim(at)).ask(quotas)))
    assert all(waiting)
    assert [each["polls"] for each in logged] == [waiting[0], waiting[1] + waiting[2]]


async def test_a_pair_that_was_paused_meanwhile_stays_so(at: MemoryDesk) -> None:
    made = await polled(at, 4)
    claimed = await claim(at)
    await at.app.change_pair(made[3], status="paused", due_at=None, turn_at=None)
    await claimed.ask(quotas_of(at))
    row = await at.app.row(pairs, made[3])
    assert (row.status, row.due_at, row.turn_at, row.leased_until) == ("paused", None, None, None)


async def test_a_claim_that_was_lost_meanwhile_is_left_to_whoever_has_it(at: MemoryDesk) -> None:
    made = await polled(at, 4)
    claimed = await claim(at)
    hold = await at.app.hold(made[3])
    before = await at.app.row(pairs, made[3])
    await claimed.ask(quotas_of(at))
    assert await at.app.row(pairs, made[3]) == before
    assert before.generation == hold.claim.generation


async def test_new_and_changed_pairs_pass_the_queue(at: MemoryDesk) -> None:
    made = await polled(at, 40)
    quotas = quotas_of(at)
    await (await claim(at)).ask(quotas)
    at.app.clock.advance(seconds=3)
    (new,) = await polled(at, 1, first=40)
    await due(at, [new], quiet_state=None, last_synced_at=None)
    taken = await claim(at)
    assert new not in {each.pair_id for each in await taken.ask(quotas)}
    assert (await turns(at, made))[-1] is not None


async def test_a_poll_that_cannot_ask_is_due_again_at_once(
    at: MemoryDesk, working: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And holds up nothing that was ordered with it."""
    (poll,) = await polled(at, 1)
    ordered = await at.pair()
    asked = asyncio.Event()

    async def unavailable(*_: object) -> None:
        asked.set()
        raise DatabaseUnavailable("away")

    ticket = await working.trigger(ordered)
    with monkeypatch.context() as patched:
        patched.setattr(Quotas, "turns", unavailable)
        await working.worker.start()
        await asyncio.wait_for(asked.wait(), 20)
        assert (await asyncio.wait_for(ticket.done, 20)).status == "success"
    working.worker.wake()
    await working.until_logged(2)
    await working.until_free(poll)


@pytest.mark.rule(24)
async def test_a_refusal_of_the_whole_project_holds_up_its_polls_alone(
    at: MemoryDesk, working: Workplace
) -> None:
    await polled(at, 2)
    quotas = quotas_of(at)
    quotas.hold("grant_g0", at.app.clock() + timedelta(minutes=2))
    await quotas.write_down()
    assert list((await moments(at)).values()) == [(120, 120)]
    await working.worker.start()
    (first,) = await polled(at, 1, first=2)
    assert (await working.report(first)).status == "success"


async def test_processes_that_come_and_go_keep_to_one_quota(at: MemoryDesk) -> None:
    """Four of them, one of which is new each time, for half a minute: what starts, starts at its share."""
    made = await polled(at, 40)
    processes, started = [quotas_of(at) for _ in range(4)], list[datetime]()
    for second in range(25):
        taken = [await claim(at, 12) for _ in processes]
        waiting = await asyncio.gather(
            *(each.ask(quotas) for each, quotas in zip(taken, processes, strict=True))
        )
        begun = [
            each for some, put_off in zip(taken, waiting, strict=True) for each in some.polls.keys() - put_off
        ]
        started += [at.app.clock()] * len(begun)
        async with at.app.db.write() as db:
            for each in begun:
                await settle(db, each, {}, release=True, next_due_at=at.app.clock() + timedelta(days=1))
        processes[second % 4] = quotas_of(at)
        at.app.clock.advance(seconds=1)
    per_second = Counter(started)
    assert max(per_second.values()) <= 6
    assert 24 <= len(started) <= 25 + 5
    assert len([turn for turn in await turns(at, made) if turn is not None]) == 40 - len(started)
