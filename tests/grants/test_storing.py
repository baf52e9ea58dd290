"""Grants in the database: one of each person, its connections brought back, and given back at the end."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from calendarsync.accounts.accounts import create_account
from calendarsync.grants import Grants
from calendarsync.jobs.tidy import Tidy
from calendarsync.providers.base import Unavailable
from calendarsync.secrets import Keyring
from calendarsync.store.grants import drop_if_unused, get_grant
from calendarsync.store.tables import authorizations, connections, grants, pairs
from calendarsync.store.tenancy import Tenant
from tests.grants.conftest import SECRET, Place, connection_row
from tests.testbed.oauth import Fault
from tests.testbed.stored import stored


async def rows(at: Place) -> list[str]:
    async with at.db.read() as db:
        return list((await db.execute(select(grants.c.id).order_by(grants.c.created_at))).scalars())


async def state(at: Place, table: object, row_id: str, *names: str) -> tuple[object, ...]:
    columns = {connections: connections, pairs: pairs}[table].c  # type: ignore[index]
    async with at.db.read() as db:
        query = select(*(columns[name] for name in names)).where(columns.id == row_id)
        return tuple((await db.execute(query)).one())


async def sealed_credentials(at: Place, connection_id: str) -> object:
    return (await state(at, connections, connection_id, "credentials_encrypted"))[0]


async def test_one_person_has_one_grant_with_the_latest_tokens(at: Place) -> None:
    first = await at.granted()
    token = await at.tokens(first).access_token()
    assert await at.granted() == first
    assert await at.granted(email="bob@example.com") != first
    assert len(await rows(at)) == 2
    assert await at.worker().tokens(first).access_token() != token


async def test_accounts_and_modes_keep_grants_of_the_same_person_apart(at: Place) -> None:
    mine = await at.granted()
    at.tenant = Tenant(at.tenant.account_id, "test")
    tried = await at.granted()
    other = await create_account(at.db, "other@example.com", now=at.clock())
    at.tenant = Tenant(other, "live")
    theirs = await at.granted()
    assert len({mine, tried, theirs}) == 3
    async with at.db.read_as(at.tenant) as db:
        assert await get_grant(db, at.tenant, mine) is None
        assert await get_grant(db, at.tenant, theirs) is not None


async def test_what_had_come_to_a_stop_goes_on_where_it_stood(at: Place) -> None:
    grant = await at.granted()
    other = await at.granted(email="bob@example.com")
    stop = {"status": "expired", "last_error_code": "not_authorized", "last_error_message": "ended"}
    a = await at.connect(grant, "conn_a", cursor="where it stood", **stop)
    b = await at.connect(grant, "conn_b", status="error", not_before=at.clock() + timedelta(hours=9))
    c = await at.connect(other, "conn_c", **stop)
    d = await at.connect(None, "conn_d")
    waiting = await at.connect(grant, "conn_e", status="pending")
    running = await at.pair("pair_a", a, d)
    paused = await at.pair("pair_b", d, b, status="paused")
    apart = await at.pair("pair_c", c, d)
    before = await sealed_credentials(at, a)
    at.clock.advance(minutes=1)

    assert await at.granted() == grant
    nothing = ("active", None, None, None)
    names = ("status", "last_error_code", "last_error_message", "not_before")
    assert await state(at, connections, a, *names, "cursor") == (*nothing, "where it stood")
    assert await state(at, connections, b, *names) == nothing
    assert await state(at, connections, c, "status") == ("expired",)
    assert await state(at, connections, waiting, "status") == ("pending",)
    assert await state(at, pairs, running, "due_at") == (at.clock(),)
    assert await state(at, pairs, paused, "due_at") != (at.clock(),)
    assert await state(at, pairs, apart, "due_at") != (at.clock(),)
    # A run that began with the dead tokens tells by them that its verdict is out of date.
    assert await sealed_credentials(at, a) != before


async def test_two_consents_at_once_do_not_stop_each_other(at: Place) -> None:
    grant = await at.granted()
    for name in ("a", "b", "c"):
        await at.connect(grant, f"conn_{name}", status="expired")
    await at.pair("pair_1", "conn_a", "conn_b")
    await at.pair("pair_2", "conn_c", "conn_a")
    assert set(await asyncio.gather(*(at.granted() for _ in range(6)))) == {grant}
    assert (await at.row(grant))["generation"] == 7


async def test_somebody_is_known_again_after_the_secret_was_changed(at: Place) -> None:
    grant = await at.granted()
    await at.connect(grant, "conn_a", status="expired")
    at.keyring = Keyring([b"a newer secret of the same installation", SECRET.encode()])
    at.grants = Grants(at.db, at.keyring, at.http, at.settings)
    assert await at.granted() == grant
    row = await at.row(grant)
    assert await state(at, connections, "conn_a", "grant_hash", "status") == (row["subject_hash"], "active")
    assert await at.granted() == grant
    await at.tokens(grant).access_token()


async def test_a_grant_stays_until_its_last_connection_goes(at: Place) -> None:
    grant = await at.granted()
    await at.connect(grant, "conn_a")
    async with at.db.write_as(at.tenant) as db:
        assert await drop_if_unused(db, at.tenant, grant) is None
    await at.grants.end_if_unused(at.tenant, grant)
    assert await rows(at) == [grant]
    assert at.server.revoked == []


async def test_what_is_not_used_any_more_is_given_back(at: Place) -> None:
    grant = await at.granted()
    await at.tokens(grant).access_token()
    await at.grants.end_if_unused(at.tenant, grant)
    assert await rows(at) == []
    (revoked,) = at.server.revoked
    assert revoked.startswith("canary-refresh-")
    assert at.server.spent[revoked] == 0, "the one that came with the last refresh"
    await at.grants.end_if_unused(at.tenant, grant)
    assert len(at.server.revoked) == 1


async def test_nobody_loses_what_they_granted_to_another_account(at: Place) -> None:
    """Google ends all grants of a person to an application at once."""
    mine = await at.granted()
    at.tenant = Tenant(await create_account(at.db, "other@example.com", now=at.clock()), "live")
    theirs = await at.granted()
    await at.grants.end_if_unused(at.tenant, theirs)
    assert await rows(at) == [mine]
    assert at.server.revoked == []


async def test_what_nobody_picked_a_calendar_of_goes_after_a_day(at: Place) -> None:
    used, asked, left = [await at.granted(email=f"{name}@example.com") for name in ("ann", "bob", "eve")]
    await at.connect(used, "conn_a")
    await at.connect(None, "conn_b", status="pending")
    link = {
        "id": "auth_a",
        "provider": "google",
        "connection_id": "conn_b",
        "link_hash": "link",
        "state_hash": "state",
        "verifier_encrypted": b"sealed",
        "status": "granted",
        "grant_id": asked,
        "expires_at": at.clock() + timedelta(hours=30),
        "created_at": at.clock(),
        **at.tenant.values(),
    }
    async with at.db.write() as db:
        await db.execute(insert(authorizations).values(**link))
    at.clock.advance(hours=23)
    await Tidy(at.db).look()
    assert set(await rows(at)) == {used, asked, left}
    at.clock.advance(hours=2)
    await Tidy(at.db).look()
    assert set(await rows(at)) == {used, asked}
    at.clock.advance(days=2)
    await Tidy(at.db).look()
    assert await rows(at) == [used]


async def test_microsoft_has_nothing_to_give_back_to(at: Place) -> None:
    await at.grants.end_if_unused(at.tenant, await at.granted("microsoft"))
    assert at.server.revoked == []


@pytest.mark.parametrize("trouble", ["refused", "nobody there", "another secret"])
async def test_giving_back_is_no_condition_of_leaving(here: Place, trouble: str) -> None:
    grant = await here.granted()
    if trouble == "refused":
        here.server._families.clear()
    elif trouble == "nobody there":
        here.grants._settings = here.settings.model_copy(update={"google_token_url": "http://127.0.0.1:9"})
    else:
        sealed = Keyring([b"another secret of the same installation"]).encrypt(b"{}", grant)
        await here.change(grant, credentials_encrypted=sealed)
    await here.grants.end_if_unused(here.tenant, grant)
    assert await rows(here) == []


async def test_who_connects_keeps_the_grant(at: Place) -> None:
    grant = await at.granted()
    kept = asyncio.Event()

    async def connect() -> None:
        async with at.db.write_as(at.tenant) as db:
            assert await get_grant(db, at.tenant, grant, keep=True) is not None
            kept.set()
            await asyncio.sleep(0.2)  # the other one waits for the lock
            row = connection_row(at, grant, "conn_a")
            await db.execute(insert(connections).values(**row))

    async def leave() -> None:
        await kept.wait()
        await at.grants.end_if_unused(at.tenant, grant)

    await asyncio.gather(connect(), leave())
    assert await rows(at) == [grant]


async def test_no_token_is_stored_in_the_clear(at: Place) -> None:
    grant = await at.granted()
    await at.connect(grant, "conn_a")
    at.server.faults.append(
        Fault("before", 400, {"error": "canary-error", "error_description": "canary-text"})
    )
    with pytest.raises(Unavailable):
        await at.tokens(grant).access_token()
    await at.tokens(grant).access_token()
    found = await stored(at.db, at.settings.database_url)
    assert grant.encode() in found, "the search sees what is there"
    assert b"canary" not in found
