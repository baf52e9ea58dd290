"""What the engine reads and writes of pairs and connections: due-ness, cursors, outcomes.

These functions serve the schedule, which works for all accounts; each takes the ids that a claim gave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, case, func, literal, or_, select, update
from sqlalchemy import delete as delete_rows
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.tables import connections, pairs


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    id: str
    account_id: str
    mode: str
    provider: str
    calendar_id: str
    calendar_key: str
    grant_hash: str
    email: str | None
    timezone: str | None
    owner_addresses: tuple[str, ...]
    read_only: bool
    credentials_encrypted: bytes
    status: str
    cursor: str | None
    index_version: int
    emptied_at: datetime | None
    not_before: datetime | None


@dataclass(frozen=True, slots=True)
class PairRecord:
    id: str
    account_id: str
    mode: str
    connection_a_id: str
    connection_b_id: str
    sync_mode: str
    direction: str
    options: Mapping[str, Any]
    status: str
    attention_code: str | None
    last_synced_at: datetime | None
    removal: str | None
    quiet_state: str | None
    quiet_until: datetime | None
    dirty_since: datetime | None

    @property
    def in_order(self) -> bool:
        return self.status == "active" and self.attention_code is None


_first = connections.alias("first")
_second = connections.alias("second")
_joined = pairs.join(_first, pairs.c.connection_a_id == _first.c.id).join(
    _second, pairs.c.connection_b_id == _second.c.id
)

# Built once: SQLAlchemy takes longer to build a statement than SQLite to execute it, and each run needs these.
_CALENDAR_KEYS = (
    select(_first.c.calendar_key, _second.c.calendar_key)
    .select_from(_joined)
    .where(pairs.c.id == bindparam("pair_id"))
)
_PAIR = select(*(pairs.c[field.name] for field in fields(PairRecord))).where(
    pairs.c.id == bindparam("pair_id")
)
_CONNECTION_COLUMNS = [connections.c[field.name] for field in fields(ConnectionRecord)]
_CONNECTION = select(*_CONNECTION_COLUMNS).where(connections.c.id == bindparam("connection_id"))
_READING = (
    update(connections).where(connections.c.id == bindparam("connection_id")).returning(*_CONNECTION_COLUMNS)
)
_SETTLE_PAIR = update(pairs).where(pairs.c.id == bindparam("pair_id"))
_next = connections.c.next_refresh_at
_SETTLE_CONNECTIONS = (
    update(connections)
    .where(connections.c.id.in_((bindparam("a_id"), bindparam("b_id"))))
    .values(
        next_refresh_at=case((_next <= bindparam("now"), bindparam("until", type_=_next.type)), else_=_next)
    )
)


def _at_work(now: datetime) -> ColumnElement[bool]:
    """Pairs that the schedule may run: not paused, grants alive, no provider that asked for a pause.

    A pair that is being removed needs only the grants of the calendars that it wrote to.
    """
    removing = pairs.c.removal.is_not(None)
    return and_(
        or_(pairs.c.status != "paused", removing),
        or_(_first.c.status != "expired", and_(removing, pairs.c.direction == "a_to_b")),
        or_(_second.c.status != "expired", and_(removing, pairs.c.direction == "b_to_a")),
        or_(_first.c.not_before.is_(None), _first.c.not_before <= now),
        or_(_second.c.not_before.is_(None), _second.c.not_before <= now),
    )


def _due_at() -> ColumnElement[datetime]:
    soonest = func.min(_first.c.next_refresh_at, _second.c.next_refresh_at)
    return func.coalesce(pairs.c.dirty_since, soonest, type_=pairs.c.dirty_since.type)


async def due_pairs(db: AsyncConnection, now: datetime) -> dict[str, datetime]:
    """The pairs to run now, the oldest pair first, and since when each is due."""
    rows = await db.execute(
        select(pairs.c.id, _due_at().label("due_at"))
        .select_from(_joined)
        .where(_at_work(now), _due_at() <= now)
        .order_by(pairs.c.created_at, pairs.c.id)
    )
    return {row.id: row.due_at for row in rows}


async def earliest_due(db: AsyncConnection, now: datetime) -> datetime | None:
    """When the first pair becomes, or became, due; None where no pair is at work."""
    return (
        await db.execute(
            select(func.min(_due_at(), type_=_due_at().type)).select_from(_joined).where(_at_work(now))
        )
    ).scalar_one()


async def earliest_resume(db: AsyncConnection) -> datetime | None:
    """When the first pause ends, or ended, by itself."""
    resume_at = func.min(pairs.c.resume_at, type_=pairs.c.resume_at.type)
    first: datetime | None = (
        await db.execute(select(resume_at).where(pairs.c.status == "paused"))
    ).scalar_one()
    return first


async def resume_pairs(db: AsyncConnection, now: datetime) -> None:
    """Activate the pairs whose pause has ended by itself."""
    await db.execute(
        update(pairs)
        .where(pairs.c.status == "paused", pairs.c.resume_at <= now)
        .values(status="active", resume_at=None, dirty_since=now)
    )


async def load_pair(db: AsyncConnection, pair_id: str) -> PairRecord | None:
    row = (await db.execute(_PAIR, {"pair_id": pair_id})).one_or_none()
    return None if row is None else PairRecord(*row)


async def calendar_keys(db: AsyncConnection, pair_id: str) -> list[str]:
    """The keys of a pair's two calendars; empty where there is no such pair."""
    row = (await db.execute(_CALENDAR_KEYS, {"pair_id": pair_id})).one_or_none()
    return [] if row is None else list(row)


