"""What a run reads and writes of its pair and connections: settings, cursors, failures.

These functions serve the engine, which works for all accounts; each takes the ids that a claim gave it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, case, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.domain.filters import TextFilter
from calendarsync.domain.rules import Rules, SyncMode
from calendarsync.store.claims import Claim
from calendarsync.store.columns import AT_ONCE
from calendarsync.store.tables import accounts, connections, pairs


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
    last_error_code: str | None
    grant_id: str | None
    watched_until: datetime | None

    @property
    def in_order(self) -> bool:
        return self.status == "active" and self.last_error_code is None


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
    planned_at: datetime | None
    resume_at: datetime | None
    calendar_a: str
    calendar_b: str
    created_at: datetime
    changed_at: datetime | None
    turn_at: datetime | None

    @property
    def in_order(self) -> bool:
        return self.status == "active" and self.attention_code is None


# Built once: SQLAlchemy takes longer to build a statement than SQLite to execute it, and each run needs these.
_PAIR = select(*(pairs.c[field.name] for field in fields(PairRecord))).where(
    pairs.c.id == bindparam("pair_id")
)
_PAIRS = (
    select(*(pairs.c[field.name] for field in fields(PairRecord)), pairs.c.generation, pairs.c.leased_until)
    .where(pairs.c.id.in_(bindparam("pair_ids", expanding=True)))
    .order_by(pairs.c.created_at, pairs.c.id)
)
_CONNECTION_COLUMNS = [connections.c[field.name] for field in fields(ConnectionRecord)]
_CONNECTION = select(*_CONNECTION_COLUMNS).where(connections.c.id == bindparam("connection_id"))
_CONNECTIONS = select(*_CONNECTION_COLUMNS).where(
    connections.c.id.in_(bindparam("connection_ids", expanding=True))
)
_AHEAD = select(accounts.c.test_clock_seconds).where(accounts.c.id == bindparam("account_id"))
_READING = (
    update(connections).where(connections.c.id == bindparam("connection_id")).returning(*_CONNECTION_COLUMNS)
)


async def load_pair(db: AsyncConnection, pair_id: str) -> PairRecord | None:
    row = (await db.execute(_PAIR, {"pair_id": pair_id})).one_or_none()
    return None if row is None else PairRecord(*row)


async def ahead_of(db: AsyncConnection, pair: PairRecord) -> timedelta:
    """How far the clock that the pair is planned by is ahead: in test mode its account may have advanced it."""
    if pair.mode != "test":
        return timedelta()
    seconds = (await db.execute(_AHEAD, {"account_id": pair.account_id})).scalar_one()
    return timedelta(seconds=seconds)


async def load_connection(db: AsyncConnection, connection_id: str) -> ConnectionRecord:
    """Raises sqlalchemy.exc.NoResultFound."""
    return _connection((await db.execute(_CONNECTION, {"connection_id": connection_id})).one())


async def load_rules(db: AsyncConnection, connection_id: str) -> list[Rules]:
    """The rules of every pair that the connection is in."""
    statement = select(pairs.c.sync_mode, pairs.c.options).where(
        or_(pairs.c.connection_a_id == connection_id, pairs.c.connection_b_id == connection_id)
    )
    return [Rules.from_options(row.sync_mode, row.options) for row in await db.execute(statement)]


@dataclass(frozen=True, slots=True)
class Uses:
    """What the pairs of a connection need of its texts: the texts themselves, where one is in `full` mode, and what
    their filters say of them.
    """

    copies_texts: bool
    filters: frozenset[TextFilter]


async def load_uses(db: AsyncConnection, connection_id: str) -> Uses:
    rules = await load_rules(db, connection_id)
    return Uses(
        copies_texts=any(each.sync_mode is SyncMode.FULL for each in rules),
        filters=frozenset(text_filter for each in rules for text_filter in each.text_filters),
    )


async def update_connection(db: AsyncConnection, connection_id: str, **values: Any) -> None:
    await db.execute(update(connections).where(connections.c.id == connection_id).values(**values))


async def note_reading(db: AsyncConnection, connection_id: str, **values: Any) -> ConnectionRecord:
    """Note what a reading led to; the connection as it is then."""
    return _connection((await db.execute(_READING, {"connection_id": connection_id, **values})).one())


async def note_failure(db: AsyncConnection, connection: ConnectionRecord, **values: Any) -> None:
    """Note what these credentials led to; a connection that got new ones meanwhile is judged by those."""
    await db.execute(update(connections).where(_same_credentials(connection)).values(**values))


# What it is used for has changed: its channels are to be looked at (store/channels.py).
_look_if_watched = case((connections.c.watched_until.is_not(None), AT_ONCE), else_=connections.c.watch_at)


async def expire(db: AsyncConnection, connection: ConnectionRecord) -> bool:
    """These credentials are dead; whether that is news. Of several who find it out, one is told so."""
    statement = (
        update(connections)
        .where(_same_credentials(connection), connections.c.status != "expired")
        .values(status="expired", watch_at=_look_if_watched)
        .returning(connections.c.id)
    )
    return (await db.execute(statement)).first() is not None


def _same_credentials(connection: ConnectionRecord) -> ColumnElement[bool]:
    return and_(
        connections.c.id == connection.id,
        connections.c.credentials_encrypted == connection.credentials_encrypted,
    )


async def held_back_until(db: AsyncConnection, connection_id: str) -> datetime | None:
    """Before when a connection's provider is not to be asked, if it said so."""
    statement = select(connections.c.not_before).where(connections.c.id == connection_id)
    until: datetime | None = (await db.execute(statement)).scalar_one_or_none()
    return until


async def load_claimed(
    db: AsyncConnection, claims: Iterable[Claim]
) -> tuple[dict[Claim, PairRecord], dict[str, ConnectionRecord]]:
    """The pairs whose claims still count, the oldest first, and all their connections by id."""
    by_id = {claim.pair_id: claim for claim in claims}
    found: dict[Claim, PairRecord] = {}
    for row in await db.execute(_PAIRS, {"pair_ids": list(by_id)}):
        *values, generation, leased_until = row
        claim = by_id[row.id]
        if generation == claim.generation and leased_until is not None:
            found[claim] = PairRecord(*values)
    ids = {end for pair in found.values() for end in (pair.connection_a_id, pair.connection_b_id)}
    rows = await db.execute(_CONNECTIONS, {"connection_ids": sorted(ids)}) if ids else ()
    return found, {row.id: _connection(row) for row in rows}


def _connection(row: Row[Any]) -> ConnectionRecord:
    return ConnectionRecord(**row._asdict() | {"owner_addresses": tuple(row.owner_addresses)})
