"""Origins, derived ids, marks and meeting keys (rules 1, 3 and 5)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.domain.origin import (
    MarkKind,
    copy_id,
    instance_origin,
    looks_derived,
    meeting_key,
    origin_of,
    read_mark,
    write_mark,
)

KEY, OLD_KEY = b"k" * 32, b"o" * 32
HERE, THERE = "calendar-here", "calendar-there"
ORIGIN = origin_of("source", "event.ics")
ID = copy_id(ORIGIN, HERE, 0)
MARK = write_mark(KEY, ORIGIN, 0, "f" * 32, HERE)


@pytest.mark.rule(4)
def test_what_stands_in_peoples_calendars_is_made_as_ever() -> None:
    """Made in another way, all copies of earlier versions would be deleted, and come anew."""
    assert ORIGIN == "12ca6c4dedb1d3bdff318db089304e4955ed4d88"
    assert copy_id(ORIGIN, "target", 0) == "csae3ui4mleo34ni3k13bp6nkbcdspqbhp"
    mark = f"1;{ORIGIN};0;{'0' * 32};a2b92b8daba5fe8dcdfca270a3a4736e"
    assert write_mark(KEY, ORIGIN, 0, "0" * 32, "target") == mark


def test_an_id_is_what_google_takes_and_nothing_readable() -> None:
    assert re.fullmatch(r"[a-v0-9]{5,1024}", ID)
    assert looks_derived(ID)


@given(st.tuples(*[st.text()] * 2), st.tuples(*[st.text()] * 2))
def test_origins_differ_where_events_do(one: tuple[str, str], other: tuple[str, str]) -> None:
    if any("\x1f" in part for part in (*one, *other)):
        return
    assert (origin_of(*one) == origin_of(*other)) is (one == other)


def test_an_instance_has_an_origin_of_its_own() -> None:
    one, other = (instance_origin(ORIGIN, f"2026-03-0{day}T08:00:00Z") for day in (4, 5))
    assert len({ORIGIN, one, other, instance_origin(one, "2026-03-05T08:00:00Z")}) == 4
    assert re.fullmatch(r"[0-9a-f]{40}", one)


def test_ids_differ_by_origin_calendar_and_generation() -> None:
    ids = {copy_id(origin, calendar, n) for origin in "ab" for calendar in "xy" for n in (0, 1)}
    assert len(ids) == 8


def test_a_mark_is_known_by_its_key_and_by_older_ones() -> None:
    for keys in ([KEY], [OLD_KEY, KEY]):
        mark = read_mark(MARK, ID, HERE, keys)
        assert mark is not None
        assert (mark.kind, mark.origin, mark.generation, mark.fingerprint) == (
            MarkKind.OWN,
            ORIGIN,
            0,
            "f" * 32,
        )


def test_a_mark_of_another_key_is_foreign() -> None:
    mark = read_mark(MARK, ID, HERE, [OLD_KEY])
    assert mark is not None
    assert mark.kind is MarkKind.FOREIGN


@pytest.mark.parametrize(("uid", "calendar"), [("another", HERE), (ID, THERE), (ID.upper(), HERE)])
def test_a_mark_on_another_event_or_in_another_calendar_says_nothing(uid: str, calendar: str) -> None:
    assert read_mark(MARK, uid, calendar, [KEY]) is None


@pytest.mark.parametrize("position", range(0, len(MARK), 3))
def test_a_changed_mark_is_never_ours(position: int) -> None:
    changed = MARK[:position] + ("0" if MARK[position] != "0" else "1") + MARK[position + 1 :]
    mark = read_mark(changed, ID, HERE, [KEY])
    assert mark is None or mark.kind is not MarkKind.OWN


@given(st.text())
def test_any_text_can_be_read_as_a_mark(text: str) -> None:
    assert read_mark(text, ID, HERE, [KEY]) is None


EXCHANGE = "040000008200E00074C5B7101A82E008{date}00000000000000000000000000000000{rest}"
WRAPPED = b"vCal-Uid\x01\x00\x00\x00Meeting@example.com\x00".hex()


def test_rule_5_one_meeting_under_several_spellings() -> None:
    assert meeting_key(" Meeting@Example.com") == meeting_key("meeting@example.com")
    instance = EXCHANGE.format(date="07EA0304", rest="10000000AABBCCDD")
    series = EXCHANGE.format(date="00000000", rest="10000000aabbccdd")
    assert meeting_key(instance) == meeting_key(series)
    assert meeting_key(EXCHANGE.format(date="00000000", rest="33000000" + WRAPPED)) == "meeting@example.com"
    assert meeting_key(instance) != meeting_key(EXCHANGE.format(date="00000000", rest="10000000AABBCCDE"))


@given(st.text())
def test_rule_5_any_uid_has_a_key(uid: str) -> None:
    assert meeting_key(meeting_key(uid)) == meeting_key(uid) or uid != uid.strip()
