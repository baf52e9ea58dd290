"""What becomes of a series' exceptions when its times or its rule change.

Google says only that "changes are preserved even if the recurring event itself is updated" (Workspace developers'
blog, December 2011) and nothing of exceptions whose original start exists no more, so `Habits.retimed` chooses.
"""

from __future__ import annotations

from . import instances, recurrence, times
from .instances import GONE
from .state import Calendar, Entry, World


def settle_exceptions(world: World, calendar: Calendar, master: Entry) -> None:
    if master.master_id is not None or world.habits.retimed == "keep":
        return
    for exception in calendar.exceptions(master.id):
        if GONE in exception.event:
            continue
        original = exception.event["originalStartTime"]
        same_kind = times.is_date(original) == times.is_date(master.event["start"])
        if not (master.recurring and same_kind and recurrence.occurs(master.event, original)):
            world.put(calendar, exception.id, exception.event | {"status": "cancelled", GONE: True})
        elif world.habits.retimed == "reset":
            world.put(calendar, exception.id, instances.instance(master, original).event)
