"""Channels: what providers tell of changes through, and which connections' are to be looked at.

A connection is claimed by putting `watch_at` forward to the end of a lease. Whoever holds it writes down when to
look next only where the lease still stands there: who changed it meanwhile has the last word.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.exc import NoResultFound
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.columns import AT_ONCE, moment
from calendarsync.store.dialects import prefer_indexes
from calendarsync.store.schedule import ConnectionRecord, load_connection
from calendarsync.store.tables import channels, connections, pairs


@dataclass(frozen=True, slots=True)
class ChannelRecord:
    """`remote_id` is None while it is being made, and where whoever made it was killed."""

    id: str
    remote_id: str | None
    expires_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Watch:
    """A connection whose channels are to be looked at; `in_use`: a pair is to be kept in step with it."""

    connection: ConnectionRecord
    in_use: bool
    channels: Sequence[ChannelRecord]


_here = connections.c.id == bindparam("of_connection")
_EARLIEST = select(func.min(connections.c.watch_at, type_=connections.c.watch_at.type)).where(
    connections.c.watch_at.is_not(None)
)
_ARE_DUE = (
    select(connections.c.id)
    .where(connections.c.watch_at <= moment("now"))
    .order_by(connections.c.watch_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(connections)
    .where(connections.c.id.in_(bindparam("chosen", expanding=True)))
    .values(watch_at=moment("until"))
)
_in_use = and_(
    or_(pairs.c.connection_a_id == connections.c.id, pairs.c.connection_b_id == connections.c.id),
    # A pause that ends by itself has its notices when it does.
    or_(pairs.c.status != "paused", pairs.c.resume_at.is_not(None)),
    pairs.c.removal.is_(None),
)
_IN_USE = select(pairs.c.id).join(connections, _in_use).where(_here).limit(1)
_CHANNELS = select(*(channels.c[field.name] for field in fields(ChannelRecord))).where(
    channels.c.connection_id == bindparam("of_connection")
)
_LOCK = select(connections.c.id).where(_here).with_for_update()
_watched_until = (
    select(func.max(channels.c.expires_at, type_=channels.c.expires_at.type))
    .where(channels.c.connection_id == connections.c.id, channels.c.remote_id.is_not(None))
    .correlate(connections)
    .scalar_subquery()
)
_SETTLE = (
    update(connections)
    .where(_here)
    .values(
        watched_until=_watched_until,
        watch_at=case(
            (connections.c.watch_at == moment("lease"), moment("watch_at")), else_=connections.c.watch_at
        ),
    )
)
_COMPLETED = ("remote_id", "expires_at", "created_at")
_LOOK_AGAIN = update(connections).where(_here).values(watched_until=_watched_until, watch_at=AT_ONCE)
_COMPLETE = (
    update(channels)
    .where(channels.c.id == bindparam("of_channel"))
    .values({name: bindparam(name, type_=channels.c[name].type) for name in _COMPLETED})
    .returning(channels.c.id)
)
_named: Any = bindparam("names", expanding=True)
_NOTIFIED = select(
    channels.c.connection_id, channels.c.token_hash, channels.c.expires_at, connections.c.status
).join(connections, connections.c.id == channels.c.connection_id)
_BY_ID = _NOTIFIED.add_columns(channels.c.id.label("name")).where(
    channels.c.provider == bindparam("of_provider"), channels.c.id.in_(_named)
)
_BY_REMOTE_ID = _NOTIFIED.add_columns(channels.c.remote_id.label("name")).where(
    channels.c.provider == bindparam("of_provider"), channels.c.remote_id.in_(_named)
)


async def earliest_look(db: AsyncConnection) -> datetime | None:
    """When the connection that waits longest was to be looked at, or the next one is."""
    first: datetime | None = (await db.execute(_EARLIEST)).scalar_one()
    return first


async def claim_looks(db: AsyncConnection, now: datetime, until: datetime, limit: int) -> list[str]:
    """The ids of connections that are to be looked at; nobody else gets them before `until`."""
    await prefer_indexes(db)
    chosen = list((await db.execute(_ARE_DUE, {"now": now, "limit": limit})).scalars())
    if chosen:
        await db.execute(_CLAIM, {"chosen": chosen, "until": until})
    return chosen


async def load_watch(db: AsyncConnection, connection_id: str) -> Watch | None:
    """None where the connection is gone."""
    try:
        connection = await load_connection(db, connection_id)
    except NoResultFound:
        return None
    in_use = (await db.execute(_IN_USE, {"of_connection": connection_id})).first() is not None
    return Watch(connection, in_use, await channels_of(db, connection_id))


async def settle_look(
    db: AsyncConnection, connection_id: str, lease: datetime, watch_at: datetime | None
) -> None:
    """Look next at `watch_at`, unless somebody said otherwise since the claim; None: when somebody does."""
    await db.execute(_SETTLE, {"of_connection": connection_id, "lease": lease, "watch_at": watch_at})


async def begin_channel(
    db: AsyncConnection, connection: ConnectionRecord, channel: ChannelRecord, token_hash: str
) -> bool:
    """Before the provider is asked to make it: its first notice may be quicker than its answer.

    False where the connection is gone.
    """
    if (await db.execute(_LOCK, {"of_connection": connection.id})).first() is None:
        return False
    await db.execute(
        insert(channels).values(
            **asdict(channel),
            account_id=connection.account_id,
            mode=connection.mode,
            connection_id=connection.id,
            provider=connection.provider,
            token_hash=token_hash,
        )
    )
    return True


async def complete_channel(db: AsyncConnection, connection_id: str, channel: ChannelRecord) -> bool:
    """It was made, or renewed. False where it does not count any more: somebody else has taken it for lost."""
    # The connection first: whoever deletes it locks them in this order.
    await db.execute(_LOCK, {"of_connection": connection_id})
    given = {"of_channel": channel.id, **{name: getattr(channel, name) for name in _COMPLETED}}
    return (await db.execute(_COMPLETE, given)).first() is not None


async def forget_channels(db: AsyncConnection, connection_id: str, channel_ids: Collection[str]) -> None:
    """Their notices are refused from now on."""
    await db.execute(_LOCK, {"of_connection": connection_id})
    await db.execute(delete(channels).where(channels.c.id.in_(list(channel_ids))))


async def channels_of(db: AsyncConnection, connection_id: str) -> list[ChannelRecord]:
    rows = await db.execute(_CHANNELS, {"of_connection": connection_id})
    return [ChannelRecord(*row) for row in rows]


async def notified(db: AsyncConnection, provider: str, names: Collection[str]) -> Sequence[Row[Any]]:
    """The channels of those names: `name`, `connection_id`, `token_hash`, `expires_at`, and their `status`.

    Google names a channel by the id that we gave it, Microsoft by its own.
    """
    statement = _BY_ID if provider == "google" else _BY_REMOTE_ID
    return (await db.execute(statement, {"of_provider": provider, "names": list(names)})).all()


async def cut_short(db: AsyncConnection, connection_id: str, until: datetime) -> None:
    """What the connection has is to be renewed at once, and counts until then at most."""
    await db.execute(_LOCK, {"of_connection": connection_id})
    mine = channels.c.connection_id == connection_id
    ends = case((channels.c.expires_at > until, until), else_=channels.c.expires_at)
    # As old as can be: whatever is left of its life, it is time.
    await db.execute(update(channels).where(mine).values(expires_at=ends, created_at=AT_ONCE))
    await db.execute(_LOOK_AGAIN, {"of_connection": connection_id})


async def look_at_all(db: AsyncConnection, providers: Collection[str]) -> None:
    """Where pushing is possible since a start of the program, connections in use that nothing tells of."""
    waiting = and_(
        connections.c.grant_id.is_not(None),
        connections.c.provider.in_(list(providers)),
        connections.c.watch_at.is_(None),
        select(pairs.c.id).where(_in_use).correlate(connections).exists(),
    )
    # In one order, as several processes may begin at once.
    lock = select(connections.c.id).where(waiting).order_by(connections.c.id).with_for_update()
    if (await db.execute(lock)).first() is not None:
        await db.execute(update(connections).where(waiting).values(watch_at=AT_ONCE))
