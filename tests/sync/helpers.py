"""Small things that several tests of the engine do."""

from __future__ import annotations

from calendarsync.sync.report import RunReport
from tests.testbed.events import event
from tests.testbed.memory_desk import NOWHERE, OWNER, MemoryDesk, utc

FIRST, LAST = utc("2026-03-01"), utc("2026-06-01")
WEEKLY = "RRULE:FREQ=WEEKLY;COUNT=4"


def fill(at: MemoryDesk, count: int, name: str = "a") -> None:
    """`count` events of no length."""
    for number in range(count):
        day = 3 + number % 25
        at.store(name).put(
            f"{number}.ics", event(f"uid-{number}", f"202603{day:02}T0900{number % 60:02}", None)
        )


def empty_unnamed(at: MemoryDesk, name: str) -> None:
    """The calendar lists nothing, and its server names no deletion."""
    at.store(name).resources.clear()
    at.store(name).journal.append("something else")
    at.store(name).forget_tokens()


def starts(at: MemoryDesk, name: str = "b", *, copies: bool = True) -> list[str]:
    """When the calendar's copies are busy, or its other events, in UTC."""
    return [f"{start:%m-%d %H:%M}" for start, _ in at.busy(name, FIRST, LAST, copies=copies)]


def done(report: RunReport) -> list[tuple[str, str]]:
    return [(operation.action, operation.reason) for operation in report.operations]


async def second_account(at: MemoryDesk) -> tuple[str, str]:
    """Another account's connections to the calendars a and b."""
    account = await at.app.account()
    a = await at.app.connect(account, NOWHERE, "http://127.0.0.1:1/a/", email=OWNER)
    b = await at.app.connect(account, NOWHERE, "http://127.0.0.1:1/b/", email=OWNER)
    return a, b


async def sync_anew(at: MemoryDesk, pair: str) -> RunReport:
    """A run that plans, though nothing may have changed."""
    await at.app.change_pair(pair, quiet_until=None)
    return await at.app.sync(pair)


def only(at: MemoryDesk, name: str = "b") -> tuple[str, bytes]:
    """The one resource of a calendar: its name and its data."""
    ((resource, (_, data)),) = at.store(name).resources.items()
    return resource, data


def delete_instance(data: bytes, stamp: str) -> bytes:
    """A series without its instance at this local time, as a person's program leaves it."""
    text = data.decode().replace("\r\n ", "")
    head, *events = text.split("BEGIN:VEVENT")
    tail = events[-1].split("END:VEVENT", 1)[1]
    bodies = [body.split("END:VEVENT", 1)[0] for body in events]
    kept = [body for body in bodies if f"RECURRENCE-ID;TZID=Europe/Berlin:{stamp}" not in body]
    kept[0] += f"EXDATE;TZID=Europe/Berlin:{stamp}\r\n"
    return (head + "\r\n".join(f"BEGIN:VEVENT{body}END:VEVENT" for body in kept) + tail).encode()
