"""Keeping channels: each connection that is in use has one through which its provider tells of changes.

A part of every worker (docs/decisions/push.md). `connections.watch_at` says when one is to be looked at; whoever
changes what a connection is used for sets it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from calendarsync.jobs.push_services import SERVICES, Service
from calendarsync.jobs.pushing import Push
from calendarsync.jobs.runs import end_tasks
from calendarsync.providers.base import Channel, ProviderError, RateLimited, Unavailable
from calendarsync.secrets import Keyring
from calendarsync.store import channels as store
from calendarsync.store.channels import ChannelRecord, Watch
from calendarsync.store.database import Database, DatabaseUnavailable
from calendarsync.store.ids import new_id

AT_ONCE = 16
"""How many connections one process looks after at the same moment."""

LEASE = timedelta(seconds=60)
"""After that a connection whose worker was killed is looked at by another."""

PATIENCE_SECONDS = 45.0
"""How long a look may take: less than a lease, so that two never ask for the same."""

END_SECONDS = 3.0
"""How long whoever deletes a connection waits for its channels to be ended."""

MARGIN = timedelta(days=1)
"""How long before its end a channel is renewed; one that is given for less than two days, when half is over."""

SPREAD = 0.1
"""By chance so much later, as a share of what is left then, so that what was made together is not renewed so."""

SHORTEST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)
"""Between attempts that failed for what may pass. For anything else they are twelve times as long."""

_LASTING = 12
_TOKEN_BYTES = 32

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A connection that is ours until `lease`."""

    connection_id: str
    lease: datetime


class _OvertakenError(Exception):
    """The connection is gone, or somebody else looks after it, who has taken this look for lost."""