async def load_connection(db: AsyncConnection, connection_id: str) -> ConnectionRecord:
    """Raises sqlalchemy.exc.NoResultFound."""
    return _connection((await db.execute(_CONNECTION, {"connection_id": connection_id})).one())


async def carries_full_pair(db: AsyncConnection, connection_id: str) -> bool:
    """Whether a pair in `full` mode uses the connection, so that its contents are worth keeping for a round."""
    statement = select(pairs.c.id).where(
        pairs.c.sync_mode == "full",
        or_(pairs.c.connection_a_id == connection_id, pairs.c.connection_b_id == connection_id),
    )
    return (await db.execute(statement.limit(1))).first() is not None


async def update_connection(db: AsyncConnection, connection_id: str, **values: Any) -> None:
    await db.execute(update(connections).where(connections.c.id == connection_id).values(**values))


async def note_reading(db: AsyncConnection, connection_id: str, **values: Any) -> ConnectionRecord:
    """Note what a reading led to; the connection as it is then."""
    return _connection((await db.execute(_READING, {"connection_id": connection_id, **values})).one())


async def note_failure(db: AsyncConnection, connection: ConnectionRecord, **values: Any) -> None:
    """Note what these credentials led to; a connection that got new ones meanwhile is judged by those."""
    await db.execute(
        update(connections)
        .where(
            connections.c.id == connection.id,
            connections.c.credentials_encrypted == connection.credentials_encrypted,
        )
        .values(**values)
    )


async def hold_back_grant(db: AsyncConnection, connection: ConnectionRecord, until: datetime) -> None:
    """Ask nothing of this grant before `until`; the account's connections that share it wait too (rule 24)."""
    await db.execute(
        update(connections)
        .where(
            connections.c.account_id == connection.account_id,
            connections.c.mode == connection.mode,
            connections.c.grant_hash == connection.grant_hash,
        )
        .values(not_before=until)
    )


async def settle_pair(db: AsyncConnection, pair_id: str, status: Mapping[str, Any], **values: Any) -> None:
    """Write down a run's end. `status`, and why, is left alone in a pair that was paused meanwhile."""
    unless_paused = {
        name: case((pairs.c.status == "paused", pairs.c[name]), else_=literal(value, pairs.c[name].type))
        for name, value in status.items()
    }
    statement = _SETTLE_PAIR.values(unless_paused) if unless_paused else _SETTLE_PAIR
    await db.execute(statement, {"pair_id": pair_id, **values})


async def settle_connections(
    db: AsyncConnection, pair: PairRecord, now: datetime, until: datetime, **values: Any
) -> None:
    """The same for the pair's connections; whatever became of the run, it is not due again at once."""
    ids = {"a_id": pair.connection_a_id, "b_id": pair.connection_b_id}
    await db.execute(_SETTLE_CONNECTIONS, {**ids, "now": now, "until": until, **values})


async def settle_dirty(db: AsyncConnection, pair_id: str, as_of: datetime | None) -> None:
    """Take the dirty mark off, unless the pair became dirty again after `as_of`."""
    if as_of is not None:
        await db.execute(
            update(pairs).where(pairs.c.id == pair_id, pairs.c.dirty_since <= as_of).values(dirty_since=None)
        )


async def delete_pair(db: AsyncConnection, pair: PairRecord) -> None:
    """Remove the pair; those that write into the same calendars plan anew and may take over (rule 3)."""
    await db.execute(delete_rows(pairs).where(pairs.c.id == pair.id))
    keys = select(connections.c.calendar_key).where(
        connections.c.id.in_((pair.connection_a_id, pair.connection_b_id))
    )
    sharing = select(connections.c.id).where(connections.c.calendar_key.in_(keys))
    await db.execute(
        update(pairs)
        .where(or_(pairs.c.connection_a_id.in_(sharing), pairs.c.connection_b_id.in_(sharing)))
        .values(quiet_state=None)
    )


def _connection(row: Row[Any]) -> ConnectionRecord:
    return ConnectionRecord(**row._asdict() | {"owner_addresses": tuple(row.owner_addresses)})
