"""What reading and writing cost in HTTP requests."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest

from calendarsync.domain.copy import Copy
from calendarsync.domain.event import EventTime, Recurrence
from calendarsync.net import HttpClient
from calendarsync.providers.microsoft import MicrosoftCalendar
from tests.providers.contract import MARK, Mirror, component, copy_of, id_of
from tests.providers.microsoft.helpers import GraphPerson, opened, weekly
from tests.providers.tokens import GrantTokens
from tests.testbed.microsoft import Account, Model

ZONE = "Europe/Berlin"


def a_year(*, title: str = "Weekly", hour: int = 9, to: int = 14) -> Copy:
    """52 Mondays, one of them moved to a Tuesday at the hour `to`."""
    recurrence = Recurrence(("FREQ=WEEKLY;COUNT=52",))
    moved = component(
        title,
        start=EventTime(datetime(2026, 3, 10, to), ZONE),
        end=EventTime(datetime(2026, 3, 10, to + 1), ZONE),
        recurrence_id=EventTime(datetime(2026, 3, 9, hour), ZONE),
    )
    return Copy(id_of("year"), MARK, component(title, hour=hour, recurrence=recurrence), (moved,))


def writes_of(model: Model) -> int:
    """HTTP requests that wrote: by themselves, or batches with a write in them, which follow their parts."""
    count, within = 0, False
    for seen in model.seen:
        writes = seen.method in ("POST", "PATCH", "DELETE") and seen.path != "/$batch"
        if seen.part:
            within |= writes
        elif seen.path == "/$batch":
            count += within
            within = False
        else:
            count += writes
    return count


async def test_a_weekly_series_with_a_moved_instance_is_written_with_two_requests(
    microsoft_model: Model, calendar: MicrosoftCalendar
) -> None:
    await calendar.create(a_year())
    assert (writes_of(microsoft_model), calendar.requests) == (2, 4)


@pytest.mark.parametrize(
    ("changed", "writes", "requests"),
    [
        (a_year(title="Renamed"), 1, 3),
        (a_year(to=16), 1, 3),
        (replace(a_year(), reminders=(10,)), 1, 3),
        (replace(a_year(), overrides=()), 1, 3),
        # The series is read again between the two, for what became of its exceptions.
        (a_year(hour=11), 2, 6),
    ],
    ids=["renamed", "instance moved on", "reminder", "instance put back", "all moved"],
)
async def test_one_edit_of_it(
    microsoft_model: Model, calendar: MicrosoftCalendar, changed: Copy, writes: int, requests: int
) -> None:
    written = await calendar.create(a_year())
    microsoft_model.seen.clear()
    before = calendar.requests
    await calendar.update(written.id, written.version, changed)
    assert (writes_of(microsoft_model), calendar.requests - before) == (writes, requests)


async def test_one_edit_of_a_plain_series(microsoft_model: Model, calendar: MicrosoftCalendar) -> None:
    written = await calendar.create(replace(a_year(), overrides=()))
    assert calendar.requests == 1
    await calendar.update(written.id, written.version, replace(a_year(hour=11), overrides=()))
    assert (writes_of(microsoft_model), calendar.requests) == (2, 3)


async def test_five_hundred_new_events_go_in_twenty_five_requests(
    calendar: MicrosoftCalendar, microsoft_model: Model, account: Account
) -> None:
    copies = [copy_of(id_of(f"copy{number}")) for number in range(500)]
    made = await asyncio.gather(*(calendar.create(copy) for copy in copies))
    assert calendar.requests == 25
    assert {each.uid for each in made} == {copy.id for copy in copies}
    assert microsoft_model.peak(account) <= 4


async def test_series_share_their_requests(calendar: MicrosoftCalendar) -> None:
    copies = [replace(a_year(), id=id_of(f"series{number}")) for number in range(10)]
    await asyncio.gather(*(calendar.create(copy) for copy in copies))
    # All created, then all looked at (20), written (20) and read.
    assert calendar.requests == 4


async def test_no_batch_holds_more_than_twenty_parts(calendar: MicrosoftCalendar) -> None:
    """What has to be done in order stays together: seven times three parts are two batches."""
    hole = EventTime(datetime(2026, 3, 16, 9), ZONE)
    recurrence = Recurrence(("FREQ=WEEKLY;COUNT=52",), exdates=(hole,))
    holed = replace(a_year(), master=component("Weekly", recurrence=recurrence))
    copies = [replace(holed, id=id_of(f"series{number}")) for number in range(7)]
    await asyncio.gather(*(calendar.create(copy) for copy in copies))
    # Made, looked into (21), written (18 and 3), and read as the batches come back: together, if both do at once.
    assert calendar.requests - (1 + 2 + 2) in (1, 2)


async def test_a_series_becomes_a_single_event_with_one_write(
    microsoft_model: Model, calendar: MicrosoftCalendar
) -> None:
    written = await calendar.create(a_year())
    microsoft_model.seen.clear()
    before = calendar.requests
    await calendar.update(written.id, written.version, copy_of(written.uid))
    assert (writes_of(microsoft_model), calendar.requests - before) == (1, 2)


async def test_a_reading_of_many_changed_series(mirror: Mirror, person: GraphPerson) -> None:
    ids = [person.put(subject="Weekly", **weekly()) for _ in range(50)]
    first = await mirror.refresh()
    assert set(first.changed) == set(ids)
    # A page of at most 500 rows, of which each series has six here, and 50 series in batches of 20.
    assert first.requests == 1 + 3
    for name in ids:
        await person.edit(name, "Other")
    again = await mirror.refresh()
    assert set(again.changed) == set(ids)
    assert again.requests == 1 + 3


async def test_a_change_of_somebody_costs_one_request_more(mirror: Mirror, person: GraphPerson) -> None:
    """It might be a copy: the row shows no transactionId, and that is not relied on."""
    name = await person.add("Standup")
    await mirror.refresh()
    await person.edit(name, "Standup, moved")
    assert (await mirror.refresh()).requests == 2


async def test_a_first_reading_asks_only_for_the_marks_that_are_there(
    mirror: Mirror, person: GraphPerson, calendar: MicrosoftCalendar
) -> None:
    await asyncio.gather(*(calendar.create(copy_of(id_of(f"copy{number}"))) for number in range(20)))
    for number in range(60):
        await person.add(f"Event {number}")
    first = await mirror.refresh()
    assert sum(each.mark == MARK for each in first.changed.values()) == 20
    # The rows, one listing of what has the property, and twenty events.
    assert first.requests == 3


async def test_a_mailbox_has_four_requests_under_way_whatever_its_calendars(
    client: HttpClient, microsoft_model: Model, account: Account
) -> None:
    tokens = GrantTokens(account)
    calendars = [
        opened(client, microsoft_model, account, microsoft_model.make_calendar(account, name), tokens=tokens)
        for name in ("One", "Two", "Three", "Four", "Five", "Six")
    ]
    microsoft_model.latency = 0.01
    writes = [
        each.create(copy_of(id_of(f"{place} {number}")))
        for place, each in enumerate(calendars)
        for number in range(3)
    ]
    await asyncio.gather(*writes, *(Mirror(each).refresh() for each in calendars))
    assert microsoft_model.peak(account) == 4
    assert all(seen.status < 400 for seen in microsoft_model.seen)
