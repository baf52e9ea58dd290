"""/account"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.keys import Identity
from calendarsync.accounts.limits import Allowance
from calendarsync.accounts.people import Role
from calendarsync.accounts.scopes import Scope
from calendarsync.api.admission import CallersAllowance
from calendarsync.api.conditional import IfMatch
from calendarsync.api.route import ApiRoute, Caller, needs
from calendarsync.api.services import Services, ServicesParam
from calendarsync.api.v1.fields import Body, omitted
from calendarsync.api.v1.return_urls import ReturnUrls
from calendarsync.store import accounts, overview, people
from calendarsync.store import connections as connection_store
from calendarsync.webhooks.retry import GONE, PATIENCE

router = APIRouter(prefix="/account", tags=["Account"], route_class=ApiRoute)

_MOST_NOTICES = 100
_EPOCH = datetime.fromtimestamp(0, UTC)


class Limits(BaseModel):
    """What the plan in effect allows."""

    requests_per_hour: int
    log_days: int = Field(description="For how many days logs are kept and listed.")


class Usage(BaseModel):
    """Requests of the present hour, in both modes, this one counted: what the headers of the answer tell too."""

    used: int
    remaining: int
    resets_at: datetime = Field(description="The hour begins with its first request, and is over then.")


class Counts(BaseModel):
    """How much there is in the mode of the key."""

    connections: int
    pairs: int
    webhooks: int


class MemberOut(BaseModel):
    email: str
    role: Role


class Notice(BaseModel):
    """Something that needs somebody's attention."""

    code: Literal[
        "connection_expired", "connection_error", "pair_needs_attention", "pair_error", "webhook_disabled"
    ]
    message: str
    at: datetime | None = Field(
        description="When it happened, or was last found to be so; null: before there was any run."
    )
    subject: str = Field(description="The id of the connection, pair or webhook.")


class AccountOut(BaseModel):
    id: str
    email: str
    mode: Literal["live", "test"] = Field(description="Of the key; `counts` and `notices` are of this mode.")
    plan: str = Field(description="The plan in effect; during the trial that of the trial.")
    base_plan: str = Field(description="The plan in effect once the trial has ended.")
    trial_ends_at: datetime | None = Field(
        description="In the past once it is over; null: there is no trial."
    )
    limits: Limits
    usage: Usage
    counts: Counts
    members: list[MemberOut] = Field(description="Who may sign in, who joined first first.")
    notices: list[Notice] = Field(
        description=f"The newest first, at most {_MOST_NOTICES} each of connections, pairs and webhooks."
    )
    return_urls: list[str] = Field(
        description="Where people may be sent back to after they granted access to their calendars."
    )
    created_at: datetime


class AccountChanges(Body):
    """Only what is given changes."""

    return_urls: ReturnUrls = Field(default_factory=omitted)


@router.get("", openapi_extra=needs(Scope.ACCOUNT_READ))
async def get_account(services: ServicesParam, caller: Caller, allowance: CallersAllowance) -> AccountOut:
    """The account's plan, what is used of it, who its members are, and what needs attention."""
    return await _account_out(services, caller, allowance)


@router.patch("", openapi_extra=needs(Scope.ACCOUNT_ADMIN))
async def change_account(
    services: ServicesParam,
    caller: Caller,
    allowance: CallersAllowance,
    body: AccountChanges,
    if_match: IfMatch,
) -> AccountOut:
    """Register where people may be sent back to after they granted access, for both modes.

    An account changes with every request, in its `usage`: no `ETag` but `*` is that of what is there.
    """
    if_match.check(await _account_out(services, caller, allowance))
    if "return_urls" in body.model_fields_set:
        async with services.db.write_as(caller.tenant) as connection:
            await accounts.set_return_urls(connection, caller.account_id, body.return_urls)
    return await _account_out(services, caller, allowance)


async def _account_out(services: Services, caller: Identity, allowance: Allowance) -> AccountOut:
    async with services.db.read_as(caller.tenant) as connection:
        row = await overview.get_account(connection, caller.tenant)
        counts = await overview.count_objects(connection, caller.tenant)
        notices = await _notices(connection, caller)
    return AccountOut(
        id=row["id"],
        email=row["email"],
        mode=caller.mode.value,
        plan=caller.plan.name,
        base_plan=row["plan"],
        trial_ends_at=row["trial_ends_at"],
        limits=Limits(requests_per_hour=caller.plan.requests_per_hour, log_days=caller.plan.log_days),
        usage=_usage(allowance),
        counts=Counts(**counts),
        members=await _members(services, caller),
        notices=notices,
        return_urls=row["return_urls"] or [],
        created_at=row["created_at"],
    )


async def _members(services: Services, caller: Identity) -> list[MemberOut]:
    async with services.db.read() as connection:
        rows = await people.list_members(connection, caller.account_id)
    return [MemberOut(email=row["email"], role=row["role"]) for row in rows]


def _usage(allowance: Allowance) -> Usage:
    return Usage(
        used=allowance.limit - allowance.remaining,
        remaining=allowance.remaining,
        resets_at=allowance.resets_at,
    )


async def _notices(connection: AsyncConnection, caller: Identity) -> list[Notice]:
    tenant = caller.tenant
    expired = await overview.troubled_connections(connection, tenant, most=_MOST_NOTICES)
    broken = await connection_store.get_connections(connection, tenant, expired)
    stopped = await overview.troubled_pairs(connection, tenant, most=_MOST_NOTICES)
    disabled = await overview.disabled_webhooks(connection, tenant, most=_MOST_NOTICES)
    notices = [
        *map(_of_connection, broken.values()),
        *map(_of_pair, stopped),
        *map(_of_webhook, disabled),
    ]
    return sorted(notices, key=lambda notice: notice.at or _EPOCH, reverse=True)


def _of_connection(row: RowMapping) -> Notice:
    message = row["last_error_message"] or "the connection does not work; give it new credentials"
    return _notice(f"connection_{row['status']}", message, row["last_synced_at"], row)


def _of_pair(row: RowMapping) -> Notice:
    message = row["attention_message"] or "the pair is not synced"
    return _notice(f"pair_{row['status']}", message, row["last_synced_at"], row)


def _of_webhook(row: RowMapping) -> Notice:
    why = (
        "it answered 410"
        if row["disabled_reason"] == GONE
        else f"{PATIENCE.days} days of nothing but failure"
    )
    message = f"the endpoint gets no more events: {why}; enable it once it works again"
    return _notice("webhook_disabled", message, row["disabled_at"], row)


def _notice(code: str, message: str, at: datetime | None, row: RowMapping) -> Notice:
    return Notice.model_validate({"code": code, "message": message, "at": at, "subject": row["id"]})
