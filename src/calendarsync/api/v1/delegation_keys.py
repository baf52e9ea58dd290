"""The keys of delegations, out of what a request sends. Reading an RSA key takes a while: not in the event loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import RowMapping

from calendarsync.api.errors import invalid
from calendarsync.api.v1.delegation_models import (
    DelegationChanges,
    NewDelegation,
    NewGoogleDelegation,
    NewMicrosoftDelegation,
    ServiceAccountKey,
)
from calendarsync.grants import Application, BadKeyError, DelegationKey, application, service_account
from calendarsync.grants.delegation_keys import open_key
from calendarsync.secrets import Keyring, SecretError

_OF_GOOGLE, _OF_MICROSOFT = {"service_account"}, {"client_secret", "certificate", "private_key"}


def key_of(body: NewDelegation) -> DelegationKey:
    """Raises ApiError 422."""
    if isinstance(body, NewGoogleDelegation):
        return _service_account(body.service_account)
    return _application(body.tenant_id, body.client_id, body)


def renewed_key(keyring: Keyring, row: RowMapping, changes: DelegationChanges) -> DelegationKey:
    """The key that takes the place of the delegation's. Raises ApiError 422."""
    wrong = changes.model_fields_set & (_OF_MICROSOFT if row["provider"] == "google" else _OF_GOOGLE)
    if wrong:
        raise invalid(*((field, "belongs to a delegation of the other provider") for field in sorted(wrong)))
    try:
        before = open_key(keyring, row["provider"], row["id"], row["credentials_encrypted"])
    except SecretError:  # of the installation, dropped since
        field = min(changes.model_fields_set)
        raise invalid(
            (field, "what this delegation was made with can be read no more; make a new one")
        ) from None
    if isinstance(before, Application):
        return _application(before.tenant, before.client_id, changes)
    renewed = _service_account(changes.service_account)
    if renewed.display != before.display:
        raise invalid(("service_account.client_email", "is another service account's; make a new delegation"))
    return renewed


def _service_account(given: ServiceAccountKey) -> DelegationKey:
    with _named("service_account."):
        return service_account({**given.model_dump(), "private_key": given.private_key.get_secret_value()})


def _application(
    tenant_id: str, client_id: str, given: NewMicrosoftDelegation | DelegationChanges
) -> DelegationKey:
    with _named():
        return application(
            tenant_id,
            client_id,
            client_secret=_revealed(given, "client_secret"),
            certificate=given.certificate,
            private_key=_revealed(given, "private_key"),
        )


def _revealed(given: NewMicrosoftDelegation | DelegationChanges, field: str) -> str | None:
    secret = getattr(given, field)
    return None if secret is None else str(secret.get_secret_value())


@contextmanager
def _named(prefix: str = "") -> Iterator[None]:
    """Raises ApiError 422, which names the field, for a key that cannot be used."""
    try:
        yield
    except BadKeyError as error:
        raise invalid((f"{prefix}{error.field}", error.message)) from None
