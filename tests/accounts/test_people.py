"""Members of an account and their roles, first accounts, and passwords that are set."""

from __future__ import annotations

import asyncio

import pytest
from argon2.profiles import CHEAPEST
from sqlalchemy import delete

from calendarsync.accounts.accounts import create_account, ensure_first_account, find_account_id
from calendarsync.accounts.passwords import Passwords
from calendarsync.accounts.people import (
    Role,
    accounts_of,
    add_member,
    change_role,
    list_members,
    remove_member,
    set_password,
)
from calendarsync.accounts.sessions import SignInError
from calendarsync.store import people as store
from calendarsync.store.database import Database
from calendarsync.store.tables import accounts, members, users
from tests.accounts.conftest import KEYRING, OWNER, PASSWORD, START, House

OTHER = "another password"


async def ids(house: House) -> dict[str, str]:
    return {row["email"]: row["id"] for row in await list_members(house.db, house.account_id)}


async def roles(house: House) -> dict[str, str]:
    return {row["email"]: row["role"] for row in await list_members(house.db, house.account_id)}


async def test_who_makes_an_account_owns_it(house: House) -> None:
    assert await roles(house) == {OWNER: "owner"}
    (user,) = await house.rows(users)
    assert PASSWORD not in str(user)
    assert user["password_hash"].startswith("$argon2id$")


async def test_members_come_change_and_go(house: House) -> None:
    member = await add_member(house.db, house.account_id, "New@Example.com", Role.MEMBER, now=house.now)
    assert member.startswith("mem_")
    assert await roles(house) == {OWNER: "owner", "new@example.com": "member"}
    await change_role(house.db, house.account_id, member, Role.ADMIN)
    assert (await roles(house))["new@example.com"] == "admin"
    with pytest.raises(ValueError, match="member already"):
        await add_member(house.db, house.account_id, "NEW@example.com", Role.OWNER, now=house.now)
    for nonsense in ("nobody", "a@b@c", "a\0@example.com", "\ud800@example.com", "x" * 250 + "@example.com"):
        with pytest.raises(ValueError, match="e-mail address"):
            await add_member(house.db, house.account_id, nonsense, Role.MEMBER, now=house.now)
    await remove_member(house.db, house.account_id, member)
    assert await roles(house) == {OWNER: "owner"}
    assert {row["email"] for row in await house.rows(users)} == {OWNER, "new@example.com"}


async def test_an_account_keeps_an_owner(house: House) -> None:
    owner = (await ids(house))[OWNER]
    for change in (
        lambda: remove_member(house.db, house.account_id, owner),
        lambda: change_role(house.db, house.account_id, owner, Role.ADMIN),
    ):
        with pytest.raises(ValueError, match="needs an owner"):
            await change()
    await change_role(house.db, house.account_id, owner, Role.OWNER)
    await add_member(house.db, house.account_id, "second@example.com", Role.OWNER, now=house.now)
    await change_role(house.db, house.account_id, owner, Role.MEMBER)
    assert await roles(house) == {OWNER: "member", "second@example.com": "owner"}


async def test_two_owners_who_leave_at_once(house: House) -> None:
    """The one who comes second waits for what becomes of the first."""
    await add_member(house.db, house.account_id, "second@example.com", Role.OWNER, now=house.now)
    by_email = await ids(house)
    first, second = by_email[OWNER], by_email["second@example.com"]
    async with house.db.write() as connection:
        assert await store.lock_members(connection, house.account_id)
        other = asyncio.ensure_future(remove_member(house.db, house.account_id, first))
        await asyncio.wait({other}, timeout=0.2)
        await store.set_role(connection, house.account_id, second, Role.MEMBER)
    with pytest.raises(ValueError, match="needs an owner"):
        await other
    assert await roles(house) == {OWNER: "owner", "second@example.com": "member"}


async def test_a_person_may_be_a_member_of_several_accounts(house: House) -> None:
    second = await create_account(house.db, "second@example.com", now=house.now)
    house.tick(seconds=1)
    await add_member(house.db, second, OWNER, Role.MEMBER, now=house.now)
    assert len(await house.rows(users)) == 2
    user_id = next(row["id"] for row in await house.rows(users) if row["email"] == OWNER)
    found = await accounts_of(house.db, user_id)
    assert [(row["account_id"], row["email"], row["role"]) for row in found] == [
        (house.account_id, OWNER, "owner"),
        (second, "second@example.com", "member"),
    ]


