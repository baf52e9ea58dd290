"""RRULEs of every kind beside other implementations: RFC 5545 by the letter, and libical (rules 12 to 14).

We lay rules out with dateutil; neither of the two builds on it. libical is the one that Cyrus brings along.
"""

from __future__ import annotations

import ctypes
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from calendarsync.domain.event import Component, Duration, EventTime, Recurrence
from calendarsync.domain.recurrence import expand, validate
from tests.domain.rules_by_the_letter import DAYS, starts

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]
LIMIT = 60
SPANS = {
    "SECONDLY": timedelta(hours=12),
    "MINUTELY": timedelta(days=2),
    "HOURLY": timedelta(days=60),
    "DAILY": timedelta(days=800),
    "WEEKLY": timedelta(days=1500),
    "MONTHLY": timedelta(days=3000),
    "YEARLY": timedelta(days=6000),
}
"""Over which time a rule is looked at."""


def _span(rule: str) -> timedelta:
    return SPANS[rule.partition(";")[0].removeprefix("FREQ=")]


_LONG_STEPS = {
    "SECONDLY": [61, 90, 3599, 86_400],
    "MINUTELY": [61, 90, 1440, 1441],
    "HOURLY": [1, 2, 5, 24, 25],
}


def _some(values: list[int]) -> st.SearchStrategy[str]:
    chosen = st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)
    return chosen.map(lambda numbers: ",".join(map(str, sorted(numbers))))


_NUMBERS = {
    "BYMONTH": _some(list(range(1, 13))),
    "BYWEEKNO": _some([1, 2, 20, 51, 52, 53, -1, -2, -52, -53]),
    "BYYEARDAY": _some([1, 2, 59, 60, 61, 100, 200, 365, 366, -1, -2, -306, -307, -365, -366]),
    "BYMONTHDAY": _some([1, 2, 13, 15, 28, 29, 30, 31, -1, -2, -15, -28, -30, -31]),
    "BYHOUR": _some([0, 1, 2, 3, 9, 10, 23]),
    "BYMINUTE": _some([0, 1, 30, 59]),
    "BYSECOND": _some([0, 1, 30, 59]),
    "BYSETPOS": _some([1, 2, 3, -1, -2, -3]),
}
_NOT_FOR = {
    "BYWEEKNO": SPANS.keys() - {"YEARLY"},
    "BYYEARDAY": {"DAILY", "WEEKLY", "MONTHLY"},
    "BYMONTHDAY": {"WEEKLY"},
}
"""What section 3.3.10 forbids."""


@st.composite
def _days(draw: st.DrawFn, freq: str, *, ordinals: bool) -> str:
    days = draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=3, unique=True))
    if not ordinals or draw(st.booleans()):
        return ",".join(days)
    numbers = [1, 2, 4, 5, -1, -2, -5] if freq == "MONTHLY" else [1, 2, 5, 20, 52, 53, -1, -2, -52, -53]
    return ",".join(f"{draw(st.sampled_from(numbers))}{day}" for day in days)


@st.composite
def rules(draw: st.DrawFn, start: datetime) -> str:
    """Any that RFC 5545 allows, with one part by default and rarely many."""
    freq = draw(st.sampled_from(list(SPANS)))
    parts = {"FREQ": freq}
    steps = _LONG_STEPS.get(freq, [1, 1, 2, 3, 4, 7, 18])
    if (interval := draw(st.sampled_from(steps))) > 1:
        parts["INTERVAL"] = str(interval)
    if draw(st.booleans()):
        parts["WKST"] = draw(st.sampled_from(DAYS))
    allowed = [
        name for name in (*_NUMBERS, "BYDAY") if freq not in _NOT_FOR.get(name, ()) and name != "BYSETPOS"
    ]
    names = draw(st.lists(st.sampled_from(allowed), max_size=4, unique=True))
    if names and draw(st.integers(0, 3)) == 0:
        names.append("BYSETPOS")
    for name in names:
        if name == "BYDAY":
            with_ordinals = freq == "MONTHLY" or (freq == "YEARLY" and "BYWEEKNO" not in names)
            parts[name] = draw(_days(freq, ordinals=with_ordinals))
        else:
            parts[name] = draw(_NUMBERS[name])
    ends = draw(st.sampled_from(["", "COUNT", "UNTIL"]))
    if ends == "COUNT":
        parts["COUNT"] = str(draw(st.integers(1, 20)))
    elif ends == "UNTIL":
        until = start + draw(st.floats(0.0, 1.2)) * SPANS[freq]
        parts["UNTIL"] = f"{until:{draw(st.sampled_from(['%Y%m%d', '%Y%m%dT%H%M%S', '%Y%m%dT%H%M%SZ']))}}"
    return ";".join(f"{name}={value}" for name, value in parts.items())


