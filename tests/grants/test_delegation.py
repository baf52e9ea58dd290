"""Organisations' keys: a service account that signs for whom, an application with a secret or a certificate."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from sqlalchemy import insert

from calendarsync.grants import (
    BadKeyError,
    DelegationKey,
    application,
    delegated_grant,
    seal_key,
    serves,
    service_account,
)
from calendarsync.grants.delegation_keys import rsa_key
from calendarsync.providers.base import AppForbidden, NotAuthorized, ProviderError, Unavailable
from calendarsync.store.delegations import get_delegation
from calendarsync.store.tables import delegations
from tests.grants.conftest import Place
from tests.testbed.oauth import Fault

TENANT = "contoso.example"
CLIENT = "7d2a0000-0000-4000-8000-000000000001"
ROBOT = "robot@project.iam.example.com"


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> str:
    sealing = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealing).decode()


KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)
PEM = pem_of(KEY)
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
KEY_FILE: dict[str, Any] = {
    "type": "service_account",
    "client_email": ROBOT,
    "private_key_id": "key-1",
    "private_key": PEM,
    "token_uri": "https://evil.example.net/token",
}


def certificate(key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "calendarsync")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


CERTIFICATE = certificate(KEY)


def keys() -> dict[str, DelegationKey]:
    return {
        "service account": service_account(KEY_FILE),
        "secret": application(TENANT, CLIENT, client_secret="canary-app-secret"),
        "certificate": application(TENANT, CLIENT, certificate=CERTIFICATE, private_key=PEM),
    }


async def delegated(at: Place, kind: str, email: str = "Ann@Example.com") -> str:
    """The grant of somebody through an organisation's key, which the provider knows."""
    key = keys()[kind]
    at.server.keys = {ROBOT: PUBLIC, CLIENT: CERTIFICATE}
    at.server.secrets = {CLIENT: "canary-app-secret"}
    row = {
        "id": "dlg_a",
        "provider": "google" if kind == "service account" else "microsoft",
        "display": key.display,
        "domains": ["example.com"],
        "credentials_encrypted": seal_key(at.keyring, "dlg_a", key),
        "created_at": at.clock(),
        **at.tenant.values(),
    }
    async with at.db.write_as(at.tenant) as db:
        found = await get_delegation(db, at.tenant, "dlg_a")
        if found is None:
            await db.execute(insert(delegations).values(**row))
            found = await get_delegation(db, at.tenant, "dlg_a")
        assert found is not None
        return await delegated_grant(db, at.tenant, at.keyring, found, email, now=at.clock())


@pytest.mark.parametrize("kind", list(keys()))
async def test_an_organisations_key_gets_tokens_without_a_click(at: Place, kind: str) -> None:
    grant = await delegated(at, kind)
    tokens = at.tokens(grant)
    assert await tokens.access_token() in at.server.issued
    (asked,) = at.server.asked
    assert "refresh_token" not in asked
    assert tokens.user == (None if kind == "service account" else "ann@example.com")
    at.clock.advance(hours=2)
    await tokens.access_token()
    assert len(at.server.issued) == 2
    assert await at.worker().tokens(grant).access_token() in at.server.issued
    assert len(at.server.issued) == 2


@pytest.mark.parametrize(
    ("kind", "sends"),
    [
        ("service account", {"grant_type", "assertion"}),
        ("secret", {"grant_type", "client_id", "client_secret", "scope"}),
        ("certificate", {"grant_type", "client_id", "client_assertion_type", "client_assertion", "scope"}),
    ],
)
async def test_what_is_asked_with_a_key(here: Place, kind: str, sends: set[str]) -> None:
    await here.tokens(await delegated(here, kind)).access_token()
    (asked,) = here.server.asked
    assert asked.keys() == sends
    assert (
        asked.get("scope", "https://graph.microsoft.com/.default") == "https://graph.microsoft.com/.default"
    )


async def test_the_same_person_has_one_grant_through_a_key_and_another_of_their_own(at: Place) -> None:
    grant = await delegated(at, "service account")
    await at.connect(grant, "conn_a", status="expired")
    assert await delegated(at, "service account", "ann@example.com") == grant
    assert (await at.row(grant))["email"] == "ann@example.com"
    assert await at.granted() != grant
    assert await delegated(at, "service account", "bob@example.com") != grant


@pytest.mark.parametrize("kind", ["service account", "certificate"])
@pytest.mark.parametrize("hours", [-1, 2])
async def test_a_clock_that_is_off_is_no_end(here: Place, kind: str, hours: int) -> None:
    """It is ours to set."""
    grant = await delegated(here, kind)
    right = here.clock()
    here.server.now = lambda: right
    here.clock.advance(hours=hours)
    with pytest.raises(Unavailable, match="set its clock"):
        await here.tokens(grant).access_token()
    assert (await here.row(grant))["status"] == "active"
    here.clock.now = right
    await here.tokens(grant).access_token()


async def test_a_person_who_is_not_there(here: Place) -> None:
    grant = await delegated(here, "service account", "nobody@example.com")
    with pytest.raises(NotAuthorized, match="no such person"):
        await here.tokens(grant).access_token()
    assert (await here.row(grant))["status"] == "unknown_user"
    with pytest.raises(NotAuthorized, match="no such person"):
        await here.worker().tokens(grant).access_token()


@pytest.mark.parametrize("kind", list(keys()))
async def test_a_key_that_was_withdrawn_is_for_the_organisation_to_renew(here: Place, kind: str) -> None:
    grant = await delegated(here, kind)
    here.server.keys, here.server.secrets = {}, {}
    with pytest.raises(Unavailable, match="key"):
        await here.tokens(grant).access_token()
    assert (await here.row(grant))["status"] == "active", "one person's grant does not end with it"


