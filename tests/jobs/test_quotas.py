"""Polls of all workers share a project's quota; what was ordered never waits (rules 24 and 27)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import insert, select, update

from calendarsync.jobs.deliveries import Deliverer
from calendarsync.jobs.process import running
from calendarsync.jobs.quotas import Quotas
from calendarsync.jobs.results import Results
from calendarsync.jobs.tidy import Tidy
from calendarsync.jobs.wakeups import Wakeups
from calendarsync.jobs.worker import Worker
from calendarsync.providers.base import RateLimited
from calendarsync.providers.tokens import Access
from calendarsync.settings import Settings
from calendarsync.store.claims import Claim, claim_due, settle
from calendarsync.store.database import DatabaseUnavailable
from calendarsync.store.fairness import Places
from calendarsync.store.schedule import ConnectionRecord, PairRecord, load_claimed
from calendarsync.store.tables import connections, delegations, grants, pairs, provider_quotas
from calendarsync.sync.inputs import Looked
from calendarsync.sync.run import Engine
from calendarsync.webhooks.delivery import Sender
from tests.jobs.conftest import POLL_SECONDS, Gate, Workplace
from tests.store.watching import watching
from tests.testbed.installation import FixedToken
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk

PER_MINUTE = 75
"""Polls have four fifths: one a second."""

SECOND = timedelta(seconds=1)
LEASE = timedelta(seconds=15)


def settings(per_minute: int = PER_MINUTE) -> Settings:
    return Settings(
        google_client_id="the-app",
        microsoft_client_id="another-app",
        google_requests_per_minute=per_minute,
        microsoft_requests_per_minute=per_minute,
    )


def quotas_of(at: MemoryDesk, sent: Counter[str] | None = None, *, per_minute: int = PER_MINUTE) -> Quotas:
    """Those of one process."""
    return Quotas(at.app.db, at.app.keyring, settings(per_minute), Counter() if sent is None else sent)


async def grant(at: MemoryDesk, name: str, *, provider: str = "google", through: str | None = None) -> str:
    """A person's grant, or one `through` a delegation with that display."""
    made: dict[str, Any] = {
        "account_id": at.account,
        "mode": "live",
        "provider": provider,
        "credentials_encrypted": b"",
        "created_at": at.app.clock(),
    }
    async with at.app.db.write() as db:
        if through is not None:
            delegation = {"id": f"dlg_{name}", "display": through, "domains": []}
            await db.execute(insert(delegations).values(made | delegation))
        own: dict[str, Any] = {
            "id": f"grant_{name}",
            "delegation_id": None if through is None else f"dlg_{name}",
            "subject_hash": name,
            "email": f"{name}@example.com",
            "scopes": [],
            "status": "active",
            "generation": 0,
        }
        await db.execute(insert(grants).values(made | own))
    return f"grant_{name}"


async def granted(at: MemoryDesk, name: str, **given: Any) -> str:
    """A calendar in memory that counts as one at Google."""
    await at.add(name)
    grant_id = await grant(at, name, **given)
    access = Access(FixedToken(grant_id), "http://127.0.0.1:1")
    at.app.grants[at.connections[name]] = access
    values = {"provider": given.get("provider", "google"), "grant_id": grant_id}
    async with at.app.db.write() as db:
        mine = connections.c.id == at.connections[name]
        await db.execute(update(connections).where(mine).values(values))
    return at.connections[name]


async def polled(at: MemoryDesk, count: int, *, first: int = 0) -> list[str]:
    """Pairs of a calendar at Google and another one, which have run before and are due."""
    made = []
    for number in range(first, first + count):
        await granted(at, f"g{number}")
        await at.add(f"c{number}")
        made.append(await at.pair(f"g{number}", f"c{number}"))
    await due(at, made)
    return made


async def due(at: MemoryDesk, pair_ids: Sequence[str], **values: Any) -> None:
    """They became due one after the other, just now."""
    now = at.app.clock()
    for number, pair_id in enumerate(pair_ids, start=1 - len(pair_ids)):
        due_at = now + timedelta(milliseconds=number)
        ran = {"last_synced_at": now, "quiet_state": str(Looked(0, 0, "", "")), "due_at": due_at}
        await at.app.change_pair(pair_id, **(ran | values))


@dataclass(frozen=True)
class Taken:
    """What a worker has claimed, as it hands it to the quotas."""

    polls: Mapping[Claim, PairRecord]
    ends: Mapping[str, ConnectionRecord]

    async def ask(self, quotas: Quotas) -> set[Claim]:
        return await quotas.turns(self.polls, self.ends)


async def claim(at: MemoryDesk, room: int = 64) -> Taken:
    now = at.app.clock()
    async with at.app.db.write() as db:
        places = Places(room, room)
        taken = await claim_due(db, now, now + LEASE, places, worker="here", ahead=30 * SECOND)
        return Taken(*await load_claimed(db, taken.claims))


async def moments(at: MemoryDesk) -> dict[str, tuple[float, float]]:
    """How many seconds ahead each project's clocks are."""
    async with at.app.db.read() as db:
        rows = (await db.execute(select(provider_quotas).order_by(provider_quotas.c.project))).all()
    now = at.app.clock()
    return {
        row.project: ((row.used_at - now).total_seconds(), (row.next_at - now).total_seconds())
        for row in rows
    }


async def use(at: MemoryDesk, quotas: Quotas, sent: Counter[str], grant_id: str, calls: int) -> None:
    sent[grant_id] += calls
    await quotas.write_down()


