"""A person opens a link, grants access, and picks calendars: with models of both providers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from calendarsync.cli.secrets import reencrypt
from calendarsync.secrets import Keyring
from calendarsync.store.tables import connections, grants
from tests.api.client import Answer
from tests.api.consenting import AUTHORIZE, RETURN_URL, Asked, Browser, listed, told
from tests.api.routes import check_error


async def rows(at: Asked, table: Any) -> list[dict[str, Any]]:
    async with at.world.db.read() as connection:
        return [dict(row) for row in (await connection.execute(select(table))).mappings()]


async def test_from_the_link_to_the_connection(at: Asked) -> None:
    link = await at.ask(return_url=RETURN_URL)
    assert link["expires_at"] == "2026-03-28T10:15:00Z"
    (waiting,) = await at.connections()
    assert waiting["id"] == link["connection_id"]
    assert (waiting["status"], waiting["calendar_id"], waiting["calendar_name"]) == ("pending", "", "")
    url, page = await at.choices(link)
    assert page.status == 200, page.body
    main = at.calendars[0]
    assert f'value="{main}" checked' in page.body.decode()
    answer = await at.browser.submit(page, url, ("calendar", main), ("do", "connect"))
    assert told(answer) == {"tenant": "7", "connection_id": link["connection_id"], "status": "active"}
    (connected,) = await at.connections()
    assert connected["id"] == link["connection_id"]
    assert (connected["status"], connected["calendar_id"]) == ("active", main)
    assert connected["email"] == at.server.person
    (row,), (grant,) = await rows(at, connections), await rows(at, grants)
    assert (row["grant_id"], row["grant_hash"]) == (grant["id"], grant["subject_hash"])
    assert row["owner_addresses"][0] == at.server.person


async def test_what_is_kept_of_a_link_is_encrypted_anew_with_another_secret(at: Asked) -> None:
    """A new one, one that is under way, and the grant and the connections that came of a third."""
    assert (await at.pick(await at.ask(), at.calendars[0])).status == 200
    await at.ask()
    under_way = await at.consent(await at.begin(await at.ask()))
    older = at.world.services.settings.secret_key
    assert older is not None
    newer = Keyring([b"a secret that has taken the place of another", older.get_secret_value().encode()])
    counts = await reencrypt(at.world.db, newer)
    assert [name for name, count in counts.items() if count.unreadable] == []
    assert counts["authorizations"].renewed == 3
    at.world.app.state.services = replace(at.world.services, keyring=newer)
    assert (await at.browser.get(under_way)).status == 303


async def test_without_a_page_of_the_account_ours_tells_that_it_is_done(at: Asked) -> None:
    answer = await at.pick(await at.ask(), at.calendars[0])
    assert answer.status == 200
    assert "Your calendars are connected" in answer.body.decode()


async def test_several_calendars_are_several_connections(at: Asked) -> None:
    link = await at.ask()
    assert (await at.pick(link, *at.calendars)).status == 200
    made = {each["calendar_id"]: each for each in await at.connections()}
    assert made.keys() == set(at.calendars)
    assert made[at.calendars[0]]["id"] == link["connection_id"]
    assert {each["status"] for each in made.values()} == {"active"}
    assert {each["email"] for each in made.values()} == {at.server.person}
    assert [made[calendar]["read_only"] for calendar in at.calendars] == [False, False, True]
    assert len(await rows(at, grants)) == 1


async def test_what_is_read_only_or_connected_already_is_shown_as_that(at: Asked) -> None:
    main, other, read_only = at.calendars
    await at.pick(await at.ask(), main)
    url, page = await at.choices(await at.ask())
    shown = listed(page)
    assert list(shown) == [main, read_only, other]
    assert "connected already" in shown[main]
    assert " disabled" in shown[main]
    assert " checked" not in shown[main]
    assert "read-only" in shown[read_only]
    assert "read-only" not in shown[other]
    refused = await at.browser.submit(page, url, ("calendar", main), ("do", "connect"))
    assert refused.status == 409
    assert "connected meanwhile" in refused.body.decode()
    taken = await at.browser.submit(page, url, ("calendar", other), ("do", "connect"))
    assert taken.status == 200, taken.body
    assert {each["calendar_id"] for each in await at.connections()} == {main, other}


async def test_another_persons_name_is_text(at: Asked) -> None:
    """Whoever shares a calendar chooses its name."""
    name = "<script>alert(1)</script>\"'&\u202e"
    at.person.make_calendar(name)
    _, page = await at.choices(await at.ask())
    assert "<script" not in page.body.decode()
    assert any("alert(1)" in line for line in listed(page).values())


async def test_who_picks_nothing_or_what_is_not_there_is_asked_again(at: Asked) -> None:
    url, page = await at.choices(await at.ask())
    nothing = await at.browser.submit(page, url, ("do", "connect"))
    assert nothing.status == 422
    assert "Pick at least one" in nothing.body.decode()
    assert " checked" not in nothing.body.decode()
    gone = await at.browser.submit(page, url, ("calendar", "elsewhere"), ("do", "connect"))
    assert gone.status == 409
    assert [each["status"] for each in await at.connections()] == ["pending"]
    done = await at.browser.submit(nothing, url, ("calendar", at.calendars[1]), ("do", "connect"))
    assert done.status == 200


async def test_a_second_click_leads_to_the_same_end(at: Asked) -> None:
    url, page = await at.choices(await at.ask(return_url=RETURN_URL))
    fields = (("calendar", at.calendars[0]), ("do", "connect"))
    first = await at.browser.submit(page, url, *fields)
    second = await at.browser.submit(page, url, *fields)
    assert told(first) == told(second)
    assert told(await at.browser.get(url)) == told(first)
    assert len(await at.connections()) == 1


async def test_who_cancels_leaves_nothing_behind(at: Asked) -> None:
    link = await at.ask(return_url=RETURN_URL)
    url, page = await at.choices(link)
    answer = await at.browser.submit(page, url, ("do", "cancel"))
    expected = {"connection_id": link["connection_id"], "status": "denied", "code": "consent_denied"}
    assert told(answer) == expected | {"tenant": "7"}
    assert await rows(at, grants) == []
    assert len(at.server.revoked) == (at.provider == "google")
    assert [each["status"] for each in await at.connections()] == ["pending"]
    assert (await at.browser.submit(page, url, ("calendar", at.calendars[0]))).status == 410


async def test_more_calendars_of_a_grant_through_the_api(at: Asked) -> None:
    link = await at.ask()
    await at.pick(link, at.calendars[0])
    grant_of = {"grant_of": link["connection_id"]}
    found = await at.client.post("/api/v1/connections/discover", grant_of)
    assert found.status == 200, found.body
    assert found.json["calendars"][0]["id"] == at.calendars[0]
    assert {each["id"]: each["read_only"] for each in found.json["calendars"]} == {
        calendar: calendar == at.calendars[2] for calendar in at.calendars
    }
    made = await at.client.post("/api/v1/connections", grant_of | {"calendar_id": at.calendars[1]})
    assert made.status == 201, made.body
    assert (made.json["status"], made.json["email"]) == ("active", at.server.person)
    again = await at.client.post("/api/v1/connections", grant_of | {"calendar_id": at.calendars[1]})
    check_error(again, 409, "conflict")
    wrong = await at.client.post("/api/v1/connections", grant_of | {"calendar_id": "elsewhere"})
    assert (wrong.status, wrong.fields) == (422, {"calendar_id"})
    assert len({row["grant_id"] for row in await rows(at, connections)}) == 1


async def test_a_grant_goes_with_its_last_connection(at: Asked) -> None:
    await at.pick(await at.ask(), *at.calendars[:2])
    first, second = await at.connections()
    assert (await at.client.delete(f"/api/v1/connections/{first['id']}")).status == 204
    assert len(await rows(at, grants)) == 1
    assert at.server.revoked == []
    assert (await at.client.delete(f"/api/v1/connections/{second['id']}")).status == 204
    assert await rows(at, grants) == []
    assert len(at.server.revoked) == (at.provider == "google")


async def test_the_grant_of_what_has_none(at: Asked) -> None:
    pending = (await at.ask())["connection_id"]
    caldav = await at.world.connection()
    other = await at.world.connection("x", account_id=await at.world.other_account())
    for connection_id in (pending, caldav, other, "conn_none"):
        answer = await at.client.post("/api/v1/connections/discover", {"grant_of": connection_id})
        assert (answer.status, answer.fields) == (422, {"grant_of"})


async def expire(at: Asked, connection_id: str) -> None:
    async with at.world.db.write() as connection:
        change = connections.update().where(connections.c.id == connection_id)
        values = {"status": "expired", "last_error_code": "not_authorized", "last_error_message": "ended"}
        await connection.execute(change.values(**values))


async def test_a_connection_is_authorized_once_more(at: Asked) -> None:
    link = await at.ask()
    await at.pick(link, *at.calendars[:2])
    for each in await at.connections():
        await expire(at, each["id"])
    again = await at.ask(connection_id=link["connection_id"], return_url=RETURN_URL)
    assert again["connection_id"] == link["connection_id"]
    page = await at.browser.get(again["authorization_url"])
    assert "go on using" in page.body.decode()
    assert told(await at.grant(again))["status"] == "active"
    # All calendars of the grant go on.
    made = await at.connections()
    assert [(each["status"], each["last_error"]) for each in made] == [("active", None)] * 2
    assert len(await rows(at, grants)) == 1


async def test_somebody_else_cannot_authorize_it_once_more(at: Asked) -> None:
    link = await at.ask()
    await at.pick(link, at.calendars[0])
    await expire(at, link["connection_id"])
    at.server.person = "mallory@example.com"
    again = await at.ask(connection_id=link["connection_id"], return_url=RETURN_URL)
    assert told(await at.grant(again)) == {
        "tenant": "7",
        "connection_id": link["connection_id"],
        "status": "failed",
        "code": "wrong_identity",
    }
    (row,) = await at.connections()
    assert (row["status"], row["email"]) == ("expired", at.person.email)
    assert len(await rows(at, grants)) == 1


@pytest.mark.parametrize("spelled", [str, str.upper])
async def test_the_person_that_was_meant(at: Asked, spelled: Any) -> None:
    email = spelled(at.server.person)
    link = await at.ask(email=email)
    page = await at.browser.get(link["authorization_url"])
    assert email in page.body.decode()
    provider_url = await at.begin(link)
    assert f"login_hint={email.replace('@', '%40')}" in provider_url
    assert (await at.browser.get(await at.consent(provider_url))).status == 303


async def test_another_person_than_was_meant(at: Asked) -> None:
    answer = await at.grant(await at.ask(email="ann@example.net"))
    assert answer.status == 409
    assert "another person" in answer.body.decode()
    assert await rows(at, grants) == []
    assert [each["status"] for each in await at.connections()] == ["pending"]


async def test_what_cannot_be_asked_for(at: Asked) -> None:
    caldav = await at.world.connection()
    theirs = await at.world.connection("x", account_id=await at.world.other_account())
    other = {"google": "microsoft", "microsoft": "google"}[at.provider]
    pending = (await at.ask())["connection_id"]
    for body, fields in [
        ({"provider": at.provider, "connection_id": caldav}, {"provider"}),
        ({"provider": other, "connection_id": pending}, {"provider"}),
        ({"provider": at.provider, "connection_id": theirs}, {"connection_id"}),
        ({"provider": at.provider, "connection_id": "conn_none"}, {"connection_id"}),
        ({"provider": at.provider, "return_url": RETURN_URL + "x"}, {"return_url"}),
        ({"provider": at.provider, "return_url": RETURN_URL.upper()}, {"return_url"}),
        ({"provider": at.provider, "email": "nobody"}, {"email"}),
        ({"provider": "caldav"}, {"provider"}),
        ({}, {"provider"}),
        ({"provider": at.provider, "connection_id": None}, {"connection_id"}),
    ]:
        answer = await at.client.post(AUTHORIZE, body)
        assert (answer.status, answer.fields) == (422, fields), body
    assert len(await at.connections()) == 2


async def test_a_pending_connection_cannot_be_paired(at: Asked) -> None:
    pending, other = (await at.ask())["connection_id"], await at.world.connection()
    body = {"connection_a_id": pending, "connection_b_id": other}
    body |= {"sync_mode": "blocker", "direction": "a_to_b"}
    answer = await at.client.post("/api/v1/sync-pairs", body)
    assert (answer.status, answer.fields) == (422, {"connection_a_id"})
    bulk = await at.client.post("/api/v1/sync-pairs/bulk", {"pairs": [body]})
    (result,) = bulk.json["results"]
    assert (result["status"], result["error"]["details"][0]["field"]) == (422, "connection_a_id")


async def test_nothing_is_known_of_a_pending_calendar(at: Asked) -> None:
    pending = (await at.ask())["connection_id"]
    span = "from=2026-03-28T00:00:00Z&to=2026-03-29T00:00:00Z"
    answer = await at.client.get(f"/api/v1/availability?{span}&connection_id={pending}")
    assert answer.status == 200, answer.body
    (shown,) = answer.json["connections"]
    assert (shown["status"], shown["known"], answer.json["busy"]) == ("pending", False, [])


async def test_credentials_are_not_given_by_hand(at: Asked) -> None:
    link = await at.ask()
    await at.pick(link, at.calendars[0])
    url = f"/api/v1/connections/{link['connection_id']}"
    answer = await at.client.patch(url, {"password": "x", "username": "y"})
    assert (answer.status, answer.fields) == (422, {"password", "username"})
    assert (await at.client.patch(url, {"calendar_name": "Home"})).json["calendar_name"] == "Home"


def careful(answer: Answer) -> None:
    """What every page owes a browser."""
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
        assert part in policy
    assert not re.search(r"<script|style=|\son\w+=", answer.body.decode())
    assert "unsafe" not in policy


async def test_every_page_is_careful_with_browsers(at: Asked) -> None:
    link = await at.ask()
    start = await at.browser.get(link["authorization_url"])
    _, choices = await at.choices(link)
    unknown = await at.browser.get("/connect/nothing")
    other = await Browser(at.world).get(link["authorization_url"])
    for page in (start, choices, unknown, other):
        careful(page)
    assert (await at.browser.get("/connect/style.css")).headers["content-type"].startswith("text/css")
