"""Whether the sync did what the demo shows: judged by what the CalDAV server holds, not by our database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from calendarsync.demo.data import HOME, TITLE_OF_COPIES, WORK, Fortnight, Sample
from calendarsync.demo.server import Owner, Shown

OTHER = {WORK: HOME, HOME: WORK}
_SPAN = timedelta(days=14)


@dataclass(frozen=True)
class Outcome:
    """What became of one sample: how often it occurs in the fortnight, and the copies at just those times."""

    sample: Sample
    times: int
    copies: int
    entries: int
    """Resources that hold these copies: one for a whole series."""

    @property
    def as_expected(self) -> bool:
        wanted = (0, 0) if self.sample.left_out else (self.times, 1)
        return self.times > 0 and (self.copies, self.entries) == wanted


@dataclass(frozen=True)
class Reading:
    """Both calendars as the server showed them, and the copies' stored data."""

    shown: Mapping[str, Sequence[Shown]]
    stored: Mapping[str, Mapping[str, bytes]]

    def outcome(self, sample: Sample) -> Outcome:
        own = [event for event in self.shown[sample.calendar] if event.resource == sample.resource]
        times = {(event.start, event.end) for event in own}
        copies = [
            event for event in self.copies_in(OTHER[sample.calendar]) if (event.start, event.end) in times
        ]
        return Outcome(sample, len(own), len(copies), len({event.resource for event in copies}))

    def copies_in(self, calendar: str) -> list[Shown]:
        return [event for event in self.shown[calendar] if event.copy]

    def problems(self, fortnight: Fortnight) -> list[str]:
        """What is not as it should be, in words; empty where all is well."""
        found = [
            f"{outcome.sample.title!r} occurs {outcome.times} times and has {outcome.copies} copies"
            for outcome in map(self.outcome, fortnight.samples)
            if not outcome.as_expected
        ]
        for calendar in OTHER:
            found += self._wrong_times(calendar)
            found += self._leaks(calendar, fortnight)
        return found

    def _wrong_times(self, target: str) -> list[str]:
        """The copies' times against all that the other calendar blocks, less meetings that both hold."""
        busy_here = {event.uid for event in self.shown[target] if event.busy and not event.copy}
        wanted = sorted(
            f"{event.start} to {event.end}"
            for event in self.shown[OTHER[target]]
            if event.busy and not event.copy and event.uid not in busy_here
        )
        there = sorted(f"{event.start} to {event.end}" for event in self.copies_in(target))
        return (
            [] if wanted == there else [f"{target} should hold copies at {wanted}, and holds them at {there}"]
        )

    def _leaks(self, target: str, fortnight: Fortnight) -> list[str]:
        titles = [sample.title for sample in fortnight.samples if sample.calendar == OTHER[target]]
        copies = {event.resource for event in self.copies_in(target)}
        found = [
            f'the title "{title}" stands in a copy in {target}'
            for title in titles
            if any(title.encode() in self.stored[target][resource] for resource in copies)
        ]
        named = {event.title for event in self.copies_in(target)} - {TITLE_OF_COPIES}
        return found + [f'a copy in {target} is called "{title}"' for title in sorted(named)]


def read(owners: Mapping[str, Owner], fortnight: Fortnight) -> Reading:
    start = fortnight.first_moment
    return Reading(
        shown={name: owner.occurrences(start, start + _SPAN) for name, owner in owners.items()},
        stored={name: owner.resources() for name, owner in owners.items()},
    )
