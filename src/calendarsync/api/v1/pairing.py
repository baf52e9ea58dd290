"""Making, changing, running and ending sync pairs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.keys import Identity
from calendarsync.api.conditional import Precondition
from calendarsync.api.errors import conflict, invalid, not_found
from calendarsync.api.services import Services
from calendarsync.api.v1.pair_models import NewPair, PairChanges, TriggerRequest, pair_out
from calendarsync.api.v1.pair_options import title_problem
from calendarsync.api.v1.removal import remove_pairs
from calendarsync.store import connections as connection_store
from calendarsync.store import pairs as store
from calendarsync.store.ids import new_id
from calendarsync.sync.report import RunReport, Ticket

_BEING_REMOVED = "this pair is being deleted"


async def create(services: Services, caller: Identity, wanted: NewPair) -> RowMapping:
    """The new pair, which is due at once. Raises ApiError 409, 422."""
    pair_id, now = new_id("pair"), services.now()
    values: dict[str, Any] = {
        "id": pair_id,
        "connection_a_id": wanted.connection_a_id,
        "connection_b_id": wanted.connection_b_id,
        "sync_mode": wanted.sync_mode,
        "direction": wanted.direction,
        "options": _stored_options({}, wanted.options.given()),
        "status": "active",
        "created_at": now,
        "due_at": now,
        "generation": 0,
    }
    async with services.db.write_as(caller.tenant) as connection:
        a, b = await _check(connection, caller, values)
        values |= {"calendar_a": a["calendar_key"], "calendar_b": b["calendar_key"]}
        await store.insert_pair(connection, caller.tenant, values)
        row = await get(connection, caller, pair_id)
    services.wake()
    return row


async def change(
    services: Services, caller: Identity, pair_id: str, changes: PairChanges, if_match: Precondition
) -> RowMapping:
    """The pair as it is then. Raises ApiError 404, 409, 412, 422."""
    async with services.db.write_as(caller.tenant) as connection:
        row = await get(connection, caller, pair_id, lock=True)
        if_match.check(pair_out(row))
        if row["removal"]:
            raise conflict(_BEING_REMOVED)
        values = _changed(services, row, changes)
        if not values:
            return row
        await _check(connection, caller, {**row, **values})
        values |= {"due_at": _due_at(services, {**row, **values}), **store.CHANGED}
        await store.update_pair(connection, caller.tenant, pair_id, values)
        row = await get(connection, caller, pair_id)
    services.wake()
    return row


async def delete(
    services: Services,
    caller: Identity,
    pair_id: str,
    if_match: Precondition,
    *,
    keep_copies: bool,
    abandon: bool,
) -> RowMapping | None:
    """None where the pair is gone; else the pair, whose copies are still being removed.

    Raises ApiError 404, 412.
    """
    async with services.db.read_as(caller.tenant) as connection:
        await get(connection, caller, pair_id)

    async def judge(connection: AsyncConnection) -> None:
        if_match.check(pair_out(await get(connection, caller, pair_id, lock=True)))

    await remove_pairs(services, caller, [pair_id], judge, keep_copies=keep_copies, abandon=abandon)
    async with services.db.read_as(caller.tenant) as connection:
        return await store.get_pair(connection, caller.tenant, pair_id)


async def trigger(
    services: Services, caller: Identity, pair_id: str, wanted: TriggerRequest, *, wait: bool
) -> tuple[Ticket, RunReport | None]:
    """Ask for a run; its report, where `wait` was asked for and it was done in time. Raises ApiError 404, 409."""
    async with services.db.read_as(caller.tenant) as connection:
        row = await get(connection, caller, pair_id)
    if row["removal"]:
        raise conflict(_BEING_REMOVED)
    if row["status"] == "paused":
        raise conflict("this pair is paused; set its status to active first")
    try:
        ticket = await services.runner.trigger(
            caller.tenant,
            pair_id,
            trigger="api",
            full=wanted.full,
            confirm=wanted.confirm,
            dry_run=wanted.dry_run,
        )
    except LookupError:  # it went in this moment
        raise not_found("sync pair") from None
    if wait:
        await services.wait_for([ticket])
    return ticket, ticket.done.result() if wait and ticket.done.done() else None


async def get(
    connection: AsyncConnection, caller: Identity, pair_id: str, *, lock: bool = False
) -> RowMapping:
    """Raises ApiError 404."""
    row = await store.get_pair(connection, caller.tenant, pair_id, lock=lock)
    if row is None:
        raise not_found("sync pair")
    return row


def _stored_options(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Only what was given is kept, so that a default may change with a later version; null gives it back."""
    return {name: value for name, value in {**before, **given}.items() if value is not None}


