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
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPrivateNumbers
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from calendarsync.grants.registrations import GOOGLE
from calendarsync.secrets import Keyring

MIN_RSA_BITS = 2048  # RFC 7518 section 3.3
MAX_RSA_BITS = 4096
"""Nobody waits while a key signs: twice the bits take eight times as long."""

# A directory's id or one of its domains. `common` and the like name no directory.
_TENANT = re.compile(r"(?!(?i:common|organizations|consumers)$)[A-Za-z0-9][A-Za-z0-9.-]{0,252}")
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
        fits = found.public_key() == key.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise BadKeyError("certificate", "this is not a certificate in PEM") from None
    if not fits:
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


def rsa_key(pem: str) -> RSAPrivateKey:
    """A key that has been accepted once. Raises ValueError, TypeError, UnsupportedAlgorithm for what is none.

    OpenSSL would look anew for whether its factors are primes, for a second or more, in which no other thread of
    the process runs.
    """
    key = load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("no RSA key")
    return key


def _rsa(field_name: str, pem: str) -> RSAPrivateKey:
    wanted = f"an RSA key of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits is needed"
    try:
        key = rsa_key(pem)
    except TypeError:
        raise BadKeyError(field_name, f"{wanted}, without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadKeyError(field_name, "this is not an unencrypted private key in PEM") from None
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise BadKeyError(field_name, wanted)
    if not _is_sound(key.private_numbers()):
        raise BadKeyError(field_name, "the parts of this key do not belong together")
    return key


def _is_sound(key: RSAPrivateNumbers) -> bool:
    """Whether it signs as it should (RFC 8017 section 3.2), its factors being primes by Fermat's test."""
    p, q, d, public = key.p, key.q, key.d, key.public_numbers
    return (
        min(p, q) > 2
        and p * q == public.n
        and public.e < 2**32  # OpenSSL signs with no larger one
        and all(d * public.e % (prime - 1) == 1 for prime in (p, q))
        and (key.dmp1, key.dmq1) == (d % (p - 1), d % (q - 1))
        and key.iqmp * q % p == 1
        and all(pow(2, prime - 1, prime) == 1 for prime in (p, q))
    )
