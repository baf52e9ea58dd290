"""Webhook endpoints and their deliveries, as they come in and go out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy import RowMapping

from calendarsync.accounts.scopes import Scope
from calendarsync.api.paging import Paged
from calendarsync.api.v1.fields import Body, Text, omitted
from calendarsync.secrets import Keyring
from calendarsync.store.webhooks import reveal
from calendarsync.webhooks.addresses import shown

EventName = Literal["sync.completed", "sync.failed", "connection.expired"]
SCOPE_OF: dict[EventName, Scope] = {
    "sync.completed": Scope.LOGS_READ,
    "sync.failed": Scope.LOGS_READ,
    "connection.expired": Scope.CONNECTIONS_READ,
}
"""What an endpoint can subscribe to, and the scope that reads the same through the API."""

LONGEST_OVERLAP_SECONDS = 7 * 24 * 3600
_DEFAULT_OVERLAP_SECONDS = 24 * 3600
_URLS = ["https://example.com/hooks/calendarsync"]

Status = Literal["enabled", "disabled"]
Format = Literal["event", "slack"]
Url = Annotated[Text, Field(min_length=1, max_length=2000, examples=_URLS)]


def _each_once(events: list[EventName]) -> list[EventName]:
    return [name for name in SCOPE_OF if name in events]


Events = Annotated[
    list[EventName],
    Field(min_length=1, max_length=20, description="Needs the scopes that read the same through the API."),
    AfterValidator(_each_once),
]
_FORMAT = "`event`: the event as JSON. `slack`: a message for people, for a Slack incoming webhook."
_ONLY_CHANGED = "Of completed syncs, tell only those that wrote something."


class NewWebhook(Body):
    """Where events are to be sent. https, or http inside the private networks that the operator allows."""

    url: Url
    events: Events = Field(default_factory=lambda: list(SCOPE_OF))
    format: Format = Field(default="event", description=_FORMAT)
    only_changed: bool = Field(default=False, description=_ONLY_CHANGED)


class WebhookChanges(Body):
    """Only what is given changes. `"status": "enabled"` begins anew after failures."""

    url: Url = Field(default_factory=omitted)
    events: Events = Field(default_factory=omitted)
    format: Format = Field(default_factory=omitted, description=_FORMAT)
    only_changed: bool = Field(default_factory=omitted, description=_ONLY_CHANGED)
    status: Status = Field(default_factory=omitted)


class RotationRequest(Body):
    overlap_seconds: int = Field(
        default=_DEFAULT_OVERLAP_SECONDS,
        ge=0,
        le=LONGEST_OVERLAP_SECONDS,
        description="For how long deliveries are signed with the old secret as well.",
    )


class WebhookOut(BaseModel):
    id: str
    url: str | None = Field(
        description="Of a Slack webhook only the host: the rest is a secret. Null where it was encrypted with a "
        "secret that this installation does not have any more; nothing is delivered then."
    )
    events: list[EventName]
    format: Format
    only_changed: bool
    status: Status
    disabled_reason: str | None = Field(
        description="`requested` through the API; `gone`: it answered 410; `failing`: five days of nothing else."
    )
    disabled_at: datetime | None
    failing_since: datetime | None = Field(description="Since when there was nothing but failure.")
    previous_secret_until: datetime | None = Field(
        description="Until when deliveries are signed with the secret before this one as well."
    )
    created_at: datetime
    mode: Literal["live", "test"]


class WebhookWithSecret(WebhookOut):
    secret: str = Field(description="`whsec_…`. It is shown this once.")


class WebhookList(Paged):
    webhooks: list[WebhookOut]


class AttemptOut(BaseModel):
    """One try. Either a `status_code`, or the reason why there was no answer."""

    at: datetime
    duration_ms: int
    status_code: int | None
    error: str | None


DeliveryStatus = Literal["pending", "succeeded", "failed", "canceled"]


class DeliveryOut(BaseModel):
    """What became of one event for one endpoint."""

    id: str
    event_id: str
    event_type: str
    status: DeliveryStatus = Field(
        description="`failed`: after the last attempt. `canceled`: the endpoint was disabled before that."
    )
    created_at: datetime
    next_attempt_at: datetime | None
    attempts: list[AttemptOut]
    response: str | None = Field(
        description="The beginning of what the endpoint last answered, 2 kB at most."
    )


class DeliveryList(Paged):
    deliveries: list[DeliveryOut]


def webhook_out(keyring: Keyring, row: RowMapping, now: datetime) -> WebhookOut:
    return WebhookOut(**_shown(keyring, row, now))


def webhook_with_secret(keyring: Keyring, row: RowMapping, now: datetime, secret: str) -> WebhookWithSecret:
    return WebhookWithSecret(**_shown(keyring, row, now), secret=secret)


def _shown(keyring: Keyring, row: RowMapping, now: datetime) -> dict[str, Any]:
    values = {name: row[name] for name in WebhookOut.model_fields if name in row}
    url = reveal(keyring, row["id"], row["url_encrypted"])
    values["url"] = url and shown(url, row["format"])
    until = row["previous_until"]
    values["previous_secret_until"] = until if until and until > now else None
    return values


def delivery_out(keyring: Keyring, row: RowMapping) -> DeliveryOut:
    values: dict[str, Any] = {name: row[name] for name in DeliveryOut.model_fields if name in row}
    sealed = row["response_encrypted"]
    values["response"] = None if sealed is None else reveal(keyring, row["id"], sealed)
    return DeliveryOut(**values)
