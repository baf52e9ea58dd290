"""Series that people change, one step after another: what `test_recurrence_stories` plays (rules 12 and 13)."""

from __future__ import annotations

from dataclasses import dataclass

from calendarsync.domain.holding import Holder
from tests.testbed.events import vevent
from tests.testbed.memory_desk import OWNER

WEEKLY = "RRULE:FREQ=WEEKLY"


def master(extra: str = WEEKLY, start: str = "20260304T090000", uid: str = "s", **given: str | None) -> str:
    """A meeting of an hour on Wednesdays, at nine in Berlin."""
    end = f"{start[:9]}{int(start[9:11]) + 1:02}{start[11:]}"
    return vevent(uid, start, end, extra=extra, **given)  # type: ignore[arg-type]


def instance(
    original: str,
    start: str = "",
    end: str = "",
    extra: str = "",
    uid: str = "s",
    name: str = "",
    **given: str,
) -> str:
    """An override. `original` is a local time in Berlin; `name` stands for the whole RECURRENCE-ID."""
    start = start or original
    end = end or f"{start[:9]}{int(start[9:11]) + 1:02}{start[11:]}"
    name = name or f"RECURRENCE-ID;TZID=Europe/Berlin:{original}"
    return vevent(uid, start, end, extra=f"{name}\n{extra}", **given)  # type: ignore[arg-type]


THIRD, FOURTH = "20260318T090000", "20260325T090000"
DECLINED = f"ATTENDEE;PARTSTAT=DECLINED:mailto:{OWNER}"


@dataclass(frozen=True)
class Step:
    """What the source calendar holds from now on, by name, and how many writes that may cost at most.

    `google` and `outlook` say so where calendars there hold other forms than CalDAV does.
    """

    holds: dict[str, tuple[str, ...]]
    writes: int = 1
    google: int | None = None
    outlook: int | None = None

    def most(self, holder: Holder) -> int:
        own = {Holder.GOOGLE: self.google, Holder.MICROSOFT: self.outlook}.get(holder)
        return self.writes if own is None else own


def series(*components: str, writes: int = 1, google: int | None = None, outlook: int | None = None) -> Step:
    return Step({"s": components}, writes, google, outlook)


START = series(master())
NOTHING = 0

