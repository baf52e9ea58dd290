"""Rule 17 at Microsoft: what of somebody's own event is changed, and what Graph would take away with it."""

from __future__ import annotations

from typing import Any

import pytest

from calendarsync.domain.amendment import Change
from calendarsync.providers.base import Refused
from calendarsync.providers.microsoft import MicrosoftCalendar
from tests.providers.contract_amend import at, times
from tests.testbed.microsoft import Model

pytestmark = pytest.mark.rule(17)

BERLIN = "W. Europe Standard Time"


def body(**more: Any) -> dict[str, Any]:
    """The first of five Mondays."""
    start, end = ({"dateTime": f"2026-03-02T{hour}:00:00", "timeZone": BERLIN} for hour in ("09", "10"))
    return {"subject": "Theirs", "start": start, "end": end, **more}


WEEKLY = {
    "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "monday"},
    "range": {"type": "numbered", "numberOfOccurrences": 5, "startDate": "2026-03-02"},
}


async def test_the_description_of_an_online_meeting_is_the_meetings(
    microsoft_model: Model, calendar: MicrosoftCalendar, calendar_id: str
) -> None:
    """event-update: a body without the meeting's part takes the meeting away."""
    placed = microsoft_model.place(calendar_id, body(), isOnlineMeeting=True)
    (there,) = await calendar.fetch([placed])
    with pytest.raises(Refused):
        await calendar.amend(placed, there.version, [Change(title="Ours", description="Ours")])
    (same,) = await calendar.fetch([placed])
    assert same == there
    changed = await calendar.amend(placed, there.version, [Change(title="Ours")])
    assert changed.contents[""].title == "Ours"


async def test_nobody_who_is_invited_gets_mail(
    microsoft_model: Model, calendar: MicrosoftCalendar, calendar_id: str
) -> None:
    guest = {"emailAddress": {"address": "ann@example.com", "name": "Ann"}, "type": "required"}
    placed = microsoft_model.place(calendar_id, body(attendees=[guest]))
    (there,) = await calendar.fetch([placed])
    with pytest.raises(Refused):
        await calendar.amend(placed, there.version, [Change(title="Ours")])


async def test_an_instance_that_would_pass_its_neighbour_is_refused(
    microsoft_model: Model, calendar: MicrosoftCalendar, calendar_id: str
) -> None:
    """event-update: ErrorOccurrenceCrossingBoundary."""
    placed = microsoft_model.place(calendar_id, body(recurrence=WEEKLY))
    (there,) = await calendar.fetch([placed])
    beyond = Change(original=at(9, 9), usual=times(9, 9), times=times(17, 9))
    with pytest.raises(Refused):
        await calendar.amend(placed, there.version, [beyond])
    (same,) = await calendar.fetch([placed])
    assert same == there


async def test_an_instance_that_is_not_there_is_refused(
    microsoft_model: Model, calendar: MicrosoftCalendar, calendar_id: str
) -> None:
    placed = microsoft_model.place(calendar_id, body(recurrence=WEEKLY))
    (there,) = await calendar.fetch([placed])
    with pytest.raises(Refused):
        await calendar.amend(
            placed, there.version, [Change(original=at(10, 9), usual=times(10, 9), title="Ours")]
        )
