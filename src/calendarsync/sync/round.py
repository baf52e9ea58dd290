"""A round: the runs that start together share one reading of each connection (rule 28)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.domain.rules import Window
from calendarsync.providers.base import (
    Calendar,
    NotAuthorized,
    ProviderError,
    RateLimited,
    Unavailable,
    Unreachable,
)
from calendarsync.providers.opening import READ_BY_WINDOW
from calendarsync.store.connections import get_connection
from calendarsync.store.database import Database
from calendarsync.store.neighbours import hold_back_grant, of_grant
from calendarsync.store.outbox import emit
from calendarsync.store.schedule import (
    ConnectionRecord,
    PairRecord,
    expire,
    held_back_until,
    load_connection,
    load_rules,
    note_failure,
    note_reading,
)
from calendarsync.store.tenancy import Tenant
from calendarsync.sync.hold import Hold
from calendarsync.sync.pace import SLOWEST, interval, share_of_first
from calendarsync.sync.refresh import Contents, Refresher
from calendarsync.sync.sides import Side
from calendarsync.sync.telling import of_expired

DEFAULT_RETRY_SECONDS = 60.0
MAX_RETRY_SECONDS = 86_400.0
_MORE_WAIT = 0.2
"""How much longer than it was told a grant waits at most, as a share."""

JITTER = 0.1
"""How much earlier than its time a poll may come, as a share of the poll interval."""


class ConnectionFailed(Exception):  # noqa: N818 - it tells what happened, as its cause does
    """A provider error, and the connection that it came from."""

    def __init__(self, connection: ConnectionRecord, error: ProviderError) -> None:
        super().__init__(error.code)
        self.connection = connection
        self.error = error

    @property
    def transient(self) -> bool:
        """Whether it may pass by itself."""
        return isinstance(self.error, RateLimited | Unavailable)


@dataclass(frozen=True, slots=True)
class Reader:
    """How connections are opened and read. `jitter` gives numbers from 0 to 1.

    `on_events` is told when a transaction has left events to be sent, `on_project_limit` of a grant whose project
    as a whole is to wait until then.
    """

    db: Database
    refresher: Refresher
    open_calendar: Callable[[ConnectionRecord, Window | None], Calendar]
    now: Callable[[], datetime]
    jitter: Callable[[], float]
    poll_seconds: float
    slowest_seconds: float = SLOWEST
    on_events: Callable[[], None] = lambda: None
    on_project_limit: Callable[[str, datetime], None] = lambda grant_id, until: None

    async def note_error(self, failed: ConnectionFailed, hold: Hold) -> None:
        """Write down what an error means for its connection (rules 24 and 25). Raises ClaimLost."""
        error, connection = failed.error, failed.connection
        values: dict[str, Any] = {
            "last_error_code": error.code,
            "last_error_message": error.message,
        }
        until = self._until(error)
        if until is not None and isinstance(error, RateLimited) and error.of_project and connection.grant_id:
            self.on_project_limit(connection.grant_id, until)
        # All runs of a grant hit the same wall: one of them tells the others.
        told = until is not None and await self._is_held_back(connection, until)
        expired = emitted = False
        async with hold.write(beside=None if until is None or told else of_grant(connection)) as db:
            if until is not None:
                if not told:
                    await hold_back_grant(db, connection, until)
            elif isinstance(error, NotAuthorized):
                expired = await expire(db, connection)
            elif not isinstance(error, Unavailable):
                values["status"] = "error"
            await note_failure(db, connection, **values)
            if expired:
                emitted = await self._tell_expiry(db, connection)
        if emitted:
            self.on_events()

    async def _tell_expiry(self, db: AsyncConnection, connection: ConnectionRecord) -> bool:
        shown = await get_connection(db, Tenant(connection.account_id, connection.mode), connection.id)
        return shown is not None and await emit(db, [of_expired(dict(shown))], self.now())

    def _until(self, error: ProviderError) -> datetime | None:
        """Before when its grant is not asked again, with some chance on top; None where it may be."""
        wait = error.retry_after
        if isinstance(error, RateLimited) and wait is None:
            wait = DEFAULT_RETRY_SECONDS
        if wait is None:
            return None
        seconds = min(max(wait, 1.0), MAX_RETRY_SECONDS) * (1 + self.jitter() * _MORE_WAIT)
        return self.now() + timedelta(seconds=seconds)

    async def _is_held_back(self, connection: ConnectionRecord, until: datetime) -> bool:
        """Whether the grant waits for about as long already."""
        async with self.db.read() as db:
            not_before = await held_back_until(db, connection.id)
        if not_before is None:
            return False
        about = (until - self.now()) * _MORE_WAIT
        return not_before >= until - about

    def next_due(
        self,
        pair: PairRecord,
        unchanged_since: datetime | None = None,
        watched_until: datetime | None = None,
    ) -> datetime:
        """When a pair is to be polled next (rule 27): a little early by chance, so that polls spread.

        `unchanged_since`: since when nothing has changed in its calendars, and `watched_until`: so long its changes
        are told, both of a run that came to its end. Without them it is one poll interval.
        """
        now, seconds = self.now(), self.poll_seconds
        if unchanged_since is not None:
            unchanged = max((now - unchanged_since).total_seconds(), 0.0)
            watched = None if watched_until is None else (watched_until - now).total_seconds()
            seconds = interval(seconds, self.slowest_seconds, unchanged=unchanged, watched=watched)
            if pair.last_synced_at is None:
                return now + timedelta(seconds=seconds * share_of_first(pair.connection_a_id))
        # Of the poll interval, however long this one is: pairs that are read together stay together (rule 28).
        return now + timedelta(seconds=seconds - self.jitter() * JITTER * self.poll_seconds)


class Round:
    """Opened and read connections. Each is used under its connection's lock."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._calendars: dict[str, Calendar] = {}
        self._contents: dict[str, Contents] = {}
        self._read: set[str] = set()
        self._failed: dict[str, ConnectionFailed] = {}
        self._loaded: dict[str, ConnectionRecord] = {}

    def bring(self, connections: Iterable[ConnectionRecord]) -> None:
        """Records that have just been loaded: they serve the first run of the round that wants them."""
        self._loaded.update((connection.id, connection) for connection in connections)

    def requests(self, connection_id: str) -> int:
        """Requests made through this connection in this round so far."""
        calendar = self._calendars.get(connection_id)
        return calendar.requests if calendar else 0

    async def admit(self, *connection_ids: str) -> list[ConnectionRecord]:
        """The connections, if their providers may be asked now. Raises ConnectionFailed, and asks nothing.

        What failed once in a round is not asked again in it.
        """
        at_hand = [self._loaded.pop(connection_id, None) for connection_id in connection_ids]
        connections = [connection for connection in at_hand if connection is not None]
        if len(connections) < len(connection_ids):
            async with self._reader.db.read() as db:
                connections = [await load_connection(db, connection_id) for connection_id in connection_ids]
        for connection in connections:
            self._check(connection)
        return connections

    def _check(self, connection: ConnectionRecord) -> None:
        if connection.id in self._failed:
            raise self._failed[connection.id]
        if connection.status == "expired":
            # A password that was refused is not tried again: too many tries lock an account (rule 25).
            raise ConnectionFailed(connection, NotAuthorized("The connection needs new credentials."))
        if connection.not_before is not None and self._reader.now() < connection.not_before:
            until = f"{connection.not_before:%Y-%m-%dT%H:%M:%SZ}"
            raise ConnectionFailed(connection, RateLimited(f"The server asked to slow down, until {until}."))

    async def read(
        self, connection: ConnectionRecord, hold: Hold, *, again: bool = False, full: bool = False
    ) -> Side:
        """An admitted connection as it stands: read once in a round, unless `again` or `full`.

        Raises ConnectionFailed, ClaimLost.
        """
        calendar = self._calendars.get(connection.id) or await self._open(connection, hold)
        contents = self._contents.setdefault(connection.id, Contents())
        if again or full or connection.id not in self._read:
            connection = await self._refresh(connection, calendar, contents, hold, full=full)
            self._read.add(connection.id)
        return Side(connection, calendar, contents)

    async def read_texts(self, side: Side, ids: Collection[str], hold: Hold) -> Side:
        """The same connection, once its text filters have been told of these resources (rule 8).

        Raises ConnectionFailed, ClaimLost.
        """
        reader = self._reader
        connection, calendar, contents = side.connection, side.calendar, side.contents
        try:
            cursor = await reader.refresher.read_texts(
                connection, calendar, hold, ids, contents=contents, now=reader.now()
            )
        except ProviderError as error:
            raise await self._fail(connection, error, hold) from error
        async with hold.write() as db:
            return Side(await note_reading(db, connection.id, cursor=cursor), calendar, contents)

    async def _open(self, connection: ConnectionRecord, hold: Hold) -> Calendar:
        window = await self._window(connection) if connection.provider in READ_BY_WINDOW else None
        try:
            calendar = self._reader.open_calendar(connection, window)
        except ProviderError as error:
            raise await self._fail(connection, error, hold) from error
        except (ValueError, LookupError) as error:
            problem = Unreachable("The connection's address or credentials cannot be read; connect it anew.")
            raise await self._fail(connection, problem, hold) from error
        self._calendars[connection.id] = calendar
        return calendar

    async def _window(self, connection: ConnectionRecord) -> Window | None:
        """The span of time that the pairs of a connection need of it together; None where they are all gone."""
        now = self._reader.now()
        async with self._reader.db.read() as db:
            windows = [rules.window(now) for rules in await load_rules(db, connection.id)]
        if not windows:
            return None
        return Window(min(each.first for each in windows), max(each.last for each in windows))

    async def _fail(self, connection: ConnectionRecord, error: ProviderError, hold: Hold) -> ConnectionFailed:
        failed = self._failed[connection.id] = ConnectionFailed(connection, error)
        await self._reader.note_error(failed, hold)
        return failed

    async def _refresh(
        self,
        connection: ConnectionRecord,
        calendar: Calendar,
        contents: Contents,
        hold: Hold,
        *,
        full: bool,
    ) -> ConnectionRecord:
        reader = self._reader
        try:
            cursor, wrote = await reader.refresher.refresh(
                connection, calendar, hold, full=full, contents=contents, now=reader.now()
            )
        except ProviderError as error:
            raise await self._fail(connection, error, hold) from error
        if not wrote and cursor == connection.cursor and connection.in_order:
            return connection
        async with hold.write() as db:
            return await note_reading(
                db,
                connection.id,
                cursor=cursor,
                status="active",
                last_error_code=None,
                last_error_message=None,
            )
