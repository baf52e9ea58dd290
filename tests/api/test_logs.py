"""/logs: filters, pages, and what a log tells."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from calendarsync.accounts.keys import Mode
from calendarsync.store.tables import operations, runs
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
        "duration_ms": 843,
        "created_at": world.tick(60),
        **values,
    }
    async with world.db.write() as connection:
        await connection.execute(runs.insert().values(row))
    return str(row["id"])


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
                "error": {"code": "provider_unavailable", "message": "Later."},
            }
        ],
        "total": 1,
        "page": 1,
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
    }
