"""What reading and writing cost in HTTP requests."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest

from calendarsync.domain.copy import Copy
from calendarsync.domain.event import EventTime, Recurrence
from calendarsync.net import HttpClient
from calendarsync.providers.google import GoogleCalendar
from tests.providers.contract import MARK, Mirror, component, copy_of, id_of
from tests.providers.google.helpers import GooglePerson, opened
from tests.providers.tokens import GrantTokens
from tests.testbed.google import Account, Model

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
    """HTTP requests that wrote: calls by themselves, and batches with a write in them."""
    count, within = 0, False
    for call in model.seen:
        writes = call.method.endswith((".insert", ".patch", ".delete"))
        if call.part:
            within |= writes
        elif call.method == "batch":
            count += within
            within = False
        else:
            count += writes
    return count


async def test_a_weekly_series_with_a_moved_instance_is_written_with_two_requests(
    google_model: Model, calendar: GoogleCalendar
) -> None:
    await calendar.create(a_year())
    assert (writes_of(google_model), calendar.requests) == (2, 3)


@pytest.mark.parametrize(
    ("changed", "writes", "requests"),
    [
        (a_year(title="Renamed"), 2, 5),
        (a_year(to=16), 2, 5),
        (replace(a_year(), color="tomato"), 1, 3),
        (replace(a_year(), overrides=()), 2, 5),
        (a_year(hour=11), 2, 5),
    ],
    ids=["renamed", "instance moved on", "colour", "instance put back", "all moved"],
)
async def test_one_edit_of_it(
    google_model: Model, calendar: GoogleCalendar, changed: Copy, writes: int, requests: int
) -> None:
    written = await calendar.create(a_year())
    google_model.seen.clear()
    before = calendar.requests
    await calendar.update(written.id, written.version, changed)
    assert (writes_of(google_model), calendar.requests - before) == (writes, requests)


async def test_one_edit_of_a_plain_series(google_model: Model, calendar: GoogleCalendar) -> None:
    plain = replace(a_year(), overrides=())
    written = await calendar.create(plain)
    assert calendar.requests == 1
    moved = replace(a_year(hour=11), overrides=())
    await calendar.update(written.id, written.version, moved)
    assert (writes_of(google_model), calendar.requests) == (2, 3)


async def test_five_hundred_new_events_go_in_ten_requests(
    google_model: Model, calendar: GoogleCalendar, person: GooglePerson
) -> None:
    copies = [copy_of(id_of(f"copy{number}")) for number in range(500)]
    await asyncio.gather(*(calendar.create(copy) for copy in copies))
    assert calendar.requests == 10
    assert person.events().keys() == {copy.id for copy in copies}


async def test_fifty_series_share_their_requests(calendar: GoogleCalendar) -> None:
    copies = [replace(a_year(), id=id_of(f"series{number}")) for number in range(50)]
    await asyncio.gather(*(calendar.create(copy) for copy in copies))
    assert calendar.requests == 3


async def test_a_reading_of_many_changed_series(mirror: Mirror, person: GooglePerson) -> None:
    ids = [person.put(summary="Weekly", recurrence=["RRULE:FREQ=WEEKLY"]) for _ in range(60)]
    first = await mirror.refresh()
    assert first.requests == 1
    for name in ids:
        person.change(f"{name}_20260309T080000Z", summary="Other")
    again = await mirror.refresh()
    assert set(again.changed) == set(ids)
    assert again.requests == 1 + 2


async def test_a_deleted_series_costs_nothing_more(mirror: Mirror, person: GooglePerson) -> None:
    written = await mirror.calendar.create(a_year())
    await mirror.refresh()
    await person.remove(written.id)
    again = await mirror.refresh()
    assert again.removed == {written.id}
    assert again.requests == 1


async def test_a_grant_has_four_requests_under_way_whatever_its_calendars(
    client: HttpClient, google_model: Model, account: Account
) -> None:
    tokens = GrantTokens(account)
    under_way, most = 0, 0
    sent = client.request

    async def counted(*args: object, **given: object) -> object:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await sent(*args, **given)  # type: ignore[arg-type]
        finally:
            under_way -= 1

    client.request = counted  # type: ignore[method-assign,assignment]
    calendars = [
        opened(client, google_model, account, google_model.make_calendar(account), tokens=tokens)
        for _ in range(3)
    ]
    writes = (each.create(copy_of(id_of(f"copy{n}"))) for each in calendars for n in range(200))
    await asyncio.gather(*writes)
    assert most == 4
