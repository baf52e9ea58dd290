"""Rule 17: edits of copies travel back between real servers and the models of Google and Graph."""

from __future__ import annotations

import re
from itertools import permutations

import pytest

from tests.sync.conftest import SERVICES
from tests.sync.helpers import done, sync_anew
from tests.sync.stories import stamp
from tests.sync.test_cost_table import counted, told
from tests.testbed.desk import Desk
from tests.testbed.events import event

pytestmark = pytest.mark.rule(17)

CARRIED = [("propagate", "copy_edited"), ("update", "source_changed")]
GUESTS = "ORGANIZER:mailto:alice@work.example\nATTENDEE;CN=Ann:mailto:ann@example.com"
WEEKLY = "RRULE:FREQ=WEEKLY;COUNT=4"
PAIRS = [
    ("radicale", "xandikos"),
    ("xandikos", "cyrus"),
    ("cyrus", "radicale"),
    ("radicale", "google"),
    ("google", "radicale"),
    ("radicale", "microsoft"),
    ("microsoft", "radicale"),
    ("google", "microsoft"),
    ("microsoft", "google"),
]

COSTS = {
    "the copy of one event is renamed": "",
    "the copy of a weekly series is renamed": WEEKLY,
}

between_services = pytest.mark.parametrize("between", PAIRS, indirect=True, ids="-".join)


def edit(at: Desk, *changes: tuple[str, str]) -> None:
    """Somebody changes the one copy in b."""
    ((name, text),) = at.copies(at.b).items()
    for old, new in changes:
        assert re.search(old, text), text
        text = re.sub(old, new, text)
    at.put(at.b, name, text)


async def paired(at: Desk, source: str, **given: str) -> str:
    at.put_a("one", source)
    pair = await at.pair(sync_mode="full", direction="a_to_b", on_copy_edited="propagate", **given)
    await at.app.sync(pair)
    return pair


async def assert_carried(at: Desk, pair: str) -> None:
    assert done(await at.app.sync(pair)) == CARRIED
    assert at.busy(at.a, copies=False) == at.busy(at.b, copies=True)
    versions = at.versions(at.a), at.versions(at.b)
    assert done(await sync_anew(at, pair)) == []
    assert (at.versions(at.a), at.versions(at.b)) == versions


@between_services
async def test_title_place_text_and_time_travel(between: Desk) -> None:
    at = between
    there = event("one", stamp(4), stamp(4, 10), extra="DESCRIPTION:Old text\nLOCATION:Room 1")
    pair = await paired(at, there, title="[Work] {title}")
    edit(at, ("SUMMARY:.*Planning", "SUMMARY:[Work] Lunch"))
    await assert_carried(at, pair)
    ((source,), (copy,)) = at.resources(at.a, copies=False), at.resources(at.b, copies=True)
    assert (source.contents[""].title, copy.contents[""].title) == ("Lunch", "[Work] Lunch")
    edit(at, ("DESCRIPTION:Old text", "DESCRIPTION:New text"), ("LOCATION:Room 1", "LOCATION:Room 2"))
    await assert_carried(at, pair)
    (source,) = at.resources(at.a, copies=False)
    content = source.contents[""]
    assert (content.title, content.description, content.location) == ("Lunch", "New text", "Room 2")
    edit(at, (stamp(4, 10), stamp(4, 12)), (stamp(4), stamp(4, 11)))
    await assert_carried(at, pair)
    assert at.busy(at.a, copies=False) == [("2026-03-04 10:00", "2026-03-04 11:00")]


@between_services
async def test_instances_of_a_series_and_the_series(between: Desk) -> None:
    at = between
    pair = await paired(at, event("one", stamp(4), stamp(4, 10), extra=WEEKLY))
    edit(at, ("SUMMARY:Planning", "SUMMARY:Weekly"))
    await assert_carried(at, pair)
    edit(at, (stamp(4, 10), stamp(4, 12)), (stamp(4), stamp(4, 11)))
    await assert_carried(at, pair)
    ((name, text),) = at.copies(at.b).items()
    series = text[text.index("BEGIN:VEVENT") : text.index("END:VCALENDAR")]
    own = re.sub(r"RRULE:[^\r\n]*", f"RECURRENCE-ID;TZID=Europe/Berlin:{stamp(11, 11)}", series)
    own = own.replace(stamp(4, 12), stamp(12, 16)).replace(stamp(4, 11), stamp(12, 15))
    own = own.replace("SUMMARY:Weekly", "SUMMARY:Moved")
    at.put(at.b, name, text.replace("END:VCALENDAR", f"{own}END:VCALENDAR"))
    await assert_carried(at, pair)
    (source,) = at.resources(at.a, copies=False)
    assert sorted(content.title for content in source.contents.values()) == ["Moved", "Weekly"]
    assert ("2026-03-12 14:00", "2026-03-12 15:00") in at.busy(at.a, copies=False)


@pytest.mark.parametrize(("what", "extra"), COSTS.items(), ids=["single", "series"])
@pytest.mark.parametrize("between", list(permutations(SERVICES, 2)), ids="-".join, indirect=True)
async def test_it_costs_what_the_page_tells(
    between: Desk, what: str, extra: str, request: pytest.FixtureRequest
) -> None:
    at, services = between, request.node.callspec.params["between"]
    pair = await paired(at, event("one", stamp(4), stamp(4, 10), extra=extra))
    await at.app.sync(pair)
    edit(at, ("SUMMARY:Planning", "SUMMARY:Lunch"))
    with counted(at) as sent:
        assert done(await at.app.sync(pair)) == CARRIED
    told(what, services, sent)


@pytest.mark.parametrize("between", [("xandikos", "radicale")], indirect=True, ids="-".join)
async def test_a_meeting_with_guests_is_left_alone(between: Desk) -> None:
    at = between
    pair = await paired(at, event("one", stamp(4), stamp(4, 10), extra=GUESTS))
    before = at.read(at.a)
    edit(at, ("SUMMARY:Planning", "SUMMARY:Lunch"))
    assert done(await at.app.sync(pair)) == [("update", "source_has_attendees")]
    assert at.read(at.a) == before


@pytest.mark.parametrize("one_way", [("feed", "radicale")], indirect=True, ids="-".join)
async def test_a_feed_cannot_be_changed(one_way: Desk) -> None:
    at = one_way
    pair = await paired(at, event("one", stamp(4), stamp(4, 10)))
    edit(at, ("SUMMARY:Planning", "SUMMARY:Lunch"))
    assert done(await at.app.sync(pair)) == [("update", "source_read_only")]
    assert done(await sync_anew(at, pair)) == []
