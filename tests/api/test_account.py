"""/account: the plan, what is used of it, who is a member, and what needs attention."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from calendarsync.accounts.accounts import create_account, set_plan
from calendarsync.accounts.keys import Mode
from calendarsync.accounts.people import Role, add_member
from calendarsync.accounts.scopes import Scope
from calendarsync.store.tables import connections, pairs, webhooks
from tests.api.client import Client
from tests.api.world import World

URL = "/api/v1/account"


async def account(client: Client) -> dict[str, Any]:
    answer = await client.get(URL)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


async def store(world: World, table: Any, row_id: str, **values: Any) -> None:
    async with world.db.write() as connection:
        await connection.execute(update(table).where(table.c.id == row_id).values(**values))


async def test_all_that_is_told(world: World, client: Client) -> None:
    assert await account(client) == {
        "id": world.account_id,
        "email": "you@example.com",
        "mode": "live",
        "plan": "pro",
        "base_plan": "free",
        "trial_ends_at": "2026-04-11T10:00:00Z",
        "limits": {"requests_per_hour": 2000, "log_days": 90},
        "usage": {"used": 1, "remaining": 1999, "resets_at": "2026-03-28T11:00:00Z"},
        "counts": {"connections": 0, "pairs": 0, "webhooks": 0},
        "members": [{"email": "you@example.com", "role": "owner"}],
        "notices": [],
        "return_urls": [],
        "created_at": "2026-03-28T10:00:00Z",
    }


async def test_the_trial_ends(world: World, client: Client) -> None:
    world.tick(timedelta(days=14).total_seconds() - 1)
    assert (await account(client))["plan"] == "pro"
    world.tick()
    found = await account(client)
    assert (found["plan"], found["base_plan"]) == ("free", "free")
    assert found["limits"] == {"requests_per_hour": 100, "log_days": 7}


async def test_a_plan_that_is_set_holds_at_once(world: World, client: Client) -> None:
    await set_plan(world.db, world.account_id, "free")
    found = await account(client)
    assert (found["plan"], found["trial_ends_at"]) == ("free", None)
    with pytest.raises(ValueError, match="no plan of that name"):
        await set_plan(world.db, world.account_id, "gold")
    paid = await create_account(world.db, "paid@example.com", now=world.clock[0], plan="pro")
    found = await account(await world.client(account_id=paid))
    assert (found["plan"], found["base_plan"], found["trial_ends_at"]) == ("pro", "pro", None)


async def test_usage_is_what_the_headers_tell(world: World, client: Client) -> None:
    await client.get("/api/v1/connections")
    tester = await world.client(mode=Mode.TEST)
    world.tick(60)
    answer = await tester.get(URL)
    usage = answer.json["usage"]
    assert usage == {"used": 2, "remaining": 1998, "resets_at": "2026-03-28T11:00:00Z"}
    assert int(answer.headers["x-ratelimit-remaining"]) == usage["remaining"]
    await set_plan(world.db, world.account_id, "free")
    assert (await account(client))["usage"]["remaining"] == 97
    world.tick(3600)
    assert (await account(client))["usage"]["used"] == 1


async def test_counts_are_of_the_mode(world: World, client: Client) -> None:
    a, b = await world.connection("a"), await world.connection("b")
    await world.pair(client, a, b)
    await client.post("/api/v1/webhooks", {"url": "https://hooks.example.com/in"})
    await world.connection("c", mode="test")
    await world.connection("d", account_id=await world.other_account())
    assert (await account(client))["counts"] == {"connections": 2, "pairs": 1, "webhooks": 1}
    tester = await world.client(mode=Mode.TEST)
    assert (await account(tester))["counts"] == {"connections": 1, "pairs": 0, "webhooks": 0}


async def test_members_are_listed_with_their_roles(world: World, client: Client) -> None:
    for minute, (email, role) in enumerate(
        [("New.Hire@example.com", Role.MEMBER), ("it@example.com", Role.ADMIN)]
    ):
        now = world.clock[0] + timedelta(minutes=minute + 1)
        await add_member(world.db, world.account_id, email, role, now=now)
    await add_member(
        world.db, await world.other_account(), "stranger@example.com", Role.ADMIN, now=world.clock[0]
    )
    assert (await account(client))["members"] == [
        {"email": "you@example.com", "role": "owner"},
        {"email": "new.hire@example.com", "role": "member"},
        {"email": "it@example.com", "role": "admin"},
    ]


async def test_what_needs_attention_is_told(world: World, client: Client) -> None:
    a, b = await world.connection("a"), await world.connection("b")
    c, d = await world.connection("c"), await world.connection("d")
    first, second = await world.pair(client, a, b), await world.pair(client, c, d)
    hook = (await client.post("/api/v1/webhooks", {"url": "https://hooks.example.com/in"})).json
    other = (await client.post("/api/v1/webhooks", {"url": "https://hooks.example.com/out"})).json
    await client.patch(f"/api/v1/webhooks/{other['id']}", {"status": "disabled"})
    at = [world.tick() for _ in range(4)]
    guard = {"attention_code": "mass_deletion", "attention_message": "12 of 12 events are gone"}
    await store(world, pairs, first["id"], status="needs_attention", last_synced_at=at[0], **guard)
    broken = {"attention_code": "unreachable", "attention_message": "the server does not answer"}
    await store(world, pairs, second["id"], status="error", last_synced_at=at[2], **broken)
    wrong = {"last_error_code": "refused", "last_error_message": "the password is not accepted"}
    await store(world, connections, d, status="expired", **wrong)
    await store(world, webhooks, hook["id"], status="disabled", disabled_reason="gone", disabled_at=at[3])
    unused = await world.connection("e", status="error")
    notices = (await account(client))["notices"]
    assert [(each["code"], each["subject"]) for each in notices] == [
        ("webhook_disabled", hook["id"]),
        ("connection_expired", d),
        ("pair_error", second["id"]),
        ("pair_needs_attention", first["id"]),
        ("connection_error", unused),
    ]
    assert [each["at"] for each in notices] == [
        *(f"2026-03-28T10:00:{moment.second:02}Z" for moment in (at[3], at[2], at[2], at[0])),
        None,
    ]
    assert "410" in notices[0]["message"]
    assert [each["message"] for each in notices[1:4]] == [
        "the password is not accepted",
        "the server does not answer",
        "12 of 12 events are gone",
    ]
    await store(world, webhooks, hook["id"], disabled_reason="failing")
    assert "5 days" in (await account(client))["notices"][0]["message"]
    for stranger in (
        await world.client(mode=Mode.TEST),
        await world.client(account_id=await world.other_account()),
    ):
        assert (await account(stranger))["notices"] == []


async def test_it_needs_its_scope(world: World) -> None:
    client = await world.client(scopes=(Scope.LOGS_READ, Scope.ACCOUNT_ADMIN))
    assert (await client.get(URL)).status == 403
