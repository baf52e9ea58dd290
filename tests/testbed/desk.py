"""Two calendars on real servers, and a CalendarSync that keeps them in step."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from calendarsync.domain.event import Resource
from calendarsync.domain.recurrence import expand
from calendarsync.domain.rules import is_busy
from calendarsync.providers.icalendar import MARK_PROPERTY, read_resource
from calendarsync.providers.tokens import Access
from tests.testbed.dav import DavServer
from tests.testbed.events import EMAILS, vcalendar
from tests.testbed.feed import FeedServer
from tests.testbed.google_keeper import GoogleKeeper
from tests.testbed.installation import FixedToken, Installation, installation
from tests.testbed.microsoft_keeper import MicrosoftKeeper

_EVENTS = re.compile(r"BEGIN:VEVENT.*?END:VEVENT\r?\n", re.DOTALL)
_UNFOLD = re.compile(r"\r?\n ")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
LAST = datetime(2027, 6, 1, tzinfo=UTC)


class Keeper(Protocol):
    """Whoever keeps calendars, and looks at them and changes them by other means than ours.

    Resources have names that end in `.ics`, and are iCalendar text, whatever the service keeps.
    """

    def newcomer(self) -> Keeper: ...

    def make_calendar(self) -> str:
        """A fresh calendar; its id, which is its URL where it has one."""

    def put(self, calendar: str, name: str, data: bytes | str) -> object: ...

    def delete(self, calendar: str, name: str) -> None: ...

    def list(self, calendar: str) -> dict[str, str]:
        """Names to versions."""

    def read_all(self, calendar: str) -> dict[str, bytes]: ...


@dataclass
class FeedKeeper:
    """Whose calendar others can only read, as a feed."""

    feed: FeedServer
    resources: dict[str, str] = field(default_factory=dict)

    def newcomer(self) -> FeedKeeper:
        return self

    def make_calendar(self) -> str:
        self.feed.render = self._render
        return self.feed.url

    def _render(self) -> str:
        events = "".join(_EVENTS.findall("".join(self.resources.values()))).replace("\r\n", "\n")
        return vcalendar(events)

    def put(self, calendar: str, name: str, data: bytes | str) -> None:
        self.resources[name] = data if isinstance(data, str) else data.decode()

    def delete(self, calendar: str, name: str) -> None:
        del self.resources[name]

    def list(self, calendar: str) -> dict[str, str]:
        return dict(self.resources)

    def read_all(self, calendar: str) -> dict[str, bytes]:
        return {name: data.encode() for name, data in self.resources.items()}


@dataclass
class Desk:
    """`a` and `b` are calendars; `conn_a` and `conn_b` their connections.

    Every calendar is kept by a person of its own, so that they may hold the same meeting on any server.
    """

    app: Installation
    account: str
    keepers: dict[str, Keeper]
    a: str = ""
    b: str = ""
    conn_a: str = ""
    conn_b: str = ""

    async def pair(self, **given: Any) -> str:
        return await self.app.pair(self.conn_a, self.conn_b, **given)

    async def pair_in(self, app: Installation, **given: Any) -> str:
        """The same two calendars, paired in another installation, or for another account of this one."""
        account = await app.account()
        a, b = [await self.connect(app, account, url) for url in (self.a, self.b)]
        return await app.pair(a, b, **given)

    def make_calendar(self, beside: str) -> str:
        """A further calendar, on the server of another one; its URL."""
        keeper = self.keepers[beside].newcomer()
        url = keeper.make_calendar()
        self.keepers[url] = keeper
        return url

    async def connect(self, app: Installation, account: str, calendar: str, **given: Any) -> str:
        keeper = self.keepers[calendar]
        if isinstance(keeper, FeedKeeper):
            return await app.connect_feed(account, calendar, **given)
        if isinstance(keeper, GoogleKeeper | MicrosoftKeeper):
            provider = "google" if isinstance(keeper, GoogleKeeper) else "microsoft"
            access = Access(FixedToken(keeper.account.token), keeper.model.url)
            return await app.connect_granted(account, provider, calendar, access, **given)
        assert isinstance(keeper, DavServer)
        return await app.connect(account, keeper, calendar, **given)

    def put_a(self, name: str, data: str) -> None:
        self.put(self.a, f"{name}.ics", data)

    def put_b(self, name: str, data: str) -> None:
        self.put(self.b, f"{name}.ics", data)

    def put(self, calendar: str, name: str, data: bytes | str) -> None:
        self.keepers[calendar].put(calendar, name, data)

    def delete(self, calendar: str, name: str) -> None:
        self.keepers[calendar].delete(calendar, name)

    def versions(self, calendar: str) -> dict[str, str]:
        return self.keepers[calendar].list(calendar)

    def read(self, calendar: str) -> dict[str, str]:
        """Every resource of a calendar: name to text, unfolded."""
        everything = self.keepers[calendar].read_all(calendar)
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
async def desk(
    server: Keeper, where: Path | str, server_b: Keeper | None = None, **given: Any
) -> AsyncIterator[Desk]:
    """Fresh calendars, b's on `server_b` where one is given, connected in a fresh installation.

    `given` goes to `installation()`.
    """
    async with installation(where, **given) as app:
        keeper_a, keeper_b = server.newcomer(), (server_b or server).newcomer()
        a, b = keeper_a.make_calendar(), keeper_b.make_calendar()
        made = Desk(app, await app.account(), {a: keeper_a, b: keeper_b}, a, b)
        made.conn_a = await made.connect(app, made.account, a, email=EMAILS["a"])
        made.conn_b = await made.connect(app, made.account, b, email=EMAILS["b"])
        yield made
