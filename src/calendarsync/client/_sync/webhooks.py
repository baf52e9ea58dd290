# Made from ../_async/webhooks.py by `make client`: change that file, not this one.
"""`client.webhooks`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from calendarsync.client._sync.transport import Paged, Transport
from calendarsync.client.models import Delivery, EventName, Webhook, WebhookFormat, WebhookWithSecret
from calendarsync.client.protocol import Listing, delete, fields, get, part, patch, post


class Webhooks:
    """Addresses that events are sent to. Every method may raise CalendarSyncError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = None) -> Paged[Webhook]:
        """All of them, the oldest first. `limit`: how many are fetched at once, 1 to 1,000."""
        return Paged(self._transport, Listing(Webhook, "/webhooks", "webhooks", {"limit": limit}))

    def create(
        self,
        url: str,
        *,
        events: Sequence[EventName] | None = None,
        format: WebhookFormat | None = None,  # noqa: A002 - the name of the field
        only_changed: bool | None = None,
    ) -> WebhookWithSecret:
        """Have events sent to `url`, all of them unless `events` are named. The secret is shown this once.

        `only_changed`: of completed syncs, only those that wrote something.
        """
        body = fields(url=url, events=events, format=format, only_changed=only_changed)
        return self._transport.one(WebhookWithSecret, post("/webhooks", body))

    def get(self, webhook_id: str) -> Webhook:
        return self._transport.one(Webhook, get(f"/webhooks/{part(webhook_id)}"))

    def update(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Sequence[EventName] | None = None,
        format: WebhookFormat | None = None,  # noqa: A002 - the name of the field
        only_changed: bool | None = None,
        status: Literal["enabled", "disabled"] | None = None,
    ) -> Webhook:
        """Change what is given. `status="enabled"` begins anew after failures."""
        body = fields(url=url, events=events, format=format, only_changed=only_changed, status=status)
        return self._transport.one(Webhook, patch(f"/webhooks/{part(webhook_id)}", body))

    def delete(self, webhook_id: str) -> None:
        """End it, and forget its deliveries."""
        self._transport.none(delete(f"/webhooks/{part(webhook_id)}"))

    def rotate_secret(self, webhook_id: str, *, overlap_seconds: int | None = None) -> WebhookWithSecret:
        """A new secret, shown this once. Until the overlap is over, at most 7 days, both sign."""
        call = post(f"/webhooks/{part(webhook_id)}/rotate-secret", fields(overlap_seconds=overlap_seconds))
        return self._transport.one(WebhookWithSecret, call)

    def test(self, webhook_id: str) -> Delivery:
        """Send a `webhook.test` event; `delivery` tells what came of it. Raises Conflict while it is disabled."""
        return self._transport.one(Delivery, post(f"/webhooks/{part(webhook_id)}/test"))

    def deliveries(
        self,
        webhook_id: str,
        *,
        status: Literal["pending", "succeeded", "failed", "canceled"] | None = None,
        limit: int | None = None,
    ) -> Paged[Delivery]:
        """What was sent there, the newest first, with every attempt."""
        path = f"/webhooks/{part(webhook_id)}/deliveries"
        listing = Listing(Delivery, path, "deliveries", {"status": status, "limit": limit})
        return Paged(self._transport, listing)

    def delivery(self, webhook_id: str, delivery_id: str) -> Delivery:
        path = f"/webhooks/{part(webhook_id)}/deliveries/{part(delivery_id)}"
        return self._transport.one(Delivery, get(path))

    def redeliver(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Send its event once more, under the same event id; the new delivery as it begins."""
        path = f"/webhooks/{part(webhook_id)}/deliveries/{part(delivery_id)}/redeliver"
        return self._transport.one(Delivery, post(path))
