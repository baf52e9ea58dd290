"""Registering, changing and ending webhook endpoints."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.keys import Identity, Mode
from calendarsync.api.conditional import Precondition
from calendarsync.api.errors import ApiError, conflict, invalid, not_found
from calendarsync.api.services import Services
from calendarsync.api.v1.webhook_models import SCOPE_OF, NewWebhook, WebhookChanges, webhook_out
from calendarsync.net import AddressRefused, ConnectFailed, InvalidUrl, Timeout, parse_url
from calendarsync.store import webhooks as store
from calendarsync.store.ids import new_id
from calendarsync.store.outbox import EndpointDisabled
from calendarsync.store.webhooks import reveal, seal
from calendarsync.webhooks.addresses import confined
from calendarsync.webhooks.formats import SLACK
from calendarsync.webhooks.signing import new_secret

MOST_ENDPOINTS = 20
"""Of an account, in each mode."""

_BEGUN_ANEW = {"disabled_reason": None, "disabled_at": None, "failing_since": None}


async def register(services: Services, caller: Identity, wanted: NewWebhook) -> tuple[RowMapping, str]:
    """The new endpoint and its secret. Raises ApiError 403, 409, 422."""
    _check_scopes(caller, wanted.events)
    url = await _judged(services, caller, wanted.url)
    webhook_id, secret = new_id("whk"), new_secret()
    values = {
        "id": webhook_id,
        "url_encrypted": seal(services.keyring, webhook_id, url),
        "events": wanted.events,
        "format": wanted.format,
        "only_changed": wanted.only_changed,
        "status": "enabled",
        "secret_encrypted": seal(services.keyring, webhook_id, secret),
        "created_at": services.now(),
    }
    async with services.db.write_as(caller.tenant) as connection:
        if not await store.insert_webhook(connection, caller.tenant, values, at_most=MOST_ENDPOINTS):
            raise conflict(f"there are {MOST_ENDPOINTS} webhook endpoints already; delete one first")
        return await get(connection, caller, webhook_id), secret


async def change(
    services: Services, caller: Identity, webhook_id: str, changes: WebhookChanges, if_match: Precondition
) -> RowMapping:
    """The endpoint as it is then. Raises ApiError 403, 404, 412, 422."""
    async with services.db.read_as(caller.tenant) as connection:
        await get(connection, caller, webhook_id)
    given = changes.model_dump(exclude_unset=True)
    url = await _judged(services, caller, changes.url) if "url" in given else None
    async with services.db.write_as(caller.tenant) as connection:
        row = await get(connection, caller, webhook_id, lock=True)
        if_match.check(webhook_out(services.keyring, row, services.now()))
        if not given:
            return row
        # Whoever points an endpoint elsewhere, or wakes it, is to read what is sent there.
        told = set(given.get("events", row["events"]))
        if url is not None:
            told |= await store.pending_types(connection, caller.tenant, webhook_id)
        _check_scopes(caller, told)
        if url is None and row["format"] == SLACK and given.get("format", SLACK) != SLACK:
            raise invalid(
                ("url", "is required when a Slack endpoint becomes another, which shows its address")
            )
        values = _changed(services, row, given, url)
        await store.update_webhook(connection, caller.tenant, webhook_id, values)
        return await get(connection, caller, webhook_id)


def _changed(services: Services, row: RowMapping, given: dict[str, Any], url: str | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: given[name] for name in ("events", "format", "only_changed", "status") if name in given
    }
    if url is not None:
        values |= {"url_encrypted": seal(services.keyring, row["id"], url), "failing_since": None}
    if given.get("status") == "enabled":
        values |= _BEGUN_ANEW
    elif given.get("status") == "disabled" and row["status"] == "enabled":
        values |= {"disabled_reason": "requested", "disabled_at": services.now()}
    return values


async def rotate(
    services: Services, caller: Identity, webhook_id: str, overlap: timedelta
) -> tuple[RowMapping, str]:
    """The endpoint and its new secret; the old one signs as well for `overlap`. Raises ApiError 404."""
    secret, now = new_secret(), services.now()
    async with services.db.write_as(caller.tenant) as connection:
        row = await get(connection, caller, webhook_id, lock=True)
        # One that can be read no more signs nothing.
        known = reveal(services.keyring, webhook_id, row["secret_encrypted"]) is not None
        values = {
            "secret_encrypted": seal(services.keyring, webhook_id, secret),
            "previous_secret_encrypted": row["secret_encrypted"] if overlap and known else None,
            "previous_until": now + overlap if overlap and known else None,
        }
        await store.update_webhook(connection, caller.tenant, webhook_id, values)
        return await get(connection, caller, webhook_id), secret


async def remove(services: Services, caller: Identity, webhook_id: str, if_match: Precondition) -> None:
    """Raises ApiError 404, 412."""
    async with services.db.write_as(caller.tenant) as connection:
        row = await get(connection, caller, webhook_id, lock=True)
        if_match.check(webhook_out(services.keyring, row, services.now()))
        await store.delete_webhook(connection, caller.tenant, webhook_id)


async def get(
    connection: AsyncConnection, caller: Identity, webhook_id: str, *, lock: bool = False
) -> RowMapping:
    """Raises ApiError 404."""
    row = await store.get_webhook(connection, caller.tenant, webhook_id, lock=lock)
    if row is None:
        raise not_found("webhook")
    return row


async def get_delivery(
    connection: AsyncConnection, caller: Identity, webhook_id: str, delivery_id: str
) -> RowMapping:
    """Raises ApiError 404, in the same words whether it is the endpoint or the delivery that is not there."""
    row = await store.get_delivery(connection, caller.tenant, webhook_id, delivery_id)
    if row is None:
        raise not_found("webhook delivery")
    return row


async def send_test(services: Services, caller: Identity, webhook_id: str) -> RowMapping:
    """The delivery of a test event. Raises ApiError 404, 409."""
    try:
        delivery_id = await services.outbox.test(caller.tenant, webhook_id)
    except LookupError:
        raise not_found("webhook") from None
    except EndpointDisabled:
        raise _disabled() from None
    return await _begun(services, caller, webhook_id, delivery_id)


async def redeliver(services: Services, caller: Identity, webhook_id: str, delivery_id: str) -> RowMapping:
    """The new delivery of the same event, to where the endpoint is now. Raises ApiError 403, 404, 409."""
    async with services.db.read_as(caller.tenant) as connection:
        earlier = await get_delivery(connection, caller, webhook_id, delivery_id)
    _check_scopes(caller, {earlier["event_type"]})
    try:
        again = await services.outbox.redeliver(caller.tenant, webhook_id, delivery_id)
    except LookupError:
        raise not_found("webhook delivery") from None
    except EndpointDisabled:
        raise _disabled() from None
    return await _begun(services, caller, webhook_id, again)


async def _begun(services: Services, caller: Identity, webhook_id: str, delivery_id: str) -> RowMapping:
    services.wake()
    async with services.db.read_as(caller.tenant) as connection:
        return await get_delivery(connection, caller, webhook_id, delivery_id)


def _disabled() -> ApiError:
    return conflict('this webhook is disabled; send it {"status": "enabled"} first')


def _check_scopes(caller: Identity, types: Collection[str]) -> None:
    """A test event needs none."""
    needed = {name: scope for name, scope in SCOPE_OF.items() if name in types}
    for scope in needed.values():
        if scope not in caller.scopes:
            names = ", ".join(name for name in needed if needed[name] is scope)
            raise ApiError(403, f"a subscription to {names} needs the scope {scope}")


async def _judged(services: Services, caller: Identity, url: str) -> str:
    """The address as it is sent to. Raises ApiError 422 where no delivery would go there.

    A name that leads nowhere yet is taken; a delivery is judged again as it connects.
    """
    try:
        parsed = str(parse_url(url))
        inside = confined(parsed, caller.mode)
        return await services.http.judge(parsed, confined=inside)
    except InvalidUrl as error:
        raise invalid(("url", error.message)) from None
    except AddressRefused as error:
        raise invalid(("url", f"{error.message} {_why(parsed, caller)}")) from None
    except (ConnectFailed, Timeout) as error:
        if inside and caller.mode is Mode.LIVE:
            raise invalid(("url", f"{error.message} {_why(parsed, caller)}")) from None
        return parsed


def _why(url: str, caller: Identity) -> str:
    networks = "the networks of CALENDARSYNC_ALLOWED_PRIVATE_NETWORKS"
    if caller.mode is Mode.TEST:
        return f"In test mode webhooks go only to {networks}."
    if url.startswith("http:"):
        return f"Over plain http webhooks go only to {networks}; use https."
    return f"Webhooks go to public addresses, and to {networks}."
