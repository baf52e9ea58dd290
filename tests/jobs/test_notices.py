"""Notices: the genuine ones start one run each burst, and nothing tells the others apart (rule 27)."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select

from calendarsync.jobs import bursts, wakeups
from calendarsync.jobs import notices as notices_module
from calendarsync.jobs.notices import About, Notice, TooManyNotices
from calendarsync.jobs.worker import PAIR_ORDERED
from calendarsync.secrets import Keyring
from calendarsync.store.database import Database, DatabaseUnavailable
from calendarsync.store.tables import orders, pairs, runs
from tests.jobs.conftest import Gate, Workplace, workplace
from tests.jobs.standin import PROVIDER, StandIn, Watcher, grant, watcher
from tests.store.watching import watching
from tests.testbed import installation
from tests.testbed.events import event
from tests.testbed.memory_desk import MemoryDesk

pytestmark = pytest.mark.rule(27)


@pytest.fixture
async def here(at: MemoryDesk, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watcher]:
    """A channel to the calendar a of a pair, of which no run has been ordered yet."""
    monkeypatch.setattr(installation, "open_calendar", lambda *_, **__: None)  # the desk's are in memory
    monkeypatch.setattr(notices_module, "ANSWER_SECONDS", 30.0)  # no machine is too slow to know
    await at.pair()
    await grant(at, "a")
    standin = StandIn(at.app.clock)
    made = watcher(at, standin)
    await made.look()
    await made.ordered()
    async with at.app.db.write() as db:
        await db.execute(delete(orders))
    yield made
    await standin.close()


@pytest.fixture
async def at_work(at: MemoryDesk, here: Watcher) -> AsyncIterator[tuple[Watcher, Workplace]]:
    """The same beside a worker, which is woken by what is ordered."""
    async with workplace(at, schedule=False) as work:
        standin = here.standin
        yield watcher(at, standin, wakeups=work.wakeups), work
        await standin.close()


async def rows(at: MemoryDesk, table: Any) -> list[Any]:
    async with at.app.db.read() as db:
        return list((await db.execute(select(table))).all())


async def test_a_notice_starts_a_run_whose_log_says_so(
    at: MemoryDesk, at_work: tuple[Watcher, Workplace]
) -> None:
    here, work = at_work
    at.store("a").put("1.ics", event("one"))
    assert await here.notices.take(PROVIDER, [here.standin.notice()])
    await work.until_logged(1)
    (run,) = await rows(at, runs)
    assert (run.trigger, run.status, run.events_created) == ("push", "success", 1)
    assert len(at.store("b").resources) == 1


async def test_a_burst_of_a_hundred_is_one_run(
    at: MemoryDesk, at_work: tuple[Watcher, Workplace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bursts, "QUIET_SECONDS", 1.0)  # so that no machine is too slow for a burst
    monkeypatch.setattr(bursts, "PATIENCE_SECONDS", 60.0)
    here, work = at_work
    at.store("a").put("1.ics", event("one"))
    notice = here.standin.notice()
    assert all(await asyncio.gather(*(here.notices.take(PROVIDER, [notice]) for _ in range(100))))
    await work.until_logged(1)
    await work.until_free((await rows(at, pairs))[0].id)
    assert (await work.logged(), len(at.store("b").resources)) == (1, 1)


async def test_a_burst_that_does_not_end_is_acted_on(
    at: MemoryDesk, at_work: tuple[Watcher, Workplace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bursts, "QUIET_SECONDS", 60.0)
    here, work = at_work
    assert await here.notices.take(PROVIDER, [here.standin.notice()])
    await asyncio.sleep(bursts.PATIENCE_SECONDS / 2)
    assert await here.notices.take(PROVIDER, [here.standin.notice()])
    await work.until_logged(1)


async def test_whoever_is_told_of_what_is_ordered_already_is_woken_as_well(
    here: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looked for orders in this moment has passed by the pair, for it was locked."""
    sent: list[str] = []

    async def enqueue(_: object, sending: list[str]) -> None:
        sent.extend(sending)

    monkeypatch.setattr(wakeups, "_enqueue", enqueue)
    for _ in range(2):
        assert await here.notices.take(PROVIDER, [here.standin.notice()])
        assert await here.ordered() == 1
    assert sent == [PAIR_ORDERED, PAIR_ORDERED]


