"""What holds for every route, whatever it does: who may use it, and what a wrong request gets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from calendarsync.accounts.keys import Mode, generate_key
from calendarsync.accounts.scopes import Scope
from calendarsync.api.app import openapi_document
from calendarsync.store.tables import runs
from tests.api.client import Answer, Client
from tests.api.world import World

PREFIX = "/api/v1"
METHODS = {"GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"}


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    scope: Scope
    takes_body: bool

    def url(self, ids: dict[str, str]) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], "nothing"), self.path)

    @property
    def has_id(self) -> bool:
        return "{" in self.path

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def _routes() -> Iterator[Route]:
    for path, methods in openapi_document()["paths"].items():
        for method, operation in methods.items():
            if path.startswith(PREFIX):
                (requirement,) = operation["security"]
                (scope,) = requirement["apiKey"]
                yield Route(method.upper(), path, Scope(scope), "requestBody" in operation)


ROUTES = list(_routes())
WITH_BODY = [route for route in ROUTES if route.takes_body]
WITH_ID = [route for route in ROUTES if route.has_id]
each_route = pytest.mark.parametrize("route", ROUTES, ids=str)


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


def test_the_walk_covers_the_contract() -> None:
    assert len(ROUTES) == 14
    assert {route.scope for route in ROUTES} == {
        Scope.CONNECTIONS_READ,
        Scope.CONNECTIONS_WRITE,
        Scope.PAIRS_READ,
        Scope.PAIRS_WRITE,
        Scope.LOGS_READ,
    }


@each_route
async def test_without_a_valid_key_nothing_is_told(world: World, client: Client, route: Route) -> None:
    key = client.key or ""
    mistyped = key[:-1] + ("a" if key[-1] != "a" else "b")
    for headers in (
        [],
        ["Bearer"],
        ["Bearer "],
        ["Basic Y3M6bGl2ZQ=="],
        [key],
        [f"Token {key}"],
        [f"Bearer {key}x"],
        [f"Bearer {mistyped}"],
        [f"Bearer {generate_key(Mode.LIVE)}"],
        [f"Bearer {key}, Bearer {key}"],
        [f"Bearer {key}", f"Bearer {key}"],
        ["Bearer \xff\xfe"],
        ["Bearer " + "x" * 10_000],
    ):
        sent = [("Authorization", text) for text in headers]
        answer = await Client(world.app).request(route.method, route.url({}), b"not json", headers=sent)
        check_error(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer ")


@each_route
async def test_a_key_without_the_scope_is_refused(world: World, route: Route) -> None:
    others = tuple(scope for scope in Scope if scope is not route.scope)
    client = await world.client(scopes=others)
    answer = await client.request(route.method, route.url({}), b"{}" if route.takes_body else None)
    check_error(answer, 403, "forbidden")
    assert route.scope in answer.error["message"]
    assert f'scope="{route.scope}"' in answer.headers["www-authenticate"]


@each_route
async def test_the_scope_alone_is_enough(world: World, route: Route) -> None:
    client = await world.client(scopes=(route.scope,))
    answer = await client.request(route.method, route.url({}), b"{}" if route.takes_body else None)
    assert answer.status in (200, 404, 422)
    check_request_id(answer)


async def objects(world: World, account_id: str, mode: Mode) -> dict[str, str]:
    """One of each, by the name of the path's parameter."""
    a = await world.connection("a", account_id=account_id, mode=mode)
    b = await world.connection("b", account_id=account_id, mode=mode)
    pair = await world.pair(await world.client(account_id=account_id, mode=mode), a, b)
    async with world.db.write() as connection:
        log = {
            "id": f"log_{mode}_{account_id[-20:]}",
            "sync_id": f"sync_run_{mode}_{account_id[-20:]}",
            "account_id": account_id,
            "mode": mode,
            "pair_id": pair["id"],
            "status": "success",
            "trigger": "api",
            "duration_ms": 1,
            "created_at": world.clock[0],
            **{f"events_{name}": 0 for name in ("processed", "created", "updated", "deleted", "skipped")},
            "provider_requests": 2,
        }
        await connection.execute(runs.insert().values(log))
    return {"connection_id": a, "pair_id": pair["id"], "log_id": log["id"]}


@pytest.mark.parametrize("route", WITH_ID, ids=str)
async def test_ids_of_others_do_not_exist(world: World, client: Client, route: Route) -> None:
    """Of another account, of the other mode, and of another kind."""
    own = await objects(world, world.account_id, Mode.LIVE)
    foreign = await objects(world, await world.other_account(), Mode.LIVE)
    test_mode = await objects(world, world.account_id, Mode.TEST)
    wrong_kind = {"connection_id": own["pair_id"], "pair_id": own["log_id"], "log_id": own["connection_id"]}
    body = b"{}" if route.takes_body else None
    answers = [
        await client.request(route.method, route.url(ids), body)
        for ids in (foreign, test_mode, wrong_kind, {}, dict.fromkeys(own, "%00"), dict.fromkeys(own, "'--"))
    ]
    for answer in answers:
        check_error(answer, 404, "not_found")
    assert len({answer.error["message"] for answer in answers}) == 1
    tester = await world.client(mode=Mode.TEST)
    check_error(await tester.request(route.method, route.url(own), body), 404, "not_found")
    assert (await client.request(route.method, route.url(own), body)).status in (200, 204, 409)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
