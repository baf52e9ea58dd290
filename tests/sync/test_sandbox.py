"""The engine between two sandbox calendars: they come into step whatever stands in them, and go by their clock."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from calendarsync.domain.copy import Copy
from calendarsync.domain.event import EventTime, Resource, Response
from calendarsync.providers.icalendar import read_resource
from calendarsync.providers.sandbox import Attendee, Event, Part, SandboxCalendar
from calendarsync.store.tables import accounts, connections, failures, pairs
from tests.sync.helpers import done
from tests.sync.test_properties import FIRST, LAST, QUICK, WINDOW, calendars
from tests.testbed.sandbox import OWNER, SandboxDesk, meeting, sandbox_desk


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[SandboxDesk]:
    async with sandbox_desk(database_url) as desk:
        yield desk


def kept(name: str, data: str) -> Event:
    """What the sandbox keeps of an iCalendar resource."""
    resource = read_resource(name, None, data.encode(), owner=frozenset())
    parts = [
        Part(component, resource.contents[component.original].title) for component in resource.components
    ]
    return Event(name, resource.uid, parts[0], tuple(parts[1:]))


def on_day(event_id: str, days: int) -> Event:
    """A meeting so many days after the tests' clock begins."""
    event = meeting(event_id, "Later")
    start, end = (
        EventTime(datetime(2026, 3, 2, hour) + timedelta(days=days), "Europe/Berlin") for hour in (9, 10)
    )
    return replace(
        event, master=replace(event.master, component=replace(event.master.component, start=start, end=end))
    )


async def advance(at: SandboxDesk, days: int) -> None:
    """The account's clock, without what else POST /sandbox/clock does."""
    async with at.app.db.write() as db:
        await db.execute(update(accounts).values(test_clock_seconds=days * 86_400))


async def in_step(at: SandboxDesk) -> None:
    for here, there in ("ab", "ba"):
        assert await at.busy(there, FIRST, LAST, copies=True) == await at.busy(
            here, FIRST, LAST, copies=False
        )


@QUICK
@given(calendars("a"), calendars("b"), calendars("a"), st.booleans())
def test_rules_14_and_15_any_sandboxes_come_into_step_and_stay(
    first: dict[str, str], other: dict[str, str], then: dict[str, str], lost: bool
) -> None:
    async def story(folder: Path) -> None:
        async with sandbox_desk(folder) as at:
            for name, calendar in (("a", first), ("b", other)):
                for uid, data in calendar.items():
                    await at.people[name].put(kept(uid, data))
            pair = await at.pair(**WINDOW)
            await at.app.sync(pair)
            await in_step(at)
            for uid in first.keys() - then.keys():
                await at.people["a"].remove(uid)
            for uid, data in then.items():
                await at.people["a"].put(kept(uid, data))
            if lost:
                await at.people["a"].order(("lose_token", 1))
            await at.app.sync(pair)
            await in_step(at)
            before = [await at.people[name].events() for name in "ab"]
            await at.app.change_pair(pair, quiet_until=None)
            assert (await at.app.sync(pair)).operations == ()
            assert [await at.people[name].events() for name in "ab"] == before

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(story(Path(folder)))


async def test_copies_stand_marked_beside_the_sources(at: SandboxDesk) -> None:
    await at.people["a"].put(meeting("sbe_1", "Review"))
    pair = await at.pair(sync_mode="full")
    report = await at.app.sync(pair)
    assert (report.events_created, report.provider_requests) == (1, 4)
    (copy,) = await at.events("b", copies=True)
    assert (copy.id, copy.master.title) == (copy.uid, "Review")
    again = await at.app.sync(pair)
    assert (again.operations, again.provider_requests) == ((), 2)


