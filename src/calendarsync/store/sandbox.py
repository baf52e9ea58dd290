"""The sandbox's calendars and their events. Every query is bound to a tenant, the provider's own ones as well.

Who writes into a calendar locks its row first (`lock_calendar`): its version and its faults are counted there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Text, and_, cast, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.paging import Page, Slice, read_page
from calendarsync.store.tables import connections, sandbox_calendars, sandbox_events
from calendarsync.store.tenancy import Tenant, owned

PROVIDER = "sandbox"

MAX_TOMBSTONES = 1000
"""How many deleted events a calendar remembers: beyond, all sync tokens are forgotten with them."""

MAX_BYTES = 10_000_000
"""What a calendar holds of its events' data: a list of it all has to fit into an answer."""

_calendars, _events = sandbox_calendars, sandbox_events


class CalendarFull(Exception):  # noqa: N818 - it says what it is
    """The calendar would hold more than `MAX_BYTES`."""


def _calendar(calendar_id: str) -> ColumnElement[bool]:
    return and_(owned(_calendars), _calendars.c.id == calendar_id)


def _in(calendar_id: str) -> ColumnElement[bool]:
    return and_(owned(_events), _events.c.calendar_id == calendar_id)


def _there(calendar_id: str) -> ColumnElement[bool]:
    return and_(_in(calendar_id), _events.c.deleted.is_(False))


async def insert_calendar(db: AsyncConnection, tenant: Tenant, values: Mapping[str, Any]) -> None:
    counted = {"version": 0, "epoch": 1, "faults": []}
    await db.execute(insert(_calendars).values(**values, **counted, **tenant.values()))


async def list_calendars(db: AsyncConnection, tenant: Tenant, page: Page) -> Slice:
    """The oldest first. Raises NoSuchItem."""
    order = (_calendars.c.created_at, _calendars.c.id)
    mine = owned(_calendars)
    query = select(_calendars).where(mine)
    return await read_page(db, query, order, mine, page, parameters=tenant.parameters())


async def count_calendars(db: AsyncConnection, tenant: Tenant) -> int:
    query = select(func.count()).select_from(_calendars).where(owned(_calendars))
    return int((await db.execute(query, tenant.parameters())).scalar_one())


async def get_calendar(db: AsyncConnection, tenant: Tenant, calendar_id: str) -> RowMapping | None:
    query = select(_calendars).where(_calendar(calendar_id))
    return (await db.execute(query, tenant.parameters())).mappings().one_or_none()


async def lock_calendar(db: AsyncConnection, tenant: Tenant, calendar_id: str) -> RowMapping | None:
    """The same, and nobody else changes it or its events until the transaction ends."""
    query = select(_calendars).where(_calendar(calendar_id)).with_for_update()
    return (await db.execute(query, tenant.parameters())).mappings().one_or_none()


async def is_connected(db: AsyncConnection, tenant: Tenant, calendar_id: str) -> bool:
    query = select(connections.c.id).where(
        owned(connections), connections.c.provider == PROVIDER, connections.c.calendar_id == calendar_id
    )
    return (await db.execute(query.limit(1), tenant.parameters())).first() is not None


async def delete_calendar(db: AsyncConnection, tenant: Tenant, calendar_id: str) -> None:
    """Its events go with it."""
    await db.execute(delete(_calendars).where(_calendar(calendar_id)), tenant.parameters())


async def set_faults(
    db: AsyncConnection, tenant: Tenant, calendar_id: str, faults: Sequence[Mapping[str, Any]]
) -> None:
    change = update(_calendars).where(_calendar(calendar_id)).values(faults=list(faults))
    await db.execute(change, tenant.parameters())


async def forget_tokens(db: AsyncConnection, tenant: Tenant, calendar_id: str) -> None:
    """No sync token that was given so far is known any more; nor need deleted events be."""
    change = update(_calendars).where(_calendar(calendar_id)).values(epoch=_calendars.c.epoch + 1)
    await db.execute(change, tenant.parameters())
    gone = delete(_events).where(_in(calendar_id), _events.c.deleted.is_(True))
    await db.execute(gone, tenant.parameters())


