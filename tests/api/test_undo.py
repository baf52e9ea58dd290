"""/sync-pairs/{id}/undo: what a caller is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from calendarsync.sync.report import RunError, RunReport, RunStatus
from tests.api.client import Client
from tests.api.world import World, operation


@pytest.fixture
async def url(world: World, client: Client) -> str:
    pair = await world.pair(client, await world.connection("a"), await world.connection("b"))
    return f"/api/v1/sync-pairs/{pair['id']}"


async def test_what_was_done_and_what_cannot_be_undone(world: World, client: Client, url: str) -> None:
    skipped = replace(operation(), action="skip", reason="contents_not_held")
    done = replace(operation(), action="delete", reason="undone")
    world.runner.report = RunReport(
        "", RunStatus.SUCCESS, events_deleted=1, operations=(done, skipped), undid="sync_run_before"
    )
    answer = await client.post(f"{url}/undo")
    assert answer.status == 200
    assert answer.json["undid"] == "sync_run_before"
    assert [each["reason"] for each in answer.json["operations"]] == ["undone"]
    assert [each["reason"] for each in answer.json["not_undone"]] == ["contents_not_held"]
    assert (answer.json["events_created"], answer.json["events_deleted"]) == (0, 1)
    _, options = world.runner.asked[-1]
    assert options == {"undo": True, "sync_id": None, "dry_run": False}


async def test_nothing_to_take_back_is_a_conflict(world: World, client: Client, url: str) -> None:
    world.runner.report = RunReport("", RunStatus.FAILED, error=RunError("conflict", "no run that wrote"))
    answer = await client.post(f"{url}/undo", {"sync_id": "sync_run_old"})
    assert (answer.status, answer.json["error"]["code"]) == (409, "conflict")
    assert answer.json["error"]["message"] == "no run that wrote"


@pytest.mark.parametrize(
    "body",
    [{"sync_id": 1}, {"sync_id": ""}, {"sync_id": "x" * 41}, {"dry_run": "yes"}, {"undo": True}],
    ids=str,
)
async def test_a_wrong_body_undoes_nothing(
    world: World, client: Client, url: str, body: dict[str, object]
) -> None:
    answer = await client.post(f"{url}/undo", body)
    assert (answer.status, answer.fields) == (422, set(body))
    assert world.runner.asked == []


async def test_who_does_not_wait_is_told_the_id(client: Client, url: str) -> None:
    answer = await client.post(f"{url}/undo", None, headers=[("Prefer", "respond-async")])
    assert (answer.status, set(answer.json)) == (202, {"sync_id"})
    both = await client.post(f"{url}/undo", {"dry_run": True}, headers=[("Prefer", "respond-async")])
    assert (both.status, both.fields) == (422, {"dry_run"})


async def test_a_repeated_request_with_its_key_undoes_once(world: World, client: Client, url: str) -> None:
    """Sent again, for the answer was not heard: a run that came in between is not taken back."""
    key = [("Idempotency-Key", "undo-1")]
    first, again = [await client.post(f"{url}/undo", {}, headers=key) for _ in range(2)]
    assert (first.status, again.status) == (200, 200)
    assert first.json == again.json
    assert len(world.runner.asked) == 1
