"""What is kept for a while goes in time, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update
from structlog.testing import capture_logs

from calendarsync.jobs import tidy as tidy_module
from calendarsync.jobs.tidy import (
    ALL_CHORES,
    KEEP_EVENTS,
    KEEP_KEYS,
    KEEP_LINKS,
    KEEP_ORDERS,
    TIDY_LOCK,
    TIDY_SECONDS,
    Tidy,
)
from calendarsync.store import pruning, retention, run_counts, tables
from calendarsync.store.database import Database
from calendarsync.store.logs import LogFilter
from calendarsync.store.tables import (
    accounts,
    api_keys,
    authorizations,
    connections,
    deliveries,
    grants,
    idempotency,
    operations,
    orders,
    pairs,
    rate_windows,
    runs,
    sessions,
    users,
    webhook_events,
    webhooks,
)
from calendarsync.store.tenancy import Tenant
from tests.jobs.conftest import Workplace, workplace
from tests.testbed.memory_desk import MemoryDesk

NOW = datetime(2026, 3, 28, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, clock=lambda: NOW)
    yield database
    await database.close()


async def put(database: Database, table: Any, *rows: dict[str, Any]) -> None:
    async with database.write() as db:
        await db.execute(insert(table), list(rows))


async def ids(database: Database, table: Any) -> set[str]:
    async with database.read() as db:
        return set((await db.execute(select(next(iter(table.primary_key.columns))))).scalars())


def account(name: str, plan: str = "free", **values: Any) -> dict[str, Any]:
    row = {"id": f"acct_{name}", "email": f"{name}@example.com", "plan": plan, "created_at": NOW}
    return {**row, "trial_ends_at": None, **values}


def log(name: str, owner: str, age: timedelta, **values: Any) -> dict[str, Any]:
    counts = {f"events_{each}": 0 for each in ("processed", "created", "updated", "deleted", "skipped")}
    return {
        "id": f"log_{name}",
        "sync_id": f"sync_run_{name}",
        "account_id": f"acct_{owner}",
        "mode": "live",
        "pair_id": "pair_gone",
        "status": "success",
        "trigger": "schedule",
        "duration_ms": 1,
        "provider_requests": 2,
        "created_at": NOW - age,
        "brief": False,
        **counts,
        **values,
    }


async def test_logs_are_kept_as_long_as_the_plan_in_effect_says(database: Database) -> None:
    week, quarter = timedelta(days=7), timedelta(days=90)
    await put(
        database,
        accounts,
        account("free"),
        account("pro", "pro"),
        account("trial", trial_ends_at=NOW + MINUTE),
        account("was_trial", trial_ends_at=NOW),
    )
    await put(
        database,
        runs,
        log("1", "free", week + MINUTE),
        log("2", "free", week + MINUTE, mode="test", status="failed"),
        log("3", "free", week + MINUTE, status="partial"),
        log("4", "free", week - MINUTE),
        log("5", "was_trial", week + MINUTE),
        log("6", "pro", quarter + MINUTE),
        log("7", "pro", quarter - MINUTE),
        log("8", "trial", quarter - MINUTE),
    )
    step = {"direction": "a_to_b", "event_id": "event", "original_start": "", "action": "skip"}
    await put(
        database,
        operations,
        *({**step, "reason": "free", "run_id": f"log_{name}", "position": 0} for name in "14"),
    )
    await Tidy(database).look()
    assert await ids(database, runs) == {"log_4", "log_7", "log_8"}
    assert await ids(database, operations) == {"log_4"}


async def test_every_account_has_its_turn_and_every_batch_its_own_transaction(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidy_module, "ACCOUNTS_AT_ONCE", 2)
    monkeypatch.setattr(tidy_module, "ROWS_AT_ONCE", 3)
    deleted = []
    delete = retention.delete_logs

    async def noted(*given: Any) -> int:
        deleted.append(await delete(*given))
        return deleted[-1]

    monkeypatch.setattr(retention, "delete_logs", noted)
    names = [f"{number}" for number in range(5)]
    await put(database, accounts, *(account(name) for name in names))
    old = timedelta(days=8)
    await put(database, runs, *(log(f"{name}_{number}", name, old) for name in names for number in range(10)))
    tidy = Tidy(database)
    await tidy.look()
    assert await ids(database, runs) == set()
    assert deleted == [*[3] * 6, 2, *[3] * 6, 2, *[3] * 3, 1]
    await put(database, runs, log("again", "0", old))
    await tidy.look()
    assert await ids(database, runs) == {"log_again"}, "not before a while is over"
    await Tidy(database).look()
    assert await ids(database, runs) == set(), "from the beginning again"


async def test_an_unchanged_pair_keeps_a_log_an_hour_after_a_day(database: Database) -> None:
    day = timedelta(days=1)
    await put(database, accounts, account("free"), account("other"))
    await put(
        database,
        runs,
        log("old", "free", day + MINUTE, brief=True),
        log("older", "other", 2 * day, brief=True, mode="test"),
        log("first of its hour", "free", day + MINUTE),
        log("young", "free", day - MINUTE, brief=True),
    )
    await Tidy(database).look()
    assert await ids(database, runs) == {"log_first of its hour", "log_young"}


async def test_counts_stay_exact_and_go_with_their_logs(database: Database) -> None:
    await put(database, accounts, account("free"), account("large"))
    logs = [
        log(f"{owner}{hours}", owner, timedelta(hours=hours), brief=hours % 2 == 0)
        for owner in ("free", "large")
        for hours in range(0, 240, 5)
    ]
    await put(database, runs, *logs)
    await count_all(database, "free")
    await Tidy(database).look()
    before = NOW - timedelta(days=7)
    kept = await ids(database, runs)
    assert len(kept) < len(logs)
    for owner in ("free", "large"):
        tenant = Tenant(f"acct_{owner}", "live")
        async with database.read_as(tenant) as db:
            total = await run_counts.count_logs(db, tenant, LogFilter(before), NOW)
        assert total == sum(1 for each in kept if each.startswith(f"log_{owner}"))
    async with database.read() as db:
        begins = (await db.execute(select(tables.run_counts.c.begins_at))).scalars().all()
    assert begins
    assert min(begins) >= before


async def test_where_the_clock_was_set_back_that_is_seen_to_before_a_backlog_is(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every account, and with the next kind of rows where a look is under way: logs are written meanwhile."""
    await put(database, accounts, account("free"), account("large"))
    await put(database, rate_windows, {"subject": "old", "used": 1, "ends_at": NOW - MINUTE})
    tidy, order = Tidy(database), list[str]()
    await tidy.look()
    forget, delete = retention.delete_counts_ahead, pruning.delete_old

    async def forgotten(*given: Any) -> int:
        order.append("counts")
        return await forget(*given)

    async def deleted(*given: Any) -> int:
        if "rows" not in order:
            tidy.mind_the_clock()
        order.append("rows")
        return await delete(*given)

    monkeypatch.setattr(retention, "delete_counts_ahead", forgotten)
    monkeypatch.setattr(pruning, "delete_old", deleted)
    tidy.mind_the_clock()
    await tidy.look()
    assert order[:4] == ["counts", "rows", "counts", "rows"]
    assert order.count("counts") == 2, "when the clock was set back, and at no other time"


