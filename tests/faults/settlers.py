"""Connects a town's calendars and pairs them, straight in the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from calendarsync.net import HttpClient
from calendarsync.secrets import Keyring
from calendarsync.store.database import Database
from calendarsync.store.tenancy import Tenant
from tests.faults.town import Calendar, Town
from tests.testbed.installation import Clock, Installation

SECRET = "a secret that outlives every fault whatever it is"


async def settle_in(url: str, town: Town, through: Callable[[str], str] | None = None) -> Tenant:
    """The one whose pairs they are; the bonds learn the ids of their pairs.

    `through` tells where the program finds what is at a URL.
    """
    db = Database(url)
    connections: dict[int, str] = {}
    try:
        async with HttpClient() as http:
            app = Installation(db, Keyring([SECRET.encode()]), http, Clock(datetime.now(UTC)))
            account = await app.account()

            async def connect(calendar: Calendar) -> str:
                if id(calendar) not in connections:
                    at = through(calendar.url) if through else calendar.url
                    connections[id(calendar)] = await app.connect(account, calendar.server, at)
                return connections[id(calendar)]

            for bond in town.bonds:
                app.clock.now = datetime.now(UTC)
                a, b = await connect(bond.a), await connect(bond.b)
                bond.pair_id = await app.pair(a, b, direction=bond.direction)
    finally:
        await db.close()
    return Tenant(account, "live")
