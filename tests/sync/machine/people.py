"""What people do to calendars: the events that they write, and how they change them and copies of theirs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta

from hypothesis import strategies as st

from calendarsync.providers.icalendar import MARK_PROPERTY
from tests.testbed.events import vcalendar, vevent

OWNER = "alice@work.example"
WEEKLY, DAILY = "RRULE:FREQ=WEEKLY", "RRULE:FREQ=DAILY;COUNT=9"
_STEPS = {WEEKLY: timedelta(weeks=1), DAILY: timedelta(days=1)}
_INVITED = "ORGANIZER:mailto:boss@work.example\nATTENDEE:mailto:boss@work.example\nATTENDEE;PARTSTAT="


def _answered(answer: str) -> str:
    return f"{_INVITED}{answer}:mailto:{OWNER}"


KINDS = (
    *("", "TRANSP:TRANSPARENT", "STATUS:TENTATIVE", "STATUS:CANCELLED", "CLASS:PRIVATE"),
    *map(_answered, ("ACCEPTED", "DECLINED", "NEEDS-ACTION", "TENTATIVE")),
)
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", None)
RULES = (
    WEEKLY,
    DAILY,
    "RRULE:FREQ=WEEKLY;BYDAY=MO,WE;UNTIL=20260420T120000Z",
    "RRULE:FREQ=MONTHLY;BYDAY=-1FR",
    "RRULE:FREQ=WEEKLY\nEXRULE:FREQ=WEEKLY;INTERVAL=2",
    "RRULE:FREQ=DAILY;COUNT=5\nRDATE;VALUE=PERIOD:20260401T120000Z/PT3H",
    "RRULE:FREQ=DAILY;COUNT=4\nRDATE:20260410T120000Z",
)
BROKEN = vcalendar("BEGIN:VEVENT\nUID:uid\nSUMMARY:Broken\nEND:VEVENT\n")


@dataclass(frozen=True)
class Override:
    shift: timedelta = timedelta()
    kind: str = ""


@dataclass(frozen=True, repr=False)
class Draft:
    """An event as a person has it in mind. `overrides` and `left_out` name instances by their number.

    Without `whole` only the overridden instances are there, as with an invitation to some of a series.
    """

    start: datetime
    length: timedelta
    zone: str | None = "Europe/Berlin"
    all_day: bool = False
    rule: str = ""
    kind: str = ""
    title: str = "Planning"
    overrides: Mapping[int, Override] = field(default_factory=dict)
    left_out: frozenset[int] = frozenset()
    whole: bool = True

    def __repr__(self) -> str:
        """What differs from the defaults."""
        told = ((each.name, getattr(self, each.name)) for each in fields(self))
        defaults = Draft(self.start, self.length)
        given = [f"{name}={value!r}" for name, value in told if value != getattr(defaults, name)]
        return f"Draft({', '.join([repr(self.start), repr(self.length), *given])})"

    @property
    def when(self) -> object:
        """What has to differ for the event as a whole to have moved."""
        return self.start, self.length, self.zone, self.all_day, self.rule, self.whole

    def _text(self, moment: datetime) -> str:
        return f"{moment:%Y%m%d}" if self.all_day else f"{moment:%Y%m%dT%H%M%S}"

    def _named(self, name: str, moment: datetime) -> str:
        parameter = ";VALUE=DATE" if self.all_day else f";TZID={self.zone}" if self.zone else ""
        return f"{name}{parameter}:{self._text(moment)}"

    def _event(self, uid: str, start: datetime, extra: list[str]) -> str:
        return vevent(
            uid,
            self._text(start),
            self._text(start + self.length),
            zone=self.zone,
            title=self.title,
            extra="\n".join(line for line in extra if line),
        )

    def render(self, uid: str) -> bytes:
        step = _STEPS.get(self.rule)
        numbers = sorted(self.left_out) if step else []
        exdates = [self._named("EXDATE", self.start + step * number) for number in numbers] if step else []
        events = [self._event(uid, self.start, [self.kind, self.rule, *exdates])] if self.whole else []
        for number, override in sorted(self.overrides.items()) if step else ():
            original = self.start + step * number
            name = self._named("RECURRENCE-ID", original)
            events.append(self._event(uid, original + override.shift, [name, override.kind]))
        return vcalendar(*events).encode()

    def holds(self) -> bool:
        return self.whole or bool(self.overrides and self.rule in _STEPS)


@st.composite
def drafts(draw: st.DrawFn) -> Draft:
    start = datetime(2026, 2, 24) + timedelta(minutes=30 * draw(st.integers(0, 2 * 24 * 40)))
    all_day = draw(st.integers(0, 7)) == 7
    if all_day:
        start, length = start.replace(hour=0, minute=0), timedelta(days=draw(st.integers(1, 3)))
    else:
        length = timedelta(minutes=30 * draw(st.integers(1, 60)))
    rule = draw(st.sampled_from(("", "", *RULES))) if not all_day else draw(st.sampled_from(("", WEEKLY)))
    draft = Draft(
        start=start,
        length=length,
        zone=None if all_day else draw(st.sampled_from(ZONES)),
        all_day=all_day,
        rule=rule,
        kind=draw(st.sampled_from(("", "", "", *KINDS))),
    )
    if rule in _STEPS:
        numbers = st.integers(1, 5)
        draft = replace(
            draft,
            overrides=draw(st.dictionaries(numbers, overrides(all_day), max_size=2)),
            left_out=draw(st.frozensets(numbers, max_size=1)),
        )
        if draft.overrides and draw(st.integers(0, 5)) == 5:
            draft = replace(draft, whole=False)
    return draft


def overrides(all_day: bool = False) -> st.SearchStrategy[Override]:
    steps = st.integers(-3, 3).map(lambda days: timedelta(days=days))
    shifts = steps if all_day else st.integers(-96, 96).map(lambda halves: timedelta(minutes=30 * halves))
    return st.builds(Override, shifts, st.sampled_from(("", "", *KINDS)))


# How a person changes an event of theirs

TWEAKS = st.one_of(
    st.tuples(st.just("title"), st.sampled_from(("Planning", "Retro", "Standup"))),
    st.tuples(st.just("kind"), st.sampled_from(KINDS)),
    st.tuples(st.just("shift"), st.integers(-6, 6)),
    st.tuples(st.just("override"), st.integers(0, 5), overrides()),
    st.tuples(st.just("leave out"), st.integers(0, 5)),
    st.tuples(st.just("restore"), st.integers(0, 5)),
    st.tuples(st.just("split"), st.integers(1, 4)),
    st.tuples(st.just("break")),
)


def tweaked(draft: Draft, tweak: tuple[object, ...]) -> Draft:
    """The draft after a change; it is the same one where the change has no meaning for it."""
    match tweak:
        case ("title", str(title)):
            return replace(draft, title=title)
        case ("kind", str(kind)):
            return replace(draft, kind=kind)
        case ("shift", int(halves)):
            days = timedelta(days=halves)
            return replace(
                draft, start=draft.start + (days if draft.all_day else timedelta(minutes=30 * halves))
            )
        case ("override", int(number), Override() as override) if draft.rule in _STEPS:
            shift = timedelta(days=override.shift.days) if draft.all_day else override.shift
            given = {**draft.overrides, number: replace(override, shift=shift)}
            return replace(draft, overrides=given, left_out=draft.left_out - {number})
        case ("leave out", int(number)) if draft.rule in _STEPS:
            kept = {key: value for key, value in draft.overrides.items() if key != number}
            return replace(draft, overrides=kept, left_out=draft.left_out | {number})
        case ("restore", int(number)):
            kept = {key: value for key, value in draft.overrides.items() if key != number}
            return replace(draft, overrides=kept, left_out=draft.left_out - {number})
    return draft


def split(draft: Draft, number: int) -> tuple[Draft, Draft] | None:
    """'This and following': the series up to an instance, and the rest as another one, two hours later."""
    if draft.rule != WEEKLY or draft.all_day or not draft.whole:
        return None
    cut = draft.start + _STEPS[WEEKLY] * number
    before = replace(draft, rule=f"{WEEKLY};COUNT={number}", overrides={}, left_out=frozenset())
    return before, replace(draft, start=cut + timedelta(hours=2), overrides={}, left_out=frozenset())


# How a person changes a copy

_TIMES = re.compile(rb"(DTSTART|DTEND)([^:\r\n]*):(\d{8})(T\d{6})?(Z?)")
_EVENTS = re.compile(rb"BEGIN:VEVENT\r\n.*?END:VEVENT\r\n", re.DOTALL)


def unfolded(data: bytes) -> bytes:
    return data.replace(b"\r\n ", b"")


def shifted(data: bytes, **span: float) -> bytes:
    """All times of all VEVENTs, later or earlier."""

    def later(match: re.Match[bytes]) -> bytes:
        name, parameters, day, time, z = match.groups()
        form = "%Y%m%dT%H%M%S" if time else "%Y%m%d"
        moment = datetime.strptime((day + (time or b"")).decode(), form) + timedelta(**span)  # noqa: DTZ007
        return name + parameters + b":" + moment.strftime(form).encode() + z

    return _EVENTS.sub(lambda match: _TIMES.sub(later, match[0]), unfolded(data))


def retitled(data: bytes) -> bytes:
    return data.replace(b"SUMMARY:", b"SUMMARY:Mine ")


def stripped(data: bytes) -> bytes:
    lines = unfolded(data).split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith(MARK_PROPERTY.encode()))


def with_uid(data: bytes, uid: str) -> bytes:
    return re.sub(rb"(?m)^UID:[^\r\n]*", f"UID:{uid}".encode(), unfolded(data))


def without_instance(data: bytes, original: str, *, cancel: bool) -> bytes:
    """A series from which a person takes one instance. `original` is its start, as the series names it: a
    property's parameters and value.
    """
    data = unfolded(data)
    events = _EVENTS.findall(data)
    master = next(event for event in events if b"\r\nRECURRENCE-ID" not in event)
    value = original.rpartition(":")[2]
    others = [
        event
        for event in events
        if event is not master
        and not any(
            line.startswith(b"RECURRENCE-ID") and line.endswith(b":" + value.encode())
            for line in event.split(b"\r\n")
        )
    ]
    if cancel:
        lines = [
            line
            for line in master.split(b"\r\n")
            if not line.startswith(
                (b"RRULE", b"RDATE", b"EXDATE", b"STATUS", b"DTSTART", b"DTEND", b"DURATION")
            )
        ]
        named = [f"DTSTART{original}".encode(), f"RECURRENCE-ID{original}".encode(), b"STATUS:CANCELLED"]
        kept = [master, b"\r\n".join([lines[0], *named, *lines[1:]])]
    else:
        kept = [master.replace(b"BEGIN:VEVENT\r\n", f"BEGIN:VEVENT\r\nEXDATE{original}\r\n".encode())]
    head, tail = data[: data.index(b"BEGIN:VEVENT")], b"END:VCALENDAR\r\n"
    return head + b"".join([*kept, *others]) + tail
