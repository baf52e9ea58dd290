"""Recurrence sets, case by case (rules 12 to 14; RFC 5545 section 3.8.5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from time import process_time

import pytest

from calendarsync.domain.event import (
    Component,
    Duration,
    EventTime,
    Problem,
    Recurrence,
    RecurrenceDate,
    Status,
)
from calendarsync.domain.recurrence import (
    Instance,
    RecurrenceError,
    expand,
    holdable,
    may_touch,
    occurs_in,
    span,
    validate,
)
from calendarsync.domain.times import in_form_of

BERLIN = "Europe/Berlin"
HOUR = Duration(seconds=3600)


def at(text: str) -> EventTime:
    """`2026-01-05`, `2026-01-05T09:00` with `Z`, `[Europe/Berlin]` or nothing behind it."""
    return EventTime.parse(text)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def event(
    start: str, *rules: str, end: str | None = None, duration: Duration = HOUR, **parts: object
) -> Component:
    recurrence = Recurrence(rrules=rules) if rules else None
    if parts.keys() & {"rdates", "exdates", "exrules"}:
        names = {name: parts.pop(name) for name in ("rdates", "exdates", "exrules") if name in parts}
        recurrence = replace(recurrence or Recurrence(), **names)  # type: ignore[arg-type]
    times = {"end": at(end)} if end else {"duration": duration}
    return Component("uid", at(start), recurrence=recurrence, **times, **parts)  # type: ignore[arg-type]


def starts(
    *components: Component, first: str = "2000-01-01", last: str = "2100-01-01", floating: str = "UTC"
) -> list[str]:
    return [str(one.start) for one in expand(components, utc(first), utc(last), floating)]


def days(*components: Component, **window: str) -> str:
    """The days of the instances' starts, as `0105 0112`."""
    return " ".join(text[5:7] + text[8:10] for text in starts(*components, **window))


# What the rule gives from Monday 2026-01-05 09:00 in Berlin on. From RFC 5545 section 3.8.5.3 where it has it.
RULES = [
    ("FREQ=DAILY;COUNT=3", "0105 0106 0107"),
    ("FREQ=DAILY;INTERVAL=10;COUNT=3", "0105 0115 0125"),
    ("FREQ=WEEKLY;COUNT=3", "0105 0112 0119"),
    ("FREQ=WEEKLY;UNTIL=20260119T080000Z", "0105 0112 0119"),
    ("FREQ=WEEKLY;UNTIL=20260119T075959Z", "0105 0112"),
    ("FREQ=WEEKLY;UNTIL=20260119", "0105 0112 0119"),
    ("FREQ=WEEKLY;UNTIL=20260119T090000", "0105 0112 0119"),
    ("FREQ=WEEKLY;UNTIL=20260119T085959", "0105 0112"),
    ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=MO,SU;WKST=MO", "0105 0111 0119 0125"),
    ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=MO,SU;WKST=SU", "0105 0118 0119 0201"),
    ("FREQ=MONTHLY;BYDAY=1MO;COUNT=3", "0105 0202 0302"),
    ("FREQ=MONTHLY;BYDAY=-1FR;COUNT=3", "0105 0130 0227"),
    ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=3", "0105 0130 0227"),
    ("FREQ=MONTHLY;BYDAY=MO,1TU;COUNT=5", "0105 0106 0112 0119 0126"),
    ("FREQ=MONTHLY;BYMONTHDAY=31;COUNT=4", "0105 0131 0331 0531"),
    ("FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=3", "0105 0131 0228"),
    ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13;COUNT=4", "0105 0213 0313 1113"),
    ("FREQ=YEARLY;BYMONTH=1,7;BYMONTHDAY=5;COUNT=3", "0105 0705 0105"),
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=3", "0105 0229 0229"),
    ("FREQ=YEARLY;BYWEEKNO=20;COUNT=3", "0105 0511 0517"),
    ("FREQ=YEARLY;BYYEARDAY=1,-1;COUNT=3", "0105 1231 0101"),
    # Three that dateutil has otherwise: weeks that lie in two years, and the rest of a week.
    ("FREQ=YEARLY;BYWEEKNO=-53;COUNT=3", "0105 1229 1229"),
    ("FREQ=YEARLY;BYWEEKNO=53;BYDAY=SA;COUNT=5", "0105 0102 0101 0102 0102"),
    ("FREQ=WEEKLY;BYDAY=SU,TH;BYSETPOS=1;WKST=SU;COUNT=3", "0105 0111 0118"),
    ("FREQ=MINUTELY;INTERVAL=90;BYMINUTE=1;COUNT=3", "0105"),
    ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "0105"),
    ("FREQ=WEEKLY;BYDAY=TU;COUNT=2", "0105 0106"),
    ("FREQ=WEEKLY;BYDAY=TU;UNTIL=20260101", "0105"),
    ("FREQ=MINUTELY;BYHOUR=9;BYMINUTE=0;COUNT=3", "0105 0106 0107"),
    ("RSCALE=GREGORIAN;FREQ=WEEKLY;COUNT=2;SKIP=OMIT", "0105 0112"),
    ("freq=weekly;count=2", "0105 0112"),
]


