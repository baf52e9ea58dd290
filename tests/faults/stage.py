"""Where faults happen: three workers on one PostgreSQL, a town whose calendars change, and runs being ordered."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from calendarsync.jobs.results import Results
from calendarsync.jobs.runner import Runner
from calendarsync.jobs.wakeups import Wakeups
from calendarsync.store.database import Database, DatabaseUnavailable
from calendarsync.store.tenancy import Tenant
from calendarsync.sync.report import Ticket
from tests.cli.processes import environment
from tests.faults.autopsy import autopsy
from tests.faults.crew import WORKER, Crew, Member
from tests.faults.settlers import SECRET, settle_in
from tests.faults.town import Town
from tests.faults.witness import Witness, witness_of
from tests.testbed.postgresql import PostgresqlServer

WORKERS = 3
POLL_SECONDS = 30
CHANGE_SECONDS = 0.4
_ORDER_SECONDS = 2.0
_SETTLE_SECONDS = 150.0

_LEFT_OPEN = "SELECT sync_id FROM orders WHERE finished_at IS NULL"
_UNRECORDED = """
    SELECT sync_id, (SELECT count(*) FROM runs WHERE runs.sync_id = told.sync_id) AS times
    FROM unnest($1::text[]) AS told (sync_id)
    WHERE (SELECT count(*) FROM runs WHERE runs.sync_id = told.sync_id) <> 1"""
_STILL_HELD = "SELECT id FROM pairs WHERE leased_until IS NOT NULL"


@dataclass
class Stage:
    """`wrong_clock` is a library that shifts a process's clock; None where it cannot be made."""

    server: PostgresqlServer
    witness: Witness
    town: Town
    tenant: Tenant
    crew: Crew
    chance: random.Random
    wrong_clock: Path | None
    tickets: list[Ticket] = field(default_factory=list)
    program: tuple[str, ...] = WORKER
    diary: list[str] = field(default_factory=list)
    _healing: list[asyncio.Task[None]] = field(default_factory=list)
    _hired: int = 0

    async def hire(self, **settings: str) -> Member:
        """One more worker, with a role of its own in the database."""
        self._hired += 1
        name = f"worker_{self._hired}_{self.witness.database[-8:]}"
        url = await self.witness.make_role(name)
        member = await self.crew.start(name, self.program, CALENDARSYNC_DATABASE_URL=url, **settings)
        self.note(f"{name} works")
        return member

    async def victim(self) -> Member:
        """A worker to disturb; one that works is always left."""
        while len(self.crew.undisturbed) < 2:  # noqa: ASYNC110 - processes have no event
            await asyncio.sleep(0.1)
        member = self.chance.choice(self.crew.undisturbed)
        member.disturbed = True
        self.note(f"{member.name} is disturbed")
        return member

    def note(self, what: str) -> None:
        """For whoever has to find out what happened."""
        self.diary.append(f"{datetime.now(UTC):%H:%M:%S} {what}")

    def later(self, healing: Coroutine[Any, Any, None]) -> None:
        """What ends a fault, while others go on."""
        self._healing.append(asyncio.create_task(healing))

    async def heal(self) -> None:
        """Wait until every fault is over."""
        async with asyncio.timeout(120):
            await asyncio.gather(*self._healing)
        self._healing.clear()

    def check(self) -> None:
        """No process ended but by us; nothing failed that was to heal."""
        for task in self._healing:
            if task.done():
                task.result()
        ended = [
            member
            for member in self.crew.members
            if not member.disturbed and member.process.poll() is not None
        ]
        assert not ended, f"{ended[0].name} ended by itself:\n{ended[0].said[-3000:]}"

    async def keep_ordering(self, until: asyncio.Event) -> None:
        """Order runs as the API does, and keep the tickets."""
        db = Database(self.witness.url)
        results = Results(db)
        runner = Runner(db, Wakeups(db), results)
        try:
            await db.read_clock()
            while not until.is_set():
                bond = self.chance.choice(self.town.bonds)
                with suppress(DatabaseUnavailable):  # then there is no order
                    self.tickets.append(await runner.trigger(self.tenant, bond.pair_id))
                with suppress(TimeoutError):
                    await asyncio.wait_for(until.wait(), self.chance.uniform(0, 2 * _ORDER_SECONDS))
            async with asyncio.timeout(_SETTLE_SECONDS):
                await asyncio.gather(*(ticket.done for ticket in self.tickets))
        finally:
            await results.stop()
            await db.close()

    async def settled(self, since: datetime) -> None:
        """Wait until each pair has had a run that was claimed after that moment."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while unsynced := await self.witness.unsynced(since):
            assert time.monotonic() < deadline, f"{len(unsynced)} pairs left unsynced, such as {unsynced[:5]}"
            self.check()
            await asyncio.sleep(0.5)

    async def complaints(self) -> list[str]:
        """All that is wrong once everything is over."""
        found = self.town.complaints() + await self.witness.complaints() + self.crew.complaints()
        found += [f"left open: {row['sync_id']}" for row in await self.witness.ask(_LEFT_OPEN)]
        ordered = sorted({ticket.sync_id for ticket in self.tickets})
        wrong = await self.witness.ask(_UNRECORDED, ordered)
        found += [f"ordered, and not recorded once: {dict(row)}" for row in wrong]
        return found

    async def autopsies(self) -> list[str]:
        """What is known of the copies that are wrong."""
        return [
            line
            for calendar, _, starts in self.town.wrong_copies()[:2]
            for bond in self.town.bonds
            if calendar in (bond.a, bond.b)
            for line in await autopsy(self.witness, bond, calendar, starts)
        ]

    async def dismiss(self) -> list[str]:
        """End all workers as a person does; the pairs that are held though nobody is there."""
        await asyncio.gather(*(member.drain() for member in self.crew.running))
        return [f"still held: {row['id']}" for row in await self.witness.ask(_STILL_HELD)]


@asynccontextmanager
async def stage(
    server: PostgresqlServer,
    folder: Path,
    town: Town,
    chance: random.Random,
    *,
    wrong_clock: Path | None = None,
    through: Callable[[str], str] | None = None,
    poll: int = POLL_SECONDS,
) -> AsyncIterator[Stage]:
    """The town is settled, and no worker is there yet. `through`: see `settle_in`."""
    witness = await witness_of(server)
    tenant = await settle_in(witness.url, town, through)
    crew = Crew(folder, settings(folder, poll))
    try:
        yield Stage(server, witness, town, tenant, crew, chance, wrong_clock)
    finally:
        crew.kill_all()
        await asyncio.to_thread(server.drop_database, witness.url)


def settings(folder: Path, poll: int = POLL_SECONDS) -> dict[str, str]:
    """The environment of a process, but for its database."""
    return environment(
        folder,
        CALENDARSYNC_SECRET_KEY=SECRET,
        CALENDARSYNC_ALLOWED_PRIVATE_NETWORKS="127.0.0.0/8",
        CALENDARSYNC_POLL_INTERVAL_SECONDS=str(poll),
    )
