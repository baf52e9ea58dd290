"""What the rest of a process asks of the workers: run this pair, and tell me what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from calendarsync.jobs.results import Results
from calendarsync.jobs.wakeups import Wakeups
from calendarsync.jobs.worker import PAIR_ORDERED
from calendarsync.store import orders
from calendarsync.store.claims import earliest_due
from calendarsync.store.database import Database
from calendarsync.store.ids import new_id
from calendarsync.store.pairs import PAUSED, get_pair, update_pair
from calendarsync.store.runs import last_that_wrote
from calendarsync.store.tenancy import Tenant
from calendarsync.sync.report import LATEST, NothingToUndo, Ticket, not_the_last


@dataclass(frozen=True, slots=True)
class Runner:
    """Orders runs of pairs. They are carried out by a worker: this process's own, or any other's."""

    db: Database
    wakeups: Wakeups
    results: Results

    async def trigger(
        self,
        tenant: Tenant,
        pair_id: str,
        *,
        full: bool = False,
        confirm: bool = False,
        dry_run: bool = False,
    ) -> Ticket:
        """Order a run that starts after this call; while one waits to start, it is shared.

        Raises LookupError where the tenant has no such pair, and DatabaseUnavailable: then there is no order.
        """
        wanted = {
            "sync_id": new_id("sync_run"),
            "pair_id": pair_id,
            "trigger": "api",
            "full": full,
            "confirm": confirm,
            "dry_run": dry_run,
            "created_at": self.db.now(),
        }
        async with self.wakeups.transaction(tenant) as (db, sending):
            sync_id = await orders.place(db, tenant, wanted)
            if sync_id is None:
                raise LookupError(pair_id)
            ticket = self.results.expect(sync_id)
            # For an order that it joined, too: a worker that looked for it just now met a row that was locked here.
            sending.append(PAIR_ORDERED)
        return ticket

    async def undo(
        self, tenant: Tenant, pair_id: str, *, sync_id: str | None = None, dry_run: bool = False
    ) -> Ticket:
        """Pause the pair, unless `dry_run`, and order that its last run be undone.

        `sync_id`: only if that is it. Raises LookupError where the tenant has no such pair, or it is being deleted,
        NothingToUndo where that is known beforehand, and DatabaseUnavailable: then nothing was done.
        """
        ordered = new_id("sync_run")
        wanted = {
            "sync_id": ordered,
            "pair_id": pair_id,
            "trigger": "api",
            "full": False,
            "confirm": False,
            "dry_run": dry_run,
            "undo": sync_id or LATEST,
            "created_at": self.db.now(),
        }
        async with self.wakeups.transaction(tenant) as (db, sending):
            pair = await get_pair(db, tenant, pair_id, lock=True)
            if pair is None or pair["removal"]:
                raise LookupError(pair_id)
            if pair["leased_until"] is None:
                last = await last_that_wrote(db, tenant, pair_id)
                why_not = not_the_last(sync_id or LATEST, last.sync_id if last else None)
                if why_not is not None:
                    raise NothingToUndo(why_not)
            if not dry_run:
                await update_pair(db, tenant, pair_id, PAUSED)
            await orders.place_undo(db, tenant, wanted)
            ticket = self.results.expect(ordered)
            sending.append(PAIR_ORDERED)
        return ticket

    async def lateness(self) -> float | None:
        """Seconds by which the schedule is behind; None where nothing is scheduled."""
        async with self.db.read() as db:
            first = await earliest_due(db)
        return None if first is None else max((self.db.now() - first).total_seconds(), 0.0)
