"""A worker that delivers webhooks, to be killed meanwhile: python -m tests.webhooks.killed_worker URL SECRET."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from calendarsync.jobs.deliveries import Deliverer, Pace, client_for_receivers
from calendarsync.jobs.results import Results
from calendarsync.jobs.wakeups import Wakeups
from calendarsync.jobs.wiring import build_engine
from calendarsync.jobs.worker import Worker
from calendarsync.secrets import Keyring
from calendarsync.store.database import Database
from calendarsync.webhooks.delivery import Sender
from tests.webhooks.post import LOOPBACK

PACE = Pace(delays=(timedelta(seconds=0.1),) * 60, lease=timedelta(seconds=4))


async def main(url: str, secret: str) -> None:
    db, keyring = Database(url), Keyring([secret.encode()])
    wakeups, results = Wakeups(db), Results(db)
    async with client_for_receivers([LOOPBACK]) as http:
        deliverer = Deliverer(db, Sender(keyring, http, db.now, timeout_seconds=2), pace=PACE)
        engine = build_engine(db, keyring, http, poll_seconds=300, on_events=deliverer.wake)
        worker = Worker(db, engine, wakeups, results, deliverer=deliverer, poll_seconds=300)
        await worker.start(schedule=False)
        sys.stdout.write("working\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