STORIES: dict[str, list[Step]] = {
    "an instance is moved, moved on and back": [
        START,
        series(master(), instance(THIRD, "20260318T140000")),
        series(master(), instance(THIRD, "20260319T140000")),
        series(master(), instance(THIRD)),
        START,
    ],
    "an instance is moved past the next one and comes back": [
        START,
        series(master(), instance(THIRD, "20260326T140000"), outlook=2),
        series(master(), instance(THIRD, "20260318T140000"), outlook=2),
    ],
    "an instance is made free, and busy again": [
        START,
        series(master(), instance(THIRD, extra="TRANSP:TRANSPARENT")),
        series(master(), instance(THIRD)),
    ],
    "an instance is declined, and accepted": [
        START,
        series(master(), instance(THIRD, extra=DECLINED)),
        series(master(), instance(THIRD, extra=DECLINED.replace("DECLINED", "ACCEPTED"))),
    ],
    "an instance is cancelled, and then left out": [
        START,
        series(master(), instance(THIRD, extra="STATUS:CANCELLED")),
        series(master(f"{WEEKLY}\nEXDATE;TZID=Europe/Berlin:{THIRD}"), writes=NOTHING),
        series(master(f"{WEEKLY}\nEXDATE:20260318T080000Z"), writes=NOTHING),
        START,
    ],
    "an instance is left out twice over, and by its date": [
        START,
        series(master(f"{WEEKLY}\nEXDATE;TZID=Europe/Berlin:{THIRD}\nEXDATE:20260318T080000Z")),
        series(master(f"{WEEKLY}\nEXDATE;VALUE=DATE:20260318"), writes=NOTHING),
    ],
    "a moved instance is left out, and its override dropped": [
        series(master(), instance(THIRD, "20260318T140000")),
        series(master(f"{WEEKLY}\nEXDATE;TZID=Europe/Berlin:{THIRD}")),
    ],
    "a whole series is moved by an hour, its overrides stay where they are": [
        series(master(), instance(THIRD, "20260318T140000")),
        series(master(start="20260304T100000"), instance("20260318T100000", "20260318T140000")),
    ],
    "an instance is moved across midnight, and its series to another day": [
        START,
        series(master(), instance(THIRD, "20260317T233000", "20260318T010000")),
        series(
            master(start="20260303T090000"), instance("20260317T090000", "20260318T233000", "20260319T003000")
        ),
    ],
    "an instance is moved into the gap of the clocks, over it, and behind it": [
        START,
        series(master(), instance(FOURTH, "20260329T023000", "20260329T040000")),
        series(master(), instance(FOURTH, "20260328T230000", "20260329T050000")),
        series(master(), instance(FOURTH, "20260329T030000", "20260329T040000")),
    ],
    "the instance in the gap of the clocks is cancelled, and comes back": [
        series(master("RRULE:FREQ=DAILY;COUNT=60", "20260304T023000")),
        series(
            master("RRULE:FREQ=DAILY;COUNT=60", "20260304T023000"),
            instance("20260329T023000", extra="STATUS:CANCELLED"),
        ),
        series(
            master("RRULE:FREQ=DAILY;COUNT=60\nEXDATE:20260329T013000Z", "20260304T023000"), writes=NOTHING
        ),
        series(master("RRULE:FREQ=DAILY;COUNT=60", "20260304T023000")),
    ],
    "an instance becomes an all-day one": [
        START,
        series(master(), instance(THIRD, "20260318", "20260319"), outlook=2),
        series(master(), instance(THIRD), outlook=2),
    ],
    "overrides are named in UTC, and in the zone of somebody else": [
        series(master(), instance(THIRD, "20260318T140000", name="RECURRENCE-ID:20260318T080000Z")),
        series(
            master(),
            instance(THIRD, "20260318T140000", name="RECURRENCE-ID;TZID=America/New_York:20260318T040000"),
            writes=NOTHING,
        ),
    ],
    "a series gains an end, another one, and loses it": [
        START,
        series(master("RRULE:FREQ=WEEKLY;UNTIL=20260408T070000Z")),
        series(master("RRULE:FREQ=WEEKLY;COUNT=4")),
        series(master("RRULE:FREQ=WEEKLY;UNTIL=20260401")),
        START,
    ],
    "a series ends before an override of it, which stays": [
        series(master(), instance(FOURTH, "20260325T140000")),
        series(master("RRULE:FREQ=WEEKLY;COUNT=2"), instance(FOURTH, "20260325T140000"), google=2, outlook=2),
    ],
    "a series becomes one event, and a series again": [
        START,
        series(master("")),
        START,
    ],
    "a series that its rule cannot say is copied singly, and as a series again": [
        series(master("RRULE:FREQ=WEEKLY;COUNT=5")),
        series(master("RRULE:FREQ=WEEKLY;COUNT=5\nEXRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=2"), writes=4),
        series(master("RRULE:FREQ=WEEKLY;COUNT=5"), writes=4),
    ],
    "an added date with a length of its own makes a series come apart, and it comes together again": [
        series(master("RRULE:FREQ=WEEKLY;COUNT=4")),
        series(
            master("RRULE:FREQ=WEEKLY;COUNT=4\nRDATE;VALUE=PERIOD:20260320T080000Z/20260320T110000Z"),
            writes=6,
        ),
        series(master("RRULE:FREQ=WEEKLY;COUNT=4\nRDATE;VALUE=PERIOD:20260320T080000Z/PT30M"), writes=1),
        series(master("RRULE:FREQ=WEEKLY;COUNT=4"), writes=6),
    ],
    "a date is added and taken away": [
        series(master("RRULE:FREQ=WEEKLY;COUNT=4")),
        series(master("RRULE:FREQ=WEEKLY;COUNT=4\nRDATE;TZID=Europe/Berlin:20260320T090000"), outlook=6),
        series(master("RRULE:FREQ=WEEKLY;COUNT=4"), outlook=6),
    ],
    "an invitation to one instance, to another, and to the series": [
        series(instance(THIRD, "20260318T140000")),
        series(instance(THIRD, "20260318T140000"), instance(FOURTH)),
        series(instance(THIRD, "20260318T140000"), instance(FOURTH, extra="STATUS:CANCELLED")),
        series(master(), instance(THIRD, "20260318T140000"), writes=2),
        series(instance(THIRD, "20260318T140000"), writes=2),
    ],
    "a series from before the window, with an instance that comes into it and one that leaves it": [
        series(master(start="20240103T090000")),
        series(master(start="20240103T090000"), instance("20250108T090000", "20260305T140000"), outlook=2),
        series(
            master(start="20240103T090000"),
            instance("20250108T090000", "20260305T140000"),
            instance(THIRD, "20270318T090000"),
            outlook=2,
        ),
        series(master(start="20240103T090000"), outlook=2),
    ],
    "of a series that is over, an instance comes into the window and goes": [
        series(master(f"{WEEKLY};COUNT=3", "20250101T090000"), writes=NOTHING),
        series(
            master(f"{WEEKLY};COUNT=3", "20250101T090000"),
            instance("20250108T090000", "20260305T140000"),
            outlook=2,
        ),
        series(master(f"{WEEKLY};COUNT=3", "20250101T090000"), outlook=2),
    ],
}

