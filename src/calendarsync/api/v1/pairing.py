"""Making, changing, running and ending sync pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.keys import Identity
from calendarsync.api.conditional import Precondition
from calendarsync.api.errors import conflict, invalid, not_found
from calendarsync.api.services import Services
from calendarsync.api.v1.one_pair import one_pair
from calendarsync.api.v1.pair_models import NewPair, PairChanges, TriggerRequest, UndoRequest
from calendarsync.api.v1.pair_options import option_problems
from calendarsync.api.v1.removal import remove_pairs
from calendarsync.store import connections as connection_store
from calendarsync.store import pairs as store
from calendarsync.store.dialects import one_at_a_time
from calendarsync.store.ids import new_id
from calendarsync.sync.report import NothingToUndo, RunReport, Ticket

PairRow = Mapping[str, Any] | RowMapping
_BEING_REMOVED = "this pair is being deleted"


async def create(services: Services, caller: Identity, wanted: NewPair) -> RowMapping:
    """The new pair, which is due at once. Raises ApiError 409, 422."""
    values = row_of(wanted, services.now())
    async with services.db.write_as(caller.tenant) as connection:
        a, b = await _check(connection, caller, values)
        values |= {"calendar_a": a["calendar_key"], "calendar_b": b["calendar_key"]}
        await store.insert_pairs(connection, caller.tenant, [values])
        row = await get(connection, caller, values["id"])
    services.wake()
    return row


def row_of(wanted: NewPair, now: datetime) -> dict[str, Any]:
    """The row of a pair that is to be made, but for its calendars."""
    return {
        "id": new_id("pair"),
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


async def change(
    services: Services, caller: Identity, pair_id: str, changes: PairChanges, if_match: Precondition
) -> RowMapping:
    """The pair as it is then. Raises ApiError 404, 409, 412, 422."""
    async with services.db.write_as(caller.tenant) as connection:
        row = await get(connection, caller, pair_id, lock=True)
        await _check_match(services, connection, caller, row, if_match)
        if row["removal"]:
            raise conflict(_BEING_REMOVED)
        values = _changed(services, caller, row, changes)
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
        row = await get(connection, caller, pair_id, lock=True)
        await _check_match(services, connection, caller, row, if_match)

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
            full=wanted.full,
            confirm=wanted.confirm,
            dry_run=wanted.dry_run,
        )
    except LookupError:  # it went in this moment
        raise not_found("sync pair") from None
    return ticket, await _report(services, ticket, wait=wait)


async def undo(
    services: Services, caller: Identity, pair_id: str, wanted: UndoRequest, *, wait: bool
) -> tuple[Ticket, RunReport | None]:
    """Pause the pair and take back its last run; as `trigger`. Raises ApiError 404, 409."""
    async with services.db.read_as(caller.tenant) as connection:
        row = await get(connection, caller, pair_id)
    if row["removal"]:
        raise conflict(_BEING_REMOVED)
    try:
        ticket = await services.runner.undo(
            caller.tenant, pair_id, sync_id=wanted.sync_id, dry_run=wanted.dry_run
        )
    except NothingToUndo as why_not:
        raise conflict(str(why_not)) from None
    except LookupError:  # it went in this moment
        raise not_found("sync pair") from None
    return ticket, await _report(services, ticket, wait=wait)


async def _report(services: Services, ticket: Ticket, *, wait: bool) -> RunReport | None:
    if wait:
        await services.wait_for([ticket])
    return ticket.done.result() if wait and ticket.done.done() else None


async def get(
    connection: AsyncConnection, caller: Identity, pair_id: str, *, lock: bool = False
) -> RowMapping:
    """Raises ApiError 404."""
    row = await store.get_pair(connection, caller.tenant, pair_id, lock=lock)
    if row is None:
        raise not_found("sync pair")
    return row


async def _check_match(
    services: Services, connection: AsyncConnection, caller: Identity, row: RowMapping, if_match: Precondition
) -> None:
    """Raises ApiError 412."""
    if if_match.given:
        if_match.check(await one_pair(connection, caller, row, services.now()))


def _stored_options(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Only what was given is kept, so that a default may change with a later version; null gives it back."""
    return {name: value for name, value in {**before, **given}.items() if value is not None}


