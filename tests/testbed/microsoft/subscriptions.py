"""Subscriptions to changes of events.

Sources: https://learn.microsoft.com/graph/api/subscription-post-subscriptions, subscription-update,
subscription-delete, subscription-reauthorize, resources/subscription ("Outlook message, event, contact: 10,080
minutes"), change-notifications-lifecycle-events. Plain http is allowed towards loopback alone, for tests.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import uuid4

from . import errors
from .access import Call, open_mailbox
from .ids import event_id
from .notices import Notifier
from .operations import Answer
from .rendering import etag
from .requests import Request, segments
from .series import View
from .state import TENANT, Calendar, Event, Grant, Mailbox, World
from .zones import instant, stamp

_KINDS = {"created", "updated", "deleted"}
Lifecycle = Literal["reauthorizationRequired", "subscriptionRemoved", "missed"]


@dataclass
class Subscription:
    """`calendar`: None for all calendars of the mailbox."""

    grant: Grant
    mailbox: Mailbox
    calendar: Calendar | None
    resource: str
    kinds: frozenset[str]
    url: str
    lifecycle_url: str | None
    client_state: str | None
    expires: datetime
    immutable: bool
    id: str = field(default_factory=lambda: str(uuid4()))

    def json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "resource": self.resource,
            "applicationId": "24d3b144-21ae-4080-943f-7067b395b913",
            "changeType": ",".join(sorted(self.kinds)),
            "clientState": self.client_state,
            "notificationUrl": self.url,
            "lifecycleNotificationUrl": self.lifecycle_url,
            "expirationDateTime": stamp(self.expires),
            "creatorId": self.mailbox.id,
            "includeResourceData": None,
            "latestSupportedTlsVersion": "v1_2",
        }

    def notice(self) -> dict[str, Any]:
        state = {} if self.client_state is None else {"clientState": self.client_state}
        times = {"subscriptionExpirationDateTime": stamp(self.expires), "tenantId": TENANT}
        return {"subscriptionId": self.id, **times, **state}


class Subscriptions:
    def __init__(self, world: World, notifier: Notifier) -> None:
        self._world = world
        self._notifier = notifier
        self.active: dict[str, Subscription] = {}
        world.watchers.append(self._changed)

    async def handle(self, request: Request) -> Answer:
        """Everything under `/subscriptions`. Raises 400, 404, 405."""
        named, action = [*request.path[1:], None, None][:2]
        match request.method, named, action:
            case "POST", None, None:
                return await self._create(request)
            case "GET", None, None:
                mine = [one.json() for one in self._living().values() if one.grant is request.grant]
                return Answer(
                    200, {"@odata.context": f"{request.base}/$metadata#subscriptions", "value": mine}
                )
            case "GET", str(), None:
                return self._answer(request, self._get(request, named), 200)
            case "PATCH", str(), None:
                return self._renew(request, self._get(request, named))
            case "DELETE", str(), None:
                del self.active[self._get(request, named).id]
                return Answer(204)
            case "POST", str(), "reauthorize":
                self._get(request, named)
                return Answer(204)
        raise errors.method_not_allowed()

    def lifecycle(self, subscription_id: str, event: Lifecycle) -> None:
        """Tells the subscriber; with `subscriptionRemoved` the subscription is gone."""
        found = self.active[subscription_id]
        if event == "subscriptionRemoved":
            del self.active[subscription_id]
        if found.lifecycle_url is not None:
            self._notifier.post(found.lifecycle_url, found.notice() | {"lifecycleEvent": event})

    async def _create(self, request: Request) -> Answer:
        body = request.body if isinstance(request.body, dict) else {}
        found = self._read(request, body)
        self._check_duplicate(found)
        for url in filter(None, (found.url, found.lifecycle_url)):
            if not await self._notifier.validate(url):
                message = (
                    "Subscription validation request failed. The endpoint must answer 200 and the token."
                )
                raise errors.bad_request("ValidationError", message)
        self.active[found.id] = found
        return self._answer(request, found, 201)

    def _check_duplicate(self, found: Subscription) -> None:
        """Raises 409: "the same values for changeType and resource as an existing subscription"."""
        key = found.mailbox, found.calendar, found.kinds, found.grant
        same = [
            one for one in self._living().values() if (one.mailbox, one.calendar, one.kinds, one.grant) == key
        ]
        if same and self._world.habits.duplicates == "refuse":
            raise errors.ApiError(
                409, "InvalidRequest", "A subscription to the same changes is there already."
            )

    def _read(self, request: Request, body: dict[str, Any]) -> Subscription:
        kinds = frozenset(str(body.get("changeType", "")).casefold().replace(" ", "").split(","))
        if not kinds <= _KINDS:
            raise errors.bad_request("InvalidRequest", "The changeType is not supported.")
        state = body.get("clientState")
        if state is not None and len(state) > 128:
            raise errors.bad_request("InvalidRequest", "The clientState is longer than 128 characters.")
        for name in ("notificationUrl", "lifecycleNotificationUrl"):
            if (name in body or name == "notificationUrl") and not _allowed(str(body.get(name) or "")):
                raise errors.bad_request("InvalidRequest", f"The {name} must be an https address.")
        mailbox, calendar = self._resource(request, str(body.get("resource", "")))
        return Subscription(
            request.grant,
            mailbox,
            calendar,
            str(body["resource"]),
            kinds,
            str(body["notificationUrl"]),
            body.get("lifecycleNotificationUrl"),
            state,
            self._expiry(body),
            request.immutable,
        )

    def _resource(self, request: Request, resource: str) -> tuple[Mailbox, Calendar | None]:
        """me/events, me/calendars/{id}/events, and the same under users/{id}."""
        within = Request("GET", segments(resource), {}, {}, None, request.base, request.grant)
        if not within.path:
            raise errors.bad_request("InvalidRequest", "The resource is missing.")
        mailbox, rest = open_mailbox(self._world, within)
        match [part.casefold() for part in rest[::2]], rest:
            case ["events"], _:
                return mailbox, None
            case ["calendars", "events"], [_, calendar, *_]:
                return mailbox, Call(self._world, within, mailbox, {"calendar": calendar}).calendar
        raise errors.bad_request("InvalidRequest", "The resource is not supported.")

    def _expiry(self, body: dict[str, Any]) -> datetime:
        expires = instant(str(body.get("expirationDateTime", "")), "expirationDateTime")
        now, longest = self._world.now(), self._world.habits.subscription_minutes
        if expires <= now:
            raise errors.bad_request("InvalidRequest", "The expirationDateTime is in the past.")
        if expires > now + timedelta(minutes=longest):
            message = f"Subscription expiration can only be {longest} minutes in the future."
            raise errors.bad_request("InvalidRequest", message)
        return expires

    def _renew(self, request: Request, found: Subscription) -> Answer:
        body = request.body if isinstance(request.body, dict) else {}
        found.expires = self._expiry(body)
        return self._answer(request, found, 200)

    def _answer(self, request: Request, found: Subscription, status: int) -> Answer:
        return Answer(
            status, {"@odata.context": f"{request.base}/$metadata#subscriptions/$entity"} | found.json()
        )

    def _living(self) -> dict[str, Subscription]:
        now = self._world.now()
        for found in list(self.active.values()):
            if found.expires <= now:
                del self.active[found.id]
        return self.active

    def _get(self, request: Request, named: str) -> Subscription:
        """Raises 404."""
        found = self._living().get(named)
        if found is None or found.grant is not request.grant:
            raise errors.ApiError(404, "ResourceNotFound", "The object was not found.")
        return found

    def _changed(self, event: Event, kind: str) -> None:
        for found in list(self._living().values()):
            seen = found.calendar is event.calendar or (
                found.calendar is None and event.calendar.owner is found.mailbox
            )
            if seen and kind in found.kinds:
                self._notifier.post(found.url, found.notice() | self._about(found, event, kind))

    def _about(self, found: Subscription, event: Event, kind: str) -> dict[str, Any]:
        named = event_id(event, immutable=found.immutable)
        place = f"Users/{found.mailbox.id}/Events/{named}"
        data = {"@odata.type": "#Microsoft.Graph.Event", "@odata.id": place, "@odata.etag": etag(View(event))}
        return {"changeType": kind, "resource": place, "resourceData": data | {"id": named}}


def _allowed(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    try:
        loopback = parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
    return parts.scheme == "http" and loopback