class Channels:
    """Looks at what is due. Any number of them share a database.

    `on_gap` is told of connections that nothing told of until now: a change in between may have been missed.
    """

    def __init__(
        self,
        db: Database,
        keyring: Keyring,
        push: Push,
        *,
        on_gap: Callable[[str], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._db = db
        self._keyring = keyring
        self._push = push
        self._on_gap = on_gap
        self._chance = chance
        self._under_way: set[asyncio.Task[None]] = set()
        self._failures: dict[str, int] = {}
        self._began = self._stopping = False
        self.woken = asyncio.Event()

    async def look(self) -> None:
        """Claim what is due, as much as there is room for, and begin with it."""
        room = AT_ONCE - len(self._under_way)
        if self._stopping or room <= 0:
            return
        await self._begin()
        async with self._db.read() as db:
            first = await store.earliest_look(db)
        if first is None or first > self._db.now():
            return
        async with self._db.write() as db:
            now = self._db.now()
            due = await store.claim_looks(db, now, now + LEASE, room)
        for connection_id in due:
            task = asyncio.create_task(
                self._tend(_Claimed(connection_id, now + LEASE)), name=f"channels of {connection_id}"
            )
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        if len(due) == room:
            self.woken.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self.woken.set()

    async def _begin(self) -> None:
        """The address may have been set since the connections were made."""
        if self._began:
            return
        reached = [provider for provider in SERVICES if self._push.address(provider)]
        async with self._db.write() as db:
            await store.look_at_all(db, reached)
        self._began = True

    async def _tend(self, mine: _Claimed) -> None:
        try:
            async with self._db.read() as db:
                watch = await store.load_watch(db, mine.connection_id)
            if watch is not None:
                await self._settle(mine, await self._next_look(watch))
        except _OvertakenError:
            _log.warning("channels_overtaken", connection_id=mine.connection_id)
        except DatabaseUnavailable:
            _log.warning("channels_wait_for_database", connection_id=mine.connection_id)
        except Exception as defect:  # noqa: BLE001 - the others go on, and this one when its lease ends
            _log.error("channels_lost", connection_id=mine.connection_id, defect=type(defect).__name__)

    async def _next_look(self, watch: Watch) -> datetime | None:
        """Bring a connection's channels in order; when to look again."""
        connection_id = watch.connection.id
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                at = await self._bring_in_order(watch)
        except ProviderError as error:
            return self._after(connection_id, error)
        except TimeoutError:
            return self._after(connection_id, Unavailable("The provider took too long."))
        self._failures.pop(connection_id, None)
        return at

    async def _bring_in_order(self, watch: Watch) -> datetime | None:
        """Raises ProviderError."""
        connection, now = watch.connection, self._db.now()
        live = [each for each in watch.channels if each.remote_id is not None and each.expires_at > now]
        lost = [each for each in watch.channels if each not in live]
        if connection.status == "expired" or connection.grant_id is None:
            await self._forget(watch, watch.channels)  # no provider listens to us any more
            return None
        service = self._push.service(connection)
        if not watch.in_use or self._push.address(connection.provider) is None:
            await self._end(watch, service, live)
            await self._forget(watch, lost)
            return None
        if connection.not_before is not None and connection.not_before > now:
            return connection.not_before
        await self._forget(watch, lost)
        newest = max(live, key=lambda each: each.expires_at, default=None)
        if newest is None or _time_to_renew(newest) <= now:
            newest = await self._renew(watch, service, newest)
        await self._end(watch, service, [each for each in live if each.id != newest.id])
        if not live:
            self._on_gap(connection.id)
        return self._look_before_the_end(newest)

    async def _renew(self, watch: Watch, service: Service, old: ChannelRecord | None) -> ChannelRecord:
        """A channel that lasts. An old one goes on until a new one is there, so that nothing falls between."""
        given = (
            None if old is None or old.remote_id is None else await service.renew(_given(old, old.remote_id))
        )
        if old is None or given is None:
            return await self._make(watch, service)
        return await self._complete(watch, replace(old, expires_at=given.expires_at))

    async def _make(self, watch: Watch, service: Service) -> ChannelRecord:
        now, token = self._db.now(), secrets.token_urlsafe(_TOKEN_BYTES)
        new = ChannelRecord(new_id("chn"), None, now + LEASE, now)
        async with self._db.write() as db:
            token_hash = self._keyring.channel_hash(token)
            if not await store.begin_channel(db, watch.connection, new, token_hash):
                raise _OvertakenError
        try:
            given = await service.watch(new.id, token)
        except ProviderError:
            await self._forget(watch, [new])
            raise
        try:
            return await self._complete(
                watch, replace(new, remote_id=given.remote_id, expires_at=given.expires_at)
            )
        except _OvertakenError:
            await _unwatch(service, new.id, given)
            raise

    async def _complete(self, watch: Watch, channel: ChannelRecord) -> ChannelRecord:
        complete = replace(channel, created_at=self._db.now())
        async with self._db.write() as db:
            if not await store.complete_channel(db, watch.connection.id, complete):
                raise _OvertakenError
        return complete

    async def _end(self, watch: Watch, service: Service, channels: Sequence[ChannelRecord]) -> None:
        await _unwatch_all(service, channels)
        await self._forget(watch, channels)

    async def _forget(self, watch: Watch, channels: Sequence[ChannelRecord]) -> None:
        if channels:
            async with self._db.write() as db:
                await store.forget_channels(db, watch.connection.id, [each.id for each in channels])

    async def end(self, connection_id: str) -> None:
        """The connection is about to be deleted: its provider is to send no more, where it can be asked quickly."""
        async with self._db.read() as db:
            watch = await store.load_watch(db, connection_id)
        if watch is None or not watch.channels or watch.connection.status == "expired":
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await _unwatch_all(self._push.service(watch.connection), watch.channels)
        # Who deletes it may be kept from it yet.
        async with self._db.write() as db:
            await store.cut_short(db, connection_id, self._db.now())

    async def _settle(self, mine: _Claimed, at: datetime | None) -> None:
        async with self._db.write() as db:
            await store.settle_look(db, mine.connection_id, mine.lease, at)

    def _look_before_the_end(self, channel: ChannelRecord) -> datetime:
        at = _time_to_renew(channel)
        at += (channel.expires_at - at) * SPREAD * self._chance()
        return max(at, self._db.now() + SHORTEST_WAIT)

    def _after(self, connection_id: str, error: ProviderError) -> datetime:
        """When to try again what failed: each time later, and none of it hurts a run."""
        failed = self._failures[connection_id] = self._failures.get(connection_id, 0) + 1
        wait = min(SHORTEST_WAIT * 2.0 ** min(failed - 1, 20), LONGEST_WAIT)
        if not isinstance(error, RateLimited | Unavailable):
            wait *= _LASTING
        wait = max(wait, timedelta(seconds=error.retry_after or 0.0))
        _log.warning("channel_not_made", connection_id=connection_id, reason=error.code)
        return self._db.now() + wait * (1 + self._chance() * SPREAD)

    async def drain(self, patience: float) -> None:
        """Begin nothing more; let what is under way come to its end for so many seconds, and break off the rest."""
        self._stopping = True
        await end_tasks(list(self._under_way), patience)


def _time_to_renew(channel: ChannelRecord) -> datetime:
    return channel.expires_at - min(MARGIN, (channel.expires_at - channel.created_at) / 2)


def _given(channel: ChannelRecord, remote_id: str) -> Channel:
    return Channel(remote_id, channel.expires_at)


async def _unwatch_all(service: Service, channels: Sequence[ChannelRecord]) -> None:
    for channel in channels:
        if channel.remote_id is not None:
            await _unwatch(service, channel.id, _given(channel, channel.remote_id))


async def _unwatch(service: Service, channel_id: str, channel: Channel) -> None:
    """One that cannot be ended ends by itself; until then its notices are refused."""
    try:
        await service.unwatch(channel_id, channel)
    except ProviderError as error:
        _log.info("channel_not_ended", channel_id=channel_id, reason=error.code)
