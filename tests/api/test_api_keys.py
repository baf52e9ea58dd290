"""/api-keys: made, shown once, rotated, revoked; never beyond what the caller's own key may do."""

from __future__ import annotations

import asyncio
import io
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from calendarsync.accounts.keys import Mode, is_well_formed, lock_key, rotate_key
from calendarsync.accounts.scopes import DEFAULT_SCOPES, Scope
from calendarsync.jobs.tidy import KEEP_KEYS
from calendarsync.store import pruning
from calendarsync.store.tables import api_keys
from calendarsync.store.tenancy import Tenant
from tests.api.client import Answer, Client
from tests.api.world import World

URL = "/api/v1/api-keys"
ADMIN = (Scope.ACCOUNT_ADMIN, *DEFAULT_SCOPES)


@pytest.fixture
async def admin(world: World) -> Client:
    return await world.client(scopes=ADMIN)


def check(answer: Answer, status: int, words: str = "") -> None:
    assert answer.status == status, answer.body
    assert words in answer.error["message"], answer.error


async def create(client: Client, **values: Any) -> dict[str, Any]:
    answer = await client.post(URL, values)
    assert answer.status == 201, answer.body
    assert answer.headers["location"] == f"{URL}/{answer.json['id']}"
    created: dict[str, Any] = answer.json
    return created


async def rotate(client: Client, key_id: str, **values: Any) -> dict[str, Any]:
    answer = await client.post(f"{URL}/{key_id}/rotate", values)
    assert answer.status == 201, answer.body
    assert answer.headers["location"] == f"{URL}/{answer.json['id']}"
    rotated: dict[str, Any] = answer.json
    return rotated


async def shown(client: Client, key_id: str) -> dict[str, Any]:
    answer = await client.get(f"{URL}/{key_id}")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


async def lets_in(world: World, key: str) -> bool:
    """Whether the key is of any use; its scopes may not be enough."""
    return (await Client(world.app, key).get("/api/v1/connections")).status != 401


async def test_a_key_is_shown_once(world: World, admin: Client, log: io.StringIO) -> None:
    created = await create(admin, name="reporting")
    key = created.pop("key")
    assert is_well_formed(key)
    assert created == {
        "id": created["id"],
        "name": "reporting",
        "display": f"cs_live_…{key[-4:]}",
        "mode": "live",
        "scopes": list(DEFAULT_SCOPES),
        "status": "active",
        "created_at": "2026-03-28T10:00:00Z",
        "expires_at": None,
        "revoked_at": None,
        "last_used_at": None,
        "replaced_by": None,
    }
    assert await shown(admin, created["id"]) == created
    listed = await admin.get(URL)
    assert listed.json["has_more"] is False
    assert created in listed.json["api_keys"]
    assert key not in listed.body.decode()
    assert await lets_in(world, key)
    assert (await shown(admin, created["id"]))["last_used_at"] == "2026-03-28T10:00:00Z"
    async with world.db.read() as connection:
        stored = (await connection.execute(select(api_keys))).all()
    assert key[8:-4] not in repr(stored) + log.getvalue()


async def test_scopes_are_at_most_those_of_the_caller(world: World, admin: Client) -> None:
    created = await create(admin, scopes=["logs:read", "pairs:read", "logs:read"])
    assert created["scopes"] == ["pairs:read", "logs:read"]
    check(await admin.post(URL, {"scopes": ["connections:delegate"]}), 403, "connections:delegate")
    narrow = await world.client(scopes=(Scope.ACCOUNT_ADMIN, Scope.LOGS_READ))
    check(await narrow.post(URL, {}), 403, "pairs:write")
    assert (await create(narrow, scopes=["account:admin"]))["scopes"] == ["account:admin"]


async def test_a_key_with_more_scopes_is_neither_rotated_nor_revoked(world: World, admin: Client) -> None:
    created = await create(admin)
    narrow = await world.client(scopes=(Scope.ACCOUNT_ADMIN, Scope.LOGS_READ))
    assert (await shown(narrow, created["id"]))["scopes"] == list(DEFAULT_SCOPES)
    check(await narrow.post(f"{URL}/{created['id']}/rotate"), 403, "pairs:write")
    check(await narrow.delete(f"{URL}/{created['id']}"), 403, "pairs:write")
    assert await lets_in(world, created["key"])
    assert (await shown(admin, created["id"]))["replaced_by"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["logs:reed"]}, "scopes.0"),
        ({"scopes": [7]}, "scopes.0"),
        ({"scopes": "logs:read"}, "scopes"),
        ({"scopes": None}, "scopes"),
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"expires_at": "2026-03-28T10:00:00Z"}, "expires_at"),
        ({"expires_at": "2026-03-28T09:59:59Z"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "2126-03-05T10:00:00Z"}, "expires_at"),
        ({"mode": "test"}, "mode"),
    ],
)
async def test_what_cannot_be_a_key(admin: Client, body: dict[str, Any], field: str) -> None:
    answer = await admin.post(URL, body)
    check(answer, 422)
    assert answer.fields == {field}
    assert len((await admin.get(URL)).json["api_keys"]) == 1


