"""What happens to calendars on real servers in several stories."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import select

from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import EventTime
from calendarsync.domain.origin import copy_id, write_mark
from calendarsync.providers.base import Calendar, Reading
from calendarsync.providers.icalendar import write_copy
from calendarsync.store.schedule import ConnectionRecord, update_connection
from calendarsync.store.tables import connections, links
from tests.testbed.desk import Desk
from tests.testbed.events import event
from tests.testbed.google_keeper import GoogleKeeper
from tests.testbed.installation import START
from tests.testbed.microsoft_keeper import MicrosoftKeeper


def stamp(day: int, hour: int = 9) -> str:
    """A local time of March 2026."""
    return f"202603{day:02}T{hour:02}0000"


def on(day: int, uid: str | None = None, **given: str) -> str:
    """An hour's event on that day of March."""
    return event(uid or f"uid-{day}", stamp(day), stamp(day, 10), **{"title": f"Day {day}", **given})


def fill(at: Desk, days: range) -> None:
    for day in days:
        at.put_a(f"{day}", on(day))


def days(at: Desk, calendar: str | None = None) -> list[int]:
    """The days on which the copies in b are busy."""
    return [int(start[8:10]) for start, _ in at.busy(calendar or at.b, copies=True)]


async def forget_tokens(at: Desk) -> None:
    """The servers do not know our sync tokens any more: those that keep to it get one that they never gave."""
    for calendar, keeper in at.keepers.items():
        if isinstance(keeper, GoogleKeeper | MicrosoftKeeper):
            keeper.forget_tokens(calendar)
    async with at.app.db.write() as db:
        own = connections.c.provider.in_(("caldav", "ics"))
        for row in (await db.execute(select(connections.c.id, connections.c.cursor).where(own))).all():
            memory = json.loads(row.cursor)
            cursor = json.loads(memory["cursor"])
            if cursor.get("token"):
                cursor["token"] = cursor["token"][:-4] + "0000"
                memory["cursor"] = json.dumps(cursor)
                await update_connection(db, row.id, cursor=json.dumps(memory))


def note_full_readings(at: Desk) -> list[str]:
    """The connections that are read in full from now on, each time that they are."""
    noted: list[str] = []

    def noting(connection: ConnectionRecord, calendar: Calendar) -> Calendar:
        read = calendar.read

        async def read_noted(*args: Any, full: bool = False) -> Reading:
            noted.extend([connection.id] if full else [])
            return await read(*args, full=full)

        return cast("Calendar", _Reading(calendar, read_noted))

    at.app.wrap = noting
    return noted


@dataclass
class _Reading:
    """A calendar that is read in another way."""

    _calendar: Calendar
    read: Callable[..., Awaitable[Reading]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._calendar, name)


async def put_twin(at: Desk) -> str:
    """A second copy of the one event that is copied, of the next generation, as a lost race might leave it."""
    async with at.app.db.read() as db:
        link = (await db.execute(select(links))).one()
    twin = copy_id(link.origin, link.target_calendar, 1)
    mark = write_mark(at.app.keyring.mark_keys[0], link.origin, 1, link.written_hash, link.target_calendar)
    start, end = [EventTime.parse(f"2026-03-04T{hour}:00:00[Europe/Berlin]") for hour in ("09", "10")]
    copy = Copy(id=twin, mark=mark, master=CopyComponent(start=start, end=end, title="Busy"))
    at.put_b(twin, write_copy(copy, now=START).decode())
    return f"{twin}.ics"
