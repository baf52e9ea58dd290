"""What a tenant keeps a worker busy with delays nobody else."""

from __future__ import annotations

import asyncio

import pytest

from calendarsync.jobs import worker as worker_module
from calendarsync.store.tables import pairs
from calendarsync.store.tenancy import Tenant
from tests.jobs.conftest import Workplace
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk

PLACES = 8
MANY = 30


class Hanging:
    """Calendars of a server that does not answer, until it is let go on."""

    def __init__(self, at: MemoryDesk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stores: list[object] = []
        self.answers = asyncio.Event()
        self.asked = 0
        read = MemoryCalendar.read

        async def hanging(calendar: MemoryCalendar, *args: object, **named: object) -> object:
            if any(calendar.store is store for store in self.stores):
                self.asked += 1
                await self.answers.wait()
            return await read(calendar, *args, **named)  # type: ignore[arg-type]

        self._at = at
        monkeypatch.setattr(MemoryCalendar, "read", hanging)

    async def pairs(self, count: int) -> list[str]:
        made = []
        for number in range(count):
            for side in "xy":
                self.stores.append(await self._at.add(f"{side}{number}"))
            made.append(await self._at.pair(f"x{number}", f"y{number}"))
        return made

    async def until_asked(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self.asked < count:  # noqa: ASYNC110 - a calendar has no event for that
                await asyncio.sleep(0.02)


@pytest.fixture
def hanging(at: MemoryDesk, monkeypatch: pytest.MonkeyPatch) -> Hanging:
    return Hanging(at, monkeypatch)


async def of_another_account(at: MemoryDesk) -> tuple[Tenant, str]:
    account, pair = await at.app.account(), await at.pair()
    await at.app.change_pair(pair, account_id=account)
    return Tenant(account, "live"), pair


async def test_orders_of_runs_that_hang_leave_room_for_those_of_others(
    at: MemoryDesk, asked: Workplace, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_MOST_ORDERED", PLACES)
    for pair in await hanging.pairs(MANY):
        await asked.trigger(pair)
    await hanging.until_asked(PLACES - 1)
    tenant, pair = await of_another_account(at)
    ticket = await asked.runner.trigger(tenant, pair)
    assert (await asyncio.wait_for(ticket.done, 20)).status == "success"
    assert await asked.logged() == 1, "while all that began before it hang"
    hanging.answers.set()
    await asked.until_logged(MANY + 1)


async def test_polls_that_hang_leave_room_for_those_of_others(
    at: MemoryDesk, scheduled: Workplace, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "RUNS_AT_ONCE", PLACES)
    many = await hanging.pairs(MANY)
    await scheduled.worker.start()
    await hanging.until_asked(PLACES - 1)
    _, pair = await of_another_account(at)
    scheduled.worker.wake()
    await scheduled.until_logged(1)
    assert (await at.app.row(pairs, pair)).last_synced_at is not None
    held = [await scheduled.held(each) for each in many]
    assert 0 < sum(held) < PLACES
    hanging.answers.set()
    await scheduled.until_logged(MANY + 1)


async def test_a_backlog_of_runs_that_end_one_by_one_is_claimed_in_batches(
    at: MemoryDesk, scheduled: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "RUNS_AT_ONCE", 32)
    monkeypatch.setattr(worker_module, "TICK_SECONDS", 60.0)
    count, looks, turns = 96, 0, asyncio.Lock()
    for number in range(count):
        await at.add(f"x{number}")
        await at.add(f"y{number}")
        await at.pair(f"x{number}", f"y{number}")
    read, claim = MemoryCalendar.read, worker_module.claim_due

    async def one_by_one(calendar: MemoryCalendar, *args: object, **named: object) -> object:
        async with turns:
            await asyncio.sleep(0.005)
        return await read(calendar, *args, **named)  # type: ignore[arg-type]

    async def counted(*args: object, **named: object) -> object:
        nonlocal looks
        looks += 1
        return await claim(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(MemoryCalendar, "read", one_by_one)
    monkeypatch.setattr(worker_module, "claim_due", counted)
    await scheduled.worker.start()
    await scheduled.until_logged(count)
    assert looks < count // 3


async def test_a_backlog_of_polls_delays_no_order_of_another(
    at: MemoryDesk, scheduled: Workplace, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "RUNS_AT_ONCE", PLACES)
    await hanging.pairs(MANY)
    tenant, pair = await of_another_account(at)
    await at.app.change_pair(pair, due_at=None)
    await scheduled.worker.start()
    await hanging.until_asked(PLACES - 1)
    ticket = await scheduled.runner.trigger(tenant, pair)
    assert (await asyncio.wait_for(ticket.done, 20)).status == "success"
    assert await scheduled.logged() == 1
    hanging.answers.set()
    await scheduled.until_logged(MANY + 1)