@pytest.mark.parametrize("error", ["unauthorized_client", "access_denied", "admin_policy_enforced"])
async def test_a_delegation_that_was_not_allowed(here: Place, error: str) -> None:
    grant = await delegated(here, "service account")
    here.server.faults.append(Fault("before", 401, {"error": error}))
    with pytest.raises(AppForbidden, match="administrator"):
        await here.tokens(grant).access_token()


@pytest.mark.parametrize("kind", list(keys()))
async def test_no_key_is_told(here: Place, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    grant = await delegated(here, kind)
    here.server.keys, here.server.secrets = {}, {}
    with pytest.raises(ProviderError) as caught:
        await here.tokens(grant).access_token()
    told = f"{keys()[kind]!r} {caught.value!r} {caught.value.__context__!r} {caplog.text}"
    assert "canary" not in told
    assert "PRIVATE" not in told
    assert PEM.splitlines()[1] not in told


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": "authorized_user"}, "type"),
        ({"type": None}, "type"),
        ({"client_email": "no address"}, "client_email"),
        ({"client_email": 7}, "client_email"),
        ({"private_key_id": ""}, "private_key_id"),
        ({"private_key": "canary"}, "private_key"),
        ({"private_key": CERTIFICATE}, "private_key"),
        ({"private_key": pem_of(rsa.generate_private_key(65537, 1024))}, "private_key"),
        ({"private_key": pem_of(ec.generate_private_key(ec.SECP256R1()))}, "private_key"),
        ({"private_key": pem_of(KEY, b"password")}, "private_key"),
    ],
    ids=[
        *("a person's", "no type", "no address", "a number", "no id", "no PEM", "a certificate", "short"),
        *("a curve", "encrypted"),
    ],
)
def test_a_key_file_that_is_of_no_use(change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadKeyError) as caught:
        service_account(KEY_FILE | change)
    assert caught.value.field == field
    assert "canary" not in caught.value.message


def with_factors(p: int, q: int, d: int, e: int = 65537) -> str:
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % (p - 1),
        dmq1=d % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(e, p * q),
    )
    return pem_of(numbers.private_key(unsafe_skip_rsa_key_validation=True))


NUMBERS = KEY.private_numbers()
COMPOSITE = NUMBERS.p * 3


@pytest.mark.parametrize(
    "pem",
    [
        with_factors(NUMBERS.p, NUMBERS.q, NUMBERS.d + 2),
        with_factors(COMPOSITE, NUMBERS.q, pow(65537, -1, (COMPOSITE - 1) * (NUMBERS.q - 1) // 2)),
        with_factors(NUMBERS.p, NUMBERS.q, 1, (NUMBERS.p - 1) * (NUMBERS.q - 1) + 1),
    ],
    ids=["another exponent", "no primes", "a public exponent that nothing signs with"],
)
def test_an_rsa_key_that_does_not_sign_is_refused(pem: str) -> None:
    with pytest.raises(BadKeyError) as caught:
        service_account(KEY_FILE | {"private_key": pem})
    assert "do not belong together" in caught.value.message


def test_an_rsa_key_that_would_hold_up_everybody_is_refused_unread() -> None:
    """Whether its factors are primes takes minutes to tell, in which the process does nothing else."""
    pem = with_factors(2**10_000 + 1, 2**10_001 + 1, 3)
    with pytest.raises(BadKeyError) as caught:
        service_account(KEY_FILE | {"private_key": pem})
    assert "2048 to 4096 bits" in caught.value.message


def test_the_factors_of_a_key_in_use_are_not_tried_anew() -> None:
    """It would hold up the whole process for a second, with every new access token."""
    assert rsa_key(with_factors(COMPOSITE, NUMBERS.q, NUMBERS.d)).key_size > 2048


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"tenant": "common", "client_secret": "x"}, "tenant_id"),
        ({"tenant": "Common", "client_secret": "x"}, "tenant_id"),
        ({"tenant": "organizations", "client_secret": "x"}, "tenant_id"),
        ({"tenant": "../..", "client_secret": "x"}, "tenant_id"),
        ({"tenant": "contoso.example/x", "client_secret": "x"}, "tenant_id"),
        ({"tenant": "", "client_secret": "x"}, "tenant_id"),
        ({"client_id": "a b", "client_secret": "x"}, "client_id"),
        ({}, "client_secret"),
        ({"client_secret": ""}, "client_secret"),
        ({"client_secret": "x", "certificate": CERTIFICATE}, "client_secret"),
        ({"certificate": CERTIFICATE}, "private_key"),
        ({"certificate": CERTIFICATE, "private_key": pem_of(OTHER_KEY)}, "certificate"),
        ({"certificate": PEM, "private_key": PEM}, "certificate"),
    ],
)
def test_an_application_that_is_of_no_use(given: dict[str, str], field: str) -> None:
    with pytest.raises(BadKeyError) as caught:
        application(**({"tenant": TENANT, "client_id": CLIENT} | given))
    assert caught.value.field == field


def test_the_addresses_of_a_key_file_are_not_kept() -> None:
    assert "evil" not in json.dumps(asdict(service_account(KEY_FILE)))


@pytest.mark.parametrize(
    ("email", "served"),
    [
        ("ann@example.com", True),
        (" Ann@EXAMPLE.com ", True),
        ("ann@sub.example.com", False),
        ("ann@notexample.com", False),
        ("ann@example.com.evil.net", False),
        ("ann@evil.net@example.com", False),
        ("@example.com", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_which_addresses_a_domain_covers(email: str, served: bool) -> None:
    assert serves(["example.com", "example.org"], email) is served
