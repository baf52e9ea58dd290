"""What is sent counts for its project, once, and what a provider says of the whole project (rule 24)."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from sqlalchemy import update

from calendarsync.jobs.process import running
from calendarsync.jobs.tidy import Tidy
from calendarsync.providers.base import RateLimited
from calendarsync.settings import Settings
from calendarsync.store.database import DatabaseUnavailable
from calendarsync.store.tables import grants
from calendarsync.sync.run import Engine
from calendarsync.sync.turns import FURTHEST
from tests.jobs.quota_desk import (
    claim,
    grant,
    granted,
    moments,
    polled,
    quotas_of,
    use,
)
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk


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


async def test_a_clock_that_was_set_back_does_not_stop_polls_for_ever(at: MemoryDesk) -> None:
    await grant(at, "mine")
    sent = Counter({"grant_mine": 5})
    quotas = quotas_of(at, sent)
    await quotas.write_down()
    at.app.clock.advance(days=-1)
    await quotas.pull_in(FURTHEST)
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
