"""Rule 17 at Google: what of somebody's own event is changed, and how it is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from calendarsync.domain.amendment import Change
from calendarsync.providers.base import Refused
from calendarsync.providers.google import GoogleCalendar
from tests.providers.contract_amend import at, times
from tests.providers.google.helpers import GooglePerson, timed

pytestmark = pytest.mark.rule(17)

WEEKLY = ["RRULE:FREQ=WEEKLY;COUNT=5"]
MEET = {"conferenceSolution": {"key": {"type": "hangoutsMeet"}}, "conferenceId": "abc-defg-hij"}


async def test_what_is_not_named_stays_whatever_it_is(person: GooglePerson, calendar: GoogleCalendar) -> None:
    kept = {"colorId": "5", "extendedProperties": {"private": {"theirs": "1"}, "shared": {"all": "2"}}}
    placed = person.put(summary="Theirs", description="Text", conferenceData=MEET, **timed(), **kept)
    before = person.events()[placed]
    (there,) = await calendar.fetch([placed])
    await calendar.amend(placed, there.version, [Change(title="Ours", times=times(3, 11))])
    after = person.events()[placed]
    changed = {"summary", "start", "end", "etag", "updated", "sequence"}
    assert {name: after[name] for name in after.keys() - changed} == {
        name: before[name] for name in before.keys() - changed
    }
    assert after["summary"] == "Ours"
    assert after["start"] == {"dateTime": "2026-03-03T11:00:00+01:00", "timeZone": "Europe/Berlin"}


async def test_an_instance_that_was_deleted_is_refused(
    person: GooglePerson, calendar: GoogleCalendar
) -> None:
    placed = person.put(summary="Weekly", recurrence=WEEKLY, **timed())
    await person.remove(f"{placed}_20260309T080000Z")
    (there,) = await calendar.fetch([placed])
    gone = Change(original=at(9, 9), usual=times(9, 9), title="Ours")
    with pytest.raises(Refused):
        await calendar.amend(placed, there.version, [gone])
    with pytest.raises(Refused):
        await calendar.amend(placed, there.version, [replace(gone, original=at(10, 9))])
    (same,) = await calendar.fetch([placed])
    assert same == there
