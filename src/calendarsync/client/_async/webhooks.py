"""`client.webhooks`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from calendarsync.client._async.transport import AsyncPaged, AsyncTransport
from calendarsync.client.models import Delivery, EventName, Webhook, WebhookFormat, WebhookWithSecret
from calendarsync.client.protocol import Listing, delete, fields, get, part, patch, post


class AsyncWebhooks:
    """Addresses that events are sent to. Every method may raise CalendarSyncError."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = None) -> AsyncPaged[Webhook]:
        """All of them, the oldest first. `limit`: how many are fetched at once, 1 to 1,000."""
        return AsyncPaged(self._transport, Listing(Webhook, "/webhooks", "webhooks", {"limit": limit}))

    async def create(
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
        return await self._transport.one(WebhookWithSecret, post("/webhooks", body))

    async def get(self, webhook_id: str) -> Webhook:
        return await self._transport.one(Webhook, get(f"/webhooks/{part(webhook_id)}"))

    async def update(
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
        return await self._transport.one(Webhook, patch(f"/webhooks/{part(webhook_id)}", body))

    async def delete(self, webhook_id: str) -> None:
        """End it, and forget its deliveries."""
        await self._transport.none(delete(f"/webhooks/{part(webhook_id)}"))

    async def rotate_secret(
        self, webhook_id: str, *, overlap_seconds: int | None = None
    ) -> WebhookWithSecret:
        """A new secret, shown this once. Until the overlap is over, at most 7 days, both sign."""
        call = post(f"/webhooks/{part(webhook_id)}/rotate-secret", fields(overlap_seconds=overlap_seconds))
        return await self._transport.one(WebhookWithSecret, call)

    async def test(self, webhook_id: str) -> Delivery:
        """Send a `webhook.test` event; `delivery` tells what came of it. Raises Conflict while it is disabled."""
        return await self._transport.one(Delivery, post(f"/webhooks/{part(webhook_id)}/test"))

    def deliveries(
        self,
        webhook_id: str,
        *,
        status: Literal["pending", "succeeded", "failed", "canceled"] | None = None,
        limit: int | None = None,
    ) -> AsyncPaged[Delivery]:
        """What was sent there, the newest first, with every attempt."""
        path = f"/webhooks/{part(webhook_id)}/deliveries"
        listing = Listing(Delivery, path, "deliveries", {"status": status, "limit": limit})
        return AsyncPaged(self._transport, listing)

    async def delivery(self, webhook_id: str, delivery_id: str) -> Delivery:
        path = f"/webhooks/{part(webhook_id)}/deliveries/{part(delivery_id)}"
        return await self._transport.one(Delivery, get(path))

    async def redeliver(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Send its event once more, under the same event id; the new delivery as it begins."""
        path = f"/webhooks/{part(webhook_id)}/deliveries/{part(delivery_id)}/redeliver"
        return await self._transport.one(Delivery, post(path))
