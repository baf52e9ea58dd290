"""What may be claimed: an account's flood hides nobody else's pair, of what is due as of what was ordered."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text, update

from calendarsync.store import claiming, orders
from calendarsync.store.choosing import BEGINNING, MOST_ACCOUNTS, After
from calendarsync.store.claiming import Taken
from calendarsync.store.fairness import Places
from calendarsync.store.ids import new_id
from calendarsync.store.tables import accounts, pairs
from calendarsync.store.tables import orders as orders_table
from calendarsync.store.tenancy import Tenant
from tests.testbed.memory_desk import MemoryDesk, memory_desk

LEASE = timedelta(seconds=15)
MANY = 10_000
ROOM = 64


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(database_url) as desk:
        yield desk


async def make_pairs(
    at: MemoryDesk, account: str, count: int, due_at: datetime | None, name: str = "x"
) -> list[str]:
    """Each on two calendars of its own. They stand in for connections that nobody reads here."""
    pattern = await at.app.row(pairs, await at.pair())
    common = pattern._asdict() | {"account_id": account, "due_at": due_at}
    own = [
        {
            "id": new_id("pair"),
            "calendar_a": f"{account}-{name}a{number}",
            "calendar_b": f"{account}-{name}b{number}",
        }
        for number in range(count)
    ]
    await fill(at, pairs, (common | each for each in own))
    await at.app.change_pair(pattern.id, due_at=None)
    return [each["id"] for each in own]


async def put_on_one_calendar(at: MemoryDesk, pair_ids: Sequence[str], *, at_work: Sequence[str]) -> None:
    """All of them, and of these some are at work."""
    async with at.app.db.write() as db:
        these = pairs.c.id.in_([*pair_ids, *at_work])
        await db.execute(update(pairs).where(these).values(calendar_a="hub"))
        leased = {"leased_until": at.app.clock() + LEASE, "worker": "there"}
        await db.execute(update(pairs).where(pairs.c.id.in_(at_work)).values(leased))


async def fill(at: MemoryDesk, table: Any, rows: Iterable[dict[str, Any]]) -> None:
    async with at.app.db.write() as db:
        await db.execute(insert(table), list(rows))


async def make_orders(
    at: MemoryDesk, account: str, pair_ids: Iterable[str], created_at: datetime, **values: Any
) -> None:
    common = {"account_id": account, "mode": "live", "trigger": "api", "full": False, "confirm": False}
    common |= {"dry_run": False, "urgent": True, "created_at": created_at, **values}
    await fill(
        at, orders_table, [common | {"sync_id": new_id("sync_run"), "pair_id": each} for each in pair_ids]
    )


async def make_accounts(at: MemoryDesk, count: int) -> list[str]:
    ids = sorted(new_id("acct") for _ in range(count))
    common = {"plan": "free", "created_at": at.app.clock()}
    await fill(at, accounts, [common | {"id": each, "email": f"{each}@example.com"} for each in ids])
    return ids


async def claim_due(at: MemoryDesk, places: Places, **options: Any) -> Taken:
    now = at.app.clock()
    async with at.app.db.write() as db:
        return await claiming.claim_due(
            db, now, now + LEASE, places, worker="w", ahead=timedelta(0), **options
        )


async def claim_ordered(at: MemoryDesk, places: Places, after: After = BEGINNING) -> Taken:
    now = at.app.clock()
    async with at.app.db.write() as db:
        return await claiming.claim_ordered(db, now, now + LEASE, places, worker="w", after=after)


def ids(taken: Taken) -> list[str]:
    return [claim.pair_id for claim in taken.claims]


async def test_whoever_has_ten_thousand_pairs_due_holds_up_no_other(at: MemoryDesk) -> None:
    """They have all waited longer, and one of another account has just become due."""
    now = at.app.clock()
    many = await make_pairs(at, at.account, MANY, now - timedelta(minutes=10))
    (one,) = await make_pairs(at, await at.app.account(), 1, now - timedelta(seconds=1))
    taken = await claim_due(at, Places(ROOM, ROOM))
    assert one in ids(taken)
    assert taken.more
    assert set(ids(taken)) - {one} < set(many)
    rest = await claim_due(at, Places(ROOM, ROOM, {at.account: ROOM - 1}))
    assert len(ids(rest)) >= ROOM / 2, "what nobody else wants is theirs"


async def test_what_lies_deep_in_a_backlog_is_looked_at_too(at: MemoryDesk) -> None:
    """Between the oldest, whose account has all that it may, and the latest, which have theirs."""
    now = at.app.clock()
    other, third = await at.app.account(), await at.app.account()
    await make_pairs(at, at.account, ROOM * 4, now - timedelta(minutes=30))
    (deep,) = await make_pairs(at, other, 1, now - timedelta(minutes=15))
    await make_pairs(at, third, ROOM * 4, now - timedelta(seconds=1))
    full = Places(1, 1, {at.account: 1000, third: 1000})
    assert deep not in ids(await claim_due(at, full))
    assert deep in ids(await claim_due(at, full, back=0.5))


async def test_less_than_there_is_room_for_is_claimed_at_once(at: MemoryDesk) -> None:
    now = at.app.clock()
    wanted = await make_pairs(at, at.account, 50, now)
    taken = await claim_due(at, Places(128, ROOM))
    assert (sorted(ids(taken)), taken.more) == (sorted(wanted), False)


async def test_whoever_orders_ten_thousand_runs_holds_up_no_other(at: MemoryDesk) -> None:
    now = at.app.clock()
    many = await make_pairs(at, at.account, MANY, None)
    other = await at.app.account()
    (one,) = await make_pairs(at, other, 1, None)
    await make_orders(at, at.account, many, now - timedelta(minutes=10))
    await make_orders(at, other, [one], now)
    taken = await claim_ordered(at, Places(ROOM, ROOM))
    assert one in ids(taken)
    assert len(ids(taken)) > ROOM / 2
    assert taken.more


@pytest.mark.parametrize("end", ["calendar_a", "calendar_b"])
async def test_whoever_waits_for_a_calendar_hides_nobody_behind(at: MemoryDesk, end: str) -> None:
    """More pairs than are looked at wait for one that is at work on their calendar, at either end of it."""
    now = at.app.clock()
    waiting = await make_pairs(at, at.account, ROOM * 8, now - timedelta(minutes=10))
    wanted = await make_pairs(at, at.account, ROOM * 4, now - timedelta(minutes=5), "y")
    await make_orders(at, at.account, waiting, now - timedelta(minutes=10))
    await make_orders(at, at.account, wanted[:5], now)
    (at_work,) = await make_pairs(at, at.account, 1, None, "z")
    await put_on_one_calendar(at, waiting, at_work=[at_work])
    if end == "calendar_b":
        await at.app.change_pair(at_work, calendar_a="another", calendar_b="hub")
    ordered = await claim_ordered(at, Places(1000, ROOM))
    assert sorted(ids(ordered)) == sorted(wanted[:5])
    due = await claim_due(at, Places(1000, ROOM))
    assert set(ids(due)) <= set(wanted[5:])
    assert len(ids(due)) >= ROOM
    await at.app.change_pair(at_work, leased_until=None)
    assert set(ids(await claim_due(at, Places(1000, ROOM)))) & set(waiting)


async def test_pairs_that_each_wait_for_a_calendar_of_their_own_hide_nobody_behind(at: MemoryDesk) -> None:
    now = at.app.clock()
    waiting = await make_pairs(at, at.account, ROOM * 5, now - timedelta(minutes=10))
    at_work = await make_pairs(at, at.account, ROOM * 5, None, "z")
    (wanted,) = await make_pairs(at, at.account, 1, now - timedelta(minutes=5), "y")
    # As many again at the other end, so that nobody is seen from there.
    later = await make_pairs(at, at.account, ROOM * 5, now, "w")
    async with at.app.db.write() as db:
        for ends in zip(at_work, waiting, later, strict=True):
            await db.execute(update(pairs).where(pairs.c.id.in_(ends)).values(calendar_b=f"of-{ends[0]}"))
        leased = {"leased_until": now + LEASE, "worker": "there"}
        await db.execute(update(pairs).where(pairs.c.id.in_(at_work)).values(leased))
    assert ids(await claim_due(at, Places(ROOM, ROOM))) == [wanted]


async def test_who_waits_for_a_run_goes_before_changes_of_the_same_account(at: MemoryDesk) -> None:
    now = at.app.clock()
    changed, asked = await make_pairs(at, at.account, 2, None)
    await make_orders(at, at.account, [changed], now - timedelta(minutes=1), trigger="push", urgent=False)
    await make_orders(at, at.account, [asked], now)
    assert ids(await claim_ordered(at, Places(1, 1))) == [asked]
    assert ids(await claim_ordered(at, Places(1, 1))) == [changed]


async def test_who_joins_the_order_of_a_change_waits_no_longer_for_that(at: MemoryDesk) -> None:
    now = at.app.clock()
    first, second = await make_pairs(at, at.account, 2, None)
    for pair, minutes in ((first, 2), (second, 1)):
        await make_orders(
            at, at.account, [pair], now - timedelta(minutes=minutes), trigger="push", urgent=False
        )
    values = {"sync_id": "sync_1", "pair_id": second, "trigger": "api", "created_at": now}
    async with at.app.db.write() as db:
        flags = {"full": False, "confirm": False, "dry_run": False}
        joined = await orders.place(db, Tenant(at.account, "live"), values | flags)
    assert joined != "sync_1"
    assert ids(await claim_ordered(at, Places(1, 1))) == [second]


async def test_a_change_of_a_calendar_orders_nothing_urgent(at: MemoryDesk) -> None:
    await at.pair()
    async with at.app.db.write() as db:
        assert await orders.place_on(db, [at.connections["a"]], "push", at.app.clock())
        assert (await db.execute(select(orders_table.c.urgent))).scalars().all() == [False]


@pytest.mark.parametrize("urgent", [True, False])
async def test_of_more_accounts_than_are_looked_at_in_one_go_all_have_their_turn(
    at: MemoryDesk, urgent: bool
) -> None:
    """The pairs of the first ones cannot be claimed, and still they hide nobody."""
    now = at.app.clock()
    owners = await make_accounts(at, MOST_ACCOUNTS + 3)
    wanted = await make_pairs(at, at.account, len(owners), None)
    async with at.app.db.write() as db:
        await db.execute(
            update(pairs).where(pairs.c.id.in_(wanted[:MOST_ACCOUNTS])).values(leased_until=now + LEASE)
        )
    for owner, pair in zip(owners, wanted, strict=True):
        await make_orders(at, owner, [pair], now, urgent=urgent)
    first = await claim_ordered(at, Places(ROOM, ROOM))
    second = await claim_ordered(at, Places(ROOM, ROOM), first.after)
    assert (ids(first), first.more) == ([], True)
    assert sorted(ids(second)) == sorted(wanted[MOST_ACCOUNTS:])
    assert second.after == BEGINNING
    assert not ids(await claim_ordered(at, Places(ROOM, ROOM), second.after))


async def test_whoever_fills_the_changes_turns_delays_no_urgent_order(at: MemoryDesk) -> None:
    now = at.app.clock()
    owners = await make_accounts(at, MOST_ACCOUNTS + 3)
    wanted = await make_pairs(at, at.account, len(owners) + 1, None)
    for owner, pair in zip(owners, wanted[1:], strict=True):
        await make_orders(at, owner, [pair], now - timedelta(minutes=1), trigger="push", urgent=False)
    await make_orders(at, owners[0], [wanted[0]], now)
    taken = await claim_ordered(at, Places(1, 1), (owners[100], owners[100]))
    assert ids(taken) == [wanted[0]]


async def test_an_account_that_fills_its_share_leaves_the_rest_to_others(at: MemoryDesk) -> None:
    now = at.app.clock()
    await make_pairs(at, at.account, 100, now)
    taken = await claim_due(at, Places(16, ROOM, {at.account: 112}))
    assert (ids(taken), taken.more) == ([], True)
    (one,) = await make_pairs(at, await at.app.account(), 1, now)
    assert one in ids(await claim_due(at, Places(16, ROOM, {at.account: 112})))


async def test_neither_look_reads_more_however_much_waits(at: MemoryDesk) -> None:
    """As the plans tell: rows are found by an index in its order, and nothing is sorted before it is cut off."""
    now = at.app.clock()
    due = await make_pairs(at, at.account, 1_000, now)
    ordered = await make_pairs(at, at.account, 1_000, None, "y")
    await make_orders(at, at.account, ordered, now)
    # So it has to look behind those that wait for a calendar.
    at_work = await make_pairs(at, at.account, 1, None, "z")
    await put_on_one_calendar(at, [*due[:300], *ordered[:300]], at_work=at_work)
    async with at.app.db.write() as db:
        await db.execute(text("ANALYZE"))
    executed: list[tuple[str, Any]] = []

    def note(_conn: object, _cursor: object, statement: str, given: Any, *_: object) -> None:
        if ("pairs" in statement or "orders" in statement) and not statement.startswith("UPDATE"):
            executed.append((statement, given))

    async with at.app.db.write() as db:
        engine = db.sync_connection.engine if db.sync_connection else None
        event.listen(engine, "before_cursor_execute", note)
        await claiming.claim_ordered(db, now, now + LEASE, Places(ROOM, ROOM), worker="w")
        await claiming.claim_due(
            db, now, now + LEASE, Places(ROOM, ROOM), worker="w", ahead=timedelta(0), back=0.5
        )
        event.remove(engine, "before_cursor_execute", note)
        explain = "EXPLAIN (COSTS OFF)" if db.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        plans = [
            "\n".join(str(row[-1]) for row in await db.exec_driver_sql(f"{explain} {sql}", given))
            for sql, given in executed
        ]
    whole = "|".join(
        (
            "Seq Scan on",
            r"Index (Only )?Scan using \w+ on (orders|pairs)( \w+)?\n(?!\s+Index Cond)",
            "SCAN (orders|pairs|at_work)",
        )
    )
    for plan in plans:
        assert not re.search(whole, plan), plan
        assert not re.search(r"\bSort\b|TEMP B-TREE FOR ORDER", plan), plan
    used = "\n".join(plans)
    by_pairs = (f"ix_pairs_{name}" for name in ("due_at", "leased_until", "calendar_a", "calendar_b"))
    for index in ("ix_orders_urgent_account_id_created_at", *by_pairs):
        assert index in used
