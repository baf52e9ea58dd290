"""A believable fortnight in two calendars, laid around today so that every weekday shows something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, vCalAddress

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = range(7)

WORK, HOME = "Work", "Home"
ADDRESS = {WORK: "you@work.example.com", HOME: "you@home.example.com"}
TITLE_OF_COPIES = "Busy"

# RFC 5545 wants every TZID defined in the same object.
_ZONE = """BEGIN:VTIMEZONE
TZID:{name}
BEGIN:STANDARD
DTSTART:{winter}
TZOFFSETFROM:{summer_offset}
TZOFFSETTO:{winter_offset}
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:{summer}
TZOFFSETFROM:{winter_offset}
TZOFFSETTO:{summer_offset}
END:DAYLIGHT
END:VTIMEZONE
"""
_ZONES = {
    "Europe/Berlin": _ZONE.format(
        name="Europe/Berlin",
        winter="19961027T030000\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU",
        summer="19810329T020000\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU",
        winter_offset="+0100",
        summer_offset="+0200",
    ),
    "America/New_York": _ZONE.format(
        name="America/New_York",
        winter="20071104T020000\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU",
        summer="20070311T020000\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU",
        winter_offset="-0500",
        summer_offset="-0400",
    ),
}


@dataclass(frozen=True)
class Sample:
    """One event or series. `left_out` says why it gets no copy; empty where it gets one."""

    calendar: str
    name: str
    title: str
    about: str
    data: bytes
    left_out: str = ""

    @property
    def resource(self) -> str:
        return f"{self.name}.ics"


@dataclass(frozen=True)
class Fortnight:
    """Everything that stands in the calendars before the first sync, and the change that is made later."""

    today: date
    samples: tuple[Sample, ...]
    moved: Sample
    moved_to: datetime

    def after_move(self) -> Fortnight:
        """The same with the change made."""
        rest = [self.moved if sample.resource == self.moved.resource else sample for sample in self.samples]
        return replace(self, samples=tuple(rest))

    @property
    def first_moment(self) -> datetime:
        return datetime.combine(self.today, time(), BERLIN)


def fortnight(today: date) -> Fortnight:
    """The samples for a demo that runs on `today`, a date in Berlin."""

    def at(weekday: int, clock: str, *, week: int = 0, zone: ZoneInfo = BERLIN) -> datetime:
        return datetime.combine(_next(today, weekday, week), time.fromisoformat(clock), zone)

    def meeting(
        calendar: str, name: str, title: str, start: datetime, *, minutes: int = 60, about: str = ""
    ) -> Sample:
        event = _event(name, title, start, timedelta(minutes=minutes))
        return Sample(calendar, name, title, about, _pack([event]))

    dentist = meeting(HOME, "dentist", "Dentist", at(MONDAY, "14:30"), about="an appointment")
    call = at(TUESDAY, "10:00", zone=NEW_YORK)
    samples = (
        _standup(today),
        meeting(WORK, "call", "Call with New York", call, about="10:00 in New York"),
        _tentative(at(WEDNESDAY, "11:00")),
        _invitation(WORK, at(FRIDAY, "11:00")),
        _declined(at(THURSDAY, "17:30")),
        _free(at(FRIDAY, "16:00")),
        meeting(
            WORK, "review", "Quarterly review", at(MONDAY, "13:00", week=1), minutes=120, about="next week"
        ),
        _trip(_next(today, SATURDAY)),
        dentist,
        _piano(today),
        _invitation(HOME, at(FRIDAY, "11:00")),
        meeting(
            HOME, "parents", "Parents' evening", at(TUESDAY, "19:00", week=1), minutes=90, about="next week"
        ),
    )
    later = at(THURSDAY, "12:30")
    return Fortnight(today, samples, meeting(HOME, "dentist", "Dentist", later, about=dentist.about), later)


def _next(today: date, weekday: int, week: int = 0) -> date:
    """The first such weekday from today on, so that any seven days of the picture hold it."""
    return today + timedelta(days=(weekday - today.weekday()) % 7 + 7 * week)


def _event(name: str, title: str, start: datetime | date, length: timedelta) -> Event:
    event = Event()
    event.add("uid", f"{name}@demo.example.com")
    event.add("dtstamp", datetime(2026, 1, 1, tzinfo=UTC))
    event.add("summary", title)
    event.add("dtstart", start)
    event.add("dtend", start + length)
    return event


def _pack(events: Sequence[Event]) -> bytes:
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", "-//CalendarSync//Demo//EN")
    for event in events:
        calendar.add_component(event)
    data = bytes(calendar.to_ical())
    zones = [zone for name, zone in _ZONES.items() if f"TZID={name}".encode() in data]
    first = b"BEGIN:VEVENT"
    return data.replace(first, "".join(zones).replace("\n", "\r\n").encode() + first, 1)


def _standup(today: date) -> Sample:
    """A series since three weeks, with exceptions in the week that is shown."""
    name, title, length = "standup", "Stand-up", timedelta(minutes=30)
    first = _next(today, MONDAY) - timedelta(weeks=3)
    master = _event(name, title, datetime.combine(first, time(9, 30), BERLIN), length)
    master.add("rrule", {"freq": "weekly", "byday": ["MO", "TU", "WE", "TH"]})
    master.add("exdate", datetime.combine(_next(today, THURSDAY), time(9, 30), BERLIN))
    original = datetime.combine(_next(today, WEDNESDAY), time(9, 30), BERLIN)
    moved = _event(name, title, original.replace(hour=14, minute=0), length)
    moved.add("recurrence-id", original)
    about = "Mon-Thu; 1 moved, 1 off"
    return Sample(WORK, name, title, about, _pack([master, moved]))


def _piano(today: date) -> Sample:
    first = datetime.combine(_next(today, TUESDAY) - timedelta(weeks=2), time(17, 30), BERLIN)
    event = _event("piano", "Piano lesson", first, timedelta(hours=1))
    event.add("rrule", {"freq": "weekly", "count": 20})
    return Sample(HOME, "piano", "Piano lesson", "every week", _pack([event]))


def _trip(saturday: date) -> Sample:
    event = _event("trip", "Trip to the sea", saturday, timedelta(days=2))
    return Sample(HOME, "trip", "Trip to the sea", "all day, two days", _pack([event]))


def _tentative(start: datetime) -> Sample:
    event = _event("workshop", "Workshop", start, timedelta(minutes=90))
    event.add("status", "TENTATIVE")
    return Sample(WORK, "workshop", "Workshop", "tentative", _pack([event]))


def _free(start: datetime) -> Sample:
    event = _event("timesheet", "Time sheet", start, timedelta(minutes=30))
    event.add("transp", "TRANSPARENT")
    return Sample(WORK, "timesheet", "Time sheet", "shown as free", _pack([event]), "free")


def _declined(start: datetime) -> Sample:
    event = _event("dinner", "Sales dinner", start, timedelta(minutes=90))
    _invite(event, WORK, "DECLINED")
    return Sample(WORK, "dinner", "Sales dinner", "an invitation, declined", _pack([event]), "declined")


def _invitation(calendar: str, start: datetime) -> Sample:
    """The same meeting, whose organizer knows both of your addresses."""
    event = _event("contract", "Contract", start, timedelta(hours=1))
    _invite(event, calendar, "ACCEPTED")
    about, reason = "an invitation to both", "in both"
    return Sample(calendar, "contract", "Contract", about, _pack([event]), reason)


def _invite(event: Event, calendar: str, answer: str) -> None:
    event.add("organizer", vCalAddress("mailto:office@example.com"))
    guest = vCalAddress(f"mailto:{ADDRESS[calendar]}")
    guest.params["PARTSTAT"] = answer
    event.add("attendee", guest)
