"""What holds for every route by its method: Idempotency-Key, ETag, If-None-Match and If-Match."""

from __future__ import annotations

import re

import pytest

from calendarsync.accounts.keys import Mode
from tests.api.routes import (
    ACCOUNT,
    CHANGES,
    GETS,
    POSTS,
    check_allowance,
    check_error,
    check_request_id,
    client_for,
    in_turn,
    objects,
)
from tests.api.world import World


async def test_a_post_with_a_key_is_answered_once(world: World, subtests: pytest.Subtests) -> None:
    of_mode = {mode: await objects(world, world.account_id, mode) for mode in Mode}
    for route in POSTS:
        with subtests.test(str(route)):
            client, ids = await client_for(world, route), of_mode[route.mode]
            headers = [("Idempotency-Key", "Of their own: a name (1)")]
            first = await route.ask(client, ids, headers=headers)
            assert first.status in (200, 201, 202, 409, 422), first.body
            assert "idempotency-replayed" not in first.headers
            again = await route.ask(client, ids, headers=headers)
            assert (again.status, again.headers["idempotency-replayed"]) == (first.status, "true")
            assert again.headers.get("location") == first.headers.get("location")
            assert check_allowance(again) == check_allowance(first) - 1
            if first.status < 400:
                assert again.body == first.body
            else:
                assert (again.error["code"], again.error["message"]) == (
                    first.error["code"],
                    first.error["message"],
                )
                check_error(again, first.status, again.error["code"])
            other = await client.request(route.method, route.url(ids), {"another": "body"}, headers=headers)
            check_error(other, 409, "conflict")


async def test_a_key_of_another_form_is_refused(world: World, subtests: pytest.Subtests) -> None:
    for route in POSTS:
        with subtests.test(str(route)):
            client = await client_for(world, route)
            for keys in ([""], ["x" * 256], ["\x7f"], ["\xe9"], ["a", "a"]):
                answer = await route.ask(client, headers=[("Idempotency-Key", key) for key in keys])
                check_error(answer, 422, "validation_error")
                assert answer.fields == {"Idempotency-Key"}


async def test_what_has_not_changed_is_not_sent_again(world: World, subtests: pytest.Subtests) -> None:
    of_mode = {mode: await objects(world, world.account_id, mode) for mode in Mode}
    for route in GETS:
        with subtests.test(str(route)):
            client, ids = await client_for(world, route), of_mode[route.mode]
            full = await route.ask(client, ids)
            assert full.status == 200, full.body
            etag = full.headers["etag"]
            assert re.fullmatch(r'"[0-9a-f]{32}"', etag)
            for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
                answer = await route.ask(client, ids, headers=[("If-None-Match", given)])
                if route.path == ACCOUNT and given != "*":
                    assert answer.status == 200
                    continue
                assert (answer.status, answer.body) == (304, b"")
                assert "content-length" not in answer.headers
                check_request_id(answer)
                check_allowance(answer)
            for given in ('"other"', etag[1:-1]):
                answer = await route.ask(client, ids, headers=[("If-None-Match", given)])
                assert answer.status == 200
                assert answer.body == full.body or route.path == ACCOUNT


async def test_what_has_changed_is_left_alone(world: World, subtests: pytest.Subtests) -> None:
    of_mode = {mode: await objects(world, world.account_id, mode) for mode in Mode}
    for route in in_turn(CHANGES):
        with subtests.test(str(route)):
            client, ids = await client_for(world, route), of_mode[route.mode]
            shown = await client.get(route.url(ids))
            etag = shown.headers["etag"]
            for given in ('"other"', f"W/{etag}", etag[1:-1], ""):
                answer = await route.ask(client, ids, headers=[("If-Match", given)])
                check_error(answer, 412, "precondition_failed")
                check_allowance(answer)
                assert (await client.get(route.url(ids))).body == shown.body
            answer = await route.ask(client, ids, headers=[("If-Match", etag)])
            assert answer.status in (200, 202, 204, 409, 422), answer.body