def _changed(services: Services, caller: Identity, row: RowMapping, changes: PairChanges) -> dict[str, Any]:
    given = changes.model_fields_set
    plain = ("sync_mode", "direction", "resume_at")
    values: dict[str, Any] = {name: getattr(changes, name) for name in plain if name in given}
    if "options" in given:
        values["options"] = _stored_options(row["options"], changes.options.given())
    if "status" in given:
        values["status"] = changes.status
        values.setdefault("resume_at", None)
        if changes.status == "active":
            values |= {"attention_code": None, "attention_message": None, "attention_details": None}
    if values.get("resume_at") is not None:
        if values.get("status", row["status"]) != "paused":
            raise invalid(("resume_at", "goes with the status paused"))
        values["resume_at"] = kept_resume_at(services, caller, values["resume_at"])
    return {name: value for name, value in values.items() if value != row[name]}


def kept_resume_at(services: Services, caller: Identity, resume_at: datetime) -> datetime:
    """A time of the account's clock as it is kept: by the real one. Raises ApiError 422."""
    if resume_at <= services.now_for(caller):
        raise invalid(("resume_at", "must lie in the future"))
    return resume_at - caller.clock


def _due_at(services: Services, pair: Mapping[str, Any]) -> datetime | None:
    """A pair that is paused is due when its pause ends by itself."""
    return pair["resume_at"] if pair["status"] == "paused" else services.now()


async def _check(
    connection: AsyncConnection, caller: Identity, pair: Mapping[str, Any]
) -> tuple[RowMapping, RowMapping]:
    """What must hold for a pair as it is to be; its connections. Raises ApiError 409, 422."""
    await one_at_a_time(connection, store.making(caller.tenant))
    ids = (pair["connection_a_id"], pair["connection_b_id"])
    ends = await connection_store.get_connections(connection, caller.tenant, ids, keep=True)
    a, b = check_ends(pair, ends)
    equal = equal_pair(pair, await store.pairs_among(connection, caller.tenant, ids))
    if equal is not None:
        raise conflict(exists(equal["id"]))
    return a, b


def check_ends(
    pair: Mapping[str, Any], connections: Mapping[str, RowMapping]
) -> tuple[RowMapping, RowMapping]:
    """The connections of a pair as it is to be, out of those that there are. Raises ApiError 422."""
    fields = ("connection_a_id", "connection_b_id")
    a, b = (connections.get(pair[field]) for field in fields)
    if a is None or b is None:
        there = zip(fields, (a, b), strict=True)
        raise invalid(*((field, "no such connection") for field, row in there if row is None))
    pending = [field for field, end in zip(fields, (a, b), strict=True) if end["status"] == "pending"]
    if pending:
        raise invalid(*((field, "nobody has authorized this connection yet") for field in pending))
    if a["calendar_key"] == b["calendar_key"]:
        raise invalid(("connection_b_id", "a calendar cannot be paired with itself"))
    targets = {target for _, target in store.flows(pair["direction"], *fields)}
    read_only = [
        (field, f"this calendar is read-only, and {pair['direction']} would write to it")
        for field, end in zip(fields, (a, b), strict=True)
        if end["read_only"] and field in targets
    ]
    if read_only:
        raise invalid(*read_only)
    wrong = option_problems(pair["sync_mode"], pair["options"])
    if wrong:
        raise invalid(*wrong)
    return a, b


def equal_pair(pair: PairRow, others: Iterable[PairRow]) -> PairRow | None:
    """One of `others` that copies between the same calendars in one of the directions of `pair`.

    An account has one connection to a calendar, so the connections tell.
    """

    def flows_of(each: PairRow) -> set[tuple[str, str]]:
        return set(store.flows(each["direction"], each["connection_a_id"], each["connection_b_id"]))

    wanted = flows_of(pair)
    return next((each for each in others if each["id"] != pair["id"] and wanted & flows_of(each)), None)


def exists(pair_id: str) -> str:
    return f"the pair {pair_id} copies between these calendars in this direction already"
