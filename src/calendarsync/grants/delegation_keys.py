"""The keys of delegations: read from what an organisation's administrator has, and kept encrypted."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from calendarsync.grants.registrations import GOOGLE
from calendarsync.secrets import Keyring

MIN_RSA_BITS = 2048  # RFC 7518 section 3.3

# A directory's id or one of its domains. `common` and the like name no directory.
_TENANT = re.compile(r"(?!(?:common|organizations|consumers)$)[A-Za-z0-9][A-Za-z0-9.-]{0,252}")
_CLIENT_ID = re.compile(r"[A-Za-z0-9-]{1,100}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")


class BadKeyError(ValueError):
    """`field` of what was given cannot be used. The message never repeats it."""

    def __init__(self, field_name: str, message: str) -> None:
        super().__init__(message)
        self.field = field_name
        self.message = message


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Of the JSON file that Google makes for a service account's key, what is needed."""

    client_email: str
    private_key_id: str
    private_key: str = field(repr=False)

    @property
    def display(self) -> str:
        return self.client_email


@dataclass(frozen=True, slots=True)
class Application:
    """An app registration in the directory of one organisation, with a secret or a certificate's key (PEM)."""

    tenant: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    thumbprint: str | None = None
    """SHA-256 of the certificate, base64url without padding (RFC 7515 section 4.1.8)."""

    @property
    def display(self) -> str:
        return f"{self.client_id} in {self.tenant}"


DelegationKey = ServiceAccount | Application


def service_account(key_file: Mapping[str, Any]) -> ServiceAccount:
    """From the members of the key file, save its addresses, which could name any server. Raises BadKeyError."""
    if key_file.get("type") != "service_account":
        raise BadKeyError("type", "this is not the key file of a service account")
    email = _text(key_file, "client_email")
    if not _EMAIL.fullmatch(email):
        raise BadKeyError("client_email", "this is not an e-mail address")
    private_key = _text(key_file, "private_key")
    _rsa("private_key", private_key)
    return ServiceAccount(email, _text(key_file, "private_key_id"), private_key)


def application(
    tenant: str,
    client_id: str,
    *,
    client_secret: str | None = None,
    certificate: str | None = None,
    private_key: str | None = None,
) -> Application:
    """With a secret, or with a certificate and its key, both PEM. Raises BadKeyError."""
    if not _TENANT.fullmatch(tenant):
        raise BadKeyError("tenant_id", "the id or a domain of the organisation's directory is needed")
    if not _CLIENT_ID.fullmatch(client_id):
        raise BadKeyError("client_id", "the application (client) id is needed")
    if (client_secret is None) == (certificate is None):
        raise BadKeyError("client_secret", "either a secret or a certificate is needed")
    if certificate is None:
        if not client_secret:
            raise BadKeyError("client_secret", "it is empty")
        return Application(tenant, client_id, client_secret)
    if private_key is None:
        raise BadKeyError("private_key", "the certificate's private key is needed")
    key = _rsa("private_key", private_key)
    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError:
        raise BadKeyError("certificate", "this is not a certificate in PEM") from None
    if found.public_key() != key.public_key():
        raise BadKeyError("certificate", "the private key belongs to another certificate")
    thumbprint = base64.urlsafe_b64encode(found.fingerprint(SHA256())).rstrip(b"=").decode()
    return Application(tenant, client_id, private_key=private_key, thumbprint=thumbprint)


def seal_key(keyring: Keyring, delegation_id: str, key: DelegationKey) -> bytes:
    """What goes into `delegations.credentials_encrypted`."""
    return keyring.encrypt(json.dumps(asdict(key)).encode(), delegation_id)


def open_key(keyring: Keyring, provider: str, delegation_id: str, sealed: bytes) -> DelegationKey:
    """The inverse of `seal_key`. Raises secrets.SecretError."""
    plain = json.loads(keyring.decrypt(sealed, delegation_id))
    return ServiceAccount(**plain) if provider == GOOGLE else Application(**plain)


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise BadKeyError(name, "it is missing")
    return value


def _rsa(field_name: str, pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKeyError(field_name, "this is not an unencrypted private key in PEM") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < MIN_RSA_BITS:
        raise BadKeyError(field_name, f"an RSA key of at least {MIN_RSA_BITS} bits is needed")
    return key