async def count_all(database: Database, owner: str) -> None:
    tenant, more = Tenant(f"acct_{owner}", "live"), True
    while more:
        async with database.write() as db:
            more = await run_counts.count_more(db, tenant, NOW)


async def test_the_logs_of_large_accounts_are_counted_before_anybody_asks(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidy_module, "MANY_PAIRS", 2)
    for owner, number in (("large", 2), ("small", 1)):
        mine = {"account_id": f"acct_{owner}", "mode": "live"}
        await put(database, accounts, account(owner))
        ends = [f"{owner}_{each}" for each in range(number + 1)]
        await put(database, connections, *({**mine, **_connection(each, "active")} for each in ends))
        made = ({**mine, **_pair(f"pair_{each}", each, ends[-1])} for each in ends[:-1])
        await put(database, pairs, *made)
        await put(database, runs, *(log(f"{owner}{each}", owner, each * MINUTE) for each in range(300)))
    await Tidy(database).look()
    async with database.read() as db:
        found = await db.execute(select(tables.run_counts.c.account_id).distinct())
        assert found.scalars().all() == ["acct_large"]


def _pair(name: str, a: str, b: str) -> dict[str, Any]:
    row: dict[str, Any] = {"id": name, "connection_a_id": a, "connection_b_id": b}
    row |= {
        "calendar_a": a,
        "calendar_b": b,
        "sync_mode": "full",
        "direction": "bidirectional",
        "options": {},
        "status": "active",
    }
    return row | {"created_at": NOW}


