"""Deletions that came of what is not read: behind a window, before a series, or after an answer that failed.

A docstring names the issue that a test stems from, and what happened there (rules 7, 13, 16 and 26).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.sync.helpers import WEEKLY, done
from tests.sync.stories import days, fill, forget_tokens, on, stamp
from tests.testbed.desk import Desk
from tests.testbed.events import event
from tests.testbed.google_keeper import GoogleKeeper
from tests.testbed.microsoft import Fault as MicrosoftFault
from tests.testbed.microsoft_keeper import MicrosoftKeeper

BOTH, EVERYWHERE = (
    pytest.mark.parametrize("between", pairs, ids="-".join, indirect=True)
    for pairs in (
        [("google", "microsoft"), ("microsoft", "google")],
        [("google", "microsoft"), ("microsoft", "google"), ("radicale", "google")],
    )
)


@pytest.mark.rule(7)
@pytest.mark.rule(26)
@BOTH
async def test_ogcs_1194_an_event_that_leaves_the_window_and_comes_back(between: Desk) -> None:
    """OutlookGoogleCalendarSync #1194: an event was moved beyond the window, and its copy deleted; when time had
    brought it in, it counted as one whose copy a person had deleted, and was deleted itself."""
    at = between
    at.put_a("moves", on(4, "moves"))
    at.put_a("stays", on(5, "stays"))
    pair = await at.pair(future_days=30)
    await at.app.sync(pair)
    at.put_a("moves", event("moves", "20260510T090000", "20260510T100000"))
    await at.app.sync(pair)
    assert days(at) == [5]
    for _ in range(5):
        at.app.clock.advance(days=10)
        await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    assert set(at.read(at.a)) == {"moves.ics", "stays.ics"}
    assert (await at.app.sync(pair)).operations == ()


@pytest.mark.rule(7)
@pytest.mark.rule(26)
@EVERYWHERE
async def test_ogcs_1292_a_series_whose_beginning_falls_behind_the_window(between: Desk) -> None:
    """OutlookGoogleCalendarSync #1292: on the day on which the first instance of a series fell behind the window,
    the series was to be deleted at the other side, where nobody had touched it."""
    at = between
    at.put_a("series", event("series", extra="RRULE:FREQ=DAILY;COUNT=15"))
    pair = await at.pair(past_days=3)
    await at.app.sync(pair)
    stood = at.versions(at.b)
    for _ in range(7):
        at.app.clock.advance(days=4)
        await at.app.change_pair(pair, quiet_until=None)
        assert (await at.app.sync(pair)).operations == ()
    assert at.versions(at.b) == stood
    assert len(at.busy(at.b, copies=True)) == 15


@pytest.mark.rule(13)
@EVERYWHERE
async def test_ogcs_1227_the_first_instance_of_a_series_is_deleted(between: Desk) -> None:
    """OutlookGoogleCalendarSync #1227: somebody deleted the first instance of a weekly series, which was past; the
    whole series was to be deleted at the other side."""
    at = between
    at.put_a("series", event("series", extra=WEEKLY))
    pair = await at.pair()
    await at.app.sync(pair)
    at.app.clock.advance(days=4)
    at.put_a("series", event("series", extra=f"{WEEKLY}\nEXDATE;TZID=Europe/Berlin:{stamp(4)}"))
    for _ in range(2):
        await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    assert len(at.read(at.b)) == 1
    assert len(at.read(at.a)) == 1
    assert (await at.app.sync(pair)).operations == ()


@pytest.mark.rule(26)
@BOTH
async def test_keeper_199_a_full_listing_that_breaks_off(between: Desk) -> None:
    """keeper.sh #199: where a sync token was lost, what was known of the source was deleted first and read again
    then; until that had come to its end, copies went."""
    at = between
    for keeper in services(at):
        keeper.model.habits.page_limit = 3
    fill(at, range(3, 13))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    stood = at.versions(at.b)
    at.delete(at.a, "8.ics")
    await forget_tokens(at)
    for listed in range(4):
        broken = break_off(at, after=listed)
        report = await at.app.run(pair)
        assert (report.status, report.events_deleted) == ("failed", 0)
        assert broken.met > 0
        at.app.clock.advance(minutes=30)
    assert at.versions(at.b) == stood
    mend(at)
    assert done(await at.app.sync(pair)) == [("delete", "source_deleted")]


def break_off(at: Desk, *, after: int) -> Any:
    """The calendar a is listed for so many requests, and then no more: the fault that comes then."""
    source = at.keepers[at.a]
    mend(at)
    if isinstance(source, GoogleKeeper):
        source.model.fail(None, method="events.list", calendar=at.a, times=after)
        return source.model.fail(503, method="events.list", calendar=at.a, times=9)
    assert isinstance(source, MicrosoftKeeper)
    path, email = "calendarView/delta", source.account.email
    source.model.faults.order(MicrosoftFault(path=path, email=email, times=after))
    return source.model.faults.order(MicrosoftFault(status=503, path=path, email=email, times=9))


def mend(at: Desk) -> None:
    for keeper in services(at):
        keeper.model.faults.clear()


def services(at: Desk) -> list[GoogleKeeper | MicrosoftKeeper]:
    return [each for each in at.keepers.values() if isinstance(each, GoogleKeeper | MicrosoftKeeper)]