async def turns(at: MemoryDesk, pair_ids: Collection[str]) -> list[float | None]:
    rows = [await at.app.row(pairs, pair_id) for pair_id in pair_ids]
    return [row.turn_at and (row.turn_at - at.app.clock()).total_seconds() for row in rows]


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


@pytest.mark.rule(24)
async def test_requests_count_for_the_project_of_their_grant(at: MemoryDesk) -> None:
    await grant(at, "mine")
    await grant(at, "yours")
    await grant(at, "elsewhere", provider="microsoft")
    for name in ("first", "second"):
        await grant(at, name, through=f"{name}@project-1.iam.gserviceaccount.com")
    await grant(at, "third", through="sync@project-2.iam.gserviceaccount.com")
    await grant(at, "tenant", provider="microsoft", through="app-7 in example.com")
    sent = Counter(
        dict.fromkeys(
            ("grant_mine", "grant_yours", "grant_elsewhere", "grant_first", "grant_second", "grant_third"), 10
        )
        | {"grant_tenant": 10, "grant_gone": 10}
    )
    await quotas_of(at, sent).write_down()
    assert not sent
    found = await moments(at)
    by_provider = Counter[str]()
    for project in found:
        by_provider[project.partition(":")[0]] += 1
        assert not any(name in project for name in ("app", "project-", "gserviceaccount"))
    assert by_provider == {"google": 3, "microsoft": 2}
    assert sorted(used for used, _ in found.values()) == [10, 10, 10, 20, 20]


async def test_what_a_turn_stood_for_is_not_counted_again(at: MemoryDesk) -> None:
    await polled(at, 2)
    sent = Counter[str]()
    quotas = quotas_of(at, sent)
    assert await (await claim(at)).ask(quotas) == set()
    await use(at, quotas, sent, "grant_g0", 1)
    await use(at, quotas, sent, "grant_g1", 1)
    assert list((await moments(at)).values()) == [(2, 2)]
    await use(at, quotas, sent, "grant_g1", 5)
    assert list((await moments(at)).values()) == [(7, 7)]


async def test_what_a_turn_stood_for_is_not_kept_for_others(at: MemoryDesk) -> None:
    """A poll that sent nothing after all leaves nothing to triggers that come much later."""
    await polled(at, 2)
    sent = Counter[str]()
    quotas = quotas_of(at, sent)
    assert await (await claim(at)).ask(quotas) == set()
    for _ in range(10):
        await quotas.write_down()
    await use(at, quotas, sent, "grant_g0", 2)
    assert list((await moments(at)).values()) == [(4, 4)]


async def test_what_the_database_did_not_take_is_written_down_later(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await grant(at, "mine")
    sent = Counter({"grant_mine": 5})
    quotas = quotas_of(at, sent)
    with monkeypatch.context() as patched:
        patched.setattr(at.app.db, "write", _unavailable)
        with pytest.raises(DatabaseUnavailable):
            await quotas.write_down()
    sent["grant_mine"] += 2
    await quotas.write_down()
    assert [used for used, _ in (await moments(at)).values()] == [7]
    assert not sent


def _unavailable() -> None:
    raise DatabaseUnavailable("away")


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


async def test_a_clock_that_was_set_back_does_not_stop_polls_for_ever(at: MemoryDesk) -> None:
    await grant(at, "mine")
    sent = Counter({"grant_mine": 5})
    quotas = quotas_of(at, sent)
    await quotas.write_down()
    at.app.clock.advance(days=-1)
    await quotas.pull_in()
    assert list((await moments(at)).values()) == [(3600, 3600)]


async def test_a_process_counts_what_its_grants_send(at: MemoryDesk, database_url: str) -> None:
    grant_id = await grant(at, "mine")
    async with at.app.db.write() as db:  # by the clock of the process; an old one without a connection goes
        await db.execute(update(grants).values(created_at=datetime.now(UTC)))
    given = Settings(
        database_url=database_url, secret_key=SecretStr("s" * 32), public_url="https://c.example"
    )
    async with running(given, schedule=True) as process:
        process.grants.tokens(grant_id).sent(3)
        async with asyncio.timeout(20):
            while not await moments(at):  # noqa: ASYNC110 - a row has no event
                await asyncio.sleep(0.05)
        assert not process.grants.sent


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


async def test_a_project_that_nothing_is_asked_of_is_forgotten(at: MemoryDesk) -> None:
    for name, day in (("mine", 0), ("yours", 2)):
        at.app.clock.advance(days=day)
        grant_id = await grant(at, name, through=f"sync@{name}.iam.gserviceaccount.com")
        await quotas_of(at, Counter({grant_id: 5})).write_down()
    assert len(await moments(at)) == 2
    await Tidy(at.app.db).look()
    assert list((await moments(at)).values()) == [(5, 5)]


@pytest.mark.rule(24)
async def test_a_run_tells_of_a_refusal_that_is_the_projects(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await granted(at, "g")
    pair, held, refusal = await at.pair("g", "a"), list[str](), [RateLimited("slow down")]

    async def refused(*_: object, **__: object) -> None:
        raise refusal[-1]

    reader = replace(
        at.app.engine._reader,
        on_project_limit=lambda grant_id, until: held.append(grant_id),
    )
    at.app.engine = Engine(reader, at.app.engine._tools)
    monkeypatch.setattr(MemoryCalendar, "read", refused)
    assert (await at.app.run(pair)).status == "failed"
    assert held == []
    at.app.clock.advance(minutes=5)
    refusal.append(RateLimited("slow down", of_project=True))
    assert (await at.app.run(pair)).status == "failed"
    assert held == ["grant_g"]
