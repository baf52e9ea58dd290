"""What tests at a desk of calendars in memory do to them, and see of them."""

from __future__ import annotations

from calendarsync.providers.base import Calendar
from calendarsync.store.schedule import ConnectionRecord
from calendarsync.sync.report import RunReport
from tests.sync.helpers import sync_anew
from tests.sync.stories import stamp
from tests.testbed.events import event
from tests.testbed.memory_desk import MemoryDesk

Held = dict[str, tuple[str, bytes]]


def hour(uid: str, day: int, extra: str = "") -> str:
    """An hour's event on that day of March."""
    return event(uid, stamp(day), stamp(day, 10), extra=extra)


def everything(at: MemoryDesk) -> list[Held]:
    """What each calendar holds."""
    return [dict(store.resources) for store in at.stores.values()]


async def plan_anew(at: MemoryDesk, pair: str) -> RunReport:
    """A run that plans, though nothing may have changed, and may fail in part."""
    await at.app.change_pair(pair, quiet_until=None)
    return await at.app.run(pair)


async def rest(at: MemoryDesk, *pairs: str) -> None:
    """Every pair runs twice more, in turn; nothing is written."""
    written = [len(store.journal) for store in at.stores.values()]
    for pair in (*pairs, *pairs):
        report = await sync_anew(at, pair)
        assert (report.events_created, report.events_updated, report.events_deleted) == (0, 0, 0)
    assert [len(store.journal) for store in at.stores.values()] == written


async def pair_from_feed(at: MemoryDesk, url: str) -> str:
    """A pair from a feed, which is asked for over HTTP, to the calendar b."""
    in_memory = at.app.wrap

    def but_feeds(connection: ConnectionRecord, calendar: Calendar) -> Calendar:
        return calendar if connection.provider == "ics" else in_memory(connection, calendar)

    at.app.wrap = but_feeds
    source = await at.app.connect_feed(at.account, url, calendar_key="f" * 64)
    return await at.app.pair(source, at.connections["b"], direction="a_to_b")