async def test_a_notice_during_a_run_starts_another_after_it(
    at: MemoryDesk, at_work: tuple[Watcher, Workplace], gate: Gate
) -> None:
    here, work = at_work
    assert await here.notices.take(PROVIDER, [here.standin.notice()])
    await asyncio.wait_for(gate.waiting.wait(), 20)
    at.store("a").put("late.ics", event("late"))
    for _ in range(3):
        assert await here.notices.take(PROVIDER, [here.standin.notice()])
    await here.ordered()
    gate.open.set()
    await work.until_logged(2)
    await work.until_free((await rows(at, pairs))[0].id)
    assert (await work.logged(), len(at.store("b").resources)) == (2, 1)


async def test_a_run_that_a_notice_of_our_own_write_starts_is_cheap_and_the_last(
    at: MemoryDesk, at_work: tuple[Watcher, Workplace]
) -> None:
    here, work = at_work
    at.store("a").put("1.ics", event("one"))
    for count in (1, 2):
        assert await here.notices.take(PROVIDER, [here.standin.notice()])
        await work.until_logged(count)
    writes = len(at.store("a").journal), len(at.store("b").journal)
    assert await here.notices.take(PROVIDER, [here.standin.notice()])
    await work.until_logged(3)
    last = max(await rows(at, runs), key=lambda run: (run.created_at, run.provider_requests == 2))
    assert last.provider_requests == 2, "one each connection"
    assert (len(at.store("a").journal), len(at.store("b").journal)) == writes


@pytest.mark.parametrize("status", ["paused", "needs_attention", "error"])
async def test_a_pair_that_is_not_active_is_left_alone(at: MemoryDesk, here: Watcher, status: str) -> None:
    await at.app.change_pair((await rows(at, pairs))[0].id, status=status)
    assert await here.notices.take(PROVIDER, [here.standin.notice()])
    assert await here.ordered() == 0


@pytest.mark.parametrize("name", ["a", "b"], ids=["whose calendar it is about", "at the other end"])
async def test_rule_25_a_connection_of_a_dead_grant_is_left_alone(
    at: MemoryDesk, here: Watcher, name: str
) -> None:
    await here.change(name, status="expired")
    assert await here.notices.take(PROVIDER, [here.standin.notice()])
    assert await here.ordered() == 0


async def test_rule_24_a_change_that_is_told_while_a_grant_rests_is_read_when_it_may_be(
    at: MemoryDesk, here: Watcher
) -> None:
    (pair,) = await rows(at, pairs)
    until = at.app.clock() + timedelta(minutes=3)
    await at.app.change_pair(pair.id, due_at=at.app.clock() + timedelta(minutes=30))
    await here.change("b", not_before=until)
    assert await here.notices.take(PROVIDER, [here.standin.notice()])
    assert await here.ordered() == 0
    assert (await at.app.row(pairs, pair.id)).due_at == until


async def test_what_only_tells_that_the_channel_is_there_starts_nothing(
    at: MemoryDesk, here: Watcher
) -> None:
    assert await here.notices.take(PROVIDER, [here.standin.notice(about=About.NOTHING, number=1)])
    assert await here.ordered() == 0


async def test_a_message_that_comes_once_more_starts_nothing(at: MemoryDesk, here: Watcher) -> None:
    for number, ordered in ((17, 1), (17, 0), (5, 0), (18, 1), (None, 1)):
        assert await here.notices.take(PROVIDER, [here.standin.notice(number=number)])
        assert await here.ordered() == ordered, number
        async with at.app.db.write() as db:
            await db.execute(delete(orders))


def forged(here: Watcher) -> dict[str, Notice]:
    genuine = here.standin.notice()
    return {
        "another token": Notice(genuine.channel, "x" * len(genuine.token)),
        "no token": Notice(genuine.channel, ""),
        "its hash": Notice(genuine.channel, here.desk.app.keyring.channel_hash(genuine.token)),
        "an unknown channel": Notice("chn_unknown", genuine.token),
        "no channel": Notice("", ""),
    }


async def test_what_is_not_genuine_is_refused(at: MemoryDesk, here: Watcher) -> None:
    for what, notice in forged(here).items():
        assert not await here.notices.take(PROVIDER, [notice]), what
        assert not await here.notices.take("microsoft", [here.standin.notice()]), "through another door"
    assert await here.ordered() == 0


