"""The worked examples of RFC 5545 section 3.8.5.3, all of them, in its own order and notation (rules 12 to 14)."""

from __future__ import annotations

import re
from calendar import month_name
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from calendarsync.domain.event import Component, Duration, EventTime, Recurrence
from calendarsync.domain.recurrence import Instance, expand

NEW_YORK = "America/New_York"
OFFSETS = {"EST": timedelta(hours=-5), "EDT": timedelta(hours=-4)}
_MONTHS = [month_name[number] for number in range(1, 13)]
LATER = datetime(2010, 1, 1, tzinfo=UTC)
"""After all that is expected of rules that end."""
_LINE = re.compile(r"(\d{4}) (E[SD]T) (.+)")
_CLOCK = re.compile(r"(.*) at (.*)")


@dataclass(frozen=True)
class Example:
    """`expected` are lines as `1997 EDT September 2,9-11; October 7`, at 9:00 where no other times are told.

    Where the RFC goes on with `...`, so does the last line here; it writes two rules where both say the same.
    """

    title: str
    start: str
    rules: tuple[str, ...]
    expected: str
    exdates: tuple[str, ...] = ()

    @property
    def goes_on(self) -> bool:
        return self.expected.rstrip().endswith("...")

    def components(self, rule: str) -> list[Component]:
        recurrence = Recurrence((rule,), exdates=tuple(_at(text) for text in self.exdates))
        length = Duration(seconds=600)
        return [Component("uid", _at(self.start), duration=length, recurrence=recurrence)]

    def starts(self) -> list[tuple[datetime, timedelta]]:
        """Local starts with their offsets from UTC."""
        return [each for line in self.expected.strip().splitlines() for each in _read(line.strip())]


def _at(text: str) -> EventTime:
    return EventTime(datetime.fromisoformat(text), NEW_YORK)


def _read(line: str) -> Iterator[tuple[datetime, timedelta]]:
    if line == "...":
        return
    match = _LINE.fullmatch(line)
    assert match is not None, line
    months, clock = match[3], "9:00"
    if timed := _CLOCK.fullmatch(months):
        months, clock = timed.groups()
    for part in months.split(";"):
        month, _, days = part.strip().partition(" ")
        for day in _days(days):
            for time in clock.split(","):
                hour, minute = time.split(":")
                number = _MONTHS.index(month) + 1
                yield datetime(int(match[1]), number, day, int(hour), int(minute)), OFFSETS[match[2]]