async def list_versions(
    db: AsyncConnection, tenant: Tenant, calendar_id: str, since: int | None
) -> Sequence[RowMapping]:
    """`id`, `version` and `deleted` of what changed after that version; with None of all that is there."""
    which = _there(calendar_id) if since is None else and_(_in(calendar_id), _events.c.version > since)
    query = select(_events.c.id, _events.c.version, _events.c.deleted).where(which)
    return (await db.execute(query.order_by(_events.c.version), tenant.parameters())).mappings().all()


async def get_events(
    db: AsyncConnection, tenant: Tenant, calendar_id: str, ids: Sequence[str]
) -> Sequence[RowMapping]:
    """Those of these events that are there."""
    query = select(_events).where(_there(calendar_id), _events.c.id.in_(ids))
    return (await db.execute(query, tenant.parameters())).mappings().all()


async def list_events(db: AsyncConnection, tenant: Tenant, calendar_id: str, page: Page) -> Slice:
    """In the order of their ids. Raises NoSuchItem."""
    there = _there(calendar_id)
    query = select(_events).where(there)
    return await read_page(db, query, (_events.c.id,), there, page, parameters=tenant.parameters())


async def count_events(db: AsyncConnection, tenant: Tenant, calendar_id: str) -> int:
    query = select(func.count()).select_from(_events).where(_there(calendar_id))
    return int((await db.execute(query, tenant.parameters())).scalar_one())


async def is_taken(db: AsyncConnection, tenant: Tenant, calendar_id: str, event_id: str, uid: str) -> bool:
    """Whether an event stands at this id, or has this UID."""
    query = select(_events.c.id).where(
        _there(calendar_id), or_(_events.c.id == event_id, _events.c.uid == uid)
    )
    return (await db.execute(query.limit(1), tenant.parameters())).first() is not None


async def put_event(
    db: AsyncConnection,
    tenant: Tenant,
    calendar_id: str,
    event_id: str,
    *,
    uid: str,
    data: Mapping[str, Any],
) -> int:
    """Write an event, whether there was one or not; its new version. The caller has locked the calendar.

    Raises CalendarFull; the transaction is to be given up then.
    """
    version = await _write(db, tenant, calendar_id, event_id, uid=uid, data=data, deleted=False)
    held = select(func.sum(func.length(cast(_events.c.data, Text)))).where(_there(calendar_id))
    if int((await db.execute(held, tenant.parameters())).scalar_one()) > MAX_BYTES:
        raise CalendarFull
    return version


async def remove_event(db: AsyncConnection, tenant: Tenant, calendar_id: str, event_id: str) -> None:
    """Delete an event that is there, and its contents. The caller has locked the calendar."""
    await _write(db, tenant, calendar_id, event_id, uid="", data={}, deleted=True)
    graves = select(func.count()).select_from(_events).where(_in(calendar_id), _events.c.deleted.is_(True))
    if int((await db.execute(graves, tenant.parameters())).scalar_one()) > MAX_TOMBSTONES:
        await forget_tokens(db, tenant, calendar_id)


async def _write(db: AsyncConnection, tenant: Tenant, calendar_id: str, event_id: str, **values: Any) -> int:
    count = update(_calendars).where(_calendar(calendar_id)).values(version=_calendars.c.version + 1)
    counted = await db.execute(count.returning(_calendars.c.version), tenant.parameters())
    version = int(counted.scalar_one())
    change = update(_events).where(_in(calendar_id), _events.c.id == event_id)
    changed = await db.execute(
        change.values(version=version, **values).returning(_events.c.id), tenant.parameters()
    )
    if changed.first() is None:
        row = {"calendar_id": calendar_id, "id": event_id, "version": version, **values}
        await db.execute(insert(_events).values(**row, **tenant.values()))
    return version
