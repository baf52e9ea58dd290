"""How many logs there are is the same number whether they are counted one by one or by spans."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store import logs, retention, run_counts
from calendarsync.store.database import Database
from calendarsync.store.logs import STATUSES, LogFilter
from calendarsync.store.tables import accounts, runs
from calendarsync.store.tables import run_counts as table
from calendarsync.store.tenancy import Tenant
from tests.store.watching import watching

START = datetime(2024, 3, 1, 10, 20, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TENANTS = [Tenant(account, mode) for account in ("acct_a", "acct_b") for mode in retention.MODES]
TENANT = TENANTS[0]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await _make_accounts(database)
    yield database
    await database.close()


async def _make_accounts(database: Database) -> None:
    async with database.write() as db:
        for name in sorted({tenant.account_id for tenant in TENANTS}):
            row = {"id": name, "email": f"{name}@example.com", "plan": "free", "created_at": START}
            await db.execute(insert(accounts), row)


def log(number: int, at: datetime, tenant: Tenant = TENANT, **values: Any) -> dict[str, Any]:
    return {
        "id": f"log_{number:022}",
        "sync_id": f"sync_run_{number:022}",
        **tenant.values(),
        "pair_id": "pair",
        "status": "success",
        "trigger": "schedule",
        "duration_ms": 1,
        "provider_requests": 2,
        **{f"events_{name}": 0 for name in ("processed", "created", "updated", "deleted", "skipped")},
        "created_at": at,
        "brief": False,
        **values,
    }


async def write(database: Database, *rows: dict[str, Any]) -> None:
    async with database.write() as db:
        await db.execute(insert(runs), list(rows))


async def count_all(database: Database, now: datetime, tenant: Tenant = TENANT) -> int:
    """In how many transactions."""
    steps, more = 0, True
    while more:
        async with database.write_as(tenant) as db:
            more = await run_counts.count_more(db, tenant, now)
        steps += 1
    return steps


async def assert_equal(database: Database, wanted: LogFilter, now: datetime, tenant: Tenant = TENANT) -> None:
    async with database.read_as(tenant) as db:
        expected = await logs.count_logs(db, tenant, wanted)
        assert await run_counts.count_logs(db, tenant, wanted, now) == expected, wanted
        assert await run_counts.count_logs(db, tenant, wanted, now, at_most=10**6) == expected, wanted


async def spans(database: Database) -> list[tuple[datetime, str, int]]:
    async with database.read_as(TENANT) as db:
        columns = (table.c.begins_at, table.c.status, table.c.count)
        found = await db.execute(select(*columns).order_by(*columns))
        return [(row[0], row[1], row[2]) for row in found]


def spread(minutes: dict[int, int], since: datetime) -> Iterator[tuple[datetime, str, int]]:
    for minute, count in sorted(minutes.items()):
        yield since + minute * MINUTE, STATUSES[count % 3], count


@given(
    minutes=st.dictionaries(st.integers(0, 400), st.integers(1, 3_000), max_size=60),
    begins=st.integers(0, 59),
    lasts=st.integers(1, 400),
)
def test_spans_hold_every_log_once(minutes: dict[int, int], begins: int, lasts: int) -> None:
    since = START.replace(minute=begins)
    until = since + lasts * MINUTE
    given = [each for each in spread(minutes, since) if each[0] < until]
    made, end = run_counts.spans_of(given, since, until)
    assert since <= end <= until
    begin_at = sorted({begin for begin, _, _ in made})
    for begin, status, count in made:
        following = min([each for each in begin_at if each > begin], default=end)
        inside = [each for each in given if begin <= each[0] < following]
        assert count == sum(each[2] for each in inside if each[1] == status)
        assert sum(each[2] for each in inside[:-1]) < run_counts.FULL + 3_000
        assert inside[-1][0] - begin < HOUR
    assert sum(count for _, _, count in made) == sum(each[2] for each in given if each[0] < end)
    left = [each for each in given if each[0] >= end]
    assert sum(each[2] for each in left) < run_counts.FULL, "what is left to be looked at"
    assert until - end < HOUR


async def test_what_is_over_is_counted_once_and_what_is_not_is_looked_at(database: Database) -> None:
    now = START + DAY
    await write(database, *(log(number, now - number * 7 * MINUTE) for number in range(200)))
    assert await count_all(database, now) == 1
    counted = await spans(database)
    assert len(counted) > 20
    assert counted[-1] == (now.replace(minute=0), "success", 0)
    await assert_equal(database, LogFilter(START - DAY), now)
    async with database.write() as db:  # so that it is seen where the number comes from
        await db.execute(table.update().where(table.c.begins_at == counted[0][0]).values(count=1_000))
    async with database.read_as(TENANT) as db:
        total = await run_counts.count_logs(db, TENANT, LogFilter(START - DAY), now)
    assert total == 200 - counted[0][2] + 1_000


async def test_a_first_count_goes_a_day_at_a_time_and_passes_by_days_without_logs(database: Database) -> None:
    now = START + 9 * DAY
    await write(database, *(log(number, START + number * HOUR) for number in (0, 1, 30, 200)))
    assert await count_all(database, now) == 3
    await assert_equal(database, LogFilter(START - DAY), now)


async def test_a_day_of_very_many_logs_is_counted_an_hour_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No statement takes as long as a day of a million pairs would."""
    now = START + 2 * DAY
    many = [log(number, START + number * 10 * MINUTE) for number in range(40)]
    await write(database, *many, log(100, START + DAY + HOUR))
    monkeypatch.setattr(run_counts, "MANY", 20)
    with watching() as seen:
        steps = await count_all(database, now)
    ranges = [each.parameters for each in seen if "until" in each.parameters]
    counted = [
        await _logs_between(database, each["since"], each["until"])
        for each in ranges
        if "look_at" not in each
    ]
    assert sum(counted) == 41
    assert max(counted) <= 20
    assert 3 < steps < 10, "hours while there are many, and days again"
    await assert_equal(database, LogFilter(START - DAY), now)


