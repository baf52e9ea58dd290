"""What a process that serves or works is made of, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from calendarsync.accounts.installation import open_installation
from calendarsync.grants import Grants
from calendarsync.jobs.bursts import Bursts
from calendarsync.jobs.channels import Channels
from calendarsync.jobs.deliveries import Deliverer, client_for_receivers
from calendarsync.jobs.notices import Notices
from calendarsync.jobs.outbox import Outbox
from calendarsync.jobs.pushing import push_of
from calendarsync.jobs.quotas import Quotas
from calendarsync.jobs.results import Results
from calendarsync.jobs.runner import Runner
from calendarsync.jobs.runs import end_tasks
from calendarsync.jobs.wakeups import Wakeups
from calendarsync.jobs.wiring import build_engine
from calendarsync.jobs.worker import Worker
from calendarsync.metrics import Metrics
from calendarsync.net import HttpClient
from calendarsync.secrets import Keyring
from calendarsync.settings import Settings
from calendarsync.store.database import Database
from calendarsync.webhooks.delivery import Sender

_STOP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Process:
    """`worker` is None in a process that leaves all runs to others."""

    db: Database
    keyring: Keyring
    http: HttpClient
    metrics: Metrics
    runner: Runner
    outbox: Outbox
    grants: Grants
    notices: Notices
    channels: Channels
    worker: Worker | None

    def wake(self) -> None:
        """Something became due."""
        if self.worker is not None:
            self.worker.wake()


@asynccontextmanager
async def running(settings: Settings, *, schedule: bool) -> AsyncIterator[Process]:
    """A process at work; it drains on leaving. With `schedule` it runs what is due.

    Without, it runs what is ordered of it beside SQLite, which no other process works on, and nothing on
    PostgreSQL. An embedded database is brought up to date. Raises SecretError, SchemaOutdated,
    DatabaseUnavailable.
    """
    db = Database(settings.database_url)
    try:
        await (db.migrate() if db.backend == "sqlite" else db.ensure_schema())
        keyring = await open_installation(settings, db)
        networks = settings.allowed_private_networks
        async with (
            HttpClient(allowed_private_networks=networks) as http,
            client_for_receivers(networks) as receivers,
        ):
            wakeups, results, metrics = Wakeups(db), Results(db), Metrics()
            grants = Grants(db, keyring, http, settings)
            bursts = Bursts(db, wakeups)
            notices = Notices(db, keyring, bursts)
            push = push_of(settings, http, grants, now=db.now)
            channels = Channels(db, keyring, push, on_gap=bursts.add)
            poll = float(settings.poll_interval_seconds)
            quotas = Quotas(db, keyring, settings, grants.sent)
            counting = asyncio.create_task(quotas.keep_counting())
            worker = None
            if schedule or db.backend == "sqlite":
                deliverer = Deliverer(db, Sender(keyring, receivers, db.now), metrics=metrics)
                engine = build_engine(
                    db,
                    keyring,
                    http,
                    poll_seconds=poll,
                    slowest_seconds=float(settings.slowest_poll_seconds),
                    on_events=deliverer.wake,
                    grants=grants,
                    on_project_limit=quotas.hold,
                )
                worker = Worker(
                    db,
                    engine,
                    wakeups,
                    results,
                    deliverer=deliverer,
                    poll_seconds=poll,
                    slowest_seconds=float(settings.slowest_poll_seconds),
                    channels=channels,
                    metrics=metrics,
                    quotas=quotas,
                )
                await worker.start(schedule=schedule)
            try:
                yield Process(
                    db,
                    keyring,
                    http,
                    metrics,
                    runner=Runner(db, wakeups, results),
                    outbox=Outbox(db, wakeups),
                    grants=grants,
                    notices=notices,
                    channels=channels,
                    worker=worker,
                )
            finally:
                await notices.stop(_STOP_SECONDS)
                if worker is not None:
                    await worker.stop()
                await results.stop()
                await end_tasks([counting], 0.0)
                await grants.close()
    finally:
        await db.close()