async def test_several_at_once_do_no_harm(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the command works beside the schedule: what one deletes the other does not find."""
    monkeypatch.setattr(tidy_module, "ROWS_AT_ONCE", 7)
    await put(database, accounts, account("free"))
    await put(database, runs, *(log(f"{number}", "free", timedelta(days=8)) for number in range(60)))
    done = [Tidy(database).do(chore) for chore in ALL_CHORES for _ in range(3)]
    assert sum(await asyncio.gather(*done)) == 60
    assert await ids(database, runs) == set()


async def test_one_process_at_a_time_tidies(database: Database) -> None:
    await put(database, rate_windows, {"subject": "over", "ends_at": NOW - MINUTE, "used": 3})
    async with database.alone(TIDY_LOCK) as alone:
        assert alone
        await Tidy(database).look()
        left = await ids(database, rate_windows)
    assert left == ({"over"} if database.backend == "postgresql" else set())
    await Tidy(database).look()
    assert await ids(database, rate_windows) == set()


async def test_what_goes_wrong_with_one_kind_keeps_no_other_from_going(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> int:
        raise RuntimeError("with a secret in it")

    monkeypatch.setattr(pruning, "delete_old", fail)
    await put(database, accounts, account("free"))
    await put(database, runs, log("old", "free", timedelta(days=8)))
    with capture_logs() as logged:
        await Tidy(database).look()
    assert await ids(database, runs) == set()
    assert {entry["event"] for entry in logged} == {"tidying_failed"}
    assert "secret" not in str(logged)


async def test_a_stop_comes_between_two_transactions(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidy_module, "ROWS_AT_ONCE", 5)
    over = ({"subject": f"{number}", "ends_at": NOW - MINUTE, "used": 3} for number in range(60))
    await put(database, rate_windows, *over)
    tidy, found, delete = Tidy(database), list[int](), pruning.delete_old

    async def third_stops(*given: Any) -> int:
        found.append(await delete(*given))
        if len(found) == 3:
            tidy.stop()
        return found[-1]

    monkeypatch.setattr(pruning, "delete_old", third_stops)
    await tidy.look()
    assert found == [5, 5, 5]
    assert len(await ids(database, rate_windows)) == 45


async def test_what_has_run_out_goes(database: Database) -> None:
    await put(database, accounts, account("free"))
    mine = {"account_id": "acct_free", "mode": "live"}
    order = {"pair_id": "pair", "trigger": "api", "full": False, "confirm": False, "dry_run": False}
    order |= {**mine, "created_at": NOW - timedelta(days=1), "generation": 1}
    await put(
        database,
        orders,
        {**order, "sync_id": "old", "finished_at": NOW - KEEP_ORDERS - MINUTE},
        {**order, "sync_id": "young", "finished_at": NOW - KEEP_ORDERS + MINUTE},
        {**order, "sync_id": "open", "finished_at": None},
    )
    await put(
        database,
        rate_windows,
        {"subject": "over", "ends_at": NOW - MINUTE, "used": 3},
        {"subject": "running", "ends_at": NOW + MINUTE, "used": 3},
    )
    answer = {**mine, "api_key_id": "key_1", "body_hash": "hash", "request_id": "req_1"}
    answer = {name: value for name, value in answer.items() if name in idempotency.c}
    await put(
        database,
        idempotency,
        {**answer, "key_hash": "old", "expires_at": NOW - MINUTE},
        {**answer, "key_hash": "young", "expires_at": NOW + MINUTE},
    )
    await put(database, users, {"id": "user_1", "email": "ann@example.com", "created_at": NOW})
    session = {"user_id": "user_1", "created_at": NOW - timedelta(days=1)}
    await put(
        database,
        sessions,
        {**session, "token_hash": "old", "expires_at": NOW - MINUTE},
        {**session, "token_hash": "young", "expires_at": NOW + MINUTE},
    )
    await _events(database, mine)
    await Tidy(database).look()
    assert await ids(database, orders) == {"young", "open"}
    assert await ids(database, rate_windows) == {"running"}
    assert await ids(database, idempotency) == {"young"}
    assert await ids(database, sessions) == {"young"}
    assert await ids(database, webhook_events) == {"evt_young"}
    assert await ids(database, deliveries) == {"dlv_young"}
    assert await ids(database, webhooks) == {"whk_1"}


async def _events(database: Database, mine: dict[str, Any]) -> None:
    endpoint = {"id": "whk_1", "url_encrypted": b"", "events": [], "format": "json", "only_changed": False}
    endpoint |= {"status": "active", "secret_encrypted": b"", "created_at": NOW}
    await put(database, webhooks, {**mine, **endpoint})
    for name, age in (("old", KEEP_EVENTS + MINUTE), ("young", KEEP_EVENTS - MINUTE)):
        event = {"id": f"evt_{name}", "type": "sync.completed", "data": {}, "created_at": NOW - age}
        await put(database, webhook_events, {**mine, **event})
        sent = {"id": f"dlv_{name}", "webhook_id": "whk_1", "event_id": f"evt_{name}", "status": "failed"}
        sent |= {"created_at": NOW - age, "generation": 1, "attempts": []}
        await put(database, deliveries, {**mine, **sent})


async def test_keys_that_have_ended_are_listed_for_a_while(database: Database) -> None:
    """As long as one may be asked for the other's sake; who holds one that went is as little let in as before."""
    long_ago, lately = NOW - KEEP_KEYS - MINUTE, NOW - KEEP_KEYS + MINUTE
    ended: dict[str, tuple[datetime | None, datetime | None]] = {
        "revoked": (long_ago, None),
        "expired": (None, long_ago),
        "expired and revoked since": (NOW, long_ago),
        "revoked lately": (lately, None),
        "expired lately": (None, lately),
        "of use": (None, None),
        "to expire": (None, NOW + KEEP_KEYS),
    }
    await put(database, accounts, account("free"))
    for name, (revoked_at, expires_at) in ended.items():
        row = {
            "id": name,
            "account_id": "acct_free",
            "mode": "live",
            "key_hash": name,
            "display": "cs_live_…",
        }
        row |= {"scopes": [], "created_at": long_ago - MINUTE}
        await put(database, api_keys, row | {"revoked_at": revoked_at, "expires_at": expires_at})
    await Tidy(database).look()
    assert await ids(database, api_keys) == {"revoked lately", "expired lately", "of use", "to expire"}


async def test_links_go_with_what_waited_for_them(database: Database) -> None:
    mine = {"account_id": "acct_a", "mode": "live"}
    await put(database, accounts, account("a"))
    for name, status in (("old", "pending"), ("young", "pending"), ("both", "pending"), ("used", "active")):
        await put(database, connections, {**mine, **_connection(name, status)})
    for name in ("old", "young", "used"):
        await put(database, grants, {**mine, **_grant(name)})
    gone, kept = KEEP_LINKS + MINUTE, KEEP_LINKS - MINUTE
    for name, connection, age, grant in (
        ("old", "old", gone, "old"),
        ("young", "young", kept, "young"),
        ("first", "both", gone, "young"),
        ("second", "both", kept, None),
        ("used", "used", gone, "used"),
    ):
        await put(database, authorizations, {**mine, **_authorization(name, connection, NOW - age, grant)})
    await Tidy(database).look()
    assert await ids(database, authorizations) == {"young", "second"}
    assert await ids(database, connections) == {"young", "both", "used"}
    assert await ids(database, grants) == {"young", "used"}


def _connection(name: str, status: str) -> dict[str, Any]:
    row = {"id": name, "calendar_id": "", "calendar_key": name, "grant_hash": name, "calendar_name": ""}
    row |= {"provider": "google", "status": status, "credentials_encrypted": b"", "created_at": NOW}
    return row | {"owner_addresses": [], "read_only": False, "grant_id": name if status == "active" else None}


def _grant(name: str) -> dict[str, Any]:
    row = {"id": name, "provider": "google", "subject_hash": name, "email": "ann@example.com", "scopes": []}
    return row | {"credentials_encrypted": b"", "status": "active", "generation": 1, "created_at": NOW}


def _authorization(name: str, connection: str, expires_at: datetime, grant: str | None) -> dict[str, Any]:
    row = {"id": name, "provider": "google", "connection_id": connection, "link_hash": name}
    row |= {"state_hash": name, "verifier_encrypted": b"", "status": "granted", "grant_id": grant}
    return row | {"expires_at": expires_at, "created_at": expires_at}


async def test_a_worker_tidies_beside_its_work_and_stops_at_once(
    at: MemoryDesk, scheduled: Workplace
) -> None:
    pair = await at.pair()
    await scheduled.worker.start()
    await scheduled.until_logged(1)
    await scheduled.until_free(pair)
    async with at.app.db.write() as db:
        await db.execute(update(runs).values(created_at=at.app.clock() - timedelta(days=8)))
    # Where the first one is tidying at that moment, the other looks again after as long.
    async with asyncio.timeout(TIDY_SECONDS * 3), workplace(at, schedule=False) as other:
        while await other.logged():  # noqa: ASYNC110 - the database has no event
            await asyncio.sleep(0.02)
    async with at.app.db.read() as db:
        assert (await db.execute(select(func.count()).select_from(accounts))).scalar_one() == 1