async def _logs_between(database: Database, since: datetime, until: datetime) -> int:
    async with database.read_as(TENANT) as db:
        return await logs.count_logs(db, TENANT, LogFilter(since, until))


async def test_more_than_may_be_looked_at_is_to_be_counted_first(database: Database) -> None:
    now = START + DAY
    await write(database, *(log(number, START + number * MINUTE) for number in range(30)))

    async def total(at_most: int, **wanted: Any) -> int | None:
        async with database.read_as(TENANT) as db:
            asked = LogFilter(START - DAY, **wanted)
            return await run_counts.count_logs(db, TENANT, asked, now, at_most=at_most)

    assert await total(29) is None
    assert await total(30) == 30
    assert await total(0, status="failed") == 0
    assert await total(9, until=START + 10 * MINUTE) is None
    assert await total(10, until=START + 10 * MINUTE) == 10
    await count_all(database, now)
    assert await total(0) == 30


async def test_what_may_still_be_written_into_is_not_counted(database: Database) -> None:
    """A transaction of another process is under way that began before."""
    now = datetime.now(UTC)
    await write(database, log(1, now - 3 * DAY), log(2, now - DAY))
    if database.backend == "sqlite":
        return  # nobody writes while another does
    late = Database(database._engine._url)  # type: ignore[attr-defined]
    async with late.write() as db:
        await db.execute(select(func.now()))
        async with database.write_as(TENANT) as mine:
            oldest = now - 2 * DAY  # as if it had begun then
            with pytest.MonkeyPatch.context() as monkeypatch:
                monkeypatch.setattr(run_counts, "oldest_transaction", lambda _: _at(oldest))
                while await run_counts.count_more(mine, TENANT, now):
                    pass
    assert max(begins for begins, _, _ in await spans(database)) <= oldest
    await late.close()


async def _at(moment: datetime) -> datetime:
    return moment


async def test_the_oldest_transaction_is_that_of_any_process(database: Database) -> None:
    if database.backend == "sqlite":
        async with database.write() as db:
            assert await run_counts.oldest_transaction(db) is None
        return
    other = Database(database._engine._url)  # type: ignore[attr-defined]
    async with other.write() as theirs:
        began = (await theirs.execute(select(func.now()))).scalar_one()
        async with database.write_as(TENANT) as mine:
            assert await run_counts.oldest_transaction(mine) == began
    await other.close()