@pytest.mark.parametrize(("rule", "expected"), RULES)
def test_rules(rule: str, expected: str) -> None:
    assert days(event(f"2026-01-05T09:00:00[{BERLIN}]", rule)) == expected


@pytest.mark.parametrize(
    "rule", [rule for rule, _ in RULES if rule[:4] == "FREQ" and "UNTIL" not in rule and "MINUTE" not in rule]
)
def test_a_window_far_from_the_start_sees_the_same(rule: str) -> None:
    """Without COUNT the rule is entered near the window: that must not change what it gives."""
    series = event(f"1970-01-05T09:00:00[{BERLIN}]", ";".join(p for p in rule.split(";") if "COUNT" not in p))
    whole = starts(series, first="1960-01-01", last="1990-01-01")
    late = starts(series, first="1984-02-10", last="1990-01-01")
    assert late == [start for start in whole if start >= "1984-02-10"]


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Kiritimati", "UTC"])
def test_until_in_utc_is_exact_in_every_zone(zone: str) -> None:
    last = at(f"2026-01-19T09:00:00[{zone}]").instant("UTC")
    for until, expected in ((last, "0105 0112 0119"), (last - timedelta(seconds=1), "0105 0112")):
        rule = f"FREQ=WEEKLY;UNTIL={until:%Y%m%dT%H%M%SZ}"
        assert days(event(f"2026-01-05T09:00:00[{zone}]", rule)) == expected


def test_the_clock_decides_and_not_utc() -> None:
    series = event(f"2026-03-23T09:00:00[{BERLIN}]", "FREQ=WEEKLY;COUNT=2")
    found = expand([series], utc("2026-01-01"), utc("2027-01-01"), "UTC")
    assert [one.start.instant("UTC") for one in found] == [utc("2026-03-23T08:00"), utc("2026-03-30T07:00")]


def test_gaps_and_overlaps_of_the_clock() -> None:
    """RFC 5545 section 3.3.5: the offset before the gap, the first of the two in an overlap."""
    series = event(f"2026-03-28T02:30:00[{BERLIN}]", "FREQ=DAILY;COUNT=2")
    assert expand([series], utc("2026-01-01"), utc("2027-01-01"), "UTC")[1].start.instant("UTC") == utc(
        "2026-03-29T01:30"
    )
    series = event(f"2026-10-24T02:30:00[{BERLIN}]", "FREQ=DAILY;COUNT=2")
    assert expand([series], utc("2026-01-01"), utc("2027-01-01"), "UTC")[1].start.instant("UTC") == utc(
        "2026-10-25T00:30"
    )


IN_GAP = f"2026-03-29T02:30:00[{BERLIN}]"
APIA = "Pacific/Apia"


