"""`client.account`, `client.api_keys`, `client.availability`"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from calendarsync.client._async.transport import AsyncPaged, AsyncTransport
from calendarsync.client.models import Account, ApiKey, ApiKeyWithSecret, Availability
from calendarsync.client.protocol import Listing, delete, fields, get, part, patch, post


class AsyncAccounts:
    """The account of the key. May raise CalendarSyncError."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def get(self) -> Account:
        """The plan, what is used of it, who its members are, and what needs attention."""
        return await self._transport.one(Account, get("/account"))

    async def update(self, *, return_urls: Sequence[str] | None = None) -> Account:
        """Register where people may go after they granted access, in place of all before. Needs `account:admin`."""
        return await self._transport.one(Account, patch("/account", fields(return_urls=return_urls)))


class AsyncApiKeys:
    """Keys of the mode of the key in use, which needs `account:admin`. May raise CalendarSyncError."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = None) -> AsyncPaged[ApiKey]:
        """All of them, the oldest first, those that have ended too. `limit`: how many are fetched at once."""
        return AsyncPaged(self._transport, Listing(ApiKey, "/api-keys", "api_keys", {"limit": limit}))

    async def create(
        self,
        *,
        name: str | None = None,
        scopes: Sequence[str] | None = None,
        expires_at: datetime | None = None,
    ) -> ApiKeyWithSecret:
        """A key, shown this once. `scopes`: at most those of the key in use.

        Left out, it gets all but `account:admin` and `connections:delegate`.
        """
        body = fields(name=name, scopes=scopes, expires_at=expires_at)
        return await self._transport.one(ApiKeyWithSecret, post("/api-keys", body))

    async def get(self, key_id: str) -> ApiKey:
        return await self._transport.one(ApiKey, get(f"/api-keys/{part(key_id)}"))

    async def rotate(
        self, key_id: str, *, overlap_seconds: int | None = None, expires_at: datetime | None = None
    ) -> ApiKeyWithSecret:
        """A new key of the same name and scopes, shown this once; the old one lives on for the overlap."""
        body = fields(overlap_seconds=overlap_seconds, expires_at=expires_at)
        return await self._transport.one(ApiKeyWithSecret, post(f"/api-keys/{part(key_id)}/rotate", body))

    async def revoke(self, key_id: str) -> None:
        """End a key at once; it stays in the list for 90 days."""
        await self._transport.none(delete(f"/api-keys/{part(key_id)}"))


class AsyncAvailabilities:
    """When people are busy. May raise CalendarSyncError."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def get(
        self,
        start: datetime,
        end: datetime,
        *,
        connection_ids: Sequence[str] = (),
        timezone: str | None = None,
    ) -> Availability:
        """Over the connections that are named, or all: what copies block is not counted. 366 days at most.

        `timezone` is an IANA name: in it all-day and floating events are read where their calendar has no zone.
        """
        query = {"from": start, "to": end, "connection_id": connection_ids or None, "timezone": timezone}
        return await self._transport.one(Availability, get("/availability", **query))