async def test_a_forged_notice_among_genuine_ones_starts_nothing_by_itself(
    at: MemoryDesk, here: Watcher
) -> None:
    await at.add("c")
    await at.pair("c", "b")
    assert await here.notices.take(PROVIDER, [*forged(here).values(), here.standin.notice()])
    assert await here.ordered() == 1


async def test_a_channel_that_has_ended_is_not_believed(at: MemoryDesk, here: Watcher) -> None:
    at.app.clock.advance(days=7)
    assert not await here.notices.take(PROVIDER, [here.standin.notice()])
    assert await here.ordered() == 0


async def test_a_channel_made_under_an_earlier_secret_is_believed(at: MemoryDesk, here: Watcher) -> None:
    token = here.standin.notice().token
    earlier, later = Keyring([b"0" * 32]), Keyring([b"1" * 32, b"0" * 32])
    assert earlier.channel_hash(token) in later.channel_hashes(token)
    assert earlier.channel_hash(token) != later.channel_hash(token)


async def test_whatever_a_notice_says_the_work_is_the_same(
    at: MemoryDesk, here: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, not timed: hashes made, hashes compared over their whole length, statements executed."""
    compared: list[tuple[int, int]] = []
    hashed: list[str] = []
    compare, hashes_of = hmac.compare_digest, Keyring.channel_hashes

    def comparing(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    def hashing(keyring: Keyring, token: str) -> tuple[str, ...]:
        hashed.append(token)
        return hashes_of(keyring, token)

    monkeypatch.setattr(notices_module.hmac, "compare_digest", comparing)
    monkeypatch.setattr(Keyring, "channel_hashes", hashing)
    found = {}
    for what, notice in {"genuine": here.standin.notice(about=About.NOTHING), **forged(here)}.items():
        compared.clear()
        hashed.clear()
        with watching() as seen:
            await here.notices.take(PROVIDER, [notice])
        found[what] = (len(hashed), tuple(compared), [str(each.statement) for each in seen])
    assert all(work == found["genuine"] for work in found.values()), found
    assert found["genuine"][:2] == (1, ((64, 64),))


async def test_who_tells_is_answered_in_time_though_the_database_is_slow(
    at: MemoryDesk, here: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, read = asyncio.Event(), Database.read

    @asynccontextmanager
    async def slow(database: Database) -> AsyncIterator[Any]:
        await go_on.wait()
        async with read(database) as db:
            yield db

    monkeypatch.setattr(notices_module, "MOST_WAITING", 2)
    monkeypatch.setattr(notices_module, "ANSWER_SECONDS", 0.08)
    with monkeypatch.context() as patched:
        patched.setattr(Database, "read", slow)
        genuine, other = here.standin.notice(), forged(here)["another token"]
        assert await asyncio.wait_for(here.notices.take(PROVIDER, [genuine]), 10)
        assert await asyncio.wait_for(here.notices.take(PROVIDER, [other]), 10), "nobody knows better yet"
        with pytest.raises(TooManyNotices):
            await here.notices.take(PROVIDER, [genuine])
        judging = [task for task in asyncio.all_tasks() if task.get_name().startswith("notices of")]
        go_on.set()
        assert sorted(await asyncio.gather(*judging)) == [False, True]
    assert await here.ordered() == 1


async def test_while_the_database_is_away_the_sender_is_asked_to_try_again(
    at: MemoryDesk, here: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def away(_: Database) -> AsyncIterator[None]:
        raise DatabaseUnavailable("it was stopped")
        yield

    with monkeypatch.context() as patched:
        patched.setattr(Database, "read", away)
        with pytest.raises(DatabaseUnavailable):
            await here.notices.take(PROVIDER, [here.standin.notice()])


async def test_an_order_waits_for_the_database(
    at: MemoryDesk, here: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, tried = Database.write, asyncio.Event()

    @asynccontextmanager
    async def away(_: Database) -> AsyncIterator[None]:
        tried.set()
        raise DatabaseUnavailable("it was stopped")
        yield

    with monkeypatch.context() as patched:
        patched.setattr(Database, "write", away)
        assert await here.notices.take(PROVIDER, [here.standin.notice()])
        await asyncio.wait_for(tried.wait(), 10)
        patched.setattr(Database, "write", write)
        assert await here.ordered() == 1