@pytest.mark.rule(13)
@pytest.mark.parametrize("name", [IN_GAP, f"2026-03-29T03:30:00[{BERLIN}]", "2026-03-29T01:30:00Z"])
def test_an_instance_in_a_gap_is_named_by_what_no_clock_shows_and_by_what_one_does(name: str) -> None:
    daily = f"2026-03-28T02:30:00[{BERLIN}]", "FREQ=DAILY;COUNT=3"
    assert days(event(*daily, exdates=(at(name),))) == "0328 0330"
    moved = override(name, "2026-04-02T10:00:00Z")
    found = expand([event(*daily), moved], utc("2026-01-01"), utc("2027-01-01"), "UTC")
    assert [str(one.start)[5:10] for one in found] == ["03-28", "03-30", "04-02"]
    assert in_form_of(at("2026-03-29T01:30:00Z"), at(daily[0]), "UTC") == at(IN_GAP)


@pytest.mark.rule(13)
def test_the_day_that_samoa_left_out_is_not_the_next() -> None:
    """Noon of 30 December 2011 and noon of the 31st are one instant: which of them is named makes a difference."""
    daily = f"2011-12-28T12:00:00[{APIA}]", "FREQ=DAILY;COUNT=5"
    assert days(event(*daily)) == "1228 1229 1230 0101", "the same instant counts once"
    left_out = event(*daily, exdates=(at(f"2011-12-30T12:00:00[{APIA}]"),))
    assert days(left_out) == "1228 1229 1231 0101"
    moved = override(f"2011-12-30T12:00:00[{APIA}]", "2012-02-01T12:00:00Z")
    assert days(event(*daily), moved) == "1228 1229 1231 0101 0201"
    assert days(event(*daily, exdates=(at(f"2011-12-31T12:00:00[{APIA}]"),))) == "1228 1229 0101"


@pytest.mark.parametrize(
    ("length", "end"),
    [
        ({"duration": Duration(days=1)}, "2026-03-29T10:00"),  # the same clock time a day later, 23 hours
        ({"duration": Duration(seconds=86400)}, "2026-03-29T11:00"),
        ({"end": f"2026-03-22T12:00:00[{BERLIN}]"}, "2026-03-29T11:00"),  # 24 hours for every instance
        ({"end": "2026-03-22T11:00:00Z"}, "2026-03-29T11:00"),
    ],
)
def test_lengths_over_a_clock_change(length: dict[str, object], end: str) -> None:
    series = event(f"2026-03-21T12:00:00[{BERLIN}]", "FREQ=DAILY;COUNT=8", **length)  # type: ignore[arg-type]
    last = expand([series], utc("2026-01-01"), utc("2027-01-01"), "UTC")[-1]
    assert last.start.instant("UTC") == utc("2026-03-28T11:00")
    assert last.end.instant("UTC") == utc(end)
    assert last.end.zone == ("UTC" if str(length.get("end", "")).endswith("Z") else BERLIN)


def test_an_end_in_the_second_pass_of_an_overlap_is_exact() -> None:
    series = event(f"2026-10-24T01:30:00[{BERLIN}]", "FREQ=DAILY;COUNT=2", duration=Duration(seconds=7200))
    last = expand([series], utc("2026-01-01"), utc("2027-01-01"), "UTC")[-1]
    assert last.end.instant("UTC") - last.start.instant("UTC") == timedelta(hours=2)


def test_all_day_follows_dates_whatever_the_zone() -> None:
    series = event("2026-03-28", "FREQ=DAILY;COUNT=3;BYHOUR=9", end="2026-03-30")
    for zone in ("UTC", "Pacific/Kiritimati", "America/Los_Angeles"):
        found = expand([series], utc("2026-01-01"), utc("2027-01-01"), zone)
        assert [(str(one.start), str(one.end)) for one in found] == [
            ("2026-03-28", "2026-03-30"),
            ("2026-03-29", "2026-03-31"),
            ("2026-03-30", "2026-04-01"),
        ]


