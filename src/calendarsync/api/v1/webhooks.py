"""/webhooks"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import RowMapping

from calendarsync.accounts.scopes import Scope
from calendarsync.api.conditional import IfMatch
from calendarsync.api.paging import PageParam, known_start
from calendarsync.api.route import ApiRoute, Caller, needs
from calendarsync.api.services import Services, ServicesParam
from calendarsync.api.v1 import webhooking
from calendarsync.api.v1.fields import DeliveryId, WebhookId
from calendarsync.api.v1.responses import CONFLICT, NOT_FOUND
from calendarsync.api.v1.webhook_models import (
    DeliveryList,
    DeliveryOut,
    DeliveryStatus,
    NewWebhook,
    RotationRequest,
    WebhookChanges,
    WebhookList,
    WebhookOut,
    WebhookWithSecret,
    delivery_out,
    webhook_out,
    webhook_with_secret,
)
from calendarsync.store import webhooks as store

router = APIRouter(prefix="/webhooks", tags=["Webhooks"], route_class=ApiRoute)


@router.get("", openapi_extra=needs(Scope.WEBHOOKS_READ))
async def list_webhooks(services: ServicesParam, caller: Caller, page: PageParam) -> WebhookList:
    """All webhook endpoints, the oldest first."""
    async with services.db.read_as(caller.tenant) as connection, known_start():
        found = await store.list_webhooks(connection, caller.tenant, page)
    shown = [webhook_out(services.keyring, row, services.now()) for row in found.rows]
    return WebhookList(webhooks=shown, has_more=found.has_more)


@router.post("", status_code=201, openapi_extra=needs(Scope.WEBHOOKS_WRITE, secret=True), responses=CONFLICT)
async def create_webhook(
    services: ServicesParam, caller: Caller, body: NewWebhook, response: Response
) -> WebhookWithSecret:
    """Have events sent to an address. The secret that signs them is shown this once.

    409 where there are 20 endpoints already.
    """
    row, secret = await webhooking.register(services, caller, body)
    response.headers["Location"] = f"/api/v1/webhooks/{row['id']}"
    return webhook_with_secret(services.keyring, row, services.now(), secret)


@router.get("/{webhook_id}", openapi_extra=needs(Scope.WEBHOOKS_READ), responses=NOT_FOUND)
async def get_webhook(services: ServicesParam, caller: Caller, webhook_id: WebhookId) -> WebhookOut:
    """One webhook endpoint, and whether deliveries to it fail."""
    async with services.db.read_as(caller.tenant) as connection:
        row = await webhooking.get(connection, caller, webhook_id)
    return webhook_out(services.keyring, row, services.now())


@router.patch("/{webhook_id}", openapi_extra=needs(Scope.WEBHOOKS_WRITE), responses=NOT_FOUND)
async def change_webhook(
    services: ServicesParam, caller: Caller, webhook_id: WebhookId, body: WebhookChanges, if_match: IfMatch
) -> WebhookOut:
    """Send elsewhere, other events, in another format, or not for the time being."""
    row = await webhooking.change(services, caller, webhook_id, body, if_match)
    return webhook_out(services.keyring, row, services.now())


@router.delete(
    "/{webhook_id}", status_code=204, openapi_extra=needs(Scope.WEBHOOKS_WRITE), responses=NOT_FOUND
)
async def delete_webhook(
    services: ServicesParam, caller: Caller, webhook_id: WebhookId, if_match: IfMatch
) -> Response:
    """End an endpoint, and forget its deliveries."""
    await webhooking.remove(services, caller, webhook_id, if_match)
    return Response(status_code=204)


@router.post(
    "/{webhook_id}/rotate-secret",
    openapi_extra=needs(Scope.WEBHOOKS_WRITE, secret=True),
    responses=NOT_FOUND,
)
async def rotate_secret(
    services: ServicesParam, caller: Caller, webhook_id: WebhookId, body: RotationRequest | None = None
) -> WebhookWithSecret:
    """A new secret, shown this once. Until `overlap_seconds` are over, both sign."""
    overlap = timedelta(seconds=(body or RotationRequest()).overlap_seconds)
    row, secret = await webhooking.rotate(services, caller, webhook_id, overlap)
    return webhook_with_secret(services.keyring, row, services.now(), secret)


@router.post(
    "/{webhook_id}/test",
    status_code=202,
    openapi_extra=needs(Scope.WEBHOOKS_WRITE),
    responses={**NOT_FOUND, **CONFLICT},
)
async def test_webhook(
    services: ServicesParam, caller: Caller, webhook_id: WebhookId, response: Response
) -> DeliveryOut:
    """Send a `webhook.test` event. 409 while the endpoint is disabled.

    The answer is the delivery as it begins; its address in `Location` tells what came of it.
    """
    row = await webhooking.send_test(services, caller, webhook_id)
    return _begun(services, row, response)


@router.get("/{webhook_id}/deliveries", openapi_extra=needs(Scope.WEBHOOKS_READ), responses=NOT_FOUND)
async def list_deliveries(
    *,
    services: ServicesParam,
    caller: Caller,
    webhook_id: WebhookId,
    page: PageParam,
    status: Annotated[DeliveryStatus | None, Query()] = None,
) -> DeliveryList:
    """What was sent to an endpoint, the newest first, with every attempt."""
    async with services.db.read_as(caller.tenant) as connection, known_start():
        await webhooking.get(connection, caller, webhook_id)
        found = await store.list_deliveries(connection, caller.tenant, webhook_id, page, status=status)
    shown = [delivery_out(services.keyring, row) for row in found.rows]
    return DeliveryList(deliveries=shown, has_more=found.has_more)


@router.get(
    "/{webhook_id}/deliveries/{delivery_id}", openapi_extra=needs(Scope.WEBHOOKS_READ), responses=NOT_FOUND
)
async def get_delivery(
    services: ServicesParam, caller: Caller, webhook_id: WebhookId, delivery_id: DeliveryId
) -> DeliveryOut:
    """One delivery, with every attempt."""
    async with services.db.read_as(caller.tenant) as connection:
        row = await webhooking.get_delivery(connection, caller, webhook_id, delivery_id)
    return delivery_out(services.keyring, row)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    status_code=202,
    openapi_extra=needs(Scope.WEBHOOKS_WRITE),
    responses={**NOT_FOUND, **CONFLICT},
)
async def redeliver(
    services: ServicesParam,
    caller: Caller,
    webhook_id: WebhookId,
    delivery_id: DeliveryId,
    response: Response,
) -> DeliveryOut:
    """Send the event of a delivery once more, whatever came of it. 409 while the endpoint is disabled.

    The answer is the new delivery as it begins; the event and its id stay the same.
    """
    row = await webhooking.redeliver(services, caller, webhook_id, delivery_id)
    return _begun(services, row, response)


def _begun(services: Services, row: RowMapping, response: Response) -> DeliveryOut:
    response.headers["Location"] = f"/api/v1/webhooks/{row['webhook_id']}/deliveries/{row['id']}"
    return delivery_out(services.keyring, row)
