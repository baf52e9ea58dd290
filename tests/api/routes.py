"""Every route of the OpenAPI document, how to ask it, and what every answer has in common."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from calendarsync.accounts.keys import Mode
from calendarsync.accounts.scopes import Scope
from calendarsync.api.app import openapi_document
from calendarsync.store.tables import runs
from tests.api.client import Answer, Client
from tests.api.world import World

PREFIX = "/api/v1"
ACCOUNT = f"{PREFIX}/account"  # it tells what is used, and so changes with every request


@dataclass(frozen=True)
class Route:
    """`body` is an example that the document gives, None where there is no body."""

    method: str
    path: str
    scope: Scope
    mode: Mode
    parameters: tuple[str, ...]
    body: Any

    def url(self, ids: dict[str, str]) -> str:
        address = re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], "nothing"), self.path)
        return address + QUERIES.get(self.path, "")

    @property
    def takes_body(self) -> bool:
        return self.body is not None

    async def ask(self, client: Client, ids: dict[str, str] | None = None, **options: Any) -> Answer:
        return await client.request(self.method, self.url(ids or {}), self.body, **options)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


QUERIES = {
    f"{PREFIX}/availability": "?from=2026-03-28T00:00:00Z&to=2026-03-29T00:00:00Z",
    f"{PREFIX}/sync-pairs/{{pair_id}}/explain": "?event_id=event",
}
"""Parameters that a route does not go without."""

NO_IDS = {"original_start": "2026-04-01T09:00:00Z"}
"""Parameters of a path that are the same for everybody."""


def _routes() -> Iterator[Route]:
    for path, methods in openapi_document()["paths"].items():
        for method, operation in methods.items():
            if path.startswith(PREFIX):
                (requirement,) = operation["security"]
                (scope,) = requirement["apiKey"]
                mode = Mode.TEST if operation["tags"] == ["Sandbox"] else Mode.LIVE
                parameters = tuple(re.findall(r"\{(\w+)\}", path))
                yield Route(method.upper(), path, Scope(scope), mode, parameters, _example(operation))


def _example(operation: dict[str, Any]) -> Any:
    if "requestBody" not in operation:
        return None
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    return next((each["value"] for each in examples.values()), {})


ROUTES = list(_routes())
WITH_BODY = [route for route in ROUTES if route.takes_body]
WITH_ID = [route for route in ROUTES if set(route.parameters) - NO_IDS.keys()]
POSTS = [route for route in ROUTES if route.method == "POST"]
GETS = [route for route in ROUTES if route.method == "GET"]
CHANGES = [
    route
    for route in ROUTES
    if route.method in ("PATCH", "DELETE") and route.path in {each.path for each in GETS} - {ACCOUNT}
]


def in_turn(routes: list[Route]) -> list[Route]:
    """So that all can be asked about the same objects: what changes or ends one comes after what is below it."""

    def turn(route: Route) -> tuple[bool, int, bool]:
        return route.method in ("PATCH", "DELETE"), -route.path.count("/"), route.method == "DELETE"

    return sorted(routes, key=turn)


async def client_for(world: World, route: Route) -> Client:
    """Of the first account, with every scope, in the mode that the route is for."""
    return await world.client(mode=route.mode, scopes=tuple(Scope))


def check_allowance(answer: Answer) -> int:
    """What every answer to an authenticated request tells; how many are left."""
    limit, left, reset = (
        int(answer.headers[f"x-ratelimit-{name}"]) for name in ("limit", "remaining", "reset")
    )
    assert 0 <= left < limit
    assert reset > 1_700_000_000
    return left


def check_error(answer: Answer, status: int, code: str) -> None:
    assert answer.status == status, (answer.status, answer.body)
    assert answer.headers["content-type"] == "application/json"
    error = answer.error
    assert set(answer.json) == {"error"}
    assert set(error) - {"details"} == {"code", "message", "request_id"}
    assert error["code"] == code
    assert error["message"]
    check_request_id(answer)
    assert error["request_id"] == answer.headers["x-request-id"]
    for detail in error.get("details", ()):
        assert set(detail) == {"field", "message"}


def check_request_id(answer: Answer) -> None:
    assert re.fullmatch(r"req_[0-9A-Za-z]{22}", answer.headers["x-request-id"])
    assert len(answer.headers.getlist("x-request-id")) == 1


KINDS = {
    *("connection_id", "pair_id", "log_id", "webhook_id", "delivery_id", "key_id"),
    *("delegation_id", "calendar_id", "event_id"),
}
"""What `objects` makes."""

DELEGATION = {
    "provider": "microsoft",
    "tenant_id": "example.com",
    "client_id": "00000000-0000-0000-0000-000000000000",
    "client_secret": "canary-client-secret",
    "domains": ["example.com"],
}


async def objects(world: World, account_id: str, mode: Mode) -> dict[str, str]:
    """One of each, by the name of the path's parameter.

    There are no calendars of the sandbox in live mode, and no delegations in test mode.
    """
    client = await world.client(account_id=account_id, mode=mode, scopes=tuple(Scope))
    a = await world.connection("a", account_id=account_id, mode=mode)
    b = await world.connection("b", account_id=account_id, mode=mode)
    pair = await world.pair(client, a, b)
    webhook = await _made(client, "webhooks", {"url": "http://127.0.0.1:9/in"})
    delivery = await _made(client, f"webhooks/{webhook}/test", None)
    ids = {
        "connection_id": a,
        "pair_id": pair["id"],
        "log_id": await _log(world, account_id, mode, pair["id"]),
        "webhook_id": webhook,
        "delivery_id": delivery,
        "key_id": await _made(client, "api-keys", {"name": "another"}),
    }
    if mode is Mode.TEST:
        calendar = ids["calendar_id"] = await _made(client, "sandbox/calendars", {"name": "A"})
        start = {
            "start": "2026-04-01T09:00:00Z",
            "end": "2026-04-01T10:00:00Z",
            "recurrence": ["RRULE:FREQ=DAILY"],
        }
        ids["event_id"] = await _made(client, f"sandbox/calendars/{calendar}/events", {"title": "T", **start})
    else:
        ids["delegation_id"] = await _made(client, "delegations", DELEGATION)
    elsewhere = {"delegation_id"} if mode is Mode.TEST else {"calendar_id", "event_id"}
    assert ids.keys() == KINDS - elsewhere
    return ids | NO_IDS


async def _made(client: Client, path: str, body: object) -> str:
    answer = await client.post(f"{PREFIX}/{path}", body)
    assert answer.status in (201, 202), answer.body
    made: str = answer.json["id"]
    return made


async def _log(world: World, account_id: str, mode: Mode, pair_id: str) -> str:
    log = {
        "id": f"log_{mode}_{account_id[-20:]}",
        "sync_id": f"sync_run_{mode}_{account_id[-20:]}",
        "account_id": account_id,
        "mode": mode,
        "pair_id": pair_id,
        "status": "success",
        "trigger": "api",
        "duration_ms": 1,
        "created_at": world.clock[0],
        **{f"events_{name}": 0 for name in ("processed", "created", "updated", "deleted", "skipped")},
        "provider_requests": 2,
    }
    async with world.db.write() as connection:
        await connection.execute(runs.insert().values(log))
    return log["id"]