def test_until_beside_a_date() -> None:
    assert (
        days(event("2026-01-05", "FREQ=DAILY;UNTIL=20260107", duration=Duration(days=1))) == "0105 0106 0107"
    )
    assert (
        days(event("2026-01-05", "FREQ=DAILY;UNTIL=20260107T000000Z", duration=Duration(days=1)))
        == "0105 0106 0107"
    )


def test_floating_times_are_read_in_the_given_zone() -> None:
    series = event("2026-01-05T09:00:00", "FREQ=DAILY;COUNT=2")
    found = expand([series], utc("2026-01-01"), utc("2027-01-01"), "Asia/Tokyo")
    assert found[0].start.instant("Asia/Tokyo") == utc("2026-01-05T00:00")
    assert str(found[0].start) == "2026-01-05T09:00:00"


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (("2026-01-05T08:00", "2026-01-05T09:00"), "0105"),
        (("2026-01-05T08:59", "2026-01-05T12:00"), "0105"),
        (("2026-01-05T09:00", "2026-01-05T12:00"), ""),  # it ends when the window begins
        (("2026-01-05T07:00", "2026-01-05T08:00"), ""),
    ],
)
def test_windows_are_half_open(window: tuple[str, str], expected: str) -> None:
    single = event(f"2026-01-05T09:00:00[{BERLIN}]")
    assert days(single, first=window[0], last=window[1]) == expected
    assert occurs_in([single], utc(window[0]), utc(window[1]), "UTC") is bool(expected)


def test_instances_without_length() -> None:
    moment = event("2026-01-05T09:00:00Z", duration=Duration())
    assert days(moment, first="2026-01-05T09:00", last="2026-01-05T10:00") == "0105"
    assert days(moment, first="2026-01-05T08:00", last="2026-01-05T09:00") == ""