async def test_a_key_expires(world: World, admin: Client) -> None:
    created = await create(admin, expires_at="2026-03-28T12:00:00+01:00")
    assert created["expires_at"] == "2026-03-28T11:00:00Z"
    world.tick(3599)
    assert await lets_in(world, created["key"])
    world.tick(1)
    assert not await lets_in(world, created["key"])
    assert (await shown(admin, created["id"]))["status"] == "expired"
    check(await admin.post(f"{URL}/{created['id']}/rotate"), 409, "the key is expired")


async def test_a_revoked_key_is_of_no_use_at_once(world: World, admin: Client) -> None:
    created = await create(admin)
    assert await lets_in(world, created["key"])
    for _ in range(2):
        assert (await admin.delete(f"{URL}/{created['id']}")).status == 204
        assert not await lets_in(world, created["key"])
        world.tick(60)
    found = await shown(admin, created["id"])
    assert (found["status"], found["revoked_at"]) == ("revoked", "2026-03-28T10:00:00Z")
    check(await admin.post(f"{URL}/{created['id']}/rotate"), 409, "the key is revoked")


async def tidy(world: World) -> None:
    async with world.db.write() as connection:
        for end in (api_keys.c.revoked_at, api_keys.c.expires_at):
            await pruning.delete_old(connection, end, world.clock[0] - KEEP_KEYS, 10)


async def test_a_key_that_ended_long_ago_is_unknown_and_of_as_little_use(world: World, admin: Client) -> None:
    """Not before its time is over: until then it says which key took its place."""
    first = await create(admin)
    second = await rotate(admin, first["id"], overlap_seconds=0)
    world.tick((KEEP_KEYS - timedelta(minutes=1)).total_seconds())
    await tidy(world)
    assert (await shown(admin, first["id"]))["replaced_by"] == second["id"]
    assert (await admin.delete(f"{URL}/{second['id']}")).status == 204
    world.tick(60)
    await tidy(world)
    assert (await admin.get(f"{URL}/{first['id']}")).status == 404
    left = [each["status"] for each in (await admin.get(URL)).json["api_keys"]]
    assert sorted(left) == ["active", "revoked"]
    assert not await lets_in(world, first["key"])
    world.tick(KEEP_KEYS.total_seconds())
    await tidy(world)
    assert len((await admin.get(URL)).json["api_keys"]) == 1
    assert not await lets_in(world, second["key"])


async def test_a_key_may_revoke_itself(admin: Client) -> None:
    (own,) = (await admin.get(URL)).json["api_keys"]
    assert (await admin.delete(f"{URL}/{own['id']}")).status == 204
    check(await admin.get(URL), 401)


async def test_only_what_was_seen_is_revoked(world: World, admin: Client) -> None:
    created = await create(admin)
    url = f"{URL}/{created['id']}"
    seen = ("If-Match", (await admin.get(url)).headers["etag"])
    await lets_in(world, created["key"])  # it is in use after all
    check(await admin.delete(url, headers=[seen]), 412)
    assert await lets_in(world, created["key"])
    seen = ("If-Match", (await admin.get(url)).headers["etag"])
    assert (await admin.delete(url, headers=[seen])).status == 204


async def test_a_rotated_key_lives_on_for_a_while(world: World, admin: Client) -> None:
    old = await create(admin, name="reporting", scopes=["logs:read", "account:admin"])
    new = await rotate(admin, old["id"])
    assert new["key"] != old["key"]
    assert new["id"] != old["id"]
    assert [new[name] for name in ("name", "scopes", "mode", "expires_at", "replaced_by")] == [
        "reporting",
        ["logs:read", "account:admin"],
        "live",
        None,
        None,
    ]
    found = await shown(admin, old["id"])
    assert (found["replaced_by"], found["expires_at"]) == (new["id"], "2026-03-29T10:00:00Z")
    check(await admin.post(f"{URL}/{old['id']}/rotate"), 409, "rotated already")
    world.tick(86_399)
    assert await lets_in(world, old["key"])
    world.tick(1)
    assert not await lets_in(world, old["key"])
    assert await lets_in(world, new["key"])


