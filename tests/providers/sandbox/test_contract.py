"""The contract of all providers, and what the sandbox does beside it: tombstones, re-used ids, faults."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from calendarsync.domain.event import Response
from calendarsync.providers.base import (
    CalendarNotFound,
    Changed,
    NotAuthorized,
    ProviderError,
    RateLimited,
    Refused,
    Unavailable,
)
from calendarsync.providers.sandbox import Attendee, SandboxCalendar
from calendarsync.store import sandbox as store
from calendarsync.store.tenancy import Tenant
from tests.providers.contract import COPY_ID, CalendarContract, Mirror, copy_of, series_of
from tests.providers.contract_amend import AmendContract
from tests.testbed.sandbox import SandboxPerson, meeting


class TestSandbox(CalendarContract):
    pass


class TestSandboxAmends(AmendContract):
    pass


async def test_a_deletion_is_named_and_its_id_may_be_used_again(calendar: SandboxCalendar) -> None:
    mirror = Mirror(calendar)
    mirror.note(await calendar.create(copy_of()))
    await mirror.refresh()
    (written,) = mirror.resources.values()
    await calendar.delete(written.id, written.version)
    gone = await mirror.refresh()
    assert gone.reading.listed is None
    assert gone.removed == {written.id}
    again = await calendar.create(copy_of())
    assert again.id == written.id
    assert again.version != written.version
    assert (await mirror.refresh()).changed == {again.id: again}


async def test_more_deletions_than_are_remembered_lead_to_a_full_listing(
    person: SandboxPerson, calendar: SandboxCalendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_TOMBSTONES", 2)
    ids = [await person.add(f"Event {number}") for number in range(4)]
    mirror = Mirror(calendar)
    await mirror.refresh()
    for event_id in ids[:2]:
        await person.remove(event_id)
    assert (await mirror.refresh()).reading.listed is None
    await person.remove(ids[2])
    last = await mirror.refresh()
    assert last.reading.listed == {ids[3]}
    assert last.removed == {ids[2]}
    assert last.changed == {}


async def test_the_owners_response_is_that_of_the_calendars_addresses(person: SandboxPerson) -> None:
    event = meeting("sbe_1", "Review")
    people = (
        Attendee("You@Example.com", "", Response.DECLINED),
        Attendee("ann@example.com", "Ann", Response.ACCEPTED),
    )
    await person.put(replace(event, master=replace(event.master, attendees=people)))
    (mine,) = await person.open("you@example.com").fetch(["sbe_1"])
    (nobodys,) = await person.open().fetch(["sbe_1"])
    assert mine.components[0].response is Response.DECLINED
    assert nobodys.components[0].response is None
    assert mine.components[0].has_attendees
    assert mine.contents[""].attendees == ("You@Example.com", "Ann")


async def test_of_writes_at_once_on_one_version_one_wins(calendar: SandboxCalendar) -> None:
    made = await calendar.create(copy_of())
    writes = (calendar.update(made.id, made.version, copy_of(title=f"Title {n}")) for n in range(5))
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(result, Changed) for result in results) == 4


async def test_a_calendar_that_is_full_takes_no_more(
    person: SandboxPerson, calendar: SandboxCalendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await calendar.create(copy_of())
    monkeypatch.setattr("calendarsync.store.sandbox.MAX_BYTES", 10)
    with pytest.raises(Refused):
        await calendar.create(series_of())
    with pytest.raises(Refused):
        await calendar.update(COPY_ID, there.version, copy_of())
    assert [event.id for event in await person.events()] == [COPY_ID]
    await calendar.delete(COPY_ID, there.version)
    assert await person.events() == []


async def test_another_tenant_does_not_see_it(person: SandboxPerson) -> None:
    for tenant in (Tenant(person.tenant.account_id, "live"), Tenant("acct_other", "test")):
        stranger = SandboxCalendar(person.db, tenant, person.calendar)
        with pytest.raises(CalendarNotFound):
            await stranger.fetch(["anything"])
        with pytest.raises(CalendarNotFound):
            await stranger.create(copy_of())


@pytest.mark.parametrize(
    ("kind", "error"),
    [("expire", NotAuthorized), ("rate_limit", RateLimited), ("server_error", Unavailable)],
)
async def test_a_fault_meets_as_many_requests_as_were_said(
    person: SandboxPerson, calendar: SandboxCalendar, kind: str, error: type[ProviderError]
) -> None:
    await person.order((kind, 2))
    with pytest.raises(error) as met:
        await calendar.create(copy_of())
    assert met.value.retry_after == (60 if kind == "rate_limit" else None)
    assert await person.waiting() == [{"kind": kind, "times": 1}]
    with pytest.raises(error):
        await Mirror(calendar).refresh()
    assert await person.waiting() == []
    await calendar.create(copy_of())
    assert [event.id for event in await person.events()] == [COPY_ID]


async def test_faults_meet_requests_at_once_no_more_often_than_was_said(
    person: SandboxPerson, calendar: SandboxCalendar
) -> None:
    await person.order(("server_error", 3))
    results = await asyncio.gather(*(calendar.fetch(["x"]) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(result, Unavailable) for result in results) == 3


async def test_a_slow_answer_is_an_answer(person: SandboxPerson, calendar: SandboxCalendar) -> None:
    await person.order(("slow", 1))
    await calendar.create(copy_of())
    await calendar.fetch([COPY_ID])
    assert person.waits == [5.0]


async def test_a_lost_token_costs_a_full_listing_and_fetches_nothing_anew(
    person: SandboxPerson, calendar: SandboxCalendar
) -> None:
    await person.add("Standup")
    mirror = Mirror(calendar)
    await mirror.refresh()
    await person.order(("lose_token", 1))
    mirror.note(await calendar.create(series_of()))
    assert await person.waiting(), "only a reading has a token to lose"
    lost = await mirror.refresh()
    assert lost.reading.listed == set(mirror.resources)
    assert (lost.changed, lost.removed, lost.requests) == ({}, set(), 1)
    assert (await mirror.refresh()).reading.listed is None
