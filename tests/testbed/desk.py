"""Two calendars of one person on a real server, and a CalendarSync that keeps them in step."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from calendarsync.domain.event import Resource
from calendarsync.domain.recurrence import expand
from calendarsync.domain.rules import is_busy
from calendarsync.providers.icalendar import MARK_PROPERTY, read_resource
from tests.testbed.dav import DavServer
from tests.testbed.installation import Installation, installation

_UNFOLD = re.compile(r"\r?\n ")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
LAST = datetime(2027, 6, 1, tzinfo=UTC)


@dataclass
class Desk:
    """`a` and `b` are calendar URLs; `conn_a` and `conn_b` their connections."""

    app: Installation
    server: DavServer
    a: str
    b: str
    account: str
    conn_a: str
    conn_b: str

    async def pair(self, **given: Any) -> str:
        return await self.app.pair(self.conn_a, self.conn_b, **given)

    def put_a(self, name: str, data: str) -> None:
        self.server.put(self.a, f"{name}.ics", data)

    def put_b(self, name: str, data: str) -> None:
        self.server.put(self.b, f"{name}.ics", data)

    def read(self, calendar: str) -> dict[str, str]:
        """Every resource of a calendar: name to text, unfolded."""
        everything = self.server.read_all(calendar)
        return {name: _UNFOLD.sub("", data.decode()) for name, data in everything.items()}

    def copies(self, calendar: str) -> dict[str, str]:
        return {name: text for name, text in self.read(calendar).items() if MARK_PROPERTY in text}

    def copies_a(self) -> list[str]:
        return list(self.copies(self.a).values())

    def copies_b(self) -> list[str]:
        return list(self.copies(self.b).values())

    def resources(self, calendar: str, *, copies: bool) -> list[Resource]:
        return [
            read_resource(name, None, text.encode())
            for name, text in self.read(calendar).items()
            if (MARK_PROPERTY in text) is copies
        ]

    def busy(self, calendar: str, *, copies: bool) -> list[tuple[str, str]]:
        """The busy intervals of a calendar's copies, or of its other events, in UTC and sorted."""
        return sorted(
            (
                f"{instance.start.instant('Europe/Berlin'):%Y-%m-%d %H:%M}",
                f"{instance.end.instant('Europe/Berlin'):%Y-%m-%d %H:%M}",
            )
            for resource in self.resources(calendar, copies=copies)
            for instance in expand(resource.components, FIRST, LAST, "Europe/Berlin")
            if is_busy(instance.component)
        )


@asynccontextmanager
async def desk(server: DavServer, folder: Path, **given: Any) -> AsyncIterator[Desk]:
    """Fresh calendars on `server`, connected in a fresh installation; `given` goes to `installation()`."""
    async with installation(folder, **given) as app:
        a, b = server.make_calendar(), server.make_calendar()
        account = await app.account()
        conn_a = await app.connect(account, server, a, email="alice@work.example")
        conn_b = await app.connect(account, server, b, email="alice@home.example")
        yield Desk(app, server, a, b, account, conn_a, conn_b)
