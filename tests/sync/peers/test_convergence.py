"""Failures of peers in which a sync never came to rest: each wrote the same again at every run.

A provider that cannot hold what it is given, or rewrites it; events at the edges of what is read. Each test names
the issue that it stems from, and what happened there.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.sync.helpers import done, only, starts, sync_anew
from tests.sync.peers.helpers import between, read_all_anew
from tests.sync.stories import on, stamp
from tests.testbed.desk import Desk
from tests.testbed.events import event
from tests.testbed.google import Model as GoogleModel
from tests.testbed.google import values
from tests.testbed.google_keeper import GoogleKeeper
from tests.testbed.installation import START
from tests.testbed.memory_desk import MemoryDesk, memory_desk

BLOCK = "-::~:~::~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~::~:~::-"
"""What Google sets around the text of a conference in a description."""


@pytest.fixture
async def at(quick_folder: Path) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(quick_folder) as made:
        yield made


def inserts(model: GoogleModel) -> int:
    return sum(call.method == "calendar.events.insert" for call in model.seen)


@pytest.mark.rule(14)
@pytest.mark.rule(22)
@between("feed", "google")
async def test_an_event_without_length(between: Desk, google_model: GoogleModel) -> None:
    """keeper.sh #616: Google answers 400 `timeRangeEmpty` for a timed event that ends when it starts, which is
    legal iCalendar. No mapping was stored, so the same insert was tried at every run, about fifty times an hour.
    """
    at = between
    at.put_a("mark", event("mark", stamp(4), None))
    at.put_a("long", on(5))
    pair = await at.pair(sync_mode="full", direction="a_to_b")
    await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == [
        ("2026-03-04 08:00", "2026-03-04 08:01"),
        ("2026-03-05 08:00", "2026-03-05 09:00"),
    ]
    assert done(await read_all_anew(at, pair)) == []
    # Whatever else Google may refuse in an event is not sent again at every run.
    google_model.fail(400, reason="invalid", method="events.insert")
    at.put_a("other", on(6))
    for _ in range(4):
        await at.app.change_pair(pair, quiet_until=None)
        assert (await at.app.run(pair)).status == "partial"
        at.app.clock.advance(minutes=5)
    assert inserts(google_model) == 3
    at.app.clock.advance(days=1)
    await at.app.sync(pair)
    assert len(at.copies_b()) == 3


@pytest.mark.rule(15)
@between("feed", "google")
async def test_google_takes_the_text_of_a_conference_away(
    between: Desk, google_model: GoogleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """keeper.sh #750: Google deletes its own conference block from a description that a client sends, as the copy
    has no conference of its own. The copy did not equal its source any more: it was deleted and made anew at each
    run.
    """
    completed = values.completed

    def stripped(calendar: Any, given: dict[str, Any]) -> dict[str, Any]:
        kept = completed(calendar, given)
        if "description" in kept:
            kept["description"] = re.sub(f"{BLOCK}.*{BLOCK}", "", kept["description"], flags=re.DOTALL)
        return kept

    monkeypatch.setattr(values, "completed", stripped)
    at = between
    agenda = rf"DESCRIPTION:Agenda\n{BLOCK}\nJoin: https://meet.example/abc\n{BLOCK}\nBring tea"
    at.put_a("call", on(4, extra=agenda))
    pair = await at.pair(sync_mode="full", direction="a_to_b")
    await at.app.sync(pair)
    (copy,) = at.copies_b()
    assert "Agenda" in copy
    assert "Bring tea" in copy
    assert "meet.example" not in copy
    versions = at.versions(at.b)
    for full in (False, True):
        await at.app.change_pair(pair, quiet_until=None)
        assert done(await at.app.run(pair, full=full)) == []
    assert at.versions(at.b) == versions
    at.put_a("call", on(4, title="Renamed", extra=agenda))
    assert done(await at.app.sync(pair)) == [("update", "source_changed")]
    assert done(await read_all_anew(at, pair)) == []


@pytest.mark.rule(7)
@pytest.mark.rule(18)
@between("microsoft", "google")
async def test_windows_that_are_widened_and_narrowed(between: Desk) -> None:
    """keeper.sh #452: an event between what had been read and the edge of a wider window looked as if it had no
    copy: one was made and the orphan deleted at each run. An event that ended exactly where the window began was
    taken in by one filter and thrown out by the other.
    """
    at = between
    edges = {  # the window is from 1 March 06:00 to 12 March 06:00, in UTC
        "ends at the start": ("20260301T050000Z", "20260301T060000Z"),
        "over the start": ("20260301T053000Z", "20260301T063000Z"),
        "in the middle": ("20260305T090000Z", "20260305T100000Z"),
        "over the end": ("20260312T053000Z", "20260312T063000Z"),
        "begins at the end": ("20260312T060000Z", "20260312T070000Z"),
        "behind the end": ("20260325T090000Z", "20260325T100000Z"),
    }
    for name, times in edges.items():
        at.put_a(name.replace(" ", "-"), event(name, *times))
    pair = await at.pair(direction="a_to_b")
    at.app.clock.now = START
    seen: list[int] = []
    for past, future in ((1, 10), (1, 40), (30, 40), (1, 10)):
        await at.app.change_pair(pair, options={"past_days": past, "future_days": future})
        await at.app.sync(pair)
        seen.append(len(at.copies_b()))
        for _ in range(2):
            assert done(await read_all_anew(at, pair)) == [], (past, future)
    assert seen == [3, 5, 6, 4], "what is behind the window stays as history"


@pytest.mark.rule(15)
@pytest.mark.rule(16)
async def test_a_server_that_has_new_etags_at_every_reading(at: MemoryDesk) -> None:
    """keeper.sh #875: each reconciliation of a shared iCloud calendar was a DELETE and a PUT of the same event; the
    others who share it were told so twice every ten minutes, for one event of a Grommunio server that nobody had
    touched.
    """
    at.store("a").put("1.ics", event("uid"))
    pair = await at.pair(direction="a_to_b", sync_mode="full")
    await at.app.sync(pair)
    stood = dict(at.store("b").resources)
    told = len(at.store("b").journal)
    for sequence in range(4):
        stamped = event("uid", extra=f"SEQUENCE:{sequence}").replace("DTSTAMP:2026", f"DTSTAMP:203{sequence}")
        at.store("a").put("1.ics", stamped)
        assert done(await sync_anew(at, pair)) == []
    assert at.store("b").resources == stood
    at.store("a").put("1.ics", event("uid", "20260304T110000", "20260304T120000"))
    assert done(await sync_anew(at, pair)) == [("update", "source_changed")]
    (name,) = stood
    assert at.store("b").journal[told:] == [name], "one write, to the object that stood there"
    assert starts(at) == ["03-04 10:00"]
    assert done(await sync_anew(at, pair)) == []


@pytest.mark.rule(15)
async def test_emojis_wherever_a_line_is_cut(at: MemoryDesk) -> None:
    """OutlookGoogleCalendarSync #2090: a description was cut in the middle of an emoji. It never equalled its
    source again, and the sync flickered over the one event without an end.
    """
    lengths = range(60, 80)  # a line is folded after 75 octets; an emoji is four of them
    texts = {length: "x" * length + "📝💻📜🖋️📬📮" * 40 for length in lengths}
    for length, text in texts.items():
        at.store("a").put(f"{length}.ics", event(f"uid-{length}", title="✉️📮", extra=f"DESCRIPTION:{text}"))
    pair = await at.pair(direction="a_to_b", sync_mode="full")
    assert (await at.app.sync(pair)).events_created == len(texts)
    copies = [data for _, data in at.store("b").resources.values()]
    for data in copies:
        for line in data.split(b"\r\n"):
            line.decode()
    whole = b"".join(copies).replace(b"\r\n ", b"").decode()
    assert [text for text in texts.values() if f"DESCRIPTION:{text}\r\n" not in whole] == []
    assert done(await sync_anew(at, pair)) == []
    report = await at.app.run(pair, full=True)
    assert (report.status, done(report)) == ("success", [])


@pytest.mark.rule(17)
async def test_a_server_that_rewrites_html_after_a_while(at: MemoryDesk) -> None:
    """OutlookGoogleCalendarSync #2269: Outlook turned `&amp;` in a link of an HTML description into `&`, and white
    space into other white space. The difference was no change of anybody's, and came back on every second sync.
    """
    link = '<a href="https://example.com/?a=1&amp;b=2">Join</a>\\n \\n'
    at.store("a").put("1.ics", event("uid", extra=f"DESCRIPTION:{link}"))
    source = dict(at.store("a").resources)
    pair = await at.pair(direction="a_to_b", sync_mode="full")
    await at.app.sync(pair)
    actions = []
    for _ in range(6):
        name, data = only(at)
        at.store("b").put(
            name, data.replace(b"\r\n ", b"").replace(b"&amp;", b"&").replace(b"\\n \\n", b"\\n")
        )
        actions += [operation.action for operation in (await sync_anew(at, pair)).operations]
    assert actions == ["update", "update", "skip"], "two restores that do not stick, and one word about it"
    assert at.store("a").resources == source
    at.store("a").put("1.ics", event("uid", title="Renamed", extra=f"DESCRIPTION:{link}"))
    assert done(await sync_anew(at, pair)) == [("update", "source_changed")]
    assert b"SUMMARY:Renamed" in only(at)[1]


@pytest.mark.rule(7)
@pytest.mark.rule(26)
@between("microsoft", "google")
async def test_a_window_that_slides_over_evening_hours_in_another_zone(between: Desk) -> None:
    """OutlookGoogleCalendarSync #2312: events of the first and the last day that is synced, in the hours by which a
    zone is off GMT, were in one reading and not in the other. They were doubled, or deleted.
    """
    at = between
    for hour in range(24):
        day, clock = divmod(hour + 12, 24)
        times = (f"202603{3 + day:02}T{clock:02}{minute}00" for minute in ("00", "30"))
        at.put_a(f"{hour}", event(f"uid-{hour}", *times, zone="America/Los_Angeles"))
    pair = await at.pair(direction="a_to_b", past_days=0, future_days=1)
    created = 0
    for _ in range(6):
        report = await at.app.sync(pair)
        created += report.events_created
        assert (report.events_updated, report.events_deleted) == (0, 0)
        assert done(await read_all_anew(at, pair)) == []
        copies = at.busy(at.b, copies=True)
        assert len(copies) == len(set(copies)) == created
        at.app.clock.advance(hours=11)
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)


@pytest.mark.rule(7)
@pytest.mark.rule(13)
@between("google", "microsoft")
async def test_the_part_of_a_split_series_that_is_over(between: Desk, google_model: GoogleModel) -> None:
    """OutlookGoogleCalendarSync #1910: after a change of 'this and following', Google lists the old series too,
    though it ended before the window. It was not found at the other end, and was made there again at each sync.
    """
    at = between
    at.put_a("series", event("series", "20260107T090000", "20260107T100000", extra="RRULE:FREQ=WEEKLY"))
    source = at.keepers[at.a]
    assert isinstance(source, GoogleKeeper)
    (old,) = google_model.events(at.a)
    google_model.put(at.a, {"recurrence": ["RRULE:FREQ=WEEKLY;UNTIL=20260204T075959Z"]}, old)
    times = {
        name: {"dateTime": f"2026-02-04T{hour}:00:00+01:00", "timeZone": "Europe/Berlin"}
        for name, hour in (("start", "11"), ("end", "12"))
    }
    rest = {"summary": "Planning", "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=8"], **times}
    google_model.put(at.a, rest, f"{old}_R20260204T080000")
    pair = await at.pair()
    report = await at.app.sync(pair)
    assert (report.events_created, len(at.copies_b())) == (1, 1)
    for _ in range(3):
        at.app.clock.advance(days=1)
        assert done(await read_all_anew(at, pair)) == []
    assert at.busy(at.b, copies=True) == [
        slot for slot in at.busy(at.a, copies=False) if slot[0] > "2026-02-04 09"
    ]
    assert at.copies_a() == []
