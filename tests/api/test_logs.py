"""/logs: filters, pages, and what a log tells."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from calendarsync.accounts.keys import Mode
from calendarsync.api.v1 import logs
from calendarsync.api.v1.log_cursor import digest_of
from calendarsync.store import run_counts
from calendarsync.store.tables import accounts, operations, runs
from calendarsync.store.tenancy import Tenant
from tests.api.client import Client
from tests.api.world import World

URL = "/api/v1/logs"


async def log(world: World, number: int, **values: Any) -> str:
    row: Mapping[str, Any] = {
        "id": f"log_{number:03}",
        "sync_id": f"sync_run_{number:03}",
        "account_id": world.account_id,
        "mode": "live",
        "pair_id": "pair_one",
        "status": "success",
        "trigger": "schedule",
        "events_processed": 12,
        "events_created": 1,
        "events_updated": 2,
        "events_deleted": 3,
        "events_skipped": 4,
        "provider_requests": 5,
        "undid": None,
        "duration_ms": 843,
        "created_at": world.tick(60),
        **values,
    }
    async with world.db.write() as connection:
        await connection.execute(runs.insert().values(row))
    return str(row["id"])


async def test_logs_that_nobody_has_counted_are_counted_before_they_are_many(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, count_more = [], run_counts.count_more

    async def noted(*given: Any) -> bool:
        counted.append(given[1])
        return await count_more(*given)

    monkeypatch.setattr(logs, "_UNCOUNTED", 4)
    monkeypatch.setattr(run_counts, "count_more", noted)
    for number in range(8):
        status = "failed" if number % 4 == 3 else "success"
        await log(world, number, status=status, created_at=world.tick(600))
    world.tick(600)
    assert (await client.get(f"{URL}?status=failed")).json["total"] == 2
    assert (await client.get(f"{URL}?pair_id=pair_one")).json["total"] == 8
    assert counted == []
    assert (await client.get(URL)).json["total"] == 8
    assert set(counted) == {Tenant(world.account_id, "live")}
    page = (await client.get(f"{URL}?per_page=3")).json
    assert page["total"] == 8
    following = (await client.get(f"{URL}?per_page=3&cursor={page['next_cursor']}")).json
    assert (following["total"], len(following["logs"])) == (8, 3)


async def listed(client: Client, query: str = "") -> list[str]:
    answer = await client.get(URL + query)
    assert answer.status == 200, answer.body
    return [each["id"] for each in answer.json["logs"]]


async def test_a_log_as_the_contract_shows_it(world: World, client: Client) -> None:
    await log(world, 1, error_code="provider_unavailable", error_message="Later.", status="failed")
    answer = await client.get(URL)
    assert answer.json == {
        "logs": [
            {
                "id": "log_001",
                "pair_id": "pair_one",
                "status": "failed",
                "events_synced": 12,
                "duration_ms": 843,
                "created_at": "2026-03-28T10:01:00Z",
                "sync_id": "sync_run_001",
                "trigger": "schedule",
                "events_created": 1,
                "events_updated": 2,
                "events_deleted": 3,
                "events_skipped": 4,
                "provider_requests": 5,
                "undid": None,
                "error": {"code": "provider_unavailable", "message": "Later."},
            }
        ],
        "total": 1,
        "page": 1,
        "next_cursor": None,
    }


async def test_filters(world: World, client: Client) -> None:
    await log(world, 1)
    await log(world, 2, pair_id="pair_two", status="partial")
    middle: datetime = world.clock[0]
    await log(world, 3, status="failed")
    assert await listed(client) == ["log_003", "log_002", "log_001"]
    assert await listed(client, "?pair_id=pair_two") == ["log_002"]
    assert await listed(client, "?sync_id=sync_run_003") == ["log_003"]
    assert await listed(client, "?status=partial") == ["log_002"]
    stamp = middle.isoformat().replace("+00:00", "Z")
    assert await listed(client, f"?since={stamp}") == ["log_003", "log_002"]
    assert await listed(client, f"?until={stamp}") == ["log_001"]
    assert await listed(client, f"?since={stamp}&until={stamp}") == []
    assert await listed(client, "?since=2026-03-28T12:02:00%2B02:00") == ["log_003", "log_002"]
    assert await listed(client, "?pair_id=pair_one&status=success") == ["log_001"]


async def test_pages(world: World, client: Client) -> None:
    for number in range(1, 8):
        await log(world, number)
    answer = await client.get(f"{URL}?per_page=3&page=2")
    assert [each["id"] for each in answer.json["logs"]] == ["log_004", "log_003", "log_002"]
    assert (answer.json["total"], answer.json["page"]) == (7, 2)
    assert await listed(client, "?per_page=3&page=4") == []
    assert len(await listed(client, "?per_page=100")) == 7


async def test_logs_of_the_same_moment_are_in_one_order_on_all_pages(world: World, client: Client) -> None:
    for number in range(1, 5):
        await log(world, number, created_at=world.clock[0])
    pages = [await listed(client, f"?per_page=1&page={page}") for page in range(1, 5)]
    assert pages == [["log_004"], ["log_003"], ["log_002"], ["log_001"]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=x", "page"),
        ("page=99999999999999999999", "page"),
        ("per_page=0", "per_page"),
        ("per_page=101", "per_page"),
        ("status=ok", "status"),
        ("since=yesterday", "since"),
        ("since=2026-03-28", "since"),
        ("until=2026-03-28T10:00:00", "until"),
        ("since=9999-12-31T23:59:59-23:59", "since"),
        ("pair=pair_one", "pair"),
        ("pair_id=%00", "pair_id"),
        ("sync_id=%00", "sync_id"),
    ],
)
async def test_wrong_parameters_are_named(client: Client, query: str, field: str) -> None:
    answer = await client.get(f"{URL}?{query}")
    assert (answer.status, answer.fields) == (422, {field})


async def test_the_other_mode_and_other_accounts_see_nothing(world: World, client: Client) -> None:
    await log(world, 1)
    assert await listed(await world.client(mode=Mode.TEST)) == []
    assert await listed(await world.client(account_id=await world.other_account())) == []
    assert await listed(client) == ["log_001"]


async def test_one_log_has_its_operations(world: World, client: Client) -> None:
    log_id = await log(world, 1)
    rows = [
        {
            "run_id": log_id,
            "position": position,
            "direction": "a_to_b",
            "event_id": f"event-{position}",
            "original_start": "",
            "action": "skip",
            "reason": "declined",
            "copy_id": None,
        }
        for position in (2, 1)
    ]
    async with world.db.write() as connection:
        await connection.execute(operations.insert(), rows)
    answer = await client.get(f"{URL}/{log_id}")
    assert [each["event_id"] for each in answer.json["operations"]] == ["event-1", "event-2"]
    assert answer.json["operations"][0] == {
        "direction": "a_to_b",
        "event_id": "event-1",
        "original_start": "",
        "action": "skip",
        "reason": "declined",
        "copy_id": None,
        "latency_ms": None,
    }


async def through(client: Client, query: str, per_page: int) -> list[list[str]]:
    """All pages from the first on, each found by the cursor of the one before."""
    pages, cursor = [], ""
    while len(pages) < 50:
        answer = await client.get(f"{URL}?per_page={per_page}{query}{cursor}")
        assert answer.status == 200, answer.body
        assert answer.json["page"] == len(pages) + 1
        pages.append([each["id"] for each in answer.json["logs"]])
        if answer.json["next_cursor"] is None:
            return pages
        cursor = f"&cursor={answer.json['next_cursor']}"
    raise AssertionError("it has no end")


@pytest.mark.parametrize(
    "query", ["", "&pair_id=pair_one", "&status=failed", "&status=partial&pair_id=pair_one"]
)
async def test_cursors_lead_through_all_that_the_filters_leave(
    world: World, client: Client, query: str
) -> None:
    for number in range(1, 25):
        await log(
            world,
            number,
            # Three at a time are of the same moment.
            created_at=world.clock[0] if number % 3 else world.tick(),
            status=("success", "partial", "failed")[number % 5 % 3],
            pair_id=f"pair_{'one' if number % 4 else 'two'}",
        )
    whole = await listed(client, f"?per_page=100{query}")
    assert whole
    for per_page in (1, 4, 24, 100):
        pages = await through(client, query, per_page)
        assert [each for page in pages for each in page] == whole
        assert all(len(page) == per_page for page in pages[:-1])


async def test_what_comes_or_goes_meanwhile_moves_no_page(world: World, client: Client) -> None:
    for number in range(1, 7):
        await log(world, number)
    first = (await client.get(f"{URL}?per_page=2")).json
    await log(world, 7)
    async with world.db.write() as connection:
        await connection.execute(runs.delete().where(runs.c.id == "log_005"))
    second = (await client.get(f"{URL}?per_page=2&cursor={first['next_cursor']}")).json
    assert [each["id"] for each in second["logs"]] == ["log_004", "log_003"]
    assert (second["total"], second["page"]) == (6, 2), "as the first page counted them"
    other_size = (await client.get(f"{URL}?per_page=50&cursor={first['next_cursor']}")).json
    assert len(other_size["logs"]) == 4
    assert other_size["next_cursor"] is None
    from_a_page = (await client.get(f"{URL}?per_page=2&page=2")).json
    third = (await client.get(f"{URL}?per_page=2&cursor={from_a_page['next_cursor']}")).json
    assert ([each["id"] for each in third["logs"]], third["page"]) == (["log_002", "log_001"], 3)


@pytest.mark.parametrize("changed", ["&pair_id=pair_two", "", "&pair_id=pair_one&status=success", "&page=2"])
async def test_a_cursor_goes_with_its_filters_alone(world: World, client: Client, changed: str) -> None:
    for number in range(1, 4):
        await log(world, number)
    cursor = (await client.get(f"{URL}?per_page=1&pair_id=pair_one")).json["next_cursor"]
    filters = f"&pair_id=pair_one{changed}" if "page" in changed else changed
    answer = await client.get(f"{URL}?per_page=1&cursor={cursor}{filters}")
    assert (answer.status, answer.fields) == (422, {"cursor"})


def forged(**changes: object) -> str:
    asked = digest_of(None, None, None, None, None)
    honest = {"at": 1_774_692_000_000_000, "id": "log_1", "page": 1, "total": 3, "filters": asked}
    return base64.urlsafe_b64encode(json.dumps({**honest, **changes}).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "x", "%00", "=", "eyJ", "bnVsbA", "W10", "e30", "%F0%9F%98%80", "a" * 401),
        *(forged(at=value) for value in (-1, 10**18, "2026-03-28", None, 1.5, True)),
        *(forged(id=value) for value in ("", "pair_1", "log_", "log_'--", "log_" + "x" * 40, "log_1\n", 1)),
        *(forged(page=value) for value in (0, -1, 10**9, 10**30, "1")),
        *(forged(total=value) for value in (-1, 10**30, None)),
        *(forged(filters=value) for value in ("", "0" * 15, "0" * 16, None)),
        forged(more=1),
    ],
)
async def test_what_is_no_cursor_is_named(client: Client, cursor: str) -> None:
    assert (await client.get(f"{URL}?cursor={forged()}")).status == 200
    answer = await client.get(f"{URL}?cursor={cursor}")
    assert (answer.status, answer.fields) == (422, {"cursor"}), answer.body


async def test_a_cursor_of_another_account_shows_none_of_its_logs(world: World, client: Client) -> None:
    for number in range(1, 4):
        await log(world, number)
    cursor = (await client.get(f"{URL}?per_page=1")).json["next_cursor"]
    stranger = await world.client(account_id=await world.other_account())
    assert await listed(stranger, f"?cursor={cursor}") == []


async def test_logs_older_than_the_plan_keeps_them_are_not_there(world: World, client: Client) -> None:
    """The trial is over, and the account on the free plan: seven days."""
    old, young = await log(world, 1), await log(world, 2)
    async with world.db.write() as connection:
        await connection.execute(update(accounts).values(trial_ends_at=world.clock[0]))
    world.tick(timedelta(days=7).total_seconds() - 30)
    assert await listed(client) == [young]
    assert (await client.get(URL)).json["total"] == 1
    assert await listed(client, "?since=2020-01-01T00:00:00Z") == [young]
    assert await listed(client, "?sync_id=sync_run_001") == []
    assert (await client.get(f"{URL}/{old}")).status == 404
    assert (await client.get(f"{URL}/{young}")).status == 200
    async with world.db.write() as connection:
        await connection.execute(update(accounts).values(plan="pro"))
    assert await listed(client) == [young, old], "they have not been deleted yet"


async def test_test_modes_clock_makes_no_log_older(world: World) -> None:
    """Logs are written by the real clock in either mode."""
    await log(world, 1, mode="test")
    tester = await world.client(mode=Mode.TEST)
    async with world.db.write() as connection:
        ahead = int(timedelta(days=91).total_seconds())
        await connection.execute(update(accounts).values(test_clock_seconds=ahead))
    assert await listed(tester) == ["log_001"]


async def test_cursors_that_were_made_up_lead_through_ones_own_logs(world: World, client: Client) -> None:
    for number in range(1, 4):
        await log(world, number)
    newest = {"at": 253_402_300_799_999_999, "id": "log_zzz"}
    answer = await client.get(f"{URL}?per_page=1&cursor={forged(page=10**9 - 1, **newest)}")
    assert (answer.status, answer.json["page"]) == (200, 10**9)
    assert [each["id"] for each in answer.json["logs"]] == ["log_003"]
    answer = await client.get(f"{URL}?per_page=1&cursor={answer.json['next_cursor']}")
    assert (answer.status, answer.fields) == (422, {"cursor"})
    assert await listed(client, f"?cursor={forged(at=0)}") == []