SECOND_DAY = "20260305T090000"
ALL_DAY = vevent("s", "20260304", "20260305", extra=WEEKLY)
STORIES |= {
    "one instance has two overrides": [
        START,
        series(master(), instance(THIRD, "20260318T140000"), instance(THIRD, "20260319T150000"), outlook=2),
        series(master(), instance(THIRD, "20260318T140000"), outlook=2),
    ],
    "an instance is left out and has an override all the same": [
        START,
        series(
            master(f"{WEEKLY}\nEXDATE;TZID=Europe/Berlin:{THIRD}"),
            instance(THIRD, "20260318T140000"),
            google=2,
            outlook=2,
        ),
        series(master(f"{WEEKLY}\nEXDATE;TZID=Europe/Berlin:{THIRD}"), google=2, outlook=2),
    ],
    "an added date is moved": [
        series(master(f"{WEEKLY};COUNT=2\nRDATE;TZID=Europe/Berlin:{SECOND_DAY}")),
        series(
            master(f"{WEEKLY};COUNT=2\nRDATE;TZID=Europe/Berlin:{SECOND_DAY}"),
            instance(SECOND_DAY, "20260306T140000"),
        ),
    ],
    "an instance is moved in the zone of somebody else": [
        START,
        series(
            master(),
            vevent(
                "s",
                "20260318T090000",
                "20260318T103000",
                zone="America/New_York",
                extra=f"RECURRENCE-ID;TZID=Europe/Berlin:{THIRD}",
            ),
        ),
    ],
    "an all-day series has an instance at a time, another one longer, and one less": [
        series(ALL_DAY),
        series(
            ALL_DAY,
            vevent("s", "20260311T140000", "20260311T150000", extra="RECURRENCE-ID;VALUE=DATE:20260311"),
            outlook=2,
        ),
        series(
            ALL_DAY,
            vevent("s", "20260311", "20260314", extra="RECURRENCE-ID;VALUE=DATE:20260311"),
            outlook=2,
        ),
        series(vevent("s", "20260304", "20260305", extra=f"{WEEKLY}\nEXDATE;VALUE=DATE:20260311")),
    ],
    "a series of times becomes one of days": [START, series(ALL_DAY), START],
    "a series goes to another zone": [
        START,
        series(master(zone="America/New_York"), writes=1),
        series(master(zone="Asia/Kathmandu"), writes=1),
    ],
    "a floating series gets a zone": [
        series(master(zone=None)),
        series(master(), writes=NOTHING),
    ],
    "all instances are left out but one, and then that one": [
        series(master("RRULE:FREQ=WEEKLY;COUNT=2")),
        series(master("RRULE:FREQ=WEEKLY;COUNT=2\nEXDATE;TZID=Europe/Berlin:20260304T090000")),
        series(
            master("RRULE:FREQ=WEEKLY;COUNT=2\nEXDATE;TZID=Europe/Berlin:20260304T090000,20260311T090000")
        ),
        series(master("RRULE:FREQ=WEEKLY;COUNT=2")),
    ],
}