async def test_rule_6_what_the_owner_declined_is_not_copied(at: SandboxDesk) -> None:
    event = meeting("sbe_1", "Review")
    answers = {"sbe_1": Response.DECLINED, "sbe_2": Response.ACCEPTED}
    for event_id, response in answers.items():
        people = (Attendee(OWNER.upper(), "", response),)
        master = replace(
            event.master, component=replace(event.master.component, uid=event_id), attendees=people
        )
        await at.people["a"].put(Event(event_id, event_id, master))
    assert (await at.app.sync(await at.pair())).events_created == 1


async def test_rule_25_an_expired_grant_is_not_asked_again(at: SandboxDesk) -> None:
    pair = await at.pair()
    await at.people["b"].order(("expire", 1))
    for _ in range(2):
        report = await at.app.run(pair)
        assert report.error is not None
        assert report.error.code == "not_authorized"
    assert (await at.app.row(connections, at.connections["b"])).status == "expired"
    assert (await at.app.row(connections, at.connections["a"])).status == "active"


async def test_rule_24_a_wait_is_the_calendars_own(at: SandboxDesk) -> None:
    pair = await at.pair()
    await at.people["b"].order(("rate_limit", 1))
    assert (await at.app.run(pair)).status == "failed"
    until = (await at.app.row(connections, at.connections["b"])).not_before
    assert until == at.app.clock() + timedelta(seconds=60)
    assert (await at.app.row(connections, at.connections["a"])).not_before is None
    at.app.clock.advance(seconds=61)
    await at.app.sync(pair)


async def test_rule_7_the_window_slides_with_the_accounts_clock(at: SandboxDesk) -> None:
    await at.people["a"].put(on_day("sbe_later", 40))
    pair = await at.pair(future_days=30)
    assert (await at.app.sync(pair)).events_created == 0
    await at.app.change_pair(pair, quiet_until=None)
    await advance(at, 15)
    assert (await at.app.sync(pair)).events_created == 1


async def test_a_clock_that_is_moved_during_a_run_is_seen_by_the_next(
    at: SandboxDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = SandboxCalendar.create

    async def create_late(calendar: SandboxCalendar, copy: Copy) -> Resource:
        await advance(at, 15)
        return await create(calendar, copy)

    monkeypatch.setattr(SandboxCalendar, "create", create_late)
    await at.people["a"].put(meeting("sbe_now", "Review"))
    await at.people["a"].put(on_day("sbe_later", 40))
    pair = await at.pair(future_days=30)
    assert (await at.app.sync(pair)).events_created == 1
    assert (await at.app.sync(pair)).events_created == 1


async def test_live_pairs_go_by_the_real_clock(at: SandboxDesk) -> None:
    await at.people["a"].put(on_day("sbe_later", 40))
    pair = await at.pair(future_days=30)
    await at.app.change_pair(pair, mode="live")
    await advance(at, 15)
    assert (await at.app.sync(pair)).events_created == 0


async def test_rule_22_what_failed_is_tried_again_by_the_accounts_clock(
    at: SandboxDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calendarsync.providers.sandbox.calendar.MAX_EVENTS", 0)
    await at.people["a"].put(on_day("sbe_1", 10))
    pair = await at.pair()
    await advance(at, 3)
    assert (await at.app.run(pair)).status == "partial"
    async with at.app.db.read() as db:
        (failure,) = (await db.execute(failures.select())).all()
    assert failure.retry_at == at.app.clock() + timedelta(days=4)
    monkeypatch.undo()
    await at.app.change_pair(pair, quiet_until=None)
    assert done(await at.app.run(pair)) == [("skip", "refused_by_provider")]
    await advance(at, 5)
    assert (await at.app.sync(pair)).events_created == 1


async def test_rule_20_a_pair_goes_and_its_copies_with_it(at: SandboxDesk) -> None:
    await at.people["a"].put(meeting("sbe_1", "Review"))
    pair = await at.pair()
    await at.app.sync(pair)
    await at.app.change_pair(pair, removal="keep")
    await at.app.sync(pair)
    assert await at.app.row(pairs, pair) is None
    (left,) = await at.people["b"].events()
    assert (left.mark, left.master.title) == (None, "Busy")
