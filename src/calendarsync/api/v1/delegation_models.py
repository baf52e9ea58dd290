"""Delegations as they come in and go out: credentials come in alone."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import RowMapping

from calendarsync.api.paging import Paged
from calendarsync.api.v1.connection_models import Secret
from calendarsync.api.v1.fields import Body, Text, omitted

_LONGEST_PEM = 20_000
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# RFC 1123 section 2.1, in lower case; names of other scripts in their ASCII form (RFC 5890).
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})+", re.ASCII)


def _check_domain(value: str) -> str:
    domain = value.lower()
    if not _DOMAIN.fullmatch(domain):
        raise ValueError("must be a domain such as example.com")
    return domain


def _each_once(domains: list[str]) -> list[str]:
    return list(dict.fromkeys(domains))


Domains = Annotated[
    list[Annotated[Text, Field(min_length=3, max_length=253), AfterValidator(_check_domain)]],
    Field(
        min_length=1,
        max_length=100,
        description="Whose people may be connected through it: those with an address in one of these domains, "
        "letter by letter. A subdomain is another domain.",
        examples=[["example.com"]],
    ),
    AfterValidator(_each_once),
]
Pem = Annotated[str, Field(min_length=1, max_length=_LONGEST_PEM)]
SecretPem = Annotated[SecretStr, Field(min_length=1, max_length=_LONGEST_PEM)]


class ServiceAccountKey(BaseModel):
    """The JSON file that Google makes for a service account's key, as it is; what else stands in it is left."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    type: Literal["service_account"]
    client_email: Annotated[Text, Field(min_length=3, max_length=320)]
    private_key_id: Annotated[Text, Field(min_length=1, max_length=200)]
    private_key: SecretPem


class NewGoogleDelegation(Body):
    """A service account that an organisation has given domain-wide delegation."""

    provider: Literal["google"]
    service_account: ServiceAccountKey
    domains: Domains


class NewMicrosoftDelegation(Body):
    """An application with application permissions, by its secret, or by a certificate and its private key."""

    provider: Literal["microsoft"]
    tenant_id: Annotated[Text, Field(min_length=1, max_length=253)] = Field(
        description="The id of the organisation's directory, or one of its domains."
    )
    client_id: Annotated[Text, Field(min_length=1, max_length=100)] = Field(
        description="The application (client) id."
    )
    client_secret: Secret = Field(default_factory=omitted, min_length=1, max_length=1000)
    certificate: Pem = Field(default_factory=omitted, description="In PEM, as it is registered there.")
    private_key: SecretPem = Field(
        default_factory=omitted, description="The certificate's, RSA, in PEM without a passphrase."
    )
    domains: Domains


NewDelegation = Annotated[NewGoogleDelegation | NewMicrosoftDelegation, Field(discriminator="provider")]


class DelegationChanges(Body):
    """New credentials of the same service account or application; a certificate comes with its private key."""

    service_account: ServiceAccountKey = Field(default_factory=omitted)
    client_secret: Secret = Field(default_factory=omitted, min_length=1, max_length=1000)
    certificate: Pem = Field(default_factory=omitted)
    private_key: SecretPem = Field(default_factory=omitted)


class DelegationOut(BaseModel):
    id: str
    provider: Literal["google", "microsoft"]
    display: str = Field(description="The service account's address; the application's id and its directory.")
    domains: list[str]
    mode: Literal["live", "test"]
    created_at: datetime


class DelegationList(Paged):
    delegations: list[DelegationOut]


def delegation_out(row: RowMapping) -> DelegationOut:
    return DelegationOut(**{name: row[name] for name in DelegationOut.model_fields})
