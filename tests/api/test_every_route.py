"""What holds for every route, whatever it does: who may use it, and what a wrong request gets."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import update

from calendarsync.accounts import limits
from calendarsync.accounts.keys import Mode, generate_key
from calendarsync.accounts.scopes import Scope
from calendarsync.store.tables import api_keys
from tests.api.client import Client
from tests.api.routes import (
    ACCOUNT,
    GETS,
    KINDS,
    NO_IDS,
    PREFIX,
    ROUTES,
    WITH_BODY,
    WITH_ID,
    check_allowance,
    check_error,
    check_request_id,
    client_for,
    in_turn,
    objects,
)
from tests.api.world import World

METHODS = {"GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"}


def test_the_walk_covers_the_contract() -> None:
    """Every scope is one that some route asks for, but that of delegation, which a field of a body asks for."""
    assert {route.scope for route in ROUTES} == set(Scope) - {Scope.CONNECTIONS_DELEGATE}
    for route in ROUTES:
        writes = route.scope.endswith((":write", ":admin"))
        assert writes or route.method == "GET", route
    assert {name for route in ROUTES for name in route.parameters} == KINDS | NO_IDS.keys()


async def invalid_keys(world: World, key: str) -> list[str]:
    """Values of the header Authorization that let nobody in."""
    mistyped = key[:-1] + ("a" if key[-1] != "a" else "b")
    revoked, expired = [(await world.client()).key or "" for _ in range(2)]
    async with world.db.write() as connection:
        for each, values in (
            (revoked, {"revoked_at": world.clock[0]}),
            (expired, {"expires_at": world.clock[0] - timedelta(seconds=1)}),
        ):
            known = api_keys.c.key_hash == world.services.keyring.key_hash(each)
            await connection.execute(update(api_keys).where(known).values(values))
    return [
        "Bearer",
        "Bearer ",
        "Basic Y3M6bGl2ZQ==",
        key,
        f"Token {key}",
        f"Bearer {key}x",
        f"Bearer {mistyped}",
        f"Bearer {generate_key(Mode.LIVE)}",
        f"Bearer {revoked}",
        f"Bearer {expired}",
        f"Bearer {key}, Bearer {key}",
        "Bearer \xff\xfe",
        "Bearer " + "x" * 10_000,
    ]


async def test_without_a_valid_key_nothing_is_told(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    monkeypatch.setattr(limits, "FAILURES_PER_HOUR", 10_000)
    given = [
        [],
        *([each] for each in await invalid_keys(world, client.key or "")),
        [f"Bearer {client.key}"] * 2,
    ]
    left = []
    nobody = Client(world.app)
    for route in ROUTES:
        with subtests.test(str(route)):
            for headers in given:
                sent = [("Authorization", text) for text in headers]
                answer = await nobody.request(route.method, route.url({}), b"not json", headers=sent)
                check_error(answer, 401, "unauthorized")
                assert answer.headers["www-authenticate"].startswith("Bearer ")
                left.append(check_allowance(answer))
    assert left == list(range(9_999, 9_999 - len(ROUTES) * len(given), -1))


async def test_a_key_without_the_scope_is_refused(world: World, subtests: pytest.Subtests) -> None:
    for route in ROUTES:
        with subtests.test(str(route)):
            others = tuple(scope for scope in Scope if scope is not route.scope)
            client = await world.client(mode=route.mode, scopes=others)
            answer = await route.ask(client)
            check_error(answer, 403, "forbidden")
            assert route.scope in answer.error["message"]
            assert f'scope="{route.scope}"' in answer.headers["www-authenticate"]
            check_allowance(answer)


async def test_the_scope_lets_its_key_pass(world: World, subtests: pytest.Subtests) -> None:
    for route in ROUTES:
        with subtests.test(str(route)):
            answer = await route.ask(await world.client(mode=route.mode, scopes=(route.scope,)))
            if (
                answer.status == 403
            ):  # a webhook needs the scopes of what it delivers as well; a key gives none but its own
                assert answer.error["message"] != f"the API key does not have the scope {route.scope}"
                assert route.path in (f"{PREFIX}/webhooks", f"{PREFIX}/api-keys"), answer.body
            else:
                assert answer.status in (200, 201, 404, 409, 422), answer.body
            check_allowance(answer)


async def test_the_sandbox_is_for_test_keys(world: World, subtests: pytest.Subtests) -> None:
    own = await objects(world, world.account_id, Mode.TEST)
    client = await world.client(scopes=tuple(Scope))
    for route in (each for each in ROUTES if each.mode is Mode.TEST):
        for ids in (own, {}):
            with subtests.test(str(route)):
                answer = await route.ask(client, ids)
                check_error(answer, 403, "forbidden")
                check_allowance(answer)


async def test_ids_of_others_do_not_exist(world: World, subtests: pytest.Subtests) -> None:
    """Of another account, of the other mode, and of another kind."""
    other = await world.other_account()
    of_own = {mode: await objects(world, world.account_id, mode) for mode in Mode}
    of_other = {mode: await objects(world, other, mode) for mode in Mode}
    for route in in_turn(WITH_ID):
        with subtests.test(str(route)):
            client = await client_for(world, route)
            own, foreign = of_own[route.mode], of_other[route.mode]
            elsewhere = of_own[Mode.LIVE if route.mode is Mode.TEST else Mode.TEST]
            kinds = sorted(own.keys() - NO_IDS.keys())
            wrong_kind = {kind: own[following] for kind, following in pairwise([*kinds, kinds[0]])}
            nothing = ({}, dict.fromkeys(own, "%00"), dict.fromkeys(own, "'--"))
            answers = [
                await route.ask(client, ids | NO_IDS) for ids in (foreign, elsewhere, wrong_kind, *nothing)
            ]
            for answer in answers:
                check_error(answer, 404, "not_found")
                check_allowance(answer)
            assert len({answer.error["message"] for answer in answers}) == 1
            for name in set(route.parameters) - NO_IDS.keys():  # below what is the caller's own
                check_error(await route.ask(client, own | {name: foreign[name]}), 404, "not_found")
            stranger = await world.client(mode=route.mode, account_id=other, scopes=tuple(Scope))
            check_error(await route.ask(stranger, own), 404, "not_found")
            assert (await route.ask(client, own)).status in (200, 201, 202, 204, 409, 422)


async def test_another_type_of_body_is_refused(world: World, subtests: pytest.Subtests) -> None:
    for route in WITH_BODY:
        with subtests.test(str(route)):
            client = await client_for(world, route)
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
                check_allowance(answer)


async def test_a_compressed_body_is_refused(world: World, subtests: pytest.Subtests) -> None:
    for route in WITH_BODY:
        with subtests.test(str(route)):
            answer = await route.ask(await client_for(world, route), headers=[("Content-Encoding", "gzip")])
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


async def test_what_is_not_json_is_refused(world: World, subtests: pytest.Subtests) -> None:
    for route in WITH_BODY:
        with subtests.test(str(route)):
            client = await client_for(world, route)
            for body in NOT_JSON:
                check_error(await client.request(route.method, route.url({}), body), 400, "bad_request")


async def test_a_large_body_is_refused(world: World, subtests: pytest.Subtests) -> None:
    for route in WITH_BODY:
        with subtests.test(str(route)):
            client = await client_for(world, route)
            body = b'{"a": "' + b"x" * 1_000_000 + b'"}'
            check_error(await client.request(route.method, route.url({}), body), 413, "payload_too_large")


async def test_a_body_of_another_shape_is_refused(world: World, subtests: pytest.Subtests) -> None:
    for route in WITH_BODY:
        with subtests.test(str(route)):
            client = await client_for(world, route)
            for body in (b"[]", b'"text"', b"7", b"true", b'{"unknown": 1}'):
                answer = await client.request(route.method, route.url({}), body)
                check_error(answer, 422, "validation_error")
                # Where the provider tells which fields there are, it is asked for first.
                expected = {"unknown", "provider"} if body.startswith(b"{") else {"body"}
                assert answer.fields & expected, answer.fields


async def test_unknown_parameters_are_named(world: World, subtests: pytest.Subtests) -> None:
    for route in ROUTES:
        with subtests.test(str(route)):
            url = route.url({})
            url += f"{'&' if '?' in url else '?'}keep_copy=true"
            answer = await (await client_for(world, route)).request(route.method, url, route.body)
            check_error(answer, 422, "validation_error")
            assert answer.fields == {"keep_copy"}


async def test_a_repeated_parameter_is_refused(client: Client) -> None:
    answer = await client.get(f"{PREFIX}/logs?page=1&page=2")
    check_error(answer, 422, "validation_error")
    assert answer.fields == {"page"}


async def test_another_method_is_told_which_there_are(client: Client) -> None:
    paths = {route.path for route in ROUTES} | {"/health", "/docs"}
    paths -= {path for path in paths if _is_shadowed(path)}
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
            assert not path.startswith(PREFIX) or check_allowance(answer)


def _is_shadowed(path: str) -> bool:
    """To methods of its own path's sibling it is a thing of that name, as `discover` is a connection to GET."""
    parent, _, last = path.rpartition("/")
    return not last.startswith("{") and any(
        route.path.startswith(f"{parent}/{{") and route.path.count("/") == path.count("/") for route in ROUTES
    )


async def test_head_is_get_without_its_body(world: World) -> None:
    ids = await objects(world, world.account_id, Mode.TEST)
    client = await world.client(mode=Mode.TEST, scopes=tuple(Scope))
    urls = {route.url(ids) for route in GETS if route.path != ACCOUNT}
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


async def test_an_address_that_is_none(world: World, client: Client) -> None:
    for url in ("/", "/api", "/api/v1", "/api/v1/", "/api/v1/connections/", "/api/v2/logs", "/docs/x"):
        answer = await client.get(url)
        check_error(answer, 404, "not_found")
        assert ("x-ratelimit-limit" in answer.headers) == url.startswith("/api/v1/")
        assert "x-ratelimit-limit" not in (await Client(world.app).get(url)).headers
    mistyped = Client(world.app, f"{client.key}x")
    check_error(await mistyped.get("/api/v1/nothing"), 401, "unauthorized")
    check_error(await mistyped.get("/nothing"), 404, "not_found")


async def test_every_answer_is_careful_with_browsers(world: World, subtests: pytest.Subtests) -> None:
    for route in ROUTES:
        with subtests.test(str(route)):
            answer = await route.ask(await client_for(world, route))
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["referrer-policy"] == "no-referrer"