async def test_where_the_clock_was_set_back_what_lies_ahead_is_forgotten(database: Database) -> None:
    await write(database, *(log(number, START + number * 10 * MINUTE) for number in range(30)))
    await count_all(database, START + DAY)
    back = START + 2 * HOUR
    await write(database, log(100, back), log(101, back, status="failed"))
    await assert_equal(database, LogFilter(START - DAY), back + MINUTE)
    await count_all(database, back + MINUTE)
    assert max(begins for begins, _, _ in await spans(database)) <= back
    for later in (2, 3, 30):
        await assert_equal(database, LogFilter(START - DAY), START + later * HOUR)
    await count_all(database, START + DAY)
    await assert_equal(database, LogFilter(START - DAY), START + DAY)


async def test_so_it_is_in_accounts_whose_logs_nobody_lists(database: Database) -> None:
    await write(database, *(log(number, START + number * 10 * MINUTE) for number in range(30)))
    await count_all(database, START + DAY)
    async with database.write() as db:
        await retention.delete_counts_ahead(db, [TENANT.account_id], START + HOUR)
    assert max(begins for begins, _, _ in await spans(database)) <= START + HOUR
    await write(database, log(100, START + 2 * HOUR))
    await assert_equal(database, LogFilter(START - DAY), START + DAY)


async def test_only_the_oldest_counts_go(database: Database) -> None:
    await write(
        database,
        *(log(number, START + number * 10 * MINUTE, status=STATUSES[number % 3]) for number in range(60)),
    )
    await count_all(database, START + DAY)
    before = await spans(database)
    async with database.write() as db:
        assert await retention.delete_counts(db, [TENANT.account_id], START + 5 * HOUR, 2)
    gone = sorted({begins for begins, _, _ in before})[:2]
    assert await spans(database) == [each for each in before if each[0] not in gone]
    await assert_equal(database, LogFilter(START - DAY), START + DAY)


MOMENTS = st.integers(0, 60 * 60)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(10, 40)),
        st.tuples(st.just("wait"), st.integers(1, 90)),
        st.tuples(st.just("count"), st.integers(1, 4)),
        st.tuples(st.just("prune"), st.integers(1, 12)),
        st.tuples(st.just("thin"), st.integers(1, 12)),
        st.tuples(st.just("set back"), st.integers(1, 90)),
    ),
    min_size=15,
    max_size=30,
)


class World:
    """Two accounts in both modes, and a clock."""

    def __init__(self, db: AsyncConnection, seed: int) -> None:
        self.db = db
        self.now = START
        self.latest = START
        self.random = random.Random(seed)
        self.number = 0

    async def do(self, step: str, number: int) -> None:
        account_ids = sorted({tenant.account_id for tenant in TENANTS})
        match step:
            case "write":  # a transaction may have waited for a while
                made = [self._log() for _ in range(number)]
                await self.db.execute(insert(runs), made)
            case "wait":
                self.now += number * MINUTE
            case "count":
                for tenant in TENANTS[:number]:
                    await run_counts.count_more(self.db, tenant, self.now)
            case "prune":
                before = self.now - 5 * HOUR
                await retention.delete_logs(self.db, account_ids, before, number)
                await retention.delete_counts(self.db, account_ids, before, number)
            case "thin":
                await retention.delete_brief_logs(self.db, START - DAY, self.now - HOUR, number)
            case "set back":
                self.now -= number * MINUTE
                over = run_counts.over_at(self.now)
                await retention.delete_counts_ahead(self.db, account_ids, over)

    def _log(self) -> dict[str, Any]:
        self.number += 1
        choose = self.random.choice
        at = self.now - timedelta(seconds=self.random.uniform(0, 60))
        status, brief = choose(STATUSES), choose([True, False])
        return log(self.number, at, choose(TENANTS), status=status, brief=brief)

    async def check(self) -> None:
        for tenant in TENANTS:
            since = self.now - self.random.randrange(0, 500) * MINUTE
            until = choose_until(self.random, self.now)
            wanted = LogFilter(since, until, status=self.random.choice([None, *STATUSES]))
            expected = await logs.count_logs(self.db, tenant, wanted)
            at_most = self.random.choice([None, 10**6])
            found = await run_counts.count_logs(self.db, tenant, wanted, self.now, at_most=at_most)
            assert found == expected, (wanted, tenant)


