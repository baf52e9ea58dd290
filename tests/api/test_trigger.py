"""/sync-pairs/{id}/trigger: what a caller is told of a run."""

from __future__ import annotations

import pytest

from calendarsync.sync.report import RunError, RunReport, RunStatus
from tests.api.client import Client
from tests.api.world import World, operation


@pytest.fixture
async def url(world: World, client: Client) -> str:
    pair = await world.pair(client, await world.connection("a"), await world.connection("b"))
    return f"/api/v1/sync-pairs/{pair['id']}"


@pytest.mark.parametrize("body", [None, b"", b"{}", b"null"])
async def test_a_run_that_succeeds(client: Client, url: str, body: bytes | None) -> None:
    answer = await client.post(f"{url}/trigger", body)
    assert answer.status == 200
    sync_id = answer.json["sync_id"]
    assert sync_id.startswith("sync_run_")
    assert answer.json == {
        "success": True,
        "sync_id": sync_id,
        "events_processed": 12,
        "events_created": 2,
        "events_updated": 0,
        "events_deleted": 1,
    }


async def test_no_body_needs_no_content_type_and_no_length(client: Client, url: str) -> None:
    assert (await client.post(f"{url}/trigger", None, content_type=None)).status == 200


async def test_another_content_type_is_refused_without_a_body_too(client: Client, url: str) -> None:
    answer = await client.post(f"{url}/trigger", None, headers=[("Content-Type", "text/plain")])
    assert answer.status == 415


async def test_what_was_asked_for_reaches_the_engine(world: World, client: Client, url: str) -> None:
    await client.post(f"{url}/trigger", {"full": True, "confirm": True})
    _, options = world.runner.asked[-1]
    assert options == {"full": True, "confirm": True, "dry_run": False}


@pytest.mark.parametrize("body", [{"full": 1}, {"full": None}, {"dry-run": True}, {"confirm": "yes"}])
async def test_a_wrong_body_starts_nothing(
    world: World, client: Client, url: str, body: dict[str, object]
) -> None:
    answer = await client.post(f"{url}/trigger", body)
    assert (answer.status, answer.fields) == (422, set(body))
    assert world.runner.asked == []


async def test_a_run_that_fails_says_why(world: World, client: Client, url: str) -> None:
    error = RunError("needs_attention", "The calendar reads empty.")
    world.runner.report = RunReport("", RunStatus.FAILED, error=error)
    answer = await client.post(f"{url}/trigger")
    assert answer.status == 200
    assert answer.json["success"] is False
    assert answer.json["error"] == {"code": "needs_attention", "message": "The calendar reads empty."}


async def test_partial_counts_as_success(world: World, client: Client, url: str) -> None:
    world.runner.report = RunReport("", RunStatus.PARTIAL, events_skipped=1)
    answer = await client.post(f"{url}/trigger")
    assert answer.json["success"] is True
    assert "error" not in answer.json


async def test_a_dry_run_lists_what_it_would_do(world: World, client: Client, url: str) -> None:
    world.runner.report = RunReport("", RunStatus.SUCCESS, operations=(operation(),))
    assert "operations" not in (await client.post(f"{url}/trigger")).json
    answer = await client.post(f"{url}/trigger", {"dry_run": True})
    assert answer.json["operations"] == [
        {
            "direction": "a_to_b",
            "event_id": "event-1",
            "original_start": "",
            "action": "create",
            "reason": "new",
            "copy_id": "copy-1",
            "latency_ms": None,
        }
    ]


@pytest.mark.parametrize(
    "prefer", ["respond-async", "Respond-Async, wait=10", "return=minimal; x, respond-async"]
)
async def test_a_caller_may_prefer_not_to_wait(client: Client, url: str, prefer: str) -> None:
    answer = await client.post(f"{url}/trigger", headers=[("Prefer", prefer)])
    assert answer.status == 202
    assert set(answer.json) == {"sync_id"}
    assert answer.headers["preference-applied"] == "respond-async"


async def test_a_dry_run_is_waited_for(world: World, client: Client, url: str) -> None:
    answer = await client.post(f"{url}/trigger", {"dry_run": True}, headers=[("Prefer", "respond-async")])
    assert (answer.status, answer.fields) == (422, {"dry_run"})
    assert "Prefer: respond-async" in answer.error["message"]
    assert world.runner.asked == []


async def test_a_long_run_is_not_waited_for(world: World, client: Client, url: str) -> None:
    world.runner.stuck = True
    answer = await client.post(f"{url}/trigger")
    assert answer.status == 202
    assert set(answer.json) == {"sync_id"}


async def test_a_paused_pair_is_a_conflict(world: World, client: Client, url: str) -> None:
    await client.patch(url, {"status": "paused"})
    answer = await client.post(f"{url}/trigger")
    assert (answer.status, answer.error["code"]) == (409, "conflict")
    assert world.runner.asked == []
