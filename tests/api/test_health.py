"""Health, and what callers hear while the database is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from calendarsync.api import health
from calendarsync.store.database import Database, DatabaseUnavailable
from tests.api.client import Client
from tests.api.routes import check_error
from tests.api.world import World


def take_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def nothing(_: Database) -> AsyncIterator[None]:
        raise DatabaseUnavailable("it was stopped")
        yield

    for name in ("read", "write"):
        monkeypatch.setattr(Database, name, nothing)


async def test_a_request_while_the_database_is_away(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_away(world, monkeypatch)
    for method, path in (("GET", "/api/v1/connections"), ("POST", "/api/v1/sync-pairs/pair_1/trigger")):
        answer = await client.request(method, path)
        check_error(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "5"
        assert "stopped" not in str(answer.json)


async def test_health_while_the_database_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    take_away(world, monkeypatch)
    answer = await Client(world.app).get("/health")
    assert (answer.status, answer.json["status"], answer.json["database"]) == (503, "error", "error")
    assert answer.json["reason"] == "the database cannot be used: it was stopped"
    alive = await Client(world.app).get("/health/live")
    assert (alive.status, alive.json["status"]) == (200, "ok")


async def test_health_on_an_old_schema(world: World) -> None:
    async with world.db.write() as connection:
        await connection.exec_driver_sql("DELETE FROM alembic_version")
    answer = await Client(world.app).get("/health")
    assert answer.status == 503
    assert "calendarsync migrate" in answer.json["reason"]


async def test_health_on_a_newer_schema(world: World) -> None:
    async with world.db.write() as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    answer = await Client(world.app).get("/health")
    assert (answer.status, answer.json["reason"]) == (200, None)


async def test_health_of_a_database_that_does_not_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: Database) -> bool:
        await asyncio.sleep(60)
        return True

    monkeypatch.setattr(Database, "schema_is_current", never)
    monkeypatch.setattr(health, "_PATIENCE_SECONDS", 0.1)
    answer = await Client(world.app).get("/health")
    assert (answer.status, answer.json["reason"]) == (503, "the database did not answer within 0.1 s")