def test_rdates_and_exdates() -> None:
    series = event(
        f"2026-01-05T09:00:00[{BERLIN}]",
        "FREQ=WEEKLY;COUNT=5",
        rdates=(
            RecurrenceDate(at("2026-01-06T08:00:00Z")),
            RecurrenceDate(at("2026-01-12T08:00:00Z")),  # there already
            RecurrenceDate(at("2026-01-07T15:00:00Z"), duration=Duration(seconds=600)),
            RecurrenceDate(at("2026-01-08T15:00:00Z"), end=at("2026-01-08T15:20:00Z")),
        ),
        exdates=(
            at("2026-01-19T08:00:00Z"),
            at("2026-01-26"),
            at("2026-02-02T09:00:00"),
            at("2026-02-02T09:01:00Z"),
        ),
    )
    found = expand([series], utc("2026-01-01"), utc("2027-01-01"), "UTC")
    lengths = [one.end.instant("UTC") - one.start.instant("UTC") for one in found]
    assert [str(one.start)[5:16] for one in found] == [
        "01-05T09:00",
        "01-06T09:00",
        "01-07T16:00",
        "01-08T16:00",
        "01-12T09:00",
    ]
    assert [length // timedelta(minutes=1) for length in lengths] == [60, 60, 10, 20, 60]


def test_exrule_and_several_rules() -> None:
    series = event(
        "2026-01-05T09:00:00Z",
        "FREQ=DAILY;COUNT=8",
        "FREQ=MONTHLY;COUNT=2",
        exrules=("FREQ=DAILY;INTERVAL=2",),
    )
    assert days(series) == "0106 0108 0110 0112 0205"


def override(original: str, start: str, **parts: object) -> Component:
    return event(start, recurrence_id=at(original), **parts)  # type: ignore[arg-type]


SERIES = event(f"2026-01-05T09:00:00[{BERLIN}]", "FREQ=WEEKLY;COUNT=4")


@pytest.mark.parametrize(
    "original",
    [
        f"2026-01-12T09:00:00[{BERLIN}]",
        "2026-01-12T08:00:00Z",
        "2026-01-12",
        "2026-01-12T09:00:00",
        "2026-01-12T03:00:00[America/New_York]",
    ],
)
def test_an_override_is_matched_by_instant(original: str) -> None:
    moved = override(original, "2026-01-13T10:00:00Z")
    found = expand([SERIES, moved], utc("2026-01-01"), utc("2027-01-01"), "UTC")
    assert [str(one.start)[5:16] for one in found] == [
        "01-05T09:00",
        "01-13T10:00",
        "01-19T09:00",
        "01-26T09:00",
    ]
    assert str(found[1].original) == f"2026-01-12T09:00:00[{BERLIN}]"
    assert found[1].component is moved
    assert found[0].component is SERIES


@pytest.mark.parametrize(
    "original",
    ["2026-01-12", "2026-01-12T00:00:00Z", "2026-01-11T23:00:00Z", f"2026-01-12T00:00:00[{BERLIN}]"],
)
def test_an_override_of_a_date(original: str) -> None:
    series = event("2026-01-05", "FREQ=WEEKLY;COUNT=3", duration=Duration(days=1))
    moved = override(original, "2026-01-14", duration=Duration(days=1))
    assert days(series, moved, floating=BERLIN) == "0105 0114 0119"


def test_overrides_move_into_and_out_of_the_window() -> None:
    out = override("2026-01-12T08:00:00Z", "2026-03-01T09:00:00Z")
    into = override("2026-01-26T08:00:00Z", "2026-01-13T09:00:00Z")
    assert days(SERIES, out, into, first="2026-01-12", last="2026-01-16") == "0113"
    assert days(SERIES, out, first="2026-02-20", last="2026-03-16") == "0301"


def test_overrides_without_a_match_stand_alone() -> None:
    orphan = override("2026-01-14T08:00:00Z", "2026-01-15T09:00:00Z")
    (only,) = expand([orphan], utc("2026-01-01"), utc("2027-01-01"), "UTC")
    assert only == Instance(
        orphan, at("2026-01-14T08:00:00Z"), at("2026-01-15T09:00:00Z"), at("2026-01-15T10:00:00Z")
    )
    assert days(SERIES, orphan) == "0105 0112 0115 0119 0126"
    excluded = replace(SERIES, recurrence=replace(SERIES.recurrence, exdates=(at("2026-01-12"),)))  # type: ignore[type-var]
    assert days(excluded, override("2026-01-12T08:00:00Z", "2026-01-13T09:00:00Z")) == "0105 0113 0119 0126"


def test_cancelled_overrides_are_told_and_kept() -> None:
    cancelled = override("2026-01-12T08:00:00Z", "2026-01-12T08:00:00Z", status=Status.CANCELLED)
    found = expand([SERIES, cancelled], utc("2026-01-01"), utc("2027-01-01"), "UTC")
    assert [one.component.status for one in found].count(Status.CANCELLED) == 1
    assert len(found) == 4


def test_this_and_future_moves_what_follows() -> None:
    turn = override(
        "2026-01-12T08:00:00Z",
        f"2026-01-13T11:00:00[{BERLIN}]",
        this_and_future=True,
        duration=Duration(seconds=60),
    )
    own = override("2026-01-26T08:00:00Z", "2026-01-27T06:00:00Z")
    found = expand([SERIES, turn, own], utc("2026-01-01"), utc("2027-01-01"), "UTC")
    assert [str(one.start)[5:16] for one in found] == [
        "01-05T09:00",
        "01-13T11:00",
        "01-20T11:00",
        "01-27T06:00",
    ]
    assert [one.component for one in found] == [SERIES, turn, turn, own]
    assert str(found[2].original) == f"2026-01-19T09:00:00[{BERLIN}]"
    assert found[2].end.instant("UTC") - found[2].start.instant("UTC") == timedelta(minutes=1)
    assert days(SERIES, turn, first="2026-01-20", last="2026-01-21") == "0120"


def test_of_two_turns_the_later_counts_from_its_place_on() -> None:
    series = event("2026-01-05T09:00:00Z", "FREQ=WEEKLY;COUNT=6")
    far = override("2026-01-12T09:00:00Z", "2026-01-22T09:00:00Z", this_and_future=True)
    back = override("2026-01-26T09:00:00Z", "2026-01-26T08:00:00Z", this_and_future=True)
    assert days(series, back, far) == "0105 0122 0126 0129 0202 0209"
    assert days(series, far, first="2026-02-18", last="2026-02-27") == "0219"
    assert days(series, far, first="2026-01-29", last="2026-01-30") == "0129"


def test_a_single_event_has_no_original() -> None:
    (only,) = expand([event("2026-01-05T09:00:00Z")], utc("2026-01-01"), utc("2027-01-01"), "UTC")
    assert only.original is None


@pytest.mark.parametrize(
    ("components", "first", "last"),
    [
        ([SERIES], "2026-01-05T08:00", "2026-01-26T09:00"),
        (
            [event(f"2026-01-05T09:00:00[{BERLIN}]", "FREQ=WEEKLY;UNTIL=20260420")],
            "2026-01-05T08:00",
            "2026-04-20T08:00",
        ),
        (
            [event("2026-01-05T09:00:00Z", "FREQ=YEARLY;UNTIL=99991231T000000Z")],
            "2026-01-05T09:00",
            "9999-01-05T10:00",
        ),
        ([event("2026-01-05T09:00:00Z", "FREQ=DAILY")], "2026-01-05T09:00", None),
        (
            [SERIES, override("2026-01-12T08:00:00Z", "2027-01-12T08:00:00Z")],
            "2026-01-05T08:00",
            "2027-01-12T09:00",
        ),
        ([override("2026-01-12T08:00:00Z", "2025-01-12T08:00:00Z")], "2025-01-12T08:00", "2025-01-12T09:00"),
        ([event("2026-01-05", end="2026-01-07")], "2026-01-05T00:00", "2026-01-07T00:00"),
        ([event("2026-01-05T09:00:00Z", "FREQ=DAILY;COUNT=900000000")], "2026-01-05T09:00", None),
        (
            [event("2026-01-05T09:00:00Z", "FREQ=DAILY;UNTIL=20250101")],
            "2026-01-05T09:00",
            "2026-01-05T10:00",
        ),
    ],
)
def test_span(components: list[Component], first: str, last: str | None) -> None:
    assert span(components, "UTC") == (utc(first), utc(last) if last else None)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("FREQ=DAILY", None),
        ("FREQ=HOURLY", None),
        ("FREQ=MINUTELY;COUNT=500", None),
        ("FREQ=SECONDLY;INTERVAL=86400", None),
        ("FREQ=MINUTELY", Problem.TOO_MANY_INSTANCES),
        ("FREQ=SECONDLY;COUNT=999999", Problem.TOO_MANY_INSTANCES),
        ("FREQ=SECONDLY;INTERVAL=7;BYHOUR=9", Problem.TOO_MANY_INSTANCES),
        (
            "FREQ=DAILY;BYHOUR="
            + ",".join(map(str, range(24)))
            + ";BYMINUTE="
            + ",".join(map(str, range(60))),
            Problem.TOO_MANY_INSTANCES,
        ),
        ("", Problem.BAD_RECURRENCE),
        ("FREQ=FORTNIGHTLY", Problem.BAD_RECURRENCE),
        ("FREQ=DAILY;INTERVAL=0", Problem.BAD_RECURRENCE),
        ("FREQ=DAILY;COUNT=0", Problem.BAD_RECURRENCE),
        ("FREQ=DAILY;UNTIL=20261332", Problem.BAD_RECURRENCE),
        ("FREQ=DAILY;UNTL=20260101", Problem.BAD_RECURRENCE),
        ("FREQ=DAILY;COUNT=3;COUNT=4", Problem.BAD_RECURRENCE),
        ("FREQ=MONTHLY;BYDAY=60MO", Problem.BAD_RECURRENCE),
        ("FREQ=YEARLY;BYMONTH=13", Problem.BAD_RECURRENCE),
        ("RSCALE=CHINESE;FREQ=YEARLY", Problem.BAD_RECURRENCE),
        ("FREQ=DAILY;BYHOUR=٣", Problem.BAD_RECURRENCE),
    ],
)
def test_validate(rule: str, problem: Problem | None) -> None:
    series = event("2026-01-05T09:00:00Z", rule)
    assert validate([series]) is problem
    if problem is not None:
        with pytest.raises(RecurrenceError) as caught:
            expand([series], utc("2026-01-01"), utc("2027-01-01"), "UTC")
        assert caught.value.problem is problem


