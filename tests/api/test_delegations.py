"""/delegations, and connections that nobody had to click for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from sqlalchemy import select

from calendarsync.accounts.keys import Mode
from calendarsync.accounts.scopes import Scope
from calendarsync.store.tables import connections, grants, webhook_events
from tests.api.client import Answer, Client
from tests.api.consenting import Asked, asked, at_google, at_microsoft
from tests.api.routes import check_error
from tests.testbed.google import Model as GoogleModel
from tests.testbed.microsoft import Model as MicrosoftModel
from tests.testbed.stored import stored

URL, CONNECTIONS = "/api/v1/delegations", "/api/v1/connections"
SERVICE_ACCOUNT = "sync@project.iam.gserviceaccount.com"
APPLICATION = "00000000-0000-0000-0000-00000000000a"
SECRET = "canary-of-an-application"


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def private_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def certificate_of(key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sync")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    now = datetime(2026, 1, 1, tzinfo=UTC)
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=365))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def of_google(**changes: Any) -> dict[str, Any]:
    key_file = {
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "8f2c",
        "private_key": private_pem(rsa_key()),
        "client_email": SERVICE_ACCOUNT,
        "client_id": "1234",
        "token_uri": "https://elsewhere.example.com/token",
    }
    return {"provider": "google", "service_account": key_file | changes, "domains": ["Example.com"]}


def of_microsoft(**changes: Any) -> dict[str, Any]:
    body = {"provider": "microsoft", "tenant_id": "example.com", "client_id": APPLICATION}
    return body | {"client_secret": SECRET, "domains": ["example.com"]} | changes


@pytest.fixture
async def admin(world: Any) -> Client:
    client: Client = await world.client(scopes=tuple(Scope))
    return client


async def delegated(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(URL, body)
    assert answer.status == 201, answer.body
    assert answer.headers["location"] == f"{URL}/{answer.json['id']}"
    made: dict[str, Any] = answer.json
    return made


async def test_what_is_shown_of_it(world: Any, admin: Client, database_url: str) -> None:
    made = await delegated(admin, of_google())
    assert made == {
        "id": made["id"],
        "provider": "google",
        "display": SERVICE_ACCOUNT,
        "domains": ["example.com"],
        "mode": "live",
        "created_at": "2026-03-28T10:00:00Z",
    }
    world.tick()
    second = await delegated(admin, of_microsoft())
    assert second["display"] == f"{APPLICATION} in example.com"
    assert (await admin.get(URL)).json == {"delegations": [made, second], "has_more": False}
    assert (await admin.get(f"{URL}/{made['id']}")).json == made
    kept = await stored(world.db, database_url)
    assert b"PRIVATE KEY" not in kept
    assert SECRET.encode() not in kept
    assert (await admin.delete(f"{URL}/{made['id']}")).status == 204
    assert (await admin.get(URL)).json["delegations"] == [second]
    check_error(await admin.delete(f"{URL}/{made['id']}"), 404, "not_found")


async def test_a_certificate_and_its_key(admin: Client) -> None:
    body = of_microsoft(certificate=certificate_of(rsa_key()), private_key=private_pem(rsa_key()))
    del body["client_secret"]
    await delegated(admin, body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (of_google(type="authorized_user"), "service_account.type"),
        (of_google(client_email="nobody"), "service_account.client_email"),
        (of_google(private_key="no key"), "service_account.private_key"),
        (of_google(private_key=private_pem(rsa_key(1024))), "service_account.private_key"),
        (
            of_google(private_key=private_pem(ec.derive_private_key(7, ec.SECP256R1()))),
            "service_account.private_key",
        ),
        (of_google(private_key=None), "service_account.private_key"),
        (of_google() | {"domains": []}, "domains"),
        (of_google() | {"domains": ["com"]}, "domains.0"),
        (of_google() | {"domains": ["*.example.com"]}, "domains.0"),
        (of_google() | {"domains": ["ann@example.com"]}, "domains.0"),
        (of_google() | {"domains": ["example.com", "exämple.com"]}, "domains.1"),
        (of_google() | {"client_secret": "x"}, "client_secret"),
        (of_microsoft(tenant_id="common"), "tenant_id"),
        (of_microsoft(tenant_id="a/b"), "tenant_id"),
        (of_microsoft(client_id="a b"), "client_id"),
        (of_microsoft(certificate=certificate_of(rsa_key())), "client_secret"),
        (of_microsoft(client_secret=""), "client_secret"),
        (of_microsoft(private_key=""), "private_key"),
        ({"provider": "caldav"}, "provider"),
    ],
    # Not the bodies: they hold keys that are made at random, and ids are the same in every process.
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_used_is_named(admin: Client, body: dict[str, Any], field: str) -> None:
    answer = await admin.post(URL, body)
    assert (answer.status, answer.fields) == (422, {field}), answer.body
    assert b"PRIVATE" not in answer.body
    assert (await admin.get(URL)).json["delegations"] == []


async def test_a_certificate_that_does_not_fit(admin: Client) -> None:
    for certificate, private_key, field in [
        (certificate_of(rsa_key(1024)), private_pem(rsa_key()), "certificate"),
        ("no certificate", private_pem(rsa_key()), "certificate"),
        (certificate_of(rsa_key()), "no key", "private_key"),
        (certificate_of(rsa_key()), None, "private_key"),
    ]:
        body = of_microsoft(certificate=certificate)
        del body["client_secret"]
        answer = await admin.post(URL, body | ({"private_key": private_key} if private_key else {}))
        assert (answer.status, answer.fields) == (422, {field}), answer.body


async def test_test_mode_has_none(world: Any) -> None:
    tester = await world.client(mode=Mode.TEST, scopes=tuple(Scope))
    check_error(await tester.post(URL, of_google()), 403, "forbidden")
    assert (await tester.get(URL)).json["delegations"] == []


@pytest.fixture(params=["google", "microsoft by secret", "microsoft by certificate"])
async def company(
    request: pytest.FixtureRequest,
    database_url: str,
    google_model: GoogleModel,
    microsoft_model: MicrosoftModel,
) -> AsyncIterator[Asked]:
    """An account that has a delegation for the domain of its person."""
    provider = request.param.split()[0]
    person = at_google(google_model) if provider == "google" else at_microsoft(microsoft_model)
    async with asked(database_url, provider, person) as at:
        arrange(at)
        at.server.secrets = {APPLICATION: SECRET}
        body = of_google() if provider == "google" else of_microsoft()
        if request.param.endswith("certificate"):
            at.server.keys[APPLICATION] = certificate_of(rsa_key())
            del body["client_secret"]
            body |= {"certificate": at.server.keys[APPLICATION], "private_key": private_pem(rsa_key())}
        at.server.known = {person.email: person.token, APPLICATION: microsoft_model.application()}
        await delegated(at.client, body)
        yield at


async def connect(at: Asked, **more: Any) -> Answer:
    body = {"provider": at.provider, "delegated_user": at.person.email, **more}
    return await at.client.post(CONNECTIONS, body)


async def grants_kept(at: Asked) -> int:
    async with at.world.db.read() as connection:
        return len((await connection.execute(select(grants))).all())


async def test_somebody_is_connected_without_a_click(company: Asked) -> None:
    """Their main calendar, where none is named."""
    answer = await connect(company)
    assert answer.status == 201, answer.body
    assert (answer.json["status"], answer.json["email"]) == ("active", company.person.email)
    assert answer.json["calendar_id"] == company.calendars[0]
    check_error(await connect(company), 409, "conflict")
    other = await connect(company, calendar_id=company.calendars[1])
    assert other.status == 201, other.body
    assert await grants_kept(company) == 1
    wrong = await connect(company, calendar_id="elsewhere")
    assert (wrong.status, wrong.fields) == (422, {"calendar_id"})
    for each in await company.connections():
        assert (await company.client.delete(f"{CONNECTIONS}/{each['id']}")).status == 204
    assert await grants_kept(company) == 0
    assert company.server.revoked == []


async def test_their_calendars_can_be_listed(company: Asked) -> None:
    body = {"provider": company.provider, "delegated_user": company.person.email.upper()}
    answer = await company.client.post(f"{CONNECTIONS}/discover", body)
    assert answer.status == 200, answer.body
    assert {each["id"] for each in answer.json["calendars"]} == set(company.calendars)
    assert await grants_kept(company) == 0
    wrong = await connect(company, calendar_id="elsewhere")
    assert (wrong.status, wrong.fields) == (422, {"calendar_id"})
    assert await grants_kept(company) == 0


async def test_people_of_other_domains_are_not_reached(company: Asked) -> None:
    for address in ("ann@example.net", "ann@sub.example.com", "ann@example.com.", "ann@xexample.com"):
        check_error(await connect(company, delegated_user=address), 403, "forbidden")
    stranger = await company.world.client(account_id=await company.world.other_account(), scopes=tuple(Scope))
    body = {"provider": company.provider, "delegated_user": company.person.email}
    check_error(await stranger.post(CONNECTIONS, body), 403, "forbidden")
    other = {"google": "microsoft", "microsoft": "google"}[company.provider]
    check_error(await connect(company, provider=other), 403, "forbidden")
    assert company.server.asked == []


async def test_it_needs_its_scope(company: Asked) -> None:
    narrow = await company.world.client(
        scopes=tuple(scope for scope in Scope if scope is not Scope.CONNECTIONS_DELEGATE)
    )
    body = {"provider": company.provider, "delegated_user": company.person.email}
    for path in (CONNECTIONS, f"{CONNECTIONS}/discover"):
        answer = await narrow.post(path, body)
        check_error(answer, 403, "forbidden")
        assert 'scope="connections:delegate"' in answer.headers["www-authenticate"]
    made = (await connect(company)).json["id"]
    for path, more in ((CONNECTIONS, {"calendar_id": company.calendars[1]}), (f"{CONNECTIONS}/discover", {})):
        check_error(await narrow.post(path, {"grant_of": made, **more}), 403, "forbidden")
        assert (await company.client.post(path, {"grant_of": made, **more})).status in (200, 201)


async def test_of_requests_for_one_person_at_once_each_is_answered(company: Asked) -> None:
    answers = await asyncio.gather(*(connect(company, calendar_id=each) for each in company.calendars))
    assert {answer.status for answer in answers} == {201}
    assert await grants_kept(company) == 1


async def test_a_person_who_is_not_there(google: Asked) -> None:
    await delegated(google.client, of_google())
    arrange(google)
    answer = await connect(google, delegated_user="nobody@example.com")
    assert (answer.status, answer.fields) == (422, {"delegated_user"})
    assert "no such person" in answer.error["message"]
    assert await grants_kept(google) == 0


async def test_nobody_authorizes_what_a_delegation_reaches(company: Asked) -> None:
    made = (await connect(company)).json["id"]
    body = {"provider": company.provider, "connection_id": made}
    answer = await company.client.post(f"{CONNECTIONS}/authorize", body)
    assert (answer.status, answer.fields) == (422, {"connection_id"})


async def test_what_is_connected_expires_with_its_delegation(company: Asked) -> None:
    made = (await connect(company)).json
    await company.client.post("/api/v1/webhooks", {"url": "http://127.0.0.1:9/in"})
    (delegation,) = (await company.client.get(URL)).json["delegations"]
    assert (await company.client.delete(f"{URL}/{delegation['id']}")).status == 204
    (left,) = await company.connections()
    assert left["status"] == "expired"
    assert left["last_error"]["code"] == "delegation_ended"
    assert "connect it anew" in left["last_error"]["message"]
    async with company.world.db.read() as connection:
        (event,) = (await connection.execute(select(webhook_events))).mappings().all()
    assert (event["type"], event["data"]["id"]) == ("connection.expired", made["id"])
    assert await grants_kept(company) == 0
    check_error(await connect(company), 403, "forbidden")


async def end_of_delegation(at: Asked) -> str:
    """The id of a connection whose delegation has been deleted."""
    made: str = (await connect(at)).json["id"]
    (delegation,) = (await at.client.get(URL)).json["delegations"]
    assert (await at.client.delete(f"{URL}/{delegation['id']}")).status == 204
    return made


async def test_another_delegation_takes_up_what_the_one_before_left(google: Asked) -> None:
    arrange(google)
    await delegated(google.client, of_google())
    left = await end_of_delegation(google)
    await delegated(google.client, of_google())
    answer = await connect(google)
    assert answer.status == 201, answer.body
    assert (answer.json["id"], answer.json["status"], answer.json["last_error"]) == (left, "active", None)
    assert len(await google.connections()) == 1
    check_error(await connect(google), 409, "conflict")


async def test_the_person_takes_up_what_a_delegation_left(google: Asked) -> None:
    arrange(google)
    await delegated(google.client, of_google())
    left = await end_of_delegation(google)
    google.server.person = "mallory@example.com"
    assert (await google.grant(await google.ask(connection_id=left))).status == 409
    google.server.person = google.person.email
    assert (await google.grant(await google.ask(connection_id=left))).status == 200
    (row,) = await google.connections()
    assert (row["id"], row["status"], row["last_error"]) == (left, "active", None)
    found = await google.client.post(f"{CONNECTIONS}/discover", {"grant_of": left})
    assert found.status == 200, found.body


async def test_nobody_takes_up_what_is_known_to_be_nobodys(google: Asked) -> None:
    """Microsoft may not tell under which address somebody is invited."""
    arrange(google)
    await delegated(google.client, of_google())
    left = await end_of_delegation(google)
    async with google.world.db.write() as connection:
        await connection.execute(connections.update().values(email=None))
    assert (await google.grant(await google.ask(connection_id=left))).status == 409
    again = await google.ask(connection_id=left, email=google.person.email)
    assert (await google.grant(again)).status == 200


async def test_a_new_key_in_place_of_the_old(google: Asked) -> None:
    arrange(google)
    made = await delegated(google.client, of_google())
    connected = (await connect(google)).json["id"]
    await expire(google, connected)
    google.server.keys[SERVICE_ACCOUNT] = public_pem(rsa_key(3072))
    google.world.tick(4_000)  # what the old key got has run out
    url, changes = f"{URL}/{made['id']}", of_google(private_key=private_pem(rsa_key(3072)))
    answer = await google.client.patch(url, {"service_account": changes["service_account"]})
    assert (answer.status, answer.json) == (200, made)
    (row,) = await google.connections()
    assert (row["status"], row["last_error"]) == ("active", None)
    found = await google.client.post(f"{CONNECTIONS}/discover", {"grant_of": connected})
    assert found.status == 200, found.body


async def test_keys_that_cannot_take_the_place(admin: Client) -> None:
    google = f"{URL}/{(await delegated(admin, of_google()))['id']}"
    microsoft = f"{URL}/{(await delegated(admin, of_microsoft()))['id']}"
    other = of_google(client_email="other@example.com")["service_account"]
    for url, body, field in [
        (google, {"service_account": other}, "service_account.client_email"),
        (google, {"client_secret": "x"}, "client_secret"),
        (microsoft, {"service_account": of_google()["service_account"]}, "service_account"),
        (microsoft, {"certificate": "x"}, "private_key"),
        (microsoft, {"domains": ["example.com"]}, "domains"),
    ]:
        answer = await admin.patch(url, body)
        assert (answer.status, answer.fields) == (422, {field}), answer.body
    assert (await admin.patch(microsoft, {"client_secret": "another"})).status == 200
    assert (await admin.patch(microsoft, {})).status == 200


def public_pem(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def arrange(at: Asked) -> None:
    """The service account and the person are known at Google."""
    at.server.employees = {at.person.email}
    at.server.keys[SERVICE_ACCOUNT] = public_pem(rsa_key())


async def expire(at: Asked, connection_id: str) -> None:
    async with at.world.db.write() as connection:
        change = connections.update().where(connections.c.id == connection_id)
        await connection.execute(change.values(status="expired", last_error_code="not_authorized"))