def _changed(services: Services, row: RowMapping, changes: PairChanges) -> dict[str, Any]:
    given = changes.model_fields_set
    plain = ("sync_mode", "direction", "resume_at")
    values: dict[str, Any] = {name: getattr(changes, name) for name in plain if name in given}
    if "options" in given:
        values["options"] = _stored_options(row["options"], changes.options.given())
    if "status" in given:
        values["status"] = changes.status
        values.setdefault("resume_at", None)
        if changes.status == "active":
            values |= {"attention_code": None, "attention_message": None}
    if values.get("resume_at") is not None:
        if values.get("status", row["status"]) != "paused":
            raise invalid(("resume_at", "goes with the status paused"))
        if values["resume_at"] <= services.now():
            raise invalid(("resume_at", "must lie in the future"))
    return {name: value for name, value in values.items() if value != row[name]}


def _due_at(services: Services, pair: Mapping[str, Any]) -> datetime | None:
    """A pair that is paused is due when its pause ends by itself."""
    return pair["resume_at"] if pair["status"] == "paused" else services.now()


async def _check(
    connection: AsyncConnection, caller: Identity, pair: Mapping[str, Any]
) -> tuple[RowMapping, RowMapping]:
    """What must hold for a pair as it is to be; its connections. Raises ApiError 409, 422."""
    a, b = await _ends(connection, caller, pair)
    targets = {target for _, target in store.flows(pair["direction"], "connection_a_id", "connection_b_id")}
    read_only = [
        (field, f"this calendar is read-only, and {pair['direction']} would write to it")
        for field, end in (("connection_a_id", a), ("connection_b_id", b))
        if end["read_only"] and field in targets
    ]
    if read_only:
        raise invalid(*read_only)
    wrong_title = title_problem(pair["sync_mode"], pair["options"].get("title"))
    if wrong_title:
        raise invalid(("options.title", wrong_title))
    await _check_overlap(connection, caller, pair, a["calendar_key"], b["calendar_key"])
    return a, b


async def _ends(
    connection: AsyncConnection, caller: Identity, pair: Mapping[str, Any]
) -> tuple[RowMapping, RowMapping]:
    ids = pair["connection_a_id"], pair["connection_b_id"]
    found = [await connection_store.get_connection(connection, caller.tenant, each) for each in ids]
    a, b = found
    if a is None or b is None:
        fields = ("connection_a_id", "connection_b_id")
        raise invalid(
            *((name, "no such connection") for name, row in zip(fields, found, strict=True) if not row)
        )
    if a["calendar_key"] == b["calendar_key"]:
        raise invalid(("connection_b_id", "a calendar cannot be paired with itself"))
    return a, b


async def _check_overlap(
    connection: AsyncConnection, caller: Identity, pair: Mapping[str, Any], calendar_a: str, calendar_b: str
) -> None:
    wanted = store.flows(pair["direction"], calendar_a, calendar_b)
    there = await store.flows_between(connection, caller.tenant, calendar_a, calendar_b)
    for pair_id, *flow in there:
        if pair_id != pair["id"] and tuple(flow) in wanted:
            raise conflict(f"the pair {pair_id} copies between these calendars in this direction already")
