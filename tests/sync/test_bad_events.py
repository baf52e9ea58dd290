"""Events that cannot be read: each is skipped with its reason, and nothing else suffers (rule 22)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.testbed.events import event, vcalendar
from tests.testbed.memory_desk import MemoryDesk, memory_desk

GOOD = event("good", title="Good")
SERIES = event("series", extra="RRULE:FREQ=WEEKLY")


def _without(text: str, line: str) -> str:
    kept = [part for part in text.split("\r\n") if not part.startswith(line)]
    assert len(kept) < len(text.split("\r\n"))
    return "\r\n".join(kept)


BAD: dict[str, tuple[bytes, str]] = {
    "no DTSTART": (
        vcalendar("BEGIN:VEVENT\nUID:bad\nDTSTAMP:20260101T000000Z\nSUMMARY:x\nEND:VEVENT\n").encode(),
        "no_start",
    ),
    "DTEND before DTSTART": (event("bad", "20260304T090000", "20260304T080000").encode(), "end_before_start"),
    "unknown zone": (event("bad", zone="Nowhere/At-All").encode(), "unknown_zone"),
    "cut off": (event("bad").encode()[:-60], "unreadable"),
    "not iCalendar": (b"<html><body>Sign in</body></html>", "unreadable"),
    "empty": (b"", "unreadable"),
    "no event": (
        vcalendar("BEGIN:VTODO\nUID:bad\nDTSTAMP:20260101T000000Z\nEND:VTODO\n").encode(),
        "no_event",
    ),
    "a rule that is none": (event("bad", extra="RRULE:FREQ=SOMETIMES").encode(), "bad_recurrence"),
    "every second for ever": (event("bad", extra="RRULE:FREQ=SECONDLY").encode(), "too_many_instances"),
    "a million properties": (
        event("bad", extra="\n".join(f"X-{n}:x" for n in range(200_000))).encode(),
        "too_large",
    ),
}


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(database_url) as desk:
        yield desk


@pytest.mark.parametrize("name", ["x" * 1001, "a\0b"], ids=["long", "NUL"])
async def test_an_id_that_no_database_holds_stops_nothing_else(at: MemoryDesk, name: str) -> None:
    at.store("a").put(name, event("odd"))
    at.store("a").put("good.ics", GOOD)
    pair = await at.pair(sync_mode="full")
    report = await at.app.sync(pair)
    assert report.events_created == 1
    assert (await at.app.sync(pair)).events_created == 0


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_event_is_skipped_with_its_reason(at: MemoryDesk, kind: str) -> None:
    data, reason = BAD[kind]
    at.store("a").put("bad.ics", data)
    at.store("a").put("good.ics", GOOD)
    pair = await at.pair(sync_mode="full")
    report = await at.app.run(pair)
    skipped = [(o.event_id, o.reason) for o in report.operations if o.action == "skip"]
    assert skipped == [("bad.ics", reason)]
    status = "success" if reason == "no_event" else "partial"
    assert (report.status, report.events_created) == (status, 1)
    at.store("a").put("bad.ics", event("bad", "20260305T090000", "20260305T100000"))
    report = await at.app.run(pair)
    assert (report.status, report.events_created) == ("success", 1), "mended, it is copied"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig"])
async def test_an_event_in_another_encoding_is_copied(at: MemoryDesk, encoding: str) -> None:
    at.store("a").put("odd.ics", event("odd", title="Prüfung").encode(encoding))
    report = await at.app.run(await at.pair(sync_mode="full"))
    assert (report.status, report.events_created) == ("success", 1)
    ((_, copy),) = at.store("b").resources.values()
    assert "Prüfung".encode() in copy


async def test_a_new_version_of_the_program_reads_again_what_none_could_read(tmp_path: Path) -> None:
    secret = b"s" * 32
    async with memory_desk(tmp_path, secret=secret, program="1") as desk:
        desk.store("a").put("bad.ics", BAD["cut off"][0])
        pair = await desk.pair()
        assert (await desk.app.run(pair)).status == "partial"
        store = desk.store("a")
        # The parser got better, and the calendar did not change: its token and its ETag are as they were.
        store.resources["bad.ics"] = (store.resources["bad.ics"][0], event("bad").encode())
        assert (await desk.app.run(pair)).status == "partial"
        object.__setattr__(desk.app.engine._reader.refresher, "program", "2")
        assert (await desk.app.run(pair)).events_created == 1
