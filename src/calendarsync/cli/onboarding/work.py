"""Onboarding itself: few requests, a bounded number of them at once, and nothing done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from calendarsync.cli.onboarding.people import DELEGATED, End, Person
from calendarsync.cli.onboarding.results import Results
from calendarsync.cli.onboarding.stock import Stock, access, credentials
from calendarsync.client import (
    APIError,
    AsyncCalendarSync,
    AuthenticationError,
    Conflict,
    RateLimited,
    TimedOut,
)
from calendarsync.client.models import BulkResult, NewPair

Result = TypeVar("Result")

PAIRS_AT_ONCE = 100
_MOMENT_SECONDS = 60.0  # where a refusal for their number does not say how long


class Watcher(Protocol):
    """Who shows how far it is."""

    def begin(self, rows: int, done: int, requests: int) -> None:
        """`done` of the rows are done already; the others take so many `requests`, if all goes well."""

    def advance(self, *, failed: bool) -> None:
        """One row more."""

    def wait(self, until: datetime | None) -> None:
        """The rate limit is spent until then; None: it goes on."""


class Onboarding:
    """What is done about the rows of one file. What came of each stands in `results`."""

    def __init__(
        self, client: AsyncCalendarSync, people: Sequence[Person], results: Results, watcher: Watcher
    ) -> None:
        self._client, self._people, self._results, self._watcher = client, people, results, watcher
        self._stock = Stock()
        self._connecting: dict[End, asyncio.Task[str]] = {}
        self._ready: list[Person] = []
        self._opens = 0.0  # in the time of the event loop

    async def run(self, concurrency: int) -> None:
        """Raises CalendarSyncError where it is of no use to go on."""
        await self._take_stock()
        rows = [person for person in self._people if not self._is_done(person)]
        self._watcher.begin(len(self._people), len(self._people) - len(rows), self._requests(rows))
        waiting = iter(rows)
        workers = [asyncio.create_task(self._work(waiting)) for _ in range(concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        await self._pair(self._ready)

    async def _take_stock(self) -> None:
        for connection in await self._ask(self._client.connections.list().all):
            self._stock.add_connection(connection)
        for pair in await self._ask(self._client.sync_pairs.list().all):
            self._stock.add_pair(pair)

    def _is_done(self, person: Person) -> bool:
        """Fills in what there is of a row already."""
        outcome, stock = self._results.of(person), self._stock
        a, b = outcome.connection_a_id, outcome.connection_b_id
        outcome.connection_a_id = a if a in stock.connections else stock.connection_to(person.a) or ""
        outcome.connection_b_id = b if b in stock.connections else stock.connection_to(person.b) or ""
        if outcome.status == "done" and outcome.pair_id in stock.pairs:
            return True
        pair = stock.pair_for(person, outcome.connection_a_id, outcome.connection_b_id)
        outcome.pair_id = pair.id if pair else ""
        outcome.status = "done" if pair else "open"
        return pair is not None

    def _requests(self, rows: Sequence[Person]) -> int:
        """How many it takes for these rows, if every calendar is a new one."""
        missing = {
            end.calendar
            for person in rows
            for end, known in zip((person.a, person.b), self._results.of(person).connections, strict=True)
            if not known
        }
        return len(missing) + -(-len(rows) // PAIRS_AT_ONCE)

    async def _work(self, waiting: Iterator[Person]) -> None:
        for person in waiting:
            if await self._connect(person):
                self._ready.append(person)
            if len(self._ready) >= PAIRS_AT_ONCE:
                batch, self._ready = self._ready, []
                await self._pair(batch)

    async def _connect(self, person: Person) -> bool:
        """Whether both calendars are connected."""
        outcome = self._results.of(person)
        end = "a"
        try:
            outcome.connection_a_id = outcome.connection_a_id or await self._connection(person.a)
            end = "b"
            outcome.connection_b_id = outcome.connection_b_id or await self._connection(person.b)
        except (APIError, TimedOut) as error:
            self._fail(person, error, end)
            return False
        self._results.changed()
        return True

    async def _connection(self, end: End) -> str:
        """Rows that share a calendar share the request for it. Raises CalendarSyncError."""
        if end.calendar not in self._connecting:
            self._connecting[end.calendar] = asyncio.create_task(self._find_or_make(end))
        return await self._connecting[end.calendar]

    async def _find_or_make(self, end: End) -> str:
        if self._stock.may_have(end) and (known := await self._find(end)):
            return known
        try:
            connection = await self._ask(lambda: self._client.connections.create(end.provider, **access(end)))
        except Conflict as error:
            known = await self._find(end)
            if known is None:
                await self._take_stock()  # it was connected while this ran
                known = await self._find(end)
            if known is None:
                raise error from None
            return known
        self._stock.add_connection(connection)
        return connection.id

    async def _find(self, end: End) -> str | None:
        """The connection that there is of it; None where there is none, or where several may be it."""
        if end.provider == "ics":
            feeds = self._stock.feeds(end)
            return feeds[0] if len(feeds) == 1 else None
        if end.provider != "sandbox" and not end.calendar_id:
            calendars = await self._ask(
                lambda: self._client.connections.discover(end.provider, **credentials(end))
            )
            # Of somebody whose organisation lets us in the main calendar is meant, which is told first.
            if not calendars or (len(calendars) != 1 and end.provider not in DELEGATED):
                return None
            end = replace(end, calendar_id=calendars[0].id)
        return self._stock.connection_to(end)

    async def _pair(self, batch: Sequence[Person]) -> None:
        if not batch:
            return
        try:
            results = await self._ask(
                lambda: self._client.sync_pairs.create_many(list(map(self._wanted, batch)))
            )
        except (APIError, TimedOut) as error:
            for person in batch:
                self._fail(person, error)
            return
        for person, result in zip(batch, results, strict=True):
            self._settle(person, result)

    def _wanted(self, person: Person) -> NewPair:
        a, b = self._results.of(person).connections
        return NewPair(
            connection_a_id=a, connection_b_id=b, sync_mode=person.sync_mode, direction=person.direction
        )

    def _settle(self, person: Person, result: BulkResult) -> None:
        outcome = self._results.of(person)
        if result.pair:
            self._stock.add_pair(result.pair)
        if pair := self._stock.pair_for(person, *outcome.connections):
            outcome.status, outcome.pair_id = "done", pair.id
            outcome.error_code = outcome.error_message = ""
            self._watcher.advance(failed=False)
            self._results.changed()
        else:
            assert result.error is not None
            self._record(person, result.error.code, result.error.message)

    def _fail(self, person: Person, error: APIError | TimedOut, end: str = "") -> None:
        """What the server says of a field is said of the column. Raises AuthenticationError: no row can be done."""
        if isinstance(error, AuthenticationError):
            raise error
        if isinstance(error, TimedOut):
            self._record(person, "timed_out", error.message)
            return
        told = "; ".join(f"{end}_{each.field}: {each.message}" for each in error.details if end)
        self._record(person, error.code, told or (f"{end}: {error.message}" if end else error.message))

    def _record(self, person: Person, code: str, message: str) -> None:
        outcome = self._results.of(person)
        outcome.status, outcome.error_code, outcome.error_message = "failed", code, message
        self._watcher.advance(failed=True)
        self._results.changed()

    async def _ask(self, make: Callable[[], Awaitable[Result]]) -> Result:
        """The same as `make`, which is called again after a rate limit was waited out."""
        loop = asyncio.get_running_loop()
        while True:
            while (left := self._opens - loop.time()) > 0:
                self._watcher.wait(datetime.now(UTC) + timedelta(seconds=left))
                await asyncio.sleep(left)
                self._watcher.wait(None)
            try:
                return await make()
            except RateLimited as error:
                self._opens = max(self._opens, loop.time() + (error.retry_after or _MOMENT_SECONDS))