async def test_what_is_not_there(house: House) -> None:
    other = await create_account(house.db, "second@example.com", now=house.now)
    (owner,) = (await ids(house)).values()
    for account_id, member_id in ((other, owner), (house.account_id, "mem_x"), ("acct_x", owner)):
        with pytest.raises(LookupError):
            await remove_member(house.db, account_id, member_id)
        with pytest.raises(LookupError):
            await change_role(house.db, account_id, member_id, Role.OWNER)
    with pytest.raises(LookupError):
        await add_member(house.db, "acct_x", OWNER, Role.MEMBER, now=house.now)


@pytest.mark.parametrize("typed", ["OWNER@EXAMPLE.COM", "owner@example.com"])
async def test_an_address_is_one_in_whatever_case(house: House, typed: str) -> None:
    assert await find_account_id(house.db, typed) == house.account_id
    assert await house.sign_in(typed)
    with pytest.raises(ValueError, match="already"):
        await create_account(house.db, typed, now=house.now)


async def test_a_password_is_set_and_ends_all_sessions(house: House) -> None:
    token = await house.sign_in()
    await set_password(house.db, house.keyring, house.passwords, "OWNER@example.com", OTHER, now=house.now)
    assert await house.find(token) is None
    with pytest.raises(SignInError):
        await house.sign_in()
    assert await house.find(await house.sign_in(password=OTHER))
    with pytest.raises(ValueError, match="at least"):
        await set_password(house.db, house.keyring, house.passwords, OWNER, "short", now=house.now)
    assert await house.sign_in(password=OTHER)


async def test_an_account_is_no_way_to_a_members_password(house: House) -> None:
    member = "new@example.com"
    await add_member(house.db, house.account_id, member, Role.ADMIN, now=house.now)
    await set_password(house.db, house.keyring, house.passwords, member, OTHER, now=house.now)
    token = await house.sign_in(member, OTHER)
    hashed = await house.passwords.hash("a third password")
    with pytest.raises(ValueError, match="has a password already"):
        await create_account(house.db, member, now=house.now, password_hash=hashed)
    assert len(await house.rows(accounts)) == 1
    assert await house.find(token)
    await create_account(house.db, member, now=house.now)
    assert await house.sign_in(member, OTHER)


async def test_nobody_gets_no_password(house: House) -> None:
    with pytest.raises(LookupError):
        await set_password(house.db, house.keyring, house.passwords, "x@example.com", OTHER, now=house.now)
    assert len(await house.rows(users)) == 1


async def test_an_account_that_is_older_than_people_gets_its_owner(house: House) -> None:
    async with house.db.write() as connection:
        await connection.execute(delete(users))
    assert await house.rows(members) == []
    await set_password(house.db, house.keyring, house.passwords, OWNER, OTHER, now=house.now)
    assert await roles(house) == {OWNER: "owner"}
    assert await house.sign_in(password=OTHER)


async def test_the_first_account_is_made_once(database_url: str) -> None:
    """By processes that start at once, each with its own connections."""
    databases = [Database(database_url) for _ in range(4)]
    made = await asyncio.gather(
        *(
            ensure_first_account(each, Passwords(CHEAPEST), "Admin@example.com", PASSWORD, now=START)
            for each in databases
        )
    )
    (account_id,) = (each for each in made if each)
    house = House(databases[0], KEYRING, Passwords(CHEAPEST), account_id)
    assert [row["id"] for row in await house.rows(accounts)] == [account_id]
    assert await roles(house) == {"admin@example.com": "owner"}
    assert await house.sign_in("admin@example.com")
    again = await ensure_first_account(databases[0], Passwords(CHEAPEST), "b@example.com", "x", now=START)
    assert again is None
    for each in databases:
        await each.close()


@pytest.mark.parametrize(
    ("email", "password", "words"), [("nobody", None, "address"), (OWNER, "short", "at least")]
)
async def test_a_first_account_that_cannot_be(
    database_url: str, email: str, password: str | None, words: str
) -> None:
    database = Database(database_url)
    with pytest.raises(ValueError, match=words):
        await ensure_first_account(database, Passwords(CHEAPEST), email, password, now=START)
    assert await House(database, KEYRING, Passwords(CHEAPEST)).rows(accounts) == []
    await database.close()


async def test_a_first_account_needs_no_password(database_url: str) -> None:
    database = Database(database_url)
    assert await ensure_first_account(database, Passwords(CHEAPEST), OWNER, None, now=START)
    house = House(database, KEYRING, Passwords(CHEAPEST))
    with pytest.raises(SignInError):
        await house.sign_in()
    await database.close()
