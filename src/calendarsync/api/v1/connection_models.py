"""Connections as they come in and go out."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Discriminator, Field, SecretStr, Tag
from sqlalchemy import RowMapping

from calendarsync.api.paging import Paged
from calendarsync.api.v1.fields import Body, Email, Name, Problem, Text, none_of, omitted, problem
from calendarsync.api.v1.grant_models import (
    DelegatedAccess,
    GrantAccess,
    NewDelegatedConnection,
    NewGrantConnection,
)

Provider = Literal["google", "microsoft", "caldav", "ics", "sandbox"]

_LINE_BREAKS = re.compile(r"[\x00\r\n]")


def _check_secret(secret: SecretStr) -> SecretStr:
    if _LINE_BREAKS.search(secret.get_secret_value()):
        raise ValueError("must not contain line breaks")
    return secret


Secret = Annotated[SecretStr, AfterValidator(_check_secret), none_of(_LINE_BREAKS)]


class CalDavAccess(Body):
    """How to reach a CalDAV server. `url` may be a server's, a person's or a calendar's address, or a host."""

    provider: Literal["caldav"]
    url: Annotated[Text, Field(min_length=1, max_length=2000, examples=["https://caldav.example.com/"])]
    username: Annotated[Text, Field(min_length=1, max_length=320, examples=["you@example.com"])]
    password: Secret = Field(min_length=1, max_length=1000)


class IcsAccess(Body):
    """The address of a feed, which can be read and not be written to. It is kept as a secret."""

    provider: Literal["ics"]
    url: Secret = Field(
        min_length=1,
        max_length=2000,
        description="https, http or webcal.",
        examples=["https://calendar.example.com/feed.ics?key=…"],
    )


class SandboxAccess(Body):
    """The account's sandbox calendars; with test keys alone. They ask for no credentials."""

    provider: Literal["sandbox"]


class _Owned(Body):
    email: Email = Field(
        default_factory=omitted, description="The owner's address: its responses to invitations count."
    )


class NewCalDavConnection(CalDavAccess, _Owned):
    calendar_id: Annotated[Text, Field(min_length=1, max_length=2000)] = Field(
        default_factory=omitted,
        description="As `discover` tells it. May be left out where the account has exactly one calendar.",
    )


class NewIcsConnection(IcsAccess, _Owned):
    pass


class NewSandboxConnection(SandboxAccess, _Owned):
    calendar_id: Annotated[Text, Field(min_length=1, max_length=100, examples=["sbx_abc123"])] = Field(
        default_factory=omitted,
        description="`sbx_…`. May be left out where the account has exactly one sandbox calendar.",
    )


AT_PROVIDER, OF_GRANT = "at_provider", "of_grant"
"""The two kinds of access: one names its provider, the other a connection."""


def _kind_of(given: object) -> str:
    return OF_GRANT if isinstance(given, dict) and "grant_of" in given else AT_PROVIDER


ProviderAccess = CalDavAccess | IcsAccess | SandboxAccess | DelegatedAccess
Access = Annotated[
    Annotated[Annotated[ProviderAccess, Field(discriminator="provider")], Tag(AT_PROVIDER)]
    | Annotated[GrantAccess, Tag(OF_GRANT)],
    Discriminator(_kind_of),
]
NewProviderConnection = NewCalDavConnection | NewIcsConnection | NewSandboxConnection | NewDelegatedConnection
NewConnection = Annotated[
    Annotated[Annotated[NewProviderConnection, Field(discriminator="provider")], Tag(AT_PROVIDER)]
    | Annotated[NewGrantConnection, Tag(OF_GRANT)],
    Discriminator(_kind_of),
]


class ConnectionChanges(Body):
    """Only what is given changes. New credentials are tried before they are kept; a feed's are its `url`.

    For a sandbox connection any `password` is right: it stands for a new authorization. One at Google or Microsoft
    has no credentials: a person authorizes it anew.
    """

    calendar_name: Annotated[Name, Field(min_length=1, max_length=500)] = Field(default_factory=omitted)
    username: Annotated[Text, Field(min_length=1, max_length=320)] = Field(default_factory=omitted)
    password: Secret = Field(default_factory=omitted, min_length=1, max_length=1000)
    url: Secret = Field(default_factory=omitted, min_length=1, max_length=2000)


class CalendarFound(BaseModel):
    id: str = Field(
        description="The `calendar_id` of a connection: the collection's URL; a feed's host; `sbx_…`; the id "
        "that Google or Microsoft gave it."
    )
    name: str
    read_only: bool
    timezone: str | None = Field(description="IANA name; null where the server tells none.")


class CalendarsFound(BaseModel):
    calendars: list[CalendarFound]


class ConnectionOut(BaseModel):
    id: str
    provider: Provider
    email: str | None
    calendar_name: str
    status: Literal["pending", "active", "expired", "error"]
    last_synced_at: datetime | None
    calendar_id: str
    read_only: bool
    mode: Literal["live", "test"]
    created_at: datetime
    last_error: Problem | None


class ConnectionList(Paged):
    connections: list[ConnectionOut]


def connection_out(row: RowMapping) -> ConnectionOut:
    shown: dict[str, Any] = {name: row[name] for name in ConnectionOut.model_fields if name in row}
    return ConnectionOut(**shown, last_error=problem(row["last_error_code"], row["last_error_message"]))
