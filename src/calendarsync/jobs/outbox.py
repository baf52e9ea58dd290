"""What the API asks of the delivery of webhooks: a test event, and an earlier event once more."""

from __future__ import annotations

from dataclasses import dataclass

from calendarsync.jobs.wakeups import Wakeups
from calendarsync.store import outbox as store
from calendarsync.store.database import Database
from calendarsync.store.outbox import Event
from calendarsync.store.tenancy import Tenant
from calendarsync.webhooks.catalogue import EventType, test_data

WEBHOOKS_DUE = "webhooks_due"


@dataclass(frozen=True, slots=True)
class Outbox:
    """Places deliveries. They are made by a worker, which is woken: this process's own, or any other's."""

    db: Database
    wakeups: Wakeups

    async def test(self, tenant: Tenant, webhook_id: str) -> str:
        """Send a test event to an endpoint, whatever it has subscribed to; the delivery's id.

        Raises LookupError where the tenant has no such endpoint, EndpointDisabled, and DatabaseUnavailable.
        """
        event = Event(tenant.account_id, tenant.mode, EventType.WEBHOOK_TEST, test_data(webhook_id))
        async with self.wakeups.transaction(tenant) as (db, sending):
            delivery_id = await store.emit_to(db, webhook_id, event, self.db.now())
            sending.append(WEBHOOKS_DUE)
        return delivery_id

    async def redeliver(self, tenant: Tenant, webhook_id: str, delivery_id: str) -> str:
        """Deliver the event of a delivery of this endpoint once more; the new delivery's id.

        Raises LookupError where there is no such endpoint or delivery, EndpointDisabled, DatabaseUnavailable.
        """
        async with self.wakeups.transaction(tenant) as (db, sending):
            new = await store.redeliver(db, tenant, webhook_id, delivery_id, self.db.now())
            sending.append(WEBHOOKS_DUE)
        return new