def test_too_many_instances() -> None:
    with pytest.raises(RecurrenceError) as caught:
        expand(
            [event("2026-01-05T09:00:00Z", "FREQ=DAILY")],
            utc("2026-01-01"),
            utc("2027-01-01"),
            "UTC",
            limit=10,
        )
    assert caught.value.problem is Problem.TOO_MANY_INSTANCES


AGES = RecurrenceDate(at("1900-01-01T00:00:00Z"), end=at("2020-01-01T00:00:00Z"))


@pytest.mark.parametrize(
    "series",
    [
        event("1900-01-01T09:00:00Z", "FREQ=HOURLY;COUNT=1000000000"),
        event("1900-01-01T09:00:00Z", "FREQ=HOURLY", rdates=(AGES,)),
        event("1900-01-01T09:00:00Z", "FREQ=DAILY", "FREQ=DAILY;BYHOUR=11", rdates=(AGES,)),
        event(
            "1900-01-01T09:00:00Z", rdates=(AGES, RecurrenceDate(at("2026-01-01"))), exrules=("FREQ=HOURLY",)
        ),
    ],
)
def test_what_comes_before_a_window_is_not_gone_through_without_end(series: Component) -> None:
    """Few instances lie in it, or none."""
    with pytest.raises(RecurrenceError) as caught:
        expand([series], utc("2026-01-05"), utc("2026-01-06"), "UTC")
    assert caught.value.problem is Problem.TOO_MANY_INSTANCES


