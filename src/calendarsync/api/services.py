"""What the routes work with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import Depends, Request

from calendarsync.accounts.keys import Identity
from calendarsync.accounts.limits import Gate
from calendarsync.grants import Grants
from calendarsync.jobs.channels import Channels
from calendarsync.jobs.notices import Notices
from calendarsync.jobs.process import Process
from calendarsync.metrics import Metrics
from calendarsync.net import HttpClient
from calendarsync.secrets import Keyring
from calendarsync.settings import Settings
from calendarsync.store.database import Database
from calendarsync.store.tenancy import Tenant
from calendarsync.sync.report import Ticket

_PLANNED_AT_ONCE = 2


class Runner(Protocol):
    """Has pairs run, each at most once at a time."""

    async def trigger(
        self,
        tenant: Tenant,
        pair_id: str,
        *,
        full: bool = False,
        confirm: bool = False,
        dry_run: bool = False,
    ) -> Ticket:
        """Ask for a run that starts from now on. `done` of the ticket resolves, it never raises.

        For a pair whose row says `removal` that is what the run does; after a success the row is gone.
        Raises LookupError where the tenant has no such pair.
        """

    async def undo(
        self, tenant: Tenant, pair_id: str, *, sync_id: str | None = None, dry_run: bool = False
    ) -> Ticket:
        """Pause the pair and ask that its last run be undone; `sync_id`: only if that is the one.

        Raises LookupError where the tenant has no such pair, or it is being deleted, and NothingToUndo where that
        is known beforehand: then the pair is as it was.
        """

    async def lateness(self) -> float | None:
        """Seconds by which the schedule is behind; None where nothing is scheduled."""


class Outbox(Protocol):
    """Has single deliveries of webhooks made.

    Both answer the id of the new delivery. They raise LookupError where the tenant has no such endpoint or
    delivery, and store.outbox.EndpointDisabled.
    """

    async def test(self, tenant: Tenant, webhook_id: str) -> str:
        """Send the endpoint a `webhook.test`, whatever it has subscribed to."""

    async def redeliver(self, tenant: Tenant, webhook_id: str, delivery_id: str) -> str:
        """Deliver the event of an earlier delivery once more, under the same event id."""


@dataclass(frozen=True, slots=True)
class Services:
    """`wait_seconds` is how long a request waits for a run before it answers 202.

    `wake` tells a worker in this process that something became due; others find it within a second.

    `gate` lets requests in, and counts them.

    `stopping` is set when the process begins to end: no request waits from then on.

    `planning` is to be held while a request has a whole pair planned: the threads for that are the runs' too.
    """

    db: Database
    keyring: Keyring
    settings: Settings
    http: HttpClient
    runner: Runner
    wake: Callable[[], None]
    now: Callable[[], datetime]
    outbox: Outbox
    grants: Grants
    notices: Notices
    channels: Channels
    wait_seconds: float = 25.0
    metrics: Metrics = field(default_factory=Metrics)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    planning: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_PLANNED_AT_ONCE))
    gate: Gate = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gate", Gate(self.db, self.keyring, self.now))

    def now_for(self, caller: Identity) -> datetime:
        """The time of the caller's account, which in test mode may be ahead. Limits and keys go by `now`."""
        return self.now() + caller.clock

    async def wait_for(self, tickets: Iterable[Ticket]) -> None:
        """Until all are done, for `wait_seconds` at most. What is not done then goes on."""
        # `asyncio.wait` inside the task: cancelling it leaves the runs themselves alone.
        done = asyncio.ensure_future(asyncio.wait({ticket.done for ticket in tickets}))
        stopping = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait(
                {done, stopping}, timeout=self.wait_seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            done.cancel()
            stopping.cancel()


def services_for(process: Process, settings: Settings) -> Services:
    """What the routes of a process at work are served with."""
    return Services(
        process.db,
        process.keyring,
        settings,
        process.http,
        process.runner,
        wake=process.wake,
        now=process.db.now,
        outbox=process.outbox,
        grants=process.grants,
        notices=process.notices,
        channels=process.channels,
        metrics=process.metrics,
    )


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _services(request: Request) -> Services:
    """A dependency that is no coroutine would cost a trip to a thread."""
    return services_of(request)


ServicesParam = Annotated[Services, Depends(_services)]
