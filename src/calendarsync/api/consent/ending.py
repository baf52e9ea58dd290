"""The end of an authorization, and the way back to the page of the account that asked."""

from __future__ import annotations

from fastapi import Response
from sqlalchemy import RowMapping

from calendarsync.api.consent.html import done_page, outcome_page
from calendarsync.api.consent.outcomes import DENIED, Outcome
from calendarsync.api.services import Services
from calendarsync.api.v1.return_urls import is_registered, with_outcome
from calendarsync.store import authorizations
from calendarsync.store.tenancy import Tenant


def tenant_of(row: RowMapping) -> Tenant:
    return Tenant(row["account_id"], row["mode"])


def returns_to(row: RowMapping) -> str | None:
    """Where the person goes in the end: an address that the account still has registered; None: nowhere."""
    url: str | None = row["return_url"]
    return url if url is not None and is_registered(url, row["return_urls"]) else None


def succeeded(services: Services, row: RowMapping) -> Response:
    """Back to the account's page, or our own word for it."""
    url = returns_to(row)
    if url is None:
        return done_page(services)
    return _back(url, {"connection_id": row["connection_id"], "status": "active"})


def failed(services: Services, row: RowMapping, outcome: Outcome, *, again: str | None = None) -> Response:
    """The same for what came of it instead. `again`: where it may be tried once more."""
    url = returns_to(row)
    if url is None:
        return outcome_page(services, outcome, row["provider"], again=again)
    told = {"connection_id": row["connection_id"], "status": "failed", "code": outcome.code}
    if outcome.code == DENIED.code:
        told |= {"status": "denied"}
    return _back(url, told)


async def give_up(services: Services, row: RowMapping, *, before: str) -> bool:
    """The link is of no use any more; the connection stays what it was. Whether it was this step that ended it."""
    tenant = tenant_of(row)
    async with services.db.write_as(tenant) as connection:
        values = {"status": authorizations.FAILED}
        return await authorizations.take_step(connection, tenant, row["id"], [before], values)


def _back(url: str, told: dict[str, str]) -> Response:
    # 303: what was posted to us is not to be posted there. RedirectResponse would encode some of the address anew.
    return Response(status_code=303, headers={"Location": with_outcome(url, told)})