_STARTS = st.integers(0, 3 * 366 * 24 * 60 * 12).map(
    lambda number: datetime(2023, 1, 1) + timedelta(seconds=5 * number)
)


def _found(rule: str, start: datetime, zone: str, after: timedelta, before: timedelta) -> list[datetime]:
    """Starts from `after` to `before` behind the first, in UTC."""
    series = [Component("uid", EventTime(start, zone), duration=Duration(), recurrence=Recurrence((rule,)))]
    assume(validate(series) is None)  # more than ten thousand a year are too many
    first, last = (EventTime(start + distance, zone).instant("UTC") for distance in (after, before))
    return [one.start.instant("UTC") for one in expand(series, first, last, "UTC", limit=200_000)]


@pytest.mark.rule(14)
@given(st.data(), _STARTS, st.sampled_from(ZONES))
@settings(max_examples=250, deadline=None)
def test_every_rule_is_read_as_rfc_5545_says(data: st.DataObject, start: datetime, zone: str) -> None:
    rule = data.draw(rules(start))
    span = _span(rule)
    local = starts(rule, start, zone, start + span + timedelta(days=1))
    expected = sorted({EventTime(moment, zone).instant("UTC") for moment in local})
    for after in (timedelta(), span / 2):
        first, last = (EventTime(start + distance, zone).instant("UTC") for distance in (after, span))
        found = _found(rule, start, zone, after, span)
        assert found == [moment for moment in expected if first <= moment < last]


@lru_cache
def _libical() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libical.so.3")
    except OSError:
        pytest.skip("libical is not installed: it comes with cyrus-imapd")
    library.icalrecur_expand_recurrence.argtypes = [
        ctypes.c_char_p,
        ctypes.c_int64,
        ctypes.c_int,
        ctypes.POINTER(ctypes.c_int64),
    ]
    return library


def _by_libical(rule: str, start: datetime) -> list[datetime]:
    """The first `LIMIT` times that the rule gives, all in UTC."""
    times = (ctypes.c_int64 * LIMIT)()
    begin = int(start.replace(tzinfo=UTC).timestamp())
    assert _libical().icalrecur_expand_recurrence(rule.encode(), begin, LIMIT, times)
    return [datetime.fromtimestamp(time, UTC) for time in times if time]


@st.composite
def usual_rules(draw: st.DrawFn) -> str:
    """What calendar programs write. libical 3 has BYSETPOS for days alone, and few parts of it work together."""
    freq = draw(st.sampled_from(list(SPANS)))
    parts = [f"FREQ={freq}", f"INTERVAL={draw(st.integers(1, 5))}"]
    if freq in ("SECONDLY", "MINUTELY"):
        return ";".join((*parts, f"COUNT={draw(st.integers(1, 50))}"))
    if freq == "WEEKLY":
        parts.append(f"WKST={draw(st.sampled_from(['MO', 'SU']))}")
    kinds = {
        "HOURLY": ["none"],
        "DAILY": ["none", "BYMONTH", "BYDAY", "BYHOUR", "BYMINUTE"],
        "WEEKLY": ["none", "BYMONTH", "BYDAY", "BYHOUR"],
        "MONTHLY": ["none", "BYMONTHDAY", "BYDAY", "BYSETPOS", "BYHOUR"],
        "YEARLY": ["none", "BYMONTH", "BYMONTH BYDAY", "BYMONTH BYMONTHDAY", "BYDAY", "BYYEARDAY"],
    }
    for name in draw(st.sampled_from(kinds[freq])).split():
        if name == "BYSETPOS":
            parts.append(f"BYDAY={draw(_days(freq, ordinals=False))};BYSETPOS={draw(_NUMBERS[name])}")
        elif name == "BYDAY":
            inside = "MONTHLY" if any(part.startswith("BYMONTH=") for part in parts) else freq
            parts.append(f"BYDAY={draw(_days(inside, ordinals=freq in ('MONTHLY', 'YEARLY')))}")
        elif name != "none":
            parts.append(f"{name}={draw(_NUMBERS[name])}")
    return ";".join(parts)


@pytest.mark.rule(14)
@given(usual_rules(), _STARTS)
@settings(max_examples=150, deadline=None)
def test_usual_rules_are_read_as_libical_reads_them(rule: str, start: datetime) -> None:
    """From a start that the rule gives: with another one, the set is undefined (section 3.8.5.3)."""
    begin = next(iter(_by_libical(rule, start)), None)
    assume(begin is not None)
    assert begin is not None
    theirs = _by_libical(rule, begin.replace(tzinfo=None))
    span = _span(rule)
    end = min(begin + span, theirs[-1]) if len(theirs) == LIMIT else begin + span
    ours = _found(rule, begin.replace(tzinfo=None), "UTC", timedelta(), span)
    assert [moment for moment in ours if moment < end] == [moment for moment in theirs if moment < end]
