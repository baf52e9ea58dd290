"""A refresh that breaks off: at each use of the database, at each stage of the question, by a process's death."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from calendarsync.grants import Grants, refreshing
from calendarsync.grants.refreshing import GrantTokens, Tools
from calendarsync.jobs.process import running
from calendarsync.providers.base import NotAuthorized, Unavailable
from calendarsync.store.errors import DatabaseUnavailable
from tests.grants.conftest import Place
from tests.grants.flaky import MOMENTS, FlakyDatabase, Moment
from tests.testbed.oauth import Fault, When

ROOT = Path(__file__).resolve().parents[2]
DEAD = Fault("before", 400, {"error": "invalid_grant"})
BUSY = Fault("before", 503)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refreshing, "_WRITE_AGAIN_SECONDS", (0.0, 0.0))


def flaky(at: Place, fails_at: int | None = None, moment: Moment = "before") -> tuple[FlakyDatabase, Grants]:
    db = FlakyDatabase(at.db, fails_at, moment)
    return db, Grants(db, at.keyring, at.http, at.settings, now=at.clock)  # type: ignore[arg-type]


def cases() -> Iterator[tuple[int, Moment]]:
    # A load, the lease, the end: more uses than there are.
    for number in range(4):
        yield from ((number, moment) for moment in MOMENTS)


@pytest.mark.parametrize(("number", "moment"), list(cases()))
async def test_a_database_that_breaks_off_once_loses_nothing(at: Place, number: int, moment: Moment) -> None:
    """The server rotates: a refresh token that was spent without being replaced would end the grant."""
    grant = await at.granted()
    db, grants = flaky(at, number, moment)
    try:
        await grants.tokens(grant).access_token()
    except Unavailable:
        assert db.failed
    at.clock.advance(seconds=61)  # what was leased has lapsed
    at.server.issued.clear()
    token = await grants.tokens(grant).access_token()
    assert await at.worker().tokens(grant).access_token() == token
    assert set(at.server.spent.values()) == {1}
    row = await at.row(grant)
    assert (row["status"], row["leased_until"]) == ("active", None)


async def test_there_is_no_use_of_the_database_that_is_not_broken_off(here: Place) -> None:
    db, grants = flaky(here)
    await grants.tokens(await here.granted()).access_token()
    assert db.uses == len({number for number, _ in cases()}) - 1


@pytest.mark.parametrize("fault", [DEAD, BUSY], ids=["dead", "busy"])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_failure_that_cannot_be_noted_is_found_out_again(
    here: Place, fault: Fault, moment: Moment
) -> None:
    grant = await here.granted()
    here.server.faults.extend([fault, fault])
    _, grants = flaky(here, 2, moment)
    with pytest.raises(Unavailable, match="database"):
        await grants.tokens(grant).access_token()
    here.clock.advance(seconds=61)
    with pytest.raises(NotAuthorized if fault is DEAD else Unavailable):
        await grants.tokens(grant).access_token()
    assert (await here.row(grant))["status"] == ("expired" if fault is DEAD else "active")


@pytest.mark.parametrize("ends", [False, True], ids=["goes on", "ends"])
async def test_new_tokens_are_stored_before_anybody_has_them(at: Place, ends: bool) -> None:
    """While they cannot be, they are kept, not used and not asked for again; at its end a process tries again."""
    grant = await at.granted()
    db, grants = flaky(at)
    broken = True

    def break_down() -> None:
        if broken and at.server.asked:
            raise DatabaseUnavailable("canary")

    class Broken(FlakyDatabase):
        def _count(self) -> bool:
            break_down()
            return super()._count()

    db.__class__ = Broken
    tokens = grants.tokens(grant)
    for _ in range(3):
        with pytest.raises(Unavailable, match="database"):
            await tokens.access_token()
    assert len(at.server.asked) == 1
    assert (await at.row(grant))["generation"] == 1
    broken = False
    if ends:
        await grants.close()
        tokens = at.worker().tokens(grant)
    assert {await tokens.access_token()} == at.server.issued
    assert {await at.worker().tokens(grant).access_token()} == at.server.issued
    assert set(at.server.spent.values()) == {1}


@pytest.mark.parametrize("when", ["after", "lost", "torn"])
async def test_an_answer_that_is_lost_costs_nothing_where_tokens_are_not_rotated(
    at: Place, when: When
) -> None:
    at.server.rotates = False
    grant = await at.granted()
    at.server.faults.append(Fault(when))
    with pytest.raises(Unavailable):
        await at.tokens(grant).access_token()
    assert (await at.row(grant))["status"] == "active"
    await at.tokens(grant).access_token()


@pytest.mark.parametrize("when", ["after", "lost", "torn"])
async def test_an_answer_that_is_lost_ends_the_grant_where_the_provider_says_so(
    at: Place, when: When
) -> None:
    """Nobody can help it; it is said once, and the person grants again."""
    grant = await at.granted()
    at.server.faults.append(Fault(when))
    with pytest.raises(Unavailable):
        await at.tokens(grant).access_token()
    with pytest.raises(NotAuthorized):
        await at.tokens(grant).access_token()
    await at.granted()
    await at.tokens(grant).access_token()


async def test_a_process_that_stood_still_with_its_lease_asks_nothing(here: Place) -> None:
    """Its lease may have lapsed before the question arrives: another would spend the same token."""
    grant = await here.granted()
    db, grants = flaky(here)
    db.then = lambda: here.clock.advance(seconds=21) if db.uses == 2 else here.clock.advance(seconds=15)
    await grants.tokens(grant).access_token()
    assert db.uses > 4
    assert list(here.server.spent.values()) == [1]


async def test_a_process_that_ends_waits_for_the_answer(at: Place) -> None:
    grant = await at.granted()
    hold = Fault("held")
    at.server.faults.append(hold)
    async with running(at.settings, schedule=False) as process:
        waiting = asyncio.create_task(process.grants.tokens(grant).access_token())
        await at.server.was_asked.wait()
        waiting.cancel()
        asyncio.get_running_loop().call_later(0.3, hold.go.set)
    assert (await at.row(grant))["generation"] == 2
    assert {await at.tokens(grant).access_token()} == at.server.issued


@pytest.mark.parametrize("rotates", [False, True])
async def test_a_process_that_is_killed_while_it_asks(at: Place, rotates: bool) -> None:
    at.server.rotates = rotates
    grant = await at.granted()
    hold = Fault("held")
    at.server.faults.append(hold)
    command = (sys.executable, "-m", "tests.grants.killed_worker", at.settings.database_url, at.server.url)
    killed = await asyncio.create_subprocess_exec(*command, grant, cwd=ROOT)
    async with asyncio.timeout(120):
        await at.server.was_asked.wait()
    killed.kill()
    await killed.wait()
    waiting = asyncio.create_task(at.tokens(grant).access_token())
    await asyncio.sleep(0.2)
    assert len(at.server.asked) == 1, "the dead worker's lease still stands"
    at.clock.advance(hours=1)
    if rotates:
        with pytest.raises(NotAuthorized):
            await waiting
    else:
        assert await waiting in at.server.issued
    hold.go.set()


async def test_a_process_that_is_killed_before_it_asks_costs_nothing(at: Place) -> None:
    grant = await at.granted()

    async def dies(*_: object) -> None:
        raise SystemExit

    dead = GrantTokens(grant, Tools(at.db, at.keyring, dies, at.clock))  # type: ignore[arg-type]
    with pytest.raises(SystemExit):
        await dead._renew(None)
    at.clock.advance(seconds=61)
    await at.tokens(grant).access_token()
    assert set(at.server.spent.values()) == {1}