def choose_until(chance: random.Random, now: datetime) -> datetime | None:
    return chance.choice([None, now, now - chance.randrange(0, 400) * MINUTE])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, seed=st.integers(0, 2**32), full=st.sampled_from([1, 5, 2_000]))
def test_counts_are_exact_whatever_happens(
    empty_database: str, steps: list[tuple[str, int]], seed: int, full: int
) -> None:
    """Writing, counting, pruning, thinning and a clock that is set back, in any order."""

    async def play() -> None:
        database = Database(empty_database)
        try:
            async with database.write() as db:
                for tenant in TENANTS[::2]:
                    row = {"id": tenant.account_id, "email": tenant.account_id, "plan": "free"}
                    await db.execute(insert(accounts), row | {"created_at": START})
                world = World(db, seed)
                for step in steps:
                    await world.do(*step)
                    await world.check()
                await db.rollback()
        finally:
            await database.close()

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(run_counts, "FULL", full)
        asyncio.run(play())


@pytest.fixture
def empty_database(database_url: str) -> str:
    return database_url


async def test_who_counts_while_logs_go_counts_none_that_is_gone(database: Database) -> None:
    """Each waits for the other; with SQLite every writer does."""
    now = START + DAY
    await write(database, *(log(number, START + number * MINUTE) for number in range(300)))

    async def prune() -> None:
        for _ in range(6):
            async with database.write() as db:
                await retention.delete_logs(db, [TENANT.account_id], START + 2 * HOUR, 20)

    await asyncio.gather(prune(), count_all(database, now), prune())
    await assert_equal(database, LogFilter(START - DAY), now)
    assert sum(count for _, _, count in await spans(database)) == 180


async def test_a_total_looks_at_the_edges_alone(database: Database) -> None:
    """40,000 logs of 10 days: what is looked at one by one is what one of a hundred times fewer would be."""
    now = START.replace(minute=0) + 10 * DAY
    async with database.write() as db:
        for start in range(0, 40_000, 4_000):
            rows = (log(number, now - number * (10 * DAY / 40_000)) for number in range(start, start + 4_000))
            await db.execute(insert(runs), list(rows))
    await count_all(database, now)
    async with database.write() as db:
        await db.execute(text("ANALYZE"))
    wanted = LogFilter(now - 9 * DAY + 10 * MINUTE)
    async with database.read_as(TENANT) as db:
        # In the transaction in which they are listed, whose settings count.
        await logs.list_logs(db, TENANT, wanted, offset=0, limit=51, after=None)
        with watching() as seen:
            total = await run_counts.count_logs(db, TENANT, wanted, now, at_most=5_000)
        assert total == await logs.count_logs(db, TENANT, wanted)
        for each in seen:
            plan = await explained(db, each.statement, each.all_parameters())
            assert "Seq Scan" not in plan, plan
            assert "SCAN run" not in plan, plan
        bound = seen[-1].all_parameters()
        edges = [
            await logs.count_logs(db, TENANT, LogFilter(bound[since], bound[until]))
            for since, until in (("since", "first"), ("last", "over"), ("over", "until"))
        ]
    assert len(seen) == 2
    assert sum(edges) < 400, "logs that are looked at one by one"
    assert bound["last"] - bound["first"] > 8 * DAY


async def explained(db: AsyncConnection, statement: Any, given: dict[str, Any]) -> str:
    asked = statement.params(**{name: given[name] for name in statement.compile().params if name in given})
    compiled = asked.compile(dialect=db.dialect, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN (COSTS OFF)" if db.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    found = await db.execute(text(f"{explain} {str(compiled).replace(':', chr(92) + ':')}"))
    return "\n".join(str(row[-1]) for row in found)