def _days(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def found(components: list[Component], last: datetime) -> list[Instance]:
    return expand(components, datetime(1996, 1, 1, tzinfo=UTC), last, "UTC")


EXAMPLES = [
    Example(
        "Daily for 10 occurrences",
        "19970902T090000",
        ("FREQ=DAILY;COUNT=10",),
        "1997 EDT September 2-11",
    ),
    Example(
        "Daily until December 24, 1997",
        "19970902T090000",
        ("FREQ=DAILY;UNTIL=19971224T000000Z",),
        """1997 EDT September 2-30; October 1-25
           1997 EST October 26-31; November 1-30; December 1-23""",
    ),
    Example(
        "Every other day - forever",
        "19970902T090000",
        ("FREQ=DAILY;INTERVAL=2",),
        """1997 EDT September 2,4,6,8,10,12,14,16,18,20,22,24,26,28,30; October 2,4,6,8,10,12,14,16,18,20,22,24
           1997 EST October 26,28,30; November 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29; December 1,3
           ...""",
    ),
    Example(
        "Every 10 days, 5 occurrences",
        "19970902T090000",
        ("FREQ=DAILY;INTERVAL=10;COUNT=5",),
        "1997 EDT September 2,12,22; October 2,12",
    ),
    Example(
        "Every day in January, for 3 years",
        "19980101T090000",
        (
            "FREQ=YEARLY;UNTIL=20000131T140000Z;BYMONTH=1;BYDAY=SU,MO,TU,WE,TH,FR,SA",
            "FREQ=DAILY;UNTIL=20000131T140000Z;BYMONTH=1",
        ),
        """1998 EST January 1-31
           1999 EST January 1-31
           2000 EST January 1-31""",
    ),
    Example(
        "Weekly for 10 occurrences",
        "19970902T090000",
        ("FREQ=WEEKLY;COUNT=10",),
        """1997 EDT September 2,9,16,23,30; October 7,14,21
           1997 EST October 28; November 4""",
    ),
    Example(
        "Weekly until December 24, 1997",
        "19970902T090000",
        ("FREQ=WEEKLY;UNTIL=19971224T000000Z",),
        """1997 EDT September 2,9,16,23,30; October 7,14,21
           1997 EST October 28; November 4,11,18,25; December 2,9,16,23""",
    ),
    Example(
        "Every other week - forever",
        "19970902T090000",
        ("FREQ=WEEKLY;INTERVAL=2;WKST=SU",),
        """1997 EDT September 2,16,30; October 14
           1997 EST October 28; November 11,25; December 9,23
           1998 EST January 6,20; February 3,17
           ...""",
    ),
    Example(
        "Weekly on Tuesday and Thursday for five weeks",
        "19970902T090000",
        (
            "FREQ=WEEKLY;UNTIL=19971007T000000Z;WKST=SU;BYDAY=TU,TH",
            "FREQ=WEEKLY;COUNT=10;WKST=SU;BYDAY=TU,TH",
        ),
        "1997 EDT September 2,4,9,11,16,18,23,25,30; October 2",
    ),
    Example(
        "Every other week on Monday, Wednesday, and Friday until December 24, 1997",
        "19970901T090000",
        ("FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR",),
        """1997 EDT September 1,3,5,15,17,19,29; October 1,3,13,15,17
           1997 EST October 27,29,31; November 10,12,14,24,26,28; December 8,10,12,22""",
    ),
    Example(
        "Every other week on Tuesday and Thursday, for 8 occurrences",
        "19970902T090000",
        ("FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH",),
        "1997 EDT September 2,4,16,18,30; October 2,14,16",
    ),
    Example(
        "Monthly on the first Friday for 10 occurrences",
        "19970905T090000",
        ("FREQ=MONTHLY;COUNT=10;BYDAY=1FR",),
        """1997 EDT September 5; October 3
           1997 EST November 7; December 5
           1998 EST January 2; February 6; March 6; April 3
           1998 EDT May 1; June 5""",
    ),
    Example(
        "Monthly on the first Friday until December 24, 1997",
        "19970905T090000",
        ("FREQ=MONTHLY;UNTIL=19971224T000000Z;BYDAY=1FR",),
        """1997 EDT September 5; October 3
           1997 EST November 7; December 5""",
    ),
    Example(
        "Every other month on the first and last Sunday of the month for 10 occurrences",
        "19970907T090000",
        ("FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",),
        """1997 EDT September 7,28
           1997 EST November 2,30
           1998 EST January 4,25; March 1,29
           1998 EDT May 3,31""",
    ),
    Example(
        "Monthly on the second-to-last Monday of the month for 6 months",
        "19970922T090000",
        ("FREQ=MONTHLY;COUNT=6;BYDAY=-2MO",),
        """1997 EDT September 22; October 20
           1997 EST November 17; December 22
           1998 EST January 19; February 16""",
    ),
    Example(
        "Monthly on the third-to-the-last day of the month, forever",
        "19970928T090000",
        ("FREQ=MONTHLY;BYMONTHDAY=-3",),
        """1997 EDT September 28
           1997 EST October 29; November 28; December 29
           1998 EST January 29; February 26
           ...""",
    ),
    Example(
        "Monthly on the 2nd and 15th of the month for 10 occurrences",
        "19970902T090000",
        ("FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15",),
        """1997 EDT September 2,15; October 2,15
           1997 EST November 2,15; December 2,15
           1998 EST January 2,15""",
    ),
    Example(
        "Monthly on the first and last day of the month for 10 occurrences",
        "19970930T090000",
        ("FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",),
        """1997 EDT September 30; October 1
           1997 EST October 31; November 1,30; December 1,31
           1998 EST January 1,31; February 1""",
    ),
    Example(
        "Every 18 months on the 10th thru 15th of the month for 10 occurrences",
        "19970910T090000",
        ("FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",),
        """1997 EDT September 10,11,12,13,14,15
           1999 EST March 10,11,12,13""",
    ),
    Example(
        "Every Tuesday, every other month",
        "19970902T090000",
        ("FREQ=MONTHLY;INTERVAL=2;BYDAY=TU",),
        """1997 EDT September 2,9,16,23,30
           1997 EST November 4,11,18,25
           1998 EST January 6,13,20,27; March 3,10,17,24,31
           ...""",
    ),
    Example(
        "Yearly in June and July for 10 occurrences",
        "19970610T090000",
        ("FREQ=YEARLY;COUNT=10;BYMONTH=6,7",),
        """1997 EDT June 10; July 10
           1998 EDT June 10; July 10
           1999 EDT June 10; July 10
           2000 EDT June 10; July 10
           2001 EDT June 10; July 10""",
    ),
    Example(
        "Every other year on January, February, and March for 10 occurrences",
        "19970310T090000",
        ("FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3",),
        """1997 EST March 10
           1999 EST January 10; February 10; March 10
           2001 EST January 10; February 10; March 10
           2003 EST January 10; February 10; March 10""",
    ),
    Example(
        "Every third year on the 1st, 100th, and 200th day for 10 occurrences",
        "19970101T090000",
        ("FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",),
        """1997 EST January 1
           1997 EDT April 10; July 19
           2000 EST January 1
           2000 EDT April 9; July 18
           2003 EST January 1
           2003 EDT April 10; July 19
           2006 EST January 1""",
    ),
    Example(
        "Every 20th Monday of the year, forever",
        "19970519T090000",
        ("FREQ=YEARLY;BYDAY=20MO",),
        """1997 EDT May 19
           1998 EDT May 18
           1999 EDT May 17
           ...""",
    ),
    Example(
        "Monday of week number 20, forever",
        "19970512T090000",
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",),
        """1997 EDT May 12
           1998 EDT May 11
           1999 EDT May 17
           ...""",
    ),
    Example(
        "Every Thursday in March, forever",
        "19970313T090000",
        ("FREQ=YEARLY;BYMONTH=3;BYDAY=TH",),
        """1997 EST March 13,20,27
           1998 EST March 5,12,19,26
           1999 EST March 4,11,18,25
           ...""",
    ),
    Example(
        "Every Thursday, but only during June, July, and August, forever",
        "19970605T090000",
        ("FREQ=YEARLY;BYDAY=TH;BYMONTH=6,7,8",),
        """1997 EDT June 5,12,19,26; July 3,10,17,24,31; August 7,14,21,28
           1998 EDT June 4,11,18,25; July 2,9,16,23,30; August 6,13,20,27
           1999 EDT June 3,10,17,24; July 1,8,15,22,29; August 5,12,19,26
           ...""",
    ),
    Example(
        "Every Friday the 13th, forever",
        "19970902T090000",
        ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",),
        """1998 EST February 13; March 13; November 13
           1999 EDT August 13
           2000 EDT October 13
           ...""",
        ("19970902T090000",),
    ),
    Example(
        "The first Saturday that follows the first Sunday of the month, forever",
        "19970913T090000",
        ("FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13",),
        """1997 EDT September 13; October 11
           1997 EST November 8; December 13
           1998 EST January 10; February 7; March 7
           1998 EDT April 11; May 9; June 13
           ...""",
    ),
    Example(
        "Every 4 years, the first Tuesday after a Monday in November, forever",
        "19961105T090000",
        ("FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",),
        """1996 EST November 5
           2000 EST November 7
           2004 EST November 2
           ...""",
    ),
    Example(
        "The third instance into the month of one of Tuesday, Wednesday, or Thursday, for the next 3 months",
        "19970904T090000",
        ("FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3",),
        """1997 EDT September 4; October 7
           1997 EST November 6""",
    ),
    Example(
        "The second-to-last weekday of the month",
        "19970929T090000",
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",),
        """1997 EDT September 29
           1997 EST October 30; November 27; December 30
           1998 EST January 29; February 26; March 30
           ...""",
    ),
    # Its UNTIL is the one of erratum 3883.
    Example(
        "Every 3 hours from 9:00 AM to 5:00 PM on a specific day",
        "19970902T090000",
        ("FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T210000Z",),
        "1997 EDT September 2 at 9:00,12:00,15:00",
    ),
    Example(
        "Every 15 minutes for 6 occurrences",
        "19970902T090000",
        ("FREQ=MINUTELY;INTERVAL=15;COUNT=6",),
        "1997 EDT September 2 at 9:00,9:15,9:30,9:45,10:00,10:15",
    ),
    Example(
        "Every hour and a half for 4 occurrences",
        "19970902T090000",
        ("FREQ=MINUTELY;INTERVAL=90;COUNT=4",),
        "1997 EDT September 2 at 9:00,10:30,12:00,13:30",
    ),
    Example(
        "Every 20 minutes from 9:00 AM to 4:40 PM every day",
        "19970902T090000",
        (
            "FREQ=DAILY;BYHOUR=9,10,11,12,13,14,15,16;BYMINUTE=0,20,40",
            "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11,12,13,14,15,16",
        ),
        "1997 EDT September 2,3 at "
        + ",".join(f"{hour}:{minute:02}" for hour in range(9, 17) for minute in (0, 20, 40))
        + "\n...",
    ),
    Example(
        "An example where the days generated makes a difference because of WKST: MO",
        "19970805T090000",
        ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",),
        "1997 EDT August 5,10,19,24",
    ),
    Example(
        "An example where the days generated makes a difference because of WKST: SU",
        "19970805T090000",
        ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",),
        "1997 EDT August 5,17,19,31",
    ),
    Example(
        "An example where an invalid date (i.e., February 30) is ignored",
        "20070115T090000",
        ("FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5",),
        """2007 EST January 15,30; February 15
           2007 EDT March 15,30""",
    ),
]
RULES = [
    pytest.param(example, rule, id=f"{example.title} {number}".replace(" ", "-"))
    for example in EXAMPLES
    for number, rule in enumerate(example.rules, 1)
]


@pytest.mark.rule(14)
@pytest.mark.parametrize(("example", "rule"), RULES)
def test_an_example_of_the_rfc(example: Example, rule: str) -> None:
    expected = example.starts()
    last, offset = expected[-1]
    end = (last - offset + timedelta(minutes=1)).replace(tzinfo=UTC) if example.goes_on else LATER
    instances = found(example.components(rule), end)
    local = [
        (one.start.local, one.start.local - one.start.instant("UTC").replace(tzinfo=None))
        for one in instances
    ]
    assert local == expected


@pytest.mark.rule(14)
def test_the_until_of_the_hourly_example_is_read_as_it_stood() -> None:
    """Before erratum 3883: 17:00 in UTC is 13:00 in New York."""
    (hourly,) = [example for example in EXAMPLES if example.rules[0].startswith("FREQ=HOURLY")]
    instances = found(hourly.components("FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T170000Z"), LATER)
    assert [one.start.local.hour for one in instances] == [9, 12]