HOSTILE = [
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;INTERVAL=7;BYDAY=FR",
    "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1",
    "FREQ=DAILY;BYSETPOS=5",
    "FREQ=WEEKLY;BYSETPOS=50",
    "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=5",
    "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=SECONDLY;BYHOUR=3;BYMINUTE=3;BYSECOND=3",
    "FREQ=MINUTELY;INTERVAL=999999",
    "FREQ=DAILY;COUNT=1000000000",
    "FREQ=YEARLY;INTERVAL=1000000",
    "FREQ=HOURLY;INTERVAL=5;BYMONTHDAY=31;BYMONTH=2",
    "FREQ=YEARLY;BYMONTH=12;BYDAY=53MO",
    "FREQ=WEEKLY;BYMONTHDAY=31;BYMONTH=2",
    "FREQ=DAILY;UNTIL=99991231T235959Z",
    "FREQ=SECONDLY",
    "FREQ=HOURLY;BYDAY=MO;INTERVAL=168",
]


@pytest.mark.parametrize("rule", HOSTILE)
def test_no_rule_takes_long(rule: str) -> None:
    series = [event(f"1900-01-05T09:00:00[{BERLIN}]", rule)]
    began = process_time()
    validate(series)
    holdable(series)
    for call in (
        lambda: expand(series, utc("2026-01-01"), utc("2027-01-01"), "UTC"),
        lambda: span(series, "UTC"),
    ):
        try:
            call()
        except RecurrenceError:
            continue
    assert process_time() - began < 2


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        ([SERIES], True),
        ([event("2026-01-05T09:00:00Z")], True),
        ([SERIES, override("2026-01-12T08:00:00Z", "2026-01-12T10:00:00Z")], True),
        ([event("2026-01-05T09:00:00Z", "FREQ=DAILY", exdates=(at("2026-01-06T09:00:00Z"),))], True),
        ([event("2026-01-05T09:00:00Z", rdates=(RecurrenceDate(at("2026-01-06T09:00:00Z")),))], True),
        (
            [
                event(
                    "2026-01-05T09:00:00Z",
                    rdates=(RecurrenceDate(at("2026-01-06T09:00:00Z"), duration=HOUR),),
                )
            ],
            False,
        ),
        ([event("2026-01-05T09:00:00Z", "FREQ=DAILY", exdates=(at("2026-01-06"),))], True),
        ([event("2026-01-05", "FREQ=DAILY", exdates=(at("2026-01-06T08:00:00"),))], True),
        ([event("2026-01-05T09:00:00Z", "FREQ=DAILY;BYHOUR=9,10", exdates=(at("2026-01-06"),))], False),
        (
            [
                event(
                    "2026-01-05T09:00:00Z",
                    rdates=(RecurrenceDate(at("2026-01-06T10:00:00Z")),),
                    exdates=(at("2026-01-06"),),
                )
            ],
            False,
        ),
        ([SERIES, override("2026-01-12", "2026-01-12T10:00:00Z")], False),
        ([event("2026-01-05T09:00:00Z", "FREQ=DAILY", exrules=("FREQ=WEEKLY",))], False),
        ([event("2026-01-05T09:00:00Z", "FREQ=DAILY", "FREQ=WEEKLY")], False),
        ([event("2026-01-05T09:00:00Z", "FREQ=HOURLY")], False),
        ([event("2026-01-05T09:00:00Z", "FREQ=HOURLY;BYHOUR=9")], False),
        ([event("2026-01-05T09:00:00Z", "FREQ=WEEKLY;BYDAY=TU")], False),  # DTSTART does not match it
        ([event("2026-01-05T09:00:00Z", "nonsense")], False),
        ([override("2026-01-12T08:00:00Z", "2026-01-12T10:00:00Z")], False),
        ([SERIES, override("2026-01-12T08:00:00Z", "2026-01-12T10:00:00Z", this_and_future=True)], False),
        ([event("2026-01-05", "FREQ=DAILY;UNTIL=20260105", duration=Duration(days=1))], True),
        ([event("2026-01-05", "FREQ=DAILY;UNTIL=20260104", duration=Duration(days=1))], False),
        ([event("2026-01-05", "FREQ=DAILY;UNTIL=20260104T230000Z", duration=Duration(days=1))], False),
        ([event(f"2026-01-05T09:00:00[{BERLIN}]", "FREQ=DAILY;UNTIL=20260105")], True),
        ([event(f"2026-01-05T09:00:00[{BERLIN}]", "FREQ=DAILY;UNTIL=20260104")], False),
        ([event(f"2026-01-05T09:00:00[{BERLIN}]", "FREQ=DAILY;UNTIL=20260105T080000Z")], True),
        ([event(f"2026-01-05T09:00:00[{BERLIN}]", "FREQ=DAILY;UNTIL=20260105T075959Z")], False),
        ([event(f"2026-01-05T09:00:00[{BERLIN}]", "FREQ=DAILY;UNTIL=20260105T085959")], False),
    ],
)
def test_holdable(components: list[Component], expected: bool) -> None:
    assert holdable(components) is expected


def test_the_ends_of_the_calendar() -> None:
    late = event("9998-12-31T09:00:00Z", "FREQ=MONTHLY")
    assert len(starts(late, first="9998-01-01", last="9999-12-31")) == 7
    assert occurs_in(
        [event("2026-01-05", duration=Duration(days=1))],
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        "UTC",
    )
    assert date(2026, 1, 5) == at("2026-01-05").value


@pytest.mark.parametrize(
    "components",
    [
        [event("9999-12-31T23:59:59[America/Los_Angeles]")],
        [event("9999-12-31T23:59:59[America/Los_Angeles]", "FREQ=DAILY")],
        [override("9999-12-31T23:59:59[America/Los_Angeles]", "9999-12-31T23:59:59[America/Los_Angeles]")],
        [event("0001-01-01", "FREQ=YEARLY;UNTIL=00010101")],
        [],
    ],
)
def test_what_cannot_be_placed_may_touch_any_window(components: list[Component]) -> None:
    first, last = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    assert may_touch(components, first, last, "UTC")