@pytest.mark.parametrize(("overlap", "status"), [(0, 201), (604_800, 201), (604_801, 422), (-1, 422)])
async def test_the_overlap_is_chosen(world: World, admin: Client, overlap: int, status: int) -> None:
    old = await create(admin)
    answer = await admin.post(f"{URL}/{old['id']}/rotate", {"overlap_seconds": overlap})
    assert answer.status == status
    world.tick(max(overlap, 1) - 1)
    assert await lets_in(world, old["key"]) == (overlap != 0)
    world.tick(1)
    assert await lets_in(world, old["key"]) == (status == 422)


async def test_a_rotation_makes_no_key_last_longer(world: World, admin: Client) -> None:
    """The old one ends when it would have anyway, and the new one lasts as long as the old one was made for."""
    old = await create(admin, expires_at="2026-03-28T12:00:00Z")
    world.tick(3600)
    new = await rotate(admin, old["id"])
    assert (await shown(admin, old["id"]))["expires_at"] == "2026-03-28T12:00:00Z"
    assert new["expires_at"] == "2026-03-28T13:00:00Z"
    ages = await create(admin, expires_at="2126-03-04T10:00:00Z")
    world.tick(3600)
    assert (await rotate(admin, ages["id"]))["expires_at"] == "2126-03-04T11:00:00Z"
    longer = await rotate(admin, new["id"], expires_at="2027-01-01T00:00:00Z")
    assert longer["expires_at"] == "2027-01-01T00:00:00Z"
    check(await admin.post(f"{URL}/{longer['id']}/rotate", {"expires_at": "2026-01-01T00:00:00Z"}), 422)


async def test_of_two_rotations_at_once_one_makes_a_key(world: World, admin: Client) -> None:
    """The one that comes second waits for what becomes of the first."""
    old, tenant = await create(admin), Tenant(world.account_id, Mode.LIVE)
    async with world.db.write_as(tenant) as connection:
        await lock_key(connection, tenant, old["id"])
        other = asyncio.ensure_future(admin.post(f"{URL}/{old['id']}/rotate"))
        await asyncio.wait({other}, timeout=0.5)
        await rotate_key(connection, world.services.keyring, tenant, old["id"], now=world.clock[0])
    check(await other, 409, "rotated already")
    assert len((await admin.get(URL)).json["api_keys"]) == 3


async def test_the_other_mode_and_other_accounts_are_not_there(world: World, admin: Client) -> None:
    created = await create(admin)
    others = [
        await world.client(scopes=ADMIN, mode=Mode.TEST),
        await world.client(scopes=ADMIN, account_id=await world.other_account()),
    ]
    for other in others:
        assert len((await other.get(URL)).json["api_keys"]) == 1
        check(await other.get(f"{URL}/{created['id']}"), 404)
        check(await other.post(f"{URL}/{created['id']}/rotate"), 404)
        check(await other.delete(f"{URL}/{created['id']}"), 404)
    assert (await create(others[0]))["mode"] == "test"
    assert await lets_in(world, created["key"])


async def test_the_list_a_page_at_a_time(world: World, admin: Client) -> None:
    made = []
    for _ in range(3):
        world.tick()
        made.append((await create(admin))["id"])
    everything = [each["id"] for each in (await admin.get(URL)).json["api_keys"]]
    assert everything[1:] == made
    page = (await admin.get(f"{URL}?limit=2&starting_after={everything[0]}")).json
    assert ([each["id"] for each in page["api_keys"]], page["has_more"]) == (made[:2], True)


async def test_keys_are_for_those_who_administer(client: Client) -> None:
    check(await client.get(URL), 403, "account:admin")
    check(await client.post(URL, {}), 403, "account:admin")


async def test_an_answer_with_a_key_is_replayed_to_the_same_key_alone(world: World, admin: Client) -> None:
    again = [("Idempotency-Key", "make-one")]
    first = await admin.post(URL, {}, headers=again)
    second = await admin.post(URL, {}, headers=again)
    assert second.json == first.json
    assert second.headers["idempotency-replayed"] == "true"
    other = await world.client(scopes=ADMIN)
    assert (await other.post(URL, {}, headers=again)).status == 409
    assert len((await admin.get(URL)).json["api_keys"]) == 3
