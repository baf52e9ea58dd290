"""Webhook endpoints and what was sent to them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from calendarsync.client.models.base import Model

EventName = Literal["sync.completed", "sync.failed", "connection.expired"]
WebhookFormat = Literal["event", "slack"]


class Webhook(Model, frozen=True):
    """Where events are sent. `status`: `enabled` or `disabled`, and `disabled_reason` why.

    `failing_since` tells since when there was nothing but failure, `previous_secret_until` how long deliveries
    are signed with the secret before this one as well.
    """

    id: str
    url: str | None
    events: tuple[str, ...]
    format: str
    only_changed: bool
    status: str
    disabled_reason: str | None
    disabled_at: datetime | None
    failing_since: datetime | None
    previous_secret_until: datetime | None
    created_at: datetime
    mode: str


class WebhookWithSecret(Webhook, frozen=True):
    """`secret` is shown this once; `verify_webhook` takes it."""

    secret: str = Field(repr=False)


class Attempt(Model, frozen=True):
    """One try: a `status_code`, or the reason why there was no answer."""

    at: datetime
    duration_ms: int
    status_code: int | None
    error: str | None


class Delivery(Model, frozen=True):
    """What became of one event for one endpoint. `status`: `pending`, `succeeded`, `failed` or `canceled`.

    `response` is the beginning of what the endpoint last answered.
    """

    id: str
    event_id: str
    event_type: str
    status: str
    created_at: datetime
    next_attempt_at: datetime | None
    attempts: tuple[Attempt, ...]
    response: str | None