async def test_another_type_of_body_is_refused(client: Client, route: Route) -> None:
    for content_type in (
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/merge-patch+json",
        "application/json; charset=utf-16",
        "application/jsonx",
    ):
        answer = await client.request(route.method, route.url({}), b"{}", content_type=content_type)
        check_error(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
async def test_a_compressed_body_is_refused(client: Client, route: Route) -> None:
    answer = await client.request(route.method, route.url({}), b"{}", headers=[("Content-Encoding", "gzip")])
    check_error(answer, 415, "unsupported_media_type")


NOT_JSON = [
    b"{",
    b"not json",
    b"{'a': 1}",
    b'{"a": 1,}',
    b'{"a": 1} x',
    b'{"a": 1, "a": 2}',
    b'{"a": {"b": 1, "b": 1}}',
    b'{"a": NaN}',
    b'{"a": -Infinity}',
    b'{"a": 1e999}',
    b'{"a": "\xff"}',
    b'{"a": "\xed\xa0\x80"}',
    b'{"a": "\\ud800"}',
    b'{"\\udfff": 1}',
    b"\xef\xbb\xbf{}",
    '{"a": 1}'.encode("utf-16"),
    b'{"a": ' + b"9" * 5_000 + b"}",
    b"[" * 100_000,
    b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    b" ",
]


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
async def test_what_is_not_json_is_refused(client: Client, route: Route) -> None:
    for body in NOT_JSON:
        check_error(await client.request(route.method, route.url({}), body), 400, "bad_request")


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
async def test_a_large_body_is_refused(client: Client, route: Route) -> None:
    body = b'{"a": "' + b"x" * 1_000_000 + b'"}'
    check_error(await client.request(route.method, route.url({}), body), 413, "payload_too_large")


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
async def test_a_body_of_another_shape_is_refused(client: Client, route: Route) -> None:
    for body in (b"[]", b'"text"', b"7", b"true", b'{"unknown": 1}'):
        answer = await client.request(route.method, route.url({}), body)
        check_error(answer, 422, "validation_error")
        # Where the provider tells which fields there are, it is asked for first.
        expected = {"unknown", "provider"} if body.startswith(b"{") else {"body"}
        assert answer.fields & expected, answer.fields


@each_route
async def test_unknown_and_repeated_parameters_are_named(client: Client, route: Route) -> None:
    answer = await client.request(
        route.method, route.url({}) + "?keep_copy=true", b"{}" if route.takes_body else None
    )
    check_error(answer, 422, "validation_error")
    assert answer.fields == {"keep_copy"}


async def test_a_repeated_parameter_is_refused(client: Client) -> None:
    answer = await client.get(f"{PREFIX}/logs?page=1&page=2")
    check_error(answer, 422, "validation_error")
    assert answer.fields == {"page"}


async def test_another_method_is_told_which_there_are(client: Client) -> None:
    paths = {route.path for route in ROUTES} | {"/health", "/docs"}
    paths.remove("/api/v1/connections/discover")  # to all but POST it is the connection of that name
    for path in paths:
        allowed = {route.method for route in ROUTES if route.path == path} or {"GET"}
        allowed |= {"HEAD"} if "GET" in allowed else set()
        for method in METHODS - allowed:
            answer = await client.request(method, path.replace("{", "").replace("}", ""))
            assert answer.status == 405
            if method == "HEAD":
                assert answer.body == b""
            else:
                check_error(answer, 405, "method_not_allowed")
            assert set(answer.headers["allow"].split(", ")) == allowed


async def test_head_is_get_without_its_body(world: World, client: Client) -> None:
    ids = await objects(world, world.account_id, Mode.LIVE)
    urls = {route.url(ids) for route in ROUTES if route.method == "GET"}
    for url in (
        *urls,
        "/health",
        "/docs",
        "/docs/style.css",
        f"{PREFIX}/openapi.json",
        f"{PREFIX}/logs?page=0",
    ):
        full, head = await client.get(url), await client.request("HEAD", url)
        assert (head.status, head.body) == (full.status, b""), url
        assert head.headers.keys() == full.headers.keys()
        assert head.headers["content-length"] == full.headers["content-length"]
        check_request_id(head)
    assert (await Client(world.app).request("HEAD", f"{PREFIX}/logs")).status == 401


async def test_an_address_that_is_none(client: Client) -> None:
    for url in ("/", "/api", "/api/v1", "/api/v1/", "/api/v1/connections/", "/api/v2/logs", "/docs/x"):
        check_error(await client.get(url), 404, "not_found")


@each_route
async def test_every_answer_is_careful_with_browsers(client: Client, route: Route) -> None:
    answer = await client.request(route.method, route.url({}), b"{}" if route.takes_body else None)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
