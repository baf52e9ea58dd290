"""Putting the engine together from the parts of a process."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime

from calendarsync import __version__
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.rules import Window
from calendarsync.grants import Grants
from calendarsync.net import HttpClient
from calendarsync.providers.base import Calendar
from calendarsync.providers.opening import open_calendar
from calendarsync.secrets import Keyring
from calendarsync.store.connections import open_credentials
from calendarsync.store.database import Database
from calendarsync.store.schedule import ConnectionRecord
from calendarsync.store.tenancy import Tenant
from calendarsync.sync.inputs import Tools
from calendarsync.sync.pace import SLOWEST
from calendarsync.sync.refresh import Refresher
from calendarsync.sync.round import Reader
from calendarsync.sync.run import Engine

TEST_MODE = "test"


def build_engine(
    db: Database,
    keyring: Keyring,
    http: HttpClient,
    *,
    poll_seconds: float,
    slowest_seconds: float = SLOWEST,
    on_events: Callable[[], None] = lambda: None,
    grants: Grants | None = None,
    on_project_limit: Callable[[str, datetime], None] = lambda grant_id, until: None,
) -> Engine:
    """The engine that a worker runs. `on_events` is told when a run has left events to be sent.

    Without `grants` a connection that needs one cannot be opened.
    """

    fingerprinter = Fingerprinter(keyring.fingerprint_key)

    def opened(connection: ConnectionRecord, window: Window | None) -> Calendar:
        access = None
        if connection.grant_id is not None and grants is not None:
            access = grants.access(connection.provider, connection.grant_id)
        return open_calendar(
            connection.provider,
            connection.calendar_id,
            open_credentials(keyring, connection.id, connection.credentials_encrypted),
            owner=owner_of(connection),
            db=db,
            tenant=Tenant(connection.account_id, connection.mode),
            client=http,
            fingerprinter=fingerprinter,
            now=db.now,
            confined=connection.mode == TEST_MODE,
            access=access,
            window=window,
        )

    reader = Reader(
        db=db,
        refresher=Refresher(db, fingerprinter, __version__),
        open_calendar=opened,
        now=db.now,
        jitter=random.random,
        poll_seconds=poll_seconds,
        slowest_seconds=slowest_seconds,
        on_events=on_events,
        on_project_limit=on_project_limit,
    )
    return Engine(reader, Tools(keyring.mark_keys, fingerprinter, __version__))


def owner_of(connection: ConnectionRecord) -> frozenset[str]:
    """The addresses whose responses count: the calendar's own, and the one that the user named (rule 6)."""
    addresses = (*connection.owner_addresses, connection.email or "")
    return frozenset(address.lower() for address in addresses if address)
