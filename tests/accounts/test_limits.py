"""Requests are counted one by one, whoever counts them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from calendarsync.accounts import limits
from calendarsync.accounts.accounts import create_account
from calendarsync.accounts.keys import Mode, create_key, generate_key
from calendarsync.accounts.limits import WINDOW, Admitted, Allowance, Gate
from calendarsync.secrets import Keyring
from calendarsync.store import limits as store
from calendarsync.store import pruning
from calendarsync.store.database import Database, DatabaseUnavailable
from calendarsync.store.tables import accounts, rate_windows
from tests.accounts.counting import count

NOW = datetime(2026, 3, 28, 10, tzinfo=UTC)
SECRET = "a secret of more than thirty two bytes"


@dataclass
class Counted:
    url: str
    db: Database
    gate: Gate
    clock: list[datetime]
    account_id: str = ""
    key: str = ""
    keyring: Keyring = field(default_factory=lambda: Keyring([SECRET.encode()]))

    async def enter(self, key: str = "") -> Admitted:
        admitted = await self.gate.enter(key or self.key)
        assert admitted is not None
        return admitted

    async def use(self, number: int) -> None:
        async with self.db.write() as connection:
            await store.count(connection, self.account_id, number, limit=100, now=self.clock[0], lasts=WINDOW)

    async def used(self) -> int | None:
        async with self.db.read() as connection:
            row = rate_windows.c.subject == self.account_id
            return (await connection.execute(select(rate_windows.c.used).where(row))).scalar_one_or_none()


@pytest.fixture
async def counted(database_url: str) -> AsyncIterator[Counted]:
    """An account of the free plan: 100 requests an hour."""
    db, clock = Database(database_url), [NOW]
    made = Counted(database_url, db, Gate(db, Keyring([SECRET.encode()]), lambda: clock[0]), clock)
    made.account_id = await create_account(db, "you@example.com", now=NOW, plan="free")
    made.key = await create_key(db, made.keyring, made.account_id, Mode.LIVE, now=NOW)
    yield made
    await db.close()


async def test_a_window_begins_with_the_first_request_in_it(counted: Counted) -> None:
    assert (await counted.enter()).allowance == Allowance(100, 99, NOW + WINDOW, exceeded=False)
    counted.clock[0] += timedelta(minutes=59, seconds=59)
    assert (await counted.enter()).allowance == Allowance(100, 98, NOW + WINDOW, exceeded=False)
    counted.clock[0] += timedelta(seconds=1)
    assert (await counted.enter()).allowance == Allowance(100, 99, NOW + 2 * WINDOW, exceeded=False)


async def test_a_clock_that_was_set_back_keeps_nobody_out(counted: Counted) -> None:
    await counted.use(100)
    assert (await counted.enter()).allowance.exceeded
    counted.clock[0] -= timedelta(hours=1)
    assert (await counted.enter()).allowance == Allowance(100, 99, NOW, exceeded=False)


async def test_what_is_refused_is_not_counted(counted: Counted) -> None:
    await counted.use(100)
    for _ in range(3):
        assert (await counted.enter()).allowance == Allowance(100, 0, NOW + WINDOW, exceeded=True)
    assert await counted.used() == 100
    async with counted.db.write() as connection:
        await connection.execute(update(accounts).values(plan="pro"))
    assert (await counted.enter()).allowance == Allowance(2_000, 1_899, NOW + WINDOW, exceeded=False)


async def test_the_keys_of_an_account_share_its_count(counted: Counted) -> None:
    tester = await create_key(counted.db, counted.keyring, counted.account_id, Mode.TEST, now=NOW)
    other = await create_account(counted.db, "other@example.com", now=NOW, plan="free")
    stranger = await create_key(counted.db, counted.keyring, other, Mode.LIVE, now=NOW)
    assert [(await counted.enter(key)).allowance.remaining for key in (counted.key, tester, stranger)] == [
        99,
        98,
        99,
    ]


async def test_as_many_pass_as_are_left(counted: Counted) -> None:
    """And those of others, which arrive among them, are theirs."""
    other = await create_account(counted.db, "other@example.com", now=NOW, plan="pro")
    stranger = await create_key(counted.db, counted.keyring, other, Mode.LIVE, now=NOW)
    keys = [counted.key, counted.key, stranger, generate_key(Mode.LIVE)] * 500
    found = await asyncio.gather(*(counted.gate.enter(key) for key in keys))
    passed = [each.allowance for each in found if each and not each.allowance.exceeded]
    ours = [each.remaining for each in passed if each.limit == 100]
    assert sorted(ours) == list(range(100))
    assert sum(each.limit == 2_000 for each in passed) == 500
    assert [each is None for each in found] == [False, False, False, True] * 500


async def test_whoever_leaves_takes_nobody_along(counted: Counted) -> None:
    waiting = [asyncio.create_task(counted.gate.enter(counted.key)) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    waiting[7].cancel()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(isinstance(each, Admitted) for each in found) == 18


async def test_a_database_that_is_gone_is_told_to_all(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(store, "count", fail)
        found = await asyncio.gather(
            *(counted.gate.enter(counted.key) for _ in range(5)), return_exceptions=True
        )
        assert all(isinstance(each, DatabaseUnavailable) for each in found)
    assert (await counted.enter()).allowance.remaining == 99


async def test_failures_are_counted_for_each_network(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FAILURES_PER_HOUR", 2)
    allowances = [await counted.gate.fail("192.0.2.1") for _ in range(4)]
    assert [(each.remaining, each.exceeded) for each in allowances] == [
        (1, False),
        (0, False),
        (0, True),
        (0, True),
    ]
    assert not (await counted.gate.fail("192.0.2.2")).exceeded
    again = Gate(counted.db, counted.keyring, lambda: counted.clock[0])
    assert (await again.fail("192.0.2.1")).exceeded  # it is in the database, not in a process
    counted.clock[0] += WINDOW
    assert not (await counted.gate.fail("192.0.2.1")).exceeded
    async with counted.db.read() as connection:
        subjects = (await connection.execute(select(rate_windows.c.subject))).scalars().all()
    assert not any("192.0.2" in subject for subject in subjects)


async def test_windows_that_are_over_are_forgotten(counted: Counted) -> None:
    await counted.use(3)
    await counted.gate.fail("192.0.2.1")
    for later, gone in ((timedelta(minutes=59), 0), (WINDOW, 2), (WINDOW, 0)):
        async with counted.db.write() as connection:
            assert await pruning.delete_old(connection, rate_windows.c.ends_at, NOW + later, 10) == gone


async def test_processes_share_the_count(counted: Counted) -> None:
    command = [sys.executable, "-m", "tests.accounts.counting", counted.url, SECRET, counted.key, "80"]
    pipe = asyncio.subprocess.PIPE
    processes = [await asyncio.create_subprocess_exec(*command, stdout=pipe) for _ in range(2)]
    printed = await asyncio.gather(*(process.communicate() for process in processes))
    assert sum(int(output) for output, _ in printed) == 100
    # Another process, after the others have ended.
    assert await count(counted.url, SECRET, counted.key, 5) == 0
