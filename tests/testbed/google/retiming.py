"""What becomes of a series' exceptions when the series changes.

Google says only that "changes are preserved even if the recurring event itself is updated" (Workspace developers'
blog, December 2011), nothing of exceptions whose original start exists no more, and nothing of fields that an
exception never changed, so `Habits.retimed` and `Habits.follow` choose.
"""

from __future__ import annotations

from typing import Any

from . import instances, recurrence, times
from .instances import GONE
from .state import Calendar, Entry, World

_OF_THE_SERIES = ("start", "end", "recurrence", "status", "created", "updated", "sequence", "reminders")


def follow(world: World, calendar: Calendar, master: Entry, before: dict[str, Any]) -> None:
    """What exceptions had in common with their series, they have in common with it again."""
    after = master.event
    names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    names -= {*_OF_THE_SERIES}
    for exception in calendar.exceptions(master.id):
        event = exception.event
        common = {name for name in names if event.get(name) == before.get(name)}
        if common and world.habits.follow and not exception.cancelled:
            kept = {name: value for name, value in event.items() if name not in common}
            world.put(calendar, exception.id, kept | {name: after[name] for name in common if name in after})


def settle_exceptions(world: World, calendar: Calendar, master: Entry) -> None:
    """After a series changed its times. Where it becomes all-day, or timed, its exceptions go in any case."""
    if master.master_id is not None:
        return
    habit = world.habits.retimed
    for exception in calendar.exceptions(master.id):
        if GONE in exception.event:
            continue
        original = exception.event["originalStartTime"]
        same_kind = master.recurring and times.is_date(original) == times.is_date(master.event["start"])
        there = same_kind and recurrence.occurs(master.event, original)
        if not there and not (same_kind and habit == "keep"):
            world.put(calendar, exception.id, exception.event | {"status": "cancelled", GONE: True})
        elif there and habit == "reset":
            world.put(calendar, exception.id, instances.instance(master, original).event)
