"""Bodies about what people and organisations grant: authorization links, and calendars of a grant."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from calendarsync.api.v1.fields import Body, Email, Text, omitted

GrantProvider = Literal["google", "microsoft"]

ConnectionName = Annotated[Text, Field(min_length=1, max_length=100, examples=["conn_abc123"])]
CalendarName = Annotated[Text, Field(min_length=1, max_length=2000)]


class GrantAccess(Body):
    """The calendars that the grant of a connection reaches, which a person or an organisation gave."""

    grant_of: ConnectionName = Field(
        description="A connection at Google or Microsoft, whose grant is to be used."
    )


class DelegatedAccess(Body):
    """The calendars of somebody whose organisation lets this account reach them (`/delegations`)."""

    provider: GrantProvider
    delegated_user: Email = Field(
        description="Whose calendars. Needs the scope `connections:delegate`, and a delegation for the domain.",
        examples=["new.hire@example.com"],
    )


class NewGrantConnection(GrantAccess):
    calendar_id: CalendarName = Field(description="As `discover` tells it.")


class NewDelegatedConnection(DelegatedAccess):
    calendar_id: CalendarName = Field(
        default_factory=omitted, description="As `discover` tells it. Left out: the person's main calendar."
    )


class AuthorizationRequest(Body):
    """Whom to ask for access, and where the person goes afterwards."""

    provider: GrantProvider
    return_url: Annotated[Text, Field(min_length=1, max_length=2000)] = Field(
        default_factory=omitted,
        description="Where the person goes afterwards, with `connection_id` and `status` added to its query: one "
        "of the account's `return_urls`. Left out: our own page tells how it went.",
        examples=["https://app.example.com/connected"],
    )
    email: Email = Field(
        default_factory=omitted, description="Who is to grant it: the access of anybody else is refused."
    )
    connection_id: ConnectionName = Field(
        default_factory=omitted,
        description="A connection that is to be authorized once more, by the same person.",
    )


class AuthorizationOut(BaseModel):
    connection_id: str
    authorization_url: str = Field(
        description="The link that a person opens to grant access; good for one use, until `expires_at`."
    )
    expires_at: datetime
