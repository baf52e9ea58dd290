# Made from ../_async/connections.py by `make client`: change that file, not this one.
"""`client.connections`"""

from __future__ import annotations

from calendarsync.client._sync.transport import Paged, Transport
from calendarsync.client.models import CalendarFound, CalendarsFound, Connection
from calendarsync.client.protocol import (
    Listing,
    delete,
    fields,
    get,
    nothing_of,
    part,
    patch,
    post,
    result_of,
)


class Connections:
    """Calendars that are connected. Every method may raise CalendarSyncError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = None) -> Paged[Connection]:
        """All of them, the oldest first. `limit`: how many are fetched at once, 1 to 1,000."""
        return Paged(self._transport, Listing(Connection, "/connections", "connections", {"limit": limit}))

    def discover(
        self,
        provider: str,
        *,
        url: str | None = None,
        username: str | None = None,
        password: str | None = None,
    ) -> tuple[CalendarFound, ...]:
        """The calendars that an account at a provider has. Nothing is kept."""
        body = fields(provider=provider, url=url, username=username, password=password)
        return (self._transport.one(CalendarsFound, post("/connections/discover", body))).calendars

    def create(
        self,
        provider: str,
        *,
        url: str | None = None,
        username: str | None = None,
        password: str | None = None,
        calendar_id: str | None = None,
        email: str | None = None,
    ) -> Connection:
        """Connect one calendar: a `caldav` by url, username and password, an `ics` by url, a `sandbox` by its id.

        `calendar_id` may be left out where the account has exactly one calendar. `email` is the owner's: its
        responses to invitations count. Raises Conflict where the calendar is connected already.
        """
        body = fields(
            provider=provider,
            url=url,
            username=username,
            password=password,
            calendar_id=calendar_id,
            email=email,
        )
        return self._transport.one(Connection, post("/connections", body))

    def get(self, connection_id: str) -> Connection:
        return self._transport.one(Connection, get(f"/connections/{part(connection_id)}"))

    def update(
        self,
        connection_id: str,
        *,
        calendar_name: str | None = None,
        username: str | None = None,
        password: str | None = None,
        url: str | None = None,
    ) -> Connection:
        """Rename it, or give it new credentials, with which an expired connection goes on where it stood."""
        body = fields(calendar_name=calendar_name, username=username, password=password, url=url)
        return self._transport.one(Connection, patch(f"/connections/{part(connection_id)}", body))

    def delete(
        self, connection_id: str, *, cascade: bool = False, keep_copies: bool = False, abandon: bool = False
    ) -> Connection | None:
        """End it; None when it is gone, else the connection, whose pairs' copies are still being removed.

        Raises Conflict while pairs use it, unless `cascade`. `keep_copies` leaves their copies as ordinary
        events; `abandon` forgets the pairs at once, whatever becomes of their copies.
        """
        call = delete(
            f"/connections/{part(connection_id)}",
            cascade=cascade,
            keep_copies=keep_copies,
            abandon=abandon,
        )
        response = self._transport.send(call)
        if response.status_code == 202:
            return result_of(Connection, call, response)
        nothing_of(call, response)
        return None
