"""`client.delegations`"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from calendarsync.client._async.transport import AsyncPaged, AsyncTransport
from calendarsync.client.models import Delegation
from calendarsync.client.protocol import Listing, delete, fields, get, part, patch, post


class AsyncDelegations:
    """What organisations gave, to connect their people without a click. Needs `account:admin`.

    Every method may raise CalendarSyncError.
    """

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = None) -> AsyncPaged[Delegation]:
        """All of them, the oldest first. `limit`: how many are fetched at once, 1 to 1,000."""
        return AsyncPaged(
            self._transport, Listing(Delegation, "/delegations", "delegations", {"limit": limit})
        )

    async def create(
        self,
        provider: str,
        domains: Sequence[str],
        *,
        service_account: Mapping[str, object] | None = None,
        tenant_id: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        certificate: str | None = None,
        private_key: str | None = None,
    ) -> Delegation:
        """One for the people with an address in one of `domains`.

        `google`: a `service_account` with domain-wide delegation, as its JSON key file has it. `microsoft`: an
        application with application permissions, by its `client_secret`, or by its `certificate` and `private_key`
        in PEM.
        """
        body = fields(
            provider=provider,
            domains=domains,
            service_account=service_account,
            tenant_id=tenant_id,
            client_id=client_id,
            client_secret=client_secret,
            certificate=certificate,
            private_key=private_key,
        )
        return await self._transport.one(Delegation, post("/delegations", body))

    async def get(self, delegation_id: str) -> Delegation:
        return await self._transport.one(Delegation, get(f"/delegations/{part(delegation_id)}"))

    async def update(
        self,
        delegation_id: str,
        *,
        service_account: Mapping[str, object] | None = None,
        client_secret: str | None = None,
        certificate: str | None = None,
        private_key: str | None = None,
    ) -> Delegation:
        """Give it new credentials, with which what had expired goes on where it stood."""
        body = fields(
            service_account=service_account,
            client_secret=client_secret,
            certificate=certificate,
            private_key=private_key,
        )
        return await self._transport.one(Delegation, patch(f"/delegations/{part(delegation_id)}", body))

    async def delete(self, delegation_id: str) -> None:
        """Forget its credentials at once; what is connected through it expires."""
        await self._transport.none(delete(f"/delegations/{part(delegation_id)}"))
