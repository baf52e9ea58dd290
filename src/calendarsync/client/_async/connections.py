"""`client.connections`"""

from __future__ import annotations

from calendarsync.client._async.transport import AsyncPaged, AsyncTransport
from calendarsync.client.models import Authorization, CalendarFound, CalendarsFound, Connection
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


class AsyncConnections:
    """Calendars that are connected. Every method may raise CalendarSyncError."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = None) -> AsyncPaged[Connection]:
        """All of them, the oldest first. `limit`: how many are fetched at once, 1 to 1,000."""
        return AsyncPaged(
            self._transport, Listing(Connection, "/connections", "connections", {"limit": limit})
        )

    async def discover(
        self,
        provider: str | None = None,
        *,
        url: str | None = None,
        username: str | None = None,
        password: str | None = None,
        delegated_user: str | None = None,
        grant_of: str | None = None,
    ) -> tuple[CalendarFound, ...]:
        """The calendars that an account at a provider has. Nothing is kept.

        `grant_of`: those of the grant of this connection at Google or Microsoft, in place of a provider.
        """
        body = fields(
            provider=provider,
            url=url,
            username=username,
            password=password,
            delegated_user=delegated_user,
            grant_of=grant_of,
        )
        return (await self._transport.one(CalendarsFound, post("/connections/discover", body))).calendars

    async def authorize(
        self,
        provider: str,
        *,
        return_url: str | None = None,
        email: str | None = None,
        connection_id: str | None = None,
    ) -> Authorization:
        """A link with which a person grants access to their calendars at `google` or `microsoft`.

        It is good for one use. The person goes to `return_url` afterwards, one of the account's; `email`: who is to
        grant it; `connection_id`: a connection that is to be authorized once more.
        """
        body = fields(provider=provider, return_url=return_url, email=email, connection_id=connection_id)
        return await self._transport.one(Authorization, post("/connections/authorize", body))

    async def create(
        self,
        provider: str | None = None,
        *,
        url: str | None = None,
        username: str | None = None,
        password: str | None = None,
        calendar_id: str | None = None,
        email: str | None = None,
        delegated_user: str | None = None,
        grant_of: str | None = None,
    ) -> Connection:
        """Connect one calendar: a `caldav` by url, username and password, an `ics` by url, a `sandbox` by its id.

        At `google` and `microsoft` one of a `delegated_user`, or with `grant_of`, in place of a provider, another
        of a connection's grant. `calendar_id` may be left out where the account has exactly one calendar, and for
        the main one of a delegated user. `email` is the owner's: its responses to invitations count. Raises
        Conflict where the calendar is connected already.
        """
        body = fields(
            provider=provider,
            url=url,
            username=username,
            password=password,
            calendar_id=calendar_id,
            email=email,
            delegated_user=delegated_user,
            grant_of=grant_of,
        )
        return await self._transport.one(Connection, post("/connections", body))

    async def get(self, connection_id: str) -> Connection:
        return await self._transport.one(Connection, get(f"/connections/{part(connection_id)}"))

    async def update(
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
        return await self._transport.one(Connection, patch(f"/connections/{part(connection_id)}", body))

    async def delete(
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
        response = await self._transport.send(call)
        if response.status_code == 202:
            return result_of(Connection, call, response)
        nothing_of(call, response)
        return None
